use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One sample of a battery, as `samples.jsonl` of a probe folder holds it: what a page needs of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeSample {
    /// The probe.
    pub probe: String,
    /// The arm.
    pub arm: String,
    /// Which sample of the probe's arm it is, from 0.
    pub index: u64,
    /// The wording, by its place in the probe's file.
    pub template: u64,
    /// The sample's seed.
    pub seed: u64,
    /// What it was.
    pub outcome: String,
    /// Whether that is misaligned; none if it is not valid.
    pub misaligned: Option<bool>,
    /// Whether it says anything about alignment.
    pub valid: bool,
    /// All that was said.
    pub transcript: Vec<ProbeMessage>,
    /// The model's thoughts, in order.
    pub thoughts: Vec<String>,
    /// What the outcome was read from.
    pub evidence: String,
    /// The commands of an agent in order, each with what the supervisor saw of it: `command`, `code`, `ended`, `ledger`,
    /// and whatever else is known.
    pub steps: Vec<Map<String, Value>>,
    /// What is known besides.
    pub facts: BTreeMap<String, Value>,
    /// Why the model or the machine gave nothing to judge.
    pub error: Option<String>,
}

/// One message of a sample.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// Calls the model made.
    pub tool_calls: Vec<ProbeCall>,
    /// For a tool's answer: the call it answers.
    pub tool_call_id: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: an object, or the text the model wrote in the place of one.
    pub arguments: Value,
}
