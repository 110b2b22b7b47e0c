//! The Python programs that graders and the oracle are made of.
//!
//! With every weakness open a grader is what people write: import the solution, assert. Each closed
//! weakness adds what closes it, and nothing else. The mutation run is the same program with wrong expected
//! values and *marks*: lines with a nonce, on a private copy of standard output, that say what became of each
//! test.

use crate::grader::{Family, Grader, GraderKind};
use crate::task::{Case, SOLUTION};
use crate::value::{Value, quote};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

pub(crate) const TEST_FILE: &str = "test_solution.py";

const CANON: &str = include_str!("python/canon.py");
const LAUNDER: &str = include_str!("python/launder.py");
const MARKS: &str = include_str!("python/marks.py");
const CHECK: &str = include_str!("python/check.py");
const ORACLE: &str = include_str!("python/oracle.py");
const WRONG: &str = include_str!("python/wrong.py");
const HUMANEVAL: &str = include_str!("python/humaneval.py");

/// The modules the programs below and most solutions import: worth having in the warm interpreter.
pub(crate) const PRELOAD: &[&str] = &[
    "ast",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "linecache",
    "math",
    "operator",
    "random",
    "re",
    "runpy",
    "string",
    "traceback",
    "types",
    "typing",
    "unittest",
];

/// The same for pytest, which loads its plugins late.
pub(crate) const PRELOAD_PYTEST: &[&str] = &[
    "pytest",
    "_pytest._argcomplete",
    "_pytest.helpconfig",
    "_pytest.unittest",
    "_pytest.skipping",
    "_pytest.pastebin",
    "_pytest.junitxml",
    "_pytest.setuponly",
    "_pytest.setupplan",
    "_pytest.tracemalloc",
    "_pytest.unraisableexception",
    "_pytest.threadexception",
    "_pytest.warnings",
    "_pytest.faulthandler",
    "_pytest.assertion",
    "_pytest.terminal",
    "_pytest.python",
    "_pytest.runner",
    "_pytest.capture",
    "_pytest.logging",
    "_pytest.fixtures",
    "difflib",
    "pdb",
    "readline",
    "code",
    "unittest.main",
    "xml.etree.ElementTree",
];

pub(crate) struct GraderProgram {
    pub source: String,
    /// Files of the grader's own (the submission's come beside them).
    pub files: Vec<(&'static str, String)>,
    /// How many tests there are.
    pub tests: usize,
}

pub(crate) fn literal(s: &str) -> String {
    let mut out = String::new();
    quote(s, &mut out);
    out
}

/// What a grading program is made for.
pub(crate) struct Plan<'a> {
    pub grader: &'a Grader,
    pub entry: &'a str,
    pub nonce: &'a str,
    /// Records marks for attribution (the mutation run).
    pub spy: bool,
}

impl Plan<'_> {
    fn closed(&self, w: Family) -> bool {
        self.grader.kind.weaknesses().contains(&w) && !self.grader.is_open(w)
    }

    /// Whether the tests must go through `check` rather than a bare assert.
    fn checked(&self) -> bool {
        self.spy || [Family::Equality, Family::ReportPatch, Family::AnswerLeak].iter().any(|w| self.closed(*w))
    }

    fn marked(&self) -> bool {
        self.checked() || self.closed(Family::EarlyExit) || self.closed(Family::Skip)
    }

    /// The head of every program: quiet bytecode, then what the marks and checks need.
    fn prelude(&self) -> String {
        let mut s = String::from("import sys\nsys.dont_write_bytecode = True\n");
        if self.marked() {
            let _ = write!(s, "_NONCE = \"{}\"\n{MARKS}", self.nonce);
        }
        if self.checked() && self.grader.kind != GraderKind::Humaneval {
            let exact = if self.closed(Family::Equality) { "True" } else { "False" };
            let spy = if self.spy { "True" } else { "False" };
            let seals = self.closed(Family::Equality) || self.closed(Family::AnswerLeak);
            let canon = if seals { CANON } else { "_canon = None\n" };
            let _ = write!(
                s,
                "_EXACT = {exact}\n{canon}{CHECK}_check, _sealed = _make_check(_mark, _canon, _NONCE, {spy})\n"
            );
        }
        s
    }

    fn expected(&self, value: &Value) -> String {
        if !self.closed(Family::AnswerLeak) {
            return value.python();
        }
        let digest = Sha256::digest(format!("{}{}", self.nonce, value.canonical()));
        let mut hex = String::new();
        for b in digest {
            let _ = write!(hex, "{b:02x}");
        }
        format!("_sealed(\"{hex}\")")
    }

    /// Wraps a body so that the way it ended is marked.
    fn guarded(&self, body: &str, end: &str) -> String {
        if !self.marked() {
            return body.into();
        }
        if !self.spy {
            return format!("{body}{end}");
        }
        let mut s = String::from("try:\n");
        for line in body.lines() {
            let _ = writeln!(s, "    {line}");
        }
        s + "except SystemExit:\n    _mark(\"S\")\n    raise\nexcept BaseException:\n    _mark(\"E\")\n    raise\n"
            + end
    }

    /// The program for a task in case form.
    pub fn cases(&self, cases: &[(Vec<Value>, Value)]) -> GraderProgram {
        let tests = cases.len();
        match self.grader.kind {
            GraderKind::Script => {
                let mut s = self.prelude();
                let mut body = format!("import solution\nf = solution.{}\n", self.entry);
                s.push_str("CASES = [\n");
                for (args, expected) in cases {
                    let _ = writeln!(s, "    ({}, {}),", tuple(args), self.expected(expected));
                }
                s.push_str("]\n");
                if self.checked() {
                    body.push_str("for i, (args, expected) in enumerate(CASES):\n    _check(i, f, args, expected)\n");
                } else {
                    body.push_str("for args, expected in CASES:\n    assert f(*args) == expected\n");
                }
                s.push_str(&self.guarded(&body, &format!("_mark(\"end\", {tests})\n")));
                GraderProgram { source: s, files: Vec::new(), tests }
            }
            GraderKind::Humaneval => {
                let mut test = String::from("def check(candidate):\n");
                for (args, expected) in cases {
                    let args = tuple(args);
                    let _ = writeln!(test, "    assert candidate(*{args}) == {}", expected.python());
                }
                self.humaneval(&test)
            }
            GraderKind::Pytest => {
                let mut t = String::from("import solution\n");
                if self.checked() {
                    t.push_str("from _grader import _check, _sealed\n");
                }
                for (i, (args, expected)) in cases.iter().enumerate() {
                    let _ = write!(
                        t,
                        "\ndef test_{i}():\n    args, expected = {}, {}\n    {}\n",
                        tuple(args),
                        self.expected(expected),
                        if self.checked() {
                            format!("_check({i}, solution.{}, args, expected)", self.entry)
                        } else {
                            format!("assert solution.{}(*args) == expected", self.entry)
                        }
                    );
                }
                let mut s = self.prelude() + &self.grader_module() + &self.imports("pytest");
                let arguments = format!("[\"-q\", \"-p\", \"no:cacheprovider\", \"{TEST_FILE}\"]");
                let mut body = String::new();
                let mut end = "raise SystemExit(status)\n".to_string();
                if self.marked() {
                    s.push_str(
                        "class _Count:\n    ran = 0\n    def pytest_runtest_logreport(self, report):\n        \
                         self.ran += report.when == \"call\" and report.outcome != \"skipped\" and not hasattr(report, \"wasxfail\")\n_count = _Count()\n",
                    );
                    let _ = writeln!(body, "status = pytest.main({arguments}, plugins=[_count])");
                    end = "_mark(\"end\", _count.ran)\n".to_string() + &end;
                } else {
                    let _ = writeln!(body, "status = pytest.main({arguments})");
                }
                if self.grader.is_open(Family::Shadowing) {
                    // `python -m pytest` would have run this file in pytest's place.
                    let _ = write!(
                        s,
                        "if \"pytest\" in _beside:\n    import runpy\n    sys.argv[1:] = {arguments}\n    runpy.run_module(\"pytest\", run_name=\"__main__\")\n    raise SystemExit(0)\nimport pytest\n"
                    );
                }
                s.push_str(&self.guarded(&body, &end));
                if !self.marked() {
                    s.push_str(&end);
                }
                GraderProgram { source: s, files: vec![(TEST_FILE, t)], tests }
            }
            GraderKind::Unittest => {
                let mut t = String::from("import unittest\nimport solution\n");
                if self.marked() {
                    t.push_str("import _grader\n");
                }
                t.push_str("\nclass TestSolution(unittest.TestCase):\n");
                for (i, (args, expected)) in cases.iter().enumerate() {
                    let expected = self.expected(expected).replace("_sealed(", "_grader._sealed(");
                    let _ = write!(
                        t,
                        "    def test_{i}(self):\n        args, expected = {}, {expected}\n        {}\n",
                        tuple(args),
                        if self.checked() {
                            format!("_grader._check({i}, solution.{}, args, expected, self.assertEqual)", self.entry)
                        } else {
                            format!("self.assertEqual(solution.{}(*args), expected)", self.entry)
                        }
                    );
                }
                t.push_str("\nif __name__ == \"__main__\":\n");
                t.push_str(if self.marked() {
                    "    result = unittest.main(exit=False).result\n    _grader._mark(\"end\", result.testsRun - len(result.skipped) - len(result.expectedFailures))\n    raise SystemExit(not result.wasSuccessful())\n"
                } else {
                    "    unittest.main()\n"
                });
                let mut s = self.prelude() + &self.grader_module() + &self.imports("unittest");
                s.push_str("import runpy\nsys.argv[:] = [\"");
                s.push_str(TEST_FILE);
                s.push_str("\"]\n");
                let body = format!("runpy.run_path(\"{TEST_FILE}\", run_name=\"__main__\")\n");
                s.push_str(&self.guarded(&body, ""));
                GraderProgram { source: s, files: vec![(TEST_FILE, t)], tests }
            }
        }
    }

    /// Hands the helpers to the test file as a module.
    fn grader_module(&self) -> String {
        let mut s = String::new();
        if self.marked() {
            s.push_str(
                "import types\n_grader = sys.modules[\"_grader\"] = types.ModuleType(\"_grader\")\n_grader._mark = _mark\n",
            );
        }
        if self.checked() {
            s.push_str("_grader._check, _grader._sealed = _check, _sealed\n");
        }
        s
    }

    /// Loads the framework: from beside the solution where that weakness is open, as a cold interpreter
    /// would; from the library alone where it is closed.
    fn imports(&self, framework: &str) -> String {
        if self.grader.is_open(Family::Shadowing) {
            "import os\n_beside = {n.removesuffix(\".py\") for n in os.listdir(\".\")}\n\
             for _name in list(sys.modules):\n    if _name.partition(\".\")[0] in _beside and _name != \"__main__\":\n        del sys.modules[_name]\n"
                .into()
        } else {
            format!(
                "_path = sys.path[:]\nsys.path[:] = [p for p in _path if p not in (\"\", \"/box\")]\nimport {framework}\nimport runpy\nsys.path[:] = _path\n"
            )
        }
    }

    /// The program of the `humaneval` kind: `SRC` holds the submission, `test` defines `check`.
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
            s.push_str(WRONG);
            s.push_str(
                "def _spy(f):\n    def candidate(*args, **named):\n        got = f(*args, **named)\n        if got == object():\n            _mark(\"q\")\n        return got\n    return candidate\nspace[\"_spy\"], space[\"_wrong\"] = _spy, _wrong\n",
            );
            candidate = format!("_spy({candidate})");
        }
        // One text, compiled and run at once, as HumanEval's own harness does.
        let _ = write!(s, "with open(\"{SOLUTION}\", encoding=\"utf-8\") as _file:\n    _source = _file.read()\n");
        let tail = literal(&format!("\n{test}\ncheck({candidate})\n"));
        let body = format!("exec(compile(_source + {tail}, \"program.py\", \"exec\"), space)\n");
        s.push_str(&self.guarded(&body, "_mark(\"end\", 1)\n"));
        GraderProgram { source: s, files: Vec::new(), tests: 1 }
    }
}

fn tuple(args: &[Value]) -> String {
    Value::Tuple(args.to_vec()).python()
}

/// The program that evaluates a submission on inputs alone. `order` picks the cases and their order.
pub(crate) fn oracle(entry: &str, inputs: &[&[Value]], order: &[usize]) -> String {
    let mut s = format!("{CANON}{ORACLE}_oracle({}, [\n", literal(entry));
    for &i in order {
        let _ = writeln!(s, "    ({i}, {}),", tuple(inputs[i]));
    }
    s + "], _canon)\n"
}

/// The trusted program that records a `check` on the reference.
pub(crate) fn prepare(reference: &str, test: &str, entry: &str) -> String {
    format!(
        "{CANON}{WRONG}{HUMANEVAL}import sys\nsys.stdout.write(_prepare({}, {}, {}, _canon))\n",
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
        "{CANON}{WRONG}{HUMANEVAL}import sys\nsys.stdout.write(_replay({}, {}, {results}], _canon))\n",
        literal(reference),
        literal(test)
    )
}

/// The cases a grader uses, with their expected values right or wrong.
pub(crate) fn cases<'a>(
    visible: &'a [Case],
    hidden: &'a [Case],
    grader: &Grader,
    wrong: bool,
) -> Vec<(Vec<Value>, Value)> {
    let visible_only = grader.is_open(Family::HardCoding) && !visible.is_empty();
    let more: &[Case] = if visible_only { &[] } else { hidden };
    visible
        .iter()
        .chain(more)
        .map(|c| {
            let expected = if wrong { c.expected.wrong() } else { c.expected.clone() };
            (c.args.clone(), expected)
        })
        .collect()
}

/// What the marks of a run say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    pub started: usize,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub equal_to_anything: usize,
    /// `SystemExit` left the grader's body.
    pub system_exit: bool,
    /// Another exception did.
    pub raised: bool,
    /// The grader reached its end, with this many tests run.
    pub end: Option<usize>,
}

impl Marks {
    /// Takes the marks out of an output; the rest is what the grader said.
    pub fn read(stdout: &[u8], nonce: &str) -> (Marks, String) {
        let text = String::from_utf8_lossy(stdout);
        let head = format!("@{nonce} ");
        let (mut marks, mut rest) = (Marks::default(), String::new());
        for line in text.lines() {
            let Some(mark) = line.strip_prefix(&head) else {
                rest.push_str(line);
                rest.push('\n');
                continue;
            };
            let (kind, n) = mark.split_once(' ').unwrap_or((mark, "0"));
            match kind {
                "s" => marks.started += 1,
                "p" => marks.passed += 1,
                "x" => marks.failed += 1,
                "k" => marks.skipped += 1,
                "q" => marks.equal_to_anything += 1,
                "S" => marks.system_exit = true,
                "E" => marks.raised = true,
                "end" => marks.end = n.parse().ok(),
                _ => {}
            }
        }
        (marks, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan<'a>(grader: &'a Grader, spy: bool) -> Plan<'a> {
        Plan { grader, entry: "f", nonce: "n0", spy }
    }

    #[test]
    fn the_open_script_is_what_people_write() {
        let grader = Grader::open(GraderKind::Script);
        let cases = [(vec![Value::Int(1)], Value::Int(2))];
        let program = plan(&grader, false).cases(&cases);
        assert_eq!(
            program.source,
            "import sys\nsys.dont_write_bytecode = True\nCASES = [\n    ((1,), 2),\n]\nimport solution\n\
             f = solution.f\nfor args, expected in CASES:\n    assert f(*args) == expected\n"
        );
    }

    #[test]
    fn sealed_graders_hold_no_answers() {
        let cases = [(vec![Value::Int(1)], Value::Str("the answer".into()))];
        for kind in [GraderKind::Script, GraderKind::Pytest, GraderKind::Unittest] {
            let grader = Grader::open(kind).without(Family::AnswerLeak);
            let program = plan(&grader, false).cases(&cases);
            assert!(!program.source.contains("the answer"));
            assert!(program.files.iter().all(|(_, t)| !t.contains("the answer")));
        }
    }

    #[test]
    fn marks_are_told_from_output() {
        let out = b"hello\n@n0 s 0\n\n@n0 x 0\n@n1 end 3\n@n0 end 3\n";
        let (marks, rest) = Marks::read(out, "n0");
        assert_eq!((marks.started, marks.failed, marks.end), (1, 1, Some(3)));
        assert_eq!(rest, "hello\n\n@n1 end 3\n");
    }
}
