//! DeepCoder: `problem`, `solutions`, `tests` as a list of `input` and `output`, or as `inputs` and `outputs`.

use super::{Form, tests};
use crate::read::row::Row;
use loophole_grade::Task;

pub(super) const FORM: Form = Form {
    name: "DeepCoder",
    needs: &[&["tests"], &["problem", "question", "prompt"]],
    is: |row| {
        row.inner("tests")
            .is_some_and(|tests| tests.starts_with('{') || tests.trim_start_matches(['[', ' ', '\n']).starts_with('{'))
    },
    ids: &["task_id", "id", "problem_id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let hint = row.name_of(&["metadata.func_name", "fn_name", "metadata.fn_name"]);
    let found = tests::read(&row.inner("tests").unwrap_or_default(), hint)?;
    Ok(tests::with_imports(tests::task(id, row, found)?))
}
