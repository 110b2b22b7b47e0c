//! The small CPU engine: tokenizer, decoder, LoRA, sampling, checkpoints.
//!
//! One kind of decoder (RMSNorm, rotary positions, grouped-query attention, a gated feed-forward layer, tied or untied
//! head; with the biases and norms of Llama, Qwen2, Qwen3 and, untrained, Gemma 3), run in two ways. A [`Model`] is a configuration and one flat buffer of
//! f32 weights; an [`Engine`] holds the scratch buffers and the thread setting and turns sequences into
//! log-probabilities and gradients, forward and hand-derived backward; [`AdamW`] applies them; [`sample`] continues
//! prompts. A [`Decoder`] runs a checkpoint that is too large for that, in the number format of its files, those of GGUF
//! among them. A [`Checkpoint`] is either of them with its tokenizer and chat template. Everything is deterministic: equal inputs give
//! equal bits on one machine, whatever the number of threads. The crate knows nothing of rewards.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod base;
pub mod bench;
mod bounded;
mod cache;
pub mod chat_template;
mod checkpoint;
mod config;
mod decoder;
mod draw;
mod engine;
mod error;
mod generate;
mod generation;
mod gguf;
mod layer;
mod linear;
mod lora;
pub mod math;
mod model;
mod optim;
mod pass;
mod python;
mod quantised;
pub mod rng;
mod rope;
mod sample;
mod store;
mod tap;
mod template;
mod tokenizer;

pub use base::{adapter_base, same_weights};
pub use checkpoint::{Checkpoint, Runner, split_adapter};
pub use config::{Config, Family};
pub use decoder::Decoder;
pub use draw::{Completion, Drawn, Prompt, SampleOptions, Watch};
pub use engine::{Engine, Sequence};
pub use error::LmError;
pub use generation::GenerationConfig;
pub use lora::{ALL_LINEAR, Lora};
pub use model::{Dtype, Model, View, serialize, views};
pub use optim::{AdamW, clip_grad_norm};
pub use rope::{Rope, RopeScaling};
pub use sample::{sample, sample_watched};
pub use tap::{Activations, At, Capture, Edit, Edits, Span, Text, What};
pub use template::{ChatTemplate, tokenizer_settings};
pub use tokenizer::Tokenizer;
