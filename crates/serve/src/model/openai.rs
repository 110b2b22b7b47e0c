//! `POST /v1/chat/completions` (OpenAI's chat completions).

use std::sync::mpsc::channel;

use loophole_chat::{ChatError, Finish, Message, Reply, Request, Role, TokenLogprob, ToolCall, ToolChoice, ToolSpec};
use serde_json::{Value, json};

use super::answer::{Answer, Events};
use super::sampling::{Fields, content, tool};
use super::{Model, no_room};
use crate::problem::{Form, Problem};

/// Most replies to one request.
const MOST_REPLIES: u64 = 64;
/// Most alternatives to a token.
const MOST_TOP: u64 = 20;

/// The model in the list of models.
pub(crate) fn model(model: &Model) -> Value {
    json!({ "id": model.name, "object": "model", "created": model.began, "owned_by": "loophole" })
}

/// An error in OpenAI's form.
pub(crate) fn problem(problem: &Problem) -> Value {
    let kind = match problem.status {
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let Problem { message, field, code, .. } = problem;
    json!({ "error": { "message": message, "type": kind, "param": field, "code": code } })
}

/// What is asked.
struct Asked {
    request: Request,
    replies: u64,
    stream: bool,
    /// Whether a stream ends with what it took.
    with_usage: bool,
}

fn read(model: &Model, body: &Value, seed: u64) -> Result<Asked, Problem> {
    let fields = Fields(body);
    model.serves(fields.text("model")?)?;
    fields.without(&[
        ("frequency_penalty", json!(0)),
        ("presence_penalty", json!(0)),
        ("logit_bias", json!({})),
        ("response_format", json!({ "type": "text" })),
        ("functions", json!([])),
        ("audio", Value::Null),
        ("modalities", json!(["text"])),
    ])?;
    let messages = fields.array("messages")?.iter().enumerate();
    let messages = messages.map(|(at, value)| message(at, value)).collect::<Result<Vec<Message>, _>>()?;
    if messages.last().is_none_or(|last| last.role == Role::Assistant) {
        return Err(Problem::field("messages", "the last message must be a user's or a tool's"));
    }
    let tools = fields.array("tools")?.iter().enumerate();
    let mut tools =
        tools.map(|(at, value)| tool(at, &value["function"], "parameters")).collect::<Result<Vec<_>, _>>()?;
    let tool_choice = tool_choice(fields, &mut tools)?;
    let tokens = match fields.tokens("max_completion_tokens")? {
        None => fields.tokens("max_tokens")?,
        tokens => tokens,
    };
    // Some clients send seeds that are negative.
    let seed = match fields.get("seed") {
        None => seed,
        Some(given) => given
            .as_u64()
            .or(given.as_i64().map(i64::cast_unsigned))
            .ok_or_else(|| Problem::field("seed", "seed must be a whole number"))?,
    };
    let mut sampling = fields.sampling(2.0, "stop", tokens, seed)?;
    let top = fields.count("top_logprobs", 0, MOST_TOP)?;
    if fields.bool("logprobs")? {
        sampling.logprobs = Some(top.unwrap_or(0) as usize);
    } else if top.is_some() {
        return Err(Problem::field("top_logprobs", "top_logprobs needs logprobs: true"));
    }
    let stream = fields.bool("stream")?;
    let replies = fields.count("n", 1, MOST_REPLIES)?.unwrap_or(1);
    if stream && replies > 1 {
        return Err(Problem::field("n", "a stream has one reply; leave n out"));
    }
    let with_usage = fields.get("stream_options").is_some_and(|options| options["include_usage"] == true);
    let request = Request { messages, tools, tool_choice, sampling, ..Request::default() };
    Ok(Asked { request, replies, stream, with_usage })
}

fn message(at: usize, value: &Value) -> Result<Message, Problem> {
    let wrong = |what: &str| Problem::field("messages", format!("messages[{at}] {what}"));
    let role = match value["role"].as_str() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => return Err(wrong("needs a role: system, developer, user, assistant or tool")),
    };
    let mut message = Message::new(role, content(at, &value["content"])?);
    if role == Role::Tool {
        let id = value["tool_call_id"].as_str().ok_or_else(|| wrong("needs a tool_call_id"))?;
        message.tool_call_id = Some(id.to_string());
    }
    for call in value["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let (id, name) = (call["id"].as_str(), function["name"].as_str());
        let (Some(id), Some(name)) = (id, name) else {
            return Err(wrong("has a tool call without an id or a function's name"));
        };
        message.tool_calls.push(ToolCall::from_text(id, name, function["arguments"].as_str().unwrap_or_default()));
    }
    Ok(message)
}

fn tool_choice(fields: Fields, tools: &mut Vec<ToolSpec>) -> Result<ToolChoice, Problem> {
    let wrong = || Problem::field("tool_choice", "tool_choice must be auto, none, required, or name one of the tools");
    match fields.get("tool_choice") {
        None => Ok(ToolChoice::Auto),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(wrong()),
        },
        Some(choice) => {
            let name = choice["function"]["name"].as_str().ok_or_else(wrong)?;
            tools.retain(|tool| tool.name == name);
            if tools.is_empty() { Err(wrong()) } else { Ok(ToolChoice::Required) }
        }
    }
}

/// Answers a request.
pub(crate) fn complete(model: &Model, body: &Value, answer: Answer) {
    let number = model.next();
    let asked = match read(model, body, model.seed_of(number)) {
        Ok(asked) => asked,
        Err(problem) => return answer.send(Form::OpenAi.refuse(&problem)),
    };
    let id = format!("chatcmpl-{}-{number}", model.began);
    if asked.stream { stream(model, &asked, &id, answer) } else { whole(model, &asked, &id, answer) }
}

fn whole(model: &Model, asked: &Asked, id: &str, answer: Answer) {
    let requests: Vec<Request> = (0..asked.replies)
        .map(|at| {
            let mut request = asked.request.clone();
            request.sampling.seed = request.sampling.seed.wrapping_add(at);
            request
        })
        .collect();
    let replies: Result<Vec<Reply>, ChatError> = model.replies(requests, &answer).into_iter().collect();
    let replies = match replies {
        Ok(replies) => replies,
        Err(error) => return answer.send(Form::OpenAi.refuse(&Problem::of(&error))),
    };
    if let Some(problem) = replies.iter().find_map(|reply| no_room(reply, asked.request.sampling.max_tokens)) {
        return answer.send(Form::OpenAi.refuse(&problem));
    }
    let choice = |(at, reply): (usize, &Reply)| {
        let mut message = json!({ "role": "assistant", "content": reply.text, "refusal": null });
        if !reply.tool_calls.is_empty() {
            message["tool_calls"] = reply.tool_calls.iter().map(call).collect();
            if reply.text.is_empty() {
                message["content"] = Value::Null;
            }
        }
        let logprobs = reply.logprobs.as_ref().map(|tokens| logprobs(tokens));
        json!({ "index": at, "message": message, "logprobs": logprobs, "finish_reason": finish(reply.finish) })
    };
    let choices: Vec<Value> = replies.iter().enumerate().map(choice).collect();
    let value = json!({
        "id": id, "object": "chat.completion", "created": model.began, "model": model.name,
        "choices": choices, "usage": usage(&replies),
    });
    answer.json(&value);
}

/// The call as a part of a message.
fn call(call: &ToolCall) -> Value {
    // What was no object is given as it was written.
    let arguments = call.arguments.as_str().map_or_else(|| call.arguments.to_string(), str::to_string);
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

fn logprobs(tokens: &[TokenLogprob]) -> Value {
    let one = |token: &str, logprob: f32| {
        // A token that is a part of a character has no text, and its bytes are not known here.
        let bytes = (!token.contains('\u{fffd}')).then_some(token.as_bytes());
        json!({ "token": token, "logprob": logprob, "bytes": bytes })
    };
    let entry = |token: &TokenLogprob| {
        let mut entry = one(&token.token, token.logprob);
        entry["top_logprobs"] = token.top.iter().map(|(other, logprob)| one(other, *logprob)).collect();
        entry
    };
    json!({ "content": tokens.iter().map(entry).collect::<Vec<_>>(), "refusal": null })
}

fn usage(replies: &[Reply]) -> Value {
    let prompt = replies.first().map_or(0, |reply| reply.usage.prompt_tokens);
    let sampled: usize = replies.iter().map(|reply| reply.usage.completion_tokens).sum();
    json!({ "prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled })
}

fn stream(model: &Model, asked: &Asked, id: &str, answer: Answer) {
    let (pieces, heard) = channel();
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| model.chat.stream(&asked.request, pieces));
        let join = || reply.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What fails before the first piece still gets a status.
        let Ok(first) = heard.recv() else {
            return match join() {
                Err(error) => answer.send(Form::OpenAi.refuse(&Problem::of(&error))),
                Ok(reply) => match no_room(&reply, asked.request.sampling.max_tokens) {
                    Some(problem) => answer.send(Form::OpenAi.refuse(&problem)),
                    None => Chunks::new(model, asked, id, answer).end(&reply),
                },
            };
        };
        let chunks = Chunks::new(model, asked, id, answer);
        let mut all = std::iter::once(first).chain(heard.iter());
        let listening = all.all(|piece| {
            let logprobs = asked.request.sampling.logprobs.map(|_| logprobs(&piece.logprobs));
            chunks.send(&json!({ "content": piece.text }), &json!(logprobs), None)
        });
        drop(all);
        // With nobody to hear it the model stops.
        drop(heard);
        match join() {
            Ok(reply) if listening => chunks.end(&reply),
            Ok(_) => {}
            Err(error) => {
                chunks.event(&problem(&Problem::of(&error)));
            }
        }
    });
}

/// The events of one reply.
struct Chunks<'a> {
    model: &'a Model,
    id: &'a str,
    with_usage: bool,
    events: Events,
}

impl<'a> Chunks<'a> {
    fn new(model: &'a Model, asked: &Asked, id: &'a str, answer: Answer) -> Self {
        let chunks = Chunks { model, id, with_usage: asked.with_usage, events: answer.events() };
        chunks.send(&json!({ "role": "assistant", "content": "" }), &Value::Null, None);
        chunks
    }

    fn event(&self, value: &Value) -> bool {
        self.events.send(format!("data: {value}\n\n"))
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> bool {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.model.began, "model": self.model.name,
            "choices": choices,
        });
        if self.with_usage {
            chunk["usage"] = json!(usage);
        }
        self.event(&chunk)
    }

    fn send(&self, delta: &Value, logprobs: &Value, finish: Option<&str>) -> bool {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
        self.chunk(&json!([choice]), None)
    }

    fn end(&self, reply: &Reply) {
        for (at, tool_call) in reply.tool_calls.iter().enumerate() {
            let mut tool_call = call(tool_call);
            tool_call["index"] = json!(at);
            self.send(&json!({ "tool_calls": [tool_call] }), &Value::Null, None);
        }
        self.send(&json!({}), &Value::Null, Some(finish(reply.finish)));
        if self.with_usage {
            self.chunk(&json!([]), Some(usage(std::slice::from_ref(reply))));
        }
        self.events.send("data: [DONE]\n\n".to_string());
    }
}
