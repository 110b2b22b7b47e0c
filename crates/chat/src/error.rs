//! Why a model did not answer, told so that the caller knows whether to go on.

use crate::mock;

/// Why a model did not answer. What could pass was tried several times before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// A mock that does not exist.
    #[error("there is no mock behaviour {name:?}; known are {}", mock::NAMES.join(", "))]
    UnknownMock {
        /// The name that was asked for.
        name: String,
    },
    /// A model on this machine could not be opened or run.
    #[error("{model}: {reason}")]
    Model {
        /// The model's name.
        model: String,
        /// What went wrong and what to do.
        reason: String,
    },
    /// The chat template of a model on this machine fails with this conversation, without having been asked to.
    #[error("{model}: {reason}; it is the template that must be mended, or another one taken")]
    Template {
        /// The model's name.
        model: String,
        /// Where and at what.
        reason: String,
    },
    /// The endpoint wants a key, or another one, or does not know the model.
    #[error("{model}: {reason}")]
    Access {
        /// The model's name.
        model: String,
        /// What the endpoint said and what to do.
        reason: String,
    },
    /// The endpoint cannot be reached, or does not answer in time.
    #[error("{model}: {url} does not answer after {attempts} attempts: {reason}")]
    Unreachable {
        /// The model's name.
        model: String,
        /// Where it should be.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        reason: String,
    },
    /// The endpoint is there and has no capacity, or fails.
    #[error("{model}: the endpoint answered {status} in each of {attempts} attempts: {reason}")]
    Overloaded {
        /// The model's name.
        model: String,
        /// Status of the last attempt.
        status: u16,
        /// How often it was tried.
        attempts: u32,
        /// What it said the last time.
        reason: String,
    },
    /// The endpoint refuses this request: too long, an option it does not know.
    #[error("{model}: the endpoint refuses the request ({status}): {reason}")]
    Rejected {
        /// The model's name.
        model: String,
        /// Status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// What came back is no reply.
    #[error("{model}: the endpoint's answer cannot be used: {reason}")]
    Malformed {
        /// The model's name.
        model: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ChatError {
    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Overloaded { .. } | Self::Malformed { .. })
    }

    /// Whether no request to this model can succeed until somebody changes something: there is no use in going on.
    pub fn fatal(&self) -> bool {
        matches!(self, Self::UnknownMock { .. } | Self::Model { .. } | Self::Access { .. })
    }
}
