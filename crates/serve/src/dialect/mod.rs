//! What clients ask of the cells: our own form, and those that trainers speak already. A file each, with its shapes as
//! structs; keys that are not known are ignored.

pub(crate) mod cells;
mod get_reward;
mod grade;
mod gym;
mod gym_metrics;
mod language;
pub(crate) mod openenv;
mod run_code;
mod slime;
mod test_program;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};
use loophole_env::{Extract, extract};
use loophole_grade::{Graded, Task};
use serde_json::{Value, json};

use crate::Service;
use crate::grading::Question;
use crate::problem::Problem;
use crate::queue::Deadline;

/// The routes of all dialects.
pub(crate) const PATHS: &[&str] = &[
    "/v1/grade",
    "/v1/cells",
    "/v1/cells/{id}",
    "/v1/cells/{id}/exec",
    "/v1/cells/{id}/files",
    "/run_code",
    "/get_reward",
    "/test_program",
    "/test_program_stdio",
    "/test_program_hackable",
    "/slime",
    "/verify",
    "/seed_session",
    "/aggregate_metrics",
    "/ws",
    "/reset",
    "/step",
    "/state",
    "/schema",
    "/metadata",
];

pub(crate) fn routes(router: Router<Arc<Service>>) -> Router<Arc<Service>> {
    router
        .route("/v1/grade", post(grade::grade))
        .route("/v1/cells", post(cells::start))
        .route("/v1/cells/{id}", get(cells::look).delete(cells::end))
        .route("/v1/cells/{id}/exec", post(cells::exec))
        .route("/v1/cells/{id}/files", get(cells::read).put(cells::write).delete(cells::remove))
        .route("/run_code", post(run_code::run_code))
        .route("/get_reward", post(get_reward::get_reward))
        .route("/test_program", post(test_program::test_program))
        .route("/test_program_stdio", post(test_program::test_program_stdio))
        .route("/test_program_hackable", post(test_program::test_program_hackable))
        .route("/slime", post(slime::reward))
        .route("/verify", post(gym::verify))
        .route("/seed_session", post(gym::seed_session))
        .route("/aggregate_metrics", post(gym_metrics::aggregate))
        .route("/ws", any(openenv::socket::socket))
        .route("/reset", post(openenv::reset))
        .route("/step", post(openenv::step))
        .route("/state", get(openenv::state))
        .route("/schema", get(openenv::schema))
        .route("/metadata", get(openenv::metadata))
}

/// What a trainer is told of one completion.
struct Rewarded {
    reward: f64,
    /// None where nothing was labelled.
    graded: Option<Graded>,
}

impl Rewarded {
    /// 1 if the reward was not earned.
    fn hack(&self) -> Option<f64> {
        self.graded.as_ref().map(|graded| f64::from(matches!(graded.verdict.name(), "hack" | "tamper" | "overfit")))
    }

    /// The share of the oracle's tests that pass; 0 where the grader paid nothing and it was not asked.
    fn oracle(&self) -> Option<f64> {
        let oracle = self.graded.as_ref()?.oracle;
        Some(if oracle.total == 0 { 0.0 } else { oracle.passed as f64 / oracle.total as f64 })
    }

    /// What stands beside the reward where a dialect has room for it.
    fn label(&self) -> Value {
        let Some(graded) = &self.graded else { return Value::Null };
        json!({
            "verdict": graded.verdict, "family": graded.family, "mechanism": graded.mechanism,
            "oracle": graded.oracle, "evidence": graded.evidence,
        })
    }
}

impl Service {
    /// The task that a trainer's row names: an id, or a task as a whole, as an object or as the text of one.
    fn named_task(&self, label: &Value) -> Result<Arc<Task>, Problem> {
        let whole = |text: &str| {
            loophole_env::parse_task(text)
                .map(Arc::new)
                .map_err(|why| Problem::other(422, format!("the label is no task: {why}")))
        };
        match label {
            Value::String(text) if text.trim_start().starts_with('{') => whole(text),
            Value::String(id) => self.grading()?.task(id),
            Value::Number(id) => self.grading()?.task(&id.to_string()),
            Value::Object(fields) => match fields.get("task_id").filter(|_| !is_task(label)) {
                Some(id) => self.named_task(id),
                None => whole(&label.to_string()),
            },
            _ => Err(Problem::other(422, "the label must be a task's id, or a task")),
        }
    }

    /// Grades the code in a completion with the server's grader.
    async fn reward(&self, deadline: Deadline, task: Arc<Task>, completion: &str) -> Result<Rewarded, Problem> {
        let grading = self.grading()?;
        let grader = grading.grader(&task, None, &[], false).map_err(|why| Problem::other(500, why))?;
        let submission = extract(Extract::Auto, &task, completion).submission();
        let question = Question { lab: grading.lab(None), task, grader, submission };
        if grading.label {
            let graded = self.grade_valid(deadline, question).await?;
            return Ok(Rewarded { reward: graded.reward, graded: Some(graded) });
        }
        let paid = self.pay(deadline, question).await?;
        if !paid.valid {
            return Err(Problem::machine(paid.grader_output));
        }
        Ok(Rewarded { reward: paid.reward, graded: None })
    }
}

/// Whether an object is a task, and not only the name of one.
fn is_task(value: &Value) -> bool {
    ["canonical_solution", "input_output", "visible", "hidden", "reference"].iter().any(|key| value.get(key).is_some())
}
