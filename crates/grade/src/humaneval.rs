//! HumanEval's `check`: recorded on the reference, and asked again where answers differ.

use crate::lab::{Entry, GradeError, Lab, lock};
use crate::oracle::{Answer, Compared, difference};
use crate::program;
use crate::task::Task;
use crate::value::Value;
use std::sync::Arc;

/// A `check`, recorded on the reference.
pub(crate) struct Prepared {
    pub inputs: Vec<Vec<Value>>,
    pub outputs: Vec<Value>,
    pub asserts: usize,
    pub mutated: String,
}

impl Lab {
    pub(crate) fn check_answers(&self, task: &Task, test: &str, entry: &Entry) -> Result<Compared, GradeError> {
        let prepared = self.prepared(task, test)?;
        let inputs: Vec<&[Value]> = prepared.inputs.iter().map(Vec::as_slice).collect();
        let answers = self.answers(&task.entry_point, &inputs, entry, false)?;
        let total = prepared.asserts;
        let all = |passed: usize| (0..total).map(|i| i < passed).collect::<Vec<_>>();
        let same = |(a, want): (&Answer, &Value)| a.as_ref() == Ok(want);
        if answers.iter().zip(&prepared.outputs).all(same) {
            return Ok(Compared { right: all(total), differences: Vec::new() });
        }
        if answers.iter().all(Result::is_err) {
            let why = answers.first().and_then(|a| a.as_ref().err()).cloned().unwrap_or_default();
            return Ok(Compared { right: all(0), differences: vec![format!("no call returned a value: {why}")] });
        }
        // Other answers than the reference's may still satisfy the check: ask it, with the answers only.
        let values: Vec<Option<Value>> = answers.iter().map(|a| a.as_ref().ok().cloned()).collect();
        let source = program::replay(&task.reference, test, &prepared.inputs, &values);
        let record = self.run_trusted(source)?;
        let (good, bad, broke) = counts(json_lines(&record.stdout).first().map_or("", String::as_str))
            .ok_or_else(|| GradeError::Machine("the replayed check said nothing".into()))?;
        let differences = answers
            .iter()
            .zip(&prepared.outputs)
            .zip(&inputs)
            .filter(|((a, want), _)| a.as_ref() != Ok(*want))
            .take(3)
            .map(|((a, want), args)| difference(&Value::Tuple(args.to_vec()).python(), a, want))
            .collect();
        let clean = bad == 0 && broke.is_empty();
        let passed = if clean { good.min(total) } else { good.min(total.saturating_sub(1)) };
        Ok(Compared { right: all(passed), differences })
    }

    pub(crate) fn prepared(&self, task: &Task, test: &str) -> Result<Arc<Prepared>, GradeError> {
        let key = task.digest();
        if let Some(found) = lock(&self.prepared).get(&key) {
            return Ok(found);
        }
        let wrong = |why: String| GradeError::Task { task: task.id.clone(), why };
        let record = self.run_trusted(program::prepare(&task.reference, test, &task.entry_point))?;
        let lines = json_lines(&record.stdout);
        let [head, inputs, outputs] = lines.as_slice() else {
            let stderr = String::from_utf8_lossy(&record.stderr);
            let last = stderr.lines().last().unwrap_or("no message");
            return Err(wrong(format!("its check cannot be run on its reference: {last}")));
        };
        let (good, bad, broke) = counts(head).ok_or_else(|| wrong("its check gave no counts".into()))?;
        if bad > 0 || !broke.is_empty() {
            return Err(wrong(format!(
                "its reference fails its own check ({bad} of {} assertions) {broke}",
                good + bad
            )));
        }
        #[derive(serde::Deserialize)]
        struct Head {
            mutated: String,
        }
        let head: Head = serde_json::from_str(head).map_err(|e| wrong(e.to_string()))?;
        let list = |text: &str| match Value::parse(text) {
            Ok(Value::List(items)) => Ok(items),
            Ok(_) => Err(wrong("its recorded calls are no list".into())),
            Err(e) => Err(wrong(format!("its recorded calls: {e}"))),
        };
        let inputs = list(inputs)?
            .into_iter()
            .map(|v| match v {
                Value::Tuple(args) => Ok(args),
                _ => Err(wrong("a recorded call is no tuple".into())),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let prepared = Arc::new(Prepared { inputs, outputs: list(outputs)?, asserts: good, mutated: head.mutated });
        lock(&self.prepared).put(key, prepared.clone());
        Ok(prepared)
    }
}

fn json_lines(stdout: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(stdout).lines().map(str::to_string).collect()
}

fn counts(line: &str) -> Option<(usize, usize, String)> {
    #[derive(serde::Deserialize)]
    struct Counts {
        good: usize,
        bad: usize,
        broke: String,
    }
    #[derive(serde::Deserialize)]
    struct Head {
        counts: Counts,
    }
    let c = serde_json::from_str::<Head>(line).map(|h| h.counts);
    let c = c.or_else(|_| serde_json::from_str::<Counts>(line)).ok()?;
    Some((c.good, c.bad, c.broke))
}
