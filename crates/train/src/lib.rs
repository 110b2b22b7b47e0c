//! How a model is changed: pretraining on sequences, and a [`Policy`] under objectives: reinforcement learning on rewarded
//! rollouts (GRPO), imitation (SFT), preference between pairs (DPO). This crate turns token sequences, weights and rewards into new parameters. It does not know
//! where a reward comes from, what a task is, or what an intervention means: those are data of its callers.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod dpo;
pub mod grpo;
pub mod policy;
pub mod pretrain;
pub mod sft;
mod state;

pub use dpo::DpoStats;
pub use grpo::UpdateStats;
pub use policy::{Policy, Rollout, TrainOptions, Update};
pub use pretrain::{PretrainOptions, PretrainStats, Pretraining};
pub use sft::SftStats;

/// Why a training could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The model's files.
    #[error(transparent)]
    Model(#[from] loophole_lm::LmError),
    /// The saved state of a training that cannot be read back.
    #[error("the training state {path} cannot be used: {reason}; delete the arm's folder to start it over")]
    State {
        /// File.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The loss is no longer a number.
    #[error("the loss became {loss} at step {step}; lower the learning rate ({lr})")]
    Diverged {
        /// Step at which it happened.
        step: usize,
        /// The loss.
        loss: f64,
        /// Learning rate in force.
        lr: f32,
    },
}
