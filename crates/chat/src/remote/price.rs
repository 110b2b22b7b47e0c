//! What tokens cost.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::{ChatError, Usage};

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens read.
    pub read: f64,
    /// Tokens read that the provider had in its cache.
    pub cached: f64,
    /// Tokens sampled.
    pub sampled: f64,
}

impl Price {
    /// What that much use costs, in US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        let fresh = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        let dollars = |tokens: usize, price: f64| tokens as f64 * price / 1e6;
        dollars(fresh, self.read)
            + dollars(usage.cached_tokens, self.cached)
            + dollars(usage.completion_tokens, self.sampled)
    }
}

type Table = BTreeMap<String, BTreeMap<String, Price>>;

/// Prices by provider (`openai`, `anthropic`, or the address of an endpoint) and model.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices(Vec<Table>);

impl Prices {
    /// The bundled prices, behind those of a file if one is named.
    ///
    /// # Errors
    /// The file is missing or no table of prices.
    pub fn load(file: Option<&Path>) -> Result<Self, ChatError> {
        let wrong = |file: &Path, reason: String| ChatError::Model { model: file.display().to_string(), reason };
        let mut tables = Vec::new();
        if let Some(file) = file {
            let text = loophole_foreign::read_text(file, 16 << 20).map_err(|error| wrong(file, error.to_string()))?;
            let form = "prices are written [provider] \"model\" = { read = 1.0, cached = 0.1, sampled = 5.0 }";
            tables.push(toml::from_str(&text).map_err(|error| wrong(file, format!("{form}: {error}")))?);
        }
        let bundled = toml::from_str(include_str!("../../data/prices.toml"));
        tables.push(bundled.map_err(|error| wrong(Path::new("prices.toml"), error.to_string()))?);
        Ok(Prices(tables))
    }

    /// The price of a model, if it is known.
    pub fn of(&self, provider: &str, model: &str) -> Option<Price> {
        let exact = |table: &Table, model: &str| table.get(provider)?.get(model).copied();
        let undated = undated(model);
        self.0.iter().find_map(|table| exact(table, model).or_else(|| exact(table, undated)))
    }
}

/// The name without a date (`-2025-04-14`, `-20250514`) or `-latest` behind it.
fn undated(model: &str) -> &str {
    let has_form = |text: &str, form: &str| {
        text.bytes().zip(form.bytes()).all(|(c, form)| if form == b'0' { c.is_ascii_digit() } else { c == form })
    };
    for form in ["-0000-00-00", "-00000000"] {
        let at = model.len().saturating_sub(form.len());
        if at > 0 && model.is_char_boundary(at) && has_form(&model[at..], form) {
            return &model[..at];
        }
    }
    model.strip_suffix("-latest").unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_priced_by_name_with_or_without_a_date() {
        let prices = Prices::load(None).unwrap();
        let read = |provider, model| prices.of(provider, model).map(|price| price.read);
        assert_eq!(read("openai", "gpt-4o"), Some(2.5));
        assert_eq!(read("openai", "gpt-4o-2024-08-06"), Some(2.5));
        assert_eq!(read("openai", "gpt-4.1-mini-2025-04-14"), Some(0.4));
        assert_eq!(read("anthropic", "claude-sonnet-4-20250514"), Some(3.0));
        assert_eq!(read("anthropic", "claude-opus-4-5-20251101"), Some(5.0));
        assert_eq!(read("anthropic", "claude-3-5-haiku-latest"), Some(0.8));
        for unknown in ["gpt-5.9", "gpt-4o-mini-tts", "gpt", "", "12345678", "é1234567"] {
            assert_eq!(read("openai", unknown), None, "{unknown}");
        }
        let usage = Usage { prompt_tokens: 1_000_000, cached_tokens: 500_000, completion_tokens: 100_000 };
        assert_eq!(prices.of("openai", "gpt-4o").unwrap().of(&usage), 1.25 + 0.625 + 1.0);
    }

    #[test]
    fn a_file_comes_first_and_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        std::fs::write(&file, "[openai]\n\"gpt-4o\" = { read = 1.0, cached = 1.0, sampled = 1.0 }\n").unwrap();
        let prices = Prices::load(Some(&file)).unwrap();
        assert_eq!(prices.of("openai", "gpt-4o").unwrap().sampled, 1.0);
        assert_eq!(prices.of("openai", "gpt-4o-mini").unwrap().sampled, 0.6);
        std::fs::write(&file, "[openai]\n\"gpt-4o\" = 3\n").unwrap();
        let error = Prices::load(Some(&file)).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("sampled"), "{error}");
    }
}
