//! What the tests share.
#![allow(dead_code)]

use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Lab, Task};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An interpreter with pytest: `LOOPHOLE_PYTHON`, or the virtual environment at the root of the repository.
pub fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    std::env::var_os("LOOPHOLE_PYTHON").map(PathBuf::from).or_else(|| venv.exists().then_some(venv))
}

/// A lab, or nothing (and a line that says why) where this machine has no cells.
pub fn lab() -> Option<Lab> {
    lab_with(Lab::preload())
}

/// A lab whose cells have pytest loaded, if there is one.
pub fn lab_with(preload: Vec<String>) -> Option<Lab> {
    let options = PoolOptions {
        cells: 0,
        python: python(),
        preload,
        ..PoolOptions::default()
    };
    match Pool::start(options) {
        Ok(pool) => Some(Lab::new(Arc::new(pool))),
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
pub fn has_pytest(lab: &Lab) -> bool {
    use loophole_grade::{GradeError, Grader, GraderKind, Submission};
    let s = Submission::Completion(String::new());
    match lab.reward(&task(), &Grader::open(GraderKind::Pytest), &s) {
        Err(e @ GradeError::NoPytest) => {
            println!("SKIPPED: {e}");
            false
        }
        _ => true,
    }
}
