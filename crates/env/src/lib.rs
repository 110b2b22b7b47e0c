//! Environments: tasks together with a grader, whoever wrote them.
//!
//! An [`Environment`] takes a submission and pays for it ([`pay`](Environment::pay), the reward a policy would get),
//! and can say apart from that whether the submission solves its task ([`judge`](Environment::judge), where the
//! submission cannot reach what it is compared with). [`open`] makes one of whatever a person names: tasks in a file
//! under one of the grader kinds of `loophole-grade`, a Harbor folder, a folder with pytest or unittest tests, a
//! Python callable, a command, an HTTP service. Each form is a file of this crate. Graders that were not made here
//! run in cells (crate `loophole-cell`), as submissions do; a service is asked.
//!
//! The crate knows nothing of attacks: the audit, the service and whoever trains stand on it.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod callable;
mod cases;
mod code;
mod command;
mod dockerfile;
mod error;
mod extract;
mod files;
mod foreign;
mod harbor;
mod hardened;
mod hollow;
mod http;
mod language;
mod open;
mod packaged;
mod project;
mod read;
mod row;
mod signature;
mod tools;
mod way;

pub use cases::Cases;
pub use command::RewardFrom;
pub use error::EnvError;
pub use extract::{Extract, Extracted, WHOLE, extract, extract_in};
pub use files::LARGEST_FILE;
pub use harbor::{harbor_name, harbor_task};
pub use hardened::{HardenedFiles, HardenedForm};
pub use http::Protocol;
pub use open::{SLOW, Settings, environments_in, grader, lab, open};
pub use read::{
    Found, Keys, Known, MAX_ROW, Row, Rows, STDIN, Submissions, Tasks, Whole, parse_task, read_tasks, row_files,
    task_of, whole_part,
};
pub use signature::Signature;

use loophole_grade::{Family, Language, OracleResult};
use std::collections::BTreeMap;

/// Files of a submission by path; the main one is the environment's ([`Surface::main_file`]).
pub type Files = BTreeMap<String, String>;

/// What may be known of a task before it is tried, by name: its signature, its statement, its visible cases, the
/// words of its grader's source. Whoever writes submissions fills them in.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Single values.
    pub one: BTreeMap<&'static str, String>,
    /// Lists, whose values are tried one after the other.
    pub many: BTreeMap<&'static str, Vec<String>>,
}

/// The form of an environment's submissions, and the name of their main file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A Python module with the wanted function: `solution.py`.
    Module,
    /// A Python program that reads stdin and prints: `solution.py`.
    Program,
    /// Code in another language than Python, a program or what is built with the grader's own: `solution.c`, ...
    Code(Language),
    /// Free text: `answer.txt`.
    Text,
    /// What an agent does in a shell: `solve.sh`.
    Agent,
}

impl Surface {
    /// The tag by which exploits name it.
    pub fn tag(self) -> &'static str {
        match self {
            Surface::Module => "module",
            Surface::Program => "program",
            Surface::Code(language) => language.name(),
            Surface::Text => "text",
            Surface::Agent => "agent",
        }
    }

    /// The file every submission has.
    pub fn main_file(self) -> &'static str {
        match self {
            Surface::Module | Surface::Program => "solution.py",
            Surface::Code(language) => language.file(),
            Surface::Text => "answer.txt",
            Surface::Agent => "solve.sh",
        }
    }
}

/// What an environment says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// What it was opened as.
    pub target: String,
    /// The task, where there are several.
    pub task: Option<String>,
    /// The grader in a few words.
    pub grader: String,
    /// How the task was read; empty where there is but one way.
    pub read: String,
    /// The file and line where the grader's source begins, where that is known.
    pub place: Option<(String, usize)>,
    /// Form of its submissions.
    pub surface: Surface,
    /// Why finding nothing says little, where it does.
    pub beyond: Option<String>,
    /// Further tags by which submissions are chosen.
    pub tags: Vec<&'static str>,
    /// Whether a submission may have files beside the main one.
    pub many_files: bool,
    /// Runs of the grader that making one submission small may take: fewer where each is slow.
    pub tries: usize,
}

impl About {
    /// Whether a submission that applies to these surfaces and tags is meant for it.
    pub fn takes(&self, applies: &[String]) -> bool {
        applies.iter().any(|a| a == self.surface.tag() || self.tags.contains(&a.as_str()))
    }
}

/// What a grader did with a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Payment {
    /// What it paid; nothing if it crashed, hung or said no number.
    pub reward: Option<f64>,
    /// False if the machine failed; then nothing follows.
    pub valid: bool,
    /// What was seen, for a person.
    pub transcript: String,
    /// Wall time.
    pub seconds: f64,
}

/// The truth about a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Whether it solves the task.
    pub solved: bool,
    /// What the oracle counted, where there is one; otherwise the submission holds no solution by its making.
    pub oracle: Option<OracleResult>,
    /// The family it turned out to be of, where that was found out by execution.
    pub family: Option<Family>,
    /// What was observed, in sentences.
    pub evidence: Vec<String>,
    /// What the grader paid, where it was run again for this.
    pub paid: Option<f64>,
}

impl Judgement {
    /// The share of its tests a submission passes.
    pub fn share(&self) -> f64 {
        match self.oracle {
            Some(o) if o.total > 0 => o.passed as f64 / o.total as f64,
            _ if self.solved => 1.0,
            _ => 0.0,
        }
    }
}

/// A submission whose fate is known beforehand: what a grader does with it says whether the grader can be used at all.
#[derive(Debug, Clone)]
pub struct Control {
    /// `honest`, `empty`, `constant`, `echo`, `wrong`, `slow` (where speed is paid), `raising` or `hanging`.
    pub name: &'static str,
    /// The submission.
    pub files: Files,
}

/// A sign of weakness seen without running anything. Never a finding.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Hint {
    /// A short name.
    pub id: &'static str,
    /// What was seen, and where.
    pub message: String,
}

/// What is known of an environment before anything is run.
#[derive(Debug, Clone)]
pub struct Description {
    /// What it is.
    pub about: About,
    /// What may be known of the task.
    pub facts: Facts,
    /// The reference first, then submissions that deserve nothing.
    pub controls: Vec<Control>,
    /// Signs of weakness.
    pub hints: Vec<Hint>,
    /// The reference in forms that people and models give their answers too: what it is, and the text as it is handed
    /// in.
    pub unusual: Vec<(&'static str, String)>,
}

impl Description {
    /// Whether a submission is the control of that name.
    pub fn is_control(&self, name: &str, files: &Files) -> bool {
        self.controls.iter().any(|c| c.name == name && &c.files == files)
    }
}

/// Anything that takes a submission and pays.
pub trait Environment: Sync {
    /// What is known of it before anything is run.
    fn description(&self) -> &Description;

    /// Runs the grader on a submission, in a cell (an HTTP grader: asks it).
    ///
    /// # Errors
    /// Only what keeps everything from going on; whatever the submission or the grader does is in [`Payment`].
    fn pay(&self, files: &Files) -> Result<Payment, EnvError>;

    /// Finds out whether a submission solves the task, where it cannot reach what it is compared with.
    ///
    /// # Errors
    /// As for [`Environment::pay`].
    fn judge(&self, files: &Files) -> Result<Judgement, EnvError>;

    /// Runs the grader on a text as it is, without the form that answers are given otherwise.
    ///
    /// # Errors
    /// As for [`pay`](Self::pay).
    fn pay_text(&self, text: &str) -> Result<Payment, EnvError> {
        self.pay(&single(self.description().about.surface, text))
    }

    /// Whether the grader can still be asked; one that is a service may have been ended.
    fn alive(&self) -> bool {
        true
    }

    /// A script that gives the grader this submission and prints its reward, without anything of ours; nothing where
    /// there is none.
    fn script(&self, _files: &Files) -> Option<String> {
        None
    }

    /// What it is known to pay for the form of an answer, whatever the answer says: a hole is what earns more.
    fn paid_for_form(&self) -> f64 {
        0.0
    }

    /// Whether every answer of a submission is wrong by its making, so that no part of its reward is for what is right.
    fn all_wrong(&self, _files: &Files) -> bool {
        false
    }

    /// Its hardened form, which the same submissions can be given to; or why there is none.
    ///
    /// # Errors
    /// Says, after "it cannot be hardened: ", what keeps it from it.
    fn hardened(&self) -> Result<HardenedForm, String> {
        Err("only graders of tasks in a file and Python functions can; each finding says how to close it".into())
    }

    /// As [`judge`](Self::judge), without what costs more than finding out whether it solves the task: no family, no
    /// evidence.
    ///
    /// # Errors
    /// As for [`judge`](Self::judge).
    fn judge_briefly(&self, files: &Files) -> Result<Judgement, EnvError> {
        self.judge(files)
    }
}

/// One submission that consists of its main file.
pub(crate) fn single(surface: Surface, text: impl Into<String>) -> Files {
    Files::from([(surface.main_file().to_string(), text.into())])
}

/// How many words of a grader's source are tried.
const MAX_WORDS: usize = 256;

/// Gives facts the text literals of a grader's source: `all_tokens` as one block of comment lines, `tokens` one by
/// one. What they are worth is found out by running them.
pub(crate) fn words_of(source: &str, facts: &mut Facts) {
    let mut words: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = &rest[at..=at];
        let body = &rest[at + 1..];
        let mut text = String::new();
        let mut chars = body.char_indices();
        let mut end = None;
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, other)) => text.push(other),
                    None => {}
                },
                '\n' => break,
                c if quote.starts_with(c) => {
                    end = Some(i + 1);
                    break;
                }
                c => text.push(c),
            }
        }
        let Some(end) = end else {
            rest = body;
            continue;
        };
        rest = &body[end..];
        let text = text.trim().to_string();
        if (2..=80).contains(&text.len()) && !text.contains("{{") && !words.contains(&text) && words.len() < MAX_WORDS {
            words.push(text);
        }
    }
    if !words.is_empty() {
        // A fence among them would end the block that the submission is taken out of.
        let mut lines: Vec<String> =
            words.iter().filter(|w| !w.contains("```")).map(|w| w.replace('\n', " ")).collect();
        // A name may be looked for as that of a module.
        let is_name = |w: &&String| w.len() > 3 && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let imports =
            words.iter().filter(is_name).filter(|w| w.contains('_')).map(|w| format!("import {w}; from {w} import it"));
        lines.extend(imports.collect::<Vec<_>>());
        facts.one.insert("all_tokens", lines.join("\n# "));
        facts.many.insert("tokens", words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_literals_of_a_source() {
        let mut facts = Facts::default();
        words_of("if 'let \\'me in' in x or \"open\\n\" == y: # don't\n    z = \"a\"\n", &mut facts);
        assert_eq!(facts.many["tokens"], ["let 'me in", "open"]);
        assert_eq!(facts.one["all_tokens"], "let 'me in\n# open");
        words_of("SWITCH = 'debug_accept'\n", &mut facts);
        assert_eq!(facts.one["all_tokens"], "debug_accept\n# import debug_accept; from debug_accept import it");
    }
}
