//! What tells one kind of grader from another, as data: each kind is one file below `program`, and one line here.

use crate::family::{Family, Weakness};
use crate::grader::GraderKind;
use crate::program::{self, GraderProgram, Pair, Plan};
use crate::task::Task;

/// A weakness that no mark tells: with it closed, who used it is not paid.
pub(crate) struct Closing {
    pub family: Family,
    /// What it is called in a label.
    pub mechanism: &'static str,
    /// Whether it takes a file beside the solution.
    pub by_file: bool,
}

impl Closing {
    pub(crate) const fn of(family: Family, mechanism: &'static str) -> Closing {
        Closing { family, mechanism, by_file: false }
    }
}

/// What pays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaidBy {
    /// The exit status of the grader's program.
    Status,
    /// The same, of a pipeline that looks for a line in what was printed.
    Line,
    /// A file that the grader leaves.
    File,
}

/// One kind of grader.
pub(crate) struct Kind {
    /// In files and flags.
    pub name: &'static str,
    /// In one line.
    pub doc: &'static str,
    /// Those a grader of this kind can have.
    pub weaknesses: &'static [Weakness],
    /// Makes the program for a task in case form.
    pub program: fn(&Plan<'_>, &Task, &[Pair]) -> GraderProgram,
    /// What attribution closes, one after another; none where marks tell all there is.
    pub closing: Option<&'static [Closing]>,
    pub paid_by: PaidBy,
    /// Files that are read when it has ended.
    pub reads_back: &'static [&'static str],
    /// Whether the submission is a program of its own, whose output a judge compares.
    pub judges: bool,
    /// Whether it pays for speed.
    pub times: bool,
    /// Whether the tests are one text, of which no mark tells the single test.
    pub one_text: bool,
    /// Whether the submission is loaded where the grader's own names are.
    pub shares_names: bool,
    /// Whether its program has the list of cases in a variable, whose change marks tell.
    pub holds_cases: bool,
    /// The framework that its interpreter needs.
    pub needs_pytest: bool,
    /// Whether a person would call its first file its tests, and not its program.
    pub tests_in_file: bool,
}

impl Kind {
    /// A program that imports the submission, and whose exit status pays.
    pub(crate) const USUAL: Kind = Kind {
        name: "",
        doc: "",
        weaknesses: &[],
        program: |plan, _, cases| plan.script(cases),
        closing: None,
        paid_by: PaidBy::Status,
        reads_back: &[],
        judges: false,
        times: false,
        one_text: false,
        shares_names: false,
        holds_cases: false,
        needs_pytest: false,
        tests_in_file: true,
    };
}

impl GraderKind {
    /// What is known of it.
    pub(crate) fn about(self) -> &'static Kind {
        match self {
            GraderKind::Script => &program::script::KIND,
            GraderKind::Pytest => &program::framework::PYTEST,
            GraderKind::Unittest => &program::framework::UNITTEST,
            GraderKind::Humaneval => &program::humaneval::KIND,
            GraderKind::Stdio => &program::stdio::KIND,
            GraderKind::RunTests => &program::run_tests::KIND,
            GraderKind::RewardFile => &program::reward_file::KIND,
            GraderKind::Shell => &program::shell::KIND,
            GraderKind::Speed => &program::speed::KIND,
        }
    }
}
