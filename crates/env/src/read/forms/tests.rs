//! Tests as data sets write them, whatever the field they stand in: inputs and outputs of programs, calls of a
//! function, or source text.

use crate::extract::{Extract, extract};
use crate::read::row::{Row, few_values};
use loophole_grade::{Case, Compare, Language, Task, TaskForm, Tests, Value};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What was found.
pub(super) enum Found {
    /// Standard inputs and outputs.
    Programs(Vec<Case>),
    /// Calls of a function. `loose`: a value alone in a list is meant by many writers without it.
    Calls { name: String, cases: Vec<Case>, loose: bool },
    /// Source text.
    Text(String),
}

impl Found {
    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Found::Programs(cases) | Found::Calls { cases, .. } => cases.is_empty(),
            Found::Text(text) => text.trim().is_empty(),
        }
    }
}

/// Whether a field says that there is nothing, as tables with gaps do and writers who fill each.
pub(super) fn are_none(json: &str) -> bool {
    let text = serde_json::from_str::<String>(json);
    let said = text.as_deref().unwrap_or(json).trim();
    ["", "[]", "{}", "null", "None", "NaN", "nan", "{\"$float\":\"nan\"}"].contains(&said)
}

/// Where source text of tests stands within an object.
const TEXTS: [&str; 6] = ["functional", "assert_case", "test_code", "test", "tests", "test_list"];

/// Reads tests from their JSON; `name` is the function's, where it is said elsewhere.
///
/// # Errors
/// They have none of the known forms.
pub(super) fn read(json: &str, name: Option<String>) -> Result<Found, String> {
    few_values(json)?;
    match json.trim_start().bytes().next() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).map_err(|error| error.to_string())?;
            // What begins as JSON is no source text.
            match serde_json::from_str::<IgnoredAny>(&text) {
                Err(error) if text.trim_start().starts_with(['[', '{']) => Err(format!("tests: {error}")),
                _ => Ok(Found::Text(text)),
            }
        }
        Some(b'{') => from_object(&Row::parse(json)?, name),
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(json).map_err(|error| error.to_string())?;
            if let Ok(texts) = serde_json::from_str::<Vec<Option<String>>>(json) {
                let texts: Vec<String> = texts.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
                return Ok(Found::Text(texts.join("\n")));
            }
            from_list(&items, name)
        }
        // A number or a word is no test.
        _ => Ok(Found::Text(json.to_owned())),
    }
}

/// `{"inputs": [...], "outputs": [...], "fn_name": ...}` and its like.
fn from_object(object: &Row, name: Option<String>) -> Result<Found, String> {
    for (inputs, outputs) in [("inputs", "outputs"), ("input", "output")] {
        let (Some(inputs), Some(outputs)) = (object.list(inputs), object.list(outputs)) else { continue };
        if inputs.len() != outputs.len() {
            return Err(format!("{} inputs, {} outputs", inputs.len(), outputs.len()));
        }
        let name = object.name_of(&["fn_name", "func_name", "entry_point"]).or(name).filter(|name| !name.is_empty());
        let pairs = inputs.iter().zip(&outputs).map(|(input, output)| (input.get(), output.get()));
        return match name {
            Some(name) => calls(name, pairs, false),
            None => programs(pairs),
        };
    }
    for text in TEXTS {
        if let Some(texts) = object.texts(text) {
            return Ok(Found::Text(texts.join("\n")));
        }
    }
    Err("tests are an object without `inputs` and `outputs`".into())
}

/// `[{"input": ..., "output": ..., "testtype": ...}, ...]` and its like.
fn from_list(items: &[Box<RawValue>], name: Option<String>) -> Result<Found, String> {
    let mut pairs = Vec::new();
    let mut name = name;
    let mut functional = false;
    for (at, item) in items.iter().enumerate().filter(|(_, item)| !are_none(item.get())) {
        let wrong = |why: &str| format!("test {at}: {why}");
        let item = Row::parse(item.get()).map_err(|why| wrong(&why))?;
        let input = item.json("input").or_else(|| item.json("stdin")).or_else(|| item.json("args"));
        let output = ["output", "expected_output", "stdout", "expected"].iter().find_map(|name| item.json(name));
        let (Some(input), Some(output)) = (input, output) else { return Err(wrong("it has no `input` and `output`")) };
        let kind = item.name_of(&["testtype", "type"]).unwrap_or_default();
        functional |= kind.contains("function");
        name = name.or_else(|| item.name_of(&["fn_name", "func_name", "metadata.func_name"]));
        pairs.push((input, output));
    }
    let pairs = pairs.iter().map(|(input, output)| (input.as_str(), output.as_str()));
    match (functional, name) {
        (true, Some(name)) => calls(name, pairs, true),
        (true, None) => Err("tests of a function that nothing names (`fn_name`, `metadata.func_name`)".into()),
        (false, _) => programs(pairs),
    }
}

fn programs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Found, String> {
    let case = |(at, (input, output)): (usize, (&str, &str))| {
        let text = |json: &str| text_of(json).map_err(|why| format!("test {at}: {why}"));
        Ok(Case { args: vec![Value::Str(text(input)?)], expected: Value::Str(text(output)?) })
    };
    pairs.enumerate().map(case).collect::<Result<_, String>>().map(Found::Programs)
}

/// A text that a program reads or prints: as it is, as its lines, or as the one value it holds. Lines end in `\n`.
fn text_of(json: &str) -> Result<String, String> {
    let value = Value::parse(json).map_err(|error| error.to_string())?;
    let text = match value {
        Value::Str(text) => text,
        Value::List(lines) => lines.iter().map(|line| line.shown() + "\n").collect(),
        other => other.shown(),
    };
    Ok(text.replace("\r\n", "\n"))
}

/// Calls: arguments as a list, or, where `lines` are allowed, as a text with one value a line.
fn calls<'a>(name: String, pairs: impl Iterator<Item = (&'a str, &'a str)>, lines: bool) -> Result<Found, String> {
    let mut cases = Vec::new();
    for (at, (input, output)) in pairs.enumerate() {
        let wrong = |why: &dyn std::fmt::Display| format!("test {at}: {why}");
        let value = |text: &str| Value::parse(text).map_err(|error| wrong(&error));
        let args = match value(input)? {
            Value::List(args) => args,
            Value::Str(text) if lines => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                lines.map(value).collect::<Result<_, _>>()?
            }
            one => vec![one],
        };
        let expected = match value(output)? {
            // The answer as JSON within a text; a text that is none is the answer.
            Value::Str(text) if lines => Value::parse(&text).unwrap_or(Value::Str(text)),
            other => other,
        };
        cases.push(Case { args, expected });
    }
    let single = |case: &Case| matches!(&case.expected, Value::List(list) if list.len() == 1);
    let loose = !cases.is_empty() && cases.iter().all(single);
    Ok(Found::Calls { name, cases, loose })
}

/// What the graders of competition data sets put before a solution: models are trained to count on it. Names that
/// would hide functions of the language are taken away again.
const IMPORTS: &str = "from typing import *
from collections import *
from itertools import *
from functools import *
from operator import *
from math import *
from string import *
from bisect import *
from heapq import *
from copy import *
from random import *
del pow, abs
import typing
import collections
import itertools
import functools
import operator
import math
import string
import bisect
import heapq
import copy
import re
import random
import sys
import json
import datetime
import statistics
";

/// The task, whose solutions find the usual imports before them.
pub(super) fn with_imports(mut task: Task) -> Task {
    if task.tests().is_none() {
        task.set_prelude(IMPORTS);
    }
    task
}

/// Whether a text has what tests are made of.
pub(super) fn is_code(text: &str) -> bool {
    ["assert", "def test", "def check", "unittest"].iter().any(|sign| text.contains(sign))
}

/// Where a row's statement stands.
const STATEMENTS: [&str; 8] =
    ["statement", "question", "problem", "prompt", "description", "question_content", "instruction", "text"];
/// Where its solution stands.
const REFERENCES: [&str; 7] =
    ["reference", "canonical_solution", "solution", "solutions", "gold_standard_solution", "completion", "answer"];

/// A task with these tests and what else its row says. The first half of the cases is taken for the visible one.
pub(super) fn task(id: &str, row: &Row, found: Found) -> Result<Task, String> {
    let mut statement = STATEMENTS.iter().find_map(|name| row.said(name)).unwrap_or_default();
    if let Some(starter) = row.text("starter_code").filter(|starter| !starter.trim().is_empty()) {
        statement = format!("{statement}\n\n{starter}");
    }
    let reference =
        REFERENCES.iter().find_map(|name| row.texts(name)?.into_iter().find(|text| !text.trim().is_empty()));
    let reference = reference.unwrap_or_default();
    let (form, mut cases, loose) = match found {
        Found::Programs(cases) => (TaskForm::program(Language::Python), cases, false),
        Found::Calls { name, cases, loose } => (TaskForm::function(name, Vec::new()), cases, loose),
        Found::Text(visible) => {
            let entry_point = row.name_of(&["entry_point", "fn_name", "function_name"]);
            (TaskForm::Tests(Tests { entry_point, visible, ..Tests::default() }), Vec::new(), false)
        }
    };
    let mut task = super::stated(Task::new(id, form), statement);
    // Solutions come as models write them, too.
    let taken = extract(Extract::Auto, &task, &reference);
    task.reference = taken.text;
    if let TaskForm::Tests(tests) = &mut task.form
        && tests.entry_point.is_none()
    {
        tests.entry_point = super::mbpp::tested(&task.reference, &tests.visible);
    }
    if loose {
        // As the data set's own grader has it: the value, or what is alone in it.
        for case in &mut cases {
            if let Value::List(list) = &case.expected {
                let mut accepted = list.clone();
                accepted.insert(0, case.expected.clone());
                case.expected = Value::List(accepted);
            }
        }
        task.compare = Compare { any_of: true, ..Compare::default() };
    }
    task.hidden = cases.split_off(cases.len().div_ceil(2));
    task.visible = cases;
    Ok(task)
}

#[cfg(test)]
mod units {
    use super::*;

    #[test]
    fn gaps_in_a_list_of_tests_are_none() {
        let text = |json: &str| match read(json, None).unwrap() {
            Found::Text(text) => text,
            _ => panic!("{json}: no text"),
        };
        assert_eq!(
            text(r#"["assert f(1)", "", null, " ", "print(2)", "assert f(3)"]"#),
            "assert f(1)\nprint(2)\nassert f(3)"
        );
        let Found::Programs(cases) = read(r#"[{"input": "1", "output": "2"}, null, {}]"#, None).unwrap() else {
            panic!("no programs")
        };
        assert_eq!(cases.len(), 1);
        assert!(read("[]", None).unwrap().is_empty() && read("[null]", None).unwrap().is_empty());
        for (json, none) in
            [("\" \"", true), ("\"null\"", true), ("{\"$float\":\"nan\"}", true), ("[1]", false), ("0", false)]
        {
            assert_eq!(are_none(json), none, "{json}");
        }
    }
}
