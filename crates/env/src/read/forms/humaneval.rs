//! HumanEval, and HumanEval+ where its tests are text: `task_id`, `prompt`, `entry_point`, `canonical_solution`, `test`.

use super::{Form, stated};
use crate::read::row::Row;
use loophole_grade::{HumanEval, Task, TaskForm};

pub(super) const FORM: Form = Form {
    name: "HumanEval",
    needs: &[&["prompt"], &["entry_point"], &["canonical_solution"], &["test"]],
    is: |row| row.text("test").is_some_and(|test| test.contains("def check")),
    ids: &["task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let text = |name: &str| row.text(name).ok_or_else(|| format!("`{name}` is no text"));
    let (prompt, entry_point) = (text("prompt")?, text("entry_point")?);
    of(id, prompt, entry_point, &text("canonical_solution")?, text("test")?)
}

/// A problem of this form.
pub(super) fn of(id: &str, prompt: String, entry_point: String, solution: &str, test: String) -> Result<Task, String> {
    let reference = format!("{prompt}{solution}");
    let form = TaskForm::HumanEval(HumanEval { entry_point, prompt: prompt.clone(), test });
    Ok(stated(Task { reference, tags: vec!["humaneval".into()], ..Task::new(id, form) }, prompt))
}
