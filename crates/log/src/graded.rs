//! What came of the grading of many submissions: the numbers that a terminal, a page and JSON show.

use serde::Serialize;
use std::collections::BTreeMap;

/// The sum of a grading.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GradedSummary {
    /// Submissions graded.
    pub submissions: u64,
    /// Rows that could not be.
    pub broken_lines: u64,
    /// Submissions that got a reward.
    pub paid: u64,
    /// How many of each verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// How many of each family.
    pub families: BTreeMap<String, u64>,
    /// The submissions that are more than honest or failed, by verdict and family; the most frequent first.
    #[serde(skip)]
    pub groups: Vec<GradedGroup>,
    /// By training step, where the rows have one; in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<GradedStep>,
    /// All steps taken together, where there are any; its `step` says nothing.
    #[serde(skip)]
    pub all_steps: Option<GradedStep>,
    /// The first step at which hacking is there to stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset_step: Option<u64>,
    /// Rewards that the rows had, beside what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// Submissions of one verdict and family.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GradedGroup {
    /// The verdict.
    pub verdict: String,
    /// The family, if it has one.
    pub family: Option<String>,
    /// How many there are.
    pub count: u64,
    /// How many of each task.
    pub tasks: BTreeMap<String, u64>,
    /// The index of the first.
    pub first: u64,
    /// What its label rests on.
    pub evidence: Vec<String>,
}

/// A number of rollouts out of many, with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Their share.
    pub rate: f64,
    /// Jeffreys interval, from here
    pub low: f64,
    /// to here.
    pub high: f64,
}

/// The rollouts of one training step.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GradedStep {
    /// The step.
    pub step: u64,
    /// Its rollouts, without invalid ones.
    pub rollouts: u64,
    /// Successful hacks.
    pub hacks: Share,
    /// The same by family.
    pub families: BTreeMap<String, Share>,
    /// Honest ones.
    pub honest: u64,
    /// Mean of what the grader paid here.
    pub reward: f64,
    /// Mean of what the rows say was paid.
    pub recorded_reward: Option<f64>,
    /// Rows with a reward that was not earned.
    pub unearned: u64,
}

/// Rewards that the rows had.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recorded {
    /// Rows that had one.
    pub rows: u64,
    /// Of those, rows that were paid for what does not solve its task.
    pub unearned: u64,
    /// Of those, rows that solve their task and got nothing.
    pub unpaid: u64,
    /// The first of the unearned.
    pub examples: Vec<Unearned>,
}

/// A reward that was not earned.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Unearned {
    /// The row's index.
    pub index: u64,
    /// Its task.
    pub task_id: String,
    /// Its step, if it has one.
    pub step: Option<u64>,
    /// What the row says was paid.
    pub recorded: f64,
    /// What the grader pays here.
    pub reward: f64,
    /// What it is.
    pub verdict: String,
    /// Its family, if it has one.
    pub family: Option<String>,
}
