//! The chat format: `<|system|>…<|end|><|user|>…<|end|><|assistant|>…<|end|>`, no newlines between.

pub use loophole_message::Message;

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

/// The text of a conversation; with `add_generation_prompt` it ends by opening the assistant's
/// turn.
pub fn render(messages: &[Message], add_generation_prompt: bool) -> String {
    let mut out = String::new();
    for m in messages {
        out.push_str("<|");
        out.push_str(m.role.name());
        out.push_str("|>");
        out.push_str(&m.content);
        out.push_str(END);
    }
    if add_generation_prompt {
        out.push_str(ASSISTANT);
    }
    out
}
