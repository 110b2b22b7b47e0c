//! One trait for a model one can talk to. A caller hands over a batch of conversations and gets one
//! [`Reply`] for each, in the same order; whether a mock or a checkpoint on this machine
//! answers does not show. What every answer has in common (a thought before it, a code fence around it) is
//! taken apart here, once, so that no caller parses it again.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod local;
pub mod mock;
mod text;

pub use local::Local;
pub use mock::{Key, Mock};
use serde::{Deserialize, Serialize};
pub use text::{first_line, split_thought, strip_fences};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The frame of the conversation.
    System,
    /// Whoever talks to the model.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name chat formats use.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of the given role.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Message { role, content: content.into() }
    }
}

/// One conversation that waits for the model's next message.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The conversation so far; the last message is the user's.
    pub messages: Vec<Message>,
    /// Seed of the sampling: the same request gets the same reply, whatever else is in the batch.
    pub seed: u64,
    /// Sampling temperature; 0 takes the likeliest token.
    pub temperature: f32,
    /// Most tokens to sample.
    pub max_tokens: usize,
    /// What a mock needs to know to act its part. Real models never see it.
    pub key: Option<Key>,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// All of it.
    pub text: String,
    /// What stands inside `<think>…</think>`.
    pub thought: Option<String>,
    /// What comes after the thought, trimmed. See [`strip_fences`] for answers that are code.
    pub answer: String,
    /// Tokens sampled (for a mock: words).
    pub tokens: usize,
    /// True if the model ended by itself, false if it was cut off at `max_tokens`.
    pub stopped: bool,
}

impl Reply {
    /// Takes a whole text apart.
    pub fn from_text(text: impl Into<String>, tokens: usize, stopped: bool) -> Self {
        let text = text.into();
        let (thought, answer) = split_thought(&text);
        Reply { thought, answer, text, tokens, stopped }
    }
}

/// Why a model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// A mock that does not exist.
    #[error("there is no mock behaviour {name:?}; known are {}", mock::NAMES.join(", "))]
    UnknownMock {
        /// The name that was asked for.
        name: String,
    },
    /// The model could not be opened or run.
    #[error("{model}: {reason}")]
    Model {
        /// The model's name.
        model: String,
        /// What went wrong and what to do.
        reason: String,
    },
}

/// A model one can talk to.
pub trait Chat: Send {
    /// What to call the model in reports.
    fn name(&self) -> &str;

    /// One reply for each request, in the order of the requests.
    ///
    /// # Errors
    /// The model could not be run at all; a bad answer is a reply like any other.
    fn reply(&mut self, requests: &[Request]) -> Result<Vec<Reply>, ChatError>;
}
