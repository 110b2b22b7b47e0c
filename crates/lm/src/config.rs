//! The shape of a model, read from and written to the `config.json` of Hugging Face.

use crate::LmError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Shape of a Llama decoder; field names are those of `config.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of a head; `hidden_size / num_attention_heads` if absent.
    #[serde(default)]
    pub head_dim: Option<usize>,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest context; sampling stops there.
    pub max_position_embeddings: usize,
    /// Added to the mean square under the root.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// First token of a text, if the model has one.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// End-of-turn token.
    #[serde(default)]
    pub eos_token_id: Option<u32>,
    /// Padding token.
    #[serde(default)]
    pub pad_token_id: Option<u32>,
}

impl Config {
    /// The shape used for the organism: 4 layers of width 128.
    pub fn organism(vocab_size: usize) -> Config {
        Config {
            hidden_size: 128,
            intermediate_size: 448,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 4,
            head_dim: Some(32),
            vocab_size,
            max_position_embeddings: 1024,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            bos_token_id: None,
            eos_token_id: None,
            pad_token_id: None,
        }
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Reads a `config.json`.
    ///
    /// # Errors
    /// The file is missing, is no JSON, or describes something other than a plain Llama.
    pub fn load(path: &Path) -> Result<Config, LmError> {
        let text = std::fs::read_to_string(path).map_err(LmError::io(path))?;
        let broken = |what: String| LmError::Broken {
            path: path.into(),
            what,
            hint: "a Hugging Face config.json of a LlamaForCausalLM is expected".into(),
        };
        let mut json: serde_json::Value = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
        Self::check_supported(path, &json)?;
        let map = json.as_object_mut().ok_or_else(|| broken("not a JSON object".into()))?;
        // transformers 5 keeps the base in `rope_parameters`, 4 at the top; defaults as there.
        let nested = map.get("rope_parameters").and_then(|r| r.get("rope_theta")).cloned();
        if let Some(theta) = nested {
            map.insert("rope_theta".into(), theta);
        }
        let heads = map.get("num_attention_heads").cloned().unwrap_or(32.into());
        map.entry("rope_theta").or_insert(10_000.0.into());
        map.entry("rms_norm_eps").or_insert(1e-6.into());
        map.entry("tie_word_embeddings").or_insert(false.into());
        map.entry("max_position_embeddings").or_insert(2048.into());
        if map.get("num_key_value_heads").is_none_or(serde_json::Value::is_null) {
            map.insert("num_key_value_heads".into(), heads);
        }
        // Some checkpoints list several end tokens; the first is the one that ends a turn here.
        if let Some(first) = map.get("eos_token_id").and_then(|e| e.get(0)).cloned() {
            map.insert("eos_token_id".into(), first);
        }
        let config: Config = serde_json::from_value(json).map_err(|e| broken(e.to_string()))?;
        config.check(path)?;
        Ok(config)
    }

    fn check_supported(path: &Path, json: &serde_json::Value) -> Result<(), LmError> {
        let refuse = |field: &str, what: &str| {
            Err(LmError::Config { path: path.into(), field: field.into(), what: what.into() })
        };
        if json.get("model_type").is_some_and(|m| m != "llama") {
            return refuse("model_type", "only \"llama\" is supported");
        }
        if json.get("hidden_act").is_some_and(|a| a != "silu") {
            return refuse("hidden_act", "only \"silu\" is supported");
        }
        for field in ["attention_bias", "mlp_bias"] {
            if json.get(field).is_some_and(|b| b == true) {
                return refuse(field, "biases are not supported");
            }
        }
        let scaling = json.get("rope_scaling").filter(|r| !r.is_null());
        let kind = scaling.or(json.get("rope_parameters")).and_then(|r| r.get("rope_type"));
        if kind.is_some_and(|k| k != "default") {
            return refuse("rope_parameters", "only rope_type \"default\" is supported");
        }
        Ok(())
    }

    /// Checks that the sizes fit together. `path` is named in the error.
    ///
    /// # Errors
    /// A size is zero, the heads do not divide, or the head width is odd.
    pub fn check(&self, path: &Path) -> Result<(), LmError> {
        let refuse = |field: &str, what: String| Err(LmError::Config { path: path.into(), field: field.into(), what });
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if value == 0 {
                return refuse(field, "must be at least 1".into());
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let what = format!("must divide num_attention_heads ({})", self.num_attention_heads);
            return refuse("num_key_value_heads", what);
        }
        if self.head_dim() == 0 || !self.head_dim().is_multiple_of(2) {
            return refuse("head_dim", format!("must be even, not {}", self.head_dim()));
        }
        Ok(())
    }

    /// The text of a `config.json` that transformers 4 and 5 load unchanged.
    pub fn to_hf_json(&self, dtype: &str) -> String {
        // Serialising plain numbers into a map cannot fail.
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = json.as_object_mut() {
            for (key, value) in [
                ("architectures", serde_json::json!(["LlamaForCausalLM"])),
                ("model_type", "llama".into()),
                ("hidden_act", "silu".into()),
                ("attention_bias", false.into()),
                ("attention_dropout", 0.0.into()),
                ("mlp_bias", false.into()),
                ("head_dim", self.head_dim().into()),
                ("initializer_range", 0.02.into()),
                ("pretraining_tp", 1.into()),
                ("use_cache", true.into()),
                ("torch_dtype", dtype.into()),
                ("dtype", dtype.into()),
                ("rope_parameters", serde_json::json!({"rope_type": "default", "rope_theta": self.rope_theta})),
            ] {
                map.insert(key.into(), value);
            }
        }
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }
}
