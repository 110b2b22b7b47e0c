//! One attempt: send a body, read the answer, and say what kind of failure it was.

use std::io::{BufReader, Read};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

use super::parts::{Parts, beginning, next_event};
use super::{Remote, RemoteOptions, Wire, anthropic, headers, openai};
use crate::wire::{Refusal, Wrong};
use crate::{Delta, Finish, Reply, ToolSpec};

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Key or model are not accepted.
    Refused,
    /// This request is not accepted.
    Rejected,
    /// No capacity, or a fault there.
    Overloaded,
    /// Nobody answers.
    Unreachable,
    /// What came is no reply; another attempt may bring one.
    Malformed,
    /// What came is no reply, and another attempt makes no sense.
    Broken,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub kind: Kind,
    /// HTTP status; 0 if there was none.
    pub status: u16,
    pub reason: String,
    /// How long the endpoint asks to wait.
    pub wait: Option<Duration>,
    /// The option it does not know.
    pub option: Option<String>,
}

impl Failure {
    fn new(kind: Kind, status: u16, reason: impl Into<String>) -> Self {
        Failure { kind, status, reason: reason.into(), wait: None, option: None }
    }
}

impl Failure {
    /// The same, with what to do where a server that has no parser for calls of tools refuses them. Some say so with a
    /// status that stands for a fault that may pass.
    pub fn of_tools(mut self, tools: &[ToolSpec]) -> Self {
        const SAID: &[&str] =
            &["tool-call-parser", "tool_call_parser", "auto-tool-choice", "--jinja", "support tools", "tools param"];
        let reason = self.reason.to_lowercase();
        if !tools.is_empty() && self.status >= 400 && SAID.iter().any(|said| reason.contains(said)) {
            self.reason += "; start the server with a parser for calls of tools, or ask with --tools text";
            self.kind = Kind::Rejected;
        }
        self
    }

    /// Whether the reason says that an option is not known; not every API names it in a field of its own.
    pub fn denies(&self, option: &str) -> bool {
        const DENIALS: &[&str] =
            &["not support", "unsupported", "deprecated", "not permitted", "not allowed", "unexpected", "unknown"];
        let reason = self.reason.to_lowercase();
        let mut words = reason.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.any(|word| word == option) && DENIALS.iter().any(|denial| reason.contains(denial))
    }
}

/// A client with the limits of the options.
pub(super) fn agent(options: &RemoteOptions, host: &str) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // A body that is posted is not posted elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("loophole/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections_per_host(options.connections)
        .timeout_global(Some(options.timeout))
        .timeout_connect(Some(options.timeout.min(Duration::from_secs(10))));
    if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        // A proxy knows another localhost.
        config = config.proxy(None);
    }
    config.build().into()
}

impl Remote {
    /// Sends a body once. With the reply: how long the endpoint wants to be left alone before the next request.
    pub(super) fn attempt(
        &self,
        body: &Value,
        pieces: Option<&Sender<Delta>>,
    ) -> Result<(Reply, Option<Duration>), Failure> {
        let began = Instant::now();
        self.send(body, pieces).map_err(|failure| {
            let limit = self.options.timeout;
            if began.elapsed() < limit || !matches!(failure.kind, Kind::Unreachable | Kind::Malformed) {
                return failure;
            }
            // One that never stops would not stop the next time either.
            let reason = format!("it had not ended after {} s; fewer --max-tokens may help", limit.as_secs());
            Failure::new(Kind::Broken, failure.status, reason)
        })
    }

    fn send(&self, body: &Value, pieces: Option<&Sender<Delta>>) -> Result<(Reply, Option<Duration>), Failure> {
        let body = if pieces.is_some() { self.streamed(body) } else { body.clone() };
        // A reply that comes as a whole is silence until it is there.
        let silence = pieces.map(|_| self.options.silence);
        let request = self.agent.post(&self.url).config().timeout_per_read(silence).build();
        let mut request = request.header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = match self.wire {
                Wire::OpenAi => request.header("authorization", format!("Bearer {key}")),
                Wire::Anthropic => request.header("x-api-key", key),
            };
        }
        if self.wire == Wire::Anthropic {
            request = request.header("anthropic-version", "2023-06-01");
        }
        let response = request.send(body.to_string()).map_err(|error| transport(&error))?;
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(refusal(status, response));
        }
        let pause = headers::used_up(response.headers());
        let reply = match pieces {
            None => self.whole(response),
            Some(pieces) => self.events(response, pieces),
        };
        Ok((reply?, pause))
    }

    fn whole(&self, mut response: Response<ureq::Body>) -> Result<Reply, Failure> {
        let most = self.options.most_bytes;
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(most as u64 + 1).read_to_end(&mut bytes);
        if bytes.len() > most {
            return Err(Failure::new(Kind::Broken, 200, format!("it has more than {most} bytes")));
        }
        read.map_err(|error| Failure::new(Kind::Malformed, 200, format!("it broke off: {error}")))?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|error| {
            let text = beginning(&String::from_utf8_lossy(&bytes));
            Failure::new(Kind::Malformed, 200, format!("it is no JSON ({error}): {text}"))
        })?;
        let reply = match self.wire {
            Wire::OpenAi => openai::reply(&answer),
            Wire::Anthropic => anthropic::reply(&answer),
        };
        reply.map_err(|reason| Failure::new(Kind::Malformed, 200, reason))
    }

    fn events(&self, response: Response<ureq::Body>, pieces: &Sender<Delta>) -> Result<Reply, Failure> {
        let most = self.options.most_bytes;
        let mut reader = BufReader::new(response.into_body().into_reader());
        let mut parts = Parts::default();
        let (mut sent, mut sent_logprobs, mut bytes) = (0, 0, 0);
        loop {
            // What was sent on cannot be taken back: then there is no second attempt.
            let kind = if sent == 0 { Kind::Malformed } else { Kind::Broken };
            let event = next_event(&mut reader, most)
                .map_err(|error| Failure::new(kind, 200, format!("the stream broke off: {error}")))?;
            let Some(data) = event.filter(|data| data != "[DONE]") else {
                // Ended, but not by the model.
                if parts.finish.is_none() {
                    return Err(Failure::new(kind, 200, "the stream ended in the middle"));
                }
                return Ok(parts.reply());
            };
            bytes += data.len();
            let event = serde_json::from_str(&data).map_err(|error| {
                Failure::new(kind, 200, format!("an event is no JSON ({error}): {}", beginning(&data)))
            })?;
            let read = match self.wire {
                Wire::OpenAi => openai::event(&mut parts, &event),
                Wire::Anthropic => anthropic::event(&mut parts, &event),
            };
            read.map_err(|reason| Failure::new(kind, 200, reason))?;
            if parts.text.len() > sent {
                let logprobs = parts.logprobs.as_ref().map(|all| all[sent_logprobs..].to_vec()).unwrap_or_default();
                sent_logprobs += logprobs.len();
                let heard = pieces.send(Delta { text: parts.text[sent..].to_string(), logprobs });
                sent = parts.text.len();
                if heard.is_err() {
                    // Nobody listens any more: what there is will do.
                    return Ok(parts.reply());
                }
            }
            if bytes > most {
                // It never stops.
                parts.finish = Some(Finish::Length);
                return Ok(parts.reply());
            }
        }
    }
}

/// What a status that is no success means.
fn refusal(status: u16, mut response: Response<ureq::Body>) -> Failure {
    let wait = headers::retry_after(response.headers());
    let location = text_of(response.headers(), "location");
    let mut bytes = Vec::new();
    // The reason is a nicety: half of it will do.
    let _ = response.body_mut().as_reader().take(64 << 10).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let answer: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
    let (told, code, option) = match answer.error {
        Some(Wrong::Told { message, kind, param, code }) => (message, code.flatten().or(kind), param.flatten()),
        Some(Wrong::Text(text)) => (Some(text), None, None),
        None => (None, None, None),
    };
    let said = told.or(answer.message).or(answer.detail);
    let said = beginning(said.as_deref().unwrap_or(&text));
    let code = code.unwrap_or_default();
    let kind = match status {
        // The month's budget does not come back in a minute.
        429 if code == "insufficient_quota" => Kind::Refused,
        401 | 403 | 404 => Kind::Refused,
        408 | 409 | 425 | 429 => Kind::Overloaded,
        501 => Kind::Rejected,
        500.. => Kind::Overloaded,
        _ => Kind::Rejected,
    };
    let reason = match (said.is_empty(), location) {
        (_, Some(to)) => format!("it sends us to {to}; name that address"),
        (true, None) => "it gives no reason".to_string(),
        (false, None) => said,
    };
    let wait = wait.filter(|_| kind == Kind::Overloaded);
    Failure { kind, status, reason, wait, option }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(beginning(headers.get(name)?.to_str().ok()?))
}

/// What an error below HTTP means.
fn transport(error: &ureq::Error) -> Failure {
    let kind = match error {
        ureq::Error::BadUri(_) | ureq::Error::Tls(_) | ureq::Error::RequireHttpsOnly(_) => Kind::Rejected,
        ureq::Error::LargeResponseHeader(..) => Kind::Broken,
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => Kind::Malformed,
        _ => Kind::Unreachable,
    };
    Failure::new(kind, 0, error.to_string())
}
