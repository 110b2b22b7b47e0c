//! The case form, which is this program's own (docs/formats.md).

use super::{Form, any};
use crate::read::row::Row;
use loophole_grade::Task;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

pub(super) const FORM: Form =
    Form { name: "case form", needs: &[&["visible", "hidden", "humaneval"]], is: any, ids: &["id", "task_id"], task };

/// Tests as text with nothing beside them that would make the row of another form.
pub(super) const WITHOUT_ID: Form =
    Form { name: "case form with tests as text", needs: &[&["tests"]], is: texts, ids: &["id", "task_id"], task };

fn texts(row: &Row) -> bool {
    row.text("tests").is_some_and(|tests| !tests.trim_start().starts_with(['[', '{']))
}

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let mut fields: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    for (name, json) in row.fields().filter(|(_, json)| *json != "null") {
        fields.insert(name, RawValue::from_string(json.into()).map_err(|e| e.to_string())?);
    }
    fields.insert("id", to_raw_value(id).map_err(|e| e.to_string())?);
    let line = serde_json::to_string(&fields).map_err(|e| e.to_string())?;
    Task::parse(&line)
}
