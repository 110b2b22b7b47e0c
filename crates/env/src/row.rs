//! A task for a grader that was not made here, as its owner wrote it down: what it asks for, and what deserves the
//! full reward.

mod code;

use crate::language::Spoken;
use crate::read::{MAX_TASK_ROW, Room, Rows, task_of};
use crate::tools::Tool;
use crate::{EnvError, Surface};
use code::{cases_in, entry_of, spoken, surface_of, tests_of, unfenced};
use loophole_grade::{Language, Task, TaskForm};
use serde::Deserialize;
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
    /// Every answer that its owner accepts, the reference first.
    pub accepted: Vec<String>,
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
    /// What a package tells of its environment.
    pub(crate) package: Package,
}

/// What an environment that comes as a package tells of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Package {
    /// How it goes about it, for a person.
    pub says: Option<String>,
    /// Why finding nothing says little.
    pub beyond: Option<String>,
    /// Forms in which it wants answers, `@` for the answer.
    pub forms: Vec<String>,
    /// The tools a policy may call.
    pub tools: Vec<Tool>,
    /// Whether its reward has several parts.
    pub several: bool,
    /// The most it can pay, as far as that is known.
    pub most: Option<f64>,
}

/// Fields that hold an answer, in the order they are looked for.
const ANSWERS: [&str; 15] = [
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
    "info.answer",
    "info.ground_truth",
    "info.target",
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
            row.accepted = vec![row.reference.clone()];
            row.read = format!("a task with tests, {}", named(row.surface));
            row.task = Some(task);
        } else {
            let tests = cases_in(&fields);
            let found = ANSWERS.iter().find_map(|n| {
                let texts = all_plain(at(&fields, n)?);
                // What is tests is no answer.
                let some = texts.first().is_some_and(|text| tests.is_none() || !text.trim_start().starts_with('{'));
                some.then_some((*n, texts))
            });
            match (found, tests) {
                (Some((name, texts)), tests) => {
                    let text = &texts[0];
                    let code = unfenced(text);
                    match spoken(&fields, text, code) {
                        Some(Spoken::Known(language)) if language != Language::Python => {
                            row.surface = Surface::Code(language);
                        }
                        Some(Spoken::Other(language)) => row.foreign_language = Some(language),
                        said => row.surface = surface_of(code, &fields, tests.as_ref(), said.is_some()),
                    }
                    let is_text = row.surface == Surface::Text;
                    let handed_in = |text: &String| if is_text { text.clone() } else { unfenced(text).to_string() };
                    row.accepted = texts.iter().map(handed_in).collect();
                    row.reference.clone_from(&row.accepted[0]);
                    row.read = format!("{}, its reference from `{name}`", named(row.surface));
                    if row.accepted.len() > 1 {
                        row.read.push_str(&format!(", which accepts {}", row.accepted.len()));
                    }
                }
                (None, Some(tests)) => {
                    row.surface = if tests.entry.is_some() { Surface::Module } else { Surface::Program };
                    row.reference = tests.table();
                    row.accepted = vec![row.reference.clone()];
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
        Row {
            fields,
            prompt: String::new(),
            accepted: vec![reference.clone()],
            reference,
            task: None,
            surface,
            entry,
            read,
            foreign_language: None,
            package: Package::default(),
        }
    }

    /// A slow solution, where speed is paid.
    pub(crate) fn baseline(&self) -> Option<String> {
        let text = BASELINES.iter().find_map(|n| plain(at(&self.fields, n)?))?;
        let head = format!("def {}(", self.entry.as_ref()?);
        let code = unfenced(&text);
        code.contains(&head).then(|| code.to_string())
    }

    /// How many tests it has, where that can be told.
    pub(crate) fn tests(&self) -> Option<usize> {
        tests_of(&self.fields)
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

/// The most answers of one row that are taken.
const MOST_ANSWERS: usize = 64;

/// Every answer that a value holds: of a list each, which are accepted all alike; of a conversation the last message.
fn all_plain(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut add = |text: Option<String>| {
        if let Some(text) = text.filter(|text| !texts.contains(text)) {
            texts.push(text);
        }
    };
    match value {
        Value::Array(list) if list.last().is_some_and(|last| last.get("content").is_none()) => {
            list.iter().take(MOST_ANSWERS).for_each(|each| add(plain(each)));
        }
        Value::Object(o) => return o.get("target").or_else(|| o.get("answer")).map(all_plain).unwrap_or_default(),
        other => add(plain(other)),
    }
    texts
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
    fn several_accepted_answers_are_read() {
        let accepted = |line: &str| parse(line).accepted;
        for (line, wanted) in [
            (r#"{"question":"q","answer":["Rome","Roma","Rome"]}"#, vec!["Rome", "Roma"]),
            (r#"{"prompt":"q","reward_model":{"ground_truth":{"target":["4",4.0,"four"]}}}"#, vec!["4", "4.0", "four"]),
            (r#"{"question":"q","ground_truth":[]  ,"answer":"7"}"#, vec!["7"]),
            (
                r#"{"question":"q","solution":[{"role":"user","content":"q"},{"role":"assistant","content":"7"}]}"#,
                vec!["7"],
            ),
            (r#"{"question":"q","info":{"answer":"7"}}"#, vec!["7"]),
            (
                r#"{"question":"q","solutions":["def f(a):\n    return a\n","```python\ndef f(b):\n    return b\n```"]}"#,
                vec!["def f(a):\n    return a\n", "def f(b):\n    return b\n"],
            ),
        ] {
            assert_eq!(accepted(line), wanted, "{line}");
        }
        let row = parse(r#"{"question":"q","answer":["Rome","Roma"]}"#);
        assert_eq!((row.reference.as_str(), row.truth()), ("Rome", json!(["Rome", "Roma"])));
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
