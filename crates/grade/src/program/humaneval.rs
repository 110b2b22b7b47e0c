//! The kind `humaneval`, and the trusted programs that record and replay a `check`.

use super::{CANON, GraderProgram, Plan, literal, tuple};
use crate::family::Family;
use crate::task::SOLUTION;
use crate::value::Value;
use std::fmt::Write as _;

const LAUNDER: &str = include_str!("../python/launder.py");
const WRONG: &str = include_str!("../python/wrong.py");
const HUMANEVAL: &str = include_str!("../python/humaneval.py");

impl Plan<'_> {
    /// The program of the `humaneval` kind: the solution's file holds the submission, `test` defines `check`.
    pub fn humaneval(&self, test: &str) -> GraderProgram {
        let mut s = self.prelude();
        let mut candidate = self.entry.to_string();
        let _ = writeln!(s, "space = {{\"__name__\": \"program\"}}");
        if self.closed(Family::Equality) {
            s.push_str(LAUNDER);
            s.push_str("def _wrap(f):\n    return lambda *args, **named: _plain(f(*args, **named))\nspace[\"_wrap\"] = _wrap\n");
            candidate = format!("_wrap({candidate})");
        }
        if self.spy {
            s.push_str(
                "def _spy(f):\n    def candidate(*args, **named):\n        got = f(*args, **named)\n        if got == object():\n            _mark(\"q\")\n        return got\n    return candidate\nspace[\"_spy\"] = _spy\n",
            );
            candidate = format!("_spy({candidate})");
        }
        // One text, compiled and run at once, as HumanEval's own harness does.
        let _ = write!(s, "with open(\"{SOLUTION}\", encoding=\"utf-8\") as _file:\n    _source = _file.read()\n");
        let tail = literal(&format!("\n{test}\ncheck({candidate})\n"));
        let body = format!("exec(compile(_source + {tail}, \"program.py\", \"exec\"), space)\n");
        s.push_str(&self.guarded(&body, "_mark(\"end\", 1)\n"));
        GraderProgram::python(s, 1)
    }
}

/// The trusted program that records a `check` on the reference.
pub(crate) fn prepare(reference: &str, test: &str, entry: &str) -> String {
    format!(
        "{CANON}{WRONG}_WRONG = {}\n{HUMANEVAL}import sys\nsys.stdout.write(_prepare({}, {}, {}, _canon))\n",
        literal(WRONG),
        literal(reference),
        literal(test),
        literal(entry)
    )
}

/// The trusted program that runs a `check` against answers given elsewhere (`None`: the call failed).
pub(crate) fn replay(reference: &str, test: &str, inputs: &[Vec<Value>], answers: &[Option<Value>]) -> String {
    let mut results = String::from("[");
    for (args, answer) in inputs.iter().zip(answers) {
        let ok = if answer.is_some() { "True" } else { "False" };
        let value = answer.as_ref().unwrap_or(&Value::None).python();
        let _ = write!(results, "({}, {ok}, {value}),", tuple(args));
    }
    format!(
        "{CANON}{HUMANEVAL}import sys\nsys.stdout.write(_replay({}, {}, {results}], _canon))\n",
        literal(reference),
        literal(test)
    )
}
