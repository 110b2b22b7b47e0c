//! What a recipe will take, before it is run: its stages, how often is sampled and asked, and how long that takes on this
//! machine.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use loophole_probe::{Arms, Battery, BatteryOptions};
use loophole_world::Instruction;
use serde::Serialize;

use crate::recipe::{Arm, Recipe, Seeds};
use crate::run::{Outcome, RunOptions};
use crate::stage::{GraderState, Learns, Objective, Payment, Stage, Stop, Term};
use crate::{Event, LabError};

/// What a recipe will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its arms.
    pub arms: Vec<PlannedArm>,
    /// Seeds of each.
    pub seeds: usize,
    /// Arms times seeds.
    pub trainings: usize,
    /// Most updates of all trainings together.
    pub steps: usize,
    /// Most rollouts that are sampled, graded and labelled.
    pub rollouts: usize,
    /// Batteries that are played in all, those with given thoughts not counted.
    pub batteries: usize,
    /// Samples of all batteries, those with given thoughts among them.
    pub samples: usize,
}

/// What one arm will do in each seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedArm {
    /// Its name.
    pub name: String,
    /// What it begins with: an organism, or another arm's checkpoint.
    pub begins: String,
    /// Its stages in words.
    pub stages: Vec<String>,
    /// Most updates.
    pub steps: usize,
    /// Most rollouts.
    pub rollouts: usize,
    /// Most batteries.
    pub batteries: usize,
    /// Samples of the batteries.
    pub samples: usize,
}

/// How fast this machine is, measured with one step and two batteries of the recipe's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    /// Trainings that ran at a time.
    pub jobs: usize,
    /// Seconds of a step.
    pub step: f64,
    /// Seconds of a sample of a battery.
    pub sample: f64,
    /// Seconds of predicting an arm.
    pub prediction: f64,
    /// Seconds of measuring.
    pub measuring: f64,
}

impl Plan {
    /// Of a recipe that can be run.
    ///
    /// # Errors
    /// No such battery.
    pub fn of(recipe: &Recipe) -> Result<Plan, LabError> {
        let sizes = Sizes::of(recipe)?;
        let arms: Vec<PlannedArm> = recipe.arms.iter().map(|arm| planned(recipe, arm, &sizes)).collect();
        let seeds = recipe.seeds().len();
        let sum = |of: fn(&PlannedArm) -> usize| arms.iter().map(of).sum::<usize>() * seeds;
        // Arms that begin with one model share the battery before training.
        let untrained = recipe.arms.iter().zip(&arms).filter(|(arm, _)| arm.from.is_none());
        let models: Vec<&str> = untrained.map(|(_, planned)| planned.begins.as_str()).collect();
        let first = |at: &usize| !models[..*at].contains(&models[*at]);
        let shared = (0..models.len()).filter(|at| !first(at)).count() * seeds;
        Ok(Plan {
            name: recipe.name.clone(),
            seeds,
            trainings: arms.len() * seeds,
            steps: sum(|arm| arm.steps),
            rollouts: sum(|arm| arm.rollouts),
            batteries: sum(|arm| arm.batteries) - shared,
            samples: sum(|arm| arm.samples) - shared * sizes.ends,
            arms,
        })
    }

    /// Seconds that all of it takes at this pace. Steps of imitation and preference are counted like those of
    /// reinforcement, and a stage that stops early as if it did not.
    pub fn seconds(&self, pace: &Pace) -> f64 {
        let together = self.steps as f64 * pace.step + self.samples as f64 * pace.sample;
        self.arms.len() as f64 * pace.prediction + together / pace.jobs.min(self.trainings).max(1) as f64
    }
}

/// Samples of a battery.
struct Sizes {
    /// At an arm's first and last step: all arms of the battery, and half of the tempting one on each of five
    /// axes.
    ends: usize,
    /// In between.
    between: usize,
}

impl Sizes {
    fn of(recipe: &Recipe) -> Result<Sizes, LabError> {
        let battery = Battery::bundled(&recipe.probe.battery)?;
        let size = |arms: Arms, samples: usize| {
            battery.size(&BatteryOptions { samples: Some(samples), arms, ..BatteryOptions::default() })
        };
        let samples = recipe.probe.samples;
        Ok(Sizes {
            ends: size(Arms::All, samples) + 5 * size(Arms::Tempting, samples.div_ceil(2)),
            between: size(Arms::Tempting, samples),
        })
    }
}

fn planned(recipe: &Recipe, arm: &Arm, sizes: &Sizes) -> PlannedArm {
    let steps = recipe.steps(arm);
    let stages = arm.stages();
    let rollouts = |stage: &Stage| {
        let options = stage.options(&recipe.train);
        if stage.kind == Objective::Rl { options.steps * options.groups * options.group_size } else { 0 }
    };
    // One before the first step, one after the last, and one at every multiple between them.
    let between = steps.saturating_sub(1) / recipe.probe.every;
    let ends = if steps == 0 { 1 } else { 2 };
    let organism = arm.organism.as_ref().unwrap_or(&recipe.organism);
    PlannedArm {
        name: arm.name.clone(),
        begins: arm.from.clone().unwrap_or_else(|| organism.display().to_string()),
        stages: stages.iter().map(|stage| words(recipe, stage)).collect(),
        steps,
        rollouts: stages.iter().map(rollouts).sum(),
        batteries: ends + between,
        samples: ends * sizes.ends + between * sizes.between,
    }
}

/// A stage in words, what is usual left out.
fn words(recipe: &Recipe, stage: &Stage) -> String {
    let options = stage.options(&recipe.train);
    let mut said = vec![match stage.kind {
        _ if options.steps == 0 => "untrained".to_string(),
        Objective::Rl => format!("rl, {} steps of {} x {} rollouts", options.steps, options.groups, options.group_size),
        Objective::Sft => format!("sft, {} steps", options.steps),
        Objective::Dpo => format!("dpo, {} steps", options.steps),
    }];
    let told = |instruction: Instruction| match instruction {
        Instruction::None => "no word on tricks",
        Instruction::Permits => "tricks permitted",
        Instruction::Forbids => "tricks forbidden",
    };
    if let Some(data) = &stage.data {
        let which = if data.verdicts.is_empty() { "rollouts".to_string() } else { data.verdicts.join(" and ") };
        said.push(format!("from the {which} of {}", data.arm));
    }
    if stage.instruction.0 != Instruction::None {
        said.push(told(stage.instruction.0).into());
    }
    if let Some(update) = stage.update {
        said.push(format!("updated under {}", told(update)));
    }
    if stage.grader == GraderState::Hardened {
        said.push("no hole".into());
    }
    if stage.learns == Learns::Answer {
        said.push("thought masked".into());
    }
    if !stage.reward.is_empty() {
        let term = |term: &Term| {
            let weight = if term.weight == 1.0 { String::new() } else { format!("{} x ", term.weight) };
            let of = match term.of {
                Payment::Monitor => format!("monitor (recall {}, false alarms {})", term.recall, term.fpr),
                Payment::Chance => format!("chance ({})", term.rate),
                of => of.name().into(),
            };
            weight + &of
        };
        said.push(format!("paid by {}", stage.reward.iter().map(term).collect::<Vec<_>>().join(" + ")));
    }
    let Stop { kl, kl_of, hack, held } = &stage.stop;
    said.extend(kl.map(|kl| format!("until {kl} nats a rollout")));
    said.extend(kl_of.as_ref().map(|arm| format!("until the divergence of {arm}")));
    said.extend(hack.map(|rate| {
        let held = held.unwrap_or(crate::stage::HELD);
        format!("until {rate} of the rollouts are hacks in {held} steps")
    }));
    if options.lr != recipe.train.lr {
        said.push(format!("step size {}", options.lr));
    }
    if options.kl != recipe.train.kl {
        said.push(format!("KL {}", options.kl));
    }
    said.join(", ")
}

/// Makes one step of the first arm that waits for no other, with a battery before and after it, in as many seeds at a
/// time as a run would: in a folder of its own, which is removed. None if it was asked to leave.
///
/// # Errors
/// As [`crate::run`].
pub fn pace(
    recipe: &Recipe,
    root: &Path,
    jobs: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Pace>, LabError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if jobs == 0 { cores } else { jobs }.min(recipe.arms.len() * recipe.seeds().len()).max(1);
    let mut short = recipe.clone();
    short.name = format!("{}-pace", recipe.name);
    short.arms = vec![Arm { from: None, steps: None, stages: vec![step_of(recipe)], ..plain(&recipe.arms[0]) }];
    short.claims = Vec::new();
    short.seeds = Seeds::List((0..jobs as u64).collect());
    let folder = tempfile::tempdir().map_err(|source| LabError::Write { path: std::env::temp_dir(), source })?;
    let options = RunOptions { out: folder.path().join("run"), root: root.into(), resume: false, jobs, only_arm: None };
    let began = Instant::now();
    let found = Mutex::new((f64::NAN, Vec::new(), Vec::new()));
    let watch = |event: Event| {
        let now = began.elapsed().as_secs_f64();
        let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::ArmStarted { .. } => found.0 = f64::min(found.0, now),
            Event::Step { metrics, .. } => found.1.push(metrics.seconds),
            Event::Probed { step: 0, .. } => found.2.push(now),
            _ => {}
        }
    };
    let Outcome::Finished(..) = crate::run(&short, &options, &watch, stop)? else { return Ok(None) };
    let (started, steps, probed) = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
    Ok(Some(Pace {
        jobs,
        step: mean(&steps),
        sample: (mean(&probed) - started) / Sizes::of(recipe)?.ends as f64,
        prediction: if recipe.prediction > 0 { started } else { 0.0 },
        measuring: began.elapsed().as_secs_f64(),
    }))
}

/// One step like those of the first arm that reinforces; of a plain one if none does.
fn step_of(recipe: &Recipe) -> Stage {
    let stages = recipe.arms.iter().flat_map(Arm::stages);
    let mut all = stages.filter(|stage| stage.kind == Objective::Rl && stage.options(&recipe.train).steps > 0);
    Stage { steps: Some(1), stop: Stop::default(), data: None, ..all.next().unwrap_or_else(Stage::plain) }
}

/// The arm without what its short form says.
fn plain(arm: &Arm) -> Arm {
    Arm {
        name: arm.name.clone(),
        words: String::new(),
        from: None,
        stages: Vec::new(),
        instruction: Instruction::None,
        grader: GraderState::Open,
        pays: crate::recipe::Pays::Grader,
        organism: arm.organism.clone(),
        steps: None,
        until_kl: None,
        until_kl_of: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundled::{Makes, RECIPES};

    #[test]
    fn a_plan_counts_what_a_run_does() {
        let quick = Recipe::parse(RECIPES[0].text, "quick").unwrap();
        let plan = Plan::of(&quick).unwrap();
        // Two arms and two seeds; batteries at 0, 3, 6, 9, 12 and 15.
        assert_eq!((plan.trainings, plan.steps, plan.rollouts), (4, 60, 60 * 128));
        assert_eq!((plan.batteries, plan.arms[0].batteries), (22, 6), "the first is shared");
        assert_eq!(plan.arms[1].stages, ["rl, 15 steps of 16 x 8 rollouts, tricks permitted"]);
        let pace = Pace { jobs: 2, step: 2.0, sample: 0.5, prediction: 3.0, measuring: 0.0 };
        assert_eq!(plan.seconds(&pace), 6.0 + (120.0 + plan.samples as f64 * 0.5) / 2.0);
    }

    #[test]
    fn every_stage_has_words() {
        for bundled in RECIPES.iter().filter(|bundled| bundled.makes == Makes::Experiment) {
            let recipe = Recipe::parse(bundled.text, bundled.name).unwrap();
            for arm in Plan::of(&recipe).unwrap().arms {
                assert!(!arm.stages.is_empty() && arm.stages.iter().all(|words| !words.is_empty()), "{arm:?}");
            }
        }
        let thoughts = RECIPES.iter().find(|bundled| bundled.name == "thoughts").unwrap();
        let plan = Plan::of(&Recipe::parse(thoughts.text, "thoughts").unwrap()).unwrap();
        assert_eq!(
            plan.arms[4].stages,
            ["rl, 40 steps of 24 x 8 rollouts, paid by chance (0.5), until the divergence of open"]
        );
        assert_eq!(plan.arms[2].stages, ["rl, 18 steps of 24 x 8 rollouts, paid by grader + -0.5 x bad-thought"]);
    }
}
