//! Tasks and submissions, and the two forms of a task that are a line of JSON here.

mod compare;
mod form;

use crate::value::Value;
pub use compare::Compare;
pub use form::{Function, HumanEval, Language, Shape, Speed, TaskForm, Tests};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The file of a submission that holds the solution itself.
pub const SOLUTION: &str = "solution.py";

/// One test: arguments, and the value the entry point must return for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CaseLine")]
pub struct Case {
    /// Positional arguments.
    pub args: Vec<Value>,
    /// What the reference returns.
    pub expected: Value,
}

/// A test as files hold it: `args` and `expected`, or, for a program, `stdin` and `stdout`.
#[derive(Deserialize)]
struct CaseLine {
    args: Option<Vec<Value>>,
    // Read twice: an expected `null` is a value.
    #[serde(default, deserialize_with = "present")]
    expected: Option<Value>,
    stdin: Option<String>,
    stdout: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

impl TryFrom<CaseLine> for Case {
    type Error = &'static str;

    fn try_from(line: CaseLine) -> Result<Case, Self::Error> {
        match (line.args, line.expected, line.stdin, line.stdout) {
            (Some(args), Some(expected), None, None) => Ok(Case { args, expected }),
            (None, None, Some(stdin), Some(stdout)) => {
                Ok(Case { args: vec![Value::Str(stdin)], expected: Value::Str(stdout) })
            }
            _ => Err("a test needs `args` and `expected`, or `stdin` and `stdout`"),
        }
    }
}

/// Something to do, with a statement, a reference solution, visible and hidden tests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "form::TaskLine")]
pub struct Task {
    /// Unique within a file.
    pub id: String,
    /// What the policy is told.
    pub statement: String,
    /// What is asked for, and how the tests are written.
    pub form: TaskForm,
    /// A whole solution; empty where there is none.
    pub reference: String,
    /// Tests the policy may see.
    pub visible: Vec<Case>,
    /// Tests it may not.
    pub hidden: Vec<Case>,
    /// Free labels.
    pub tags: Vec<String>,
    /// What counts as right.
    pub compare: Compare,
    /// The visible tests contradict the statement: who passes them has not done what was asked for.
    pub impossible: bool,
}

#[derive(Deserialize)]
struct HumanEvalLine {
    task_id: String,
    prompt: String,
    entry_point: String,
    canonical_solution: String,
    test: String,
}

/// What the policy hands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Submission {
    /// Source text: a whole solution, or (HumanEval form) the continuation of the prompt.
    Completion(String),
    /// A whole program, in the language that it says it is in.
    Program {
        /// Its language.
        language: Language,
        /// Its text.
        source: String,
    },
    /// Files by path, `solution.py` among them.
    Files(BTreeMap<String, String>),
}

impl Submission {
    /// A solution and nothing beside it.
    pub(crate) fn of(source: &str) -> Submission {
        Submission::Files(BTreeMap::from([(SOLUTION.to_string(), source.to_string())]))
    }
}

/// Tasks or submissions that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A line is for no task that is known.
    #[error("{path}, line {line}: {why}")]
    NoTask {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// How the task was looked for.
        why: String,
    },
}

impl Task {
    /// A task of this form, with nothing else yet.
    pub fn new(id: impl Into<String>, form: TaskForm) -> Task {
        Task {
            id: id.into(),
            statement: String::new(),
            form,
            reference: String::new(),
            visible: Vec::new(),
            hidden: Vec::new(),
            tags: Vec::new(),
            compare: Compare::default(),
            impossible: false,
        }
    }

    /// Visible cases, then hidden ones.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.visible.iter().chain(&self.hidden)
    }

    /// Reads one line in case form or in HumanEval form; the crate `loophole-env` reads the forms of others.
    pub fn parse(line: &str) -> Result<Task, String> {
        #[derive(Deserialize)]
        struct Shape {
            canonical_solution: Option<serde::de::IgnoredAny>,
        }
        let shape: Shape = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let task = if shape.canonical_solution.is_some() {
            let l: HumanEvalLine = serde_json::from_str(line).map_err(|e| e.to_string())?;
            Task {
                statement: l.prompt.clone(),
                reference: format!("{}{}", l.prompt, l.canonical_solution),
                tags: vec!["humaneval".into()],
                ..Task::new(
                    l.task_id,
                    TaskForm::HumanEval(HumanEval { entry_point: l.entry_point, prompt: l.prompt, test: l.test }),
                )
            }
        } else {
            serde_json::from_str::<Task>(line).map_err(|e| e.to_string())?
        };
        task.checked()
    }

    /// The task, if it can be used.
    ///
    /// # Errors
    /// Its entry point is no name, or it has no test.
    pub fn checked(self) -> Result<Task, String> {
        let task = self;
        let expression =
            |name: &str| name.split('.').all(|part| is_identifier(part.strip_suffix("()").unwrap_or(part)));
        let named = |name: &&str| if task.tests().is_some() { expression(name) } else { is_identifier(name) };
        if let Some(name) = task.entry_point().filter(|name| !named(name)) {
            return Err(format!("entry_point `{name}` of task `{}` is no Python name", task.id));
        }
        let has_tests = match &task.form {
            TaskForm::HumanEval(problem) => !problem.test.trim().is_empty(),
            TaskForm::Tests(tests) => !tests.visible.trim().is_empty() || !tests.hidden.trim().is_empty(),
            TaskForm::Function(_) | TaskForm::Program { .. } => task.cases().next().is_some(),
        };
        if let Some(why) = task.speed().and_then(|speed| speed.fault(&task.compare)) {
            return Err(format!("task `{}`: {why}", task.id));
        }
        if !has_tests {
            return Err(format!("task `{}` has no test, visible or hidden", task.id));
        }
        Ok(task)
    }

    /// Whether two of its visible tests ask the same and no answer meets both.
    pub(crate) fn contradicts_itself(&self) -> bool {
        if self.compare.checker.is_some() {
            return false;
        }
        // As far from each other as both may be from one answer; of a program's output white space does not count.
        let both = Compare {
            tolerance: self.compare.tolerance.map(|tolerance| 2.0 * tolerance),
            loose_text: self.compare.loose_text || self.is_program(),
            any_of: false,
            ..self.compare.clone()
        };
        let accepted = |expected: &Value| match expected {
            Value::List(values) if self.compare.any_of => values.clone(),
            value => vec![value.clone()],
        };
        let mut asked: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for case in &self.visible {
            let mine = accepted(&case.expected);
            let left = asked.entry(Value::Tuple(case.args.clone()).canonical()).or_insert_with(|| mine.clone());
            left.retain(|value| mine.iter().any(|own| own.meets(value, &both)));
            if left.is_empty() {
                return true;
            }
        }
        false
    }

    /// A digest of everything in the task.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).into()
    }

    /// The program a submission to this task amounts to, as the text of one module, with its other files.
    pub(crate) fn program<'a>(&self, s: &'a Submission) -> (String, BTreeMap<&'a str, &'a str>) {
        let (source, others) = self.bare_program(s);
        if let TaskForm::Function(function) = &self.form
            && let Some((before, after)) = function.adapters()
        {
            return (format!("{before}{source}{after}"), others);
        }
        let prelude = self.prelude();
        if prelude.trim().is_empty()
            || source.starts_with(prelude)
            || (self.is_program() && self.language_of(s) != Language::Python)
        {
            return (source, others);
        }
        // Of tests that are text the prelude is theirs, too.
        let prelude = if self.tests().is_some() { prelude.to_owned() } else { needed(prelude, &source) };
        (format!("{prelude}\n{source}"), others)
    }

    /// The language of a submission: its own, else that of the files it consists of, else the task's.
    pub(crate) fn language_of(&self, submission: &Submission) -> Language {
        let Some(own) = self.program_language() else { return Language::Python };
        match submission {
            Submission::Completion(_) => own,
            Submission::Program { language, .. } => *language,
            Submission::Files(files) if files.contains_key(own.file()) || files.contains_key(SOLUTION) => own,
            Submission::Files(files) => {
                Language::ALL.into_iter().find(|language| files.contains_key(language.file())).unwrap_or(own)
            }
        }
    }

    /// How many lines stand before a submission in its program.
    pub(crate) fn lines_before(&self) -> usize {
        match &self.form {
            TaskForm::Function(function) if function.adapters().is_some() => {
                function.adapters().map_or(0, |(before, _)| before.lines().count())
            }
            _ if self.prelude().trim().is_empty() => 0,
            _ => self.prelude().lines().count(),
        }
    }

    fn bare_program<'a>(&self, s: &'a Submission) -> (String, BTreeMap<&'a str, &'a str>) {
        match s {
            Submission::Files(files) => {
                let own = self.language_of(s).file();
                let others = files.iter().filter(|(p, _)| *p != SOLUTION && *p != own);
                (
                    files.get(own).or_else(|| files.get(SOLUTION)).cloned().unwrap_or_default(),
                    others.map(|(p, c)| (p.as_str(), c.as_str())).collect(),
                )
            }
            Submission::Program { source, .. } => (source.clone(), BTreeMap::new()),
            Submission::Completion(text) => {
                let source = match self.humaneval() {
                    None => text.clone(),
                    Some(h) => {
                        let def = format!("def {}(", h.entry_point);
                        let whole = text.lines().any(|l| l.starts_with(&def));
                        match h.prompt.find(&def) {
                            // A whole program still gets the prompt's imports and helpers.
                            Some(at) if whole => format!("{}{text}", &h.prompt[..at]),
                            _ => format!("{}{text}", h.prompt),
                        }
                    }
                };
                (source, BTreeMap::new())
            }
        }
    }
}

/// A prelude before a source: without what that one must come before, and without modules that it does not name (each
/// costs time). Lines are left blank, so that there are always as many.
fn needed(prelude: &str, source: &str) -> String {
    if source.lines().any(|line| line.starts_with("from __future__ import")) {
        return "\n".repeat(prelude.lines().count().saturating_sub(1));
    }
    let named = |line: &&str| line.strip_prefix("import ").is_none_or(|module| source.contains(module.trim()));
    let lines: Vec<&str> = prelude.lines().map(|line| if named(&line) { line } else { "" }).collect();
    lines.join("\n")
}

fn is_identifier(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"t1","entry_point":"f","reference":"def f(a): return (a,)","visible":[{"args":[1],"expected":{"$tuple":[1]}}],"unknown":1}"#;

    #[test]
    fn case_form_round_trips() {
        let task = Task::parse(LINE).unwrap();
        assert_eq!(task.visible[0].expected, Value::Tuple(vec![Value::Int(1)]));
        let again = Task::parse(&serde_json::to_string(&task).unwrap()).unwrap();
        assert_eq!(again, task);
    }

    #[test]
    fn broken_lines_are_named() {
        for (line, says) in [
            ("{\"id\":", "EOF"),
            (r#"{"id":"b","entry_point":"a b","reference":""}"#, "no Python name"),
            (r#"{"id":"b","entry_point":"f","reference":""}"#, "no test"),
        ] {
            let error = Task::parse(line).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_whole_program_replaces_the_signature() {
        let line = r#"{"task_id":"h","prompt":"import math\n\ndef f(x):\n    \"\"\"doc\"\"\"\n","entry_point":"f","canonical_solution":"    return x\n","test":"def check(candidate):\n    assert candidate(1) == 1\n"}"#;
        let task = Task::parse(line).unwrap();
        let cont = Submission::Completion("    return 1\n".into());
        assert!(task.program(&cont).0.ends_with("doc\"\"\"\n    return 1\n"));
        let whole = Submission::Completion("def f(x):\n    return 2\n".into());
        assert_eq!(task.program(&whole).0, "import math\n\ndef f(x):\n    return 2\n");
    }
}
