//! Why a request is not answered, and the form in which each kind of client is told.

use crate::dialect::PATHS;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use loophole_chat::ChatError;
use loophole_chat::wire::Refusal;

use crate::model::{anthropic, openai};

/// Why a request is not answered, before it has the form of one API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: u16,
    pub message: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// OpenAI's code for it.
    pub code: Option<&'static str>,
    /// Seconds after which the same may succeed.
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Problem { field: Some(field.to_string()), ..Self::other(400, message) }
    }

    pub fn other(status: u16, message: impl Into<String>) -> Self {
        Problem { status, message: message.into(), field: None, code: None, retry_after: None }
    }

    /// There is no room for the request now.
    pub fn busy(seconds: u64, message: impl Into<String>) -> Self {
        Problem { retry_after: Some(seconds), code: Some("busy"), ..Self::other(503, message) }
    }

    /// The machine failed, which says nothing about what was asked.
    pub fn machine(message: impl Into<String>) -> Self {
        Problem { retry_after: Some(1), code: Some("machine"), ..Self::other(503, message) }
    }

    /// The deadline of the request has passed.
    pub fn late(message: impl Into<String>) -> Self {
        Problem { code: Some("deadline"), ..Self::other(504, message) }
    }

    pub fn of(error: &ChatError) -> Self {
        let status = match error {
            ChatError::Rejected { status, .. } => *status,
            ChatError::Overloaded { .. } | ChatError::Unreachable { .. } => 503,
            ChatError::Malformed { .. } | ChatError::Access { .. } => 502,
            ChatError::Model { .. } | ChatError::Template { .. } | ChatError::UnknownMock { .. } => 500,
        };
        Self::other(status, error.to_string())
    }
}

/// Whose form an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenAI's, which the routes of our own have too.
    OpenAi,
    Anthropic,
    /// `{"detail": ...}`, as servers made with FastAPI say it: all dialects of trainers.
    Detail,
}

impl Form {
    /// Anthropic's clients name the version they speak; others are taken for OpenAI's.
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        if path.starts_with("/v1/messages") || headers.contains_key("anthropic-version") {
            Form::Anthropic
        } else if PATHS.contains(&path) && !path.starts_with("/v1/") {
            Form::Detail
        } else {
            Form::OpenAi
        }
    }

    pub fn body(self, problem: &Problem) -> Refusal {
        match self {
            Form::OpenAi => openai::problem(problem),
            Form::Anthropic => anthropic::problem(problem),
            Form::Detail => Refusal { detail: Some(problem.message.clone()), ..Refusal::default() },
        }
    }

    pub fn refuse(self, problem: &Problem) -> Response {
        let mut response = json_response(problem.status, &self.body(problem));
        let headers = response.headers_mut();
        if let Some(seconds) = problem.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if matches!(problem.status, 401 | 403 | 413) {
            // What it goes on to send is not read.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// An answer in JSON.
pub(crate) fn json_response(status: u16, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => whole(status, "application/json", bytes),
        Err(error) => whole(500, "text/plain; charset=utf-8", format!("cannot write the answer: {error}\n")),
    }
}

/// An answer as a whole.
pub(crate) fn whole(status: u16, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
