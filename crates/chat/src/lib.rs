//! One trait for a model one can talk to. A caller hands over conversations and gets one [`Reply`] for each, in the
//! same order; whether a mock, a checkpoint on this machine or an endpoint answers does not show. What every answer has
//! in common (a thought before it, a code fence around it) is taken apart here, once, so that no caller parses it
//! again.
//!
//! A [`Chat`] may be used from many threads at once. A checkpoint joins what waits into one batch; an endpoint
//! keeps as many requests in flight as it bears.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod calls;
mod error;
mod format;
mod listen;
mod local;
pub mod mock;
pub mod remote;
mod text;
pub mod wire;

use std::sync::mpsc::Sender;

pub use error::ChatError;
pub use local::Local;
pub use loophole_lm::GenerationConfig;
pub use loophole_message::{Message, Role, ToolCall, ToolSpec};
pub use mock::{Act, Key, Mock, Scripted};
pub use remote::{Account, Remote, RemoteOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use text::{first_line, split_thought, strip_fences};

/// One conversation that waits for the model's next message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The conversation so far; the last message is the user's or a tool's.
    pub messages: Vec<Message>,
    /// What is continued, as token ids and in place of a conversation: no chat format, no marks. Only for a model on this
    /// machine ([`Chat::local`]).
    pub tokens: Option<Vec<u32>>,
    /// Tools the model may call. A model whose chat format knows none answers in text.
    pub tools: Vec<ToolSpec>,
    /// Whether it may, must or must not call one.
    pub tool_choice: ToolChoice,
    /// If not empty: the answer must be one of these texts, and [`Reply::choice`] says which. A local model thinks
    /// as it likes and then picks among them by their probabilities; of any other model the answer is compared
    /// with them, so the conversation must ask for them.
    pub choices: Vec<String>,
    /// The answer must be a command of a shell in a fenced block, and nothing else. A local model thinks as it likes and
    /// then can say nothing but that; of any other model nothing is forced, so the conversation must ask for it.
    pub fenced: bool,
    /// The thought the reply begins with, word for word; an empty one is none. Only models with [`Chat::takes_thoughts`]
    /// can be given one.
    pub thought: Option<String>,
    /// How to sample.
    pub sampling: Sampling,
    /// What a mock needs to know to act its part. Real models never see it.
    pub key: Option<Key>,
}

impl Request {
    /// Whether a local model is free in nothing but its thought.
    fn is_forced(&self) -> bool {
        self.fenced || !self.choices.is_empty()
    }
}

/// Whether a model calls a tool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must call one.
    Required,
    /// It must not.
    None,
}

/// How to sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Temperature; 0 takes the likeliest token. None is the model's own default (a local model's is that of its
    /// `generation_config.json`, else 1).
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together have this probability, 1 for all; none is the model's own default.
    pub top_p: Option<f32>,
    /// Only so many tokens, the likeliest, 0 for all; none is the model's own default. Not every endpoint knows it.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Most tokens to sample.
    pub max_tokens: usize,
    /// Texts that end the reply, themselves left out.
    pub stop: Vec<String>,
    /// Seed: a local model gives the same request the same reply, whatever else is asked at the time. Endpoints
    /// treat it as a wish, if they know it at all.
    pub seed: u64,
    /// If set: log-probabilities of the tokens, and of so many alternatives to each, where the model gives them.
    pub logprobs: Option<usize>,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: None,
            top_p: None,
            top_k: None,
            max_tokens: 1024,
            stop: Vec::new(),
            seed: 0,
            logprobs: None,
        }
    }
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// All of it.
    pub text: String,
    /// What stands inside `<think>…</think>`, or what an endpoint gave apart as reasoning.
    pub thought: Option<String>,
    /// The thought as an endpoint gave it apart, for [`Message::reasoning`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Value>,
    /// What comes after the thought, trimmed. See [`strip_fences`] for answers that are code.
    pub answer: String,
    /// Calls of tools.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
    /// The text among [`Sampling::stop`] that ended it, where that is known.
    pub stop: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// The tokens with their log-probabilities, where they were asked for and the model gives them.
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// Which of the request's choices it is; none if it is none of them or there were none.
    pub choice: Option<usize>,
}

impl Reply {
    /// Takes a whole text apart.
    pub fn from_text(text: impl Into<String>, tokens: usize, finish: Finish) -> Self {
        let text = text.into();
        let (thought, answer) = split_thought(&text);
        let usage = Usage { completion_tokens: tokens, ..Usage::default() };
        Reply { thought, answer, text, finish, usage, ..Reply::default() }
    }

    /// Takes calls of tools out of the text, where the model wrote them there and was offered some.
    pub(crate) fn read_calls(&mut self, request: &Request) {
        if request.tools.is_empty() || request.tool_choice == ToolChoice::None || !self.tool_calls.is_empty() {
            return;
        }
        let Some((said, tool_calls)) = calls::read(&self.text, &request.tools, request.sampling.seed) else { return };
        let (thought, answer) = split_thought(&said);
        self.thought = thought.or(self.thought.take());
        (self.text, self.answer, self.tool_calls) = (said, answer, tool_calls);
        self.finish = Finish::ToolCalls;
    }

    /// False if it was cut off at the most tokens.
    pub fn stopped(&self) -> bool {
        self.finish != Finish::Length
    }

    /// The reply as the conversation's next message.
    pub fn message(&self) -> Message {
        let message = Message::assistant(self.text.clone()).with_calls(self.tool_calls.clone());
        Message { reasoning: self.reasoning.clone(), ..message }
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it, or one of the texts that end a reply came.
    #[default]
    Stop,
    /// It was cut off at the most tokens, or the context is full.
    Length,
    /// It calls tools and waits for what they return.
    ToolCalls,
    /// The provider's filter ended or withheld it.
    Filtered,
}

/// What a reply took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read (for a mock: words).
    pub prompt_tokens: usize,
    /// Of them, tokens the provider had in its cache.
    pub cached_tokens: usize,
    /// Tokens sampled (for a mock: words).
    pub completion_tokens: usize,
}

/// A token of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text; of a part of a character its bytes, as `bytes:\xe2\x82`, where they are known.
    pub token: String,
    /// Its log-probability at temperature 1.
    pub logprob: f32,
    /// The likeliest tokens at its place, likeliest first.
    pub top: Vec<(String, f32)>,
    /// Its id, of a model on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

/// A piece of a reply that is still being made. The first may be empty: it asks whether anybody listens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delta {
    /// Text to append.
    pub text: String,
    /// The tokens it is made of, where they were asked for.
    pub logprobs: Vec<TokenLogprob>,
}

/// A model one can talk to.
pub trait Chat: Send + Sync {
    /// What to call the model in reports.
    fn name(&self) -> &str;

    /// One result for each request, in the order of the requests. One that fails takes no other with it; whatever is
    /// worth trying again was tried again.
    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>>;

    /// One reply whose text is sent on while it is made; when the receiver is gone, the model may stop. What arrives
    /// in pieces is the beginning of the reply's text; the result is the whole.
    ///
    /// # Errors
    /// As for a request of [`Chat::reply`].
    fn stream(&self, request: &Request, pieces: Sender<Delta>) -> Result<Reply, ChatError> {
        let reply = self.one(request)?;
        // Nobody may be listening any more.
        let _ = pieces.send(Delta { text: reply.text.clone(), logprobs: reply.logprobs.clone().unwrap_or_default() });
        Ok(reply)
    }

    /// Whether a reply ends early when nobody receives the pieces of its [`Chat::stream`]: then that is the way to ask
    /// for what may be called off.
    fn ends_unheard(&self) -> bool {
        false
    }

    /// Whether it can be given the thought that a reply begins with ([`Request::thought`]).
    fn takes_thoughts(&self) -> bool {
        false
    }

    /// How the makers of a model on this machine sample from it, where it says so.
    fn generation(&self) -> Option<&GenerationConfig> {
        None
    }

    /// The model, if it is one on this machine, whose tokens can be met without a chat format.
    fn local(&self) -> Option<&Local> {
        None
    }

    /// What was asked so far and what it cost, where that is counted.
    fn account(&self) -> Option<Account> {
        None
    }

    /// One reply.
    ///
    /// # Errors
    /// As for a request of [`Chat::reply`].
    fn one(&self, request: &Request) -> Result<Reply, ChatError> {
        self.reply(std::slice::from_ref(request)).pop().unwrap_or_else(|| {
            Err(ChatError::Malformed { model: self.name().to_string(), reason: "no reply came back".to_string() })
        })
    }
}
