//! How a checkpoint writes a conversation down, and how it writes that it calls a tool.

use loophole_lm::{ChatTemplate, LmError, Tokenizer, chat_template};
use serde_json::Value;

use crate::{Message, Role, ToolCall, ToolSpec};

/// The moment that templates name which tell the date (2026-01-01, UTC): always the same one, so that a run can be
/// made again.
const NOW: i64 = 1_767_225_600;

/// The marks around a call, as Qwen writes it.
const CALL: [&str; 2] = ["<tool_call>", "</tool_call>"];
/// What Llama writes before one.
const PYTHON: &str = "<|python_tag|>";

enum Kind {
    /// This project's own.
    Own,
    /// The checkpoint's.
    Template(Box<ChatTemplate>),
}

/// The chat format of a checkpoint.
pub(crate) struct Format {
    kind: Kind,
    /// Special tokens, which within a message are text.
    marks: Vec<String>,
    /// What ends a message of the assistant.
    pub end: String,
}

impl Format {
    /// This project's own.
    pub fn own() -> Self {
        Format {
            kind: Kind::Own,
            marks: chat_template::SPECIAL.map(str::to_string).to_vec(),
            end: chat_template::END.to_string(),
        }
    }

    /// Whether a tokenizer is made for this project's own format.
    pub fn is_own(tokenizer: &Tokenizer) -> bool {
        chat_template::SPECIAL.iter().all(|mark| tokenizer.id(mark).is_some())
    }

    /// A checkpoint's own template.
    pub fn template(mut template: ChatTemplate, tokenizer: &Tokenizer, end: String) -> Self {
        template.now = Some(NOW);
        Format { kind: Kind::Template(Box::new(template)), marks: tokenizer.special(), end }
    }

    /// Whether it can say which tools there are.
    pub fn knows_tools(&self) -> bool {
        matches!(self.kind, Kind::Template(_))
    }

    /// The text after which the model speaks.
    ///
    /// # Errors
    /// The template refuses the conversation.
    pub fn prompt(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, LmError> {
        let said = |message: &Message| Message { content: self.plain(&message.content), ..message.clone() };
        // Where the format knows no tools, what one returned is said by the user.
        let flat = |message: &Message| {
            let role = if message.role == Role::Tool { Role::User } else { message.role };
            Message::new(role, self.plain(&message.content))
        };
        match &self.kind {
            Kind::Own => Ok(chat_template::render(&messages.iter().map(flat).collect::<Vec<_>>(), true)),
            Kind::Template(template) => {
                let whole: Vec<Message> = messages.iter().map(said).collect();
                template.render_chat(&whole, tools, true).or_else(|error| {
                    if tools.is_empty() && messages.iter().any(|message| message.role == Role::Tool) {
                        return template.render_chat(&messages.iter().map(flat).collect::<Vec<_>>(), &[], true);
                    }
                    Err(error)
                })
            }
        }
    }

    /// The marks of the format within a message are text: what a program prints must not open a turn.
    pub fn plain(&self, content: &str) -> String {
        let mut content = content.to_string();
        for mark in &self.marks {
            let mut letters = mark.chars();
            if let (true, Some(first)) = (content.contains(mark.as_str()), letters.next()) {
                content = content.replace(mark.as_str(), &format!("{first} {}", letters.as_str()));
            }
        }
        content
    }
}

/// The calls in what a model said, and what it said before them. Qwen puts each call between marks; Llama's whole
/// answer is one.
pub(crate) fn calls(said: &str, seed: u64) -> Option<(String, Vec<ToolCall>)> {
    let id = |at: usize| format!("call-{seed:x}-{at}");
    if let Some((before, mut rest)) = said.split_once(CALL[0]) {
        let mut found = Vec::new();
        loop {
            let (one, after) = rest.split_once(CALL[1]).unwrap_or((rest, ""));
            // A call that cannot be read is a call nevertheless, and is answered as a wrong one.
            let (name, arguments) = call(one).unwrap_or_else(|| (String::new(), one.trim().to_string()));
            found.push(ToolCall::from_text(id(found.len()), name, &arguments));
            match after.split_once(CALL[0]) {
                Some((_, next)) => rest = next,
                None => return Some((before.trim_end().to_string(), found)),
            }
        }
    }
    let (thought, answer) = match said.split_once("</think>") {
        Some((thought, answer)) => (format!("{thought}</think>"), answer),
        None => (String::new(), said),
    };
    let (name, arguments) = call(answer.trim().trim_start_matches(PYTHON))?;
    Some((thought, vec![ToolCall::from_text(id(0), name, &arguments)]))
}

/// Name and arguments of `{"name": ..., "arguments": {...}}`; Llama calls them `parameters`.
fn call(text: &str) -> Option<(String, String)> {
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    let name = value.get("name")?.as_str()?.to_string();
    let arguments = value.get("arguments").or_else(|| value.get("parameters"))?;
    Some((name, arguments.as_str().map_or_else(|| arguments.to_string(), str::to_string)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_their_families_write_them() {
        let read = |said: &str| {
            let (before, calls) = calls(said, 5)?;
            Some((before, calls.into_iter().map(|call| (call.name, call.arguments.to_string())).collect::<Vec<_>>()))
        };
        let bash = |command: &str| ("bash".to_string(), format!("{{\"command\":\"{command}\"}}"));
        let qwen = "<think>\nlook\n</think>\n\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n\
                    </tool_call>\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"pwd\"}}";
        assert_eq!(read(qwen), Some(("<think>\nlook\n</think>".into(), vec![bash("ls"), bash("pwd")])));
        let llama = "<|python_tag|>{\"name\": \"bash\", \"parameters\": {\"command\": \"ls\"}}";
        assert_eq!(read(llama), Some((String::new(), vec![bash("ls")])));
        // What is no call is said, and what was meant as one and cannot be read is a wrong one.
        assert_eq!(read("I would call ls."), None);
        assert_eq!(read("{\"name\": \"bash\"}"), None);
        let broken = read("Well. <tool_call>ls</tool_call>").unwrap();
        assert_eq!(broken, ("Well.".into(), vec![(String::new(), "\"ls\"".into())]));
    }
}
