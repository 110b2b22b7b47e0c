//! Assertions as tests: `assert f(1, 2) == 3` is a case of `f`, whose answer can be asked for from outside.

use crate::grading::{GradeError, Grading};
use crate::program;
use crate::task::Case;
use crate::value::Value;
use serde::Deserialize;

#[derive(Deserialize)]
struct Read {
    entry: String,
    args: Vec<Value>,
    expected: Value,
}

impl Grading {
    /// The function and the case of each assertion that compares a call with plain arguments with a plain value;
    /// `None` for those of any other form.
    ///
    /// # Errors
    /// The machine failed.
    pub fn read_asserts(&self, asserts: &[String]) -> Result<Vec<Option<(String, Case)>>, GradeError> {
        let record = self.run_trusted(program::read_asserts(asserts))?;
        let text = String::from_utf8_lossy(&record.stdout);
        let mut read: Vec<Option<(String, Case)>> = text
            .lines()
            .map(|line| {
                let Read { entry, args, expected } = serde_json::from_str(line).ok()?;
                Some((entry, Case { args, expected }))
            })
            .collect();
        // Where the reading itself broke off (memory, time), the rest is of no known form.
        read.resize_with(asserts.len(), || None);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn assertions_are_read_and_others_are_left() {
        let pool = loophole_cell::Pool::start(Grading::cells(crate::GraderKind::Script)).unwrap();
        let lab = Grading::new(Arc::new(pool));
        let asserts = [
            "assert f(1, 'a\\nb') == (2,)",
            "assert f(-1) == [1.5, None], 'message'",
            "assert not f(1)",
            "assert f(1) != 2",
            "assert math.isclose(f(1), 2)",
            "assert f(x) == 1",
            "assert f(a=1) == 1",
            "import os",
            "assert (",
            "assert g({1: 2}) == {1, 2}\n",
            "assert f(2) is True",
            "",
        ];
        let read = lab.read_asserts(&asserts.map(String::from)).unwrap();
        let known: Vec<usize> = read.iter().enumerate().filter(|(_, r)| r.is_some()).map(|(at, _)| at).collect();
        assert_eq!(known, [0, 1, 9, 10]);
        let (entry, case) = read[0].clone().unwrap();
        assert_eq!((entry.as_str(), case.expected), ("f", Value::Tuple(vec![Value::Int(2)])));
        assert_eq!(case.args, [Value::Int(1), Value::Str("a\nb".into())]);
        assert_eq!(read[9].clone().unwrap().0, "g");
    }
}
