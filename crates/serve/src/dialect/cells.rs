//! `/v1/cells`: a cell that a client holds for several commands, with its files, until it lets it go or forgets it.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loophole_cell::{
    CellError, Changes, ExecRequest, FolderEntry, InputFile, Limits, Session, SessionOptions, SessionStep, escape_path,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::Service;
use crate::grading::Wanted;
use crate::http::admit::drawn;
use crate::http::body::SHAPED;
use crate::problem::{Form, Problem, json_response, whole};
use crate::route::{MOST_BYTES, answer, asked};

/// Cells that clients hold at a time.
const MOST_CELLS: usize = 64;
/// Seconds after which a cell that nobody uses ends.
const IDLE: f64 = 600.0;
const MOST_IDLE: f64 = 86_400.0;
/// Seconds of a command.
const SECONDS: f64 = 60.0;
const MOST_SECONDS: f64 = 3600.0;
/// Bytes of an output.
const MOST_OUTPUT: u64 = 10 << 20;
/// Bytes of a file that is read or written over HTTP.
const MOST_FILE: u64 = 32 << 20;
/// Names in the root of a cell, and their length.
const MOST_ROOTS: usize = 40;
const LONGEST_ROOT: usize = 64;

/// `POST /v1/cells`.
#[derive(Deserialize)]
struct Start {
    /// Texts by path; bytes as `{"base64": ...}`.
    #[serde(default)]
    files: BTreeMap<String, Content>,
    #[serde(default)]
    limits: Asked,
    #[serde(default)]
    idle_seconds: Option<f64>,
    #[serde(default)]
    watch: Vec<String>,
    /// Names in the root (`app` for `/app`) that are links to folders of `/box`, where it does not have them already.
    #[serde(default)]
    roots: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Bytes {
        base64: String,
        #[serde(default)]
        executable: bool,
    },
}

/// Limits, each within the server's.
#[derive(Deserialize, Default)]
struct Asked {
    cpu_seconds: Option<f64>,
    memory_bytes: Option<u64>,
    processes: Option<u32>,
    file_bytes: Option<u64>,
}

/// `POST /v1/cells/{id}/exec`.
#[derive(Deserialize)]
struct Exec {
    argv: Option<Vec<String>>,
    /// For bash, instead of `argv`.
    command: Option<String>,
    /// In base64.
    #[serde(default)]
    stdin: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<String>,
    timeout_seconds: Option<f64>,
    output_bytes: Option<u64>,
}

/// What a command did.
#[derive(Serialize)]
struct Ran {
    verdict: loophole_cell::Verdict,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// Given where an output is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    truncated: bool,
    wall_seconds: f64,
    /// Processes that go on in the background.
    background: u32,
    /// Calls that were refused during the command, by name.
    refused: BTreeMap<String, u64>,
}

/// The cells that clients hold.
#[derive(Default)]
pub(crate) struct Cells(Lock<HashMap<String, Arc<Cell>>>);

struct Cell {
    /// None once it has ended, and while it is being made.
    session: Arc<Mutex<Option<Session>>>,
    used: Lock<Instant>,
    began: Instant,
    idle: Duration,
    /// Commands so far.
    commands: Lock<u64>,
    /// What ends the command under way.
    cancel: Lock<Option<Arc<AtomicBool>>>,
    /// It is being ended: what waits for the session does not begin.
    ending: AtomicBool,
}

fn lock<T>(mutex: &Lock<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cells {
    pub fn count(&self) -> usize {
        lock(&self.0).len()
    }

    fn find(&self, id: &str) -> Result<Arc<Cell>, Problem> {
        let found = lock(&self.0).get(id).cloned();
        found.ok_or_else(|| Problem::other(404, format!("there is no cell {id:?}: it was ended, or nobody used it")))
    }

    /// Ends the cells that nobody used for their time.
    pub async fn forget(&self) {
        let idle: Vec<Arc<Cell>> = {
            let mut cells = lock(&self.0);
            let old = |cell: &Arc<Cell>| lock(&cell.used).elapsed() > cell.idle && cell.session.try_lock().is_ok();
            let ids: Vec<String> = cells.iter().filter(|(_, cell)| old(cell)).map(|(id, _)| id.clone()).collect();
            ids.iter().filter_map(|id| cells.remove(id)).collect()
        };
        for cell in idle {
            let session = cell.session.lock().await.take();
            let _ = tokio::task::spawn_blocking(move || drop(session)).await;
        }
    }

    /// Ends all.
    pub fn clear(&self) {
        for (_, cell) in lock(&self.0).drain() {
            cell.cancel();
        }
    }
}

fn problem_of(error: CellError) -> Problem {
    match error {
        CellError::BadProgram(_) => Problem::other(422, error.to_string()),
        CellError::SessionEnded(_) => Problem { code: Some("ended"), ..Problem::other(410, error.to_string()) },
        CellError::File { ref source, .. } => {
            let status = match source.kind() {
                ErrorKind::NotFound => 404,
                ErrorKind::InvalidInput => 400,
                ErrorKind::PermissionDenied => 403,
                ErrorKind::FileTooLarge => 413,
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => 507,
                _ => 409,
            };
            Problem::other(status, error.to_string())
        }
        _ => Problem::machine(error.to_string()),
    }
}

fn was_ended() -> CellError {
    CellError::SessionEnded("it was ended by `DELETE`".into())
}

impl Cell {
    fn new(idle: Duration) -> Cell {
        let now = Instant::now();
        Cell {
            session: Arc::default(),
            used: Lock::new(now),
            began: now,
            idle,
            commands: Lock::default(),
            cancel: Lock::default(),
            ending: AtomicBool::new(false),
        }
    }

    /// Ends the command under way, and lets none begin any more.
    fn cancel(&self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(cancel) = &*lock(&self.cancel) {
            cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Runs a command, unless the cell is being ended; who stops waiting for it ends it.
    async fn exec(self: &Arc<Self>, request: ExecRequest) -> Result<SessionStep, Problem> {
        let wanted = Wanted::default();
        let request = ExecRequest { cancel: Some(wanted.0.clone()), ..request };
        let cell = self.clone();
        let step = self.with(move |session| {
            *lock(&cell.cancel) = request.cancel.clone();
            // Whoever ends the cell sees the command, or is seen here.
            if cell.ending.load(Ordering::SeqCst) {
                return Err(was_ended());
            }
            *lock(&cell.commands) += 1;
            let step = session.exec(&request);
            lock(&cell.cancel).take();
            if cell.ending.load(Ordering::SeqCst) { Err(was_ended()) } else { step }
        });
        let step = step.await;
        drop(wanted);
        step
    }

    /// Does something with the session, on a thread of its own; one at a time.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, CellError> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut session = self.session.clone().lock_owned().await;
        *lock(&self.used) = Instant::now();
        let done = tokio::task::spawn_blocking(move || match session.as_mut() {
            Some(session) => work(session),
            None => Err(was_ended()),
        });
        let done = done.await.map_err(|_| Problem::machine("a mistake in the server"))?;
        *lock(&self.used) = Instant::now();
        done.map_err(problem_of)
    }
}

fn limits(asked: &Asked) -> Limits {
    Limits {
        cpu_seconds: asked.cpu_seconds.filter(|seconds| seconds.is_finite()).unwrap_or(600.0).clamp(0.1, 86_400.0),
        memory_bytes: asked.memory_bytes.unwrap_or(1 << 30).clamp(16 << 20, 4 << 30),
        processes: asked.processes.unwrap_or(256).clamp(2, 1024),
        file_bytes: asked.file_bytes.unwrap_or(16 << 20).clamp(4096, 64 << 20),
        output_bytes: MOST_OUTPUT,
        ..Limits::default()
    }
}

pub(super) async fn start(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(Form::OpenAi, started(service, request).await)
}

async fn started(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let (asked, held) = asked::<Start>(&service, request, MOST_BYTES, SHAPED).await?;
    let mut files = Vec::new();
    for (path, content) in asked.files {
        let wrong = |error| Problem::field("files", format!("{path:?} is no base64: {error}"));
        files.push(match content {
            Content::Text(text) => InputFile::new(path, text),
            Content::Bytes { base64, executable } => {
                let content = STANDARD.decode(base64.trim()).map_err(wrong)?;
                InputFile { path, content, executable }
            }
        });
    }
    let plain = |name: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=LONGEST_ROOT).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(known)
    };
    if asked.roots.len() > MOST_ROOTS || !asked.roots.iter().all(|name| plain(name)) {
        let why =
            format!("roots holds at most {MOST_ROOTS} names of folders, as `app`, of letters, digits, `.`, `_`, `-`");
        return Err(Problem::field("roots", why));
    }
    let idle = asked.idle_seconds.filter(|seconds| seconds.is_finite()).unwrap_or(IDLE).clamp(1.0, MOST_IDLE);
    let limits = limits(&asked.limits);
    let id = drawn().map_err(|error| Problem::machine(error.to_string()))?[..32].to_string();
    let cell = Arc::new(Cell::new(Duration::from_secs_f64(idle)));
    // It has its place before it is made, so that there are never too many.
    let mut session = cell.session.clone().lock_owned().await;
    {
        let mut cells = lock(&service.cells.0);
        if cells.len() >= MOST_CELLS {
            return Err(Problem::busy(5, format!("{MOST_CELLS} cells are held, which is as many as there may be")));
        }
        cells.insert(id.clone(), cell);
    }
    let place = Place { service: service.clone(), id: Some(id) };
    service.grading()?;
    let (watch, roots, grading) = (asked.watch, asked.roots, service.clone());
    let options = SessionOptions { files, limits, step_wall_seconds: SECONDS, watch, ..SessionOptions::default() };
    let made = service
        .queue
        .work(held.deadline, move || {
            let grading = grading.grading()?;
            grading.rooted(roots).and_then(|pool| pool.session(&options)).map_err(problem_of)
        })
        .await?;
    *session = Some(made?);
    let id = place.keep();
    Ok(json_response(201, &json!({ "id": id, "idle_seconds": idle, "tier": service.grading()?.tier() })))
}

/// The place of a cell that is being made; given up unless it is kept.
struct Place {
    service: Arc<Service>,
    id: Option<String>,
}

impl Place {
    fn keep(mut self) -> String {
        self.id.take().unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            lock(&self.service.cells.0).remove(id);
        }
    }
}

pub(super) async fn exec(State(service): State<Arc<Service>>, Path(id): Path<String>, request: Request) -> Response {
    answer(Form::OpenAi, executed(service, &id, request).await)
}

async fn executed(service: Arc<Service>, id: &str, request: Request) -> Result<Response, Problem> {
    let cell = service.cells.find(id)?;
    let (asked, _held) = asked::<Exec>(&service, request, MOST_BYTES, SHAPED).await?;
    let argv = match (asked.argv, asked.command) {
        (Some(argv), None) => argv,
        (None, Some(command)) => vec!["bash".into(), "-c".into(), command],
        _ => return Err(Problem::field("argv", "needs either argv or command")),
    };
    let stdin = STANDARD.decode(asked.stdin.trim());
    let stdin = stdin.map_err(|error| Problem::field("stdin", format!("stdin is no base64: {error}")))?;
    let seconds = asked.timeout_seconds.unwrap_or(SECONDS);
    if !seconds.is_finite() || seconds <= 0.0 {
        return Err(Problem::field("timeout_seconds", "timeout_seconds must be a number above 0"));
    }
    let request = ExecRequest {
        argv,
        stdin,
        env: asked.env.into_iter().collect(),
        cwd: asked.cwd,
        wall_seconds: Some(seconds.min(MOST_SECONDS)),
        output_bytes: Some(asked.output_bytes.unwrap_or(MOST_OUTPUT).min(MOST_OUTPUT)),
        cancel: None,
    };
    Ok(json_response(200, &Ran::of(cell.exec(request).await?)))
}

impl Ran {
    fn of(step: SessionStep) -> Ran {
        let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let bytes = error.as_bytes();
                (String::from_utf8_lossy(bytes).into_owned(), Some(STANDARD.encode(bytes)))
            }
        };
        let ((stdout, stdout_base64), (stderr, stderr_base64)) = (text(step.stdout), text(step.stderr));
        Ran {
            verdict: step.verdict,
            code: step.code,
            stdout,
            stderr,
            stdout_base64,
            stderr_base64,
            truncated: step.truncated,
            wall_seconds: step.wall_seconds,
            background: step.background,
            refused: step.refused,
        }
    }
}

/// What is known of a cell that lives.
#[derive(Serialize)]
struct Known {
    id: String,
    age_seconds: f64,
    idle_seconds: f64,
    commands: u64,
    refused: BTreeMap<String, u64>,
    /// Processes in the background.
    processes: u32,
    #[serde(flatten)]
    changes: Changes,
}

pub(super) async fn look(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Response {
    let looked = async {
        let cell = service.cells.find(&id)?;
        let look = |session: &mut Session| Ok((session.refused(), session.alive()?, session.changes()?));
        let (refused, processes, changes) = cell.with(look).await?;
        let (age_seconds, idle_seconds) = (cell.began.elapsed().as_secs_f64(), cell.idle.as_secs_f64());
        let commands = *lock(&cell.commands);
        Ok(json_response(200, &Known { id, age_seconds, idle_seconds, commands, refused, processes, changes }))
    };
    answer(Form::OpenAi, looked.await)
}

/// Ends a cell and the command under way in it: the record of all it did, changed files first.
pub(super) async fn end(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Response {
    let ended = async {
        let cell = service.cells.find(&id)?;
        lock(&service.cells.0).remove(&id);
        cell.cancel();
        let session = cell.session.lock().await.take();
        let session = session.ok_or_else(|| Problem::other(404, format!("the cell {id:?} was ended")))?;
        let record = tokio::task::spawn_blocking(move || session.finish()).await;
        let record = record.map_err(|_| Problem::machine("a mistake in the server"))?.map_err(problem_of)?;
        Ok(json_response(200, &json!({ "id": id, "commands": *lock(&cell.commands), "record": record })))
    };
    answer(Form::OpenAi, ended.await)
}

/// `path` of a query, and whether a word stands in it.
fn query(uri: &Uri, word: &str) -> Result<(String, bool), Problem> {
    let parts = || uri.query().unwrap_or_default().split('&');
    let path = parts().find_map(|part| part.strip_prefix("path=")).map(crate::decoded);
    let path = path.ok_or_else(|| Problem::field("path", "needs ?path="))?;
    let said =
        parts().any(|part| part == word || part.strip_prefix(word).is_some_and(|rest| rest == "=1" || rest == "=true"));
    Ok((path, said))
}

pub(super) async fn write(State(service): State<Arc<Service>>, Path(id): Path<String>, request: Request) -> Response {
    let written = async {
        let cell = service.cells.find(&id)?;
        let (path, executable) = query(request.uri(), "executable")?;
        let (parts, body) = request.into_parts();
        let (bytes, _held) = service.room.read(&parts.headers, body, MOST_FILE as usize, 1).await?;
        let size = bytes.len();
        cell.with(move |session| session.write_file(&path, &bytes, executable)).await?;
        Ok(json_response(200, &json!({ "size": size })))
    };
    answer(Form::OpenAi, written.await)
}

pub(super) async fn read(State(service): State<Arc<Service>>, Path(id): Path<String>, uri: Uri) -> Response {
    let read = async {
        let cell = service.cells.find(&id)?;
        let (path, list) = query(&uri, "list")?;
        if list {
            let (entries, whole) = cell.with(move |session| session.list(&path)).await?;
            let entries: Vec<Value> = entries.iter().map(entry).collect();
            return Ok(json_response(200, &json!({ "entries": entries, "whole": whole })));
        }
        let bytes = cell.with(move |session| session.get_file(&path, MOST_FILE)).await?;
        Ok(whole(200, "application/octet-stream", bytes))
    };
    answer(Form::OpenAi, read.await)
}

fn entry(entry: &FolderEntry) -> Value {
    json!({
        "name": escape_path(&entry.name), "name_base64": STANDARD.encode(&entry.name), "kind": entry.kind,
        "mode": entry.mode, "size": entry.size,
    })
}

pub(super) async fn remove(State(service): State<Arc<Service>>, Path(id): Path<String>, uri: Uri) -> Response {
    let removed = async {
        let cell = service.cells.find(&id)?;
        let (path, all) = query(&uri, "all")?;
        cell.with(move |session| session.remove(&path, all)).await?;
        Ok(json_response(200, &json!({})))
    };
    answer(Form::OpenAi, removed.await)
}
