//! `POST /v1/messages` (Anthropic's messages).

use std::sync::mpsc::channel;

use loophole_chat::{Finish, Message, Reply, Request, Role, ToolCall, ToolChoice};
use serde_json::{Value, json};

use super::answer::{Answer, Events};
use super::sampling::{Fields, content, tool};
use super::{Model, no_room};
use crate::problem::{Form, Problem};

/// The model in the list of models.
pub(crate) fn model(model: &Model) -> Value {
    let days = model.began / 86_400;
    // A moment is wanted, and any will do: the day on which the server began.
    let created = date(days);
    json!({ "type": "model", "id": model.name, "display_name": model.name, "created_at": format!("{created}T00:00:00Z") })
}

/// Days since 1970 as a date (Howard Hinnant, "chrono-compatible low-level algorithms").
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// An error in Anthropic's form.
pub(crate) fn problem(problem: &Problem) -> Value {
    let kind = match problem.status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": problem.message } })
}

fn read(model: &Model, body: &Value, seed: u64) -> Result<(Request, bool), Problem> {
    let fields = Fields(body);
    model.serves(fields.text("model")?)?;
    fields.without(&[
        ("top_k", Value::Null),
        ("thinking", json!({ "type": "disabled" })),
        ("mcp_servers", json!([])),
        ("output_format", Value::Null),
        ("output_config", json!({})),
    ])?;
    let tokens = fields.tokens("max_tokens")?;
    if tokens.is_none() {
        return Err(Problem::field("max_tokens", "max_tokens is missing"));
    }
    let mut messages = Vec::new();
    if let Some(system) = fields.get("system") {
        messages.push(Message::system(content(0, system)?));
    }
    for (at, value) in fields.array("messages")?.iter().enumerate() {
        turn(at, value, &mut messages)?;
    }
    if messages.last().is_none_or(|last| matches!(last.role, Role::Assistant | Role::System)) {
        return Err(Problem::field(
            "messages",
            "the last message must be the user's; nothing can be put into the model's mouth",
        ));
    }
    let tools = fields.array("tools")?.iter().enumerate();
    let mut tools = tools.map(|(at, value)| tool(at, value, "input_schema")).collect::<Result<Vec<_>, _>>()?;
    let choice = fields.get("tool_choice");
    let tool_choice = match choice.map(|choice| choice["type"].as_str()) {
        None | Some(Some("auto")) => ToolChoice::Auto,
        Some(Some("none")) => ToolChoice::None,
        Some(Some("any")) => ToolChoice::Required,
        Some(Some("tool")) => {
            tools.retain(|tool| choice.is_some_and(|choice| choice["name"] == tool.name));
            if tools.is_empty() {
                return Err(Problem::field("tool_choice", "tool_choice names none of the tools"));
            }
            ToolChoice::Required
        }
        Some(_) => {
            return Err(Problem::field("tool_choice", "the type of tool_choice must be auto, any, tool or none"));
        }
    };
    let sampling = fields.sampling(1.0, "stop_sequences", tokens, seed)?;
    Ok((Request { messages, tools, tool_choice, sampling, ..Request::default() }, fields.bool("stream")?))
}

/// The messages that a turn is made of: results of tools are messages of their own.
fn turn(at: usize, value: &Value, messages: &mut Vec<Message>) -> Result<(), Problem> {
    let wrong = |what: &str| Problem::field("messages", format!("messages[{at}] {what}"));
    let role = match value["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(wrong("needs a role: user or assistant")),
    };
    let (mut rest, mut calls) = (Vec::new(), Vec::new());
    let Some(blocks) = value["content"].as_array() else {
        messages.push(Message::new(role, content(at, &value["content"])?));
        return Ok(());
    };
    for block in blocks {
        let text = |name: &str| block[name].as_str();
        match (text("type"), role) {
            (Some("tool_result"), Role::User) => {
                let id = text("tool_use_id").ok_or_else(|| wrong("has a tool_result without tool_use_id"))?;
                let result = Message::new(Role::Tool, content(at, &block["content"])?);
                messages.push(Message { tool_call_id: Some(id.to_string()), ..result });
            }
            (Some("tool_use"), Role::Assistant) => {
                let (Some(id), Some(name)) = (text("id"), text("name")) else {
                    return Err(wrong("has a tool_use without id or name"));
                };
                calls.push(ToolCall { id: id.to_string(), name: name.to_string(), arguments: block["input"].clone() });
            }
            _ => rest.push(block.clone()),
        }
    }
    let said = content(at, &Value::Array(rest))?;
    if !said.is_empty() || !calls.is_empty() || blocks.is_empty() {
        messages.push(Message::new(role, said).with_calls(calls));
    }
    Ok(())
}

/// Answers a request.
pub(crate) fn complete(model: &Model, body: &Value, answer: Answer) {
    let number = model.next();
    let id = format!("msg_{}_{number}", model.began);
    match read(model, body, model.seed_of(number)) {
        Ok((request, true)) => stream(model, &request, &id, answer),
        Ok((request, false)) => whole(model, &request, &id, answer),
        Err(problem) => answer.send(Form::Anthropic.refuse(&problem)),
    }
}

fn whole(model: &Model, request: &Request, id: &str, answer: Answer) {
    let reply = match model.reply(request, &answer) {
        Ok(reply) => reply,
        Err(error) => return answer.send(Form::Anthropic.refuse(&Problem::of(&error))),
    };
    if let Some(problem) = no_room(&reply, request.sampling.max_tokens) {
        return answer.send(Form::Anthropic.refuse(&problem));
    }
    let text = (!reply.text.is_empty()).then(|| json!({ "type": "text", "text": reply.text }));
    let blocks: Vec<Value> = text.into_iter().chain(reply.tool_calls.iter().map(call)).collect();
    let mut value = message(model, id);
    value["content"] = json!(blocks);
    value["stop_reason"] = json!(stop_reason(&reply));
    value["stop_sequence"] = json!(reply.stop);
    value["usage"] = usage(&reply);
    answer.json(&value);
}

/// A message without content yet.
fn message(model: &Model, id: &str) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model.name, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

fn call(call: &ToolCall) -> Value {
    // An object is wanted; what is none is given as the text it was.
    let input = match call.arguments() {
        Some(object) => json!(object),
        None => json!({ "unparsed": call.arguments }),
    };
    json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
}

fn stop_reason(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Stop if reply.stop.is_some() => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Filtered => "refusal",
    }
}

fn usage(reply: &Reply) -> Value {
    json!({
        "input_tokens": reply.usage.prompt_tokens, "output_tokens": reply.usage.completion_tokens,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": reply.usage.cached_tokens,
    })
}

fn stream(model: &Model, request: &Request, id: &str, answer: Answer) {
    let (pieces, heard) = channel();
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| model.chat.stream(request, pieces));
        let join = || reply.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let first = heard.recv().ok();
        if first.is_none() {
            // What fails before the first piece still gets a status.
            let reply = join();
            let problem = match &reply {
                Err(error) => Some(Problem::of(error)),
                Ok(reply) => no_room(reply, request.sampling.max_tokens),
            };
            match (problem, reply) {
                (Some(problem), _) => answer.send(Form::Anthropic.refuse(&problem)),
                (None, Ok(reply)) => {
                    let events = begin(model, id, answer);
                    end(&events, &reply, 0);
                }
                (None, Err(_)) => {}
            }
            return;
        }
        let events = begin(model, id, answer);
        send(
            &events,
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        );
        let mut all = first.into_iter().chain(heard.iter());
        let listening = all.all(|piece| {
            let delta = json!({ "type": "text_delta", "text": piece.text });
            send(&events, &json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
        });
        drop(all);
        // With nobody to hear it the model stops.
        drop(heard);
        match join() {
            Ok(reply) if listening => {
                send(&events, &json!({ "type": "content_block_stop", "index": 0 }));
                end(&events, &reply, 1);
            }
            Ok(_) => {}
            Err(error) => {
                send(&events, &problem(&Problem::of(&error)));
            }
        }
    });
}

fn send(events: &Events, value: &Value) -> bool {
    events.send(format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default()))
}

fn begin(model: &Model, id: &str, answer: Answer) -> Events {
    let events = answer.events();
    send(&events, &json!({ "type": "message_start", "message": message(model, id) }));
    events
}

/// What follows the text: the calls, from block `at` on, and the end.
fn end(events: &Events, reply: &Reply, at: usize) {
    for (at, tool_call) in (at..).zip(&reply.tool_calls) {
        let block = call(tool_call);
        let input = block["input"].to_string();
        let mut empty = block;
        empty["input"] = json!({});
        send(events, &json!({ "type": "content_block_start", "index": at, "content_block": empty }));
        let delta = json!({ "type": "input_json_delta", "partial_json": input });
        send(events, &json!({ "type": "content_block_delta", "index": at, "delta": delta }));
        send(events, &json!({ "type": "content_block_stop", "index": at }));
    }
    let delta = json!({ "stop_reason": stop_reason(reply), "stop_sequence": reply.stop });
    send(events, &json!({ "type": "message_delta", "delta": delta, "usage": usage(reply) }));
    send(events, &json!({ "type": "message_stop" }));
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_dates() {
        assert_eq!(super::date(0), "1970-01-01");
        assert_eq!(super::date(20_778), "2026-11-21");
    }
}
