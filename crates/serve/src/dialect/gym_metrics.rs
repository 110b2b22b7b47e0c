//! NeMo Gym's `POST /aggregate_metrics`: what its collection of rollouts asks at the end, and writes down. The names and
//! numbers are those of its own `compute_aggregate_metrics` (0.4.0).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Service;
use crate::http::body::ANY;
use crate::problem::{Form, Problem, json_response};
use crate::route::{MOST_BYTES, answer, asked};

/// Columns by which rows are told apart.
const TASK: &str = "_ng_task_index";
const ROLLOUT: &str = "_ng_rollout_index";

/// Answers of `/verify`, as the collection kept them.
#[derive(Deserialize)]
struct Asked {
    verify_responses: Vec<Map<String, Value>>,
}

#[derive(Serialize, Default)]
struct Metrics {
    /// A row for each task.
    group_level_metrics: Vec<Map<String, Value>>,
    /// Of all rollouts.
    agent_metrics: Map<String, Value>,
    /// The means among them.
    key_metrics: Map<String, Value>,
}

/// A rollout: its task, its number, and its numbers by name.
struct Rollout {
    task: i64,
    number: i64,
    columns: BTreeMap<String, f64>,
    /// What is told of it alone.
    info: Map<String, Value>,
}

pub(super) async fn aggregate(State(service): State<Arc<Service>>, request: Request) -> Response {
    let aggregated = async {
        let (asked, _held) = asked::<Asked>(&service, request, MOST_BYTES, ANY).await?;
        Ok(json_response(200, &metrics(asked.verify_responses)?))
    };
    answer(Form::Detail, aggregated.await)
}

fn metrics(responses: Vec<Map<String, Value>>) -> Result<Metrics, Problem> {
    let mut tasks: BTreeMap<i64, Vec<Rollout>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for response in responses {
        let rollout = Rollout::of(response)?;
        if !known.insert((rollout.task, rollout.number)) {
            let (task, number) = (rollout.task, rollout.number);
            return Err(Problem::other(422, format!("there are two rollouts {number} of the task {task}")));
        }
        tasks.entry(rollout.task).or_default().push(rollout);
    }
    if tasks.is_empty() {
        return Ok(Metrics::default());
    }
    let mut groups = Vec::new();
    for (task, rollouts) in &mut tasks {
        rollouts.sort_by_key(|rollout| rollout.number);
        let mut group = statistics(rollouts.iter());
        group.insert(TASK.into(), json!(task));
        group.insert("sample".into(), json!({ "agent_ref": { "name": "agent" } }));
        group.insert("num_rollouts".into(), json!(rollouts.len()));
        group.insert("expected_num_rollouts".into(), json!(rollouts.len()));
        group.insert("missing_num_rollouts".into(), json!(0));
        group.insert("reward_profile_completion_pct".into(), json!(100.0));
        let infos = rollouts.iter().map(|rollout| Value::Object(rollout.info.clone())).collect();
        group.insert("rollout_infos".into(), Value::Array(infos));
        groups.push(group);
    }
    let all = statistics(tasks.values().flatten());
    let means = all.iter().filter(|(name, _)| name.starts_with("mean/"));
    let key_metrics = means.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Metrics { group_level_metrics: groups, agent_metrics: all, key_metrics })
}

/// A number, or a truth value as one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or(value.as_bool().map(f64::from))
}

impl Rollout {
    fn of(response: Map<String, Value>) -> Result<Rollout, Problem> {
        let index = |name: &str| match response.get(name) {
            None => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| Problem::other(422, format!("{name} must be a whole number"))),
        };
        let (task, number_of) = (index(TASK)?, index(ROLLOUT)?);
        let usage = response.get("response").and_then(|response| response.get("usage")).and_then(Value::as_object);
        let (mut columns, mut info) = (BTreeMap::new(), Map::new());
        info.insert("rollout_id".into(), json!(format!("{task}:{number_of}")));
        info.insert(TASK.into(), json!(task));
        info.insert(ROLLOUT.into(), json!(number_of));
        let fields = response.iter().filter(|(name, _)| !matches!(name.as_str(), TASK | ROLLOUT | "response"));
        for (name, value) in usage.into_iter().flatten().chain(fields.clone()) {
            if let Some(number) = number(value) {
                let told = if value.is_boolean() { json!(u8::from(number > 0.0)) } else { value.clone() };
                info.insert(name.clone(), told);
            }
        }
        // In the table, unlike there, what the response took comes last.
        for (name, value) in fields.chain(usage.into_iter().flatten()) {
            if let Some(number) = number(value) {
                columns.insert(name.clone(), number);
            }
        }
        Ok(Rollout { task, number: number_of, columns, info })
    }
}

/// Mean, largest, smallest, median and standard deviation of each column, over the rows that have it.
fn statistics<'a>(rollouts: impl Iterator<Item = &'a Rollout>) -> Map<String, Value> {
    let mut columns: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut rows = 0;
    for rollout in rollouts {
        rows += 1;
        for (name, number) in &rollout.columns {
            columns.entry(name).or_default().push(*number);
        }
    }
    // Of single values there is no deviation: it is told as 0 where all are single.
    let single = columns.values().all(|numbers| numbers.len() < 2);
    let mut told = Map::new();
    for (name, mut numbers) in columns {
        numbers.sort_by(f64::total_cmp);
        let (count, last) = (numbers.len(), numbers.len() - 1);
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let median = f64::midpoint(numbers[last / 2], numbers[count / 2]);
        let deviation = match count {
            1 => (single && rows == 1).then_some(0.0),
            _ => Some((numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / last as f64).sqrt()),
        };
        let all = [
            ("mean", Some(mean)),
            ("max", Some(numbers[last])),
            ("min", Some(numbers[0])),
            ("median", Some(median)),
            ("std", deviation),
        ];
        told.extend(all.into_iter().filter_map(|(what, value)| Some((format!("{what}/{name}"), json!(value?)))));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &Value) -> Result<Value, Problem> {
        metrics(serde_json::from_value(rows.clone()).unwrap()).map(|metrics| serde_json::to_value(metrics).unwrap())
    }

    #[test]
    fn rewards_are_told_by_task_and_in_all() {
        let row = |task: i64, number: i64, reward: f64| json!({TASK: task, ROLLOUT: number, "reward": reward, "hack": reward > 0.5, "name": "x"});
        let told = of(&json!([row(0, 1, 1.0), row(0, 0, 0.0), row(7, 0, 0.5)])).unwrap();
        let agent = &told["agent_metrics"];
        assert_eq!((&agent["mean/reward"], &agent["max/reward"]), (&json!(0.5), &json!(1.0)));
        assert_eq!((&agent["std/reward"], &agent["median/hack"]), (&json!(0.5), &json!(0.0)));
        assert_eq!(told["key_metrics"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mean/hack", "mean/reward"]);
        let groups = told["group_level_metrics"].as_array().unwrap();
        assert_eq!((&groups[0][TASK], &groups[1][TASK]), (&json!(0), &json!(7)));
        assert_eq!((&groups[0]["num_rollouts"], &groups[1]["std/reward"]), (&json!(2), &json!(0.0)));
        assert_eq!(groups[0]["rollout_infos"][1]["rollout_id"], "0:1");
        assert_eq!(groups[0]["rollout_infos"][1]["hack"], 1);
    }

    #[test]
    fn no_rows_and_rows_that_are_two() {
        let none = of(&json!([])).unwrap();
        assert_eq!(none, json!({"group_level_metrics": [], "agent_metrics": {}, "key_metrics": {}}));
        assert_eq!(of(&json!([{"reward": 1}, {"reward": 0}])).unwrap_err().status, 422);
        assert_eq!(of(&json!([{TASK: "a"}])).unwrap_err().status, 422);
    }
}
