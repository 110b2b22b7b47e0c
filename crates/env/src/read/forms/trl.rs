//! Data sets as TRL's reward functions get them: `prompt`, often `solution`, and `tests` as text or as a list.

use super::{Form, tests};
use crate::read::row::Row;
use loophole_grade::Task;

const TESTS: [&str; 5] = ["tests", "test", "test_cases", "unit_tests", "test_code"];

pub(super) const FORM: Form = Form {
    name: "TRL",
    needs: &[&["prompt", "problem", "question", "instruction", "text"], &TESTS],
    is: |row| found(row).is_some_and(|tests| tests.starts_with(['"', '[', '{'])),
    ids: &["task_id", "id", "index"],
    task,
};

/// The first of these that has any.
fn found(row: &Row) -> Option<String> {
    TESTS.iter().find_map(|name| row.inner(name).filter(|json| !tests::are_none(json)))
}

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let found =
        tests::read(&found(row).unwrap_or_default(), row.name_of(&["entry_point", "fn_name", "function_name"]))?;
    if let tests::Found::Text(text) = &found
        && !tests::is_code(text)
    {
        return Err("its tests are text without an assertion or a test".into());
    }
    tests::task(id, row, found)
}
