//! The shape of a model, from a GGUF file's metadata and the list of its tensors.

use super::Gguf;
use crate::store::Store;
use crate::{Config, LmError, RopeScaling};
use serde_json::{Map, Value, json};

/// Architectures that are read, and their classes in `transformers`.
const KNOWN: [(&str, &str); 4] = [
    ("llama", "LlamaForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "Qwen3ForCausalLM"),
    (GEMMA3, "Gemma3ForCausalLM"),
];

const GEMMA3: &str = "gemma3";

/// The largest Gemma 3 has so many layers, and scales its queries by another width than that of a head.
const LARGEST_GEMMA3: (u64, f64) = (62, 168.0);

/// What Llama 3.1 and later say of their rotary frequencies, but for the factor; a file holds the outcome only.
const LLAMA3: (f64, f64, f64) = (1.0, 4.0, 8192.0);

/// The tensor of factors on the rotary frequencies.
const FACTORS: &str = "rope_freqs.weight";

impl Gguf {
    /// What would be in `config.json`.
    ///
    /// # Errors
    /// Something is missing, wrong, or of a model that this crate does not run.
    pub(super) fn config(&self) -> Result<Config, LmError> {
        let arch = self.text("general.architecture")?.unwrap_or("none named");
        let Some((arch, class)) = KNOWN.iter().find(|(known, _)| *known == arch) else {
            let what = format!("{arch} is not supported; llama, qwen2, qwen3 and gemma3 are");
            return Err(self.wrong("general.architecture", &what));
        };
        let key = |name: &str| format!("{arch}.{name}");
        let needed = |name: &str| {
            let key = key(name);
            self.whole(&key)?.ok_or_else(|| self.wrong(&key, "is missing"))
        };
        let (hidden, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
        let head_dim = self.whole(&key("attention.key_length"))?.unwrap_or(hidden / heads.max(1));
        for name in ["attention.value_length", "rope.dimension_count"] {
            let other = self.whole(&key(name))?.filter(|other| *other != head_dim);
            if let Some(other) = other {
                let what = format!("is {other} and the width of a head {head_dim}; they must be equal here");
                return Err(self.wrong(&key(name), &what));
            }
        }
        let gemma = *arch == GEMMA3;
        for name in ["expert_count", "attention.sliding_window"] {
            let known = gemma && name == "attention.sliding_window";
            if !known && self.whole(&key(name))?.is_some_and(|count| count > 0) {
                return Err(self.wrong(&key(name), "models with it are not supported"));
            }
        }
        let Some(vocab) = self.tensors.get("token_embd.weight").and_then(|entry| entry.shape.first()) else {
            return Err(self.wrong("token_embd.weight", "the tensor is missing"));
        };
        let epsilon = key("attention.layer_norm_rms_epsilon");
        let number = |key: &str| self.number(key);
        let has = |name: &str| self.tensors.contains_key(name);
        let mut fields = json!({
            "model_type": if gemma { "gemma3_text" } else { arch },
            "architectures": [class],
            "hidden_size": hidden,
            "intermediate_size": needed("feed_forward_length")?,
            "num_hidden_layers": needed("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": self.whole(&key("attention.head_count_kv"))?.unwrap_or(heads),
            "head_dim": head_dim,
            "vocab_size": vocab,
            "max_position_embeddings": needed("context_length")?,
            "rms_norm_eps": number(&epsilon)?.ok_or_else(|| self.wrong(&epsilon, "is missing"))?,
            "rope_theta": number(&key("rope.freq_base"))?.unwrap_or(if gemma { 1e6 } else { 10_000.0 }),
            "tie_word_embeddings": !has("output.weight"),
            "attention_bias": *arch != "qwen2" && has("blk.0.attn_q.bias"),
            "mlp_bias": has("blk.0.ffn_gate.bias"),
        });
        if gemma {
            let (layers, width) = LARGEST_GEMMA3;
            let largest = needed("block_count")? == layers;
            fields["query_pre_attn_scalar"] = if largest { width } else { head_dim as f64 }.into();
            fields["sliding_window"] = needed("attention.sliding_window")?.into();
        }
        if let Some(scaling) = self.scaling(arch)? {
            fields["rope_scaling"] = scaling;
        }
        for (field, key) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
            if let Some(id) = self.whole(&format!("tokenizer.ggml.{key}_token_id"))? {
                fields[field] = id.into();
            }
        }
        Config::parse(&fields.to_string(), &self.path)
    }

    /// How the metadata says that rotary frequencies are stretched.
    fn scaling(&self, arch: &str) -> Result<Option<Value>, LmError> {
        let key = |name: &str| format!("{arch}.rope.{name}");
        let mut fields = Map::new();
        for (field, name) in [
            ("factor", "scaling.factor"),
            ("original_max_position_embeddings", "scaling.original_context_length"),
            ("attention_factor", "scaling.attn_factor"),
            ("beta_fast", "scaling.yarn_beta_fast"),
            ("beta_slow", "scaling.yarn_beta_slow"),
        ] {
            if let Some(number) = self.number(&key(name))? {
                fields.insert(field.into(), number.into());
            }
        }
        let kind = match (self.text(&key("scaling.type"))?, self.number(&key("scale_linear"))?) {
            (Some("none"), _) | (None, None) => return Ok(None),
            (Some(kind), _) => kind,
            (None, Some(factor)) => {
                fields.insert("factor".into(), factor.into());
                "linear"
            }
        };
        fields.insert("rope_type".into(), kind.into());
        Ok(Some(Value::Object(fields)))
    }

    /// Takes account of factors on the rotary frequencies, if the file has a tensor of them. They come from a formula
    /// that only Llama 3 has; if it gives them back, it is what is meant.
    ///
    /// # Errors
    /// The factors are others.
    pub(super) fn stretch(&self, config: &mut Config, store: &Store) -> Result<(), LmError> {
        if !self.tensors.contains_key(FACTORS) {
            return Ok(());
        }
        let factors = store.vector(FACTORS, &[config.head_dim() / 2])?;
        let largest = factors.iter().copied().fold(1.0f32, f32::max);
        if largest == 1.0 && factors.iter().all(|factor| *factor == 1.0) {
            return Ok(());
        }
        let (low_freq_factor, high_freq_factor, original_max_position_embeddings) = LLAMA3;
        let scaling = RopeScaling::Llama3 {
            factor: largest.into(),
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        };
        let close = |(a, b): (&f32, f32)| (a - b).abs() <= 1e-3 * b.abs();
        if config.rope_scaling.is_some() || !factors.iter().zip(scaling.factors(config)).all(close) {
            return Err(LmError::Tensor {
                path: self.path.clone(),
                tensor: FACTORS.into(),
                what: "holds other factors than those of Llama 3".into(),
                hint: "use the checkpoint in the form of Hugging Face".into(),
            });
        }
        config.rope_scaling = Some(scaling);
        Ok(())
    }
}
