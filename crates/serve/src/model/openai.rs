//! `POST /v1/chat/completions` (OpenAI's chat completions).

use std::sync::Arc;
use std::sync::mpsc::channel;

use loophole_chat::wire::openai::{
    Answer as Whole, Arguments, Choice, Function, Logprobs, Message as Sent, Request as Body, Seed, Token,
    ToolCall as Call, ToolChoice as Choosing, ToolFunction, Usage,
};
use loophole_chat::wire::{Content, Refusal, Wrong};
use loophole_chat::{
    ChatError, Finish, Local, Message, Reply, Request, Role, TokenLogprob, ToolCall, ToolChoice, ToolSpec,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Answer, Events, text};
use super::sampling::{self, content, count, tokens, tool, without};
use super::{Model, no_room};
use crate::problem::{Form, Problem};

/// Most replies to one request.
const MOST_REPLIES: u64 = 64;
/// Most alternatives to a token.
const MOST_TOP: u64 = 20;

/// The model in the list of models.
pub(crate) fn model(model: &Model) -> Value {
    let (root, parent) = model.adapter.clone().unzip();
    let longest = model.chat.local().map(Local::context);
    json!({
        "id": model.name, "object": "model", "created": model.began, "owned_by": "loophole",
        "root": root.as_ref().unwrap_or(&model.name), "parent": parent, "max_model_len": longest,
    })
}

/// An error in OpenAI's form.
pub(crate) fn problem(problem: &Problem) -> Refusal {
    let kind = match problem.status {
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let Problem { message, field, code, .. } = problem.clone();
    let code = Some(code.map(str::to_string));
    let error = Wrong::Told { message: Some(message), kind: Some(kind.to_string()), param: Some(field), code };
    Refusal { error: Some(error), ..Refusal::default() }
}

/// What is asked.
struct Asked {
    request: Request,
    replies: u64,
    stream: bool,
    /// Whether a stream ends with what it took.
    with_usage: bool,
}

fn read(body: Body, seed: u64) -> Result<Asked, Problem> {
    without(
        &body.rest,
        &[
            ("frequency_penalty", json!(0)),
            ("presence_penalty", json!(0)),
            ("logit_bias", json!({})),
            ("response_format", json!({ "type": "text" })),
            ("functions", json!([])),
            ("audio", Value::Null),
            ("modalities", json!(["text"])),
        ],
    )?;
    let messages = body.messages.into_iter().enumerate();
    let messages = messages.map(|(at, said)| message(at, said)).collect::<Result<Vec<Message>, _>>()?;
    if messages.last().is_none_or(|last| last.role == Role::Assistant) {
        return Err(Problem::field("messages", "the last message must be a user's or a tool's"));
    }
    let tools = body.tools.into_iter().enumerate().map(|(at, given)| {
        let ToolFunction { name, description, parameters } = given.function;
        tool(at, name, description, parameters, "parameters")
    });
    let mut tools = tools.collect::<Result<Vec<_>, _>>()?;
    let tool_choice = tool_choice(body.tool_choice, &mut tools)?;
    let tokens = match tokens("max_completion_tokens", body.max_completion_tokens)? {
        None => tokens("max_tokens", body.max_tokens)?,
        tokens => tokens,
    };
    let asked = sampling::Asked {
        temperature: body.temperature,
        hottest: 2.0,
        top_p: body.top_p,
        top_k: body.top_k,
        stop: body.stop,
        stop_name: "stop",
        tokens,
        seed: body.seed.map_or(seed, Seed::bits),
    };
    let mut sampling = asked.sampling()?;
    let top = count("top_logprobs", body.top_logprobs, &(0..=MOST_TOP))?;
    if body.logprobs.unwrap_or(false) {
        sampling.logprobs = Some(top.unwrap_or(0) as usize);
    } else if top.is_some() {
        return Err(Problem::field("top_logprobs", "top_logprobs needs logprobs: true"));
    }
    let stream = body.stream.unwrap_or(false);
    let replies = count("n", body.n, &(1..=MOST_REPLIES))?.unwrap_or(1);
    if stream && replies > 1 {
        return Err(Problem::field("n", "a stream has one reply; leave n out"));
    }
    let with_usage = body.stream_options.unwrap_or_default().include_usage;
    let request = Request { messages, tools, tool_choice, sampling, ..Request::default() };
    Ok(Asked { request, replies, stream, with_usage })
}

pub(super) fn message(at: usize, said: Sent) -> Result<Message, Problem> {
    let wrong = |what: &str| Problem::field("messages", format!("messages[{at}] {what}"));
    let role = match said.role.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => return Err(wrong("needs a role: system, developer, user, assistant or tool")),
    };
    let mut message = Message::new(role, content(at, said.content)?);
    if role == Role::Tool {
        message.tool_call_id = Some(said.tool_call_id.ok_or_else(|| wrong("needs a tool_call_id"))?);
    }
    message.reasoning = said.reasoning_content.or(said.reasoning).map(|thought| json!({"reasoning_content": thought}));
    for call in said.tool_calls {
        let (Some(id), Some(name)) = (call.id, call.function.name) else {
            return Err(wrong("has a tool call without an id or a function's name"));
        };
        let arguments = call.function.arguments.map(Arguments::text).unwrap_or_default();
        message.tool_calls.push(ToolCall::from_text(id, name, &arguments));
    }
    Ok(message)
}

fn tool_choice(choice: Option<Choosing>, tools: &mut Vec<ToolSpec>) -> Result<ToolChoice, Problem> {
    let wrong = || Problem::field("tool_choice", "tool_choice must be auto, none, required, or name one of the tools");
    match choice {
        None => Ok(ToolChoice::Auto),
        Some(Choosing::Mode(choice)) => match choice.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(wrong()),
        },
        Some(Choosing::Named { function }) => {
            let name = function.name.ok_or_else(wrong)?;
            tools.retain(|tool| tool.name == name);
            if tools.is_empty() { Err(wrong()) } else { Ok(ToolChoice::Required) }
        }
        Some(Choosing::Other(_)) => Err(wrong()),
    }
}

/// Answers a request.
pub(crate) fn complete(model: &Arc<Model>, body: Body, answer: Answer) {
    let number = model.next();
    let id = format!("chatcmpl-{}-{number}", model.began);
    let wanted = model.wanted(body.model.as_deref());
    match wanted.and_then(|wanted| Ok((wanted, read(body, model.seed_of(number))?))) {
        Err(problem) => answer.send(Form::OpenAi.refuse(&problem)),
        Ok((model, asked)) if asked.stream => stream(&model, &asked, &id, answer),
        Ok((model, asked)) => whole(&model, &asked, &id, answer),
    }
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
        let silent = reply.text.is_empty() && !reply.tool_calls.is_empty();
        let message = Sent {
            role: Some("assistant".into()),
            content: Some(if silent { Content::NULL } else { reply.text.as_str().into() }),
            refusal: Some(None),
            tool_calls: reply.tool_calls.iter().map(call).collect(),
            ..Sent::default()
        };
        let logprobs = reply.logprobs.as_ref().map(|tokens| logprobs(tokens));
        Choice {
            index: at,
            message: Some(message),
            delta: None,
            logprobs,
            finish_reason: Some(finish(reply.finish).into()),
        }
    };
    answer.json(&Whole {
        id: id.to_string(),
        object: "chat.completion".into(),
        created: model.began,
        model: model.name.clone(),
        choices: replies.iter().enumerate().map(choice).collect(),
        usage: Some(Some(usage(&replies))),
        error: None,
    });
}

/// The call as a part of a message.
fn call(call: &ToolCall) -> Call {
    // What was no object is given as it was written.
    let arguments = call.arguments.as_str().map_or_else(|| call.arguments.to_string(), str::to_string);
    let function = Function { name: Some(call.name.clone()), arguments: Some(Arguments::Text(arguments)) };
    Call { index: None, id: Some(call.id.clone()), kind: Some("function".into()), function }
}

pub(super) fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// The bytes of `\xe2\x82`.
fn part(hex: &str) -> Option<Vec<u8>> {
    let bytes = hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Option<Vec<u8>>>();
    bytes.filter(|bytes| hex.len() == 4 * bytes.len() && !bytes.is_empty())
}

fn logprobs(tokens: &[TokenLogprob]) -> Logprobs {
    let one = |token: &str, logprob: f32| {
        // A token that is a part of a character has bytes and no text; some servers do not tell which.
        let (token, bytes) = match token.strip_prefix("bytes:").map(|hex| (hex, part(hex))) {
            Some((hex, Some(bytes))) => (hex, Some(bytes)),
            _ => (token, (!token.contains('\u{fffd}')).then(|| token.as_bytes().to_vec())),
        };
        Token { token: token.to_string(), logprob: Some(logprob), bytes, top_logprobs: None }
    };
    let entry = |token: &TokenLogprob| {
        let top = token.top.iter().map(|(other, logprob)| one(other, *logprob)).collect();
        Token { top_logprobs: Some(top), ..one(&token.token, token.logprob) }
    };
    Logprobs { content: tokens.iter().map(entry).collect(), refusal: None }
}

fn usage(replies: &[Reply]) -> Usage {
    let prompt = replies.first().map_or(0, |reply| reply.usage.prompt_tokens);
    let completion_tokens: usize = replies.iter().map(|reply| reply.usage.completion_tokens).sum();
    let total_tokens = prompt + completion_tokens;
    Usage { prompt_tokens: Some(prompt), completion_tokens, total_tokens, prompt_tokens_details: None }
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
            let delta = Sent { content: Some(Content::Text(piece.text)), ..Sent::default() };
            chunks.send(delta, logprobs, None)
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
        let first = Sent { role: Some("assistant".into()), content: Some("".into()), ..Sent::default() };
        chunks.send(first, None, None);
        chunks
    }

    fn event(&self, value: &impl Serialize) -> bool {
        self.events.send(format!("data: {}\n\n", text(value)))
    }

    fn chunk(&self, choices: Vec<Choice>, usage: Option<Usage>) -> bool {
        self.event(&Whole {
            id: self.id.to_string(),
            object: "chat.completion.chunk".into(),
            created: self.model.began,
            model: self.model.name.clone(),
            choices,
            usage: self.with_usage.then_some(usage),
            error: None,
        })
    }

    fn send(&self, delta: Sent, logprobs: Option<Logprobs>, finish: Option<&str>) -> bool {
        let finish_reason = finish.map(str::to_string);
        self.chunk(vec![Choice { index: 0, message: None, delta: Some(delta), logprobs, finish_reason }], None)
    }

    fn end(&self, reply: &Reply) {
        for (at, tool_call) in reply.tool_calls.iter().enumerate() {
            let tool_calls = vec![Call { index: Some(at), ..call(tool_call) }];
            self.send(Sent { tool_calls, ..Sent::default() }, None, None);
        }
        self.send(Sent::default(), None, Some(finish(reply.finish)));
        if self.with_usage {
            self.chunk(Vec::new(), Some(usage(std::slice::from_ref(reply))));
        }
        self.events.send("data: [DONE]\n\n".to_string());
    }
}
