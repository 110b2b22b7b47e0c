//! Graders that were not made here: a Python callable, a command, an HTTP service. They are given texts, one
//! submission at a time, with the row of the task they belong to.

use crate::hardened::HardenedForm;
use crate::row::Row;
use crate::way::Way;
use crate::{About, Control, Description, EnvError, Environment, Judgement, Payment, Surface};
use crate::{Facts, Files, cases, code, hollow, single, words_of};
use loophole_grade::{Grader, GraderKind, Grading, OracleResult, Submission, Task};
use serde_json::Value;
use std::sync::Arc;

/// How submissions are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Form {
    /// As a conversation instead of a string.
    pub chat: bool,
    /// The row's columns as lists, where a group of completions is rated.
    pub columns: bool,
}

/// One question to a grader.
pub(crate) struct Asked<'a> {
    pub text: &'a str,
    pub row: &'a Row,
    pub form: Form,
    /// The other completions of its group; none where it is rated alone.
    pub mates: &'a [String],
    /// Whether it is also rated in a group of its own copies, and paid the better of the two: a policy writes the whole
    /// group.
    pub alike: bool,
}

/// What such a grader is asked with.
pub(crate) trait Caller: Sync + Send {
    /// The grader in a few words.
    fn name(&self) -> String;

    /// Its source, where it can be read.
    fn source(&self) -> String {
        String::new()
    }

    /// The forms its submissions may have, in the order they are tried.
    fn forms(&self, _row: &Row) -> &'static [Form] {
        &[Form { chat: false, columns: false }]
    }

    /// Whether it can be given several completions of one prompt at once.
    fn groups(&self) -> bool {
        false
    }

    /// Further tags by which exploits are chosen.
    fn tags(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The file and line where its source begins, where that is known.
    fn place(&self) -> Option<(String, usize)> {
        None
    }

    /// Whether it can still be asked.
    fn alive(&self) -> bool {
        true
    }

    /// Gives it one submission.
    fn call(&self, asked: &Asked) -> Result<Payment, EnvError>;

    /// Its hardened form, for submissions that are handed over so; or why there is none.
    fn hardened(&self, _way: &Way, _row: &Row) -> Result<HardenedForm, String> {
        Err("only a Python function can be wrapped; each finding says how to close it".into())
    }

    /// A script that asks it with a submission, and needs nothing but what the grader needs.
    fn script(&self, _asked: &Asked) -> Option<String> {
        None
    }
}

/// One task under a grader that was not made here.
pub(crate) struct Foreign {
    caller: Arc<dyn Caller>,
    row: Row,
    lab: Option<Arc<Grading>>,
    way: Way,
    description: Description,
}

impl Foreign {
    /// Finds out how the grader wants its answers, and makes a target of the task. `lab` runs the oracle of tasks
    /// that are code with tests.
    pub(crate) fn new(
        caller: Arc<dyn Caller>,
        target: &str,
        row: Row,
        lab: Option<Arc<Grading>>,
    ) -> Result<Foreign, EnvError> {
        let surface = row.surface;
        let (controls, mut facts) = match (&row.task, surface) {
            (Some(task), _) => (cases::controls_of(task, surface), cases::task_facts(task)),
            (None, Surface::Text) => (text_controls(&row), Facts::default()),
            (None, _) => code::controls_and_facts(&row)?,
        };
        let way = Way::found(caller.as_ref(), &row, &controls)?;
        text_facts(&row, &way, &mut facts);
        words_of(&caller.source(), &mut facts);
        code::source_facts(&caller.source(), &mut facts);
        let mut tags = vec!["foreign"];
        tags.extend(caller.tags());
        let beyond = row.foreign_language.as_ref();
        let about = About {
            beyond: beyond
                .map(|l| format!("its reference is in {l}, in which nothing is written here; tried as a text")),
            target: target.into(),
            task: row.id(),
            grader: format!("{}, submissions {}", caller.name(), way.name()),
            read: row.read.clone(),
            place: caller.place(),
            surface,
            tags,
            many_files: false,
            tries: 16,
        };
        let unusual = way.others(&row);
        let description = Description { about, facts, controls, hints: Vec::new(), unusual };
        Ok(Foreign { caller, row, lab, way, description })
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
            self.way.wrap.around(text, surface)
        }
    }
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

fn text_facts(row: &Row, way: &Way, facts: &mut Facts) {
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
    let wrapped = way.wrap.around("\0", Surface::Text);
    if let Some((open, close)) = wrapped.split_once('\0') {
        facts.one.insert("wrap_open", open.into());
        facts.one.insert("wrap_close", close.trim_end().into());
    }
    if row.surface == Surface::Text {
        facts.many.insert("hollow_texts", hollow::texts(&way.wrap.around(&row.reference, Surface::Text)));
    }
    let near = near(row.reference.trim());
    if row.surface == Surface::Text && !near.is_empty() {
        facts.many.insert("near", near.iter().map(|text| way.wrap.around(text, Surface::Text)).collect());
    }
}

/// Wrong answers in which the right one is to be found.
fn near(reference: &str) -> Vec<String> {
    match reference.parse::<f64>() {
        Ok(n) if n.is_finite() && n != 0.0 && !reference.starts_with('-') => {
            vec![format!("-{reference}"), format!("9{reference}"), format!("{reference}9"), format!("9{reference}9")]
        }
        _ if reference.chars().count() == 1 && reference.chars().all(char::is_alphabetic) => {
            vec![format!("Q{reference}"), format!("{reference}Q")]
        }
        // A name, not a formula: what comes beside it makes it another answer.
        Err(_) if reference.len() <= 60 && reference.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '-') => {
            vec![format!("not {reference}"), format!("{reference}, Paris, Einstein, 1999 or none of these")]
        }
        _ => Vec::new(),
    }
}

impl Environment for Foreign {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pay(&self, files: &Files) -> Result<Payment, EnvError> {
        self.caller.call(&self.way.asks(&self.text(files), &self.row))
    }

    fn pay_text(&self, text: &str) -> Result<Payment, EnvError> {
        self.caller.call(&self.way.asks(text, &self.row))
    }

    fn alive(&self) -> bool {
        self.caller.alive()
    }

    fn script(&self, files: &Files) -> Option<String> {
        self.caller.script(&self.way.asks(&self.text(files), &self.row))
    }

    fn hardened(&self) -> Result<HardenedForm, String> {
        self.caller.hardened(&self.way, &self.row)
    }

    fn judge(&self, files: &Files) -> Result<Judgement, EnvError> {
        let (Some(task), Some(lab)) = (&self.row.task, &self.lab) else {
            if self.row.surface != Surface::Text {
                let solved = self.description.is_control("honest", files);
                return Ok(Judgement { solved, oracle: None, family: None, evidence: Vec::new(), paid: None });
            }
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

/// What graders call their verdict.
const REWARDS: [&str; 10] =
    ["reward", "score", "rewards", "scores", "passed", "correct", "is_correct", "acc", "accuracy", "value"];

/// The number in what a grader returned: itself, or its `reward` or `score`, or the first of its `rewards`.
pub(crate) fn reward_in(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Object(o) => REWARDS.iter().find_map(|n| reward_in(o.get(*n)?)),
        Value::Array(list) => reward_in(list.first()?),
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "pass" | "passed" | "success" | "correct" => Some(1.0),
            "fail" | "failed" | "failure" | "incorrect" | "timeout" => Some(0.0),
            _ => None,
        },
        _ => None,
    }
    .filter(|r| r.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            (json!(["pass", [true, true]]), Some(1.0)),
            (json!({"passed": false, "result": "failed: x"}), Some(0.0)),
            (json!({}), None),
        ] {
            assert_eq!(reward_in(&value), reward);
        }
    }
}
