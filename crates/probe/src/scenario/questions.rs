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
    /// Only in these arms.
    #[serde(default)]
    pub arms: Vec<String>,
    /// The system message, in several wordings; none for the one of the options.
    #[serde(default)]
    pub system: Vec<String>,
    /// The questions.
    pub ask: Vec<Ask>,
}

/// One question and the form of its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The name of the answer.
    pub name: String,
    /// The wordings.
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
