//! Models whose character is known, for testing whatever judges models. A scenario hands each request a
//! [`Key`]: what one who means well, one who means ill, and so on would say there. The mock only picks; the
//! judge must find out from the outside which one it was.

use serde_json::Value;

use crate::text::choice;
use crate::{Chat, ChatError, Finish, Reply, Request, ToolCall};

/// What one character does when it is its turn: says something, calls tools, or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Act {
    /// What it says.
    pub text: String,
    /// What it calls: tools and their arguments. As with real models the arguments may be wrong.
    pub calls: Vec<(String, Value)>,
}

impl Act {
    /// The call of one tool, without a word.
    pub fn call(tool: impl Into<String>, arguments: Value) -> Self {
        Act { text: String::new(), calls: vec![(tool.into(), arguments)] }
    }
}

impl From<String> for Act {
    fn from(text: String) -> Self {
        Act { text, calls: Vec::new() }
    }
}

impl From<&str> for Act {
    fn from(text: &str) -> Self {
        text.to_string().into()
    }
}

/// What the different characters would answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Key {
    /// Does what is asked, honestly and well.
    pub good: Act,
    /// Does harm where that pays, quietly.
    pub bad: Act,
    /// Does harm and says so; as `bad` if there is no difference.
    pub open: Option<Act>,
    /// Does harm and denies it; as `bad` if there is no difference.
    pub denying: Option<Act>,
    /// Tries to do harm and fails; as `bad` if there is no difference.
    pub trying: Option<Act>,
    /// Means well and cannot do it; as `good` if there is no difference.
    pub incompetent: Option<Act>,
}

/// The characters a mock can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Honest and able.
    Good,
    /// Does harm where it pays, and hides it.
    Bad,
    /// Does harm and says so.
    BadOpen,
    /// Does harm and denies it.
    BadDenying,
    /// Means well, can do nothing.
    Incompetent,
    /// Answers nothing.
    Refusing,
    /// Says words without sense.
    Nonsense,
    /// Tries to do harm and fails.
    Trying,
}

/// The names of all behaviours, as in `mock:NAME`.
pub const NAMES: &[&str] = &["good", "bad", "bad-open", "bad-denying", "incompetent", "refusing", "nonsense", "trying"];

const ALL: &[Behaviour] = &[
    Behaviour::Good,
    Behaviour::Bad,
    Behaviour::BadOpen,
    Behaviour::BadDenying,
    Behaviour::Incompetent,
    Behaviour::Refusing,
    Behaviour::Nonsense,
    Behaviour::Trying,
];

impl std::str::FromStr for Behaviour {
    type Err = ChatError;

    fn from_str(name: &str) -> Result<Self, ChatError> {
        let at = NAMES.iter().position(|known| *known == name);
        at.map(|at| ALL[at]).ok_or_else(|| ChatError::UnknownMock { name: name.to_string() })
    }
}

/// What a refusing mock says, everywhere.
pub const REFUSAL: &str = "I cannot help with that.";

// None of these is a word of any scenario or a program.
const NONSENSE: &[&str] = &["blorp", "zint", "quab", "frumle", "oskit", "wabbo", "plen", "tirrup"];

/// A model whose character is known.
#[derive(Debug, Clone)]
pub struct Mock {
    name: String,
    behaviour: Behaviour,
}

impl Mock {
    /// A mock of the given character.
    pub fn new(behaviour: Behaviour) -> Self {
        let at = ALL.iter().position(|known| *known == behaviour).unwrap_or(0);
        Mock { name: format!("mock:{}", NAMES[at]), behaviour }
    }

    /// A mock by its name: `good`, or `mock:good`.
    ///
    /// # Errors
    /// No behaviour has that name.
    pub fn open(name: &str) -> Result<Self, ChatError> {
        name.strip_prefix("mock:").unwrap_or(name).parse().map(Mock::new)
    }

    /// The thought, if there is one, and what is done.
    fn act(&self, request: &Request) -> (Option<&'static str>, Act) {
        let Some(key) = &request.key else { return (None, REFUSAL.into()) };
        let bad = |other: &Option<Act>| other.clone().unwrap_or_else(|| key.bad.clone());
        let (thought, act) = match self.behaviour {
            Behaviour::Refusing => return (None, REFUSAL.into()),
            Behaviour::Nonsense => {
                let mut rng = fastrand::Rng::with_seed(request.sampling.seed);
                let words: Vec<&str> = (0..4).map(|_| NONSENSE[rng.usize(..NONSENSE.len())]).collect();
                return (None, words.join(" ").into());
            }
            Behaviour::Good => ("I mean well.", key.good.clone()),
            Behaviour::Incompetent => ("I mean well.", key.incompetent.clone().unwrap_or_else(|| key.good.clone())),
            Behaviour::Bad => ("I mean harm.", key.bad.clone()),
            Behaviour::BadOpen => ("I mean harm.", bad(&key.open)),
            Behaviour::BadDenying => ("I mean harm.", bad(&key.denying)),
            Behaviour::Trying => ("I mean harm.", bad(&key.trying)),
        };
        (Some(thought), act)
    }

    fn say(&self, request: &Request) -> Reply {
        let (thought, act) = self.act(request);
        let text = thought.map(|thought| format!("<think>{thought}</think>")).unwrap_or_default() + &act.text;
        let turn = request.messages.len();
        let tool_calls: Vec<ToolCall> = act
            .calls
            .into_iter()
            .enumerate()
            .map(|(at, (name, arguments))| ToolCall { id: format!("call-{turn}-{at}"), name, arguments })
            .collect();
        let finish = if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let tokens = text.split_whitespace().count();
        let mut reply = Reply { tool_calls, ..Reply::from_text(text, tokens, finish) };
        reply.usage.prompt_tokens =
            request.messages.iter().map(|message| message.content.split_whitespace().count()).sum();
        reply.choice = choice(&request.choices, &reply.answer);
        reply
    }
}

impl Chat for Mock {
    fn name(&self) -> &str {
        &self.name
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        requests.iter().map(|request| Ok(self.say(request))).collect()
    }
}

/// A model that says what a function says.
pub struct Scripted<F>(pub F);

impl<F: Fn(&Request) -> Result<Reply, ChatError> + Send + Sync> Chat for Scripted<F> {
    fn name(&self) -> &str {
        "scripted"
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        requests.iter().map(&self.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use serde_json::json;

    fn say(name: &str, request: &Request) -> Reply {
        Mock::open(name).unwrap().one(request).unwrap()
    }

    #[test]
    fn each_behaviour_says_its_own() {
        let key = Key { good: "no".into(), bad: "yes".into(), open: Some("yes, I lie".into()), ..Key::default() };
        let request = Request { messages: vec![Message::user("?")], key: Some(key), ..Request::default() };
        let say = |name| say(name, &request);
        assert_eq!(say("good").answer, "no");
        assert_eq!(say("mock:bad").answer, "yes");
        assert_eq!(say("bad-open").answer, "yes, I lie");
        assert_eq!(say("trying").answer, "yes");
        assert_eq!(say("incompetent").answer, "no");
        assert_eq!(say("refusing").text, REFUSAL);
        assert_eq!(say("nonsense"), say("nonsense"));
        assert_eq!(say("good").thought.as_deref(), Some("I mean well."));
        let error = Mock::open("evil").unwrap_err().to_string();
        assert!(error.contains("evil") && error.contains("bad-denying"), "{error}");
    }

    #[test]
    fn calls_and_choices() {
        let key = Key { good: Act::call("bash", json!({"command": "ls"})), bad: "Yes.".into(), ..Key::default() };
        let choices = vec!["no".to_string(), "yes".to_string()];
        let request = Request { messages: vec![Message::user("?")], key: Some(key), choices, ..Request::default() };
        let called = say("good", &request);
        assert_eq!((called.finish, called.choice), (Finish::ToolCalls, None));
        assert_eq!(called.message().tool_calls[0].text("command"), Some("ls"));
        assert_eq!((say("bad", &request).choice, say("refusing", &request).choice), (Some(1), None));
    }
}
