//! The rows in a file that is one value of JSON.

use super::row::{has_loose_ends, mend};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A row, and the name it has in the object it stands in.
pub(super) type Named = (Option<String>, Box<RawValue>);

/// Names under which an object holds its rows.
const LISTS: [&str; 10] =
    ["data", "rows", "tasks", "examples", "samples", "problems", "submissions", "rollouts", "records", "results"];
/// What says that an object is a row itself, whatever lists it has.
const OF_ROWS: [&str; 5] = ["task_id", "statement", "question", "entry_point", "completion"];

/// The rows in a JSON text: a list of them, an object that has the list under one of its names, rows by name, or one.
pub(super) fn rows_of(text: &str) -> serde_json::Result<Vec<Named>> {
    list(text).or_else(|error| match has_loose_ends(text) {
        // What Python alone writes as JSON spoils the whole, wherever it stands.
        true => list(&mend(text)),
        false => Err(error),
    })
}

fn list(text: &str) -> serde_json::Result<Vec<Named>> {
    let unnamed = |rows: Vec<Box<RawValue>>| rows.into_iter().map(|row| (None, row)).collect();
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map(unnamed);
    }
    let Fields(fields) = serde_json::from_str(text)?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, json)| json.get());
    let is_list = |json: &&str| json.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
    if OF_ROWS.iter().all(|name| field(name).is_none())
        && let Some(rows) = LISTS.iter().find_map(|name| field(name).filter(is_list))
    {
        return serde_json::from_str(rows).map(unnamed);
    }
    if !fields.is_empty() && fields.iter().all(|(_, json)| json.get().starts_with('{')) {
        return Ok(fields.into_iter().map(|(name, row)| (Some(name), row)).collect());
    }
    RawValue::from_string(text.trim().to_owned()).map(|row| vec![(None, row)])
}

/// The fields of an object in the order they stand in.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_a_value_in_several_ways() {
        for (text, rows) in [
            ("[]", "[]"),
            ("[{\"n\": NaN}, {\"n\": 2}]", "[{\"n\": {\"$float\":\"nan\"}}, {\"n\": 2}]"),
            (
                "{\"meta\": {\"of\": 1}, \"data\": [ {\"n\": 1}, {\"n\": -Infinity} ]}",
                "[{\"n\": 1}, {\"n\": {\"$float\":\"-inf\"}}]",
            ),
            ("{\n \"submissions\": [\n  {\"n\": 1}\n ]\n}", "[{\"n\": 1}]"),
            ("{\"b\": {\"n\": 1}, \"a\": {\"n\": NaN}}", "[b{\"n\": 1}, a{\"n\": {\"$float\":\"nan\"}}]"),
            ("{\"n\": 1, \"data\": [1]}", "[{\"n\": 1, \"data\": [1]}]"),
            ("{\"task_id\": 1, \"results\": [{}]}", "[{\"task_id\": 1, \"results\": [{}]}]"),
        ] {
            let found = rows_of(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found: Vec<_> =
                found.iter().map(|(name, row)| format!("{}{}", name.as_deref().unwrap_or(""), row.get())).collect();
            assert_eq!(format!("[{}]", found.join(", ")), rows, "{text}");
        }
        assert!(rows_of("[NaN").is_err() && rows_of("{\"n\": 1}\n{\"n\": NaN}\n").is_err());
    }
}
