//! The case form, which is this program's own (docs/formats.md).

use super::{Form, any};
use crate::read::row::Row;
use loophole_grade::Task;
use serde_json::value::to_raw_value;

pub(super) const FORM: Form =
    Form { name: "case form", needs: &[&["visible", "hidden", "humaneval"]], is: any, ids: &["id", "task_id"], task };

/// Tests as text with nothing beside them that would make the row of another form.
pub(super) const WITHOUT_ID: Form =
    Form { name: "case form with tests as text", needs: &[&["tests"]], is: texts, ids: &["id", "task_id"], task };

fn texts(row: &Row) -> bool {
    row.text("tests").is_some_and(|tests| !tests.trim_start().starts_with(['[', '{']))
}

fn task(row: &Row, id: &str) -> Result<Task, String> {
    // Written out once more with its name as a text; what is null is left out.
    let id = to_raw_value(id).map_err(|e| e.to_string())?;
    let mut line = format!("{{\"id\":{}", id.get());
    for (name, json) in row.fields().filter(|(name, json)| *name != "id" && *json != "null") {
        let name = to_raw_value(name).map_err(|e| e.to_string())?;
        line += &format!(",{}:", name.get());
        line += json;
    }
    line.push('}');
    Task::parse(&line)
}
