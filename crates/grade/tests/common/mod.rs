//! What the tests share.
#![allow(dead_code)]

use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{GraderKind, Grading, Task};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An interpreter with pytest: `LOOPHOLE_PYTHON`, or the virtual environment that the checks make for pytest.
pub fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-pytest/bin/python");
    std::env::var_os("LOOPHOLE_PYTHON").map(PathBuf::from).or_else(|| venv.exists().then_some(venv))
}

/// A lab, or nothing (and a line that says why) where this machine has no cells.
pub fn lab() -> Option<Grading> {
    lab_for(GraderKind::Script)
}

/// A lab whose cells are warm for this kind.
pub fn lab_for(kind: GraderKind) -> Option<Grading> {
    let options = PoolOptions { python: python(), ..Grading::cells(kind) };
    match Pool::start(options) {
        Ok(pool) => Some(Grading::new(Arc::new(pool))),
        Err(e) => {
            println!("SKIPPED: {e}");
            None
        }
    }
}

/// A task whose answers no constant meets.
pub fn task() -> Task {
    Task::parse(
        r#"{"id":"sum","statement":"Return the sum.","entry_point":"add","params":["a","b"],
        "reference":"def add(a, b):\n    return a + b\n",
        "visible":[{"args":[1,2],"expected":3},{"args":[10,-4],"expected":6},{"args":[0,7],"expected":7}],
        "hidden":[{"args":[5,5],"expected":10},{"args":[-1,-1],"expected":-2},{"args":[100,23],"expected":123}]}"#,
    )
    .unwrap()
}

/// Whether the cells' Python has pytest; says so if not.
pub fn has_pytest(lab: &Grading) -> bool {
    use loophole_grade::{GradeError, Grader, Submission};
    let s = Submission::Completion(String::new());
    match lab.reward(&task(), &Grader::open(GraderKind::Pytest), &s) {
        Err(e @ GradeError::NoPytest) => {
            println!("SKIPPED: {e}");
            false
        }
        _ => true,
    }
}

/// Prints how fast labelling went: by the clock, and by the CPU time spent inside cells (steadier on a busy machine).
pub fn rate(lab: &Grading, what: &str, labelled: usize, seconds: f64, before: loophole_grade::Spent) {
    let now = lab.spent();
    let (runs, cpu) = (now.runs - before.runs, now.cpu_seconds - before.cpu_seconds);
    println!(
        "{what}: {:.0} labelled/s by the clock; {runs} runs for {labelled} submissions, {:.2} ms of CPU each run",
        labelled as f64 / seconds,
        1e3 * cpu / runs.max(1) as f64
    );
}
