//! What is asked of, and answered by, an endpoint that speaks OpenAI's chat completions.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::parts::{Parts, body as without_refused, decimal, rest, sendable, turn};
use crate::wire::openai::{
    Answer, Arguments, Choice, Function, Message as Sent, Request as Body, Seed, Tool, ToolCall as Call,
    ToolChoice as Choosing, ToolFunction,
};
use crate::wire::{Content, Nullable, Stop};
use crate::{Finish, Message, Reply, Request, Role, TokenLogprob, ToolCall, ToolChoice, ToolSpec, Usage};

/// The body of a request. `without` names options that the endpoint has refused.
pub(super) fn body(model: &str, request: &Request, without: &BTreeSet<String>) -> Value {
    let sampling = &request.sampling;
    let tokens = Some(sampling.max_tokens as u64);
    let choice = match request.tool_choice {
        _ if request.tools.is_empty() => None,
        ToolChoice::Auto => None,
        ToolChoice::Required => Some("required"),
        ToolChoice::None => Some("none"),
    };
    let body = Body {
        model: Some(model.to_string()),
        messages: messages(&request.messages, without),
        max_tokens: tokens,
        max_completion_tokens: tokens.filter(|_| without.contains("max_tokens")),
        temperature: sampling.temperature.map(decimal),
        top_p: sampling.top_p.map(decimal),
        top_k: sampling.top_k.map(|top_k| top_k as u64),
        stop: (!sampling.stop.is_empty()).then(|| Stop::Many(sampling.stop.clone())),
        // Servers differ in how long a seed may be; all take what fits into 31 bits.
        seed: Some(Seed::Unsigned((sampling.seed ^ (sampling.seed >> 31)) & 0x7fff_ffff)),
        logprobs: sampling.logprobs.map(|_| true),
        top_logprobs: sampling.logprobs.map(|top| top as u64),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: choice.map(|choice| Choosing::Mode(choice.to_string())),
        ..Body::default()
    };
    without_refused(&body, without)
}

/// The conversation; thoughts of the turn go back in the field in which they came, unless the endpoint refuses them.
fn messages(messages: &[Message], without: &BTreeSet<String>) -> Vec<Sent> {
    let from = turn(messages);
    let one = |(at, said): (usize, &Message)| {
        let thought = |field: &str| {
            let given = said.reasoning.as_ref().filter(|_| at >= from && !without.contains(field));
            given.and_then(|given| given.get(field)?.as_str()).map(str::to_string)
        };
        Sent { reasoning_content: thought(CONTENT), reasoning: thought(REASONING), ..message(said) }
    };
    messages.iter().enumerate().map(one).collect()
}

/// The fields in which servers give thoughts.
const CONTENT: &str = "reasoning_content";
const REASONING: &str = "reasoning";

fn message(message: &Message) -> Sent {
    // A result that belongs to no call is refused everywhere.
    let (role, id) = match (&message.tool_call_id, message.role) {
        (Some(id), Role::Tool) => ("tool", Some(id.clone())),
        (None, Role::Tool) => ("user", None),
        (_, role) => (role.name(), None),
    };
    let silent = message.content.is_empty() && !message.tool_calls.is_empty();
    Sent {
        role: Some(role.to_string()),
        content: Some(if silent { Content::NULL } else { message.content.as_str().into() }),
        tool_calls: message.tool_calls.iter().map(call).collect(),
        tool_call_id: id,
        ..Sent::default()
    }
}

fn call(call: &ToolCall) -> Call {
    let arguments = Some(Arguments::Text(Value::Object(sendable(call)).to_string()));
    let function = Function { name: Some(call.name.clone()), arguments };
    Call { index: None, id: Some(call.id.clone()), kind: Some("function".into()), function }
}

fn tool(tool: &ToolSpec) -> Tool {
    let ToolSpec { name, description, parameters } = tool.clone();
    Tool { kind: "function".into(), function: ToolFunction { name, description, parameters: Some(parameters) } }
}

fn read(answer: &Value) -> Result<Answer, String> {
    Answer::deserialize(answer).map_err(|error| format!("it is none ({error}): {}", rest(answer)))
}

/// Reads a whole answer.
pub(super) fn reply(answer: &Value) -> Result<Reply, String> {
    let mut parts = Parts::default();
    let read = read(answer)?;
    let choice = read.choices.first().ok_or_else(|| format!("it holds no choice: {}", rest(answer)))?;
    let message = || format!("its choice holds no message: {}", rest(&answer["choices"][0]));
    add(&mut parts, choice.message.as_ref().ok_or_else(message)?);
    end(&mut parts, choice);
    usage(&mut parts, read.usage);
    Ok(parts.reply())
}

/// Reads one event of a stream.
pub(super) fn event(parts: &mut Parts, event: &Value) -> Result<(), String> {
    let event = read(event)?;
    if let Some(error) = &event.error {
        return Err(format!("it broke off with an error: {}", rest(error)));
    }
    usage(parts, event.usage);
    // The last event of some servers holds nothing but what it took.
    if let Some(choice) = event.choices.first() {
        if let Some(delta) = &choice.delta {
            add(parts, delta);
        }
        end(parts, choice);
    }
    Ok(())
}

/// What a message, or the next piece of one, adds.
fn add(parts: &mut Parts, message: &Sent) {
    match &message.content {
        Some(Content::Text(text)) => parts.text.push_str(text),
        // Some servers write typed parts.
        Some(Content::Parts(content)) => {
            content.iter().filter_map(|part| part.text.as_deref()).for_each(|text| parts.text.push_str(text));
        }
        _ => {}
    }
    parts.text.push_str(message.refusal.iter().flatten().next().map_or("", String::as_str));
    let fields = [(CONTENT, &message.reasoning_content), (REASONING, &message.reasoning)];
    // Some servers give both.
    if let Some((field, Some(thought))) = fields.into_iter().find(|(_, thought)| thought.is_some()) {
        parts.thought.push_str(thought);
        parts.reasoning = Some(field).filter(|_| !parts.thought.is_empty());
    }
    for (at, call) in message.tool_calls.iter().enumerate() {
        let arguments = call.function.arguments.clone().map(Arguments::text);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (id, name) = (text(&call.id), text(&call.function.name));
        parts.call(call.index.unwrap_or(at), &id, &name, &text(&arguments));
    }
}

fn end(parts: &mut Parts, choice: &Choice) {
    parts.finish = match choice.finish_reason.as_deref() {
        Some("length") => Some(Finish::Length),
        Some("tool_calls" | "function_call") => Some(Finish::ToolCalls),
        Some("content_filter") => Some(Finish::Filtered),
        Some(_) => Some(Finish::Stop),
        None => parts.finish,
    };
    let number = |logprob: Option<f32>| logprob.unwrap_or(f32::NEG_INFINITY);
    for token in choice.logprobs.iter().flat_map(|logprobs| &logprobs.content) {
        let top = token.top_logprobs.iter().flatten();
        parts.logprobs.get_or_insert_default().push(TokenLogprob {
            token: token.token.clone(),
            logprob: number(token.logprob),
            top: top.map(|other| (other.token.clone(), number(other.logprob))).collect(),
            id: None,
        });
    }
}

fn usage(parts: &mut Parts, told: Nullable<crate::wire::openai::Usage>) {
    let Some(told) = told.flatten() else { return };
    if let Some(prompt_tokens) = told.prompt_tokens {
        parts.usage = Usage {
            prompt_tokens,
            cached_tokens: told.prompt_tokens_details.unwrap_or_default().cached_tokens,
            completion_tokens: told.completion_tokens,
        };
    }
}
