//! The small CPU engine: tokenizer, decoder, LoRA, sampling, checkpoints.
//!
//! One architecture (the plain Llama decoder: RMSNorm, rotary positions, grouped-query attention,
//! SwiGLU, tied or untied head), float32, forward and hand-derived backward. A [`Model`] is a
//! configuration and one flat buffer of weights; an [`Engine`] holds the scratch buffers and the
//! thread setting and turns sequences into log-probabilities and gradients; [`AdamW`] applies
//! them; [`sample`] continues prompts. Everything is deterministic: equal inputs give equal bits
//! on one machine, whatever the number of threads. The crate knows nothing of rewards.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod bench;
mod cache;
pub mod chat_template;
mod config;
mod decoder;
mod draw;
mod engine;
mod error;
mod generate;
mod linear;
mod lora;
pub mod math;
mod model;
mod optim;
mod pass;
pub mod rng;
mod rope;
mod sample;
mod store;
mod tokenizer;

pub use config::{Config, Family};
pub use decoder::Decoder;
pub use draw::{Completion, Drawn, Prompt, SampleOptions, Watch};
pub use engine::{Engine, Sequence};
pub use error::LmError;
pub use lora::{ALL_LINEAR, Lora};
pub use model::{Dtype, Model, View, views};
pub use optim::{AdamW, clip_grad_norm};
pub use rope::{Rope, RopeScaling};
pub use sample::{sample, sample_watched};
pub use tokenizer::Tokenizer;
