//! `/ws`: an episode for each socket, in frames of text.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Action, Episode, MOST_SOCKETS, Reset, patience};
use crate::Service;
use crate::http::body::mend;
use crate::problem::Problem;

/// Most bytes of a message.
const MOST_BYTES: usize = 8 << 20;
/// A socket on which nothing is said for so long is left.
const IDLE: Duration = Duration::from_secs(3600);
/// Messages that may come before the one before them is answered.
const EARLY: usize = 16;

/// A place among the sockets.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) async fn socket(State(service): State<Arc<Service>>, upgrade: WebSocketUpgrade) -> Response {
    let busy = service.activity.as_ref().map(crate::idle::Activity::begin);
    upgrade.max_message_size(MOST_BYTES).max_frame_size(MOST_BYTES).on_upgrade(async move |mut socket| {
        talk(&service, &mut socket).await;
        // The client may have left.
        let _ = socket.send(Message::Close(None)).await;
        drop(busy);
    })
}

fn error(code: &str, message: impl Into<String>) -> Value {
    json!({ "type": "error", "data": { "message": message.into(), "code": code } })
}

async fn talk(service: &Arc<Service>, socket: &mut WebSocket) {
    let place = Place(service.episodes.sockets.clone());
    let open = place.0.fetch_add(1, Ordering::Relaxed);
    if open >= MOST_SOCKETS {
        let mut full =
            error("CAPACITY_REACHED", format!("{MOST_SOCKETS} sockets are open, which is as many as there may be"));
        (full["data"]["active_sessions"], full["data"]["max_sessions"]) = (open.into(), MOST_SOCKETS.into());
        let _ = socket.send(Message::Text(full.to_string().into())).await;
        return;
    }
    let mut episode: Option<Episode> = None;
    let mut early: VecDeque<Vec<u8>> = VecDeque::new();
    loop {
        let said = match early.pop_front() {
            Some(said) => said,
            None => match tokio::time::timeout(IDLE, socket.recv()).await {
                Ok(Some(Ok(Message::Text(text)))) => text.as_bytes().to_vec(),
                Ok(Some(Ok(Message::Binary(bytes)))) => bytes.to_vec(),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                _ => return,
            },
        };
        let answer = {
            let mut working = std::pin::pin!(answer(service, &mut episode, said));
            loop {
                // Pings are answered meanwhile, and whoever leaves is not worked for.
                tokio::select! {
                    answer = &mut working => break answer,
                    heard = socket.recv() => match heard {
                        Some(Ok(Message::Text(text))) if early.len() < EARLY => early.push_back(text.as_bytes().to_vec()),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        _ => return,
                    },
                }
            }
        };
        let Some(answer) = answer else { return };
        if socket.send(Message::Text(answer.to_string().into())).await.is_err() {
            return;
        }
    }
}

/// What a message is answered; none if it was the last.
async fn answer(service: &Arc<Service>, episode: &mut Option<Episode>, mut said: Vec<u8>) -> Option<Value> {
    mend(&mut said);
    let mut message: Value = match serde_json::from_slice(&said) {
        Ok(message) => message,
        Err(why) => return Some(error("INVALID_JSON", format!("Invalid JSON: {why}"))),
    };
    let data = message.get_mut("data").map(Value::take);
    Some(match message["type"].as_str().unwrap_or_default() {
        "reset" => match read::<Reset>(data.or_else(|| Some(json!({})))) {
            Err(wrong) => wrong,
            Ok(wish) => match Episode::begin(service, &wish) {
                Err(problem) => failed(&problem),
                Ok(begun) => observed(episode.insert(begun).begun()),
            },
        },
        "step" => match (read::<Action>(data), episode) {
            (Err(wrong), _) => wrong,
            (Ok(_), None) => error("EXECUTION_ERROR", "there is no episode; reset first"),
            (Ok(action), Some(episode)) => {
                step(service, episode, &action).await.map_or_else(|problem| failed(&problem), observed)
            }
        },
        "state" => {
            let state = episode.as_ref().map_or_else(|| json!({ "episode_id": null, "step_count": 0 }), Episode::state);
            json!({ "type": "state", "data": state })
        }
        "close" => return None,
        other => error("UNKNOWN_TYPE", format!("Unknown message type: {other}")),
    })
}

async fn step(service: &Arc<Service>, episode: &mut Episode, action: &Action) -> Result<Value, Problem> {
    service.grading()?;
    let _ticket = service.queue.enter()?;
    episode.step(service, patience()?, action).await
}

fn observed(data: Value) -> Value {
    json!({ "type": "observation", "data": data })
}

fn failed(problem: &Problem) -> Value {
    let again = if problem.retry_after.is_some() { "; the same may succeed later" } else { "" };
    error("EXECUTION_ERROR", format!("{}{again}", problem.message))
}

/// The data of a message, or what is wrong with it.
fn read<T: DeserializeOwned>(data: Option<Value>) -> Result<T, Value> {
    serde_json::from_value(data.unwrap_or_default()).map_err(|why| {
        let mut wrong = error("VALIDATION_ERROR", "Invalid message");
        wrong["data"]["errors"] = json!([{ "type": "value_error", "loc": ["data"], "msg": why.to_string() }]);
        wrong
    })
}
