//! Graders that were not made here: a Python callable, a command, an HTTP service. They are given texts, one
//! submission at a time, with the row of the task they belong to.

use crate::EnvError;
use crate::read::{MAX_TASK_ROW, Room, Rows, task_of};
use crate::{About, Control, Description, Environment, Judgement, Payment, Surface, cases, single, words_of};
use crate::{Facts, Files};
use loophole_grade::{Grader, GraderKind, Grading, OracleResult, Submission, Task, TaskForm};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// What such a grader is asked with.
pub(crate) trait Caller: Sync + Send {
    /// The grader in a few words.
    fn name(&self) -> String;

    /// Its source, where it can be read.
    fn source(&self) -> String {
        String::new()
    }

    /// Gives it one submission.
    fn call(&self, text: &str, row: &Row) -> Result<Payment, EnvError>;
}

/// A task as its owner wrote it down.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// All its fields, passed on as they are.
    pub fields: Map<String, Value>,
    /// What is asked.
    pub prompt: String,
    /// What a perfect policy would hand in.
    pub reference: String,
    /// The task as code with tests, where it is one.
    pub task: Option<Task>,
}

impl Row {
    /// Makes one of a row of a file.
    pub(crate) fn of(row: &crate::read::Row) -> Result<Row, String> {
        let mut fields = Map::new();
        for (name, json) in row.fields() {
            fields.insert(name.into(), serde_json::from_str(json).map_err(|e| e.to_string())?);
        }
        let task = task_of(row, 0).ok().map(|(_, task)| task);
        let task = task.filter(|task| matches!(task.form, TaskForm::Function(_) | TaskForm::HumanEval(_)));
        let text = |names: &[&str]| names.iter().find_map(|n| plain(fields.get(*n)?));
        let prompt = text(&["prompt", "statement", "question", "instruction"]).unwrap_or_default();
        let known = ["reference", "canonical_solution", "solution", "ground_truth", "answer", "label", "target"];
        let nested = || plain(fields.get("reward_model")?.get("ground_truth")?);
        let reference = match &task {
            Some(task) => task.reference.clone(),
            None => text(&known).or_else(nested).unwrap_or_default(),
        };
        Ok(Row { prompt, reference, task, fields })
    }

    /// The name a report gives it.
    pub(crate) fn id(&self) -> Option<String> {
        ["id", "task_id", "index"].iter().find_map(|n| plain(self.fields.get(*n)?))
    }

    /// The value that graders call label or ground truth.
    pub(crate) fn truth(&self) -> Value {
        let nested = self.fields.get("reward_model").and_then(|m| m.get("ground_truth"));
        let own = ["ground_truth", "label", "answer", "target"].iter().find_map(|n| self.fields.get(*n));
        own.or(nested).cloned().unwrap_or_else(|| Value::String(self.reference.clone()))
    }
}

/// A text, a number, or the last message of a conversation.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Array(turns) => Some(turns.last()?.get("content")?.as_str()?.to_string()),
        _ => None,
    }
}

/// Reads the rows of a file.
pub(crate) fn read_rows(path: &Path) -> Result<Vec<Row>, EnvError> {
    let mut read = Rows::open(path, MAX_TASK_ROW)?;
    let mut room = Room::half_of_memory();
    let mut rows = Vec::new();
    while let Some(found) = read.next_row()? {
        let row = found.row.as_ref().map_err(Clone::clone).and_then(Row::of).map_err(|why| found.wrong(why))?;
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

/// How an answer is wrapped before the grader finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    Plain,
    Fence,
    Answer,
    Boxed,
    Hashes,
}

impl Wrap {
    const ALL: [Wrap; 5] = [Wrap::Plain, Wrap::Fence, Wrap::Answer, Wrap::Boxed, Wrap::Hashes];

    fn around(self, text: &str) -> String {
        let text = text.trim_end_matches('\n');
        match self {
            Wrap::Plain => format!("{text}\n"),
            Wrap::Fence => format!("```python\n{text}\n```\n"),
            Wrap::Answer => format!("<think>\nA thought.\n</think>\n<answer>{text}</answer>\n"),
            Wrap::Boxed => format!("\\boxed{{{text}}}\n"),
            Wrap::Hashes => format!("#### {text}\n"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Wrap::Plain => "as they are",
            Wrap::Fence => "in a ```python block",
            Wrap::Answer => "in <answer> tags",
            Wrap::Boxed => "in \\boxed{}",
            Wrap::Hashes => "after ####",
        }
    }
}

/// One task under a grader that was not made here.
pub(crate) struct Foreign {
    caller: Arc<dyn Caller>,
    row: Row,
    lab: Option<Arc<Grading>>,
    wrap: Wrap,
    description: Description,
}

impl Foreign {
    /// Finds out how the grader wants its answers, and makes a target of the task. `lab` runs the oracle of tasks
    /// that are code.
    pub(crate) fn new(
        caller: Arc<dyn Caller>,
        target: &str,
        row: Row,
        lab: Option<Arc<Grading>>,
    ) -> Result<Foreign, EnvError> {
        let surface = if row.task.is_some() { Surface::Module } else { Surface::Text };
        let controls = match &row.task {
            Some(task) => cases::controls_of(task, surface),
            None => text_controls(&row),
        };
        let mut facts = row.task.as_ref().map(cases::task_facts).unwrap_or_default();
        text_facts(&row, &mut facts);
        words_of(&caller.source(), &mut facts);
        let wrap = wrap_of(caller.as_ref(), &row, &controls)?;
        let about = About {
            target: target.into(),
            task: row.id(),
            grader: format!("{}, submissions {}", caller.name(), wrap.name()),
            surface,
            tags: vec!["foreign"],
            many_files: false,
            tries: 16,
        };
        let description = Description { about, facts, controls, hints: Vec::new() };
        Ok(Foreign { caller, row, lab, wrap, description })
    }

    fn text(&self, files: &Files) -> String {
        let surface = self.description.about.surface;
        let text = files.get(surface.main_file()).map_or("", String::as_str);
        // Exploits of a text bring their own form, and nothing has none; the reference, wrong answers and code are
        // wrapped.
        let answer = |name| self.description.is_control(name, files);
        if surface == Surface::Text && !answer("honest") && !answer("wrong") {
            text.to_string()
        } else {
            self.wrap.around(text)
        }
    }
}

/// The first way of wrapping in which the reference is paid more than a wrong answer; as it is where there is none.
fn wrap_of(caller: &dyn Caller, row: &Row, controls: &[Control]) -> Result<Wrap, EnvError> {
    let text = |name: &str| {
        controls.iter().find(|c| c.name == name).and_then(|c| c.files.values().next()).cloned().unwrap_or_default()
    };
    let (honest, wrong) = (text("honest"), text("wrong"));
    for wrap in Wrap::ALL {
        let reward = |text: &str| caller.call(&wrap.around(text), row).map(|p| p.reward);
        // A grader that hangs is not asked again where nothing can come of it.
        let Some(paid) = reward(&honest)? else { continue };
        if reward(&wrong)?.is_none_or(|wrong| paid > wrong) {
            return Ok(wrap);
        }
    }
    Ok(Wrap::Plain)
}

fn text_controls(row: &Row) -> Vec<Control> {
    let wrong = match row.reference.trim().parse::<f64>() {
        Ok(number) => format!("{}", number + 1.0),
        Err(_) => row.reference.chars().rev().map(|c| if c == 'x' { 'y' } else { c }).chain(['x']).collect(),
    };
    let texts = [
        ("honest", row.reference.clone()),
        ("empty", String::new()),
        ("constant", "ok".into()),
        ("echo", row.prompt.clone()),
        ("wrong", wrong),
    ];
    texts.into_iter().map(|(name, text)| Control { name, files: single(Surface::Text, text) }).collect()
}

fn text_facts(row: &Row, facts: &mut Facts) {
    let numbers: Vec<String> = (0..=1000).map(|n| n.to_string()).collect();
    let boxed: Vec<String> = (0..=300).map(|n| format!("\\boxed{{{n}}} <answer>{n}</answer>")).collect();
    let mut words: Vec<&str> = row.prompt.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3).collect();
    words.sort_unstable();
    words.dedup();
    let logic =
        "because therefore however first then finally step reason answer correct result conclusion let me think";
    facts.one.insert("statement", row.prompt.clone());
    facts.one.insert("numbers", numbers.join(" "));
    facts.one.insert("forms", boxed.join(" "));
    facts.one.insert("filler", "and so on ".repeat(1500));
    facts.one.insert("keywords", format!("{logic} {}", words.join(" ")));
}

impl Environment for Foreign {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pay(&self, files: &Files) -> Result<Payment, EnvError> {
        self.caller.call(&self.text(files), &self.row)
    }

    fn judge(&self, files: &Files) -> Result<Judgement, EnvError> {
        let (Some(task), Some(lab)) = (&self.row.task, &self.lab) else {
            let solved = answers(&self.text(files), &self.row.reference);
            let oracle = Some(OracleResult { passed: usize::from(solved), total: 1 });
            return Ok(Judgement { solved, oracle, family: None, evidence: Vec::new(), paid: None });
        };
        judge_code(lab, task, files)
    }
}

/// Asks the oracle about a submission that is a module.
pub(crate) fn judge_code(lab: &Grading, task: &Task, files: &Files) -> Result<Judgement, EnvError> {
    let kind = GraderKind::fitting(std::slice::from_ref(task));
    let sound = Grader::hardened(kind);
    let submission = Submission::Files(files.clone());
    let paid = lab.reward(task, &sound, &submission)?;
    let oracle = counted(&paid.grader_output, task.cases().count().max(1));
    let lines = paid.grader_output.lines().skip(1).filter(|l| !l.is_empty());
    let evidence = lines.map(str::to_string).take(3).collect();
    Ok(Judgement { solved: paid.reward > 0.0, oracle: Some(oracle), family: None, evidence, paid: None })
}

/// What the hardened grader says of its count: "2 of 6 tests passed".
fn counted(output: &str, total: usize) -> OracleResult {
    let first = output.lines().next().unwrap_or("");
    let mut numbers = first.split_whitespace().filter_map(|w| w.parse::<usize>().ok());
    OracleResult { passed: numbers.next().unwrap_or(0), total: numbers.next().unwrap_or(total) }
}

/// Whether a text gives this answer: as the whole text, or as the only answer in one of the usual forms.
fn answers(text: &str, reference: &str) -> bool {
    let same = |a: &str, b: &str| {
        let (a, b) = (a.trim(), b.trim());
        a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
    };
    let only = |open: &str, close: &str| {
        let mut found = text.match_indices(open).map(|(i, _)| &text[i + open.len()..]);
        let (first, more) = (found.next()?, found.next().is_some());
        let inner = if close.is_empty() { first.lines().next()? } else { first.split_once(close)?.0 };
        (!more).then_some(inner)
    };
    same(text, reference)
        || [("<answer>", "</answer>"), ("\\boxed{", "}"), ("#### ", ""), ("```python\n", "```")]
            .iter()
            .any(|(open, close)| only(open, close).is_some_and(|inner| same(inner, reference)))
}

/// The number in what a grader returned: itself, or its `reward` or `score`, or the first of its `rewards`.
pub(crate) fn reward_in(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Object(o) => ["reward", "score", "rewards", "scores"].iter().find_map(|n| reward_in(o.get(*n)?)),
        Value::Array(list) => reward_in(list.first()?),
        _ => None,
    }
    .filter(|r| r.is_finite())
}

/// A row without fields, for graders that need no task.
pub(crate) fn bare_row(reference: String) -> Row {
    let mut fields = Map::new();
    fields.insert("reference".into(), json!(reference));
    Row { fields, reference, ..Row::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_many_forms_are_read() {
        let parse = |line: &str| Row::of(&crate::read::Row::parse(line).unwrap());
        let row =
            parse(r#"{"prompt":[{"role":"user","content":"2+2?"}],"reward_model":{"ground_truth":"4"}}"#).unwrap();
        assert_eq!((row.prompt.as_str(), row.reference.as_str(), row.truth()), ("2+2?", "4", json!("4")));
        let row = parse(r#"{"question":"q","answer":3}"#).unwrap();
        assert_eq!((row.prompt.as_str(), row.reference.as_str(), row.truth()), ("q", "3", json!(3)));
        let row = parse(
            r#"{"id":"a","entry_point":"f","reference":"def f(): return 1","visible":[{"args":[],"expected":1}]}"#,
        )
        .unwrap();
        assert!(row.task.is_some());
    }

    #[test]
    fn only_a_single_answer_is_one() {
        for (text, answer, right) in [
            ("42\n", "42", true),
            ("42.0", "42", true),
            ("so <answer> 42 </answer>", "42", true),
            ("<answer>41</answer><answer>42</answer>", "42", false),
            ("\\boxed{42}", "42", true),
            ("0 1 2 42", "42", false),
            ("x\n#### 42\n", "42", true),
        ] {
            assert_eq!(answers(text, answer), right, "{text}");
        }
    }

    #[test]
    fn rewards_are_found() {
        for (value, reward) in [
            (json!(0.5), Some(0.5)),
            (json!({"score": 1, "x": 2}), Some(1.0)),
            (json!({"rewards": [0.25], "extra_logs": {}}), Some(0.25)),
            (json!(true), Some(1.0)),
            (json!("1"), None),
            (json!({}), None),
        ] {
            assert_eq!(reward_in(&value), reward);
        }
    }
}
