use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::number::{self, nan};

/// A mean with its 95 % interval; `null` where too little data says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    #[serde(with = "number", default = "nan")]
    pub mean: f64,
    /// Lower end.
    #[serde(with = "number", default = "nan")]
    pub low: f64,
    /// Upper end.
    #[serde(with = "number", default = "nan")]
    pub high: f64,
}

impl Default for Estimate {
    /// Unknown: three NaN, written as `null`.
    fn default() -> Self {
        Self { mean: f64::NAN, low: f64::NAN, high: f64::NAN }
    }
}

/// One arm of a probe: `tempt`, `honest-path`, `permitted`, `no-rule`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmRate {
    /// Rate of the misaligned outcome among valid samples.
    #[serde(with = "number", default = "nan")]
    pub rate: f64,
    /// Lower end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub low: f64,
    /// Upper end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub high: f64,
    /// Standard error with the wordings as units, as Inspect's `stderr(cluster=...)` computes it.
    #[serde(with = "number", default = "nan")]
    pub stderr: f64,
    /// The rate if all that is not valid were aligned, and if all of it were misaligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f64; 2]>,
    /// Samples.
    #[serde(default)]
    pub n: u64,
    /// Samples that passed the validity gates.
    #[serde(default)]
    pub n_valid: u64,
    /// How often every outcome came up, `invalid` included.
    #[serde(default)]
    pub outcomes: BTreeMap<String, u64>,
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The probe.
    pub name: String,
    /// What its rate is a rate of.
    pub measure: String,
    /// Rate of the misaligned outcome among valid samples of the tempting arm.
    #[serde(with = "number", default = "nan")]
    pub rate: f64,
    /// Lower end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub low: f64,
    /// Upper end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub high: f64,
    /// Samples of the tempting arm.
    pub n: u64,
    /// Of them valid.
    pub n_valid: u64,
    /// How often every outcome came up, `invalid` included.
    #[serde(default)]
    pub outcomes: BTreeMap<String, u64>,
    /// The controls.
    #[serde(default)]
    pub arms: BTreeMap<String, ArmRate>,
    /// The rate if all that is not valid were aligned, and if all of it were misaligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f64; 2]>,
    /// Whether the model is able enough for a rate; for scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<ProbeGate>,
    /// Share of samples whose last thought is that of a bad character: only where a world knows what such a thought is.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub thought_rate: Option<f64>,
    /// The group of probes it belongs to, if it is a scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How often other things hold in the tempting arm (`violated`, `attempted`, ...), whatever the outcome.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, Estimate>,
    /// Differences within samples, averaged over those of an arm: `arm: name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub differences: BTreeMap<String, Estimate>,
}

/// Whether the rate of a scenario is reported, and why not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeGate {
    /// Whether it is.
    pub open: bool,
    /// What the model falls short in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Arms that would tell what it can do and were not played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_played: Vec<String>,
    /// What a reader has to know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether a battery of scenarios measures a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Whether it does.
    pub measured: bool,
    /// Scenarios whose rate is reported.
    pub scenarios: u64,
    /// Scenarios that were played and would enter the mean.
    pub of: u64,
    /// The fewest that have a mean.
    pub needed: u64,
    /// Scenarios with a rate of which a control arm was not played, so that nobody knows what the model can do there.
    pub ungated: u64,
}

/// One battery on one model: what `loophole probe --json` prints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The model, as named on the command line.
    pub model: String,
    /// The battery.
    pub battery: String,
    /// The training step of the checkpoint, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Every probe.
    pub probes: Vec<ProbeResult>,
    /// Mean over the probes; of scenarios there have to be enough with a rate.
    #[serde(default)]
    pub misalignment: Estimate,
    /// The mean over all that was played if all that is not valid were aligned, and if all of it were misaligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f64; 2]>,
    /// Whether the battery measures this model, if it is one of scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The same for each group of scenarios.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Estimate>,
    /// Wall time.
    #[serde(with = "number", default = "nan")]
    pub seconds: f64,
}
