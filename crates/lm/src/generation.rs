//! How a checkpoint's makers sample from it: `generation_config.json`, or what a GGUF file says of it.

use crate::LmError;
use crate::error::{parse_json, read_text};
use serde_json::Value;
use std::path::Path;

/// The file of a folder.
pub(crate) const FILE: &str = "generation_config.json";

/// How to sample from a checkpoint where nobody says otherwise. What is not named there is none here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Divides the logits.
    pub temperature: Option<f32>,
    /// Only so many tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f32>,
    /// What is named there as well, would change what is sampled, and is not followed here.
    pub left_out: Vec<String>,
}

/// Options that change what is sampled, with the value that changes nothing.
const NOT_FOLLOWED: [(&str, f64); 6] = [
    ("repetition_penalty", 1.0),
    ("min_p", 0.0),
    ("typical_p", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("presence_penalty", 0.0),
    ("frequency_penalty", 0.0),
];

impl GenerationConfig {
    /// Reads the file of a folder; one that is not there says nothing.
    ///
    /// # Errors
    /// It is no JSON, or a value is none that can be sampled with.
    pub(crate) fn load(dir: &Path) -> Result<GenerationConfig, LmError> {
        let path = dir.join(FILE);
        match read_text(&path) {
            Ok(text) => Self::read(&parse_json(&path, &text, "fetch or write it again")?, &path),
            Err(LmError::Missing { .. }) => Ok(GenerationConfig::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads its fields; `path` is named in errors.
    pub(crate) fn read(json: &Value, path: &Path) -> Result<GenerationConfig, LmError> {
        let number = |field: &str, from: f64, to: f64| match json.get(field).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|x| (from..=to).contains(x)) {
                Some(x) => Ok(Some(x)),
                None => {
                    let what = format!("must be a number from {from} to {to}, not {value}");
                    Err(LmError::Config { path: path.into(), field: field.into(), what })
                }
            },
        };
        let left_out = NOT_FOLLOWED
            .iter()
            .filter(|(name, nothing)| json.get(*name).and_then(Value::as_f64).is_some_and(|x| x != *nothing));
        Ok(GenerationConfig {
            temperature: number("temperature", 0.0, 100.0)?.map(|x| x as f32),
            top_k: number("top_k", 0.0, 1e9)?.map(|x| x as usize),
            top_p: number("top_p", 0.0, 1.0)?.map(|x| x as f32),
            left_out: left_out.map(|(name, _)| (*name).to_string()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_named_is_read_and_what_is_wrong_is_said() {
        let read = |json| GenerationConfig::read(&json, Path::new("generation_config.json"));
        let said = json!({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1,
            "min_p": 0.0, "eos_token_id": [1, 2]});
        let left_out = vec!["repetition_penalty".to_string()];
        let want = GenerationConfig { temperature: Some(0.7), top_k: Some(20), top_p: Some(0.8), left_out };
        assert_eq!(read(said).unwrap(), want);
        assert_eq!(read(json!({"top_p": null})).unwrap(), GenerationConfig::default());
        for (json, field) in [(json!({"top_p": 1.5}), "top_p"), (json!({"temperature": "hot"}), "temperature")] {
            assert!(read(json).unwrap_err().to_string().contains(field));
        }
    }
}
