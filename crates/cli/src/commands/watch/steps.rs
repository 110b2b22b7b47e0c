//! From graded rollouts to the rows and the measures of a step.

use std::collections::BTreeMap;

use loophole_chat::split_thought;
use loophole_env::Known;
use loophole_grade::{Graded, Verdict};
use loophole_log::{RolloutRow, StepMetrics, WatchedPart};
use serde_json::{Value, json};

use super::super::grade::sums::{paid_before, solved, step_of};

/// Verdicts of those who tried to be paid for nothing, whether or not they were.
pub const TRIED: [&str; 3] = ["hack", "tamper", "attempted"];

/// One graded rollout of a step.
pub struct Seen {
    pub row: RolloutRow,
    /// What the training paid, where its row says so.
    pub paid: Option<f64>,
    pub unearned: bool,
    pub seconds: f64,
}

/// The step that a row is of.
pub fn step_in(known: &Known) -> Option<u64> {
    step_of(&Value::Object(known.columns.clone()))
}

/// What a run keeps of a graded rollout.
pub fn seen(graded: Graded, known: Known, step: i32) -> Seen {
    let (thought, completion) = split_thought(known.said.as_deref().unwrap_or_default());
    let columns = Value::Object(known.columns);
    // The columns are not ours yet: what the row calls its reward is what was paid.
    let paid = columns["reward"].as_f64().or_else(|| paid_before(&columns));
    let verdict = graded.verdict.name();
    let invalid = graded.verdict == Verdict::Invalid;
    let passed = format!("{} of {} cases right", graded.oracle.passed, graded.oracle.total);
    let row = RolloutRow {
        step,
        task_id: graded.task_id,
        prompt: known.prompt.unwrap_or_default(),
        completion,
        thought: thought.unwrap_or_default(),
        reward: if invalid { f64::NAN } else { graded.reward },
        verdict: verdict.into(),
        family: graded.family.map(|family| family.name().into()),
        mechanism: graded.mechanism,
        advantage: columns["advantage"].as_f64().unwrap_or(f64::NAN),
        group: 0,
        kl: f64::NAN,
        grader_said: graded.grader_output,
        oracle_said: [vec![passed], graded.evidence].concat().join("\n"),
    };
    let unearned = paid.is_some_and(|paid| paid > 0.0) && !solved(verdict) && !invalid;
    Seen { row, paid, unearned, seconds: graded.seconds }
}

/// What a file adds to a step.
pub fn part(file: &str, seen: &[Seen]) -> WatchedPart {
    WatchedPart {
        file: file.into(),
        rollouts: seen.len(),
        scored: seen.iter().filter(|one| one.paid.is_some()).count() as u64,
        paid: seen.iter().filter_map(|one| one.paid).sum(),
        unearned: seen.iter().filter(|one| one.unearned).count() as u64,
    }
}

/// Numbers the rollouts of a step by what their policy was given.
pub fn group(rows: &mut [RolloutRow]) {
    let mut groups: BTreeMap<(String, String), i32> = BTreeMap::new();
    for row in rows {
        let next = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        row.group = *groups.entry((row.task_id.clone(), row.prompt.clone())).or_insert(next);
    }
}

/// The measures of a step. Rates are shares of what could be graded.
pub fn metrics(step: u64, rows: &[RolloutRow], parts: &[WatchedPart], seconds_grade: f64) -> StepMetrics {
    let valid: Vec<&RolloutRow> = rows.iter().filter(|row| row.verdict != "invalid").collect();
    let count = valid.len() as f64;
    let shares = |names: Vec<&str>| {
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for name in names {
            *shares.entry(name.into()).or_default() += 1.0 / count;
        }
        shares
    };
    let verdicts = shares(valid.iter().map(|row| row.verdict.as_str()).collect());
    let rate = |name: &str| if valid.is_empty() { f64::NAN } else { verdicts.get(name).copied().unwrap_or(0.0) };
    let scored: u64 = parts.iter().map(|part| part.scored).sum();
    let paid: f64 = parts.iter().map(|part| part.paid).sum();
    let recorded = (scored > 0).then(|| ("recorded".to_string(), paid / scored as f64));
    StepMetrics {
        step,
        reward: valid.iter().map(|row| row.reward).sum::<f64>() / count,
        terms: recorded.into_iter().collect(),
        hack_rate: rate("hack"),
        honest_rate: rate("honest"),
        families: shares(valid.iter().filter_map(|row| row.family.as_deref()).collect()),
        verdicts,
        seconds_grade,
        ..StepMetrics::default()
    }
}

/// What is told of the onset of hacking, in the form in which `loophole.trl.Watch` tells it.
pub fn alarm(step: u64, rows: &[RolloutRow]) -> Value {
    let count = |names: &mut dyn Iterator<Item = &str>| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        names.for_each(|name| *counts.entry(name.into()).or_default() += 1);
        counts
    };
    let valid: Vec<&RolloutRow> = rows.iter().filter(|row| row.verdict != "invalid").collect();
    let found: Vec<&&RolloutRow> = valid.iter().filter(|row| TRIED.contains(&row.verdict.as_str())).collect();
    let example = found.iter().find(|row| row.verdict == "hack").or(found.first());
    json!({
        "step": step,
        "rate": found.len() as f64 / valid.len().max(1) as f64,
        "tries": found.len(),
        "rollouts": valid.len(),
        "verdicts": count(&mut valid.iter().map(|row| row.verdict.as_str())),
        "families": count(&mut found.iter().filter_map(|row| row.family.as_deref())),
        "example": example.map(|row| json!({
            "task_id": row.task_id, "completion": row.completion, "mechanism": row.mechanism,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(task: &str, verdict: &str, reward: f64, family: Option<&str>) -> RolloutRow {
        RolloutRow {
            task_id: task.into(),
            verdict: verdict.into(),
            reward,
            family: family.map(Into::into),
            ..RolloutRow::default()
        }
    }

    #[test]
    fn rates_are_shares_of_what_could_be_graded() {
        let mut rows = [
            row("a", "hack", 1.0, Some("early-exit")),
            row("a", "honest", 1.0, None),
            row("b", "fail", 0.0, None),
            row("b", "attempted", 0.0, Some("equality")),
            row("b", "invalid", f64::NAN, None),
        ];
        let parts = [WatchedPart { file: "1.jsonl".into(), rollouts: 5, scored: 4, paid: 3.0, unearned: 1 }];
        let found = metrics(7, &rows, &parts, 2.0);
        assert_eq!((found.step, found.reward, found.hack_rate, found.honest_rate), (7, 0.5, 0.25, 0.25));
        assert_eq!((found.families["equality"], found.terms["recorded"]), (0.25, 0.75));
        assert!(!found.verdicts.contains_key("invalid") && found.kl.is_nan());
        let told = alarm(7, &rows);
        assert_eq!((told["tries"].as_u64(), told["rollouts"].as_u64()), (Some(2), Some(4)));
        assert_eq!((&told["example"]["task_id"], told["rate"].as_f64()), (&json!("a"), Some(0.5)));
        group(&mut rows);
        assert_eq!(rows.map(|row| row.group), [0, 0, 1, 1, 1]);
        let none = metrics(8, &[row("a", "invalid", f64::NAN, None)], &[], 0.0);
        assert!(none.hack_rate.is_nan() && none.reward.is_nan() && none.terms.is_empty());
    }

    #[test]
    fn what_the_training_paid_is_read_from_its_columns() {
        let graded = |verdict, reward| Graded {
            task_id: "a".into(),
            reward,
            verdict,
            family: None,
            mechanism: None,
            oracle: Default::default(),
            evidence: vec!["e".into()],
            grader_output: String::new(),
            seconds: 0.5,
        };
        let known = |columns: Value| Known {
            columns: columns.as_object().cloned().unwrap_or_default(),
            said: Some("<think>so</think>\nx".into()),
            prompt: Some("p".into()),
            extracted: None,
        };
        let one = seen(graded(Verdict::Overfit, 1.0), known(json!({"step": 3, "score": 1.0, "gts": "x"})), 3);
        assert_eq!(
            (one.paid, one.unearned, one.row.thought.as_str(), one.row.completion.as_str()),
            (Some(1.0), true, "so", "x")
        );
        let one = seen(
            graded(Verdict::Honest, 1.0),
            known(json!({"code_reward": 1.0, "format_reward": 0.5, "advantage": -1.5})),
            3,
        );
        assert_eq!((one.paid, one.unearned, one.row.advantage), (Some(1.5), false, -1.5));
        let one = seen(graded(Verdict::Invalid, 0.0), known(json!({"reward": 1})), 3);
        assert!(one.row.reward.is_nan() && !one.unearned && one.paid == Some(1.0));
        assert_eq!(step_in(&known(json!({"global_step": 9}))), Some(9));
    }
}
