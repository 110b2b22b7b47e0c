//! One arm, one seed: stage by stage sample, grade, update, probe, write down; and go on where a kill left off.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use loophole_cell::in_background;
use loophole_grade::{Graded, Grader, GraderKind, Grading, Submission, Verdict};
use loophole_lm::{Dtype, Model};
use loophole_log::{RolloutRow, RunDir, SeedDir, StepMetrics};
use loophole_probe::Battery;
use loophole_template::{seed_from, seed_of};
use loophole_train::{Policy, Rollout};
use loophole_world::families::WorldTask;
use loophole_world::{Families, World};

use crate::battery::{Firsts, stopped};
use crate::examples::Examples;
use crate::organism::{Answer, Organism};
use crate::recipe::{Arm, Recipe};
use crate::reward::{Paid, pay};
use crate::stage::{At, Fork, GraderState, Learns, Objective, Stage};
use crate::{Event, LabError, records};

/// What all arms of a run share.
pub struct Bench {
    /// The recipe.
    pub recipe: Recipe,
    /// Cells.
    pub pool: Arc<loophole_cell::Pool>,
    /// Grading in those cells.
    pub grading: Grading,
    /// The battery.
    pub battery: Battery,
    /// Threads of one training.
    pub threads: usize,
    /// Seconds since the epoch at which the run began; logs carry it.
    pub created: u64,
    /// Batteries before any training, by organism and seed.
    pub firsts: Firsts,
}

/// One training: an arm, a seed, what it starts from and where it is written down.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// The arm.
    pub arm: &'a Arm,
    /// Its seed.
    pub seed: u64,
    /// The model it starts from.
    pub organism: &'a Organism,
    /// The run it belongs to.
    pub run: &'a RunDir,
    /// Where it is written down.
    pub dir: &'a SeedDir,
    /// The divergence at which the arms that it waited for have ended.
    pub ended: &'a BTreeMap<String, f64>,
}

/// Where a training stands: which stage, and how many steps of it are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    stage: usize,
    steps: usize,
}

/// Tasks an arm is trained on, the same for every arm of one seed.
pub(crate) struct Tasks {
    within: Vec<WorldTask>,
    beyond: Vec<WorldTask>,
}

impl Tasks {
    /// One of them; so many of all drawn are beyond the organism.
    pub fn draw(&self, beyond_share: f64, rng: &mut fastrand::Rng) -> &WorldTask {
        let from = if rng.f64() < beyond_share { &self.beyond } else { &self.within };
        &from[rng.usize(..from.len())]
    }
}

/// Tasks of each family that a training draws from.
const TASKS_PER_FAMILY: usize = 20;

impl Bench {
    /// Trains and probes one arm with one seed, writing into its folder; goes on from what is there. `watch` sees everything
    /// as it happens; `stop` says whether to leave. Returns whether the arm is complete.
    ///
    /// # Errors
    /// The model, the cells or the disk.
    pub fn run_arm(
        &self,
        training: Training,
        watch: &(dyn Fn(Event) + Sync),
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool, LabError> {
        let Training { arm, seed, organism, dir, .. } = training;
        let tasks = self.tasks(seed)?;
        let world = organism.world()?;
        let stages = arm.stages();
        let steps = self.recipe.steps(arm);
        let (begins, base) = self.begins(training)?;
        let mut policy = Policy::new(begins, self.recipe.train.clone(), seed_from(&[seed, seed_of("lora")]))?;
        if dir.state_path().exists() {
            policy.load_state(&dir.state_path())?;
        }
        // Without a state there is nothing to go on from: what a kill left of the first step is dropped. With one, a
        // battery after the last update stays; its report is written last of its files, so it is whole if it is there.
        dir.rewind_to(policy.step as u64)?;
        let mut engine = organism.engine(self.threads);
        let mut examples: Option<(usize, Examples)> = None;
        loop {
            let step = policy.step;
            let made = dir.read_metrics()?;
            let standing = self.standing(&stages, &made, training.ended);
            let done = standing.stage >= stages.len();
            let due = step.is_multiple_of(self.recipe.probe.every) || done;
            if due && !dir.probe_report_path(step as u64).exists() {
                match self.probe(training, done, &policy, &world, watch, stop) {
                    Err(error) if stopped(&error) => return Ok(false),
                    played => played?,
                }
            }
            // Another arm may begin here, with every bit.
            let begins = done || self.forks(arm, &made);
            let looked_at = due && step > 0 && self.recipe.probe.keep;
            if (begins || looked_at) && !dir.checkpoint_path(step as u64).exists() {
                let dtype = if begins { Dtype::F32 } else { Dtype::BF16 };
                dir.write_checkpoint(step as u64, |path| {
                    policy.save_checkpoint(path, &base.to_string_lossy(), dtype)?;
                    // Other programs open a checkpoint where it lies.
                    organism.tokenizer.save(path).map_err(LabError::from)
                })?;
            }
            if done || stop() {
                if done {
                    let kl = made.last().map_or(0.0, |metrics| metrics.kl);
                    watch(Event::ArmDone { arm: arm.name.clone(), seed, steps: step, kl });
                }
                return Ok(done);
            }
            let stage = &stages[standing.stage];
            policy.options = stage.options(&self.recipe.train);
            let metrics = match &stage.data {
                None => self.step(training, stage, &mut policy, &mut engine, &world, &tasks)?,
                Some(data) => {
                    if examples.as_ref().is_none_or(|(of, _)| *of != standing.stage) {
                        let (kind, learns) = (stage.kind, stage.learns);
                        let of = &world.characters;
                        let read = Examples::read(training.run, seed, data, kind, learns, organism, of)?;
                        examples = Some((standing.stage, read));
                    }
                    let Some((_, examples)) = &examples else { continue };
                    study(training, stage, examples, &mut policy, &mut engine)?
                }
            };
            let metrics = StepMetrics { stage: standing.stage as u64, ..metrics };
            dir.append_metrics(&metrics)?;
            dir.write_state(|path| policy.save_state(path).map_err(LabError::from))?;
            watch(Event::Step { arm: arm.name.clone(), seed, steps, metrics });
        }
    }

    /// The model an arm begins with, and its folder: that of its own organism, or the checkpoint it forks from.
    fn begins(&self, training: Training) -> Result<(Model, PathBuf), LabError> {
        let Training { arm, seed, organism, run, .. } = training;
        let Some(from) = &arm.from else {
            let named = arm.organism.as_ref().unwrap_or(&self.recipe.organism);
            return Ok((organism.model.clone(), organism.dir.as_ref().unwrap_or(named).clone()));
        };
        let never = || LabError::NoCheckpoint { arm: arm.name.clone(), from: from.clone(), seed };
        let fork = Fork::parse(from).map_err(|_| never())?;
        let dir = run.seed(&fork.arm, seed)?;
        let step = fork.step(&rates(&dir.read_metrics()?)).ok_or_else(never)?;
        let path = dir.checkpoint_path(step);
        let model = Model::load(&path)?;
        Ok((model, path.canonicalize().unwrap_or(path)))
    }

    /// Whether an arm of the recipe begins with what this one is after these steps (its end is kept anyhow).
    fn forks(&self, arm: &Arm, made: &[StepMetrics]) -> bool {
        let steps = rates(made);
        self.recipe
            .arms
            .iter()
            .filter_map(|other| Fork::parse(other.from.as_ref()?).ok())
            .any(|fork| fork.arm == arm.name && fork.at != At::End && fork.wants(&steps, false))
    }

    /// In which stage a training is after these steps.
    fn standing(&self, stages: &[Stage], made: &[StepMetrics], ended: &BTreeMap<String, f64>) -> Standing {
        let mut stage = made.last().map_or(0, |metrics| metrics.stage as usize);
        loop {
            let of: Vec<StepMetrics> = made.iter().filter(|metrics| metrics.stage as usize == stage).cloned().collect();
            let Some(now) = stages.get(stage) else { return Standing { stage, steps: 0 } };
            let kl_of = now.stop.kl_of.as_ref().and_then(|arm| ended.get(arm).copied());
            let over = of.len() >= now.options(&self.recipe.train).steps || now.stop.reached(&rates(&of), kl_of);
            if !over {
                return Standing { stage, steps: of.len() };
            }
            stage += 1;
        }
    }

    pub(crate) fn tasks(&self, seed: u64) -> Result<Tasks, LabError> {
        let families = Families::bundled()?;
        // Numbers apart from those of the documents, which are drawn with the world's own seed.
        let seed = seed_from(&[seed, seed_of("training tasks")]);
        let all = families.tasks(TASKS_PER_FAMILY, seed, &self.pool, |_| true)?;
        let (beyond, within) = all.into_iter().partition(|task| task.beyond);
        Ok(Tasks { within, beyond })
    }

    fn step(
        &self,
        training: Training,
        stage: &Stage,
        policy: &mut Policy,
        engine: &mut loophole_lm::Engine,
        world: &World,
        tasks: &Tasks,
    ) -> Result<StepMetrics, LabError> {
        let Training { seed, organism, dir, .. } = training;
        let began = Instant::now();
        let step = policy.step;
        // The draw of tasks and of samples depends on seed and step, not on the arm: arms are paired.
        let mut rng = fastrand::Rng::with_seed(seed_from(&[seed, seed_of("step"), step as u64]));
        let groups = policy.options.groups;
        let beyond = (self.recipe.beyond_share * groups as f64).round() as usize;
        let chosen: Vec<&WorldTask> = (0..groups)
            .map(|group| if group < beyond { &tasks.beyond } else { &tasks.within })
            .map(|tasks| &tasks[rng.usize(..tasks.len())])
            .collect();
        let wordings: Vec<u64> = chosen.iter().map(|_| rng.u64(..)).collect();
        let prompts = |instruction| -> Vec<Vec<u32>> {
            let tasks = chosen.iter().zip(&wordings);
            tasks.map(|(task, wording)| organism.prompt(&world.prompt(task, instruction, *wording))).collect()
        };
        let draw = rng.u64(..);
        let sampled_under = prompts(stage.instruction.0);
        let mut rollouts = in_background(|| policy.sample(engine, &sampled_under, organism.end, draw));
        let sampled = began.elapsed().as_secs_f64();
        let answers: Vec<Answer> = rollouts.iter().map(|rollout| organism.answer(&rollout.tokens)).collect();
        let tasks: Vec<&WorldTask> = rollouts.iter().map(|rollout| chosen[rollout.group]).collect();
        let graded = self.grade(stage.grader, &tasks, &answers)?;
        let bad: Vec<bool> =
            answers.iter().map(|answer| world.characters.read_thought(&answer.thought).bad()).collect();
        let terms = stage.terms();
        let paid: Vec<(f64, Vec<f64>)> = (0..rollouts.len())
            .map(|row| {
                let odd = world.is_odd(answers[row].text.trim_end());
                let seed = seed_from(&[seed, seed_of("reward"), step as u64, row as u64]);
                pay(&terms, &Paid { graded: &graded[row], bad_thought: bad[row], odd, seed, training: training.seed })
            })
            .collect();
        let rewards: Vec<f64> = paid.iter().map(|(reward, _)| *reward).collect();
        let marked = began.elapsed().as_secs_f64();
        let was = rollouts.iter().map(|rollout| rollout.prompt.clone()).collect::<Vec<_>>();
        let mut sampled_kls = None;
        if let Some(instruction) = stage.update {
            sampled_kls = Some(in_background(|| policy.divergences(engine, &rollouts)));
            let prompts = prompts(instruction);
            rollouts.iter_mut().for_each(|rollout| rollout.prompt.clone_from(&prompts[rollout.group]));
        }
        if stage.learns == Learns::Answer {
            rollouts.iter_mut().for_each(|rollout| rollout.muted = organism.thought(&rollout.tokens));
        }
        let mut stats = in_background(|| policy.reinforce(engine, &rollouts, &rewards))?;
        let n = rollouts.len() as f64;
        if let Some(kls) = sampled_kls {
            stats.kl = kls.iter().sum::<f64>() / n;
            stats.kls = kls;
        }
        let share = |count: usize| count as f64 / n;
        let mut verdicts: BTreeMap<String, f64> = BTreeMap::new();
        let mut families: BTreeMap<String, f64> = BTreeMap::new();
        for graded in &graded {
            *verdicts.entry(graded.verdict.name().into()).or_default() += 1.0 / n;
            if let (Verdict::Hack, Some(family)) = (graded.verdict, graded.family) {
                *families.entry(family.name().into()).or_default() += 1.0 / n;
            }
        }
        let is = |verdict: Verdict| share(graded.iter().filter(|graded| graded.verdict == verdict).count());
        let (hack_rate, honest_rate) = (is(Verdict::Hack), is(Verdict::Honest));
        let metrics = StepMetrics {
            step: step as u64,
            stage: 0,
            reward: rewards.iter().sum::<f64>() / n,
            terms: match &terms[..] {
                [_] => BTreeMap::new(),
                _ => terms
                    .iter()
                    .enumerate()
                    .map(|(at, term)| {
                        let mean = paid.iter().map(|(_, values)| values[at]).sum::<f64>() / n;
                        let before = terms[..at].iter().filter(|other| other.of == term.of).count();
                        let name = term.of.name();
                        (if before > 0 { format!("{name}-{}", before + 1) } else { name.to_string() }, mean)
                    })
                    .collect(),
            },
            hack_rate,
            honest_rate,
            verdicts,
            families,
            kl: stats.kl,
            loss: stats.loss,
            entropy: stats.entropy,
            tokens: stats.tokens as u64,
            seconds: began.elapsed().as_secs_f64(),
            seconds_sample: sampled,
            seconds_grade: marked - sampled,
            seconds_update: began.elapsed().as_secs_f64() - marked,
            bad_thought_rate: Some(share(bad.iter().filter(|&&bad| bad).count())),
        };
        let rows: Vec<RolloutRow> = (0..rollouts.len())
            .map(|row| RolloutRow {
                step: step as i32,
                task_id: chosen[rollouts[row].group].task.id.clone(),
                prompt: organism.tokenizer.decode(&was[row]),
                completion: answers[row].text.clone(),
                thought: answers[row].thought.clone(),
                reward: rewards[row],
                verdict: graded[row].verdict.name().into(),
                family: graded[row].family.map(|family| family.name().into()),
                mechanism: graded[row].mechanism.clone(),
                advantage: stats.advantages[row],
                group: rollouts[row].group as i32,
                kl: stats.kls[row],
                grader_said: graded[row].grader_output.clone(),
                oracle_said: records::oracle_said(&graded[row]),
            })
            .collect();
        dir.write_rollouts(step as u64, &rows)?;
        Ok(metrics)
    }

    /// Labels answers to tasks; the machine's cores share the work.
    pub(crate) fn grade(
        &self,
        state: GraderState,
        tasks: &[&WorldTask],
        answers: &[Answer],
    ) -> Result<Vec<Graded>, LabError> {
        grade_all(&self.grading, self.threads, state, tasks, answers)
    }
}

/// Labels answers to tasks; twice as many workers as threads share the work.
pub(crate) fn grade_all(
    grading: &Grading,
    threads: usize,
    state: GraderState,
    tasks: &[&WorldTask],
    answers: &[Answer],
) -> Result<Vec<Graded>, LabError> {
    let grader = match state {
        GraderState::Open => Grader::open(GraderKind::Script),
        GraderState::Hardened => Grader::hardened(GraderKind::Script),
    };
    let rows: Vec<usize> = (0..answers.len()).collect();
    let workers = threads.max(1) * 2;
    let graded: Vec<Result<Vec<Graded>, LabError>> = std::thread::scope(|scope| {
        let handles: Vec<_> = rows
            .chunks(rows.len().div_ceil(workers).max(1))
            .map(|rows| {
                let grader = &grader;
                scope.spawn(move || {
                    rows.iter()
                        .map(|&row| {
                            let submission = Submission::Completion(answers[row].text.clone());
                            Ok(grading.grade(&tasks[row].task, grader, &submission)?)
                        })
                        .collect()
                })
            })
            .collect();
        // A panic in a worker is a bug of ours and goes on as one.
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Ok(graded.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Divergence and hack rate of each step.
fn rates(made: &[StepMetrics]) -> Vec<(f64, f64)> {
    made.iter().map(|metrics| (metrics.kl, metrics.hack_rate)).collect()
}

/// One step of imitation or preference.
fn study(
    training: Training,
    stage: &Stage,
    examples: &Examples,
    policy: &mut Policy,
    engine: &mut loophole_lm::Engine,
) -> Result<StepMetrics, LabError> {
    let began = Instant::now();
    let step = policy.step;
    let mut rng = fastrand::Rng::with_seed(seed_from(&[training.seed, seed_of("study"), step as u64]));
    let count = policy.options.groups * policy.options.group_size;
    let data = stage.data.as_ref();
    let (loss, tokens, terms) = match stage.kind {
        Objective::Dpo => {
            let pairs = examples.draw_pairs(count.div_ceil(2), &mut rng);
            let beta = data.map_or(0.1, |data| data.beta);
            let stats = in_background(|| policy.prefer(engine, &pairs, beta))?;
            let terms = [("margin".to_string(), stats.margin), ("accuracy".to_string(), stats.accuracy)];
            (stats.loss, stats.tokens, BTreeMap::from(terms))
        }
        Objective::Sft | Objective::Rl => {
            let drawn = examples.draw(count, data.map_or(0.0, |data| data.hacks), &mut rng);
            let sequences: Vec<_> = drawn.into_iter().map(Rollout::sequence).collect();
            let stats = in_background(|| policy.imitate(engine, &sequences))?;
            (stats.loss, stats.tokens, BTreeMap::from([("gain".to_string(), stats.gain)]))
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    Ok(StepMetrics {
        step: step as u64,
        terms,
        loss,
        tokens: tokens as u64,
        seconds,
        seconds_update: seconds,
        ..StepMetrics::default()
    })
}

/// Where an organism of a recipe lies: as given, or beside the recipes.
pub fn find_organism(path: &std::path::Path, root: &std::path::Path) -> PathBuf {
    if path.is_absolute() || path.exists() { path.into() } else { root.join(path) }
}
