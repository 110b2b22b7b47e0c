//! `POST /v1/completions`: OpenAI's older form, in which a text or token ids are continued as they are, and the
//! log-probabilities of a text are told (`echo` with `logprobs`). Only a model on this machine is asked so.

use std::sync::Arc;
use std::sync::mpsc::channel;

use loophole_chat::wire::Stop;
use loophole_chat::wire::nullable;
use loophole_chat::wire::openai::{Seed, StreamOptions, Usage};
use loophole_chat::{Finish, Local, Reply, Request, Sampling, TokenLogprob};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Serialize as Written};
use serde_json::{Map, Value, json};

use super::Model;
use super::answer::{Answer, Events, text};
use super::openai::finish;
use super::sampling::{self, count, without};
use crate::problem::{Form, Problem};

/// Most texts of a request, and most replies to each; and most of both together.
const MOST_PROMPTS: usize = 4096;
const MOST_REPLIES: u64 = 128;
const MOST_ROWS: usize = 4096;
/// Most alternatives to a token.
const MOST_TOP: u64 = 20;
/// Most log-probabilities of prompts in one answer.
const MOST_SCORES: usize = 4 << 20;
/// Most tokens to sample if a request does not say.
const TOKENS: u64 = 16;

/// What is asked.
#[derive(Deserialize)]
pub(crate) struct Body {
    model: Option<String>,
    prompt: Option<Prompt>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    n: Option<u64>,
    best_of: Option<u64>,
    stop: Option<Stop>,
    seed: Option<Seed>,
    #[serde(default, deserialize_with = "nullable")]
    echo: bool,
    logprobs: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    stream: bool,
    stream_options: Option<StreamOptions>,
    add_special_tokens: Option<bool>,
    /// Whether marks that are said are left out of the text, as vLLM does unless it is told otherwise.
    skip_special_tokens: Option<bool>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be a text, a list of texts, token ids or a list of lists of them")]
enum Prompt {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    Lists(Vec<Vec<u32>>),
}

/// What is asked, read.
struct Asked {
    prompts: Vec<Vec<u32>>,
    sampling: Sampling,
    replies: usize,
    /// Whether the client named the seed: the same text then has the same reply, wherever it stands.
    seeded: bool,
    echo: bool,
    with_usage: bool,
    /// What is left out of replies.
    skipped: Vec<String>,
}

#[derive(Written)]
struct Whole<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Written)]
struct Choice {
    index: usize,
    text: String,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
    stop_reason: Option<String>,
}

/// Log-probabilities of a text, in lists of equal length.
#[derive(Written, Default)]
struct Logprobs {
    tokens: Vec<String>,
    /// None for the first token of a text, which follows from nothing.
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Top>>,
    /// Characters before each token in the text that is given.
    text_offset: Vec<usize>,
}

/// Alternatives, the token itself among them, likeliest first.
struct Top(Vec<(String, f32)>);

impl Serialize for Top {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (token, logprob) in &self.0 {
            map.serialize_entry(token, logprob)?;
        }
        map.end()
    }
}

impl Logprobs {
    fn push(&mut self, token: &TokenLogprob, offset: usize) {
        let mut top: Vec<(String, f32)> = Vec::with_capacity(token.top.len() + 1);
        // Two tokens may have one text; the likelier has its place.
        for (text, logprob) in &token.top {
            if !top.iter().any(|(other, _)| other == text) {
                top.push((text.clone(), *logprob));
            }
        }
        if !top.iter().any(|(other, _)| *other == token.token) {
            top.push((token.token.clone(), token.logprob));
        }
        self.tokens.push(token.token.clone());
        self.token_logprobs.push(Some(token.logprob));
        self.top_logprobs.push(Some(Top(top)));
        self.text_offset.push(offset);
    }

    /// Of tokens that follow `before`, the first of a text if there are none.
    fn of(
        local: &Local,
        before: &[u32],
        prompt: &[TokenLogprob],
        said: &[TokenLogprob],
        skipped: &[String],
    ) -> Logprobs {
        let ids = |tokens: &[TokenLogprob]| tokens.iter().filter_map(|token| token.id).collect::<Vec<u32>>();
        let offsets = local.offsets(&[before, &ids(prompt), &ids(said)].concat());
        let mut all = Logprobs::default();
        if let Some(first) = before.first() {
            all.tokens.push(local.text(*first));
            all.token_logprobs.push(None);
            all.top_logprobs.push(None);
            all.text_offset.push(0);
        }
        let mut left_out = 0;
        for (at, (token, offset)) in prompt.iter().chain(said).zip(&offsets[before.len()..]).enumerate() {
            all.push(token, offset - left_out);
            if at >= prompt.len() && skipped.contains(&token.token) {
                left_out += token.token.chars().count();
            }
        }
        all
    }
}

impl Logprobs {
    /// Without the first of them.
    fn after(mut self, count: usize) -> Logprobs {
        self.tokens.drain(..count);
        self.token_logprobs.drain(..count);
        self.top_logprobs.drain(..count);
        self.text_offset.drain(..count);
        self
    }
}

/// Answers a request.
pub(crate) fn complete(model: &Arc<Model>, body: Body, answer: Answer) {
    let number = model.next();
    let id = format!("cmpl-{}-{number}", model.began);
    let streams = body.stream;
    let wanted = model.wanted(body.model.as_deref());
    match wanted.and_then(|wanted| Ok((read(wanted.local()?, body, model.seed_of(number))?, wanted))) {
        Err(problem) => answer.send(Form::OpenAi.refuse(&problem)),
        Ok((asked, model)) if streams => stream(&model, &asked, &id, answer),
        Ok((asked, model)) => whole(&model, &asked, &id, answer),
    }
}

fn read(local: &Local, body: Body, seed: u64) -> Result<Asked, Problem> {
    without(
        &body.rest,
        &[
            ("frequency_penalty", json!(0)),
            ("presence_penalty", json!(0)),
            ("repetition_penalty", json!(1)),
            ("logit_bias", json!({})),
            ("suffix", json!("")),
            ("min_p", json!(0)),
            ("min_tokens", json!(0)),
            ("ignore_eos", json!(false)),
            ("stop_token_ids", json!([])),
            ("prompt_logprobs", Value::Null),
            ("return_token_ids", json!(false)),
            ("response_format", json!({ "type": "text" })),
        ],
    )?;
    let whole = body.add_special_tokens.unwrap_or(true);
    let prompts: Vec<Vec<u32>> = match body.prompt {
        None => return Err(Problem::field("prompt", "prompt is missing")),
        Some(Prompt::Text(text)) => vec![local.encode(&text, whole)],
        Some(Prompt::Texts(texts)) => texts.iter().map(|text| local.encode(text, whole)).collect(),
        Some(Prompt::Tokens(tokens)) => vec![tokens],
        Some(Prompt::Lists(lists)) => lists,
    };
    if prompts.is_empty() || prompts.len() > MOST_PROMPTS {
        return Err(Problem::field("prompt", format!("prompt must be from 1 to {MOST_PROMPTS} texts")));
    }
    let replies = count("n", body.n, &(1..=MOST_REPLIES))?.unwrap_or(1);
    if body.best_of.is_some_and(|best| best != replies) {
        return Err(Problem::field("best_of", "best_of is not supported here; leave it out"));
    }
    let replies = replies as usize;
    if prompts.len() * replies > MOST_ROWS {
        return Err(Problem::field("n", format!("these are more than {MOST_ROWS} replies; ask for fewer at a time")));
    }
    let top = count("logprobs", body.logprobs, &(0..=MOST_TOP))?;
    let asked = sampling::Asked {
        temperature: body.temperature,
        hottest: 2.0,
        top_p: body.top_p,
        top_k: body.top_k,
        stop: body.stop,
        stop_name: "stop",
        tokens: Some(count("max_tokens", body.max_tokens, &(0..=sampling::MOST_TOKENS))?.unwrap_or(TOKENS)),
        seed: body.seed.map_or(seed, Seed::bits),
    };
    let sampling = Sampling { logprobs: top.map(|top| top as usize), ..asked.sampling()? };
    // A reply needs a place in the context.
    let most = local.context() - usize::from(sampling.max_tokens > 0).min(local.context());
    for (at, tokens) in prompts.iter().enumerate() {
        local.known(tokens).map_err(|why| Problem::field("prompt", why))?;
        if tokens.len() > most {
            let message =
                format!("prompt {at} is too long: {} tokens, and at most {most} fit into the context", tokens.len());
            return Err(Problem { code: Some("context_length_exceeded"), ..Problem::field("prompt", message) });
        }
    }
    if let (true, Some(top)) = (body.echo, top) {
        let tokens: usize = prompts.iter().map(Vec::len).sum();
        if tokens * (top as usize + 1) > MOST_SCORES {
            let message = format!("these are more than {MOST_SCORES} log-probabilities; ask for fewer texts at a time");
            return Err(Problem::field("prompt", message));
        }
    }
    if body.stream && (prompts.len() * replies > 1 || body.echo) {
        return Err(Problem::field("stream", "a stream has one text, one reply and no echo"));
    }
    let with_usage = body.stream_options.unwrap_or_default().include_usage;
    let skipped = if body.skip_special_tokens.unwrap_or(true) { local.marks() } else { Vec::new() };
    Ok(Asked { prompts, sampling, replies, seeded: body.seed.is_some(), echo: body.echo, with_usage, skipped })
}

impl Asked {
    /// A reply, or a piece of one, without what is left out. A mark is one token, and comes as a whole.
    fn said(&self, text: &str) -> String {
        self.skipped.iter().fold(text.to_string(), |text, mark| text.replace(mark.as_str(), ""))
    }

    /// The requests, reply by reply of prompt by prompt.
    fn requests(&self) -> Vec<Request> {
        let row = |at: usize| {
            let (prompt, reply) = (at / self.replies, at % self.replies);
            let mut sampling = self.sampling.clone();
            sampling.seed = sampling.seed.wrapping_add(if self.seeded { reply } else { at } as u64);
            Request { tokens: Some(self.prompts[prompt].clone()), sampling, ..Request::default() }
        };
        (0..self.prompts.len() * self.replies).map(row).collect()
    }

    fn usage(&self, replies: &[Reply]) -> Usage {
        let prompt: usize = self.prompts.iter().map(Vec::len).sum();
        let completion_tokens: usize = replies.iter().map(|reply| reply.usage.completion_tokens).sum();
        let total_tokens = prompt + completion_tokens;
        Usage { prompt_tokens: Some(prompt), completion_tokens, total_tokens, prompt_tokens_details: None }
    }
}

fn whole(model: &Model, asked: &Asked, id: &str, answer: Answer) {
    match choices(model, asked, &answer) {
        Err(problem) => answer.send(Form::OpenAi.refuse(&problem)),
        Ok((choices, usage)) => {
            let (object, created) = ("text_completion", model.began);
            answer.json(&Whole { id, object, created, model: &model.name, choices, usage: Some(Some(usage)) });
        }
    }
}

fn choices(model: &Model, asked: &Asked, answer: &Answer) -> Result<(Vec<Choice>, Usage), Problem> {
    let local = model.local()?;
    let scored = match asked.sampling.logprobs.filter(|_| asked.echo) {
        Some(top) => {
            let scored = local.score(&asked.prompts, top, &|| !answer.is_unwanted());
            Some(scored.map_err(|why| Problem::field("prompt", why))?)
        }
        None => None,
    };
    let requests = asked.requests();
    let replies: Vec<Reply> = match asked.sampling.max_tokens {
        0 => requests.iter().map(|_| Reply::from_text("", 0, Finish::Length)).collect(),
        _ => {
            let replies = model.replies(requests, answer).into_iter().collect::<Result<_, _>>();
            replies.map_err(|error| Problem::of(&error))?
        }
    };
    let choice = |(index, reply): (usize, &Reply)| {
        let prompt = &asked.prompts[index / asked.replies];
        let said = reply.logprobs.as_deref().unwrap_or_default();
        let logprobs = asked.sampling.logprobs.map(|_| match &scored {
            Some(scored) => Logprobs::of(local, &prompt[..1], &scored[index / asked.replies], said, &asked.skipped),
            None => Logprobs::of(local, &[], &[], said, &asked.skipped),
        });
        let before = if asked.echo { local.decode(prompt) } else { String::new() };
        Choice {
            index,
            text: before + &asked.said(&reply.text),
            logprobs,
            finish_reason: Some(finish(reply.finish)),
            stop_reason: reply.stop.clone(),
        }
    };
    Ok((replies.iter().enumerate().map(choice).collect(), asked.usage(&replies)))
}

fn stream(model: &Model, asked: &Asked, id: &str, answer: Answer) {
    let (pieces, heard) = channel();
    // One text, one reply.
    let request = asked.requests().remove(0);
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| model.chat.stream(&request, pieces));
        let join = || reply.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let first = heard.recv().ok();
        // What fails before the first piece still gets a status.
        if first.is_none() {
            return match join() {
                Err(error) => answer.send(Form::OpenAi.refuse(&Problem::of(&error))),
                Ok(reply) => Chunks { model, asked, id, events: answer.events() }.end(&reply),
            };
        }
        let chunks = Chunks { model, asked, id, events: answer.events() };
        let mut said: Vec<TokenLogprob> = Vec::new();
        let listening = first.into_iter().chain(heard.iter()).all(|piece| {
            let known = said.len();
            said.extend(piece.logprobs);
            let logprobs = asked
                .sampling
                .logprobs
                .and_then(|_| Some(Logprobs::of(model.chat.local()?, &[], &[], &said, &asked.skipped).after(known)));
            // The first may be there only to see who listens.
            piece.text.is_empty() && said.len() == known || chunks.send(asked.said(&piece.text), logprobs, None)
        });
        // With nobody to hear it the model stops.
        drop(heard);
        match join() {
            Ok(reply) if listening => chunks.end(&reply),
            Ok(_) => {}
            Err(error) => {
                let told = super::openai::problem(&Problem::of(&error));
                chunks.events.send(format!("data: {}\n\n", text(&told)));
            }
        }
    });
}

/// The events of one reply.
struct Chunks<'a> {
    model: &'a Model,
    asked: &'a Asked,
    id: &'a str,
    events: Events,
}

impl Chunks<'_> {
    fn chunk(&self, choices: Vec<Choice>, usage: Option<Usage>) -> bool {
        let (object, created, model) = ("text_completion", self.model.began, self.model.name.as_str());
        let usage = self.asked.with_usage.then_some(usage);
        let whole = Whole { id: self.id, object, created, model, choices, usage };
        self.events.send(format!("data: {}\n\n", text(&whole)))
    }

    fn send(&self, text: String, logprobs: Option<Logprobs>, finish_reason: Option<&'static str>) -> bool {
        self.chunk(vec![Choice { index: 0, text, logprobs, finish_reason, stop_reason: None }], None)
    }

    fn end(&self, reply: &Reply) {
        self.send(String::new(), None, Some(finish(reply.finish)));
        if self.asked.with_usage {
            self.chunk(Vec::new(), Some(self.asked.usage(std::slice::from_ref(reply))));
        }
        self.events.send("data: [DONE]\n\n".to_string());
    }
}
