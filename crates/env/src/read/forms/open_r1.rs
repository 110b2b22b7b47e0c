//! Open-R1's verifiable problems: `verification_info` with `language` and `test_cases`.

use super::{Form, any, tests};
use crate::read::row::Row;
use loophole_grade::{Language, Task, TaskForm};

pub(super) const FORM: Form = Form {
    name: "Open-R1",
    needs: &[&["verification_info.test_cases"]],
    is: any,
    ids: &["problem_id", "task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let found = tests::read(&row.inner("verification_info.test_cases").unwrap_or_default(), None)?;
    let mut task = tests::task(id, row, found)?;
    if let (Some(name), TaskForm::Program { language, .. }) = (row.text("verification_info.language"), &mut task.form) {
        *language = Language::parse(&name).ok_or_else(|| format!("language {name:?} is not known"))?;
    }
    Ok(task)
}
