//! `POST /v1/grade`: submissions in batches, their records as `loophole grade --json` prints them.
//!
//! All cells work at one request. So that it does not stand in front of those of others, only a window of its
//! submissions is in the queue at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use loophole_env::{Extract, extract_in};
use loophole_grade::{Graded, Grader, GraderKind, Grading as Lab, Language, Submission, Task};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Service;
use crate::grading::{Grading, Limited, Question};
use crate::http::body::{SHAPED, few};
use crate::model::answer::Stream;
use crate::problem::{Form, Problem, json_response, whole};
use crate::queue::Deadline;
use crate::route::{answer, asked};

/// Most bytes of a batch.
const MOST_BATCH: usize = 256 << 20;
/// Most submissions of a batch, and most tasks.
const MOST_ROWS: usize = 65_536;
/// Submissions of one request that are in the queue at a time, for each piece of work the cells do at a time.
const WINDOW: usize = 4;

#[derive(Deserialize)]
struct Asked {
    /// Tasks in any form that `--tasks` reads; those of the server need not be repeated.
    #[serde(default, deserialize_with = "few::<MOST_ROWS, _, _>")]
    tasks: Vec<Box<RawValue>>,
    #[serde(deserialize_with = "few::<MOST_ROWS, _, _>")]
    submissions: Vec<Box<RawValue>>,
    #[serde(default)]
    grader: Option<String>,
    /// Weaknesses left open.
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    hardened: bool,
    #[serde(default = "yes")]
    label: bool,
    /// Answer with a record a line.
    #[serde(default)]
    stream: Streamed,
    /// Take the code out of completions (fences, thoughts) instead of taking them as code.
    #[serde(default)]
    extract: bool,
    #[serde(default)]
    deadline_seconds: Option<f64>,
    #[serde(default)]
    limits: Limited,
}

/// Whether a record is sent as soon as it is ready.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "stream must be true, false or \"unordered\"")]
enum Streamed {
    /// With those before it.
    InOrder(bool),
    Named(Unordered),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Unordered {
    Unordered,
}

impl Default for Streamed {
    fn default() -> Self {
        Streamed::InOrder(false)
    }
}

fn yes() -> bool {
    true
}

/// One submission.
#[derive(Deserialize)]
struct Row {
    task_id: String,
    completion: Option<String>,
    /// The language of the program that was handed in, where one is asked for.
    language: Option<String>,
    files: Option<BTreeMap<String, String>>,
}

/// The batch without its submissions.
struct Batch {
    tasks: HashMap<String, Arc<Task>>,
    grader: Option<String>,
    open: Vec<String>,
    hardened: bool,
    label: bool,
    extract: bool,
    deadline: Deadline,
    lab: Arc<Lab>,
    /// Tasks that cannot be read.
    bad: Vec<Bad>,
    /// Whether records go out in any order.
    unordered: bool,
}

/// A task that cannot be read: its submissions are told so, and the others are graded.
#[derive(Serialize)]
struct Bad {
    index: usize,
    /// None if it does not even have one.
    task_id: Option<String>,
    message: String,
}

impl Batch {
    fn task(&self, grading: &Grading, id: &str) -> Result<Arc<Task>, Problem> {
        let told = |bad: &Bad| format!("tasks[{}]: {}", bad.index, bad.message);
        let problem = |message| Problem { code: Some("bad_task"), ..Problem::other(422, message) };
        if let Some(bad) = self.bad.iter().find(|bad| bad.task_id.as_deref() == Some(id)) {
            return Err(problem(told(bad)));
        }
        let known = self.tasks.get(id).cloned().map_or_else(|| grading.task(id), Ok);
        known.map_err(|unknown| match self.bad.iter().find(|bad| bad.task_id.is_none()) {
            Some(bad) => problem(format!("{}; it may be one that cannot be read: {}", unknown.message, told(bad))),
            None => unknown,
        })
    }
}

/// The id that an object may have which is no task.
fn id_of(task: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(task).ok()?;
    ["id", "task_id", "problem_id", "question_id"].iter().find_map(|key| match fields.get(key)? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })
}

/// What came of one submission.
enum Done {
    /// With the part of the completion that was graded.
    Graded(Graded, Option<String>),
    Paid(Value),
    Broken(Value),
}

pub(super) async fn grade(State(service): State<Arc<Service>>, request: Request) -> Response {
    answer(Form::OpenAi, graded(service, request).await)
}

async fn graded(service: Arc<Service>, request: Request) -> Result<Response, Problem> {
    let (asked, held) = asked::<Asked>(&service, request, MOST_BATCH, SHAPED).await?;
    let deadline = asked.deadline_seconds.map_or(held.deadline, |seconds| held.deadline.within(seconds));
    let grading = service.grading()?;
    let lab = grading.limited(&asked.limits)?;
    // What is wrong for every submission is wrong with the request.
    Grader::choose(asked.grader.as_deref(), &asked.open, asked.hardened, GraderKind::Script)
        .map_err(|why| Problem { code: Some("bad_grader"), ..Problem::other(422, why) })?;
    let mut tasks: HashMap<String, Arc<Task>> = HashMap::new();
    let mut bad = Vec::new();
    for (index, task) in asked.tasks.iter().enumerate() {
        if let Ok(id) = serde_json::from_str::<String>(task.get()) {
            if let Err(problem) = grading.task(&id) {
                bad.push(Bad { index, task_id: Some(id), message: problem.message });
            }
            continue;
        }
        match loophole_env::parse_task(task.get()) {
            Err(message) => bad.push(Bad { index, task_id: id_of(task.get()), message }),
            Ok(task) => {
                if let Some(twice) = tasks.insert(task.id.clone(), Arc::new(task)) {
                    let message = "there are two tasks of this id".to_string();
                    bad.push(Bad { index, task_id: Some(twice.id.clone()), message });
                }
            }
        }
    }
    let Asked { grader, open, hardened, label, extract, submissions, stream, .. } = asked;
    let unordered = matches!(stream, Streamed::Named(Unordered::Unordered));
    let stream = unordered || matches!(stream, Streamed::InOrder(true));
    let batch = Batch { tasks, grader, open, hardened, label, extract, deadline, lab, bad, unordered };
    let tally = Tally::new(label);
    if stream {
        let (lines, body) = mpsc::channel::<Bytes>(64);
        tokio::spawn(async move {
            // Kept until the last line is sent.
            let _held = held;
            let mut to = To { tally, out: Out::Lines(lines) };
            let batch = Arc::new(batch);
            if each(&service, &batch, submissions, &mut to).await {
                let summary = to.tally.summary(&service, &batch.bad);
                to.out.send(summary).await;
            }
        });
        return Ok(whole(200, "application/x-ndjson", Body::new(Stream(body))));
    }
    let mut to = To { tally, out: Out::Kept(Vec::with_capacity(submissions.len())) };
    let batch = Arc::new(batch);
    each(&service, &batch, submissions, &mut to).await;
    let mut value = to.tally.summary(&service, &batch.bad);
    if let Out::Kept(records) = to.out {
        value["records"] = Value::Array(records);
    }
    Ok(json_response(200, &value))
}

/// Where records go.
struct To {
    tally: Tally,
    out: Out,
}

impl To {
    /// False if nobody wants it any more.
    async fn tell(&mut self, record: Value) -> bool {
        self.tally.count(&record);
        self.out.send(record).await
    }
}

enum Out {
    Kept(Vec<Value>),
    Lines(mpsc::Sender<Bytes>),
}

impl Out {
    /// False if nobody wants it any more.
    async fn send(&mut self, record: Value) -> bool {
        match self {
            Out::Kept(records) => {
                records.push(record);
                true
            }
            Out::Lines(lines) => lines.send(format!("{record}\n").into()).await.is_ok(),
        }
    }
}

/// Grades all submissions and hands on their records, in order unless any will do; false if nobody wanted them to the end.
async fn each(service: &Arc<Service>, batch: &Arc<Batch>, submissions: Vec<Box<RawValue>>, to: &mut To) -> bool {
    let all = submissions.len();
    let mut rest = submissions.into_iter().enumerate();
    let mut ready: BTreeMap<usize, Value> = BTreeMap::new();
    let mut told = vec![false; all];
    let mut next = 0;
    // Whoever is dropped with this leaves the queue.
    let mut working = JoinSet::new();
    let window = service.queue.jobs * WINDOW;
    loop {
        while working.len() < window
            && let Some((index, row)) = rest.next()
        {
            let (service, batch) = (service.clone(), batch.clone());
            working.spawn(async move { (index, one(&service, &batch, index, &row).await) });
        }
        while let Some(first) = ready.first_entry().filter(|first| batch.unordered || *first.key() == next) {
            let (index, record) = first.remove_entry();
            (next, told[index]) = (index + 1, true);
            if !to.tell(record).await {
                return false;
            }
        }
        match working.join_next().await {
            Some(Ok((index, done))) => {
                let record = match done {
                    Done::Graded(graded, extracted) => with(graded.record(index), extracted),
                    Done::Paid(record) | Done::Broken(record) => record,
                };
                ready.insert(index, record);
            }
            // A mistake of ours, told on stderr; the batch goes on, and the gap is filled at its end.
            Some(Err(_)) => {}
            None if rest.len() > 0 => {}
            None => break,
        }
    }
    for index in (0..all).filter(|index| !told[*index]) {
        let lost = || broken(index, None, &Problem::machine("a mistake in the server"));
        let record = ready.remove(&index).unwrap_or_else(lost);
        if !to.tell(record).await {
            return false;
        }
    }
    true
}

/// A record with what was taken of the completion.
fn with(mut record: Value, extracted: Option<String>) -> Value {
    if let Some(extracted) = extracted {
        record["extracted"] = extracted.into();
    }
    record
}

fn broken(index: usize, task: Option<&str>, problem: &Problem) -> Value {
    let code = problem.code.unwrap_or("bad_row");
    let again = problem.retry_after.is_some() || problem.status == 504;
    json!({ "task_id": task, "index": index, "error": { "code": code, "message": problem.message, "again": again } })
}

async fn one(service: &Arc<Service>, batch: &Batch, index: usize, row: &RawValue) -> Done {
    let row: Row = match serde_json::from_str(row.get()) {
        Ok(row) => row,
        Err(error) => return Done::Broken(broken(index, None, &Problem::other(422, error.to_string()))),
    };
    let id = row.task_id.clone();
    attempt(service, batch, index, row).await.unwrap_or_else(|problem| Done::Broken(broken(index, Some(&id), &problem)))
}

async fn attempt(service: &Arc<Service>, batch: &Batch, index: usize, row: Row) -> Result<Done, Problem> {
    let grading = service.grading()?;
    let task = batch.task(grading, &row.task_id)?;
    let language = row.language.as_deref().and_then(Language::parse);
    let (submission, extracted) = match (row.completion, row.files) {
        (Some(text), None) => {
            let mode = if batch.extract { Extract::Auto } else { Extract::None };
            let taken = extract_in(language, mode, &task, &text);
            let what = taken.what.clone();
            (taken.submission(), Some(what))
        }
        (None, Some(files)) => (Submission::Files(files), None),
        _ => return Err(Problem::other(422, "needs either `completion` or `files`")),
    };
    let grader = grading
        .grader(&task, batch.grader.as_deref(), &batch.open, batch.hardened)
        .map_err(|why| Problem { code: Some("bad_grader"), ..Problem::other(422, why) })?;
    let question = Question { lab: batch.lab.clone(), task, grader, submission };
    if batch.label {
        return service.grade(batch.deadline, question).await.map(|graded| Done::Graded(graded, extracted));
    }
    let paid = service.pay(batch.deadline, question).await?;
    Ok(Done::Paid(with(paid.record(&row.task_id, index), extracted)))
}

/// The summary that `loophole grade --json` ends with.
struct Tally {
    began: Instant,
    label: bool,
    count: u64,
    broken: u64,
    paid: u64,
    verdicts: BTreeMap<String, u64>,
    families: BTreeMap<String, u64>,
}

impl Tally {
    fn new(label: bool) -> Self {
        let (verdicts, families) = (BTreeMap::new(), BTreeMap::new());
        Tally { began: Instant::now(), label, count: 0, broken: 0, paid: 0, verdicts, families }
    }

    fn count(&mut self, record: &Value) {
        if record.get("error").is_some() {
            self.broken += 1;
            return;
        }
        self.count += 1;
        self.paid += u64::from(record["reward"].as_f64().is_some_and(|reward| reward > 0.0));
        for (field, counts) in [("verdict", &mut self.verdicts), ("family", &mut self.families)] {
            if let Some(name) = record[field].as_str() {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    fn summary(&self, service: &Service, bad: &[Bad]) -> Value {
        let per_second = self.count as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        let tier = service.grading.as_ref().map(|grading| grading.tier());
        let mut summary = json!({
            "submissions": self.count, "broken_lines": self.broken, "paid": self.paid, "per_second": per_second,
            "tier": tier,
        });
        if self.label {
            summary["verdicts"] = json!(self.verdicts);
            summary["families"] = json!(self.families);
        }
        if !bad.is_empty() {
            summary["bad_tasks"] = json!(bad);
        }
        json!({ "summary": summary })
    }
}
