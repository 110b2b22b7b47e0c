use serde::{Deserialize, Serialize};

/// How far a run has come: `status.json`, rewritten as it goes, for pages and for resuming.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What the run is doing.
    pub state: RunState,
    /// The arm at work.
    #[serde(default)]
    pub arm: Option<String>,
    /// The seed at work.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Steps done of the arm and seed at work.
    #[serde(default)]
    pub step: u64,
    /// Steps it will have.
    #[serde(default)]
    pub steps: u64,
    /// Arm-seed pairs finished.
    #[serde(default)]
    pub done: u64,
    /// Arm-seed pairs of the run.
    #[serde(default)]
    pub total: u64,
    /// Wall time so far, all sittings together.
    #[serde(with = "crate::number", default = "crate::number::nan")]
    pub seconds: f64,
    /// What a person should know, such as why it failed.
    #[serde(default)]
    pub message: Option<String>,
    /// How submissions were isolated: the tier of the cells.
    #[serde(default)]
    pub tier: Option<String>,
    /// Whether the run has a ledger; one that has and whose ledger is gone is not taken for one of an earlier version.
    #[serde(default)]
    pub ledger: bool,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// At work (or killed without a chance to say so).
    Running,
    /// Stopped on request; can be resumed.
    Interrupted,
    /// Stopped by an error.
    Failed,
    /// Complete.
    Finished,
}
