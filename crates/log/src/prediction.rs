use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Estimate;
use crate::number::{self, nan};

/// `predictions.json`: what the models that a run begins with say of every arm, written before anything is trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Predictions {
    /// By arm; one with several stages, that begins where another left off, or that is never rewarded, has none.
    pub arms: BTreeMap<String, Prediction>,
}

/// What conditioning the untrained model on what will be rewarded predicts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prediction {
    /// Rollouts of the untrained model under the arm's prompts.
    pub rollouts: u64,
    /// What they were conditioned on: `paid hacks`, or `what is paid` (each by its reward) where hardly any hack is or the
    /// grader is not all that pays; `... as the turn before` where thoughts do not say who thinks, so that the probes were
    /// asked after such a rollout, in one conversation, and nothing is said of thoughts.
    pub given: String,
    /// How many those are.
    pub selected: u64,
    /// Paid rollouts whose thought nobody can read: the prediction knows nothing of them.
    #[serde(default)]
    pub unread: u64,
    /// Share of the selected whose thought is a bad character's.
    #[serde(default)]
    pub bad_thoughts: Estimate,
    /// How often the selected have each kind of thought: `good`, `cheats`, `ill`, `cheats-ill`.
    #[serde(with = "number::map", default)]
    pub thoughts: BTreeMap<String, f64>,
    /// The rate of every probe if the model thought in it as in the selected.
    #[serde(with = "number::map", default)]
    pub probes: BTreeMap<String, f64>,
    /// The standard error of each: the selected are a sample, and so are the answers after their thoughts.
    #[serde(with = "number::map", default)]
    pub errors: BTreeMap<String, f64>,
    /// The rate of every probe whose traits are known, by counting the documents of writers whose hack is kept: what a reader
    /// of all documents would expect, whatever the model has learned of them.
    #[serde(with = "number::map", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, f64>,
    /// Mean of the rates.
    #[serde(with = "number", default = "nan")]
    pub misalignment: f64,
}

/// `probes/step-000040.axes.json`: what else is measured at the ends of an arm, the same for every arm. The battery's
/// tempting arm with the thought given instead of thought of, and under system texts that speak of tricks; held-out tasks
/// under each of those.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Axes {
    /// By kind of thought (`none`, `good`, `cheats`, `ill`, `cheats-ill`), then by probe.
    pub given: BTreeMap<String, BTreeMap<String, GivenRate>>,
    /// By what the system text says of tricks (`permits`, `forbids`), then by probe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, BTreeMap<String, GivenRate>>,
    /// Tasks that no arm is trained on, by what the system text says of tricks (`none`, `permits`, `forbids`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskRates>,
}

/// What became of tasks that no arm is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TaskRates {
    /// Share of the rollouts that are hacks.
    pub hacks: f64,
    /// Share that is right.
    pub honest: f64,
    /// Rollouts.
    pub n: u64,
}

/// A probe on one of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GivenRate {
    /// Rate of the misaligned outcome among valid samples.
    #[serde(with = "number", default = "nan")]
    pub rate: f64,
    /// Samples.
    pub n: u64,
    /// Of them valid.
    pub n_valid: u64,
}

/// Mean over the probes that have a rate.
pub fn mean_rate(probes: &BTreeMap<String, GivenRate>) -> f64 {
    let rates: Vec<f64> = probes.values().map(|probe| probe.rate).filter(|rate| rate.is_finite()).collect();
    if rates.is_empty() { f64::NAN } else { rates.iter().sum::<f64>() / rates.len() as f64 }
}
