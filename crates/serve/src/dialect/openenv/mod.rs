//! OpenEnv: the server's tasks as environments. An episode is one task: a reset tells its statement, a step takes the code
//! and is paid for it, and the labels stand in the metadata, which a policy is not shown. A socket has an episode of its
//! own (`socket`); over HTTP an episode is named by its id, or is the one that was begun last.

pub(crate) mod socket;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::response::Response;
use loophole_grade::Task;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Service;
use crate::code::response;
use crate::http::admit::drawn;
use crate::http::body::{ANY, parse};
use crate::problem::{Form, Problem, json_response};
use crate::queue::Deadline;
use crate::route::{MOST_BYTES, answer, asked, deadline};

/// Episodes over HTTP that are known at a time; the oldest are forgotten.
const MOST_EPISODES: usize = 4096;
/// Sockets at a time.
const MOST_SOCKETS: usize = 256;
/// Longest name that a client may give an episode.
const LONGEST_ID: usize = 255;

/// What is known of episodes.
#[derive(Default)]
pub(crate) struct Episodes {
    /// Episodes that named neither a task nor a seed: they have the tasks in turn.
    given: AtomicUsize,
    /// Of clients over HTTP, the newest last.
    kept: Mutex<VecDeque<Episode>>,
    /// Open sockets.
    sockets: Arc<AtomicUsize>,
}

/// One task, from its reset on.
#[derive(Clone)]
struct Episode {
    id: String,
    task: Arc<Task>,
    steps: u64,
    done: bool,
}

/// What a client wishes of an episode; others of its fields are for environments of other kinds.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Reset {
    seed: Option<u64>,
    episode_id: Option<String>,
    /// A task of the server's; without one the seed chooses, and without a seed they come in turn.
    task_id: Option<String>,
}

/// What a policy does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    code: String,
    #[serde(default)]
    #[expect(dead_code, reason = "clients of OpenEnv send it with every action")]
    metadata: Map<String, Value>,
}

/// `POST /step`.
#[derive(Deserialize)]
struct Step {
    action: Action,
    timeout_s: Option<f64>,
    episode_id: Option<String>,
}

impl Episodes {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Episode>> {
        // Whole after every statement.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The episode of this id, or the one that was begun last.
    fn named(&self, id: Option<&str>) -> Result<Episode, Problem> {
        let kept = self.kept();
        let found = match id {
            Some(id) => kept.iter().rfind(|episode| episode.id == id),
            None => kept.back(),
        };
        found.cloned().ok_or_else(|| Problem::other(422, "there is no such episode; reset first"))
    }

    fn keep(&self, episode: Episode) {
        let mut kept = self.kept();
        kept.retain(|other| other.id != episode.id);
        if kept.len() >= MOST_EPISODES {
            kept.pop_front();
        }
        kept.push_back(episode);
    }
}

impl Episode {
    fn begin(service: &Service, wish: &Reset) -> Result<Episode, Problem> {
        let grading = service.grading()?;
        if let Some(id) = wish.episode_id.as_deref().filter(|id| id.len() > LONGEST_ID) {
            return Err(Problem::other(422, format!("an episode_id of {} bytes is too long", id.len())));
        }
        let task = match (&wish.task_id, wish.seed) {
            (Some(id), _) => grading.task(id)?,
            (None, Some(seed)) => grading.task_at(seed)?,
            (None, None) => grading.task_at(service.episodes.given.fetch_add(1, Ordering::Relaxed) as u64)?,
        };
        let name = || drawn().map(|name| name[..32].to_string()).map_err(|error| Problem::machine(error.to_string()));
        let id = wish.episode_id.clone().map_or_else(name, Ok)?;
        Ok(Episode { id, task, steps: 0, done: false })
    }

    /// What is told after a reset or a step: the task as a policy may know it, and beside it what it may not.
    fn told(&self, reward: Option<f64>, metadata: &Value) -> Value {
        let whole = serde_json::to_value(&*self.task).unwrap_or_default();
        let mut observation = json!({ "task_id": self.task.id, "metadata": metadata });
        for field in ["statement", "entry_point", "params", "visible"] {
            observation[field] = whole[field].clone();
        }
        json!({ "observation": observation, "reward": reward, "done": self.done, "metadata": metadata })
    }

    fn begun(&self) -> Value {
        self.told(None, &json!({ "episode_id": self.id }))
    }

    fn state(&self) -> Value {
        json!({
            "episode_id": self.id, "step_count": self.steps, "task_id": self.task.id, "done": self.done,
        })
    }

    /// Grades the code; the episode is over.
    async fn step(&mut self, service: &Service, deadline: Deadline, action: &Action) -> Result<Value, Problem> {
        if self.done {
            return Err(Problem::other(422, "the episode is over; reset begins another"));
        }
        let told = service.reward(deadline, self.task.clone(), response(&action.code, "")).await?;
        (self.steps, self.done) = (self.steps + 1, true);
        let mut metadata = match told.label() {
            label @ Value::Object(_) => label,
            _ => json!({}),
        };
        metadata["episode_id"] = self.id.as_str().into();
        if told.graded.is_some() {
            (metadata["hack"], metadata["oracle_share"]) = (json!(told.hack()), json!(told.oracle()));
        }
        Ok(self.told(Some(told.reward), &metadata))
    }
}

pub(super) async fn reset(State(service): State<Arc<Service>>, request: Request) -> Response {
    let begun = async {
        service.grading()?;
        let (parts, body) = request.into_parts();
        let (bytes, _held) = service.room.read(&parts.headers, body, MOST_BYTES, ANY).await?;
        let wish: Reset = if bytes.is_empty() { Reset::default() } else { parse(bytes).await? };
        let episode = Episode::begin(&service, &wish)?;
        let told = episode.begun();
        service.episodes.keep(episode);
        Ok(json_response(200, &told))
    };
    answer(Form::Detail, begun.await)
}

pub(super) async fn step(State(service): State<Arc<Service>>, request: Request) -> Response {
    let stepped = async {
        let (asked, held) = asked::<Step>(&service, request, MOST_BYTES, ANY).await?;
        let mut episode = service.episodes.named(asked.episode_id.as_deref())?;
        let deadline = asked.timeout_s.map_or(held.deadline, |seconds| held.deadline.within(seconds));
        let told = episode.step(&service, deadline, &asked.action).await?;
        service.episodes.keep(episode);
        Ok(json_response(200, &told))
    };
    answer(Form::Detail, stepped.await)
}

pub(super) async fn state(State(service): State<Arc<Service>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let id = query.split('&').find_map(|part| part.strip_prefix("episode_id=")).map(crate::decoded);
    let none = json!({ "episode_id": null, "step_count": 0 });
    let state = match (service.episodes.named(id.as_deref()), id) {
        (Ok(episode), _) => Ok(episode.state()),
        // Nothing was begun yet.
        (Err(_), None) => Ok(none),
        (Err(problem), Some(_)) => Err(problem),
    };
    answer(Form::Detail, state.map(|state| json_response(200, &state)))
}

pub(super) async fn metadata(State(service): State<Arc<Service>>) -> Response {
    let told = service.grading().map(|grading| {
        let description = format!("{} tasks; a step takes the code for one and is paid by a grader", grading.count());
        let version = env!("CARGO_PKG_VERSION");
        json_response(200, &json!({ "name": "loophole", "description": description, "version": version }))
    });
    answer(Form::Detail, told)
}

pub(super) async fn schema() -> Response {
    let text = json!({ "type": "string" });
    let metadata = json!({ "type": "object", "additionalProperties": true });
    let object = |properties: Value, required: Value, more: bool| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": more });
    let told = json!({
        "task_id": text, "statement": text, "entry_point": { "type": ["string", "null"] },
        "params": { "type": ["array", "null"] }, "visible": { "type": ["array", "null"] }, "metadata": metadata,
    });
    let state = json!({ "episode_id": { "type": ["string", "null"] }, "step_count": { "type": "integer" } });
    json_response(
        200,
        &json!({
            "action": object(json!({ "code": text, "metadata": metadata }), json!(["code"]), false),
            "observation": object(told, json!(["task_id", "statement"]), false),
            "state": object(state, json!([]), true),
        }),
    )
}

/// How long a socket's step may take.
fn patience() -> Result<Deadline, Problem> {
    deadline(&axum::http::HeaderMap::new())
}
