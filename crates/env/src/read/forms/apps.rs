//! APPS and TACO: `question`, `solutions`, `input_output` with `inputs`, `outputs` and, for functions, `fn_name`.

use super::{Form, any, tests};
use crate::read::row::Row;
use loophole_grade::Task;

pub(super) const FORM: Form = Form {
    name: "APPS",
    needs: &[&["input_output"]],
    is: any,
    ids: &["problem_id", "task_id", "id", "question_id"],
    task,
};

pub(super) const TACO: Form = Form {
    name: "TACO",
    needs: &[&["input_output"], &["question"], &["raw_tags", "skill_types"]],
    is: any,
    ids: &["task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let found = tests::read(&row.inner("input_output").unwrap_or_default(), None)?;
    Ok(tests::with_imports(tests::task(id, row, found)?))
}
