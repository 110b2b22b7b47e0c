//! Graders as data: a kind, and the weaknesses that are open.

use crate::family::{Family, Weakness};
use crate::task::{Task, TaskForm};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;

/// How a grader runs its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraderKind {
    /// A script that imports the submission and asserts; its exit status is the verdict.
    Script,
    /// `python -m pytest` on a test file; its exit status is the verdict.
    Pytest,
    /// A test file that ends in `unittest.main()`; its exit status is the verdict.
    Unittest,
    /// The program, its `check` and the call of it in one process; its exit status is the verdict.
    Humaneval,
    /// The submission is a program: it reads a test from standard input and prints; a judge compares the output.
    Stdio,
    /// The submission is loaded beside the grader's `run_tests`, which is then called; the policy may define it.
    RunTests,
    /// A verifier runs where the submission lies and writes `logs/verifier/reward.txt`, which is then read.
    RewardFile,
    /// A pipeline in bash runs the tests, and `grep` for "passed" is the verdict.
    Shell,
    /// The tests of a script, and the solution's time beside that of a slow baseline, in one process; fast enough pays.
    Speed,
}

/// Weaknesses nobody has by accident: open only where they are named.
const SYNTHETIC: [Weakness; 3] = [Family::Resource, Family::Magic, Family::SpecGaming];

impl GraderKind {
    /// All kinds.
    pub const ALL: [GraderKind; 9] = [
        GraderKind::Script,
        GraderKind::Pytest,
        GraderKind::Unittest,
        GraderKind::Humaneval,
        GraderKind::Stdio,
        GraderKind::RunTests,
        GraderKind::RewardFile,
        GraderKind::Shell,
        GraderKind::Speed,
    ];

    /// The name in files and flags.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// The kind in one line.
    pub fn doc(self) -> &'static str {
        self.about().doc
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<GraderKind> {
        GraderKind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// The kind for tasks of this form, unless another is named.
    pub fn fitting(tasks: &[Task]) -> GraderKind {
        let any = |form: fn(&TaskForm) -> bool| tasks.iter().any(|task| form(&task.form));
        if any(|form| matches!(form, TaskForm::Tests(tests) if tests.need_pytest())) {
            GraderKind::Pytest
        } else if any(|form| matches!(form, TaskForm::HumanEval(_) | TaskForm::Tests(_))) {
            GraderKind::Humaneval
        } else if any(|form| matches!(form, TaskForm::Program { .. })) {
            GraderKind::Stdio
        } else if tasks.iter().any(|task| task.speed().is_some()) {
            GraderKind::Speed
        } else {
            GraderKind::Script
        }
    }

    /// The weaknesses a grader of this kind can have.
    pub fn weaknesses(self) -> &'static [Weakness] {
        self.about().weaknesses
    }
}

impl fmt::Display for GraderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The program whose verdict is the reward the policy gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grader {
    /// How it runs its tests.
    pub kind: GraderKind,
    /// In which ways it can be fooled.
    pub open: BTreeSet<Weakness>,
}

impl Grader {
    /// The usual weak grader of a kind: everything open that graders are found with (`resource`, `magic` and
    /// `spec-gaming` are open only where they are named).
    pub fn open(kind: GraderKind) -> Grader {
        Grader { kind, open: kind.weaknesses().iter().copied().filter(|w| !SYNTHETIC.contains(w)).collect() }
    }

    /// The same grader with every weakness off: values leave the submission's process and are compared
    /// elsewhere, on visible and hidden tests.
    pub fn hardened(kind: GraderKind) -> Grader {
        Grader { kind, open: BTreeSet::new() }
    }

    /// This grader with one weakness off.
    pub fn without(mut self, weakness: Weakness) -> Grader {
        self.open.remove(&weakness);
        self
    }

    /// The hardened grader with these weaknesses on.
    ///
    /// # Errors
    /// Names a weakness that this kind cannot have, and those it can.
    pub fn with_only(kind: GraderKind, open: &[Weakness]) -> Result<Grader, String> {
        for w in open {
            if !kind.weaknesses().contains(w) {
                let known: Vec<_> = kind.weaknesses().iter().map(|w| w.name()).collect();
                return Err(format!("a {kind} grader has no weakness `{w}`; it can have: {}", known.join(", ")));
            }
        }
        Ok(Grader { kind, open: open.iter().copied().collect() })
    }

    /// The grader that names choose: of its kind (`None`: what fits), with everything usual open, with nothing open
    /// (`hardened`), or with only these weaknesses open (`all` for every one).
    ///
    /// # Errors
    /// Names a kind or a weakness that there is not, and those there are.
    pub fn choose(name: Option<&str>, open: &[String], hardened: bool, fitting: GraderKind) -> Result<Grader, String> {
        let kind = match name {
            None => fitting,
            Some(name) => GraderKind::parse(name).ok_or_else(|| {
                let known: Vec<&str> = GraderKind::ALL.iter().map(|kind| kind.name()).collect();
                format!("there is no grader {name:?}; known are {}", known.join(", "))
            })?,
        };
        if hardened {
            return Ok(Grader::hardened(kind));
        }
        if open.is_empty() {
            return Ok(Grader::open(kind));
        }
        if open.iter().any(|name| name == "all") {
            return Grader::with_only(kind, kind.weaknesses());
        }
        let weakness = |name: &String| {
            let known = || kind.weaknesses().iter().map(|weakness| weakness.name()).collect::<Vec<_>>().join(", ");
            let unknown = || format!("{name:?} is no weakness of the grader {}; it has {}", kind.name(), known());
            Weakness::parse(name).ok_or_else(unknown)
        };
        Grader::with_only(kind, &open.iter().map(weakness).collect::<Result<Vec<_>, _>>()?)
    }

    /// Whether this weakness is open.
    pub fn is_open(&self, w: Weakness) -> bool {
        self.open.contains(&w)
    }

    /// Whether this kind can have the weakness and has it not.
    pub(crate) fn is_closed(&self, w: Weakness) -> bool {
        self.kind.weaknesses().contains(&w) && !self.is_open(w)
    }

    /// Whether the comparison happens outside the submission's process.
    pub fn is_outside(&self) -> bool {
        self.open.iter().all(|w| *w == Family::HardCoding)
            || (self.kind.about().one_text && !self.is_open(Family::AnswerLeak))
            // Who is timed elsewhere answers elsewhere.
            || (self.kind.about().times && !self.is_open(Family::Timing))
    }

    /// The tests of a task as this grader would write them (for a page or a prompt).
    pub fn source(&self, task: &Task) -> String {
        let plan = crate::program::Plan {
            grader: self,
            entry: task.entry_name(),
            language: task.program_language().unwrap_or_default(),
            nonce: "0000000000000000",
            spy: false,
            compare: &task.compare,
            mended: &[],
        };
        let program = match &task.form {
            TaskForm::HumanEval(h) => plan.humaneval(&h.test),
            TaskForm::Tests(tests) => plan.tests(tests.graded()),
            TaskForm::Function(_) | TaskForm::Program { .. } => {
                plan.cases(task, &crate::program::cases(&task.visible, &task.hidden, self))
            }
        };
        let text = match (program.files.into_iter().next(), program.entry) {
            (Some((_, text)), _) if self.kind.about().tests_in_file => text,
            (_, loophole_cell::Entry::Python(source) | loophole_cell::Entry::PythonFile(source)) => source,
            (_, loophole_cell::Entry::Command(words)) => words.join(OsStr::new(" ")).to_string_lossy().into_owned(),
        };
        crate::program::without_marks(&text)
    }
}
