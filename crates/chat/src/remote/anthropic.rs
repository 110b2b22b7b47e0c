//! The wire format of Anthropic's messages.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::wire::{Body, Parts, rest, sendable};
use crate::{Finish, Message, Reply, Request, Role, ToolChoice, ToolSpec};

/// The body of a request. `without` names options that the endpoint has refused.
pub(super) fn body(model: &str, request: &Request, without: &BTreeSet<String>) -> Value {
    let sampling = &request.sampling;
    let mut body = Body::new(model, sampling, without);
    let mut set = |name: &str, value: Value| body.set(name, value);
    let system: Vec<&str> =
        request.messages.iter().filter(|m| m.role == Role::System).map(|m| m.content.as_str()).collect();
    if !system.is_empty() {
        set("system", json!(system.join("\n\n")));
    }
    set("messages", messages(&request.messages));
    if !sampling.stop.is_empty() {
        set("stop_sequences", json!(sampling.stop));
    }
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
        let choice = match request.tool_choice {
            ToolChoice::Auto => "auto",
            ToolChoice::Required => "any",
            ToolChoice::None => "none",
        };
        set("tool_choice", json!({ "type": choice }));
    }
    body.value()
}

fn tool(tool: &ToolSpec) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters })
}

/// User and assistant take turns there; what tools return is said by the user.
fn messages(messages: &[Message]) -> Value {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages.iter().filter(|message| message.role != Role::System) {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        if turns.last().is_none_or(|(last, _)| *last != role) {
            turns.push((role, Vec::new()));
        }
        // There is a last turn: it was pushed just now or before.
        if let Some((_, blocks)) = turns.last_mut() {
            blocks.extend(content(message));
        }
    }
    turns.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

fn content(message: &Message) -> Vec<Value> {
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        return vec![json!({ "type": "tool_result", "tool_use_id": id, "content": message.content })];
    }
    // An empty text is refused.
    let text = (!message.content.is_empty()).then(|| json!({ "type": "text", "text": message.content }));
    let calls = message.tool_calls.iter();
    let calls =
        calls.map(|call| json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": sendable(call) }));
    text.into_iter().chain(calls).collect()
}

/// Reads a whole answer.
pub(super) fn reply(answer: &Value) -> Result<Reply, String> {
    let mut parts = Parts::default();
    let blocks = answer["content"].as_array().ok_or_else(|| format!("it holds no content: {}", rest(answer)))?;
    for (at, block) in blocks.iter().enumerate() {
        begin(&mut parts, at, block);
    }
    stop(&mut parts, answer);
    usage(&mut parts, &answer["usage"]);
    Ok(parts.reply())
}

/// Reads one event of a stream.
pub(super) fn event(parts: &mut Parts, event: &Value) -> Result<(), String> {
    let at = event["index"].as_u64().unwrap_or(0) as usize;
    match event["type"].as_str() {
        Some("message_start") => usage(parts, &event["message"]["usage"]),
        Some("content_block_start") => begin(parts, at, &event["content_block"]),
        Some("content_block_delta") => {
            let delta = &event["delta"];
            let text = |name: &str| delta[name].as_str().unwrap_or_default();
            parts.text.push_str(text("text"));
            parts.thought.push_str(text("thinking"));
            if delta["type"] == "input_json_delta" {
                parts.call(at, "", "", text("partial_json"));
            }
        }
        Some("message_delta") => {
            stop(parts, &event["delta"]);
            usage(parts, &event["usage"]);
        }
        Some("error") => return Err(format!("it broke off with an error: {}", rest(&event["error"]))),
        _ => {}
    }
    Ok(())
}

fn begin(parts: &mut Parts, at: usize, block: &Value) {
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    match block["type"].as_str() {
        Some("text") => parts.text.push_str(text("text")),
        Some("thinking") => parts.thought.push_str(text("thinking")),
        Some("tool_use") => {
            let input = &block["input"];
            // A stream begins with an empty object and sends the text of the real one later.
            let empty = input.is_null() || input.as_object().is_some_and(Map::is_empty);
            parts.call(at, text("id"), text("name"), &if empty { String::new() } else { input.to_string() });
        }
        _ => {}
    }
}

fn stop(parts: &mut Parts, answer: &Value) {
    if let Some(text) = answer["stop_sequence"].as_str() {
        parts.stop = Some(text.to_string());
    }
    parts.finish = match answer["stop_reason"].as_str() {
        Some("max_tokens" | "model_context_window_exceeded") => Some(Finish::Length),
        Some("tool_use") => Some(Finish::ToolCalls),
        Some("refusal") => Some(Finish::Filtered),
        Some(_) => Some(Finish::Stop),
        None => parts.finish,
    };
}

fn usage(parts: &mut Parts, usage: &Value) {
    let count = |name: &str| usage[name].as_u64().map(|count| count as usize);
    if let Some(fresh) = count("input_tokens") {
        let cached = count("cache_read_input_tokens").unwrap_or(0);
        parts.usage.cached_tokens = cached;
        // Here, unlike elsewhere, what was cached is not part of what was read.
        parts.usage.prompt_tokens = fresh + cached + count("cache_creation_input_tokens").unwrap_or(0);
    }
    if let Some(sampled) = count("output_tokens") {
        parts.usage.completion_tokens = sampled;
    }
}
