//! A task for a grader that was not made here, as its owner wrote it down: what it asks for, and what deserves the
//! full reward.

use crate::language::Spoken;
use crate::read::{MAX_TASK_ROW, Room, Rows, task_of};
use crate::{EnvError, Surface};
use loophole_grade::{Language, Task, TaskForm};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A task as its owner wrote it down.
#[derive(Debug, Clone)]
pub struct Row {
    /// All its fields, passed on as they are.
    pub fields: Map<String, Value>,
    /// What is asked.
    pub prompt: String,
    /// What a perfect policy would hand in.
    pub reference: String,
    /// The task as code with tests, where it is one that the oracle knows.
    pub task: Option<Task>,
    /// What a submission is.
    pub surface: Surface,
    /// The function that is asked for, where it is one.
    pub entry: Option<String>,
    /// How it was read, for a person.
    pub read: String,
    /// The language of its code, where nothing can be written in that.
    pub foreign_language: Option<String>,
}

/// Fields that hold an answer, in the order they are looked for.
const ANSWERS: [&str; 12] = [
    "reference",
    "canonical_solution",
    "reference_solution",
    "solution",
    "solutions",
    "extra_info.reference",
    "extra_info.solution",
    "ground_truth",
    "reward_model.ground_truth",
    "answer",
    "label",
    "target",
];

/// Fields that hold a solution that is right and slow.
const BASELINES: [&str; 6] =
    ["baseline", "baseline_solution", "baseline_code", "slow_solution", "slow", "extra_info.baseline"];

impl Row {
    /// Makes one of a row of a file.
    pub(crate) fn read(row: &crate::read::Row) -> Result<Row, String> {
        let mut fields = Map::new();
        for (name, json) in row.fields() {
            fields.insert(name.into(), serde_json::from_str(json).map_err(|e| e.to_string())?);
        }
        let task = task_of(row, 0).ok().map(|(_, task)| task);
        let task = task.filter(|task| matches!(task.form, TaskForm::Function(_) | TaskForm::HumanEval(_)));
        Ok(Row::of(fields, task))
    }

    /// From its fields, and the task the oracle takes it for.
    pub(crate) fn of(fields: Map<String, Value>, task: Option<Task>) -> Row {
        let text = |names: &[&str]| names.iter().find_map(|n| plain(at(&fields, n)?));
        let prompt = text(&["prompt", "statement", "question", "instruction", "problem"]).unwrap_or_default();
        let mut row = Row { prompt, ..Row::bare(String::new()) };
        // Tests alone are no submission that deserves the full reward.
        if let Some(task) = task.filter(|task| !task.reference.trim().is_empty()) {
            row.surface = if task.is_program() { Surface::Program } else { Surface::Module };
            row.entry = task.entry_point().map(str::to_string);
            row.reference.clone_from(&task.reference);
            row.read = format!("a task with tests, {}", named(row.surface));
            row.task = Some(task);
        } else {
            let tests = cases_in(&fields);
            let found = ANSWERS.iter().find_map(|n| {
                let text = plain(at(&fields, n)?)?;
                // What is tests is no answer.
                (tests.is_none() || !text.trim_start().starts_with('{')).then_some((*n, text))
            });
            match (found, tests) {
                (Some((name, text)), tests) => {
                    let code = unfenced(&text);
                    match spoken(&fields, &text, code) {
                        Some(Spoken::Known(language)) if language != Language::Python => {
                            row.surface = Surface::Code(language);
                        }
                        Some(Spoken::Other(language)) => row.foreign_language = Some(language),
                        said => row.surface = surface_of(code, &fields, tests.as_ref(), said.is_some()),
                    }
                    row.reference = if row.surface == Surface::Text { text.clone() } else { code.to_string() };
                    row.read = format!("{}, its reference from `{name}`", named(row.surface));
                }
                (None, Some(tests)) => {
                    row.surface = if tests.entry.is_some() { Surface::Module } else { Surface::Program };
                    row.reference = tests.table();
                    row.read = format!("{}, its reference a table of its tests", named(row.surface));
                }
                (None, None) => {}
            }
            row.entry = entry_of(&fields, &row.reference).filter(|_| row.surface == Surface::Module);
        }
        if at(&fields, "reward_model.ground_truth").is_some() {
            row.read = format!("a verl row, {}", row.read);
        }
        row.fields = fields;
        row
    }

    /// A row without fields, for graders that need no task.
    pub(crate) fn bare(reference: String) -> Row {
        let mut fields = Map::new();
        fields.insert("reference".into(), json!(reference));
        let surface = match Spoken::of_code(&reference) {
            Some(Spoken::Known(language)) => Surface::Code(language),
            _ => surface_of(&reference, &fields, None, false),
        };
        let entry = entry_of(&fields, &reference).filter(|_| surface == Surface::Module);
        let read = format!("{}, its reference from a file", named(surface));
        Row { fields, prompt: String::new(), reference, task: None, surface, entry, read, foreign_language: None }
    }

    /// A slow solution, where speed is paid.
    pub(crate) fn baseline(&self) -> Option<String> {
        let text = BASELINES.iter().find_map(|n| plain(at(&self.fields, n)?))?;
        let head = format!("def {}(", self.entry.as_ref()?);
        let code = unfenced(&text);
        code.contains(&head).then(|| code.to_string())
    }

    /// The name a report gives it.
    pub(crate) fn id(&self) -> Option<String> {
        ["id", "task_id", "question_id", "index", "extra_info.index"].iter().find_map(|n| plain(at(&self.fields, n)?))
    }

    /// The value that graders call label or ground truth.
    pub(crate) fn truth(&self) -> Value {
        let names = ["ground_truth", "reward_model.ground_truth", "label", "answer", "target", "solution"];
        let own = names.iter().find_map(|n| at(&self.fields, n));
        own.cloned().unwrap_or_else(|| Value::String(self.reference.clone()))
    }
}

/// A field, or with a dot one of a field.
fn at<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f Value> {
    match name.split_once('.') {
        Some((outer, inner)) => fields.get(outer)?.get(inner),
        None => fields.get(name),
    }
}

/// A text, a number, the last message of a conversation, or the first of several answers.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Array(list) => match list.last()?.get("content") {
            Some(content) => Some(content.as_str()?.to_string()),
            None => plain(list.first()?),
        },
        Value::Object(o) => plain(o.get("target").or_else(|| o.get("answer"))?),
        _ => None,
    }
}

fn named(surface: Surface) -> &'static str {
    match surface {
        Surface::Module => "Python with a function",
        Surface::Program => "a Python program",
        Surface::Code(language) => written_in(language),
        Surface::Text => "a text",
        Surface::Agent => "what an agent does",
    }
}

fn written_in(language: Language) -> &'static str {
    match language {
        Language::Python => "code in Python",
        Language::C => "code in C",
        Language::Cpp => "code in C++",
        Language::Rust => "code in Rust",
        Language::Go => "code in Go",
        Language::Java => "code in Java",
        Language::JavaScript => "code in JavaScript",
        Language::Bash => "code in bash",
    }
}

/// The language that a row says its reference is in, that the fence around it names, or that it looks like.
fn spoken(fields: &Map<String, Value>, text: &str, code: &str) -> Option<Spoken> {
    let names = ["language", "lang", "programming_language", "extra_info.language"];
    let said = names.iter().find_map(|n| Spoken::named(at(fields, n)?.as_str()?));
    let fence = || {
        let tag = text.rfind(code).and_then(|at| text[..at].trim_end_matches('\n').rsplit_once("```"))?.1;
        Spoken::named(tag)
    };
    said.or_else(fence).or_else(|| Spoken::of_code(code))
}

/// Tests with inputs and outputs, as verl, APPS and their kin keep them.
struct Tests {
    entry: Option<String>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl Tests {
    /// A program, or a function, that knows these and no more.
    fn table(&self) -> String {
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

fn cases_in(fields: &Map<String, Value>) -> Option<Tests> {
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
fn unfenced(text: &str) -> &str {
    let inner = || {
        let (head, _) = text.trim_end().strip_suffix("```").map(|head| (head, ()))?;
        let from = head.rfind("```")?;
        let body = &head[from + 3..];
        Some(&body[body.find('\n')? + 1..])
    };
    inner().unwrap_or(text)
}

/// What a reference in no other language is; `python` if it is known to be that.
fn surface_of(reference: &str, fields: &Map<String, Value>, tests: Option<&Tests>, python: bool) -> Surface {
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
fn entry_of(fields: &Map<String, Value>, reference: &str) -> Option<String> {
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

/// Reads the rows of a file.
pub(crate) fn read_rows(path: &Path) -> Result<Vec<Row>, EnvError> {
    let mut read = Rows::open(path, MAX_TASK_ROW)?;
    let mut room = Room::half_of_memory();
    let mut rows = Vec::new();
    while let Some(found) = read.next_row()? {
        let row = found.row.as_ref().map_err(Clone::clone).and_then(Row::read).map_err(|why| found.wrong(why))?;
        if row.reference.is_empty() {
            let known = "`reference`, `canonical_solution`, `solution`, `ground_truth`, `answer`, `label`";
            return Err(found.wrong(format!("no reference; give one of {known}")).into());
        }
        // A row is kept as it was parsed, in which every number takes far more than its digits.
        room.take(16 * found.size).map_err(|why| found.wrong(why))?;
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(EnvError::Input(format!("{}: holds no task", path.display())));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Row {
        Row::read(&crate::read::Row::parse(line).unwrap()).unwrap()
    }

    #[test]
    fn rows_of_many_forms_are_read() {
        let row = parse(r#"{"prompt":[{"role":"user","content":"2+2?"}],"reward_model":{"ground_truth":"4"}}"#);
        assert_eq!((row.prompt.as_str(), row.reference.as_str(), row.truth()), ("2+2?", "4", json!("4")));
        assert_eq!(row.surface, Surface::Text);
        let row = parse(r#"{"question":"q","answer":3}"#);
        assert_eq!((row.prompt.as_str(), row.reference.as_str(), row.truth()), ("q", "3", json!(3)));
        let row = parse(
            r#"{"id":"a","entry_point":"f","reference":"def f(): return 1","visible":[{"args":[],"expected":1}]}"#,
        );
        assert!(row.task.is_some() && row.surface == Surface::Module);
        let row = parse(r#"{"question":"q","answer":"SELECT a\nFROM t"}"#);
        assert_eq!(row.foreign_language.as_deref(), Some("sql"));
        let row = parse(r#"{"prompt":"q","golden":1,"reward_model":{"ground_truth":{"target":["Rome"]}}}"#);
        assert_eq!(row.reference, "Rome");
    }

    #[test]
    fn code_is_read_as_code_in_its_language() {
        let surface = |line: &str| {
            let row = parse(line);
            (row.surface, row.entry)
        };
        let some = |s: &str| Some(s.to_string());
        for (line, wanted) in [
            (
                r#"{"solution":"def g(a):\n    return a\ndef add(a, b):\n    return g(a) + b\n","tests":"assert add(1, 2) == 3"}"#,
                (Surface::Module, some("add")),
            ),
            (r#"{"solution":"```python\ndef add(a, b):\n    return a + b\n```"}"#, (Surface::Module, some("add"))),
            (r#"{"reference":"print(sum(map(int, input().split())))"}"#, (Surface::Program, None)),
            (r##"{"reference":"#include <stdio.h>\nint main(void){return 0;}"}"##, (Surface::Code(Language::C), None)),
            (r#"{"language":"js","reference":"x = 1"}"#, (Surface::Code(Language::JavaScript), None)),
            (r#"{"answer":"```cpp\nint f() { return 1; }\n```"}"#, (Surface::Code(Language::Cpp), None)),
            (r#"{"language":"Python","reference":"x = 1"}"#, (Surface::Program, None)),
            (r#"{"language":"en","answer":"Rome"}"#, (Surface::Text, None)),
            (r#"{"answer":"What a def is: import it"}"#, (Surface::Text, None)),
            (
                r#"{"reward_model":{"ground_truth":"{\"inputs\": [\"1\\n\"], \"outputs\": [\"2\\n\"]}"}}"#,
                (Surface::Program, None),
            ),
            (r#"{"ground_truth":{"inputs": [[1]], "outputs": [2], "fn_name": "up"}}"#, (Surface::Module, some("up"))),
        ] {
            assert_eq!(surface(line), wanted, "{line}");
        }
    }
}
