//! How a checkpoint writes a conversation down.

use crate::{Message, Role, ToolSpec};
use loophole_lm::{ChatTemplate, LmError, Tokenizer, chat_template};

/// The moment that templates name which tell the date (2026-01-01, UTC): always the same one, so that a run can be
/// made again.
const NOW: i64 = 1_767_225_600;

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
        matches!(&self.kind, Kind::Template(template) if template.knows_tools())
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
                let whole: Vec<Message> = match template.knows_tools() {
                    true => messages.iter().map(said).collect(),
                    false => messages.iter().map(flat).collect(),
                };
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
