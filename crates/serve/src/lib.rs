//! A model over HTTP, as clients of OpenAI and Anthropic expect it.
//!
//! [`Endpoint::run`] answers `/v1/chat/completions`, `/v1/messages` and `/v1/models` with any
//! [`Chat`]: tools, streams, log-probabilities, errors in the form of the API that was asked. It also shows pages it is
//! given. Every request is worked at on a thread of its own; a model on this machine joins what waits into one batch.
//!
//! It is meant for this machine. Without a token it answers only requests that name this machine as their host and come
//! from no page of another, so that a web page cannot reach it through a browser.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod anthropic;
mod http;
mod openai;
mod route;
mod sampling;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use loophole_chat::{Chat, ChatError, Reply};

/// A page that is made when it is asked for.
pub struct Page {
    /// Its name in the address and in the list of pages.
    pub name: String,
    /// Makes it; or says why it cannot be made.
    pub render: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

/// What is served.
pub struct Endpoint {
    chat: Arc<dyn Chat>,
    /// What clients call the model.
    name: String,
    token: Option<String>,
    pages: Vec<Page>,
    /// Seconds since 1970.
    began: u64,
    seed: u64,
    number: AtomicU64,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve: {0}")]
pub struct ServeError(#[from] std::io::Error);

impl Endpoint {
    /// Serves a model under its own name. A request without a seed gets one that follows from `seed` and the number of
    /// the request.
    pub fn new(chat: Arc<dyn Chat>, seed: u64) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = chat.name().to_string();
        Endpoint { chat, name, token: None, pages: Vec::new(), began, seed, number: AtomicU64::new(0) }
    }

    /// Answers only those who send this token, as `Authorization: Bearer` or `x-api-key`.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Shows pages as well.
    #[must_use]
    pub fn with_pages(mut self, pages: Vec<Page>) -> Self {
        self.pages = pages;
        self
    }

    /// Answers requests until the process ends.
    ///
    /// # Errors
    /// The system does not let us listen.
    pub fn run(self, listener: TcpListener) -> Result<(), ServeError> {
        let endpoint = Arc::new(self);
        Ok(http::serve(listener, Arc::new(move |incoming, answer| endpoint.route(&incoming, answer)))?)
    }

    /// The next request's number.
    fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The seed of a request that names none.
    fn seed_of(&self, number: u64) -> u64 {
        // Neighbouring numbers give seeds that have nothing in common (SplitMix64).
        let mut z = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Why a request is not answered, before it has the form of one API.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    status: u16,
    message: String,
    /// The field that is wrong.
    field: Option<String>,
    /// OpenAI's code for it.
    code: Option<&'static str>,
}

impl Problem {
    fn field(field: &str, message: impl Into<String>) -> Self {
        Problem { status: 400, message: message.into(), field: Some(field.to_string()), code: None }
    }

    fn other(status: u16, message: impl Into<String>) -> Self {
        Problem { status, message: message.into(), field: None, code: None }
    }

    fn of(error: &ChatError) -> Self {
        let status = match error {
            ChatError::Rejected { status, .. } => *status,
            ChatError::Overloaded { .. } | ChatError::Unreachable { .. } => 503,
            ChatError::Malformed { .. } | ChatError::Access { .. } => 502,
            ChatError::Model { .. } | ChatError::UnknownMock { .. } => 500,
        };
        Self::other(status, error.to_string())
    }
}

/// A reply without a token to a prompt that fills the context is none.
fn no_room(reply: &Reply, max_tokens: usize) -> Option<Problem> {
    let empty = !reply.stopped() && reply.usage.completion_tokens == 0 && max_tokens > 0;
    empty.then(|| Problem {
        status: 400,
        message: format!("the prompt is too long: {} tokens do not fit into the context", reply.usage.prompt_tokens),
        field: Some("messages".to_string()),
        code: Some("context_length_exceeded"),
    })
}
