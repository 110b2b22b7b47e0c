//! The chat format: `<|system|>…<|end|><|user|>…<|end|><|assistant|>…<|end|>`, no newlines between.

use serde::{Deserialize, Serialize};

/// Padding token.
pub const PAD: &str = "<|pad|>";
/// Opens a system message.
pub const SYSTEM: &str = "<|system|>";
/// Opens a user message.
pub const USER: &str = "<|user|>";
/// Opens an assistant message.
pub const ASSISTANT: &str = "<|assistant|>";
/// Ends every message; the end-of-sequence token.
pub const END: &str = "<|end|>";
/// All special tokens, in the order of their ids.
pub const SPECIAL: [&str; 5] = [PAD, SYSTEM, USER, ASSISTANT, END];

/// The same format as a Jinja template, for `tokenizer_config.json`.
pub const JINJA: &str = "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// One message of a conversation.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl Message {
    /// A message from its parts.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// The text of a conversation; with `add_generation_prompt` it ends by opening the assistant's
/// turn.
pub fn render(messages: &[Message], add_generation_prompt: bool) -> String {
    let mut out = String::new();
    for m in messages {
        out.push_str("<|");
        out.push_str(&m.role);
        out.push_str("|>");
        out.push_str(&m.content);
        out.push_str(END);
    }
    if add_generation_prompt {
        out.push_str(ASSISTANT);
    }
    out
}
