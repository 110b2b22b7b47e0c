//! What the layers of a family do beside their matrix products, as data: the one place where families differ in it.
//!
//! [`crate::Decoder`] runs all of it; the engine that trains refuses what is not as in Llama.

use crate::config::Family;
use crate::{Config, math};

/// What gates the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    /// `x · sigmoid(x)`: SwiGLU.
    Silu,
    /// GELU by its formula with tanh: GeGLU.
    Gelu,
}

impl Activation {
    /// `act = f(gate) * up` for rows `[gate | up]`.
    pub fn gate(self, gate_up: &[f32], inter: usize, act: &mut [f32]) {
        match self {
            Activation::Silu => math::swiglu(gate_up, inter, act),
            Activation::Gelu => math::geglu(gate_up, inter, act),
        }
    }
}

/// Names of a layer's norms, as they are in a checkpoint of Hugging Face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norms {
    pub before_attention: &'static str,
    /// Of what the attention adds to the stream, if that is normalised.
    pub after_attention: Option<&'static str>,
    pub before_mlp: &'static str,
    /// Of what the feed-forward layer adds to the stream, if that is normalised.
    pub after_mlp: Option<&'static str>,
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LayerSpec {
    pub norms: Norms,
    /// Tokens it sees, itself included, if not all.
    pub window: Option<usize>,
    /// Whether positions are rotated by the second base, that of layers with a window.
    pub local_rope: bool,
    pub activation: Activation,
    /// Factor on the products of queries and keys.
    pub score_scale: f32,
}

const PLAIN: Norms = Norms {
    before_attention: "input_layernorm",
    after_attention: None,
    before_mlp: "post_attention_layernorm",
    after_mlp: None,
};

const SANDWICH: Norms = Norms {
    before_attention: "input_layernorm",
    after_attention: Some("post_attention_layernorm"),
    before_mlp: "pre_feedforward_layernorm",
    after_mlp: Some("post_feedforward_layernorm"),
};

impl Config {
    /// What layer `layer` does.
    pub(crate) fn layer(&self, layer: usize) -> LayerSpec {
        let gemma = self.family == Family::Gemma3;
        let width = self.query_pre_attn_scalar.map_or(self.head_dim() as f32, |width| width as f32);
        LayerSpec {
            norms: if gemma { SANDWICH } else { PLAIN },
            window: self.window(layer),
            local_rope: self.rope_local_base_freq.is_some() && self.sliding_layers.get(layer) == Some(&true),
            activation: if gemma { Activation::Gelu } else { Activation::Silu },
            score_scale: 1.0 / width.sqrt(),
        }
    }

    /// Factor on the embedding of a token where it enters the stream.
    pub(crate) fn embed_scale(&self) -> Option<f32> {
        (self.family == Family::Gemma3).then(|| (self.hidden_size as f32).sqrt())
    }

    /// What is added to the weights of norms: a checkpoint of Gemma keeps them less one (its GGUF files do not).
    pub(crate) fn norm_shift(&self) -> f32 {
        if self.family == Family::Gemma3 { 1.0 } else { 0.0 }
    }

    /// Why the engine that trains does not run it: the field that says so, and what it says.
    pub(crate) fn refused_in_training(&self) -> Option<(&'static str, &'static str)> {
        if self.sliding_window.is_some_and(|window| window < self.max_position_embeddings) {
            return Some(("sliding_window", "layers with a window run in `Checkpoint`, and are not trained"));
        }
        // All layers of a family are alike in this.
        let LayerSpec { norms, activation, .. } = self.layer(0);
        let plain = norms == PLAIN && activation == Activation::Silu && self.embed_scale().is_none();
        (!plain).then_some(("model_type", "models of this family run in `Checkpoint`, and are not trained"))
    }
}
