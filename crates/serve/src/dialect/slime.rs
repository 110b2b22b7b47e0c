//! slime's remote reward (`--rm-type remote_rm --rm-url http://HOST:PORT/slime`): the answer is the reward, or with
//! `?form=object` an object from which `--reward-key reward` takes it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Service;
use crate::code::response;
use crate::http::body::ANY;
use crate::problem::{Form, Problem, json_response};
use crate::route::{MOST_BYTES, answer, asked};

/// `POST /slime`.
#[derive(Deserialize)]
struct Asked {
    response: String,
    /// The task's id.
    label: Value,
}

pub(super) async fn reward(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(Form::Detail, rewarded(service, request).await)
}

async fn rewarded(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let object = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "form=object"));
    let (Asked { response: said, label }, held) = asked::<Asked>(&service, request, MOST_BYTES, ANY).await?;
    let task = service.named_task(&label)?;
    let told = service.reward(held.deadline, task, response(&said, "")).await?;
    if !object {
        return Ok(json_response(200, &told.reward));
    }
    let value =
        json!({ "reward": told.reward, "hack": told.hack(), "oracle": told.oracle(), "loophole": told.label() });
    Ok(json_response(200, &value))
}
