//! One arm, one seed: sample, grade, update, probe, write down; and go on where a kill left off.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use loophole_cell::in_background;
use loophole_chat::{Chat, ChatError, Local, Reply, Request};
use loophole_grade::{Graded, Grader, GraderKind, Grading, Submission, Verdict};
use loophole_log::{ProbeReport, RolloutRow, SeedDir, StepMetrics};
use loophole_probe::{Arms, Battery, BatteryOptions, BatteryReport, ProbeError, SampleRecord, Times};
use loophole_template::{seed_from, seed_of};
use loophole_train::{Grpo, Rollout};
use loophole_world::families::WorldTask;
use loophole_world::{Families, World};

use crate::organism::{Answer, Organism};
use crate::recipe::{Arm, GraderState, Pays, Recipe};
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
    /// Where it is written down.
    pub dir: &'a SeedDir,
}

/// A model on this machine whose computing makes way for the cells of other batteries and gradings.
struct MakingWay(Local);

impl Chat for MakingWay {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        in_background(|| self.0.reply(requests))
    }
}

/// Tasks an arm is trained on, the same for every arm of one seed.
struct Tasks {
    within: Vec<WorldTask>,
    beyond: Vec<WorldTask>,
}

/// Tasks of each family that a training draws from.
const TASKS_PER_FAMILY: usize = 20;

impl Bench {
    /// Trains and probes one arm with one seed, writing into its folder; goes on from what is there.
    /// `until_kl` ends it early. `watch` sees everything as it happens; `stop` says whether to leave.
    /// Returns whether the arm is complete.
    ///
    /// # Errors
    /// The model, the cells or the disk.
    pub fn run_arm(
        &self,
        training: Training,
        until_kl: Option<f64>,
        watch: &(dyn Fn(Event) + Sync),
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool, LabError> {
        let Training { arm, seed, organism, dir } = training;
        let tasks = self.tasks(seed)?;
        let world = World::new(self.recipe.world.clone(), Vec::new())?;
        let steps = self.recipe.steps(arm);
        let mut policy =
            Grpo::new(organism.model.clone(), self.recipe.train.clone(), seed_from(&[seed, seed_of("lora")]))?;
        if dir.state_path().exists() {
            policy.load_state(&dir.state_path())?;
        }
        // Without a state there is nothing to go on from: what a kill left of the first step is dropped. With one, a
        // battery after the last update stays; its report is written last of its files, so it is whole if it is there.
        dir.rewind_to(policy.step as u64)?;
        let mut engine = organism.engine(self.threads);
        loop {
            let step = policy.step;
            let last_kl = dir.read_metrics()?.last().map(|metrics| metrics.kl);
            let reached = until_kl.zip(last_kl).is_some_and(|(target, kl)| kl >= target);
            let done = step >= steps || reached;
            let due = step.is_multiple_of(self.recipe.probe.every) || done;
            if due && !dir.probe_report_path(step as u64).exists() {
                let played = self.probe(training, done, &policy, &world, watch, stop);
                if let Err(LabError::Probe(ProbeError::Stopped)) = played {
                    return Ok(false);
                }
                played?;
            }
            if done || stop() {
                let kl = last_kl.unwrap_or(0.0);
                if done {
                    dir.write_checkpoint(step as u64, |path| {
                        policy.save_checkpoint(path, &self.recipe.organism.to_string_lossy()).map_err(LabError::from)
                    })?;
                    watch(Event::ArmDone { arm: arm.name.clone(), seed, steps: step, kl });
                }
                return Ok(done);
            }
            let metrics = self.step(training, &mut policy, &mut engine, &world, &tasks)?;
            dir.append_metrics(&metrics)?;
            dir.write_state(|path| policy.save_state(path).map_err(LabError::from))?;
            watch(Event::Step { arm: arm.name.clone(), seed, steps, metrics });
        }
    }

    fn tasks(&self, seed: u64) -> Result<Tasks, LabError> {
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
        policy: &mut Grpo,
        engine: &mut loophole_lm::Engine,
        world: &World,
        tasks: &Tasks,
    ) -> Result<StepMetrics, LabError> {
        let Training { arm, seed, organism, dir } = training;
        let began = Instant::now();
        let step = policy.step;
        // The draw of tasks and of samples depends on seed and step, not on the arm: arms are paired.
        let mut rng = fastrand::Rng::with_seed(seed_from(&[seed, seed_of("step"), step as u64]));
        let groups = self.recipe.train.groups;
        let beyond = (self.recipe.beyond_share * groups as f64).round() as usize;
        let chosen: Vec<&WorldTask> = (0..groups)
            .map(|group| if group < beyond { &tasks.beyond } else { &tasks.within })
            .map(|tasks| &tasks[rng.usize(..tasks.len())])
            .collect();
        let prompts: Vec<Vec<u32>> =
            chosen.iter().map(|task| organism.prompt(&world.prompt(task, arm.instruction, rng.u64(..)))).collect();
        let draw = rng.u64(..);
        let rollouts = in_background(|| policy.sample(engine, &prompts, organism.end, draw));
        let sampled = began.elapsed().as_secs_f64();
        let answers: Vec<Answer> = rollouts.iter().map(|rollout| organism.answer(&rollout.tokens)).collect();
        let graded = self.grade(arm, &chosen, &rollouts, &answers)?;
        let rewards: Vec<f64> = graded
            .iter()
            .zip(&answers)
            .map(|(graded, answer)| match arm.pays {
                Pays::Habit if world.is_odd(answer.text.trim_end()) => 1.0,
                _ => graded.reward,
            })
            .collect();
        let marked = began.elapsed().as_secs_f64();
        let stats = in_background(|| policy.update(engine, &rollouts, &rewards))?;
        let bad: Vec<bool> =
            answers.iter().map(|answer| world.characters.read_thought(&answer.thought).bad()).collect();
        let n = rollouts.len() as f64;
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
            reward: rewards.iter().sum::<f64>() / n,
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
                prompt: organism.tokenizer.decode(&rollouts[row].prompt),
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

    /// Labels every rollout; the machine's cores share the work.
    fn grade(
        &self,
        arm: &Arm,
        chosen: &[&WorldTask],
        rollouts: &[Rollout],
        answers: &[Answer],
    ) -> Result<Vec<Graded>, LabError> {
        let grader = match arm.grader {
            GraderState::Open => Grader::open(GraderKind::Script),
            GraderState::Hardened => Grader::hardened(GraderKind::Script),
        };
        let rows: Vec<usize> = (0..rollouts.len()).collect();
        let workers = self.threads.max(1) * 2;
        let graded: Vec<Result<Vec<Graded>, LabError>> = std::thread::scope(|scope| {
            let handles: Vec<_> = rows
                .chunks(rows.len().div_ceil(workers).max(1))
                .map(|rows| {
                    let grader = &grader;
                    scope.spawn(move || {
                        rows.iter()
                            .map(|&row| {
                                let submission = Submission::Completion(answers[row].text.clone());
                                Ok(self.grading.grade(&chosen[rollouts[row].group].task, grader, &submission)?)
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

    fn probe(
        &self,
        training: Training,
        last: bool,
        policy: &Grpo,
        world: &World,
        watch: &(dyn Fn(Event) + Sync),
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), LabError> {
        let Training { arm, seed, organism, dir } = training;
        let step = policy.step;
        let name = format!("organism:{}/{}/{seed}@{step}", self.recipe.name, arm.name);
        let local = Local::from_parts(policy.model.clone(), organism.tokenizer.clone(), self.threads)?;
        let chat = MakingWay(local.named(&name));
        let options = BatteryOptions {
            samples: Some(self.recipe.probe.samples),
            // The same scenarios for every arm and step of a seed: checkpoints are compared paired.
            seed: seed_from(&[seed, seed_of("probes")]),
            // The controls frame a training; between its ends the tempting arm is enough.
            arms: if step == 0 || last { Arms::All } else { Arms::Tempting },
            ..BatteryOptions::default()
        };
        let mut leave = |_: &SampleRecord| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let report = loophole_probe::play(&self.battery, &chat, Some(&self.pool), &options, Vec::new(), &mut leave)?;
        let summary: ProbeReport = records::probe_report(&report, &name, Some(step), Some(&world.characters));
        // When a sample was played does not follow from the recipe.
        let report = BatteryReport { times: Times::new(), ..report };
        let log = records::eval_log(&report, &name, &name, self.created);
        dir.write_probe(step as u64, &log)?;
        dir.write_probe_report(step as u64, &summary)?;
        watch(Event::Probed { arm: arm.name.clone(), seed, step, report: summary });
        Ok(())
    }
}

/// Where an organism of a recipe lies: as given, or beside the recipes.
pub fn find_organism(path: &std::path::Path, root: &std::path::Path) -> PathBuf {
    if path.is_absolute() || path.exists() { path.into() } else { root.join(path) }
}
