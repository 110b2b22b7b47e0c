//! Conversations of questions, and the forms of their answers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A conversation of questions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The conversation it goes on from: another branch, or `main`, the agent's. None begins anew.
    pub from: Option<String>,
    /// The branch whose texts it has where it has none of its own: its system messages, and question by question the
    /// wordings and the options. What differs is what `set` says.
    pub like: Option<String>,
    /// What slots hold in this conversation.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Only in these arms.
    #[serde(default)]
    pub arms: Vec<String>,
    /// The system message, in several wordings; none for the one of the options.
    #[serde(default)]
    pub system: Vec<String>,
    /// The questions.
    pub ask: Vec<Ask>,
}

impl Branch {
    /// Takes the texts it has none of from the branch it is like.
    fn take_after(&mut self, other: &Branch) {
        // The first of them names which wording a template has, so that all of them have the same.
        self.like = Some(other.like.clone().unwrap_or_else(|| other.name.clone()));
        if self.system.is_empty() {
            self.system.clone_from(&other.system);
        }
        for (own, other) in self.ask.iter_mut().zip(&other.ask) {
            if own.says.is_empty() {
                own.says.clone_from(&other.says);
                own.form = other.form;
            }
            if own.options.is_empty() {
                own.options.clone_from(&other.options);
            }
        }
    }
}

/// Gives the branches that are like others the texts of those.
///
/// # Errors
/// There is no such branch before it, or a question is left without a wording.
pub(super) fn take_after(branches: &mut [Branch]) -> Result<(), String> {
    for at in 0..branches.len() {
        let (before, rest) = branches.split_at_mut(at);
        let Some(branch) = rest.first_mut() else { continue };
        if let Some(like) = branch.like.clone() {
            let Some(other) = before.iter().find(|other| other.name == like) else {
                return Err(format!("branch {:?} is like {like:?}, which does not stand before it", branch.name));
            };
            branch.take_after(other);
        }
        if let Some(ask) = branch.ask.iter().find(|ask| ask.says.is_empty()) {
            return Err(format!("question {:?} has no wording", ask.name));
        }
    }
    Ok(())
}

/// One question and the form of its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The name of the answer.
    pub name: String,
    /// The wordings; none for those of the branch that this one is like.
    #[serde(default)]
    pub says: Vec<String>,
    /// What it may be answered with: name and text. `{options}` in the wording lists them, `{one}` and `{two}` are the
    /// first two as they are listed.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// In which order they are listed.
    #[serde(default)]
    pub order: Order,
    /// The form of the answer.
    #[serde(default)]
    pub form: Form,
    /// The fields of a form to be filled in: each is `NAME.FIELD` in checks.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The slot whose first two parts are the marks that the hidden programs for a function `flag` hold; none means that
    /// there is a set of programs of the question's name.
    pub marks: Option<String>,
    /// What mocks answer, by character: the name of an option, or a text.
    pub mock: BTreeMap<String, String>,
}

/// A field of a form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in the form, one word in small letters.
    pub name: String,
    /// Other words that stand for the name.
    #[serde(default)]
    pub also: Vec<String>,
    /// What it holds.
    pub holds: Holds,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A number.
    Number,
    /// Yes or no.
    YesNo,
}

/// The order of options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As a draw of the sample falls.
    #[default]
    Drawn,
    /// The other way round.
    Turned,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One of the options; a model on this machine can say nothing else.
    #[default]
    Option,
    /// One of the options as a whole word, said freely.
    Word,
    /// Fields and what they hold.
    Fields,
    /// A number.
    Number,
    /// Letters, one for each of several questions.
    Letters,
    /// A Python function `flag`.
    Code,
    /// Anything.
    Free,
}
