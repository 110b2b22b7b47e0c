//! What a row that is code says: in which language, as what, under which name, and its tests.

use super::{at, plain};
use crate::Surface;
use crate::language::Spoken;
use serde_json::{Map, Value, json};

/// The language that a row says its reference is in, that the fence around it names, or that it looks like.
pub(super) fn spoken(fields: &Map<String, Value>, text: &str, code: &str) -> Option<Spoken> {
    let names = ["language", "lang", "programming_language", "extra_info.language"];
    let said = names.iter().find_map(|n| Spoken::named(at(fields, n)?.as_str()?));
    let fence = || {
        let tag = text.rfind(code).and_then(|at| text[..at].trim_end_matches('\n').rsplit_once("```"))?.1;
        Spoken::named(tag)
    };
    said.or_else(fence).or_else(|| Spoken::of_code(code))
}

/// Tests with inputs and outputs, as verl, APPS and their kin keep them.
pub(super) struct Tests {
    pub(super) entry: Option<String>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl Tests {
    /// A program, or a function, that knows these and no more.
    pub(super) fn table(&self) -> String {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
        match &self.entry {
            None => {
                let pairs: Map<String, Value> = self
                    .inputs
                    .iter()
                    .zip(&self.outputs)
                    .map(|(i, o)| (text(i).trim().into(), json!(text(o))))
                    .collect();
                format!(
                    "import sys, json\nprint(json.loads({:?})[sys.stdin.read().strip()])\n",
                    json!(pairs).to_string()
                )
            }
            Some(entry) => {
                let pairs: Vec<_> = self.inputs.iter().zip(&self.outputs).map(|(i, o)| json!([i, o])).collect();
                format!(
                    "import json\ndef {entry}(*args):\n    for given, out in json.loads({:?}):\n        if given == json.loads(json.dumps(args)):\n            return out\n",
                    json!(pairs).to_string()
                )
            }
        }
    }
}

/// Where a row lists its tests, one an element; a text of tests has one a `def test` or an assertion.
const LISTS: [&str; 10] = [
    "cases",
    "test_cases",
    "tests",
    "test_list",
    "unit_tests",
    "test",
    "test_code",
    "inputs",
    "extra_info.tests",
    "extra_info.test_cases",
];

/// How many tests a row has, where that can be told.
pub(super) fn tests_of(fields: &Map<String, Value>) -> Option<usize> {
    let count = |value: &Value| match value {
        Value::Array(list) => list.len(),
        Value::String(text) => {
            let begin = |heads: &[&str]| text.lines().filter(|l| heads.iter().any(|h| l.trim().starts_with(h))).count();
            let named = begin(&["def test", "async def test"]);
            if named > 0 { named } else { begin(&["assert", "self.assert"]) }
        }
        _ => 0,
    };
    let pairs = cases_in(fields).map(|tests| tests.inputs.len());
    pairs.or_else(|| LISTS.iter().filter_map(|name| at(fields, name)).map(count).find(|n| *n > 0))
}

pub(super) fn cases_in(fields: &Map<String, Value>) -> Option<Tests> {
    let places = ["reward_model.ground_truth", "ground_truth", "input_output", "test_cases", "tests", "answer"];
    places.iter().find_map(|name| {
        let value = at(fields, name)?;
        let parsed = match value {
            Value::String(text) => serde_json::from_str(text).ok()?,
            other => other.clone(),
        };
        let list = |name: &str| parsed.get(name)?.as_array().cloned();
        let entry = parsed.get("fn_name").and_then(Value::as_str).map(str::to_string);
        let (inputs, outputs) = (list("inputs")?, list("outputs")?);
        (!inputs.is_empty()).then_some(Tests { entry, inputs, outputs })
    })
}

/// The code in the last fence, else the whole.
pub(super) fn unfenced(text: &str) -> &str {
    let inner = || {
        let (head, _) = text.trim_end().strip_suffix("```").map(|head| (head, ()))?;
        let from = head.rfind("```")?;
        let body = &head[from + 3..];
        Some(&body[body.find('\n')? + 1..])
    };
    inner().unwrap_or(text)
}

/// What a reference in no other language is; `python` if it is known to be that.
pub(super) fn surface_of(reference: &str, fields: &Map<String, Value>, tests: Option<&Tests>, python: bool) -> Surface {
    let starts = |heads: &[&str]| reference.lines().any(|l| heads.iter().any(|h| l.starts_with(h)));
    let reads = reference.contains("input(") || reference.contains("sys.stdin") || reference.contains("open(0)");
    let prints = starts(&["print("]) || (reads && reference.contains("print("));
    let defines = starts(&["def ", "class ", "async def "]);
    if let Some(tests) = tests {
        return if tests.entry.is_some() { Surface::Module } else { Surface::Program };
    }
    if !(python || defines || prints || starts(&["import ", "from "]) && reference.lines().count() > 1) {
        return Surface::Text;
    }
    let tested = ["tests", "test", "test_list", "test_code", "entry_point"].iter().any(|n| fields.contains_key(*n));
    if defines && (tested || !prints) { Surface::Module } else { Surface::Program }
}

/// The function that is asked for: the one that is named, else the first that is defined and that the tests call.
pub(super) fn entry_of(fields: &Map<String, Value>, reference: &str) -> Option<String> {
    let named = ["entry_point", "fn_name", "func_name", "function_name"].iter().find_map(|n| plain(at(fields, n)?));
    let defined: Vec<&str> = reference
        .lines()
        .filter_map(|l| {
            l.strip_prefix("async def ").or_else(|| l.strip_prefix("def ")).or_else(|| l.strip_prefix("class "))
        })
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    let tests = ["tests", "test", "test_list", "test_code"].iter().find_map(|n| at(fields, n)).map(Value::to_string);
    let called = |name: &&&str| tests.as_ref().is_some_and(|t| t.contains(&format!("{name}(")));
    named.or_else(|| defined.iter().find(called).or(defined.first()).map(|s| (*s).to_string()))
}
