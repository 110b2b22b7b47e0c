//! Reading the fields that both APIs have, each mistake with its field and what would be right.

use loophole_chat::{Sampling, ToolSpec};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Most tokens sampled if a request does not say.
const TOKENS: usize = 1024;
/// Most tokens a request may ask for.
const MOST_TOKENS: u64 = 1 << 20;
/// Most stop texts.
const MOST_STOPS: usize = 16;

/// The body, from which fields are read.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub &'a Value);

impl<'a> Fields<'a> {
    /// A field that is given; null counts as not given.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that must be given.
    pub fn text(self, name: &str) -> Result<&'a str, Problem> {
        let text = self.get(name).ok_or_else(|| Problem::field(name, format!("{name} is missing")))?;
        text.as_str().ok_or_else(|| Problem::field(name, format!("{name} must be a text")))
    }

    pub fn bool(self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| Problem::field(name, format!("{name} must be true or false"))),
        }
    }

    /// A number within a range.
    pub fn number(self, name: &str, from: f64, to: f64) -> Result<Option<f64>, Problem> {
        let wrong = || Problem::field(name, format!("{name} must be a number from {from} to {to}"));
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_f64().filter(|number| (from..=to).contains(number)).ok_or_else(wrong).map(Some)
    }

    /// A whole number within a range.
    pub fn count(self, name: &str, from: u64, to: u64) -> Result<Option<u64>, Problem> {
        let wrong = || Problem::field(name, format!("{name} must be a whole number from {from} to {to}"));
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_u64().filter(|count| (from..=to).contains(count)).ok_or_else(wrong).map(Some)
    }

    /// An array; empty if it is not given.
    pub fn array(self, name: &str) -> Result<&'a [Value], Problem> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(Problem::field(name, format!("{name} must be an array"))),
        }
    }

    /// Refuses fields that would change the reply and that nothing here can follow; `(name, the value that changes
    /// nothing)`.
    pub fn without(self, names: &[(&str, Value)]) -> Result<(), Problem> {
        for (name, neutral) in names {
            let given = self.get(name);
            let same = |given: &Value| given == neutral || (given.is_number() && given.as_f64() == neutral.as_f64());
            if given.is_some_and(|given| !same(given)) {
                return Err(Problem::field(name, format!("{name} is not supported here; leave it out")));
            }
        }
        Ok(())
    }

    /// What both APIs say about sampling.
    pub fn sampling(self, hottest: f64, stop: &str, tokens: Option<u64>, seed: u64) -> Result<Sampling, Problem> {
        let top_p = self.number("top_p", 0.0, 1.0)?.filter(|p| *p < 1.0);
        Ok(Sampling {
            temperature: self.number("temperature", 0.0, hottest)?.map(|t| t as f32),
            top_p: top_p.map(|p| p as f32),
            max_tokens: tokens.map_or(TOKENS, |tokens| tokens as usize),
            stop: self.stop(stop)?,
            seed,
            logprobs: None,
        })
    }

    /// Most tokens to sample.
    pub fn tokens(self, name: &str) -> Result<Option<u64>, Problem> {
        self.count(name, 1, MOST_TOKENS)
    }

    /// One stop text or several.
    fn stop(self, name: &str) -> Result<Vec<String>, Problem> {
        let wrong = || Problem::field(name, format!("{name} must be a text or up to {MOST_STOPS} texts"));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(texts)) if texts.len() <= MOST_STOPS => {
                texts.iter().map(|text| text.as_str().map(str::to_string).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

/// A tool from its parts, wherever an API keeps them.
pub(crate) fn tool(at: usize, tool: &Value, schema: &str) -> Result<ToolSpec, Problem> {
    let wrong = |what: &str| Problem::field("tools", format!("tools[{at}] {what}"));
    let name = tool["name"].as_str().filter(|name| !name.is_empty()).ok_or_else(|| wrong("has no name"))?;
    let parameters = match tool.get(schema) {
        None | Some(Value::Null) => json!({ "type": "object", "properties": {} }),
        Some(object @ Value::Object(_)) => object.clone(),
        Some(_) => return Err(wrong(&format!("has {schema} that are no JSON schema"))),
    };
    let description = tool["description"].as_str().unwrap_or_default().to_string();
    Ok(ToolSpec { name: name.to_string(), description, parameters })
}

/// A text, or the texts of typed parts.
pub(crate) fn content(at: usize, value: &Value) -> Result<String, Problem> {
    let wrong = |what: String| Problem::field("messages", format!("messages[{at}] {what}"));
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let mut text = String::new();
            for part in parts {
                match part["type"].as_str() {
                    Some("text" | "input_text" | "refusal") => {
                        text += part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default();
                    }
                    // What the model thought before is not said again.
                    Some("thinking" | "redacted_thinking" | "reasoning") => {}
                    kind => {
                        return Err(wrong(format!("has a part of type {:?}; only text is read", kind.unwrap_or(""))));
                    }
                }
            }
            Ok(text)
        }
        _ => Err(wrong("has a content that is neither a text nor parts".to_string())),
    }
}
