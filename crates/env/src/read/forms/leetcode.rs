//! LeetCodeDataset: `prompt` (imports and data structures), `completion` (a class `Solution`), `entry_point` such as
//! `Solution().twoSum`, `test` as a `check(candidate)`.

use super::{Form, stated};
use crate::read::python;
use crate::read::row::Row;
use loophole_grade::{Task, TaskForm, Tests};

pub(super) const FORM: Form = Form {
    name: "LeetCodeDataset",
    needs: &[&["completion"], &["entry_point"], &["test"]],
    is: |row| row.text("test").is_some_and(|test| test.contains("def check")),
    ids: &["task_id", "slug", "question_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let text = |name: &str| row.text(name).ok_or_else(|| format!("`{name}` is no text"));
    let entry = text("entry_point")?;
    let name = entry.rsplit('.').next().unwrap_or(&entry).trim().to_string();
    let solution = text("completion")?;
    let mut reference = solution.clone();
    if !python::defines(&solution, &name) {
        reference += &python::of_method("Solution", &name, &name);
    }
    let statement = row.text_of(&["problem_description", "query"]).unwrap_or_default();
    let statement = match row.text("starter_code") {
        Some(starter) => format!("{statement}\n\n{starter}"),
        None => statement,
    };
    let prelude = row.text("prompt").unwrap_or_default();
    let form = TaskForm::Tests(Tests { entry_point: Some(name), prelude, visible: text("test")?, ..Tests::default() });
    Ok(stated(Task { reference, ..Task::new(id, form) }, statement))
}
