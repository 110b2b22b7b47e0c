//! The shape of a model, read from and written to the `config.json` of Hugging Face.

use crate::LmError;
use crate::error::{fits, parse_json, read_text};
use crate::rope::RopeScaling;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Decoders this crate runs. They differ in where there are biases, in norms of queries and keys, and in what
/// `layer.rs` says.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 1 to 3, and whatever else calls itself `llama`.
    #[default]
    Llama,
    /// Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3 (dense): every head of queries and keys is normalised before it is rotated.
    Qwen3,
    /// Gemma 3 (text): norms around both halves of a layer, GeGLU, windows with rotary frequencies of their own.
    #[serde(rename = "gemma3_text")]
    Gemma3,
}

/// What transformers assumes where a `config.json` says nothing: it leaves out what is as usual.
struct Defaults {
    vocab_size: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_size: usize,
    layers: usize,
    heads: usize,
    rope_theta: f64,
    tied: bool,
}

/// What Llama and Qwen assume.
const USUAL: Defaults = Defaults {
    vocab_size: 32_000,
    intermediate_size: 11_008,
    max_position_embeddings: 2048,
    key_value_heads: None,
    head_dim: None,
    hidden_size: 4096,
    layers: 32,
    heads: 32,
    rope_theta: 10_000.0,
    tied: false,
};

impl Family {
    const ALL: [(Family, &'static str, &'static str); 4] = [
        (Family::Llama, "llama", "LlamaForCausalLM"),
        (Family::Qwen2, "qwen2", "Qwen2ForCausalLM"),
        (Family::Qwen3, "qwen3", "Qwen3ForCausalLM"),
        (Family::Gemma3, "gemma3_text", "Gemma3ForCausalLM"),
    ];

    /// `model_type` and the class in `architectures`.
    fn names(self) -> (&'static str, &'static str) {
        let [llama, qwen2, qwen3, gemma3] = Family::ALL;
        let (_, model_type, class) = match self {
            Family::Llama => llama,
            Family::Qwen2 => qwen2,
            Family::Qwen3 => qwen3,
            Family::Gemma3 => gemma3,
        };
        (model_type, class)
    }

    fn defaults(self) -> Defaults {
        match self {
            Family::Llama => USUAL,
            Family::Qwen2 | Family::Qwen3 => Defaults {
                vocab_size: 151_936,
                intermediate_size: 22_016,
                max_position_embeddings: 32_768,
                key_value_heads: Some(32),
                head_dim: (self == Family::Qwen3).then_some(128),
                ..USUAL
            },
            Family::Gemma3 => Defaults {
                vocab_size: 262_208,
                intermediate_size: 9216,
                max_position_embeddings: 131_072,
                key_value_heads: Some(4),
                head_dim: Some(256),
                hidden_size: 2304,
                layers: 26,
                heads: 8,
                rope_theta: 1_000_000.0,
                tied: true,
            },
        }
    }

    /// The field that names what gates the feed-forward layer, and what it must say.
    fn activation(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Family::Gemma3 => ("hidden_activation", ["gelu_pytorch_tanh", "gelu_pytorch_tanh"]),
            _ => ("hidden_act", ["silu", "swish"]),
        }
    }
}

/// Shape of a decoder; field names are those of `config.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Config {
    /// Kind of decoder.
    #[serde(rename = "model_type", default)]
    pub family: Family,
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
    /// How the rotary frequencies are stretched for long contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases on queries, keys, values and the attention's output (Llama, Qwen3; Qwen2 always has the first three).
    #[serde(default)]
    pub attention_bias: bool,
    /// Biases on the feed-forward layer (Llama).
    #[serde(default)]
    pub mlp_bias: bool,
    /// Tokens a layer with a window sees, itself included; none if no layer has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// Base of the rotary frequencies of layers with a window, where they have their own (Gemma 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_local_base_freq: Option<f64>,
    /// Products of queries and keys are divided by the root of this (Gemma 3); the width of a head if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<f64>,
    /// For each layer whether it has the window; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sliding_layers: Vec<bool>,
    /// First token of a text, if the model has one.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// End-of-turn token; the first one where a checkpoint lists several (see `Checkpoint::stop`).
    #[serde(default)]
    pub eos_token_id: Option<u32>,
    /// Padding token.
    #[serde(default)]
    pub pad_token_id: Option<u32>,
}

/// Larger sizes than any model has: a `config.json` that states one is broken, and no product overflows below it.
const LARGEST: usize = 1 << 24;
const MOST_LAYERS: usize = 1 << 12;

impl Config {
    /// The shape used for the organism: 4 layers of width 128.
    pub fn organism(vocab_size: usize) -> Config {
        Config {
            family: Family::Llama,
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
            rope_scaling: None,
            tie_word_embeddings: true,
            attention_bias: false,
            mlp_bias: false,
            sliding_window: None,
            rope_local_base_freq: None,
            query_pre_attn_scalar: None,
            sliding_layers: Vec::new(),
            bos_token_id: None,
            eos_token_id: None,
            pad_token_id: None,
        }
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Whether queries, keys and values have biases.
    pub fn qkv_bias(&self) -> bool {
        self.attention_bias || self.family == Family::Qwen2
    }

    /// Whether the attention's output has a bias.
    pub fn o_bias(&self) -> bool {
        self.attention_bias && self.family != Family::Qwen2
    }

    /// Whether every head of queries and keys is normalised.
    pub fn qk_norm(&self) -> bool {
        matches!(self.family, Family::Qwen3 | Family::Gemma3)
    }

    /// Tokens that layer `layer` sees, if not all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.sliding_layers.get(layer) == Some(&true))
    }

    /// Number of weights, and what all of them take in memory with `width` bytes each: asked before anything is made
    /// of what a file says of itself. `path` is named in the error.
    ///
    /// # Errors
    /// There is not so much memory.
    pub(crate) fn fits(&self, path: &Path, width: u128) -> Result<(), LmError> {
        let [h, i, hd, vocab, layers] =
            [self.hidden_size, self.intermediate_size, self.head_dim(), self.vocab_size, self.num_hidden_layers]
                .map(|size| size as u128);
        let heads = (self.num_attention_heads + self.num_key_value_heads) as u128;
        let embeddings = if self.tie_word_embeddings { 1 } else { 2 };
        let weights = embeddings * vocab * h + layers * (2 * heads * hd * h + 3 * h * i);
        fits(path, "a model of these sizes", weights * width)
    }

    /// Reads a `config.json`.
    ///
    /// # Errors
    /// The file is missing, is no JSON, or describes something that this crate does not run.
    pub fn load(path: &Path) -> Result<Config, LmError> {
        let text = read_text(path)?;
        Self::parse(&text, path)
    }

    /// Reads the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Config, LmError> {
        let hint = "a Hugging Face config.json of a Llama, Qwen2, Qwen3 or Gemma 3 checkpoint is expected";
        let broken = |what: String| LmError::Broken { path: path.into(), what, hint: hint.into() };
        let json: Value = parse_json(path, text, hint)?;
        if !json.is_object() {
            return Err(broken("not a JSON object".into()));
        }
        let fields = Fields { json: &json, path };
        let family = fields.family()?;
        fields.refuse_unsupported(family)?;
        let defaults = family.defaults();
        let heads = fields.size("num_attention_heads", defaults.heads)?;
        let layers = fields.size("num_hidden_layers", defaults.layers)?;
        let key_value_heads = match json.get("num_key_value_heads") {
            Some(Value::Null) => heads,
            _ => fields.size("num_key_value_heads", defaults.key_value_heads.unwrap_or(heads))?,
        };
        let head_dim = match json.get("head_dim") {
            Some(Value::Null) => None,
            Some(_) => Some(fields.size("head_dim", 0)?),
            None => defaults.head_dim,
        };
        // transformers 5 keeps base and scaling in `rope_parameters`, 4 at the top and in `rope_scaling`.
        let max_position_embeddings = fields.size("max_position_embeddings", defaults.max_position_embeddings)?;
        let nested = fields.object("rope_parameters").or(fields.object("rope_scaling"));
        // Where layers with a window have frequencies of their own, there is one object for each kind.
        let of_kind = |kind: &str| nested.and_then(|n| n.get(kind)).filter(|_| family == Family::Gemma3);
        let local = of_kind("sliding_attention").and_then(|local| local.get("rope_theta")).and_then(Value::as_f64);
        let nested = of_kind("full_attention").or(nested);
        let rope_theta = match nested.and_then(|n| n.get("rope_theta")).filter(|theta| !theta.is_null()) {
            Some(theta) => theta.as_f64().ok_or_else(|| fields.wrong("rope_theta", "is no number".into()))?,
            None => fields.number("rope_theta", defaults.rope_theta)?,
        };
        let rope_scaling = match nested {
            Some(nested) => RopeScaling::parse(nested, max_position_embeddings)
                .map_err(|(field, what)| fields.wrong(&format!("rope_parameters.{field}"), what))?,
            None => None,
        };
        let (sliding_window, sliding_layers) = fields.windows(family, layers)?;
        let (rope_local_base_freq, query_pre_attn_scalar) = match family {
            Family::Gemma3 => (
                Some(local.map_or_else(|| fields.number("rope_local_base_freq", 10_000.0), Ok)?),
                Some(fields.number("query_pre_attn_scalar", 256.0)?),
            ),
            _ => (None, None),
        };
        let config = Config {
            family,
            hidden_size: fields.size("hidden_size", defaults.hidden_size)?,
            intermediate_size: fields.size("intermediate_size", defaults.intermediate_size)?,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads,
            head_dim,
            vocab_size: fields.size("vocab_size", defaults.vocab_size)?,
            max_position_embeddings,
            rms_norm_eps: fields.number("rms_norm_eps", 1e-6)?,
            rope_theta,
            rope_scaling,
            tie_word_embeddings: fields.flag_or("tie_word_embeddings", defaults.tied)?,
            attention_bias: family != Family::Qwen2 && fields.flag("attention_bias")?,
            mlp_bias: family == Family::Llama && fields.flag("mlp_bias")?,
            sliding_window,
            rope_local_base_freq,
            query_pre_attn_scalar,
            sliding_layers,
            bos_token_id: token_ids(&json, "bos_token_id").first().copied(),
            eos_token_id: token_ids(&json, "eos_token_id").first().copied(),
            pad_token_id: token_ids(&json, "pad_token_id").first().copied(),
        };
        config.check(path)?;
        Ok(config)
    }

    /// Checks that the sizes fit together. `path` is named in the error.
    ///
    /// # Errors
    /// A size is zero or beyond all reason, the heads do not divide, or the head width is odd.
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
            if value > LARGEST {
                return refuse(field, format!("{value} is larger than in any model (at most {LARGEST})"));
            }
        }
        if self.num_hidden_layers > MOST_LAYERS {
            return refuse("num_hidden_layers", format!("{} is more than any model has", self.num_hidden_layers));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let what = format!("must divide num_attention_heads ({})", self.num_attention_heads);
            return refuse("num_key_value_heads", what);
        }
        if self.head_dim() == 0 || !self.head_dim().is_multiple_of(2) || self.head_dim() > LARGEST {
            return refuse("head_dim", format!("must be even and at most {LARGEST}, not {}", self.head_dim()));
        }
        let finite = |x: f64| x.is_finite() && x > 0.0;
        for (field, value) in [
            ("rope_theta", Some(self.rope_theta)),
            ("rope_local_base_freq", self.rope_local_base_freq),
            ("query_pre_attn_scalar", self.query_pre_attn_scalar),
        ] {
            if let Some(value) = value.filter(|value| !finite(*value)) {
                return refuse(field, format!("must be a positive number, not {value}"));
            }
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return refuse("rms_norm_eps", format!("must be a small number, not {}", self.rms_norm_eps));
        }
        if self.sliding_window == Some(0) {
            return refuse("sliding_window", "must be at least 1".into());
        }
        Ok(())
    }

    /// The text of a `config.json` that transformers 4 and 5 load unchanged.
    pub fn to_hf_json(&self, dtype: &str) -> String {
        // Serialising plain numbers into a map cannot fail.
        let mut json = serde_json::to_value(self).unwrap_or_default();
        let (model_type, class) = self.family.names();
        let mut rope = match &self.rope_scaling {
            Some(scaling) => serde_json::to_value(scaling).unwrap_or_default(),
            None => serde_json::json!({"rope_type": "default"}),
        };
        rope["rope_theta"] = self.rope_theta.into();
        if let Some(map) = json.as_object_mut() {
            if self.sliding_window.is_some() || self.family == Family::Gemma3 {
                let mut slides = self.sliding_layers.clone();
                slides.resize(self.num_hidden_layers, false);
                let kind = |slides: &bool| if *slides { "sliding_attention" } else { "full_attention" };
                map.insert("use_sliding_window".into(), true.into());
                map.insert("layer_types".into(), slides.iter().map(kind).collect());
                map.remove("sliding_layers");
            }
            for (key, value) in [
                ("architectures", serde_json::json!([class])),
                ("model_type", model_type.into()),
                (self.family.activation().0, self.family.activation().1[0].into()),
                ("attention_dropout", 0.0.into()),
                ("head_dim", self.head_dim().into()),
                ("initializer_range", 0.02.into()),
                ("pretraining_tp", 1.into()),
                ("use_cache", true.into()),
                ("torch_dtype", dtype.into()),
                ("dtype", dtype.into()),
                ("rope_parameters", rope),
            ] {
                map.insert(key.into(), value);
            }
        }
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }
}

/// The token ids of a field that holds one id, a list of them, or nothing. -1 and other odd values are none.
pub(crate) fn token_ids(json: &Value, field: &str) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match json.get(field) {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The fields of a `config.json`, read with errors that name them.
struct Fields<'a> {
    json: &'a Value,
    path: &'a Path,
}

impl Fields<'_> {
    fn wrong(&self, field: &str, what: String) -> LmError {
        LmError::Config { path: self.path.into(), field: field.into(), what }
    }

    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.json.get(field).filter(|value| !value.is_null())
    }

    fn object(&self, field: &str) -> Option<&Value> {
        self.get(field).filter(|value| value.as_object().is_some_and(|map| !map.is_empty()))
    }

    fn size(&self, field: &str, default: usize) -> Result<usize, LmError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| self.wrong(field, format!("must be a whole number, not {value}")))
    }

    fn number(&self, field: &str, default: f64) -> Result<f64, LmError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value.as_f64().ok_or_else(|| self.wrong(field, format!("must be a number, not {value}")))
    }

    fn flag(&self, field: &str) -> Result<bool, LmError> {
        self.flag_or(field, false)
    }

    fn flag_or(&self, field: &str, default: bool) -> Result<bool, LmError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value.as_bool().ok_or_else(|| self.wrong(field, format!("must be true or false, not {value}")))
    }

    fn family(&self) -> Result<Family, LmError> {
        let class = self.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
        let kind = self.get("model_type").and_then(Value::as_str);
        let known = |(_, name, of): &&(Family, &str, &str)| match (kind, class) {
            (Some(kind), Some(class)) => *name == kind && *of == class,
            (Some(kind), None) => *name == kind,
            (None, class) => *of == class.unwrap_or("LlamaForCausalLM"),
        };
        Family::ALL.iter().find(known).map(|found| found.0).ok_or_else(|| {
            let field = if kind.is_some() { "model_type" } else { "architectures" };
            let what = format!(
                "{} ({}) is not supported; LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM and Gemma3ForCausalLM are",
                kind.unwrap_or("no model_type"),
                class.unwrap_or("no architecture named")
            );
            self.wrong(field, what)
        })
    }

    fn refuse_unsupported(&self, family: Family) -> Result<(), LmError> {
        if let Some(quantised) = self.get("quantization_config") {
            let how = quantised.get("quant_method").and_then(Value::as_str).unwrap_or("of an unnamed method");
            let what = format!("quantised weights ({how}) are not supported; use the checkpoint in bf16, f16 or f32");
            return Err(self.wrong("quantization_config", what));
        }
        let (field, known) = family.activation();
        if let Some(act) = self.get(field).filter(|act| known.iter().all(|known| *act != known)) {
            return Err(self.wrong(field, format!("{act} is not supported, only \"{}\" is", known[0])));
        }
        for field in ["attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"] {
            if self.get(field).is_some_and(|value| family == Family::Gemma3 && *value != false) {
                return Err(self.wrong(field, "models with it are not supported".into()));
            }
        }
        Ok(())
    }

    /// The window and which layers have it, as transformers' configurations of the families decide it.
    fn windows(&self, family: Family, layers: usize) -> Result<(Option<usize>, Vec<bool>), LmError> {
        let gemma = family == Family::Gemma3;
        if family == Family::Llama || !(gemma || self.flag("use_sliding_window")?) {
            return Ok((None, Vec::new()));
        }
        if self.json.get("sliding_window").is_some_and(Value::is_null) {
            return Ok((None, Vec::new()));
        }
        let window = self.size("sliding_window", 4096)?;
        let first = self.size("max_window_layers", 28)?;
        // Of so many layers, the last sees all.
        let pattern = self.size("sliding_window_pattern", 6)?.max(1);
        let usual = |layer: usize| if gemma { !(layer + 1).is_multiple_of(pattern) } else { layer >= first };
        let slides: Vec<bool> = match self.get("layer_types").and_then(Value::as_array) {
            None => (0..layers.min(MOST_LAYERS)).map(usual).collect(),
            Some(types) => types
                .iter()
                .map(|kind| match kind.as_str() {
                    Some("sliding_attention") => Ok(true),
                    Some("full_attention") => Ok(false),
                    _ => Err(self.wrong("layer_types", format!("{kind} is not supported"))),
                })
                .collect::<Result<_, _>>()?,
        };
        if slides.len() != layers.min(MOST_LAYERS) {
            let what = format!("names {} layers, num_hidden_layers is {layers}", slides.len());
            return Err(self.wrong("layer_types", what));
        }
        Ok(if slides.contains(&true) { (Some(window), slides) } else { (None, Vec::new()) })
    }
}
