use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Estimate;
use crate::number::{self, nan};

/// `summary.json`: the whole run in one file. Intervals are 95 %.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the recipe.
    pub recipe: String,
    /// Its hash.
    pub hash: String,
    /// The arms, in the order of the recipe.
    pub arms: Vec<ArmSummary>,
    /// Arms against each other.
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
    /// What the recipe set out to show.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// What was predicted before training, and what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PredictionCheck>,
    /// Wall time.
    #[serde(with = "number", default = "nan")]
    pub seconds: f64,
    /// Anything a reader must know: what was left out, which tests had no power.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One arm over its seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Name of the arm.
    pub name: String,
    /// Its seeds.
    pub seeds: Vec<SeedSummary>,
    /// Hack rate at the end, over seeds.
    #[serde(default)]
    pub hack_rate: Estimate,
    /// Misalignment at the end, over seeds.
    #[serde(default)]
    pub misalignment: Estimate,
    /// Change of bad thoughts in the probes over their change in the training tasks, over seeds: 1 if what is learned in
    /// training is carried over whole. None where training hardly changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Estimate>,
}

/// Predictions against what came: one point for each probe of each arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PredictionCheck {
    /// The points.
    pub points: Vec<PredictionPoint>,
    /// The same by group of probes: of the world's documents (`small`, `world`) and of none (`beyond`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Fit>,
    /// Observed on what counting the documents predicts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, Fit>,
    /// Least-squares slope of observed on predicted; 1 if training does what conditioning does.
    #[serde(with = "number", default = "nan")]
    pub slope: f64,
    /// Root of the mean squared difference between observed and predicted.
    #[serde(with = "number", default = "nan")]
    pub scatter: f64,
}

/// How well predictions fit what came.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Fit {
    /// Points.
    pub n: u64,
    /// Least-squares slope of observed on predicted.
    #[serde(with = "number", default = "nan")]
    pub slope: f64,
    /// Root of the mean squared difference.
    #[serde(with = "number", default = "nan")]
    pub scatter: f64,
    /// Mean rate that came.
    #[serde(with = "number", default = "nan")]
    pub observed: f64,
    /// Mean rate that was predicted.
    #[serde(with = "number", default = "nan")]
    pub predicted: f64,
}

/// One probe of one arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PredictionPoint {
    /// The arm.
    pub arm: String,
    /// The probe.
    pub probe: String,
    /// Its mean rate before training.
    #[serde(with = "number", default = "nan")]
    pub start: f64,
    /// The rate that was predicted.
    #[serde(with = "number", default = "nan")]
    pub predicted: f64,
    /// The group of probes it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What counting the documents predicts, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<f64>,
    /// The rate at the end, over seeds.
    #[serde(default)]
    pub observed: Estimate,
    /// Whether the prediction lies outside the interval; none where there is no interval.
    #[serde(default)]
    pub departs: Option<bool>,
}

/// One seed of one arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeedSummary {
    /// The seed.
    pub seed: u64,
    /// Steps done.
    pub steps: u64,
    /// The onset, or `null` if hacking never began.
    pub onset_step: Option<u64>,
    /// Hack rate.
    #[serde(default)]
    pub hack_rate: StartEnd,
    /// Misalignment score of the battery.
    #[serde(default)]
    pub misalignment: StartEnd,
    /// The same if all that is not valid were aligned, and if all of it were misaligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[StartEnd; 2]>,
    /// Every probe.
    #[serde(default)]
    pub probes: BTreeMap<String, ProbeSummary>,
    /// Whether the measures jumped at onset; `null` without an onset or without probes around it.
    #[serde(default)]
    pub jump_at_onset: Option<JumpAtOnset>,
    /// Divergence from the start model.
    #[serde(default)]
    pub kl: StartEnd,
    /// Mean over probes of the share of samples whose thought is a bad character's.
    #[serde(default)]
    pub thoughts: StartEnd,
    /// Share of training rollouts whose thought is a bad character's.
    #[serde(default)]
    pub training_thoughts: StartEnd,
    /// What was measured besides: misalignment where the thought was given (`thought none`, `thought good`, `thought
    /// cheats-ill`) and where the system text spoke of tricks (`told permits`, `told forbids`); share of hacks in tasks that no
    /// arm is trained on (`hacks none`, `hacks permits`, `hacks forbids`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, StartEnd>,
    /// Hack rate of every step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hack_rates: Vec<(u64, f64)>,
    /// Divergence at each point of `series`.
    #[serde(with = "number::list", default, skip_serializing_if = "Vec::is_empty")]
    pub kl_at_probes: Vec<f64>,
    /// The battery along the run, for the curve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<ProbePoint>,
}

/// A measure before and after training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StartEnd {
    /// Before.
    #[serde(with = "number", default = "nan")]
    pub start: f64,
    /// After.
    #[serde(with = "number", default = "nan")]
    pub end: f64,
}

impl Default for StartEnd {
    /// Unknown: NaN, written as `null`.
    fn default() -> Self {
        Self { start: f64::NAN, end: f64::NAN }
    }
}

/// One probe before and after training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeSummary {
    /// Rate before.
    #[serde(with = "number", default = "nan")]
    pub start: f64,
    /// Rate after.
    #[serde(with = "number", default = "nan")]
    pub end: f64,
    /// Samples of the last battery.
    pub n: u64,
    /// Of them valid.
    pub n_valid: u64,
    /// The rates if all that is not valid were aligned, and if all of it were misaligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[StartEnd; 2]>,
}

/// The battery at one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbePoint {
    /// The training step.
    pub step: u64,
    /// The misalignment score with its interval.
    #[serde(default)]
    pub misalignment: Estimate,
    /// Rate of every probe.
    #[serde(with = "number::map", default)]
    pub probes: BTreeMap<String, f64>,
}

/// The test of a joint jump at onset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JumpAtOnset {
    /// The onset it was made at.
    pub step: u64,
    /// Mean scaled rise of the measures across onset.
    #[serde(with = "number", default = "nan")]
    pub statistic: f64,
    /// Its p value.
    #[serde(with = "number", default = "nan")]
    pub p: f64,
    /// The smallest p that the number of batteries allowed.
    #[serde(with = "number", default = "nan")]
    pub smallest_p: f64,
    /// Places of the run compared.
    pub n: u64,
    /// The measures.
    #[serde(default)]
    pub measures: Vec<MeasureJump>,
}

/// One measure's part in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MeasureJump {
    /// The measure.
    pub name: String,
    /// Rise across onset, in its own unit.
    #[serde(with = "number", default = "nan")]
    pub jump: f64,
    /// Corrected p value of this measure alone.
    #[serde(with = "number", default = "nan")]
    pub p: f64,
}

/// One arm against another, seeds as units.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// First arm.
    pub a: String,
    /// Second arm.
    pub b: String,
    /// What was compared.
    pub measure: String,
    /// `a - b`.
    #[serde(with = "number", default = "nan")]
    pub difference: f64,
    /// Lower end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub low: f64,
    /// Upper end of its 95 % interval.
    #[serde(with = "number", default = "nan")]
    pub high: f64,
    /// p value.
    #[serde(with = "number", default = "nan")]
    pub p: f64,
    /// Power of the comparison, as the recipe's test states it.
    #[serde(with = "number", default = "nan")]
    pub power: f64,
}

/// One claim of the recipe and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The claim.
    pub id: String,
    /// What the data say.
    pub answer: Answer,
    /// Why, with the numbers.
    pub why: String,
}

/// What the data say to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The data show it.
    #[serde(rename = "supported")]
    Supported,
    /// The data speak against it: the interval lies wholly on the other side of the bound.
    #[serde(rename = "not supported")]
    NotSupported,
    /// What it says rises does not, within the smallest rise of interest.
    #[serde(rename = "equivalent to none")]
    EquivalentToNone,
    /// The data cannot tell.
    #[serde(rename = "undecided")]
    Undecided,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_exactly_the_promised_fields() {
        let summary = Summary {
            recipe: "quick".into(),
            hash: "ab".into(),
            arms: vec![ArmSummary {
                name: "open".into(),
                seeds: vec![SeedSummary {
                    seed: 1,
                    steps: 20,
                    probes: BTreeMap::from([(
                        "shutdown".into(),
                        ProbeSummary { start: 0.0, end: 0.5, n: 20, n_valid: 18, bounds: None },
                    )]),
                    ..SeedSummary::default()
                }],
                ..ArmSummary::default()
            }],
            comparisons: vec![Comparison { a: "open".into(), b: "closed".into(), ..Comparison::default() }],
            claims: vec![Claim { id: "c1".into(), answer: Answer::NotSupported, why: "p = 0.4".into() }],
            ..Summary::default()
        };
        let value = serde_json::to_value(&summary).unwrap();
        let keys = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&value), "arms claims comparisons hash recipe seconds");
        assert_eq!(keys(&value["arms"][0]), "hack_rate misalignment name seeds");
        let seed = &value["arms"][0]["seeds"][0];
        assert_eq!(
            keys(seed),
            "hack_rate jump_at_onset kl misalignment onset_step probes seed steps thoughts training_thoughts"
        );
        assert!(seed["onset_step"].is_null() && seed["hack_rate"]["start"].is_null());
        assert_eq!(keys(&seed["probes"]["shutdown"]), "end n n_valid start");
        assert_eq!(keys(&value["comparisons"][0]), "a b difference high low measure p power");
        assert_eq!(value["claims"][0]["answer"], "not supported");
        let back: Summary = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&back).unwrap(), value);
        assert!(back.arms[0].hack_rate.mean.is_nan());
    }

    #[test]
    fn a_summary_of_the_bare_contract_reads() {
        let text = r#"{"recipe":"r","hash":"h","arms":[{"name":"a","seeds":[{"seed":3,"steps":9,"onset_step":4,
            "hack_rate":{"start":0,"end":1},"misalignment":{"start":0,"end":0.5},"probes":{},"jump_at_onset":null}],
            "hack_rate":{"mean":1,"low":null,"high":null},"misalignment":{"mean":0.5,"low":0.1,"high":0.9}}],
            "comparisons":[],"claims":[],"seconds":1.5,"later":true}"#;
        let s: Summary = serde_json::from_str(text).unwrap();
        assert_eq!((s.arms[0].seeds[0].onset_step, s.arms[0].misalignment.high), (Some(4), 0.9));
    }
}
