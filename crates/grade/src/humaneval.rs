//! HumanEval's `check`: recorded on the reference, and asked again where answers differ.

use crate::grading::{Entry, GradeError, Grading, lock};
use crate::oracle::{Answer, Asked, Compared, difference};
use crate::program;
use crate::task::Task;
use crate::value::Value;
use crate::written::ROUNDS;
use serde::Deserialize;
use std::sync::Arc;

/// What became of one call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// What it returned, or the built-in class of the exception it raised.
    pub result: Result<Value, String>,
    /// Its arguments afterwards.
    pub after: Vec<Value>,
}

/// A `check`, recorded on the reference.
pub(crate) struct Prepared {
    calls: Vec<(Vec<Value>, Outcome)>,
    asserts: usize,
    pub mutated: String,
}

#[derive(Deserialize)]
struct Counts {
    good: usize,
    bad: usize,
    broke: String,
    /// `check` with wrong expected values in the assertions that failed.
    #[serde(default)]
    mutated: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    counts: Counts,
    steady: bool,
    mutated: String,
}

impl Outcome {
    /// An answer of the oracle that was asked for the arguments afterwards, too.
    pub(crate) fn of(answer: &Answer, given: &[Value]) -> Outcome {
        let failed = |kind: &str| Outcome { result: Err(kind.into()), after: given.to_vec() };
        match answer {
            Ok(Value::Tuple(parts)) => match parts.as_slice() {
                [value, Value::List(after)] => Outcome { result: Ok(value.clone()), after: after.clone() },
                _ => failed("RuntimeError"),
            },
            Ok(_) => failed("RuntimeError"),
            // Its own name, then that of the built-in class behind it.
            Err(why) => failed(why.split(' ').nth(1).unwrap_or("RuntimeError")),
        }
    }
}

impl Grading {
    pub(crate) fn check_answers(
        &self,
        task: &Task,
        test: &str,
        entry: &Entry,
        asked: Asked,
    ) -> Result<Compared, GradeError> {
        let prepared = self.prepared(task, test)?;
        let mut inputs: Vec<Vec<Value>> = prepared.calls.iter().map(|(args, _)| args.clone()).collect();
        let wanted = || prepared.calls.iter().map(|(_, outcome)| outcome);
        let as_recorded = |answers: &[Answer]| wanted().eq(&outcomes(answers, &inputs));
        let answers = self.answers(task.entry_name(), &slices(&inputs), entry, true, asked, &as_recorded)?;
        let mut got = outcomes(&answers.values, &inputs);
        let total = prepared.asserts;
        let compared = |passed: usize, differences| Compared {
            right: (0..total).map(|i| i < passed).collect(),
            differences,
            ..Compared::default()
        };
        if wanted().eq(&got) {
            return Ok(compared(total, Vec::new()));
        }
        if got.iter().all(|o| o.result.is_err()) {
            let why = answers.values.first().and_then(|a| a.as_ref().err()).cloned().unwrap_or_default();
            return Ok(compared(0, vec![format!("no call returned a value: {why}")]));
        }
        // Other answers than the reference's may still satisfy the check: ask it, with the answers only.
        let mut counts = self.replayed(task, test, &inputs, &got)?;
        for _ in 0..ROUNDS {
            if counts.1.is_empty() {
                break;
            }
            // What it calls with may follow from an answer.
            let more = std::mem::take(&mut counts.1);
            let known = inputs.len();
            inputs.extend(more);
            let from = if asked == Asked::InOrder { 0 } else { known };
            let answers = self.answers(task.entry_name(), &slices(&inputs[from..]), entry, true, asked, &|_| true)?;
            got.truncate(from);
            got.extend(outcomes(&answers.values, &inputs[from..]));
            counts = self.replayed(task, test, &inputs, &got)?;
        }
        let (counts, _) = counts;
        let differences = prepared
            .calls
            .iter()
            .zip(&got)
            .filter(|((_, wanted), got)| wanted != *got)
            .take(3)
            .map(|((args, wanted), got)| {
                let wanted = wanted.result.clone().unwrap_or_else(Value::Str);
                difference(&Value::Tuple(args.clone()).python(), &got.result, &wanted)
            })
            .collect();
        let clean = counts.bad == 0 && counts.broke.is_empty();
        let passed = if clean { total } else { counts.good.min(total.saturating_sub(1)) };
        let call = |args: Vec<Value>| [Value::Tuple(args), Value::Dict(Vec::new())];
        let answered = inputs.into_iter().map(call).zip(got).collect();
        Ok(Compared { mutated: counts.mutated, answered, ..compared(passed, differences) })
    }

    /// What `check` says of these outcomes of these calls, and which calls it makes besides.
    fn replayed(
        &self,
        task: &Task,
        test: &str,
        inputs: &[Vec<Value>],
        got: &[Outcome],
    ) -> Result<(Counts, Vec<Vec<Value>>), GradeError> {
        let calls: Vec<(&[Value], &Outcome)> = inputs.iter().map(Vec::as_slice).zip(got).collect();
        let record = self.run_trusted(program::replay(&task.reference, test, task.entry_name(), &calls))?;
        let text = String::from_utf8_lossy(&record.stdout);
        let (counts, wanted) = text.split_once('\n').unwrap_or((&text, "[]"));
        let counts: Counts =
            serde_json::from_str(counts).map_err(|_| GradeError::Machine("the replayed check said nothing".into()))?;
        let wanted = match Value::parse(wanted.trim()) {
            Ok(Value::List(calls)) => calls,
            _ => Vec::new(),
        };
        let args = |call| match call {
            Value::Tuple(args) => Some(args),
            _ => None,
        };
        Ok((counts, wanted.into_iter().filter_map(args).collect()))
    }

    /// Whether `check` accepts plain copies of what the reference returns.
    pub(crate) fn accepts_copies(&self, task: &Task, test: &str) -> Result<bool, GradeError> {
        let prepared = self.prepared(task, test)?;
        let (inputs, outcomes): (Vec<_>, Vec<_>) = prepared.calls.iter().cloned().unzip();
        let (counts, _) = self.replayed(task, test, &inputs, &outcomes)?;
        Ok(counts.bad == 0 && counts.broke.is_empty())
    }

    pub(crate) fn prepared(&self, task: &Task, test: &str) -> Result<Arc<Prepared>, GradeError> {
        let key = task.digest();
        if let Some(found) = lock(&self.prepared).get(&key) {
            return Ok(found);
        }
        let wrong = |why: String| GradeError::Task { task: task.id.clone(), why };
        let record = self.run_trusted(program::prepare(&task.reference, test, task.entry_name()))?;
        let text = String::from_utf8_lossy(&record.stdout);
        let Some((head, calls)) = text.split_once('\n') else {
            let last = Some(record.last_words()).filter(|l| !l.is_empty()).unwrap_or_else(|| "no message".to_owned());
            return Err(wrong(format!("its check cannot be run on its reference: {last}")));
        };
        let head: Head = serde_json::from_str(head).map_err(|e| wrong(format!("its check gave no counts: {e}")))?;
        let Counts { good, bad, broke, .. } = head.counts;
        if bad > 0 || !broke.is_empty() {
            return Err(wrong(format!(
                "its reference fails its own check ({bad} of {} assertions) {broke}",
                good + bad
            )));
        }
        if !head.steady {
            return Err(wrong("its check is not deterministic: two runs on the reference differ".into()));
        }
        let calls = match Value::parse(calls.trim()) {
            Ok(Value::List(calls)) => calls.into_iter().map(recorded).collect::<Option<Vec<_>>>(),
            Ok(_) => None,
            Err(e) => return Err(wrong(format!("its recorded calls: {e}"))),
        };
        let calls = calls.ok_or_else(|| wrong("its recorded calls are not what they should be".into()))?;
        let prepared = Arc::new(Prepared { calls, asserts: good, mutated: head.mutated });
        // A value takes up to so many times the bytes it is written with.
        lock(&self.prepared).put(key, prepared.clone(), 16 * record.stdout.len());
        Ok(prepared)
    }
}

fn slices(inputs: &[Vec<Value>]) -> Vec<&[Value]> {
    inputs.iter().map(Vec::as_slice).collect()
}

fn outcomes(answers: &[Answer], inputs: &[Vec<Value>]) -> Vec<Outcome> {
    answers.iter().zip(inputs).map(|(answer, given)| Outcome::of(answer, given)).collect()
}

fn recorded(call: Value) -> Option<(Vec<Value>, Outcome)> {
    let Value::Tuple(parts) = call else { return None };
    match <[Value; 4]>::try_from(parts).ok()? {
        [Value::Tuple(args), Value::Bool(true), value, Value::List(after)] => {
            Some((args, Outcome { result: Ok(value), after }))
        }
        // After an exception nothing is asked about the arguments.
        [Value::Tuple(args), Value::Bool(false), Value::Str(kind), _] => {
            Some((args.clone(), Outcome { result: Err(kind), after: args }))
        }
        _ => None,
    }
}
