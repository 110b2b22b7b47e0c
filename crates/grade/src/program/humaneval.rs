//! The kind `humaneval`, and the trusted programs that record and replay a `check`.

use super::{CANON, GraderProgram, Pair, Plan, literal, tuple};
use crate::family::Family;
use crate::humaneval::Outcome;
use crate::kind::Kind;
use crate::task::SOLUTION;
use crate::value::Value;
use crate::written::Answered;
use std::fmt::Write as _;

pub(crate) static KIND: Kind = Kind {
    name: "humaneval",
    doc: "program, `check` and its call in one process; exit status 0 pays",
    weaknesses: &[Family::Equality, Family::EarlyExit, Family::AnswerLeak],
    program: |plan, _, cases| plan.humaneval(&plan.check_of(cases)),
    one_text: true,
    ..Kind::USUAL
};

pub(super) const LAUNDER: &str = include_str!("../python/launder.py");
pub(super) const WRONG: &str = include_str!("../python/wrong.py");
const TESTS: &str = include_str!("../python/tests.py");
const TESTS_TAIL: &str = include_str!("../python/tests_tail.py");
pub(super) const HUMANEVAL: &str = include_str!("../python/humaneval.py");

impl Plan<'_> {
    /// Cases as a `check`.
    fn check_of(&self, cases: &[Pair]) -> String {
        let mut test = self.accept() + "def check(candidate):\n";
        for (args, expected) in cases {
            let (args, expected) = (tuple(args), expected.python());
            let _ = if self.compares_plainly() {
                writeln!(test, "    assert candidate(*{args}) == {expected}")
            } else {
                writeln!(test, "    assert _accept(candidate(*{args}), {expected}, {args})")
            };
        }
        test
    }

    /// The program of the `humaneval` kind: the solution's file holds the submission, `test` defines `check`.
    pub fn humaneval(&self, test: &str) -> GraderProgram {
        let mut s = self.prelude();
        let mut candidate = self.entry.to_string();
        let _ = writeln!(s, "space = {{\"__name__\": \"program\"}}");
        if self.closed(Family::Equality) {
            s.push_str("def _wrap(f):\n    return lambda *args, **named: _plain(f(*args, **named))\nspace[\"_wrap\"] = _wrap\n");
            candidate = format!("_wrap({candidate})");
        }
        if self.spy {
            s.push_str(
                "def _spy(f):\n    def candidate(*args, **named):\n        got = f(*args, **named)\n        if _is_loose(got):\n            _mark(\"q\")\n        return got\n    return candidate\nspace[\"_spy\"] = _spy\n",
            );
            candidate = format!("_spy({candidate})");
        }
        if self.spy {
            s.push_str("_is_loose = _make_check(_mark, None, \"\", True)[2]\n");
        }
        // One text, compiled and run at once, as HumanEval's own harness does.
        let _ = write!(s, "with open(\"{SOLUTION}\", encoding=\"utf-8\") as _file:\n    _source = _file.read()\n");
        let tail = literal(&format!("\n{test}\ncheck({candidate})\n"));
        // What fails is then told with its line.
        let _ = write!(
            s,
            "_source += {tail}\nimport linecache\nlinecache.cache[\"program.py\"] = (1, None, _source.splitlines(True), \"program.py\")\n"
        );
        let body = "exec(compile(_source, \"program.py\", \"exec\"), space)\n";
        let changed = "if any([n in space for n in _names]): _mark(\"b\")\n";
        s.push_str(&self.guarded(body, &format!("_mark(\"end\", 1)\n{}", if self.spy { changed } else { "" })));
        GraderProgram::python(s, 1)
    }
}

impl Plan<'_> {
    /// Tests as text: after the program, in one text, or as the test file of pytest.
    pub fn tests(&self, tests: &str) -> GraderProgram {
        if self.grader.kind.about().needs_pytest {
            return self.pytest_file(format!("from solution import *\nimport solution\n{tests}"), 0);
        }
        let mut s = self.prelude();
        let entry = if self.entry == "main" { "None".into() } else { literal(self.entry) };
        let tail = literal(&format!("\n{tests}\n{}", TESTS_TAIL.replace("ENTRY", &entry)));
        let _ = write!(
            s,
            "space = {{\"__name__\": \"program\"}}\nwith open(\"{SOLUTION}\", encoding=\"utf-8\") as _file:\n    \
             _source = _file.read()\n_source += {tail}\nimport linecache\n\
             linecache.cache[\"program.py\"] = (1, None, _source.splitlines(True), \"program.py\")\n"
        );
        let body = "exec(compile(_source, \"program.py\", \"exec\"), space)\n";
        let changed = "if any([n in space for n in _names]): _mark(\"b\")\n";
        s.push_str(&self.guarded(body, &format!("_mark(\"end\", 1)\n{}", if self.spy { changed } else { "" })));
        GraderProgram::python(s, 1)
    }
}

/// The trusted program that runs tests against answers from elsewhere, and says what it asks besides.
pub(crate) fn ask_tests(prelude: &str, tests: &str, entry: &str, answered: &[Answered]) -> String {
    let mut answers = String::from("[");
    for ([args, named], outcome) in answered {
        let (ok, value) = match &outcome.result {
            Ok(value) => ("True", value.python()),
            Err(kind) => ("False", literal(kind)),
        };
        let after = Value::List(outcome.after.clone()).python();
        let _ = write!(answers, "({}, {}, {ok}, {value}, {after}),", args.python(), named.python());
    }
    format!(
        "{CANON}{WRONG}{TESTS}_counts, _wanted = _ask_tests({}, {}, {}, {answers}], _canon)\n\
         sys.stdout.write(\"\\n@tests \" + json.dumps(_counts) + \"\\n[\" + \",\".join(_wanted) + \"]\\n\")\n",
        literal(prelude),
        literal(tests),
        literal(entry)
    )
}

/// The trusted program that makes every expected value of tests wrong.
pub(crate) fn wrong_tests(tests: &str, name: Option<&str>) -> String {
    let names = name.map_or(String::new(), |name| literal(name) + ", ");
    format!(
        "{WRONG}{TESTS}_WRONG = {}\nsys.stdout.write(json.dumps(_wrong_tests({}, (\"candidate\", {names}))))\n",
        literal(WRONG),
        literal(tests)
    )
}

/// The trusted program that records a `check` on the reference.
pub(crate) fn prepare(reference: &str, test: &str, entry: &str) -> String {
    format!(
        "{CANON}{WRONG}{HUMANEVAL}_WRONG = {}\nimport ast, json, random, sys\nsys.stdout.write(_prepare({}, {}, {}, _canon))\n",
        literal(WRONG),
        literal(reference),
        literal(test),
        literal(entry)
    )
}

/// The trusted program that runs a `check` against outcomes from elsewhere.
pub(crate) fn replay(reference: &str, test: &str, entry: &str, calls: &[(&[Value], &Outcome)]) -> String {
    let mut results = String::from("[");
    for (args, outcome) in calls {
        let (ok, value) = match &outcome.result {
            Ok(value) => ("True", value.python()),
            Err(kind) => ("False", literal(kind)),
        };
        let after = Value::List(outcome.after.clone()).python();
        let _ = write!(results, "({}, {ok}, {value}, {after}),", tuple(args));
    }
    format!(
        "{CANON}{WRONG}{HUMANEVAL}_WRONG = {}\nimport ast, json, random, sys\nsys.stdout.write(_replay({}, {}, {}, {results}], _canon))\n",
        literal(WRONG),
        literal(reference),
        literal(test),
        literal(entry)
    )
}
