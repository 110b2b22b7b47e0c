//! Anthropic's messages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Content, Nullable, Part, Stop, Wrong, lenient, nullable};

/// `POST /v1/messages`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The model's name.
    pub model: Option<String>,
    /// Most tokens to sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// What is said before the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<Content>,
    /// The conversation.
    #[serde(deserialize_with = "nullable")]
    pub messages: Vec<Turn>,
    /// Temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Only so many tokens, the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// What ends a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_sequences: Option<Stop>,
    /// Tools the model may call.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether the reply is to come in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Whatever else is asked.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A turn of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// `user` or `assistant`.
    #[serde(deserialize_with = "lenient")]
    pub role: String,
    /// What is said.
    pub content: Option<Content>,
}

/// A tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Its name.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// What it does.
    #[serde(deserialize_with = "lenient")]
    pub description: String,
    /// The JSON schema of its arguments.
    pub input_schema: Option<Value>,
}

/// Whether a tool is called, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolChoice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Of a `tool`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Its own name.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// `message`.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// `assistant`.
    #[serde(deserialize_with = "lenient")]
    pub role: String,
    /// The model's name.
    #[serde(deserialize_with = "lenient")]
    pub model: String,
    /// The reply.
    #[serde(deserialize_with = "lenient")]
    pub content: Option<Vec<Part>>,
    /// Why it ended.
    #[serde(deserialize_with = "lenient")]
    pub stop_reason: Option<String>,
    /// The text that ended it.
    #[serde(deserialize_with = "lenient")]
    pub stop_sequence: Option<String>,
    /// What it took.
    #[serde(deserialize_with = "lenient")]
    pub usage: Usage,
}

/// What an answer took; an event may say a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read, without those of the cache.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<usize>,
    /// Tokens sampled.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<usize>,
    /// Tokens put into the provider's cache.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<usize>,
    /// Tokens that it had there.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<usize>,
}

/// An event of a stream; which fields it has follows from its type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// `message_start`, `content_block_delta`, ...
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Of what concerns a block: its number.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Of `message_start`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub message: Option<Answer>,
    /// Of `content_block_start`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub content_block: Option<Part>,
    /// Of `content_block_delta` and `message_delta`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// Of `message_delta`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Of `error`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub error: Option<Wrong>,
}

impl Event {
    /// An event with nothing but its type.
    pub fn new(kind: &str) -> Event {
        Event { kind: kind.to_string(), ..Event::default() }
    }
}

/// What an event adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delta {
    /// `text_delta`, `thinking_delta`, `input_json_delta`; none in `message_delta`.
    #[serde(rename = "type", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of a text.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a thought.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Of the signature of a thought.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Of the text of a tool's input.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub partial_json: Option<String>,
    /// Why the reply ended.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The text that ended it.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub stop_sequence: Nullable<String>,
}
