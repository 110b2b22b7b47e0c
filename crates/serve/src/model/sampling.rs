//! What both APIs have in common: options within their ranges, tools, contents; each mistake with its field and what
//! would be right.

use std::ops::RangeInclusive;

use loophole_chat::wire::{Content, Part, Stop};
use loophole_chat::{Sampling, ToolSpec};
use serde_json::{Map, Value, json};

use crate::problem::Problem;

/// Most tokens sampled if a request does not say.
const TOKENS: u64 = 1024;
/// Most tokens a request may ask for.
pub(super) const MOST_TOKENS: u64 = 1 << 20;
/// More tokens than any vocabulary has.
const MOST_TOP_K: u64 = 1 << 24;
/// Most stop texts.
const MOST_STOPS: usize = 16;

/// A number within a range.
pub(crate) fn number(name: &str, value: Option<f64>, range: &RangeInclusive<f64>) -> Result<Option<f64>, Problem> {
    let (from, to) = (range.start(), range.end());
    let wrong = || Problem::field(name, format!("{name} must be a number from {from} to {to}"));
    value.map(|number| if range.contains(&number) { Ok(number) } else { Err(wrong()) }).transpose()
}

/// A whole number within a range.
pub(crate) fn count(name: &str, value: Option<u64>, range: &RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
    let (from, to) = (range.start(), range.end());
    let wrong = || Problem::field(name, format!("{name} must be a whole number from {from} to {to}"));
    value.map(|count| if range.contains(&count) { Ok(count) } else { Err(wrong()) }).transpose()
}

/// Most tokens to sample.
pub(crate) fn tokens(name: &str, value: Option<u64>) -> Result<Option<u64>, Problem> {
    count(name, value, &(1..=MOST_TOKENS))
}

/// Refuses fields that would change the reply and that nothing here can follow; `(name, the value that changes
/// nothing)`.
pub(crate) fn without(rest: &Map<String, Value>, names: &[(&str, Value)]) -> Result<(), Problem> {
    for (name, neutral) in names {
        let given = rest.get(*name).filter(|value| !value.is_null());
        let same = |given: &Value| given == neutral || (given.is_number() && given.as_f64() == neutral.as_f64());
        if given.is_some_and(|given| !same(given)) {
            return Err(Problem::field(name, format!("{name} is not supported here; leave it out")));
        }
    }
    Ok(())
}

/// What both APIs say about sampling.
pub(crate) struct Asked {
    pub temperature: Option<f64>,
    pub hottest: f64,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub stop: Option<Stop>,
    /// What the API calls it.
    pub stop_name: &'static str,
    pub tokens: Option<u64>,
    pub seed: u64,
}

impl Asked {
    pub fn sampling(self) -> Result<Sampling, Problem> {
        let top_p = number("top_p", self.top_p, &(0.0..=1.0))?;
        let top_k = count("top_k", self.top_k, &(0..=MOST_TOP_K))?;
        let name = self.stop_name;
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) if texts.len() <= MOST_STOPS => texts,
            Some(Stop::Many(_)) => {
                return Err(Problem::field(name, format!("{name} must be a text or up to {MOST_STOPS} texts")));
            }
        };
        Ok(Sampling {
            temperature: number("temperature", self.temperature, &(0.0..=self.hottest))?.map(|t| t as f32),
            top_p: top_p.map(|p| p as f32),
            top_k: top_k.map(|k| k as usize),
            max_tokens: self.tokens.unwrap_or(TOKENS) as usize,
            stop,
            seed: self.seed,
            logprobs: None,
        })
    }
}

/// A tool from its parts, wherever an API keeps them; `schema` is what it calls the schema of the arguments.
pub(crate) fn tool(
    at: usize,
    name: String,
    description: String,
    parameters: Option<Value>,
    schema: &str,
) -> Result<ToolSpec, Problem> {
    let wrong = |what: &str| Problem::field("tools", format!("tools[{at}] {what}"));
    if name.is_empty() {
        return Err(wrong("has no name"));
    }
    match parameters.unwrap_or_else(|| json!({ "type": "object", "properties": {} })) {
        parameters @ Value::Object(_) => Ok(ToolSpec { name, description, parameters }),
        _ => Err(wrong(&format!("has {schema} that are no JSON schema"))),
    }
}

/// A text, or the texts of typed parts.
pub(crate) fn content(at: usize, content: Option<Content>) -> Result<String, Problem> {
    match content {
        None | Some(Content::Other(Value::Null)) => Ok(String::new()),
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => said(at, parts),
        Some(Content::Other(_)) => {
            Err(Problem::field("messages", format!("messages[{at}] has a content that is neither a text nor parts")))
        }
    }
}

/// The texts of typed parts.
pub(crate) fn said(at: usize, parts: Vec<Part>) -> Result<String, Problem> {
    let mut text = String::new();
    for part in parts {
        match part.kind.as_deref() {
            Some("text" | "input_text" | "refusal") => text += &part.text.or(part.refusal).unwrap_or_default(),
            // What the model thought before is not said again.
            Some("thinking" | "redacted_thinking" | "reasoning") => {}
            kind => {
                let kind = kind.unwrap_or("");
                let message = format!("messages[{at}] has a part of type {kind:?}; only text is read");
                return Err(Problem::field("messages", message));
            }
        }
    }
    Ok(text)
}
