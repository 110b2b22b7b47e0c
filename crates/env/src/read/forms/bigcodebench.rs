//! BigCodeBench: `complete_prompt`, `instruct_prompt`, `canonical_solution`, `test` as a `unittest` class.

use super::{Form, any, stated};
use crate::read::row::Row;
use loophole_grade::{Task, TaskForm, Tests};

pub(super) const FORM: Form = Form {
    name: "BigCodeBench",
    needs: &[&["complete_prompt", "code_prompt"], &["canonical_solution"], &["test"]],
    is: any,
    ids: &["task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let text = |name: &str| row.text(name).ok_or_else(|| format!("`{name}` is no text"));
    let prompt = row.text_of(&["complete_prompt", "code_prompt"]).ok_or("`complete_prompt` is no text")?;
    let reference =
        format!("{}{}", row.text_of(&["code_prompt"]).unwrap_or_else(|| prompt.clone()), text("canonical_solution")?);
    let entry_point = row.text("entry_point").or_else(|| Some("task_func".into()));
    let form = TaskForm::Tests(Tests { entry_point, visible: text("test")?, ..Tests::default() });
    Ok(stated(Task { reference, ..Task::new(id, form) }, prompt))
}
