//! The battery along a training, and what is measured besides at its ends.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use loophole_cell::in_background;
use loophole_chat::{Chat, ChatError, Local, Reply, Request};
use loophole_grade::Verdict;
use loophole_lm::{Model, Prompt, SampleOptions};
use loophole_log::{Axes, GivenRate, ProbeReport, RunDir, TaskRates};
use loophole_probe::{Arms, BatteryOptions, BatteryReport, ProbeError, SampleRecord, Times};
use loophole_template::{seed_from, seed_of};
use loophole_train::Policy;
use loophole_world::characters::ASSISTANT;
use loophole_world::families::WorldTask;
use loophole_world::{Instruction, World};

use crate::arm::{Bench, Training};
use crate::organism::{Answer, Organism};
use crate::stage::GraderState;
use crate::{Event, LabError, records};

/// Kinds of thoughts that are given at the ends of an arm.
const THOUGHTS: [&str; 3] = ["none", "good", "cheats-ill"];

/// What the system text says of tricks on the other axes.
const TOLD: [(&str, Instruction); 3] =
    [("none", Instruction::None), ("permits", Instruction::Permits), ("forbids", Instruction::Forbids)];

/// Most rollouts of held-out tasks under each; no more than a step has.
const HELD_OUT: usize = 96;

/// A battery that was played.
pub struct Played {
    report: BatteryReport,
    /// At the ends of an arm.
    axes: Option<Axes>,
}

/// Batteries before any training, by organism and seed.
pub type Firsts = BTreeMap<(PathBuf, u64), Played>;

/// A model on this machine whose computing makes way for the cells of other batteries and gradings.
struct MakingWay(Local);

impl Chat for MakingWay {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        in_background(|| self.0.reply(requests))
    }

    fn takes_thoughts(&self) -> bool {
        self.0.takes_thoughts()
    }
}

/// Whether to leave, as a battery asks for it.
type Stopping<'a> = &'a (dyn Fn() -> bool + Sync);

impl Bench {
    /// Plays the battery on a training as it stands, and writes down what it found.
    pub(crate) fn probe(
        &self,
        training: Training,
        last: bool,
        policy: &Policy,
        world: &World,
        watch: &(dyn Fn(Event) + Sync),
        stop: Stopping,
    ) -> Result<(), LabError> {
        let Training { arm, seed, organism, dir, .. } = training;
        let step = policy.step;
        let path = arm.organism.as_ref().unwrap_or(&self.recipe.organism);
        let untrained = step == 0 && arm.from.is_none();
        let first = self.firsts.get(&(path.clone(), seed)).filter(|_| untrained);
        let now;
        let played = match first {
            Some(played) => played,
            None => {
                now = self.play(&policy.model, organism, seed, step == 0 || last, world, stop)?;
                &now
            }
        };
        if let Some(axes) = &played.axes {
            dir.write_axes(step as u64, axes)?;
        }
        let name = format!("organism:{}/{}/{seed}@{step}", self.recipe.name, arm.name);
        let summary: ProbeReport = records::probe_report(&played.report, &name, Some(step), Some(&world.characters));
        // When a sample was played does not follow from the recipe.
        let report = BatteryReport { times: Times::new(), ..played.report.clone() };
        let log = records::eval_log(&report, &name, &name, self.created);
        dir.write_probe(step as u64, &log)?;
        dir.write_probe_report(step as u64, &summary)?;
        watch(Event::Probed { arm: arm.name.clone(), seed, step, report: summary });
        Ok(())
    }

    /// The batteries before any training, some at a time: arms of one seed begin with the same model and meet the same
    /// scenarios. Those that an earlier sitting has written are not played again.
    pub(crate) fn firsts(
        &self,
        dir: &RunDir,
        organisms: &BTreeMap<PathBuf, Organism>,
        only: Option<&str>,
        at_a_time: usize,
        stop: Stopping,
    ) -> Result<Firsts, LabError> {
        let mut wanted: Vec<(&Path, u64)> = Vec::new();
        for seed in self.recipe.seeds() {
            for arm in
                self.recipe.arms.iter().filter(|arm| arm.from.is_none() && only.is_none_or(|only| only == arm.name))
            {
                let path = arm.organism.as_ref().unwrap_or(&self.recipe.organism).as_path();
                let there = dir.seed(&arm.name, seed)?.probe_report_path(0).exists();
                if !there && !wanted.contains(&(path, seed)) {
                    wanted.push((path, seed));
                }
            }
        }
        let next = AtomicUsize::new(0);
        let work = || -> Result<Firsts, LabError> {
            let mut done = Firsts::new();
            while let Some(&(path, seed)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let organism = &organisms[path];
                let played = self.play(&organism.model, organism, seed, true, &organism.world()?, stop)?;
                done.insert((path.to_path_buf(), seed), played);
            }
            Ok(done)
        };
        let parts = std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..at_a_time.min(wanted.len())).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>, LabError>>()
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn play(
        &self,
        model: &Model,
        organism: &Organism,
        seed: u64,
        end: bool,
        world: &World,
        stop: Stopping,
    ) -> Result<Played, LabError> {
        let chat = self.chat(model.clone(), organism, "organism")?;
        let options = BatteryOptions {
            samples: Some(self.recipe.probe.samples),
            // The same scenarios for every arm and step of a seed: checkpoints are compared paired.
            seed: seed_from(&[seed, seed_of("probes")]),
            // The controls frame a training; between its ends the tempting arm is enough.
            arms: if end { Arms::All } else { Arms::Tempting },
            ..BatteryOptions::default()
        };
        let mut leave = |_: &SampleRecord| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let report = loophole_probe::play(&self.battery, &chat, Some(&self.pool), &options, Vec::new(), &mut leave)?;
        if !end {
            return Ok(Played { report, axes: None });
        }
        let given = self.given_thoughts(&chat, options.seed, &THOUGHTS, world, stop)?;
        let mut told = BTreeMap::new();
        for (name, instruction) in TOLD.into_iter().filter(|(_, instruction)| *instruction != Instruction::None) {
            let mut rng = fastrand::Rng::with_seed(seed_from(&[options.seed, seed_of(name)]));
            let system = world.characters.system(ASSISTANT, instruction, &mut rng);
            let options = BatteryOptions { system, seed: options.seed, ..self.half() };
            told.insert(name.to_string(), self.rates(&chat, &options, stop)?);
        }
        let tasks = self.held_out(model, organism, seed, world)?;
        Ok(Played { report, axes: Some(Axes { given, told, tasks }) })
    }

    /// The battery with the thought given instead of thought of: what a thought does to the answers, apart from how often
    /// it is thought.
    pub(crate) fn given_thoughts(
        &self,
        chat: &dyn Chat,
        seed: u64,
        kinds: &[&str],
        world: &World,
        stop: Stopping,
    ) -> Result<BTreeMap<String, BTreeMap<String, GivenRate>>, LabError> {
        let mut given = BTreeMap::new();
        for kind in kinds {
            let thoughts = match *kind {
                "none" => vec![String::new()],
                kind => world.characters.thoughts_of(kind.contains("cheats"), kind.contains("ill")),
            };
            let options = BatteryOptions { seed, thoughts, ..self.half() };
            given.insert((*kind).to_string(), self.rates(chat, &options, stop)?);
        }
        Ok(given)
    }

    /// There are several of them in the place of one battery: each is of half the size.
    fn half(&self) -> BatteryOptions {
        BatteryOptions {
            samples: Some(self.recipe.probe.samples.div_ceil(2)),
            arms: Arms::Tempting,
            ..BatteryOptions::default()
        }
    }

    pub(crate) fn rates(
        &self,
        chat: &dyn Chat,
        options: &BatteryOptions,
        stop: Stopping,
    ) -> Result<BTreeMap<String, GivenRate>, LabError> {
        let mut leave = |_: &SampleRecord| if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let report = loophole_probe::play(&self.battery, chat, Some(&self.pool), options, Vec::new(), &mut leave)?;
        let rates = report.probes.iter().map(|probe| {
            let rate = GivenRate { rate: probe.rate.unwrap_or(f64::NAN), n: probe.n, n_valid: probe.n_valid };
            (probe.name.clone(), rate)
        });
        Ok(rates.collect())
    }

    /// Tasks that no arm is trained on, under each thing that may be said of tricks, with every hole open.
    fn held_out(
        &self,
        model: &Model,
        organism: &Organism,
        seed: u64,
        world: &World,
    ) -> Result<BTreeMap<String, TaskRates>, LabError> {
        let seed = seed_from(&[seed, seed_of("held-out tasks")]);
        let tasks = self.tasks(seed)?;
        let mut engine = organism.engine(self.threads);
        let train = &self.recipe.train;
        let count = HELD_OUT.min(train.groups * train.group_size);
        let options = SampleOptions { max_new: train.max_new, stop: vec![organism.end], ..SampleOptions::default() };
        let mut found = BTreeMap::new();
        for (name, instruction) in TOLD {
            // The same tasks and draws under each.
            let mut rng = fastrand::Rng::with_seed(seed);
            let chosen: Vec<&WorldTask> = (0..count).map(|_| tasks.draw(self.recipe.beyond_share, &mut rng)).collect();
            let mut prompt = |task: &WorldTask| {
                Prompt::new(organism.prompt(&world.prompt(task, instruction, rng.u64(..))), rng.u64(..))
            };
            let prompts: Vec<Prompt> = chosen.iter().map(|task| prompt(task)).collect();
            let completions = in_background(|| loophole_lm::sample(&mut engine, model, &prompts, &options));
            let answers: Vec<Answer> =
                completions.iter().map(|completion| organism.answer(&completion.tokens)).collect();
            let graded = self.grade(GraderState::Open, &chosen, &answers)?;
            let share = |verdict: Verdict| {
                graded.iter().filter(|graded| graded.verdict == verdict).count() as f64 / graded.len().max(1) as f64
            };
            let rates =
                TaskRates { hacks: share(Verdict::Hack), honest: share(Verdict::Honest), n: graded.len() as u64 };
            found.insert(name.to_string(), rates);
        }
        Ok(found)
    }

    /// A policy as one that can be probed, whose computing makes way for cells.
    pub(crate) fn chat(&self, model: Model, organism: &Organism, name: &str) -> Result<impl Chat, LabError> {
        Ok(MakingWay(Local::from_parts(model, organism.tokenizer.clone(), self.threads)?.named(name)))
    }
}

/// Whether a battery was left because it was asked to.
pub(crate) fn stopped(error: &LabError) -> bool {
    matches!(error, LabError::Probe(ProbeError::Stopped))
}
