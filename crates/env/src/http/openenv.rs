//! An OpenEnv server on loopback. Each submission is an episode of its own: a session over the server's `/ws` (its plain
//! `/step` makes a new environment each time), one reset, the completion as the action, the reward of what was observed.

use super::{Http, MAX_ANSWER, Protocol};
use crate::foreign::{Asked, Caller};
use crate::row::Row;
use crate::{EnvError, Payment};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names of the field of an action that holds a completion, looked for first.
const SAID: [&str; 12] = [
    "completion",
    "response",
    "answer",
    "submission",
    "message",
    "text",
    "content",
    "code",
    "solution",
    "output",
    "guess",
    "action",
];

pub(crate) struct Openenv {
    http: Http,
    host: String,
    path: String,
    /// The field of the action that is the completion.
    field: String,
    seconds: f64,
    /// A server has one session unless it says more.
    one: Mutex<()>,
}

impl Openenv {
    pub(crate) fn open(url: &str, seconds: f64) -> Result<Openenv, EnvError> {
        let base = url.trim_end_matches('/').trim_end_matches("/ws");
        let http = Http::open(base, Protocol::Plain, seconds)?;
        let unusable =
            |why: String| EnvError::Unusable(format!("{base} is no OpenEnv server that can be asked: {why}"));
        let mut schema = http.agent.get(format!("{base}/schema")).call().map_err(|e| unusable(e.to_string()))?;
        let text = schema.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string();
        let text = text.map_err(|e| unusable(e.to_string()))?;
        let schema: Value = serde_json::from_str(&text).map_err(|_| unusable("/schema is no JSON".into()))?;
        let field = field_of(&schema["action"]).map_err(unusable)?;
        let (host, path) = base.trim_start_matches("http://").split_once('/').unwrap_or((&base[7..], ""));
        let path = if path.is_empty() { "/ws".into() } else { format!("/{path}/ws") };
        Ok(Openenv { host: host.into(), path, field, seconds, one: Mutex::new(()), http })
    }

    /// One episode; the observation of the step.
    fn episode(&self, text: &str, row: &Row) -> std::io::Result<Value> {
        let mut socket = Socket::open(&self.http, &self.host, &self.path, self.seconds)?;
        // The same episode each time, unless the row asks for another.
        let mut reset = row.fields.get("reset").and_then(Value::as_object).cloned().unwrap_or_default();
        if reset.is_empty() {
            reset.insert("seed".into(), row.fields.get("seed").cloned().unwrap_or(json!(0)));
        }
        let first = socket.ask(&json!({"type": "reset", "data": reset}))?;
        if first["type"] == "error" {
            return Ok(first);
        }
        let mut action = Map::new();
        action.insert(self.field.clone(), json!(text));
        let seen = socket.ask(&json!({"type": "step", "data": action}))?;
        // What comes after the reward does not matter.
        let _ = socket.send(1, br#"{"type":"close"}"#);
        Ok(seen)
    }
}

/// The field of an action that takes a text: by its name, else the only one.
fn field_of(action: &Value) -> Result<String, String> {
    let properties = action["properties"].as_object().ok_or("/schema names no action")?;
    let is_text = |p: &Value| {
        p["type"] == "string" || p["anyOf"].as_array().is_some_and(|any| any.iter().any(|p| p["type"] == "string"))
    };
    let texts: Vec<&String> = properties.iter().filter(|(_, p)| is_text(p)).map(|(name, _)| name).collect();
    let named = SAID.iter().find_map(|n| texts.iter().find(|t| **t == n));
    let found = named.or(if texts.len() == 1 { texts.first() } else { None }).map(|n| (*n).clone());
    let found = found.ok_or_else(|| format!("none of its action's fields is a completion ({texts:?})"))?;
    let required: Vec<&str> = action["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match required.iter().find(|r| **r != found) {
        Some(other) => Err(format!("its action also needs {other:?}, which no completion gives")),
        None => Ok(found),
    }
}

impl Caller for Openenv {
    fn name(&self) -> String {
        format!("OpenEnv server at {} (action: {})", self.http.url, self.field)
    }

    fn tags(&self) -> Vec<&'static str> {
        vec!["service"]
    }

    fn alive(&self) -> bool {
        self.http.alive()
    }

    fn call(&self, asked: &Asked) -> Result<Payment, EnvError> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let mut seen = self.episode(asked.text, asked.row);
        // The session before may not be over for the server yet.
        for _ in 0..20 {
            match &seen {
                Ok(said) if said["data"]["code"] == "CAPACITY_REACHED" => {
                    std::thread::sleep(Duration::from_millis(100));
                    seen = self.episode(asked.text, asked.row);
                }
                _ => break,
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        match seen {
            Ok(said) => {
                let busy = said["data"]["code"] == "CAPACITY_REACHED";
                let reward = said["data"]["reward"].as_f64().filter(|r| r.is_finite());
                let done = said["data"]["done"] == true;
                let open = if done || reward.is_some() { "" } else { "the episode is not done after one action\n" };
                let text: String = said.to_string().chars().take(4000).collect();
                Ok(Payment { reward, valid: !busy, transcript: format!("{open}{text}"), seconds })
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => Err(EnvError::Unusable(format!(
                "{} refuses connections; is it running, or did a submission end it?",
                self.http.url
            ))),
            // It died or hung over this submission: it pays nothing.
            Err(e) => Ok(Payment { reward: None, valid: true, transcript: format!("no answer: {e}"), seconds }),
        }
    }
}

/// As much of a WebSocket (RFC 6455) as one conversation in short texts needs.
struct Socket {
    stream: TcpStream,
    until: Instant,
}

impl Socket {
    fn open(http: &Http, host: &str, path: &str, seconds: f64) -> std::io::Result<Socket> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let mut socket = Socket { stream: TcpStream::connect(&http.addresses[..])?, until };
        // Any sixteen bytes serve as a key: it only shows that the other side speaks the protocol.
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < 16 << 10 {
            answer.extend(socket.take(1)?);
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_string();
            return Err(std::io::Error::other(format!("/ws answered {line}")));
        }
        Ok(socket)
    }

    fn take(&mut self, n: usize) -> std::io::Result<Vec<u8>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "out of time"));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// One frame. A mask of zeros is a mask.
    fn send(&mut self, kind: u8, text: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![0x80 | kind];
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(n), _) if n < 126 => frame.push(0x80 | n),
            (_, Ok(n)) => {
                frame.push(0x80 | 126);
                frame.extend(n.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text);
        self.stream.write_all(&frame)
    }

    /// Says one thing and reads the answer.
    fn ask(&mut self, what: &Value) -> std::io::Result<Value> {
        self.send(1, what.to_string().as_bytes())?;
        let mut text = Vec::new();
        loop {
            let head = self.take(2)?;
            let size = match head[1] & 0x7f {
                126 => self.take(2)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
                127 => self.take(8)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
                n => u64::from(n),
            };
            if size.saturating_add(text.len() as u64) > MAX_ANSWER {
                return Err(std::io::Error::other("an answer that is too long"));
            }
            let body = self.take(usize::try_from(size).unwrap_or(usize::MAX))?;
            match head[0] & 0x0f {
                0x8 => return Err(std::io::Error::other("the server closed the session")),
                0x9 => self.send(0xa, &body)?,
                0xa => {}
                _ => {
                    text.extend(body);
                    if head[0] & 0x80 != 0 {
                        return serde_json::from_slice(&text).map_err(std::io::Error::other);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_completion_is_a_field_of_the_action() {
        let text = json!({"type": "string"});
        for (action, wanted) in [
            (
                json!({"properties": {"message": text, "metadata": {"type": "object"}}, "required": ["message"]}),
                Some("message"),
            ),
            (json!({"properties": {"move": text}}), Some("move")),
            (json!({"properties": {"a": text, "b": text}}), None),
            (json!({"properties": {"answer": text, "id": {"type": "integer"}}, "required": ["answer", "id"]}), None),
            (json!({"properties": {"x": {"type": "integer"}}}), None),
            (json!({}), None),
        ] {
            assert_eq!(field_of(&action).ok().as_deref(), wanted, "{action}");
        }
    }
}
