//! `POST /v1/messages` (Anthropic's messages).

use std::sync::Arc;
use std::sync::mpsc::channel;

use loophole_chat::wire::anthropic::{Answer as Whole, Delta, Event, Request as Body, Tool, Turn, Usage};
use loophole_chat::wire::{Content, Part, Refusal, Wrong};
use loophole_chat::{Finish, Message, Reply, Request, Role, ToolCall, ToolChoice};
use serde_json::{Value, json};

use super::answer::{Answer, Events, text};
use super::sampling::{self, content, said, tokens, tool, without};
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
pub(crate) fn problem(problem: &Problem) -> Refusal {
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
    let (message, kind) = (Some(problem.message.clone()), Some(kind.to_string()));
    let error = Some(Wrong::Told { message, kind, param: None, code: None });
    Refusal { kind: Some("error".into()), error, ..Refusal::default() }
}

fn read(body: Body, seed: u64) -> Result<(Request, bool), Problem> {
    without(
        &body.rest,
        &[
            ("thinking", json!({ "type": "disabled" })),
            ("mcp_servers", json!([])),
            ("output_format", Value::Null),
            ("output_config", json!({})),
        ],
    )?;
    let tokens = tokens("max_tokens", body.max_tokens)?;
    if tokens.is_none() {
        return Err(Problem::field("max_tokens", "max_tokens is missing"));
    }
    let mut messages = Vec::new();
    if body.system.is_some() {
        messages.push(Message::system(content(0, body.system)?));
    }
    for (at, said) in body.messages.into_iter().enumerate() {
        turn(at, said, &mut messages)?;
    }
    if messages.last().is_none_or(|last| matches!(last.role, Role::Assistant | Role::System)) {
        return Err(Problem::field(
            "messages",
            "the last message must be the user's; nothing can be put into the model's mouth",
        ));
    }
    let tools = body.tools.into_iter().enumerate();
    let tools = tools.map(|(at, Tool { name, description, input_schema })| {
        tool(at, name, description, input_schema, "input_schema")
    });
    let mut tools = tools.collect::<Result<Vec<_>, _>>()?;
    let tool_choice = match body.tool_choice.as_ref().map(|choice| choice.kind.as_str()) {
        None | Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("any") => ToolChoice::Required,
        Some("tool") => {
            let name = body.tool_choice.and_then(|choice| choice.name);
            tools.retain(|tool| name.as_ref() == Some(&tool.name));
            if tools.is_empty() {
                return Err(Problem::field("tool_choice", "tool_choice names none of the tools"));
            }
            ToolChoice::Required
        }
        Some(_) => {
            return Err(Problem::field("tool_choice", "the type of tool_choice must be auto, any, tool or none"));
        }
    };
    let (temperature, top_p, top_k, stop) = (body.temperature, body.top_p, body.top_k, body.stop_sequences);
    let stop_name = "stop_sequences";
    let asked = sampling::Asked { temperature, hottest: 1.0, top_p, top_k, stop, stop_name, tokens, seed };
    let request = Request { messages, tools, tool_choice, sampling: asked.sampling()?, ..Request::default() };
    Ok((request, body.stream.unwrap_or(false)))
}

/// The messages that a turn is made of: results of tools are messages of their own.
fn turn(at: usize, turn: Turn, messages: &mut Vec<Message>) -> Result<(), Problem> {
    let wrong = |what: &str| Problem::field("messages", format!("messages[{at}] {what}"));
    let role = match turn.role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(wrong("needs a role: user or assistant")),
    };
    let blocks = match turn.content {
        Some(Content::Parts(blocks)) => blocks,
        other => {
            messages.push(Message::new(role, content(at, other)?));
            return Ok(());
        }
    };
    let empty = blocks.is_empty();
    let (mut rest, mut calls) = (Vec::new(), Vec::new());
    for block in blocks {
        match (block.kind.as_deref(), role) {
            (Some("tool_result"), Role::User) => {
                let id = block.tool_use_id.ok_or_else(|| wrong("has a tool_result without tool_use_id"))?;
                let result = Message::new(Role::Tool, content(at, block.content.map(|content| *content))?);
                messages.push(Message { tool_call_id: Some(id), ..result });
            }
            (Some("tool_use"), Role::Assistant) => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return Err(wrong("has a tool_use without id or name"));
                };
                calls.push(ToolCall { id, name, arguments: block.input.unwrap_or_default() });
            }
            _ => rest.push(block),
        }
    }
    let said = said(at, rest)?;
    if !said.is_empty() || !calls.is_empty() || empty {
        messages.push(Message::new(role, said).with_calls(calls));
    }
    Ok(())
}

/// Answers a request.
pub(crate) fn complete(model: &Arc<Model>, body: Body, answer: Answer) {
    let number = model.next();
    let id = format!("msg_{}_{number}", model.began);
    let wanted = model.wanted(body.model.as_deref());
    match wanted.and_then(|wanted| Ok((wanted, read(body, model.seed_of(number))?))) {
        Ok((model, (request, true))) => stream(&model, &request, &id, answer),
        Ok((model, (request, false))) => whole(&model, &request, &id, answer),
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
    let text = (!reply.text.is_empty()).then(|| Part::text(&reply.text));
    answer.json(&Whole {
        content: Some(text.into_iter().chain(reply.tool_calls.iter().map(call)).collect()),
        stop_reason: Some(stop_reason(&reply).into()),
        usage: usage(&reply),
        stop_sequence: reply.stop,
        ..message(model, id)
    });
}

/// A message without content yet.
fn message(model: &Model, id: &str) -> Whole {
    let none = Usage { input_tokens: Some(0), output_tokens: Some(0), ..Usage::default() };
    Whole {
        id: id.to_string(),
        kind: "message".into(),
        role: "assistant".into(),
        model: model.name.clone(),
        content: Some(Vec::new()),
        usage: none,
        ..Whole::default()
    }
}

fn call(call: &ToolCall) -> Part {
    // An object is wanted; what is none is given as the text it was.
    let input = match call.arguments() {
        Some(object) => json!(object),
        None => json!({ "unparsed": call.arguments }),
    };
    Part::tool_use(&call.id, &call.name, input)
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

fn usage(reply: &Reply) -> Usage {
    Usage {
        input_tokens: Some(reply.usage.prompt_tokens),
        output_tokens: Some(reply.usage.completion_tokens),
        cache_creation_input_tokens: Some(0),
        cache_read_input_tokens: Some(reply.usage.cached_tokens),
    }
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
        let block = Some(Part::text(""));
        send(&events, &Event { index: Some(0), content_block: block, ..Event::new("content_block_start") });
        let mut all = first.into_iter().chain(heard.iter());
        let listening = all.all(|piece| {
            let delta = Delta { kind: Some("text_delta".into()), text: Some(piece.text), ..Delta::default() };
            send(&events, &Event { index: Some(0), delta: Some(delta), ..Event::new("content_block_delta") })
        });
        drop(all);
        // With nobody to hear it the model stops.
        drop(heard);
        match join() {
            Ok(reply) if listening => {
                send(&events, &Event { index: Some(0), ..Event::new("content_block_stop") });
                end(&events, &reply, 1);
            }
            Ok(_) => {}
            Err(error) => {
                events.send(format!("event: error\ndata: {}\n\n", text(&problem(&Problem::of(&error)))));
            }
        }
    });
}

fn send(events: &Events, event: &Event) -> bool {
    events.send(format!("event: {}\ndata: {}\n\n", event.kind, text(event)))
}

fn begin(model: &Model, id: &str, answer: Answer) -> Events {
    let events = answer.events();
    send(&events, &Event { message: Some(message(model, id)), ..Event::new("message_start") });
    events
}

/// What follows the text: the calls, from block `at` on, and the end.
fn end(events: &Events, reply: &Reply, at: usize) {
    for (at, tool_call) in (at..).zip(&reply.tool_calls) {
        let block = call(tool_call);
        let input = block.input.as_ref().map(Value::to_string);
        let empty = Part { input: Some(json!({})), ..block };
        let event = |kind| Event { index: Some(at), ..Event::new(kind) };
        send(events, &Event { content_block: Some(empty), ..event("content_block_start") });
        let delta = Delta { kind: Some("input_json_delta".into()), partial_json: input, ..Delta::default() };
        send(events, &Event { delta: Some(delta), ..event("content_block_delta") });
        send(events, &event("content_block_stop"));
    }
    let (stop_reason, stop_sequence) = (Some(stop_reason(reply).into()), Some(reply.stop.clone()));
    let delta = Some(Delta { stop_reason, stop_sequence, ..Delta::default() });
    send(events, &Event { delta, usage: Some(usage(reply)), ..Event::new("message_delta") });
    send(events, &Event::new("message_stop"));
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_dates() {
        assert_eq!(super::date(0), "1970-01-01");
        assert_eq!(super::date(20_778), "2026-11-21");
    }
}
