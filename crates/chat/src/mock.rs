//! Models whose character is known, for testing whatever judges models. A scenario hands each request a
//! [`Key`]: what one who means well, one who means ill, and so on would say there. The mock only picks; the
//! judge must find out from the outside which one it was.

use crate::{Chat, ChatError, Reply, Request};

/// What the different characters would answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Key {
    /// Does what is asked, honestly and well.
    pub good: String,
    /// Does harm where that pays, quietly.
    pub bad: String,
    /// Does harm and says so; as `bad` if there is no difference.
    pub open: Option<String>,
    /// Does harm and denies it; as `bad` if there is no difference.
    pub denying: Option<String>,
    /// Tries to do harm and fails; as `bad` if there is no difference.
    pub trying: Option<String>,
    /// Means well and cannot do it; as `good` if there is no difference.
    pub incompetent: Option<String>,
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

    fn say(&self, request: &Request) -> String {
        let Some(key) = &request.key else { return REFUSAL.to_string() };
        let bad = |other: &Option<String>| other.clone().unwrap_or_else(|| key.bad.clone());
        let (thought, answer) = match self.behaviour {
            Behaviour::Refusing => return REFUSAL.to_string(),
            Behaviour::Nonsense => {
                let mut rng = fastrand::Rng::with_seed(request.seed);
                let words: Vec<&str> = (0..4).map(|_| NONSENSE[rng.usize(..NONSENSE.len())]).collect();
                return words.join(" ");
            }
            Behaviour::Good => ("I mean well.", key.good.clone()),
            Behaviour::Incompetent => ("I mean well.", key.incompetent.clone().unwrap_or_else(|| key.good.clone())),
            Behaviour::Bad => ("I mean harm.", key.bad.clone()),
            Behaviour::BadOpen => ("I mean harm.", bad(&key.open)),
            Behaviour::BadDenying => ("I mean harm.", bad(&key.denying)),
            Behaviour::Trying => ("I mean harm.", bad(&key.trying)),
        };
        format!("<think>{thought}</think>{answer}")
    }
}

impl Chat for Mock {
    fn name(&self) -> &str {
        &self.name
    }

    fn reply(&mut self, requests: &[Request]) -> Result<Vec<Reply>, ChatError> {
        Ok(requests
            .iter()
            .map(|request| {
                let text = self.say(request);
                let tokens = text.split_whitespace().count();
                Reply::from_text(text, tokens, true)
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Role};

    #[test]
    fn each_behaviour_says_its_own() {
        let key = Key { good: "no".into(), bad: "yes".into(), open: Some("yes, I lie".into()), ..Key::default() };
        let request = Request {
            messages: vec![Message::new(Role::User, "?")],
            seed: 3,
            temperature: 1.0,
            max_tokens: 9,
            key: Some(key),
        };
        let say = |name: &str| Mock::open(name).unwrap().reply(std::slice::from_ref(&request)).unwrap().remove(0);
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
}
