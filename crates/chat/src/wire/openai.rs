//! OpenAI's chat completions, which most servers speak.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Content, Nullable, Stop, lenient, nullable};

/// `POST /v1/chat/completions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The model's name.
    pub model: Option<String>,
    /// The conversation.
    #[serde(deserialize_with = "nullable")]
    pub messages: Vec<Message>,
    /// Most tokens to sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The same, by its newer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// Temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Only so many tokens, the likeliest: not of OpenAI, but most servers know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// What ends a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// A wish for the same reply to the same request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// Whether tokens' log-probabilities are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// And those of so many alternatives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u64>,
    /// Tools the model may call.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// How many replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Whether the reply is to come in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What else these hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Whatever else is asked.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A seed; some clients send negative ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "it must be a whole number")]
pub enum Seed {
    /// Not negative.
    Unsigned(u64),
    /// Negative.
    Signed(i64),
}

impl Seed {
    /// Its bits.
    pub fn bits(self) -> u64 {
        match self {
            Seed::Unsigned(seed) => seed,
            Seed::Signed(seed) => seed.cast_unsigned(),
        }
    }
}

/// What a stream holds beside the reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// What it took, in a last event.
    #[serde(deserialize_with = "lenient")]
    pub include_usage: bool,
}

/// A message of a conversation, a reply, or a piece of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// What is said instead.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub refusal: Nullable<String>,
    /// Reasoning that some servers give apart.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The same of others.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Calls of tools.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A call of a tool, or a piece of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// Its place among the calls of a stream.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// By what its result is told.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`.
    #[serde(rename = "type", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is called.
    #[serde(deserialize_with = "lenient")]
    pub function: Function,
}

/// What is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Function {
    /// Its name.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The text of an object.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
}

/// With what it is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Arguments {
    /// The text of an object, or a piece of it.
    Text(String),
    /// Some servers send the object.
    Object(Map<String, Value>),
}

impl Arguments {
    /// The text.
    pub fn text(self) -> String {
        match self {
            Arguments::Text(text) => text,
            Arguments::Object(object) => Value::Object(object).to_string(),
        }
    }
}

/// A tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// What it is.
    #[serde(deserialize_with = "lenient")]
    pub function: ToolFunction,
}

/// What a tool is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolFunction {
    /// Its name.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// What it does.
    #[serde(deserialize_with = "lenient")]
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Option<Value>,
}

/// Whether a tool is called, and which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolChoice {
    /// `auto`, `none` or `required`.
    Mode(String),
    /// One of them.
    Named {
        /// Its name.
        function: Function,
    },
    /// Anything else.
    Other(Value),
}

/// A whole answer, or an event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Its own name.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// `chat.completion` or `chat.completion.chunk`.
    #[serde(deserialize_with = "lenient")]
    pub object: String,
    /// Seconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub created: u64,
    /// The model's name.
    #[serde(deserialize_with = "lenient")]
    pub model: String,
    /// The replies, or their next pieces.
    #[serde(deserialize_with = "lenient")]
    pub choices: Vec<Choice>,
    /// What it took.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub usage: Nullable<Usage>,
    /// Why a stream breaks off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// One reply, or its next piece.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// Its number.
    #[serde(deserialize_with = "lenient")]
    pub index: usize,
    /// Of a whole answer.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Of an event.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub delta: Option<Message>,
    /// Of its tokens.
    #[serde(deserialize_with = "lenient")]
    pub logprobs: Option<Logprobs>,
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    #[serde(deserialize_with = "lenient")]
    pub finish_reason: Option<String>,
}

/// Log-probabilities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logprobs {
    /// Of the text's tokens.
    #[serde(deserialize_with = "lenient")]
    pub content: Vec<Token>,
    /// Of a refusal's.
    #[serde(deserialize_with = "lenient")]
    pub refusal: Option<Vec<Token>>,
}

/// A token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Token {
    /// Its text.
    #[serde(deserialize_with = "lenient")]
    pub token: String,
    /// Its log-probability; none where it has none that can be written.
    #[serde(deserialize_with = "lenient")]
    pub logprob: Option<f32>,
    /// The text's bytes.
    #[serde(deserialize_with = "lenient")]
    pub bytes: Option<Vec<u8>>,
    /// Alternatives to it.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<Vec<Token>>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read.
    #[serde(deserialize_with = "lenient")]
    pub prompt_tokens: Option<usize>,
    /// Tokens sampled.
    #[serde(deserialize_with = "lenient")]
    pub completion_tokens: usize,
    /// Both.
    #[serde(deserialize_with = "lenient")]
    pub total_tokens: usize,
    /// Of what was read.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// Of what was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Tokens that the provider had in its cache.
    #[serde(deserialize_with = "lenient")]
    pub cached_tokens: usize,
}
