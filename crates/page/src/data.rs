//! What the page shows, as plain data: no paths, no file handles, nothing to look up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Everything a report says about one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportData {
    /// The recipe's name.
    pub title: String,
    /// The recipe's question, in words.
    pub question: String,
    /// What the recipe expected before it ran, in words; may be empty.
    pub hypothesis: String,
    /// Hash of the resolved recipe.
    pub hash: String,
    /// When the run was made, as text; the page never asks the clock.
    pub created: String,
    /// The run is not finished (`status.json` says so).
    pub unfinished: bool,
    /// The resolved recipe (TOML).
    pub recipe: String,
    /// The conditions that were compared.
    pub arms: Vec<Arm>,
    /// Paired or unpaired differences between arms.
    pub comparisons: Vec<Comparison>,
    /// The claims the recipe tests, with their answers.
    pub claims: Vec<Claim>,
    /// What was predicted before training, and what came.
    pub predictions: Option<Predictions>,
    /// Warnings a reader must see before believing anything ("2 seeds prove nothing").
    pub warnings: Vec<String>,
    /// What was left out, why, and how many.
    pub excluded: Vec<Excluded>,
    /// Transcripts, chosen from the run's rollouts and probe logs.
    pub samples: Vec<Sample>,
    /// What took how long.
    pub timings: Vec<Timing>,
    /// Program and model versions (name, version).
    pub versions: Vec<(String, String)>,
    /// Commands that make this run and this page again.
    pub commands: Vec<String>,
}

/// One condition of the experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arm {
    /// The arm's name in the recipe.
    pub name: String,
    /// The condition as the opening of a sentence ("Told that hacking is allowed"); may be empty.
    pub words: String,
    /// Instruction, grader and world in words; may be empty.
    pub about: String,
    /// The arm's seeds, the unit of comparison between arms.
    pub seeds: Vec<Seed>,
    /// Share of rollouts that are successful hacks at the end, over seeds.
    pub hack_rate: Option<Interval>,
    /// Mean rate of misaligned outcomes over the probes at the end, over seeds.
    pub misalignment: Option<Interval>,
    /// Change of bad thoughts in the probes over their change in training, over seeds.
    pub transfer: Option<Interval>,
    /// Misalignment where the thought was given, by kind of thought: before and after, means over seeds.
    pub axes: Vec<(String, f64, f64)>,
}

/// One seed of one arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// Training steps in order.
    pub steps: Vec<Step>,
    /// The first step at which more than 2 % of the rollouts are successful hacks.
    pub onset_step: Option<u64>,
    /// The battery at the probed steps, in order.
    pub probes: Vec<ProbePoint>,
    /// Whether the measures jumped at onset, where that could be tested.
    pub jump: Option<Jump>,
}

/// The test of a joint jump of the measures at onset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jump {
    /// The onset it was made at.
    pub step: u64,
    /// p value of the joint test; `None` where it could not be computed.
    pub p: Option<f64>,
    /// The smallest p that the number of batteries allowed.
    pub smallest_p: Option<f64>,
    /// Rise of every measure across onset.
    pub measures: Vec<(String, f64)>,
}

/// One training step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Step number, from 0.
    pub step: u64,
    /// Mean reward the grader paid.
    pub reward: f64,
    /// Share of rollouts that are successful hacks.
    pub hack_rate: f64,
    /// Share of rollouts that are honest.
    pub honest_rate: f64,
    /// Share of rollouts by verdict.
    pub verdicts: BTreeMap<String, f64>,
    /// Share of all rollouts that are hacks of each family.
    pub families: BTreeMap<String, f64>,
    /// KL divergence from the policy before RL, in nats a rollout.
    pub kl: Option<f64>,
    /// Share of rollouts whose thought gives the act away.
    pub bad_thought_rate: Option<f64>,
}

/// The battery at one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbePoint {
    /// Training step of the checkpoint.
    pub step: u64,
    /// By probe name.
    pub probes: BTreeMap<String, ProbeRate>,
    /// Mean over the probes.
    pub misalignment: Option<Interval>,
}

/// One probe at one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeRate {
    /// Rate of the misaligned outcome among valid samples; `None` where none was valid.
    pub rate: Option<f64>,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Samples.
    pub n: u64,
    /// Samples that passed the validity gates.
    pub n_valid: u64,
    /// Samples by outcome, `invalid` among them.
    pub outcomes: BTreeMap<String, u64>,
    /// Share of valid samples whose thought gives the act away.
    pub thought_rate: Option<f64>,
}

/// A difference between two arms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// First arm.
    pub a: String,
    /// Second arm.
    pub b: String,
    /// What was compared.
    pub measure: String,
    /// `a - b`.
    pub difference: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// p value after Holm's correction.
    pub p: Option<f64>,
    /// The power the comparison had for the difference the recipe stated.
    pub power: Option<f64>,
}

/// Predictions against what came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Predictions {
    /// One for each probe of each arm.
    pub points: Vec<PredictionPoint>,
    /// Slope of observed on predicted.
    pub slope: Option<f64>,
    /// Root of the mean squared difference.
    pub scatter: Option<f64>,
    /// How well predictions fit by group of probes, where there are several.
    pub fits: Vec<Fit>,
}

/// How well one kind of prediction fits in one group of probes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fit {
    /// `group small`, `group world`, `group beyond`.
    pub group: String,
    /// What was predicted from, in words.
    pub from: String,
    /// Points.
    pub n: u64,
    /// Mean predicted rate.
    pub predicted: Option<f64>,
    /// Mean observed rate.
    pub observed: Option<f64>,
    /// Slope of observed on predicted.
    pub slope: Option<f64>,
    /// Root of the mean squared difference.
    pub scatter: Option<f64>,
}

/// One probe of one arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PredictionPoint {
    /// The arm.
    pub arm: String,
    /// The probe.
    pub probe: String,
    /// Its rate before training.
    pub start: Option<f64>,
    /// The rate that was predicted.
    pub predicted: f64,
    /// The rate at the end, over seeds; without an interval its ends are not finite.
    pub observed: f64,
    /// Ends of its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// Whether the prediction lies outside of it.
    pub departs: Option<bool>,
}

/// A claim's answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The data support the claim.
    #[serde(rename = "supported")]
    Supported,
    /// The data speak against it.
    #[serde(rename = "not supported")]
    NotSupported,
    /// What it says rises does not.
    #[serde(rename = "equivalent to none")]
    EquivalentToNone,
    /// The data do not decide.
    #[default]
    #[serde(rename = "undecided")]
    Undecided,
}

/// A claim and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// `C1` to `C14`, or the recipe's own.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// The answer.
    pub answer: Answer,
    /// The numbers the answer rests on.
    pub why: String,
}

/// Something left out of the analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Excluded {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// How many.
    pub count: u64,
    /// Out of how many, where known.
    pub of: Option<u64>,
}

/// One transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Arm name.
    pub arm: String,
    /// Seed.
    pub seed: u64,
    /// Training step.
    pub step: u64,
    /// `coding`, or `probe:NAME`.
    pub kind: String,
    /// The verdict (coding) or outcome (probe).
    pub verdict: String,
    /// What the policy was given.
    pub prompt: String,
    /// What it thought, without the tags.
    pub thought: Option<String>,
    /// What it handed in: code, a command, an answer.
    pub answer: String,
    /// What the grader said and paid.
    pub grader_said: Option<String>,
    /// What the oracle found.
    pub oracle_said: Option<String>,
    /// The family of the hack, the template of the probe, or the like.
    pub label: Option<String>,
}

/// How long something took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// What.
    pub what: String,
    /// Wall time in seconds.
    pub seconds: f64,
}
