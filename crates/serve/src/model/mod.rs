//! A model, in the wire formats of OpenAI and Anthropic. Every request is worked at on a thread of its own; a model on
//! this machine joins what waits into one batch.

pub(crate) mod answer;
pub(crate) mod anthropic;
pub(crate) mod completions;
pub(crate) mod lora;
pub(crate) mod openai;
mod sampling;
pub(crate) mod tokens;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::Response;
use loophole_chat::{Chat, ChatError, Local, Reply, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::answer::Answer;
use crate::problem::Problem;

/// Requests to the model at a time.
const REQUESTS: usize = 256;

/// A model that is served under its own name.
pub(crate) struct Model {
    chat: Arc<dyn Chat>,
    /// What clients call it.
    pub name: String,
    /// Seconds since 1970.
    began: u64,
    seed: u64,
    number: AtomicU64,
    places: Arc<Semaphore>,
    /// Of an adapter: the folder it was read from, and the model it is put on.
    adapter: Option<(String, String)>,
    /// The same model with adapters on it, by what clients call them.
    adapters: RwLock<BTreeMap<String, Arc<Model>>>,
}

impl Model {
    pub fn new(chat: Arc<dyn Chat>, seed: u64) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = chat.name().to_string();
        let places = Arc::new(Semaphore::new(REQUESTS));
        let (adapter, adapters) = (None, RwLock::default());
        Model { chat, name, began, seed, number: AtomicU64::new(0), places, adapter, adapters }
    }

    /// A place for a request: each has a thread that waits for it, and cells need threads too.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let full =
            |_| Problem::busy(1, format!("{REQUESTS} requests are before this one, which is as many as there may be"));
        self.places.clone().try_acquire_owned().map_err(full)
    }

    /// The next request's number.
    fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The seed of a request that names none.
    fn seed_of(&self, number: u64) -> u64 {
        // Neighbouring numbers give seeds that have nothing in common (SplitMix64).
        let mut z = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The model that is served, or one of the adapters on it, by its name.
    pub fn named(self: &Arc<Self>, name: &str) -> Result<Arc<Model>, Problem> {
        if name == self.name {
            return Ok(self.clone());
        }
        let adapters = self.adapters();
        if let Some(adapted) = adapters.iter().find(|adapted| adapted.name == name) {
            return Ok(adapted.clone());
        }
        let others: String = adapters.iter().map(|adapted| format!(", {:?}", adapted.name)).collect();
        Err(Problem {
            field: Some("model".to_string()),
            code: Some("model_not_found"),
            ..Problem::other(404, format!("there is no model {name:?} here; this server has {:?}{others}", self.name))
        })
    }

    /// The model that a request names; it has to.
    fn wanted(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Model>, Problem> {
        self.named(name.ok_or_else(|| Problem::field("model", "model is missing"))?)
    }

    /// The adapters on it, by name.
    pub fn adapters(&self) -> Vec<Arc<Model>> {
        // Nothing is left half done under this lock.
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The model on this machine; what is behind an API, or a mock, has no tokens and takes no adapters.
    fn local(&self) -> Result<&Local, Problem> {
        let message =
            || format!("{:?} is no model on this machine: only such a one has tokens and adapters here", self.name);
        self.chat.local().ok_or_else(|| Problem { code: Some("not_local"), ..Problem::other(501, message()) })
    }

    /// One reply for each request, called off when the client leaves.
    fn replies(&self, requests: Vec<Request>, answer: &Answer) -> Vec<Result<Reply, ChatError>> {
        if !self.chat.ends_unheard() {
            return self.chat.reply(&requests);
        }
        // Side by side they come into one batch.
        std::thread::scope(|scope| {
            let replies: Vec<_> = requests
                .iter()
                .map(|request| {
                    let (pieces, heard) = channel();
                    answer.keep(heard);
                    scope.spawn(move || self.chat.stream(request, pieces))
                })
                .collect();
            let join = |reply: std::thread::ScopedJoinHandle<'_, _>| {
                reply.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            replies.into_iter().map(join).collect()
        })
    }

    fn reply(&self, request: &Request, answer: &Answer) -> Result<Reply, ChatError> {
        if !self.chat.ends_unheard() {
            return self.chat.one(request);
        }
        let (pieces, heard) = channel();
        answer.keep(heard);
        self.chat.stream(request, pieces)
    }

    /// Answers a request, on a thread of its own.
    pub async fn complete<T: Send + 'static>(
        self: Arc<Self>,
        body: T,
        complete: fn(&Arc<Model>, T, Answer),
    ) -> Result<Response, Problem> {
        let (answer, mut client) = Answer::new();
        tokio::task::spawn_blocking(move || {
            if !answer.is_unwanted() {
                complete(&self, body, answer);
            }
        });
        // It has panicked, which it says on stderr.
        (&mut client.answer).await.map_err(|_| Problem::other(500, "a mistake in the server"))
    }
}

/// A reply without a token to a prompt that fills the context is none.
fn no_room(reply: &Reply, max_tokens: usize) -> Option<Problem> {
    let empty = !reply.stopped() && reply.usage.completion_tokens == 0 && max_tokens > 0;
    let message =
        || format!("the prompt is too long: {} tokens or more do not fit into the context", reply.usage.prompt_tokens);
    empty.then(|| Problem {
        field: Some("messages".to_string()),
        code: Some("context_length_exceeded"),
        ..Problem::other(400, message())
    })
}
