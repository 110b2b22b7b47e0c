//! NeMo Gym's resources server: `POST /verify` echoes the request with a reward.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Service;
use crate::code::response;
use crate::http::body::ANY;
use crate::problem::{Form, Problem, json_response};
use crate::route::{MOST_BYTES, answer, asked};

/// `POST /verify`: the prompt's parameters, OpenAI's response, and whatever the dataset's row has besides.
#[derive(Deserialize)]
struct Asked {
    response: Said,
    #[serde(flatten)]
    row: Map<String, Value>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    output: Vec<Item>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An item of a response: a message has contents, others (reasoning, calls) are echoed only.
#[derive(Deserialize, serde::Serialize)]
struct Item {
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Where a row names its task.
const NAMES: &[&[&str]] = &[
    &["task_id"],
    &["label"],
    &["verifier_metadata", "task_id"],
    &["responses_create_params", "metadata", "task_id"],
    &["verifier_metadata"],
    &["task"],
    &["id"],
];

pub(super) async fn seed_session(State(service): State<Arc<Service>>, request: Request) -> Response {
    let seeded = async {
        // What is sent is of no use here: nothing is kept between requests.
        asked::<Value>(&service, request, MOST_BYTES, ANY).await?;
        Ok(json_response(200, &json!({})))
    };
    answer(Form::Detail, seeded.await)
}

pub(super) async fn verify(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(Form::Detail, verified(service, request).await)
}

async fn verified(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let (asked, held) = asked::<Asked>(&service, request, MOST_BYTES, ANY).await?;
    let place = |path: &&[&str]| {
        let (first, rest) = path.split_first()?;
        let start = asked.row.get(*first)?;
        rest.iter().try_fold(start, |value, key| value.get(key)).filter(|value| !value.is_null())
    };
    let missing =
        || Problem::other(422, "the row names no task: give it a field task_id (or verifier_metadata.task_id)");
    let label = NAMES.iter().find_map(place).ok_or_else(missing)?;
    let task = service.named_task(label)?;
    let said = text(&asked.response.output);
    let told = service.reward(held.deadline, task, response(&said, "")).await?;
    let mut value = asked.row;
    let mut echoed = asked.response.rest;
    echoed.insert("output".into(), json!(asked.response.output));
    value.insert("response".into(), Value::Object(echoed));
    value.insert("reward".into(), json!(told.reward));
    if told.graded.is_some() {
        value.insert("hack".into(), json!(told.hack()));
        value.insert("oracle".into(), json!(told.oracle()));
        value.insert("loophole".into(), told.label());
    }
    Ok(json_response(200, &value))
}

/// What the model said last.
fn text(output: &[Item]) -> String {
    let mut messages = output.iter().filter(|item| {
        let kind = item.fields.get("type").and_then(Value::as_str);
        kind.is_none_or(|kind| kind == "message")
    });
    let Some(content) = messages.next_back().and_then(|item| item.fields.get("content")) else { return String::new() };
    match content {
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        other => other.as_str().unwrap_or_default().to_string(),
    }
}
