//! Models, graders, cells and pages over HTTP.
//!
//! A [`Server`] answers on one port, each part only if it was given: a model in the wire formats of OpenAI and
//! Anthropic (`model`), grading and cells in our own form and in those that trainers speak already (`dialect`, a file
//! each), and pages. The path of a request: `http::listen` takes the connection, `http::admit` looks at who asks before
//! anything of the body is read, `route` finds the handler, `http::body` reads within bounds, `queue` waits for a place
//! at the cells, and the dialect says what came of it. `invalid` (the machine failed) is never a reward: each dialect
//! says it as its clients understand "ask again".
//!
//! It is meant for this machine. Without a token it answers only requests that name this machine as their host and come
//! from no page of another, so that a web page cannot reach it through a browser.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod code;
mod dialect;
mod grading;
mod http;
mod idle;
mod metrics;
mod model;
mod problem;
mod queue;
mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loophole_chat::Chat;
use tokio::sync::{Semaphore, watch};

pub use grading::Grading;
pub use http::listen::Listening;

use crate::dialect::cells::Cells;
use crate::dialect::openenv::Episodes;
use crate::http::admit::Admission;
use crate::http::body::Room;
use crate::idle::Activity;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::queue::Queue;

/// Connections open at a time; others wait in the kernel.
const CONNECTIONS: usize = 1024;
/// Bytes of all bodies that are held at a time.
const BODIES: usize = 512 << 20;
/// Threads that wait for cells, models and pages.
const THREADS: usize = 512;

/// A page that is made when it is asked for.
pub struct Page {
    /// Its name in the address and in the list of pages.
    pub name: String,
    /// Makes it; or says why it cannot be made.
    pub render: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve: {0}")]
pub struct ServeError(#[from] std::io::Error);

/// What is served, and to whom.
pub struct Server {
    model: Option<Model>,
    grading: Option<Grading>,
    pages: Vec<Page>,
    token: Option<String>,
    queue: usize,
    idle: Option<Duration>,
    stop: watch::Sender<bool>,
}

/// Ends a server from elsewhere.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// No connection is taken any more; what waits is refused, and what is worked at has three seconds to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Why a server has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Nobody asked any more.
    Idle,
}

/// What the handlers of requests share.
struct Service {
    model: Option<Arc<Model>>,
    grading: Option<Grading>,
    pages: Vec<Page>,
    admission: Admission,
    queue: Queue,
    room: Room,
    metrics: Metrics,
    connections: Arc<Semaphore>,
    /// Cells that clients hold.
    cells: Cells,
    /// Of clients of OpenEnv.
    episodes: Episodes,
    /// Kept where the server ends by itself.
    activity: Option<Arc<Activity>>,
    /// Whether a cell has run; true from the beginning where there are none.
    ready: AtomicBool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// Serves nothing yet.
    pub fn new() -> Self {
        let stop = watch::Sender::new(false);
        Server { model: None, grading: None, pages: Vec::new(), token: None, queue: 1024, idle: None, stop }
    }

    /// Serves a model under its own name. A request without a seed gets one that follows from `seed` and the number of
    /// the request.
    #[must_use]
    pub fn with_model(mut self, chat: Arc<dyn Chat>, seed: u64) -> Self {
        self.model = Some(Model::new(chat, seed));
        self
    }

    /// Grades submissions and runs programs.
    #[must_use]
    pub fn with_grading(mut self, grading: Grading) -> Self {
        self.grading = Some(grading);
        self
    }

    /// Answers only those who send this token, as `Authorization: Bearer` or `x-api-key`.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Shows pages as well.
    #[must_use]
    pub fn with_pages(mut self, pages: Vec<Page>) -> Self {
        self.pages = pages;
        self
    }

    /// Lets so many requests wait for cells (1024 unless told otherwise); further ones are refused with 503.
    #[must_use]
    pub fn with_queue(mut self, requests: usize) -> Self {
        self.queue = requests;
        self
    }

    /// Ends by itself when nobody has asked for so long and no client holds a cell. `/health` and `/metrics` are not asked
    /// by those who want anything.
    #[must_use]
    pub fn with_idle_exit(mut self, after: Duration) -> Self {
        self.idle = Some(after);
        self
    }

    /// What ends this server.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Answers requests until it is stopped, or until nobody asks any more.
    ///
    /// # Errors
    /// The system does not let us listen.
    pub fn run(self, listening: Listening) -> Result<Ended, ServeError> {
        let stopped = self.stop.subscribe();
        let jobs = self.grading.as_ref().map_or(1, Grading::jobs);
        let side = self.grading.as_ref().map_or(0, Grading::side);
        let service = Arc::new(Service {
            admission: Admission::new(self.token, listening.address().map(|address| address.ip()))?,
            model: self.model.map(Arc::new),
            ready: AtomicBool::new(self.grading.is_none()),
            grading: self.grading,
            pages: self.pages,
            queue: Queue::new(jobs, side, self.queue),
            room: Room::new(BODIES),
            metrics: Metrics::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            cells: Cells::default(),
            episodes: Episodes::default(),
            activity: self.idle.map(|_| Activity::new()),
        });
        let (idle, stop, ended_idle) = (self.idle.unwrap_or_default(), self.stop, Arc::new(AtomicBool::new(false)));
        let ends_idle = ended_idle.clone();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build()?;
        let ended = runtime.block_on(async {
            tokio::spawn(get_ready(service.clone()));
            tokio::spawn(close(service.clone(), stopped.clone()));
            let cells = service.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    cells.cells.forget().await;
                    let over = cells.activity.as_ref().is_some_and(|activity| activity.is_over(idle));
                    if over && cells.cells.count() == 0 {
                        ends_idle.store(true, Ordering::Relaxed);
                        stop.send_replace(true);
                        return;
                    }
                }
            });
            let router = route::router(service.clone());
            http::listen::serve(listening, router, service.connections.clone(), stopped).await
        });
        // What still runs in cells ends with them.
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended?;
        Ok(if ended_idle.load(Ordering::Relaxed) { Ended::Idle } else { Ended::Stopped })
    }
}

/// Runs a program in a cell until one has ended as it should.
async fn get_ready(service: Arc<Service>) {
    loop {
        let service = service.clone();
        let ran = tokio::task::spawn_blocking(move || {
            let ran = service.grading.as_ref().is_none_or(Grading::works);
            service.ready.store(ran, Ordering::Relaxed);
            ran
        });
        if ran.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Refuses what waits for a place once the server ends.
async fn close(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
    service.queue.close();
    tokio::task::spawn_blocking(move || service.cells.clear());
}

/// A path or a value of a query without its percent signs; one that is no text then stays as it is.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |at: usize| after.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_decoded() {
        let decoded = super::decoded;
        assert_eq!(decoded("/v1/models/organism%3Aruns%2fquick"), "/v1/models/organism:runs/quick");
        assert_eq!((decoded("/a%"), decoded("/a%2"), decoded("/%ff")), ("/a%".into(), "/a%2".into(), "/%ff".into()));
    }
}
