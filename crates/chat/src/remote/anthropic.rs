//! What is asked of, and answered by, an endpoint that speaks Anthropic's messages.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::parts::{Parts, body as without_refused, decimal, rest, sendable, turn};
use crate::wire::anthropic::{Answer, Event, Request as Body, Tool, ToolChoice as Choosing, Turn, Usage};
use crate::wire::{Content, Part, Stop};
use crate::{Finish, Message, Reply, Request, Role, ToolChoice, ToolSpec};

/// The body of a request. `without` names options that the endpoint has refused.
pub(super) fn body(model: &str, request: &Request, without: &BTreeSet<String>) -> Value {
    let sampling = &request.sampling;
    let system: Vec<&str> =
        request.messages.iter().filter(|m| m.role == Role::System).map(|m| m.content.as_str()).collect();
    let choice = match request.tool_choice {
        ToolChoice::Auto => "auto",
        ToolChoice::Required => "any",
        ToolChoice::None => "none",
    };
    let body = Body {
        model: Some(model.to_string()),
        max_tokens: Some(sampling.max_tokens as u64),
        system: (!system.is_empty()).then(|| Content::Text(system.join("\n\n"))),
        messages: turns(&request.messages),
        temperature: sampling.temperature.map(decimal),
        top_p: sampling.top_p.map(decimal),
        top_k: sampling.top_k.map(|top_k| top_k as u64),
        stop_sequences: (!sampling.stop.is_empty()).then(|| Stop::Many(sampling.stop.clone())),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: (!request.tools.is_empty()).then(|| Choosing { kind: choice.to_string(), name: None }),
        ..Body::default()
    };
    without_refused(&body, without)
}

fn tool(tool: &ToolSpec) -> Tool {
    let ToolSpec { name, description, parameters } = tool.clone();
    Tool { name, description, input_schema: Some(parameters) }
}

/// User and assistant take turns there; what tools return is said by the user.
fn turns(messages: &[Message]) -> Vec<Turn> {
    let mut turns: Vec<(&str, Vec<Part>)> = Vec::new();
    let from = turn(messages);
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| message.role != Role::System) {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        if turns.last().is_none_or(|(last, _)| *last != role) {
            turns.push((role, Vec::new()));
        }
        // There is a last turn: it was pushed just now or before.
        if let Some((_, blocks)) = turns.last_mut() {
            blocks.extend(content(message, at >= from));
        }
    }
    let turn = |(role, blocks): (&str, _)| Turn { role: role.to_string(), content: Some(Content::Parts(blocks)) };
    turns.into_iter().map(turn).collect()
}

fn content(message: &Message, with_thought: bool) -> Vec<Part> {
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        return vec![Part::tool_result(id, &message.content)];
    }
    // An empty text is refused.
    let text = (!message.content.is_empty()).then(|| Part::text(&message.content));
    let call = |call: &crate::ToolCall| Part::tool_use(&call.id, &call.name, Value::Object(sendable(call)));
    // Thoughts that are signed must come back before the calls they led to.
    let thoughts: Option<Vec<Part>> =
        message.reasoning.as_ref().filter(|_| with_thought).and_then(|given| Vec::deserialize(given).ok());
    thoughts.into_iter().flatten().chain(text).chain(message.tool_calls.iter().map(call)).collect()
}

/// Reads a whole answer.
pub(super) fn reply(answer: &Value) -> Result<Reply, String> {
    let mut parts = Parts::default();
    let read = Answer::deserialize(answer).map_err(|error| format!("it is none ({error}): {}", rest(answer)))?;
    let blocks = read.content.as_ref().ok_or_else(|| format!("it holds no content: {}", rest(answer)))?;
    for (at, block) in blocks.iter().enumerate() {
        begin(&mut parts, at, block);
    }
    stop(&mut parts, read.stop_reason.as_deref(), read.stop_sequence);
    usage(&mut parts, &read.usage);
    Ok(parts.reply())
}

/// Reads one event of a stream.
pub(super) fn event(parts: &mut Parts, event: &Value) -> Result<(), String> {
    let read = Event::deserialize(event).map_err(|error| format!("an event is none ({error}): {}", rest(event)))?;
    let at = read.index.unwrap_or(0);
    let delta = read.delta.unwrap_or_default();
    match read.kind.as_str() {
        "message_start" => usage(parts, &read.message.unwrap_or_default().usage),
        "content_block_start" => begin(parts, at, &read.content_block.unwrap_or_default()),
        "content_block_delta" => {
            parts.text.push_str(&delta.text.unwrap_or_default());
            if let Some(block) = parts.blocks.get_mut(&at) {
                block.thinking.get_or_insert_default().push_str(delta.thinking.as_deref().unwrap_or_default());
                block.signature.get_or_insert_default().push_str(&delta.signature.unwrap_or_default());
            }
            parts.thought.push_str(&delta.thinking.unwrap_or_default());
            if delta.kind.as_deref() == Some("input_json_delta") {
                parts.call(at, "", "", &delta.partial_json.unwrap_or_default());
            }
        }
        "message_delta" => {
            stop(parts, delta.stop_reason.as_deref(), delta.stop_sequence.flatten());
            usage(parts, &read.usage.unwrap_or_default());
        }
        "error" => return Err(format!("it broke off with an error: {}", rest(&event["error"]))),
        _ => {}
    }
    Ok(())
}

fn begin(parts: &mut Parts, at: usize, block: &Part) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match block.kind.as_deref() {
        Some("text") => parts.text.push_str(&text(&block.text)),
        Some("thinking") => {
            parts.thought.push_str(&text(&block.thinking));
            parts.blocks.insert(at, block.clone());
        }
        Some("redacted_thinking") => drop(parts.blocks.insert(at, block.clone())),
        Some("tool_use") => {
            // A stream begins with an empty object and sends the text of the real one later.
            let full = |input: &&Value| !input.is_null() && !input.as_object().is_some_and(Map::is_empty);
            let input = block.input.as_ref().filter(full).map(Value::to_string);
            parts.call(at, &text(&block.id), &text(&block.name), &text(&input));
        }
        _ => {}
    }
}

fn stop(parts: &mut Parts, reason: Option<&str>, sequence: Option<String>) {
    if sequence.is_some() {
        parts.stop = sequence;
    }
    parts.finish = match reason {
        Some("max_tokens" | "model_context_window_exceeded") => Some(Finish::Length),
        Some("tool_use") => Some(Finish::ToolCalls),
        Some("refusal") => Some(Finish::Filtered),
        Some(_) => Some(Finish::Stop),
        None => parts.finish,
    };
}

fn usage(parts: &mut Parts, usage: &Usage) {
    if let Some(fresh) = usage.input_tokens {
        let cached = usage.cache_read_input_tokens.unwrap_or(0);
        parts.usage.cached_tokens = cached;
        // Here, unlike elsewhere, what was cached is not part of what was read.
        parts.usage.prompt_tokens = fresh + cached + usage.cache_creation_input_tokens.unwrap_or(0);
    }
    if let Some(sampled) = usage.output_tokens {
        parts.usage.completion_tokens = sampled;
    }
}
