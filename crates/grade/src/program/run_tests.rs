//! The kind `run-tests`: the solution is loaded beside the function that tests it.

use super::{GraderProgram, Pair, Plan, indent};
use crate::family::Family::{self, *};
use crate::kind::{Closing, Kind};
use crate::task::SOLUTION;
use std::fmt::Write as _;

pub(crate) static KIND: Kind = Kind {
    name: "run-tests",
    doc: "the solution is loaded beside the grader's `run_tests()`, which is then called",
    weaknesses: &[Equality, EarlyExit, Shadowing, AnswerLeak, HardCoding, Resource, Magic, SpecGaming],
    program: |plan, _, cases| plan.run_tests(cases),
    closing: Some(&[Closing::of(Shadowing, "defined the grader's names")]),
    shares_names: true,
    holds_cases: true,
    ..Kind::USUAL
};

impl Plan<'_> {
    /// The solution and the grader's `run_tests` in one namespace; whoever defines it last is called.
    pub(super) fn run_tests(&self, cases: &[Pair]) -> GraderProgram {
        let space = if self.open(Family::Shadowing) { "globals()" } else { "_space" };
        let mut s = self.prelude() + &format!("_mark_{} = _mark\n", self.nonce) + &self.list(cases);
        // The solution is loaded, not run: what it does under its main guard is its own affair.
        s.push_str(if self.open(Family::Shadowing) {
            "__name__ = \"program\"\n"
        } else {
            "_space = {\"__name__\": \"program\"}\n"
        });
        let own = format!("f = {space}[\"{}\"]\n{}{}", self.entry, self.shortcuts(SOLUTION), self.test_loop());
        let _ = write!(s, "def run_tests():\n{}_run_tests = run_tests\n", indent(&own, 4));
        let called = if self.open(Family::Shadowing) { "run_tests()" } else { "_run_tests()" };
        let body = format!(
            "with open(\"{SOLUTION}\", encoding=\"utf-8\") as _file:\n    _source = _file.read()\n\
             exec(compile(_source, \"{SOLUTION}\", \"exec\"), {space})\n{called}\n"
        );
        // The solution may take any name but this one.
        let end = format!("_mark_{}(\"end\", {})\n", self.nonce, cases.len());
        s.push_str(&self.guarded(&body, &end));
        GraderProgram::python(s, cases.len())
    }
}
