//! Graders that were not made here: a Python callable, a command, an HTTP service. They are given texts, one
//! submission at a time, with the row of the task they belong to.

mod group;
mod near;
mod spoiled;

use crate::hardened::HardenedForm;
use crate::row::Row;
use crate::way::Way;
use crate::{About, Control, Description, EnvError, Environment, Judgement, Payment, Surface};
use crate::{Facts, Files, Hint, answer, cases, code, hollow, tools, words_of};
use loophole_grade::{Grader, GraderKind, Grading, OracleResult, Submission, Task};
use serde_json::Value;
use std::collections::BTreeMap;
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

/// What the parts of a reward pay.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// What each pays, its weight counted in.
    pub paid: BTreeMap<String, f64>,
    /// Parts that failed, for a person.
    pub failed: Vec<String>,
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

    /// What each part of its reward pays for a submission; nothing where it has but one.
    fn parts(&self, _asked: &Asked) -> Result<Parts, EnvError> {
        Ok(Parts::default())
    }

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
    /// What its parts pay for the form of an answer, whatever the answer says.
    for_form: f64,
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
            (None, Surface::Text) => (answer::controls(&row), Facts::default()),
            (None, _) => code::controls_and_facts(&row)?,
        };
        let way = Way::found(caller.as_ref(), &row, &controls)?;
        let (for_form, hints) = paid_for_form(caller.as_ref(), &way, &row, &controls)?;
        text_facts(&row, &way, &mut facts);
        facts.one.insert("main_file", surface.main_file().into());
        facts.one.extend(group::pooled(caller.as_ref(), &way, &row, &controls)?.map(|text| ("pooled", text)));
        facts.many.insert("spoiled", spoiled::spoiled(&row));
        tools::facts(&row.package.tools, &row.prompt, &mut facts);
        words_of(&caller.source(), &mut facts);
        code::source_facts(&caller.source(), &mut facts);
        let mut tags = vec!["foreign"];
        tags.extend(caller.tags());
        if !row.package.tools.is_empty() {
            tags.push("tools");
        }
        let language = row.foreign_language.as_ref();
        let beyond =
            language.map(|l| format!("its reference is in {l}, in which nothing is written here; tried as a text"));
        let about = About {
            beyond: beyond.or_else(|| row.package.beyond.clone()),
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
        let description = Description { about, facts, controls, hints, unusual };
        Ok(Foreign { caller, row, lab, way, description, for_form })
    }

    /// What is handed in, and the others of its group where it brings them.
    fn handed_in(&self, files: &Files) -> (String, Vec<String>) {
        let surface = self.description.about.surface;
        let text = files.get(surface.main_file()).map_or("", String::as_str);
        let (own, mates) = group::parted(text);
        // Exploits of a text bring their own form, and nothing has none; the reference, wrong answers and code are
        // wrapped.
        let answer = |name| self.description.is_control(name, files);
        let as_it_is = surface == Surface::Text && !answer("honest") && !answer("wrong");
        let wrapped = |text: &str| if as_it_is { text.to_string() } else { self.way.wrap.around(text, surface) };
        let mates: Vec<String> = mates.into_iter().map(|mate| wrapped(mate.trim_end_matches('\n'))).collect();
        (wrapped(own), if mates.is_empty() { self.way.mates.clone() } else { mates })
    }
}

/// The most that parts which rate form may make up of the reward before it is rated as a whole.
const MOST_FOR_FORM: f64 = 0.5;

/// What the parts of a reward that pay a wrong answer as much as the reference make up together, where others do not and
/// these are at most half of it: they rate the form by design. It is told, and more than that has to be paid for a hole.
fn paid_for_form(
    caller: &dyn Caller,
    way: &Way,
    row: &Row,
    controls: &[Control],
) -> Result<(f64, Vec<Hint>), EnvError> {
    if !row.package.several {
        return Ok((0.0, Vec::new()));
    }
    let parts_of = |name: &str| -> Result<Parts, EnvError> {
        let files = controls.iter().find(|c| c.name == name).map(|c| &c.files);
        let text = files.and_then(|f| f.values().next()).map(String::as_str).unwrap_or_default();
        caller.parts(&way.asks(&way.wrap.around(text, row.surface), row))
    };
    let honest = parts_of("honest")?;
    if let Some(failed) = honest.failed.first() {
        return Err(EnvError::Unusable(format!("a part of its reward fails on the reference: {failed}")));
    }
    // A wrong answer, and one that is wrong letter by letter in the very form of the reference.
    let mut wrong = vec![parts_of("wrong")?.paid];
    let other = of_its_form(&row.reference);
    if row.surface == Surface::Text && other != row.reference {
        wrong.push(caller.parts(&way.asks(&way.wrap.around(&other, row.surface), row))?.paid);
    }
    let paid_too = |wrong: &BTreeMap<String, f64>, name: &String, paid: f64| {
        wrong.get(name).is_some_and(|other| (other - paid).abs() < 1e-9)
    };
    let same = |name: &String, paid: f64| wrong.iter().any(|wrong| paid_too(wrong, name, paid));
    let paid: Vec<(&String, f64)> = honest.paid.iter().map(|(n, p)| (n, *p)).filter(|(_, p)| *p > 0.0).collect();
    let (form, content): (Vec<_>, Vec<_>) = paid.into_iter().partition(|(name, paid)| same(name, *paid));
    let total = |some: &[(&String, f64)]| some.iter().map(|(_, paid)| paid).sum::<f64>();
    let (for_form, for_content) = (total(&form), total(&content));
    if form.is_empty() || for_form > MOST_FOR_FORM * (for_form + for_content) {
        return Ok((0.0, Vec::new()));
    }
    let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!(
        "{} of the reference's {} are paid for a wrong answer, too, by what rates the form alone ({}); a hole is what earns more",
        short(for_form),
        short(for_form + for_content),
        names.join(", ")
    );
    Ok((for_form, vec![Hint { id: "paid-for-form", message }]))
}

/// A text of the same form with another content: every letter and every digit is the next one.
fn of_its_form(text: &str) -> String {
    let next = |c: char| match c {
        'z' | 'Z' | '9' => char::from(c as u8 - if c == '9' { 9 } else { 25 }),
        _ if c.is_ascii_alphanumeric() => char::from(c as u8 + 1),
        _ => c,
    };
    text.chars().map(next).collect()
}

/// A number without the digits that adding leaves behind.
fn short(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
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
    let reference = row.reference.trim();
    let others = [("idle", near::idle(row)), ("near", near::near(reference)), ("alike", near::alike(reference))];
    for (name, texts) in others.into_iter().filter(|(_, texts)| row.surface == Surface::Text && !texts.is_empty()) {
        facts.many.insert(name, texts.iter().map(|text| way.wrap.around(text, Surface::Text)).collect());
    }
}

impl Environment for Foreign {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pay(&self, files: &Files) -> Result<Payment, EnvError> {
        let (text, mates) = self.handed_in(files);
        self.caller.call(&Asked { mates: &mates, ..self.way.asks(&text, &self.row) })
    }

    fn pay_text(&self, text: &str) -> Result<Payment, EnvError> {
        self.caller.call(&self.way.asks(text, &self.row))
    }

    fn alive(&self) -> bool {
        self.caller.alive()
    }

    fn script(&self, files: &Files) -> Option<String> {
        let (text, mates) = self.handed_in(files);
        self.caller.script(&Asked { mates: &mates, ..self.way.asks(&text, &self.row) })
    }

    fn hardened(&self) -> Result<HardenedForm, String> {
        self.caller.hardened(&self.way, &self.row)
    }

    fn paid_for_form(&self) -> f64 {
        self.for_form
    }

    fn all_wrong(&self, files: &Files) -> bool {
        let text = files.get(self.row.surface.main_file()).map_or("", |text| text.trim_end());
        self.description.facts.many.get("spoiled").is_some_and(|all| all.iter().any(|spoiled| spoiled == text))
    }

    fn judge(&self, files: &Files) -> Result<Judgement, EnvError> {
        let main = self.row.surface.main_file();
        let own = group::parted(files.get(main).map_or("", String::as_str)).0;
        let (Some(task), Some(lab)) = (&self.row.task, &self.lab) else {
            if self.row.surface != Surface::Text {
                let text = own.trim();
                let accepted = self.row.accepted.iter().any(|answer| answer.trim() == text);
                let solved = accepted || self.description.is_control("honest", files);
                return Ok(Judgement { solved, oracle: None, family: None, evidence: Vec::new(), paid: None });
            }
            let solved = answer::is_right(&self.handed_in(files).0, &self.row, &self.way.wrap);
            let oracle = Some(OracleResult { passed: usize::from(solved), total: 1 });
            return Ok(Judgement { solved, oracle, family: None, evidence: Vec::new(), paid: None });
        };
        // What it brings beside itself is another's.
        judge_code(lab, task, &Files::from([(main.into(), own.into())]))
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

/// What graders call their verdict.
const REWARDS: [&str; 10] =
    ["reward", "score", "rewards", "scores", "passed", "correct", "is_correct", "acc", "accuracy", "value"];

/// The number in what a grader returned: itself, or its `reward` or `score`, or the first of its `rewards`.
pub(crate) fn reward_in(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Object(o) => REWARDS.iter().find_map(|n| reward_in(o.get(*n)?)),
        Value::Array(list) => match list.first()? {
            Value::Array(results) => results.is_empty().then_some(0.0).or_else(|| every_test(results)),
            first => reward_in(first),
        },
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "pass" | "passed" | "success" | "correct" => Some(1.0),
            "fail" | "failed" | "failure" | "incorrect" | "timeout" => Some(0.0),
            _ => None,
        },
        _ => None,
    }
    .filter(|r| r.is_finite())
}

/// What the graders that come from APPS answer with before what they say of it: a list with one result a test,
/// `true` or a positive number where it passed, `false` or a negative code where it did not. Paid is the whole of them.
fn every_test(results: &[Value]) -> Option<f64> {
    let passed: Option<Vec<bool>> = results.iter().map(|r| reward_in(r).map(|r| r > 0.0)).collect();
    passed.map(|p| f64::from(u8::from(p.into_iter().all(|p| p))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rewards_are_found() {
        for (value, reward) in [
            (json!(0.5), Some(0.5)),
            (json!({"score": 1, "x": 2}), Some(1.0)),
            (json!({"rewards": [0.25], "extra_logs": {}}), Some(0.25)),
            (json!(true), Some(1.0)),
            (json!("1"), None),
            (json!(["pass", [true, true]]), Some(1.0)),
            (json!([[true, 1, -2], {"error_code": -2}]), Some(0.0)),
            (json!([[-4], {"error_code": -4}]), Some(0.0)),
            (json!([[true, true], {}]), Some(1.0)),
            (json!([[], {}]), Some(0.0)),
            (json!({"passed": false, "result": "failed: x"}), Some(0.0)),
            (json!({}), None),
        ] {
            assert_eq!(reward_in(&value), reward);
        }
    }
}
