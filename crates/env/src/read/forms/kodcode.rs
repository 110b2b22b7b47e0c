//! KodCode: `question`, `solution`, `test` as a file of pytest that imports from `solution`, `test_info`.

use super::{Form, mbpp, stated};
use crate::read::row::Row;
use loophole_grade::{Task, TaskForm, Tests};

pub(super) const FORM: Form = Form {
    name: "KodCode",
    needs: &[&["question"], &["solution"], &["test"]],
    is: |row| row.text("test").is_some_and(|test| test.contains("def test")),
    ids: &["question_id", "task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let visible = row.text("test").ok_or("`test` is no text")?;
    let reference = row.text("solution").ok_or("`solution` is no text")?;
    let named = || {
        let info = row.list("test_info")?;
        Row::parse(info.first()?.get()).ok()?.text("function_name")
    };
    let entry_point = named().or_else(|| mbpp::tested(&reference, &visible));
    let form = TaskForm::Tests(Tests { entry_point, visible, ..Tests::default() });
    Ok(stated(Task { reference, ..Task::new(id, form) }, row.said("question").unwrap_or_default()))
}
