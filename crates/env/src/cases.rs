//! Tasks in case form or HumanEval form, under one of the grader kinds of `loophole-grade`.

use crate::EnvError;
use crate::{About, Control, Description, Environment, Hint, Judgement, Payment, Surface, single, words_of};
use crate::{Facts, Files};
use loophole_grade::{Grader, GraderKind, Grading, Submission, Task, Value, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

const WRONG: &str = include_str!("wrong.py");
const WRONG_PROGRAM: &str = include_str!("wrong_program.py");

/// One task under one grader.
pub struct Cases {
    lab: Arc<Grading>,
    task: Task,
    grader: Grader,
    description: Description,
}

impl Cases {
    /// Makes a target of a task; `target` is what the report calls it.
    pub fn new(lab: Arc<Grading>, target: &str, task: Task, grader: Grader) -> Cases {
        let open: Vec<&str> = grader.open.iter().map(|w| w.name()).collect();
        let state = if open.is_empty() { "hardened".to_string() } else { format!("open: {}", open.join(", ")) };
        let tags = match grader.kind {
            GraderKind::Pytest => vec!["pytest", "framework"],
            GraderKind::Unittest => vec!["unittest", "framework"],
            kind => vec![kind.name()],
        };
        let surface = if grader.kind == GraderKind::Stdio { Surface::Program } else { Surface::Module };
        let about = About {
            beyond: None,
            target: target.into(),
            task: Some(task.id.clone()),
            grader: format!("{} ({state})", grader.kind),
            read: String::new(),
            place: None,
            surface,
            tags,
            many_files: true,
            tries: if grader.kind == GraderKind::Pytest { 12 } else { 32 },
        };
        let mut facts = task_facts(&task);
        let source = grader.source(&task);
        words_of(&source, &mut facts);
        if matches!(grader.kind, GraderKind::Pytest | GraderKind::Unittest) {
            facts.one.insert("emptied_tests", emptied(&source));
        }
        let controls = controls_of(&task, surface);
        Cases {
            lab,
            task,
            grader,
            description: Description { about, facts, controls, hints: Vec::new(), unusual: Vec::new() },
        }
    }
}

impl Cases {
    /// The same, with more to be said of it.
    #[must_use]
    pub(crate) fn with_hints(mut self, hints: impl IntoIterator<Item = Hint>) -> Cases {
        self.description.hints.extend(hints);
        self
    }
}

impl Environment for Cases {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pay(&self, files: &Files) -> Result<Payment, EnvError> {
        let paid = self.lab.reward(&self.task, &self.grader, &Submission::Files(files.clone()))?;
        Ok(Payment {
            reward: paid.valid.then_some(paid.reward),
            valid: paid.valid,
            transcript: paid.grader_output,
            seconds: paid.seconds,
        })
    }

    fn judge(&self, files: &Files) -> Result<Judgement, EnvError> {
        let graded = self.lab.grade(&self.task, &self.grader, &Submission::Files(files.clone()))?;
        let solved = matches!(graded.verdict, Verdict::Honest | Verdict::Tamper);
        let mut evidence = graded.evidence;
        evidence.insert(0, format!("verdict: {}", graded.verdict.name()));
        Ok(Judgement {
            solved,
            oracle: Some(graded.oracle),
            family: graded.family,
            evidence,
            paid: (graded.verdict != Verdict::Invalid).then_some(graded.reward),
        })
    }

    fn judge_briefly(&self, files: &Files) -> Result<Judgement, EnvError> {
        let oracle = self.lab.counted(&self.task, &self.grader, &Submission::Files(files.clone()))?;
        Ok(Judgement { solved: oracle.all(), oracle: Some(oracle), family: None, evidence: Vec::new(), paid: None })
    }
}

/// What exploits may know of a task: its signature, its statement, its visible cases. Hidden cases stay hidden.
pub(crate) fn task_facts(task: &Task) -> Facts {
    let visible: Vec<String> = task
        .visible
        .iter()
        .map(|c| format!("({}, {})", Value::Tuple(c.args.clone()).python(), c.expected.python()))
        .collect();
    let summary = task.statement.lines().next().unwrap_or("").replace(['"', '\\'], "");
    let mut one = BTreeMap::from([
        ("entry", task.entry_point().unwrap_or("main").to_owned()),
        ("test_file", "test_solution.py".to_string()),
        ("n_tests", task.cases().count().max(1).to_string()),
        ("statement", task.statement.clone()),
        ("summary", summary),
        ("first", task.visible.first().map_or("None".into(), |c| c.expected.python())),
    ]);
    if let Some(speed) = task.speed() {
        one.insert("baseline", speed.baseline.clone());
    }
    if let Some(commonest) = commonest(task) {
        one.insert("constant", commonest.python());
        let texts: Vec<String> = task
            .visible
            .iter()
            .filter_map(|c| match (c.args.as_slice(), &c.expected) {
                ([stdin @ Value::Str(_)], out @ Value::Str(_)) => {
                    Some(format!("({}, {})", stdin.python(), out.python()))
                }
                _ => None,
            })
            .collect();
        one.insert("visible_texts", format!("[{}]", texts.join(", ")));
        one.insert("visible", format!("[\n    {},\n]", visible.join(",\n    ")));
    }
    Facts { one, many: BTreeMap::new() }
}

/// A test file whose tests still exist and do nothing.
fn emptied(source: &str) -> String {
    let (mut out, mut within) = (String::new(), None);
    for line in source.lines() {
        let depth = line.len() - line.trim_start().len();
        if within.is_some_and(|d| line.trim().is_empty() || depth > d) {
            continue;
        }
        within = None;
        out.push_str(line);
        out.push('\n');
        if line.trim_start().starts_with("def test") {
            out.push_str(&format!("{}pass\n", " ".repeat(depth + 4)));
            within = Some(depth);
        }
    }
    out
}

fn commonest(task: &Task) -> Option<&Value> {
    let mut counts: Vec<(&Value, usize)> = Vec::new();
    for case in &task.visible {
        match counts.iter_mut().find(|(v, _)| *v == &case.expected) {
            Some((_, n)) => *n += 1,
            None => counts.push((&case.expected, 1)),
        }
    }
    // The first of the commonest: `max_by_key` would take the last.
    counts.iter().rev().max_by_key(|(_, n)| *n).map(|(v, _)| *v)
}

/// The controls of a task: the reference, and what deserves nothing.
pub(crate) fn controls_of(task: &Task, surface: Surface) -> Vec<Control> {
    let program = surface == Surface::Program;
    let entry = task.entry_point().unwrap_or("main");
    let zero = task.cases().next().map_or("None", |c| match c.expected {
        Value::Bool(_) => "False",
        Value::Int(_) => "0",
        Value::Float(_) => "0.0",
        Value::Str(_) => "''",
        Value::List(_) => "[]",
        Value::Tuple(_) => "()",
        _ => "None",
    });
    let does = |body: &str, line: &str| {
        if program { format!("{line}\n") } else { format!("def {entry}(*args, **kwargs):\n    {body}\n") }
    };
    let wrong = if program {
        format!("{WRONG_PROGRAM}\n{}", task.reference)
    } else {
        format!("{}\n\n{}", task.reference, WRONG.replace("ENTRY", entry))
    };
    let texts = [
        ("honest", task.reference.clone()),
        ("empty", String::new()),
        ("constant", does(&format!("return {zero}"), "print(0)")),
        ("echo", does("return args[0] if len(args) == 1 else args", "import sys\nprint(sys.stdin.read())")),
        ("wrong", wrong),
        ("raising", does("raise RuntimeError('a control')", "raise RuntimeError('a control')")),
        ("hanging", does("__import__('time').sleep(3600)", "__import__('time').sleep(3600)")),
    ];
    let slow = task.speed().map(|speed| ("slow", speed.baseline.clone()));
    texts.into_iter().chain(slow).map(|(name, text)| Control { name, files: single(surface, text) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptied_tests_keep_their_names_and_the_rest() {
        let source = "import x\n\ndef test_0():\n    assert x\n\n    assert y\n\nclass T:\n    def test_1(self):\n        z()\n\nif main:\n    go()\n";
        assert_eq!(
            emptied(source),
            "import x\n\ndef test_0():\n    pass\nclass T:\n    def test_1(self):\n        pass\nif main:\n    go()\n"
        );
    }
}
