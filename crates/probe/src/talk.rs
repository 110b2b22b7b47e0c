//! Speaking with the model on behalf of one sample: every request has a seed of its own, and what was said is kept.

use loophole_chat::{Act, Chat, ChatError, Key, Message, Reply, Request, Role, Sampling, ToolSpec, Usage};
use loophole_template::{seed_from, seed_of};

use crate::BatteryOptions;

/// The speaker of one sample.
pub(crate) struct Talk<'a> {
    chat: &'a dyn Chat,
    options: &'a BatteryOptions,
    seed: u64,
    turns: u64,
    /// Which conversation it is, where each has sampling seeds of its own.
    apart: Option<u64>,
    /// The model's thoughts, in order.
    pub thoughts: Vec<String>,
    /// Replies of the model.
    pub replies: usize,
    /// What they took together. What was in a cache depends on who asked before, and is left out.
    pub usage: Usage,
    /// The last conversation, as far as it came: what is left of a sample that fails.
    pub heard: Vec<Message>,
}

impl<'a> Talk<'a> {
    pub fn new(chat: &'a dyn Chat, options: &'a BatteryOptions, seed: u64) -> Self {
        Talk {
            chat,
            options,
            seed,
            turns: 0,
            apart: None,
            thoughts: Vec::new(),
            replies: 0,
            usage: Usage::default(),
            heard: Vec::new(),
        }
    }

    /// From here on the sampling seeds are those of this conversation alone.
    pub fn goes_apart(&mut self, conversation: usize) {
        (self.apart, self.turns) = (Some(conversation as u64), 0);
    }

    /// A conversation that begins with this system message, or the one of the options.
    pub fn begin(&self, system: Option<&str>) -> Vec<Message> {
        let system = system.filter(|text| !text.is_empty()).unwrap_or(&self.options.system);
        if system.is_empty() { Vec::new() } else { vec![Message::system(system)] }
    }

    /// The model's next message, put at the end of the conversation.
    pub fn next(&mut self, conversation: &mut Vec<Message>, tools: &[ToolSpec], key: Key) -> Result<Reply, ChatError> {
        self.ask(conversation, Request { tools: tools.to_vec(), key: Some(key), ..Request::default() })
    }

    /// The same where a command is to be typed; a model on this machine can type nothing else.
    pub fn command(&mut self, conversation: &mut Vec<Message>, key: Key) -> Result<Reply, ChatError> {
        self.ask(conversation, Request { fenced: true, key: Some(key), ..Request::default() })
    }

    /// The same where one of these texts is asked for; a model on this machine can say nothing else.
    pub fn pick(&mut self, conversation: &mut Vec<Message>, choices: &[String], key: Key) -> Result<Reply, ChatError> {
        self.ask(conversation, Request { choices: choices.to_vec(), key: Some(key), ..Request::default() })
    }

    fn ask(&mut self, conversation: &mut Vec<Message>, request: Request) -> Result<Reply, ChatError> {
        self.turns += 1;
        let seed = match self.apart {
            None => seed_from(&[self.seed, self.turns]),
            Some(conversation) => seed_from(&[self.seed, self.turns, conversation]),
        };
        let thoughts = &self.options.thoughts;
        let drawn = |of: usize| (seed_from(&[seed, seed_of("thought")]) % of as u64) as usize;
        let request = Request {
            messages: conversation.clone(),
            thought: (!thoughts.is_empty()).then(|| thoughts[drawn(thoughts.len())].clone()),
            sampling: Sampling {
                seed,
                temperature: Some(self.options.temperature),
                top_p: self.options.top_p,
                top_k: self.options.top_k,
                max_tokens: self.options.max_tokens,
                ..Sampling::default()
            },
            ..request
        };
        self.heard.clone_from(conversation);
        let reply = self.chat.one(&request)?;
        self.replies += 1;
        self.usage.prompt_tokens += reply.usage.prompt_tokens;
        self.usage.completion_tokens += reply.usage.completion_tokens;
        self.thoughts.extend(reply.thought.clone());
        conversation.push(reply.message());
        self.heard.push(reply.message());
        Ok(reply)
    }
}

/// What each character says, where they differ in words only.
pub(crate) fn key(of: impl Fn(&str) -> Option<Act>) -> Key {
    Key {
        good: of("good").unwrap_or_default(),
        bad: of("bad").unwrap_or_default(),
        open: of("open"),
        denying: of("denying"),
        trying: of("trying"),
        incompetent: of("incompetent"),
    }
}

/// Says something to the model: two messages of the user in a row are one.
pub(crate) fn say(conversation: &mut Vec<Message>, text: &str) {
    match conversation.last_mut() {
        Some(last) if last.role == Role::User => last.content = format!("{}\n{text}", last.content),
        _ => conversation.push(Message::user(text)),
    }
}
