//! What can be audited: anything that takes a submission and pays.

pub(crate) mod callable;
pub(crate) mod cases;
pub(crate) mod command;
mod dockerfile;
pub(crate) mod files;
mod foreign;
mod harbor;
pub(crate) mod http;
pub(crate) mod open;
mod project;

use crate::AuditError;
use crate::library::{Files, Slots};
use loophole_grade::{Family, OracleResult};

/// The form of a target's submissions, and the name of their main file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A Python module with the wanted function: `solution.py`.
    Module,
    /// A Python program that reads stdin and prints: `solution.py`.
    Program,
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
            Surface::Text => "text",
            Surface::Agent => "agent",
        }
    }

    /// The file every submission has.
    pub fn main_file(self) -> &'static str {
        match self {
            Surface::Module | Surface::Program => "solution.py",
            Surface::Text => "answer.txt",
            Surface::Agent => "solve.sh",
        }
    }
}

/// What a target says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the target, as in the report.
    pub target: String,
    /// The task, where there are several.
    pub task: Option<String>,
    /// The grader in a few words.
    pub grader: String,
    /// Form of its submissions.
    pub surface: Surface,
    /// Further tags by which exploits are chosen.
    pub tags: Vec<&'static str>,
    /// Whether a submission may have files beside the main one.
    pub many_files: bool,
    /// Runs of the grader that making one proof small may take.
    pub tries: usize,
}

impl About {
    /// Whether an exploit is meant for such a target.
    pub fn takes(&self, applies: &[String]) -> bool {
        applies.iter().any(|a| a == self.surface.tag() || self.tags.contains(&a.as_str()))
    }
}

/// What a grader did with a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
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
pub struct Judged {
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

impl Judged {
    /// The share of its tests a submission passes.
    pub fn share(&self) -> f64 {
        match self.oracle {
            Some(o) if o.total > 0 => o.passed as f64 / o.total as f64,
            _ if self.solved => 1.0,
            _ => 0.0,
        }
    }
}

/// A submission whose fate says whether a grader can be audited at all.
#[derive(Debug, Clone)]
pub struct Control {
    /// `honest`, `empty`, `constant`, `echo`, `wrong`, `raising` or `hanging`.
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

/// What is known of a target before anything is run.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What it is.
    pub about: About,
    /// What exploits' slots are filled with.
    pub slots: Slots,
    /// The reference first, then submissions that deserve nothing.
    pub controls: Vec<Control>,
    /// Signs of weakness.
    pub hints: Vec<Hint>,
}

impl Sheet {
    /// Whether a submission is the control of that name.
    pub fn is_control(&self, name: &str, files: &Files) -> bool {
        self.controls.iter().any(|c| c.name == name && &c.files == files)
    }
}

/// Anything that takes a submission and pays.
pub trait Target: Sync {
    /// What is known of it before anything is run.
    fn sheet(&self) -> &Sheet;

    /// Runs the grader on a submission, in a cell (an HTTP grader: asks it).
    ///
    /// # Errors
    /// Only what keeps the audit from going on; whatever the submission or the grader does is in [`Paid`].
    fn pay(&self, files: &Files) -> Result<Paid, AuditError>;

    /// Finds out whether a submission solves the task, where it cannot reach what it is compared with.
    ///
    /// # Errors
    /// As for [`Target::pay`].
    fn judge(&self, files: &Files) -> Result<Judged, AuditError>;

    /// Whether it solves the task, and no more.
    ///
    /// # Errors
    /// As for [`judge`](Self::judge).
    fn solves(&self, files: &Files) -> Result<bool, AuditError> {
        Ok(self.judge(files)?.solved)
    }
}

/// One submission that consists of its main file.
pub(crate) fn single(surface: Surface, text: impl Into<String>) -> Files {
    Files::from([(surface.main_file().to_string(), text.into())])
}

/// How many words of a grader's source are tried.
const MAX_WORDS: usize = 64;

/// Gives slots the text literals of a grader's source: `all_tokens` as one block of comment lines, `tokens` one by
/// one. What they are worth is found out by running them.
pub(crate) fn words_of(source: &str, slots: &mut Slots) {
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
        let lines: Vec<String> = words.iter().map(|w| w.replace('\n', " ")).collect();
        slots.one.insert("all_tokens", lines.join("\n# "));
        slots.many.insert("tokens", words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_literals_of_a_source() {
        let mut slots = Slots::default();
        words_of("if 'let \\'me in' in x or \"open\\n\" == y: # don't\n    z = \"a\"\n", &mut slots);
        assert_eq!(slots.many["tokens"], ["let 'me in", "open"]);
        assert_eq!(slots.one["all_tokens"], "let 'me in\n# open");
    }
}
