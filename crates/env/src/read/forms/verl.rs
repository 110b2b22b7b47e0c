//! Rows of verl: `data_source`, `prompt` as messages, `reward_model` with the `ground_truth`.

use super::{Form, any, tests};
use crate::read::row::Row;
use loophole_grade::Task;

pub(super) const FORM: Form = Form {
    name: "verl",
    needs: &[&["reward_model.ground_truth"]],
    is: any,
    ids: &["task_id", "id", "extra_info.task_id", "extra_info.index", "index"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let truth = row.inner("reward_model.ground_truth").unwrap_or_default();
    let found = tests::read(&truth, None)?;
    if let tests::Found::Text(text) = &found
        && !tests::is_code(text)
    {
        let source = row.text("data_source").unwrap_or_else(|| "its data source".into());
        return Err(format!(
            "its ground truth is an answer ({source}), no tests of code; `loophole audit` takes such rows with --tasks"
        ));
    }
    Ok(tests::with_imports(tests::task(id, row, found)?))
}
