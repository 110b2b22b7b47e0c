//! CodeContests: `description`, `public_tests`, `private_tests`, `generated_tests`, `solutions` by language.

use super::{Form, any, stated, tests};
use crate::read::row::Row;
use loophole_grade::{Case, Language, Task, TaskForm};

pub(super) const FORM: Form = Form {
    name: "CodeContests",
    needs: &[&["public_tests"], &["private_tests", "generated_tests"]],
    is: any,
    ids: &["task_id", "id", "name"],
    task,
};

/// The number that the data set gives to Python 3.
const PYTHON3: &str = "3";

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let cases = |name: &str| -> Result<Vec<Case>, String> {
        match row.inner(name).filter(|json| !tests::are_none(json)) {
            None => Ok(Vec::new()),
            Some(json) => match tests::read(&json, None).map_err(|why| format!("{name}: {why}"))? {
                tests::Found::Programs(cases) => Ok(cases),
                _ => Err(format!("{name}: no inputs and outputs")),
            },
        }
    };
    let visible = cases("public_tests")?;
    let mut hidden = cases("private_tests")?;
    hidden.extend(cases("generated_tests")?);
    let task = Task::new(id, TaskForm::program(Language::Python));
    let reference = reference(row).unwrap_or_default();
    Ok(stated(Task { visible, hidden, reference, ..task }, row.text("description").unwrap_or_default()))
}

/// The first solution in Python 3.
fn reference(row: &Row) -> Option<String> {
    let solutions = row.object("solutions")?;
    let languages = solutions.list("language")?;
    let at = languages.iter().position(|language| language.get() == PYTHON3 || language.get() == "\"PYTHON3\"")?;
    serde_json::from_str(solutions.list("solution")?.get(at)?.get()).ok()
}
