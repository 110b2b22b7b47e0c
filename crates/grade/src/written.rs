//! Tests that are source text: what they ask is found out by running them, answers are asked for elsewhere, and the
//! tests decide about plain copies of them, where the submission is not.

use crate::family::Family;
use crate::grader::Grader;
use crate::grading::{Entry, GradeError, Grading, lock};
use crate::humaneval::Outcome;
use crate::oracle::{Asked, Compared};
use crate::program;
use crate::runner::Expecting;
use crate::task::{Task, Tests};
use crate::value::Value;
use serde::Deserialize;
use std::sync::Arc;

/// How often tests are run to find out what they ask. What one call returns may decide on the next.
pub(crate) const ROUNDS: usize = 12;

/// Tests with wrong expected values.
pub(crate) struct WrongTests {
    pub text: String,
    /// Whether a right solution fails them, so that being paid by them says something.
    pub tells: bool,
}

#[derive(Deserialize)]
struct Counts {
    good: usize,
    bad: usize,
    broke: String,
    /// Lines that failed.
    failed: Vec<String>,
    /// Why the tests can only be run where the submission is.
    beside: String,
}

/// A call, and what came of it.
pub(crate) type Answered = ([Value; 2], Outcome);

impl Grading {
    /// What the tests say of the submission's answers.
    pub(crate) fn answers_to_tests(
        &self,
        task: &Task,
        tests: &Tests,
        text: &str,
        grader: &Grader,
        entry: &Entry,
        asked: Asked,
    ) -> Result<Compared, GradeError> {
        let Some(expression) = task.entry_point() else {
            return self.beside(task, text, grader, entry, "they name no entry point");
        };
        if is_class(&task.reference, expression) {
            // What they ask of its objects is no answer that could be copied out.
            return self.beside(task, text, grader, entry, "they test a class");
        }
        let (mut answered, mut kinds): (Vec<Answered>, Vec<String>) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let program = program::ask_tests(&tests.prelude, text, expression, &answered);
            let record = self.run_trusted(program)?;
            let said = String::from_utf8_lossy(&record.stdout);
            let read = said.rsplit_once("@tests ").and_then(|(_, rest)| rest.split_once('\n'));
            let Some((counts, calls)) = read else {
                return self.beside(task, text, grader, entry, &record.last_words());
            };
            let counts: Counts = serde_json::from_str(counts).map_err(|e| GradeError::Machine(e.to_string()))?;
            if !counts.beside.is_empty() {
                return self.beside(task, text, grader, entry, &counts.beside);
            }
            let calls: Option<Vec<[Value; 2]>> = match Value::parse(calls.trim()) {
                Ok(Value::List(calls)) => calls.into_iter().map(call).collect(),
                _ => None,
            };
            let Some(calls) = calls else {
                return self.beside(task, text, grader, entry, "what they call cannot be read");
            };
            if calls.is_empty() {
                return Ok(Compared { answered, ..compared(&counts, kinds) });
            }
            // In order all are asked again: what came before bears on what comes.
            let calls = match asked {
                Asked::Apart => calls,
                Asked::InOrder => answered.drain(..).map(|(call, _)| call).chain(calls).collect(),
            };
            let answers = self.answers_named(expression, &calls, entry, asked)?;
            for kind in answers.kinds.iter().flatten() {
                let text = format!("returned {kind}, which the tests accept as a plain value");
                if !kinds.contains(&text) && kinds.len() < 3 {
                    kinds.push(text);
                }
            }
            for (call, answer) in calls.into_iter().zip(&answers.values) {
                let given = match &call[0] {
                    Value::Tuple(args) => args.clone(),
                    _ => Vec::new(),
                };
                let outcome = Outcome::of(answer, &given);
                answered.push((call, outcome));
            }
        }
        self.beside(task, text, grader, entry, "what they call depends on too many answers")
    }

    /// The tests in the submission's own process, for those that pass more than plain values: the grader must reach
    /// its end.
    fn beside(
        &self,
        task: &Task,
        text: &str,
        grader: &Grader,
        entry: &Entry,
        why: &str,
    ) -> Result<Compared, GradeError> {
        let grader = Grader::open(grader.kind).without(Family::EarlyExit);
        // What equals anything is no answer here either.
        let entry = &entry.plainly(task);
        let run = self.run_inside(&grader, entry, &self.plan(task, &grader, entry, &[]).tests(text))?;
        let last = run.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Ok(Compared {
            right: vec![run.paid],
            differences: if run.paid { Vec::new() } else { vec![last.trim().chars().take(200).collect()] },
            beside: Some(format!("its tests were run beside the solution: {why}")),
            ..Compared::default()
        })
    }

    /// The tests with every expected value wrong. Asked once a task.
    pub(crate) fn wrong_tests(&self, task: &Task, tests: &Tests) -> Result<Arc<WrongTests>, GradeError> {
        let key = task.digest();
        if let Some(known) = lock(&self.wrong_tests).get(&key) {
            return Ok(known);
        }
        let name = task.entry_point().map(|entry| entry.rsplit('.').next().unwrap_or(entry));
        let record = self.run_trusted(program::wrong_tests(tests.graded(), name))?;
        let said = String::from_utf8_lossy(&record.stdout);
        let read = serde_json::from_str::<(String, usize)>(said.trim());
        let (text, replaced) = read.map_err(|_| GradeError::Task {
            task: task.id.clone(),
            why: format!("its tests cannot be read: {}", record.last_words()),
        })?;
        let known = Arc::new(WrongTests { text, tells: replaced > 0 });
        lock(&self.wrong_tests).put(key, known.clone(), known.text.len());
        Ok(known)
    }

    /// Whether a run with wrong expected values says anything of this task: a right solution must fail it.
    pub(crate) fn wrong_tells(&self, task: &Task, grader: &Grader) -> Result<bool, GradeError> {
        let Some(tests) = task.tests() else {
            return Ok(true);
        };
        if !self.wrong_tests(task, tests)?.tells {
            return Ok(false);
        }
        if task.reference.trim().is_empty() {
            return Ok(true);
        }
        Ok(!self.control(task, grader, task.reference.clone(), Expecting::Wrong)?)
    }
}

/// A call as the tests made it.
fn call(value: Value) -> Option<[Value; 2]> {
    let Value::Tuple(parts) = value else { return None };
    match <[Value; 2]>::try_from(parts).ok()? {
        [args @ Value::Tuple(_), named @ Value::Dict(_)] => Some([args, named]),
        _ => None,
    }
}

fn compared(counts: &Counts, kinds: Vec<String>) -> Compared {
    let broke = usize::from(!counts.broke.is_empty());
    let total = counts.good + counts.bad + broke;
    let mut differences: Vec<String> = counts.failed.iter().map(|line| format!("not so: {line}")).collect();
    if broke > 0 {
        differences.push(format!("the tests broke off: {}", counts.broke));
    }
    Compared { right: (0..total).map(|i| i < counts.good).collect(), differences, kinds, ..Compared::default() }
}

/// Whether a source defines a class of this name at its top.
fn is_class(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        let rest = line.strip_prefix("class ").and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with(['(', ':']))
    })
}
