use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// One battery (or any evaluation) as an Inspect log: what `probes/step-*.eval` holds.
///
/// Times are seconds since 1970 in UTC, given by the caller; ids follow from `identity`, so the same log is written
/// as the same bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvalLog {
    /// Name of the task, such as the battery.
    pub task: String,
    /// The model, in Inspect's `provider/name` or any other form.
    pub model: String,
    /// What makes this evaluation itself, such as recipe hash, arm, seed and step: all ids are made from it.
    pub identity: String,
    /// When it began.
    pub created: u64,
    /// When it ended.
    pub completed: u64,
    /// Why it ended early, if it did.
    pub error: Option<String>,
    /// Its samples. Their (id, epoch) must differ.
    pub samples: Vec<EvalSample>,
    /// Metrics beside the mean of every numeric scorer: scorer, then metric. What is not finite is left out.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
    /// Results in the place of the mean over all samples, for scorers whose samples are not one population: one for each
    /// scenario and arm, say.
    pub results: Vec<EvalResult>,
    /// How the model was sampled, by Inspect's names (`temperature`, `max_tokens`, `seed`, ...).
    pub config: Map<String, Value>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Anything else; Inspect's viewer shows it.
    pub metadata: Map<String, Value>,
}

/// What a scorer found in a part of the samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvalResult {
    /// What it is called in the viewer.
    pub name: String,
    /// The scorer whose scores it is made from.
    pub scorer: String,
    /// Samples with such a score.
    pub scored: u64,
    /// Samples without one.
    pub unscored: u64,
    /// Its metrics. What is not finite is left out.
    pub metrics: BTreeMap<String, f64>,
    /// Which samples: keys and values of their metadata.
    pub params: Map<String, Value>,
}

/// Tokens a model read and wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvalUsage {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

impl EvalUsage {
    pub(crate) fn to_json(self) -> Value {
        json!({"input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.input + self.output})
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvalSample {
    /// Its id, unique with `epoch`.
    pub id: String,
    /// Which repetition, from 1.
    pub epoch: u64,
    /// What was asked.
    pub input: String,
    /// What would have been right; may be empty.
    pub target: String,
    /// The transcript.
    pub messages: Vec<Message>,
    /// Its scores by scorer.
    pub scores: BTreeMap<String, Score>,
    /// Wall time; 0 where it is not known.
    pub seconds: f64,
    /// Seconds from the log's beginning until the sample's.
    pub began: f64,
    /// What it took.
    pub usage: EvalUsage,
    /// The tools the model was offered, as Inspect describes them (`name`, `description`, `parameters`).
    pub tools: Vec<Value>,
    /// Why there is nothing to score, if the model or the machine failed.
    pub error: Option<String>,
    /// Anything else, such as probe, arm, template.
    pub metadata: Map<String, Value>,
}

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// What the assistant thought before it (shown as reasoning).
    pub thought: Option<String>,
    /// Calls the assistant made.
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's answer: the call it answers.
    pub tool_call_id: Option<String>,
    /// For a tool's answer: the tool.
    pub function: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolCall {
    /// Its id, named again by the answer.
    pub id: String,
    /// The tool.
    pub function: String,
    /// Its arguments by name.
    pub arguments: Map<String, Value>,
}

/// What a scorer said about a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// A number, text, truth value, list or map.
    pub value: Value,
    /// What was taken as the answer.
    pub answer: Option<String>,
    /// Why.
    pub explanation: Option<String>,
    /// The evidence.
    pub metadata: Map<String, Value>,
}

impl Score {
    /// A bare value. A number that is not finite becomes `null`, which no reader accepts: pass a text instead.
    pub fn new(value: impl Into<Value>) -> Self {
        Self { value: value.into(), answer: None, explanation: None, metadata: Map::new() }
    }

    /// The value as a number, as Inspect's own reducers see it: `C` and `I` are 1 and 0, a truth value likewise.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(n) => n.as_f64(),
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::String(s) => match s.as_str() {
                "C" => Some(1.0),
                "P" => Some(0.5),
                "I" | "N" => Some(0.0),
                _ => None,
            },
            _ => None,
        }
    }
}

/// An id of 22 letters and digits made from what it identifies, in the alphabet of Inspect's own ids.
pub(crate) fn id(parts: &[&str]) -> String {
    const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let mut number = u128::from_le_bytes(bytes);
    (0..22)
        .map(|_| {
            let letter = ALPHABET[(number % 57) as usize];
            number /= 57;
            char::from(letter)
        })
        .collect()
}

/// Seconds since 1970 as `2026-11-21T10:05:58+00:00`.
pub(crate) fn iso_time(seconds: u64) -> String {
    // Days to a date in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level algorithms").
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

impl Message {
    pub(crate) fn to_json(&self, id: &str, model: &str) -> Value {
        let mut out = json!({"id": id, "role": self.role, "content": self.content});
        if let Some(thought) = &self.thought {
            out["content"] =
                json!([{"type": "reasoning", "reasoning": thought}, {"type": "text", "text": self.content}]);
        }
        if self.role == "assistant" {
            out["model"] = json!(model);
            out["source"] = json!("generate");
            if !self.tool_calls.is_empty() {
                out["tool_calls"] = self
                    .tool_calls
                    .iter()
                    .map(|c| json!({"id": c.id, "function": c.function, "arguments": c.arguments, "type": "function"}))
                    .collect();
            }
        }
        if let Some(call) = &self.tool_call_id {
            out["tool_call_id"] = json!(call);
        }
        if let Some(function) = &self.function {
            out["function"] = json!(function);
        }
        out
    }

    /// Reads a message of any Inspect log; parts that are neither text nor reasoning are left out.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_string);
        let mut out = Self {
            role: text("role")?,
            tool_call_id: text("tool_call_id"),
            function: text("function"),
            ..Self::default()
        };
        match &value["content"] {
            Value::String(s) => out.content.clone_from(s),
            Value::Array(parts) => {
                for part in parts {
                    if let Some(text) = part["text"].as_str() {
                        out.content.push_str(text);
                    } else if let Some(thought) = part["reasoning"].as_str() {
                        out.thought.get_or_insert_default().push_str(thought);
                    }
                }
            }
            _ => {}
        }
        for call in value["tool_calls"].as_array().into_iter().flatten() {
            out.tool_calls.push(ToolCall {
                id: call["id"].as_str()?.to_string(),
                function: call["function"].as_str()?.to_string(),
                arguments: call["arguments"].as_object().cloned().unwrap_or_default(),
            });
        }
        Some(out)
    }
}

impl Score {
    pub(crate) fn to_json(&self) -> Value {
        let mut out = json!({"value": self.value});
        if let Some(answer) = &self.answer {
            out["answer"] = json!(answer);
        }
        if let Some(explanation) = &self.explanation {
            out["explanation"] = json!(explanation);
        }
        if !self.metadata.is_empty() {
            out["metadata"] = json!(self.metadata);
        }
        out
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        Self {
            value: value["value"].clone(),
            answer: value["answer"].as_str().map(str::to_string),
            explanation: value["explanation"].as_str().map(str::to_string),
            metadata: value["metadata"].as_object().cloned().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_calendar_times() {
        // date -u -d @N +%FT%T
        assert_eq!(iso_time(0), "1970-01-01T00:00:00+00:00");
        assert_eq!(iso_time(951_782_399), "2000-02-28T23:59:59+00:00");
        assert_eq!(iso_time(951_868_800), "2000-03-01T00:00:00+00:00");
        assert_eq!(iso_time(1_795_255_558), "2026-11-21T10:05:58+00:00");
        assert_eq!(iso_time(4_107_542_400), "2100-03-01T00:00:00+00:00");
    }

    #[test]
    fn ids_follow_from_their_parts() {
        assert_eq!(id(&["a", "b"]), id(&["a", "b"]));
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_eq!(id(&["x"]).len(), 22);
    }

    #[test]
    fn messages_keep_thoughts_and_calls() {
        let message = Message {
            role: "assistant".into(),
            content: "done".into(),
            thought: Some("hide it".into()),
            tool_calls: vec![ToolCall { id: "c1".into(), function: "bash".into(), arguments: Map::new() }],
            ..Message::default()
        };
        assert_eq!(Message::from_json(&message.to_json("i", "m")), Some(message));
        assert_eq!(Message::from_json(&json!({"content": "x"})), None);
    }
}
