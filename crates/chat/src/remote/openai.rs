//! The wire format of OpenAI's chat completions, which most servers speak.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::wire::{Body, Parts, rest, sendable};
use crate::{Finish, Message, Reply, Request, Role, TokenLogprob, ToolCall, ToolChoice, ToolSpec, Usage};

/// The body of a request. `without` names options that the endpoint has refused.
pub(super) fn body(model: &str, request: &Request, without: &BTreeSet<String>) -> Value {
    let sampling = &request.sampling;
    let mut body = Body::new(model, sampling, without);
    let mut set = |name: &str, value: Value| body.set(name, value);
    set("messages", request.messages.iter().map(message).collect());
    if without.contains("max_tokens") {
        set("max_completion_tokens", json!(sampling.max_tokens));
    }
    if !sampling.stop.is_empty() {
        set("stop", json!(sampling.stop));
    }
    if let Some(top) = sampling.logprobs {
        set("logprobs", json!(true));
        set("top_logprobs", json!(top));
    }
    // Servers differ in how long a seed may be; all take what fits into 31 bits.
    set("seed", json!((sampling.seed ^ (sampling.seed >> 31)) & 0x7fff_ffff));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
        match request.tool_choice {
            ToolChoice::Auto => {}
            ToolChoice::Required => set("tool_choice", json!("required")),
            ToolChoice::None => set("tool_choice", json!("none")),
        }
    }
    body.value()
}

fn message(message: &Message) -> Value {
    let mut out = json!({ "role": message.role.name(), "content": message.content });
    match (&message.tool_call_id, message.role) {
        (Some(id), Role::Tool) => out["tool_call_id"] = json!(id),
        // A result that belongs to no call is refused everywhere.
        (None, Role::Tool) => out["role"] = json!("user"),
        _ => {}
    }
    if !message.tool_calls.is_empty() {
        out["tool_calls"] = message.tool_calls.iter().map(call).collect();
        if message.content.is_empty() {
            out["content"] = Value::Null;
        }
    }
    out
}

fn call(call: &ToolCall) -> Value {
    let arguments = Value::Object(sendable(call)).to_string();
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

fn tool(tool: &ToolSpec) -> Value {
    let ToolSpec { name, description, parameters } = tool;
    json!({ "type": "function", "function": { "name": name, "description": description, "parameters": parameters } })
}

/// Reads a whole answer.
pub(super) fn reply(answer: &Value) -> Result<Reply, String> {
    let mut parts = Parts::default();
    let choice = answer["choices"].get(0).ok_or_else(|| format!("it holds no choice: {}", rest(answer)))?;
    let message = choice.get("message").filter(|message| message.is_object());
    add(&mut parts, message.ok_or_else(|| format!("its choice holds no message: {}", rest(choice)))?);
    end(&mut parts, choice);
    usage(&mut parts, answer);
    Ok(parts.reply())
}

/// Reads one event of a stream.
pub(super) fn event(parts: &mut Parts, event: &Value) -> Result<(), String> {
    if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
        return Err(format!("it broke off with an error: {}", rest(error)));
    }
    usage(parts, event);
    // The last event of some servers holds nothing but what it took.
    if let Some(choice) = event["choices"].get(0) {
        add(parts, &choice["delta"]);
        end(parts, choice);
    }
    Ok(())
}

/// What a message, or the next piece of one, adds.
fn add(parts: &mut Parts, message: &Value) {
    match &message["content"] {
        Value::String(text) => parts.text.push_str(text),
        // Some servers write typed parts.
        Value::Array(content) => {
            content.iter().filter_map(|part| part["text"].as_str()).for_each(|text| parts.text.push_str(text));
        }
        _ => {}
    }
    parts.text.push_str(message["refusal"].as_str().unwrap_or_default());
    let thought = message["reasoning_content"].as_str().or(message["reasoning"].as_str());
    parts.thought.push_str(thought.unwrap_or_default());
    for (at, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let at = call["index"].as_u64().map_or(at, |index| index as usize);
        let text = |value: &Value| match value {
            // Some servers send the arguments as an object.
            Value::Object(_) => value.to_string(),
            value => value.as_str().unwrap_or_default().to_string(),
        };
        let function = &call["function"];
        parts.call(at, &text(&call["id"]), &text(&function["name"]), &text(&function["arguments"]));
    }
}

fn end(parts: &mut Parts, choice: &Value) {
    parts.finish = match choice["finish_reason"].as_str() {
        Some("length") => Some(Finish::Length),
        Some("tool_calls" | "function_call") => Some(Finish::ToolCalls),
        Some("content_filter") => Some(Finish::Filtered),
        Some(_) => Some(Finish::Stop),
        None => parts.finish,
    };
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NEG_INFINITY) as f32;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    for token in choice["logprobs"]["content"].as_array().into_iter().flatten() {
        let top = token["top_logprobs"].as_array().into_iter().flatten();
        parts.logprobs.get_or_insert_default().push(TokenLogprob {
            token: text(&token["token"]),
            logprob: number(&token["logprob"]),
            top: top.map(|other| (text(&other["token"]), number(&other["logprob"]))).collect(),
        });
    }
}

fn usage(parts: &mut Parts, answer: &Value) {
    let usage = &answer["usage"];
    let count = |value: &Value| value.as_u64().map(|count| count as usize);
    if let Some(prompt_tokens) = count(&usage["prompt_tokens"]) {
        parts.usage = Usage {
            prompt_tokens,
            cached_tokens: count(&usage["prompt_tokens_details"]["cached_tokens"]).unwrap_or(0),
            completion_tokens: count(&usage["completion_tokens"]).unwrap_or(0),
        };
    }
}
