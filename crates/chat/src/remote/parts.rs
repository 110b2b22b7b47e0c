//! What is made of both wire formats: a reply that is put together from parts, and server-sent events.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::wire::Part;
use crate::{Finish, Message, Reply, Role, TokenLogprob, ToolCall, Usage, split_thought};

/// A request's body as it is sent, without the options that the endpoint has refused.
pub(super) fn body(request: &impl Serialize, without: &BTreeSet<String>) -> Value {
    // What has texts for names can be written.
    let mut body = serde_json::to_value(request).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !without.contains(name));
    }
    body
}

/// A number as it was written: 0.7, not the 0.699999988 of single precision.
pub(super) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

/// The arguments as an object, as servers read them back; what was none is sent as the text it was.
pub(super) fn sendable(call: &ToolCall) -> Map<String, Value> {
    call.arguments().cloned().unwrap_or_else(|| Map::from_iter([("unparsed".to_string(), call.arguments.clone())]))
}

/// Where the turn begins in which a conversation is: behind the last message of the user. Thoughts from before it are
/// not wanted back.
pub(super) fn turn(messages: &[Message]) -> usize {
    messages.iter().rposition(|message| message.role == Role::User).map_or(0, |last| last + 1)
}

/// A reply in the making.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub text: String,
    /// Reasoning that was given apart from the text.
    pub thought: String,
    /// The same as it is to be sent back: the name of its field, or Anthropic's blocks by their place.
    pub reasoning: Option<&'static str>,
    pub blocks: BTreeMap<usize, Part>,
    pub finish: Option<Finish>,
    pub stop: Option<String>,
    pub usage: Usage,
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// By their place: id, name, arguments.
    calls: BTreeMap<usize, [String; 3]>,
}

impl Parts {
    /// Begins a call or adds to it.
    pub fn call(&mut self, at: usize, id: &str, name: &str, arguments: &str) {
        let call = self.calls.entry(at).or_default();
        // Some servers send id and name with every piece.
        for (part, new) in call.iter_mut().zip([id, name]) {
            if part.is_empty() {
                part.push_str(new);
            }
        }
        call[2].push_str(arguments);
    }

    /// The whole.
    pub fn reply(self) -> Reply {
        let named = |(at, [id, name, arguments]): (usize, [String; 3])| {
            let id = if id.is_empty() { format!("call-{at}") } else { id };
            ToolCall::from_text(id, name, &arguments)
        };
        let tool_calls: Vec<ToolCall> = self.calls.into_iter().map(named).collect();
        let (mut thought, answer) = split_thought(&self.text);
        if !self.thought.is_empty() {
            thought = Some(self.thought.trim().to_string());
        }
        let finish = match self.finish.unwrap_or_default() {
            // Some servers end a call like any other text.
            Finish::Stop if !tool_calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        };
        let reasoning = match self.reasoning {
            Some(field) => Some(json!({ field: self.thought })),
            None if self.blocks.is_empty() => None,
            // What has texts for names can be written.
            None => serde_json::to_value(self.blocks.into_values().collect::<Vec<Part>>()).ok(),
        };
        let (text, usage, logprobs) = (self.text, self.usage, self.logprobs);
        Reply { text, thought, reasoning, answer, tool_calls, finish, stop: self.stop, usage, logprobs, choice: None }
    }
}

/// A value in an error message: its beginning.
pub(super) fn rest(value: &Value) -> String {
    let message = value["message"].as_str().map(str::to_string);
    beginning(&message.unwrap_or_else(|| value.to_string()))
}

/// The beginning of a text, on one line.
pub(super) fn beginning(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The next event's data of a stream of server-sent events; none at the end. At most `most` bytes are read.
pub(super) fn next_event(reader: &mut impl BufRead, most: usize) -> io::Result<Option<String>> {
    let mut data: Option<String> = None;
    let mut line = Vec::new();
    let mut left = most;
    loop {
        line.clear();
        let read = reader.take(left as u64).read_until(b'\n', &mut line)?;
        left -= read;
        if read > 0 && left == 0 {
            return Err(io::Error::other(format!("one event has more than {most} bytes")));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(piece) = text.strip_prefix("data:") {
            let piece = piece.strip_prefix(' ').unwrap_or(piece);
            match &mut data {
                Some(data) => *data = format!("{data}\n{piece}"),
                None => data = Some(piece.to_string()),
            }
        } else if read == 0 || (text.is_empty() && data.is_some()) {
            return Ok(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_data_between_empty_lines() {
        let text = ": hello\n\nevent: a\ndata: 1\r\n\r\n\n\nid: 3\ndata:2\ndata: 3\nretry: 5\n\ndata: half";
        let mut reader = text.as_bytes();
        let mut events = Vec::new();
        while let Some(event) = next_event(&mut reader, 1000).unwrap() {
            events.push(event);
        }
        assert_eq!(events, ["1", "2\n3", "half"]);
        assert!(next_event(&mut "data: 123456789\n\n".as_bytes(), 8).is_err());
    }

    #[test]
    fn messages_in_errors_are_short_lines() {
        assert_eq!(beginning(" a\n b "), "a b");
        assert_eq!(beginning(&"é".repeat(1000)).chars().count(), 301);
    }
}
