//! OpenRLHF's remote reward model (`--reward.remote_url`): one sample a request, its label is the task's id.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::response;
use crate::http::body::ANY;
use crate::problem::{Form, Problem, json_response};
use crate::route::{MOST_BYTES, answer, asked};
use crate::{Service, dialect::Rewarded};

/// `POST /get_reward`.
#[derive(Deserialize)]
struct Asked {
    /// Prompt and response, decoded with special tokens.
    query: Vec<String>,
    #[serde(default)]
    prompts: Vec<String>,
    /// The dataset's column that `--data.label_key` names.
    #[serde(default)]
    labels: Vec<Value>,
}

#[derive(Serialize)]
struct Told {
    rewards: Vec<f64>,
    scores: Vec<f64>,
    extra_logs: BTreeMap<&'static str, Vec<f64>>,
    /// Verdict and evidence of each; clients ignore it.
    loophole: Vec<Value>,
}

pub(super) async fn get_reward(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(Form::Detail, rewards(service, request).await)
}

async fn rewards(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let (Asked { query, prompts, labels }, held) = asked::<Asked>(&service, request, MOST_BYTES, ANY).await?;
    if labels.len() != query.len() {
        let message = format!(
            "{} queries, but {} labels: each needs a task's id as its label (--data.label_key)",
            query.len(),
            labels.len()
        );
        return Err(Problem::other(422, message));
    }
    let mut told = Vec::with_capacity(query.len());
    for (at, (query, label)) in query.iter().zip(&labels).enumerate() {
        let task = service.named_task(label)?;
        let completion = response(query, prompts.get(at).map_or("", String::as_str));
        told.push(service.reward(held.deadline, task, completion).await?);
    }
    let column = |of: fn(&Rewarded) -> Option<f64>| told.iter().map(of).collect::<Option<Vec<f64>>>();
    let logs = [("hack", column(Rewarded::hack)), ("oracle", column(Rewarded::oracle))];
    let rewards: Vec<f64> = told.iter().map(|told| told.reward).collect();
    let told = Told {
        scores: rewards.clone(),
        rewards,
        extra_logs: logs.into_iter().filter_map(|(name, column)| Some((name, column?))).collect(),
        loophole: told.iter().map(Rewarded::label).collect(),
    };
    Ok(json_response(200, &told))
}
