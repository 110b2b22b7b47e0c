//! The kind `script`: what people write first.

use super::{GraderProgram, Pair, Plan};
use crate::family::Family::*;
use crate::kind::Kind;
use crate::task::SOLUTION;

pub(crate) static KIND: Kind = Kind {
    name: "script",
    doc: "a script that imports the solution and asserts; exit status 0 pays",
    weaknesses: &[Equality, EarlyExit, AnswerLeak, HardCoding, Resource, Magic, SpecGaming],
    closing: Some(&[]),
    holds_cases: true,
    ..Kind::USUAL
};

impl Plan<'_> {
    pub(crate) fn script(&self, cases: &[Pair]) -> GraderProgram {
        let mut s = self.prelude() + &self.list(cases);
        let body =
            format!("import solution\nf = solution.{}\n{}{}", self.entry, self.shortcuts(SOLUTION), self.test_loop());
        s.push_str(&self.guarded(&body, &format!("_mark(\"end\", {})\n", cases.len())));
        GraderProgram::python(s, cases.len())
    }
}
