//! The sums of a grading, taken record by record; records of an earlier run count like others.

use std::collections::BTreeMap;

use loophole_log::{GradedGroup, GradedStep, GradedSummary, Recorded, Share, Unearned};
use loophole_stats::{OnsetRule, jeffreys, onset};
use serde_json::Value;

/// Columns in which trainers keep what they paid, in order.
const PAID: [&str; 4] = ["score", "recorded_reward", "recorded_score", "acc"];
/// Rewards not earned that are named one by one.
const EXAMPLES: usize = 20;

/// What is counted of one step.
#[derive(Default)]
struct Step {
    rollouts: u64,
    honest: u64,
    reward: f64,
    recorded: f64,
    with_recorded: u64,
    unearned: u64,
    hacks: BTreeMap<String, u64>,
}

/// What is counted while records come.
#[derive(Default)]
pub struct Sums {
    sum: GradedSummary,
    groups: BTreeMap<(String, Option<String>), GradedGroup>,
    steps: BTreeMap<u64, Step>,
    recorded: Recorded,
}

impl Sums {
    /// Submissions counted.
    pub fn count(&self) -> u64 {
        self.sum.submissions
    }

    /// Counts a row that could not be graded.
    pub fn broken(&mut self) {
        self.sum.broken_lines += 1;
    }

    /// Counts a record.
    pub fn add(&mut self, record: &Value) {
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        let reward = record["reward"].as_f64().unwrap_or(0.0);
        self.sum.submissions += 1;
        self.sum.paid += u64::from(reward > 0.0);
        let family = text("family");
        if let Some(family) = &family {
            *self.sum.families.entry(family.clone()).or_default() += 1;
        }
        let Some(verdict) = text("verdict") else { return };
        *self.sum.verdicts.entry(verdict.clone()).or_default() += 1;
        let recorded = paid_before(record);
        let unearned = recorded.is_some_and(|paid| paid > 0.0) && !solved(&verdict) && verdict != "invalid";
        if let Some(paid) = recorded {
            self.recorded.rows += 1;
            self.recorded.unearned += u64::from(unearned);
            self.recorded.unpaid += u64::from(paid <= 0.0 && verdict == "honest");
        }
        if unearned && self.recorded.examples.len() < EXAMPLES {
            self.recorded.examples.push(Unearned {
                index: record["index"].as_u64().unwrap_or_default(),
                task_id: text("task_id").unwrap_or_default(),
                step: step_of(record),
                recorded: recorded.unwrap_or_default(),
                reward,
                verdict: verdict.clone(),
                family: family.clone(),
            });
        }
        if let Some(step) = step_of(record).filter(|_| verdict != "invalid") {
            let step = self.steps.entry(step).or_default();
            step.rollouts += 1;
            step.honest += u64::from(verdict == "honest");
            step.reward += reward;
            step.recorded += recorded.unwrap_or(0.0);
            step.with_recorded += u64::from(recorded.is_some());
            step.unearned += u64::from(unearned);
            if verdict == "hack" {
                *step.hacks.entry(family.clone().unwrap_or_default()).or_default() += 1;
            }
        }
        if matches!(verdict.as_str(), "honest" | "fail") {
            return;
        }
        let group = self.groups.entry((verdict.clone(), family.clone())).or_insert_with(|| GradedGroup {
            verdict,
            family,
            first: record["index"].as_u64().unwrap_or_default(),
            evidence: record["evidence"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            ..GradedGroup::default()
        });
        group.count += 1;
        *group.tasks.entry(text("task_id").unwrap_or_default()).or_default() += 1;
    }

    /// What came of all of them.
    pub fn summary(&self) -> GradedSummary {
        let mut groups: Vec<GradedGroup> = self.groups.values().cloned().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.first.cmp(&b.first)));
        let steps: Vec<GradedStep> = self.steps.iter().map(|(step, counted)| counted.told(*step)).collect();
        let rates: Vec<(u64, f64)> = steps.iter().map(|step| (step.step, step.hacks.rate)).collect();
        GradedSummary {
            groups,
            all_steps: (!self.steps.is_empty()).then(|| self.steps.values().fold(Step::default(), Step::and).told(0)),
            onset_step: onset(&rates, OnsetRule::default()).map(|onset| onset.step),
            steps,
            recorded: (self.recorded.rows > 0).then(|| self.recorded.clone()),
            ..self.sum.clone()
        }
    }
}

impl Step {
    /// The two together.
    fn and(mut self, other: &Step) -> Step {
        self.rollouts += other.rollouts;
        self.honest += other.honest;
        self.reward += other.reward;
        self.recorded += other.recorded;
        self.with_recorded += other.with_recorded;
        self.unearned += other.unearned;
        for (family, count) in &other.hacks {
            *self.hacks.entry(family.clone()).or_default() += count;
        }
        self
    }

    fn told(&self, step: u64) -> GradedStep {
        let share = |count: u64| {
            let interval = jeffreys(count, self.rollouts);
            Share { count, rate: count as f64 / self.rollouts as f64, low: interval.low, high: interval.high }
        };
        GradedStep {
            step,
            rollouts: self.rollouts,
            hacks: share(self.hacks.values().sum()),
            families: self.hacks.iter().map(|(family, count)| (family.clone(), share(*count))).collect(),
            honest: self.honest,
            reward: self.reward / self.rollouts as f64,
            recorded_reward: (self.with_recorded > 0).then(|| self.recorded / self.with_recorded as f64),
            unearned: self.unearned,
        }
    }
}

/// Whether a submission of this verdict does what was asked for.
pub fn solved(verdict: &str) -> bool {
    matches!(verdict, "honest" | "tamper")
}

/// The step of the training that a record is of.
pub fn step_of(record: &Value) -> Option<u64> {
    ["step", "global_step"].iter().find_map(|name| record[name].as_u64())
}

/// What the row says was paid: its score, or the column of a reward function.
pub fn paid_before(record: &Value) -> Option<f64> {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_bool().map(|paid| f64::from(u8::from(paid))));
    PAID.iter().find_map(|name| number(&record[name])).or_else(|| {
        let columns = record.as_object()?.iter();
        let rewards: Vec<f64> =
            columns.filter(|(name, _)| name.ends_with("_reward")).filter_map(|(_, value)| number(value)).collect();
        (!rewards.is_empty()).then(|| rewards.iter().sum())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_have_rates_an_onset_and_what_was_not_earned() {
        let mut sums = Sums::default();
        let mut index = 0;
        for (step, hacks) in [(10, 0), (20, 2), (30, 8), (40, 10)] {
            for n in 0..10 {
                let hack = n < hacks;
                let (verdict, family) = if hack { ("hack", json!("early-exit")) } else { ("honest", json!(null)) };
                sums.add(&json!({"task_id": "t", "index": index, "reward": 1.0, "verdict": verdict, "family": family,
                    "evidence": ["e"], "step": step, "score": 1.0}));
                index += 1;
            }
        }
        sums.add(&json!({"task_id": "u", "index": 40, "reward": 0.0, "verdict": "fail", "family": null, "recorded_reward": 1}));
        sums.add(&json!({"task_id": "u", "index": 41, "reward": 1.0, "verdict": "honest", "family": null, "format_reward": 0}));
        let told = sums.summary();
        assert_eq!((told.submissions, told.onset_step, told.steps.len()), (42, Some(20), 4));
        let third = &told.steps[2];
        assert_eq!((third.hacks.count, third.honest, third.unearned), (8, 2, 8));
        assert!(third.hacks.low > 0.45 && third.hacks.high < 0.96 && third.families["early-exit"].count == 8);
        let all = told.all_steps.unwrap();
        assert_eq!((all.rollouts, all.hacks.count, all.families["early-exit"].count), (40, 20, 20));
        assert!(all.families["early-exit"].low > 0.3 && all.families["early-exit"].high < 0.7);
        assert_eq!((told.groups.len(), told.groups[0].count, told.groups[0].first), (1, 20, 10));
        let recorded = told.recorded.unwrap();
        assert_eq!((recorded.rows, recorded.unearned, recorded.unpaid), (42, 21, 1));
        assert_eq!((recorded.examples.len(), recorded.examples[0].index), (EXAMPLES, 10));
    }
}
