//! The transcripts of files and folders, one after the other, as submissions with the place they came from.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use loophole_env::{Extract, Found, Known, Row, Submissions, Tasks};
use loophole_grade::{Job, ReadError};
use loophole_log::EvalSamples;
use serde_json::{Map, Value};

use super::transcript::{self, Fields, Kept};
use crate::output::Error;

/// Endings of the files that are read of a folder, before `.gz`.
const ENDINGS: [&str; 5] = ["eval", "json", "jsonl", "ndjson", "parquet"];
/// Largest JSON file of one transcript or log.
const LARGEST: u64 = 256 << 20;
/// Most files and folders that are looked through.
const MOST_FILES: usize = 100_000;
/// Largest file of an agent that is handed in, and most of them.
const LARGEST_KEPT: u64 = 1 << 20;
const MOST_KEPT: usize = 256;
/// What a trial of Harbor has beside its trajectory: one of these says which task it was.
const BESIDE: [&str; 2] = ["result.json", "config.json"];
/// Files of a trial or a job of Harbor that are no transcripts, and what says so.
const NO_TRANSCRIPTS: [&str; 5] = ["result.json", "config.json", "lock.json", "reward.json", "manifest.json"];

type Item<'t> = Result<Job<'t, Known>, ReadError>;

/// Transcripts that were read, with their places.
type Ready = VecDeque<(String, Result<Fields, String>)>;

enum Now<'t> {
    Rows(Box<Submissions<'t>>),
    Samples(Box<EvalSamples>),
    Ready(Ready),
}

/// The transcripts.
pub struct Sources<'t> {
    waiting: VecDeque<PathBuf>,
    path: String,
    now: Option<Now<'t>>,
    tasks: &'t Tasks,
    given: Submissions<'t>,
    extract: Extract,
    task: Option<String>,
}

impl<'t> Sources<'t> {
    /// Looks for the files; each is opened when it is its turn.
    ///
    /// # Errors
    /// A folder cannot be listed, or holds too much.
    pub fn open(
        paths: &[PathBuf],
        tasks: &'t Tasks,
        extract: Extract,
        task: Option<&str>,
    ) -> Result<Sources<'t>, Error> {
        let mut waiting = VecDeque::new();
        for path in paths {
            if path.is_dir() {
                waiting.extend(files_in(path).map_err(|e| Error::Input(format!("{}: {e}", path.display())))?);
            } else {
                waiting.push_back(path.clone());
            }
        }
        let given = Submissions::given(tasks, extract);
        let task = task.map(str::to_owned);
        Ok(Sources { waiting, path: String::new(), now: None, tasks, given, extract, task })
    }

    fn begin(&self, path: &Path) -> Result<Now<'t>, ReadError> {
        let name = path.display().to_string();
        let failed = |why: String| {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, why);
            ReadError::Io { path: name.clone(), error }
        };
        if !path.exists()
            && let Some(kept) = kept(path)
        {
            // Not every agent leaves a trajectory.
            let fields = transcript::of_atif(&Value::Null, &beside(path), Some(kept));
            return Ok(Now::Ready(VecDeque::from([(name, fields)])));
        }
        let mut head = Vec::new();
        let opened = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
        opened.map_err(|error| ReadError::Io { path: name.clone(), error })?;
        if head == b"PK\x03\x04" {
            let samples = EvalSamples::open(path).map_err(|error| failed(error.to_string()))?;
            return Ok(Now::Samples(Box::new(samples)));
        }
        if path.extension().is_some_and(|ending| ending == "eval") {
            return Err(failed("it is not a readable Inspect log: those are ZIP archives".into()));
        }
        if path.extension().is_some_and(|ending| ending == "json")
            && let Some(found) = whole(path, &name).map_err(failed)?
        {
            return Ok(Now::Ready(found));
        }
        let rows = Submissions::open_part(path, None, self.tasks, self.extract)?;
        Ok(Now::Rows(Box::new(rows)))
    }

    /// A transcript as a submission.
    fn job(&self, place: String, line: usize, fields: Result<Fields, String>) -> Item<'t> {
        let row = fields.and_then(|mut fields| {
            if let Some(task) = &self.task
                && !self.names_a_task(&fields)
            {
                fields.insert("task_id".into(), task.clone().into());
            }
            Row::parse(&Value::Object(fields).to_string())
        });
        let found = Found { path: place.clone(), line, file_number: None, row, size: 0, too_long: false };
        self.given.job(&found).map(|job| placed(job, place))
    }

    fn names_a_task(&self, fields: &Fields) -> bool {
        let names = ["task_id", "id", "question_id", "problem_id"].map(|name| fields.get(name).and_then(Value::as_str));
        self.tasks.tasks.iter().any(|task| names.contains(&Some(task.id.as_str())))
    }
}

impl<'t> Iterator for Sources<'t> {
    type Item = Item<'t>;

    fn next(&mut self) -> Option<Item<'t>> {
        loop {
            let found = match &mut self.now {
                None => {
                    let path = self.waiting.pop_front()?;
                    self.path = path.display().to_string();
                    match self.begin(&path) {
                        Ok(now) => self.now = Some(now),
                        Err(error) => return Some(Err(error)),
                    }
                    continue;
                }
                Some(Now::Rows(rows)) => match rows.next() {
                    Some(Ok(job)) => {
                        let place = format!("{}, line {}", self.path, job.line);
                        return Some(Ok(placed(job, place)));
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    None => None,
                },
                Some(Now::Samples(samples)) => samples.next().map(|(name, sample)| {
                    (format!("{}#{name}", self.path), sample.and_then(|sample| transcript::of_inspect(&sample)))
                }),
                Some(Now::Ready(ready)) => ready.pop_front(),
            };
            match found {
                Some((place, fields)) => return Some(self.job(place, 1, fields)),
                None => self.now = None,
            }
        }
    }
}

fn placed<'t>(mut job: Job<'t, Known>, place: String) -> Job<'t, Known> {
    job.with.columns.insert("place".into(), place.into());
    job
}

/// A JSON file that is a transcript, or a log of several; nothing where it holds rows.
fn whole(path: &Path, name: &str) -> Result<Option<Ready>, String> {
    let text = loophole_foreign::read_text(path, LARGEST).map_err(|error| error.to_string())?;
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    if value["schema_version"].as_str().is_some_and(|version| version.starts_with("ATIF-")) {
        let (beside, kept) = (beside(path), kept(path));
        return Ok(Some(VecDeque::from([(name.to_owned(), transcript::of_atif(&value, &beside, kept))])));
    }
    if value["eval"].is_object() && value["samples"].is_array() {
        let samples = value["samples"].as_array().into_iter().flatten().enumerate();
        let found = samples.map(|(at, sample)| (format!("{name}#samples/{at}"), transcript::of_inspect(sample)));
        return Ok(Some(found.collect()));
    }
    Ok(None)
}

/// What stands beside the trajectory of a trial (`TRIAL/agent/trajectory.json`).
fn beside(path: &Path) -> Vec<Value> {
    let folders = path.ancestors().skip(1).take(2).map(Path::to_path_buf);
    let files = folders.flat_map(|folder| BESIDE.map(|name| folder.join(name)));
    files.filter_map(|file| serde_json::from_str(&loophole_foreign::read_text(&file, LARGEST).ok()?).ok()).collect()
}

/// The solution among the artifacts of a trial (`TRIAL/artifacts/app/solution.py`), and the texts beside it.
fn kept(path: &Path) -> Option<Kept> {
    let artifacts = path.ancestors().skip(1).take(2).map(|folder| folder.join("artifacts")).find(|a| a.is_dir())?;
    let all = texts_in(&artifacts);
    let solution = all.iter().find(|path| path.file_name().is_some_and(|name| name == loophole_grade::SOLUTION))?;
    let folder = solution.parent()?;
    let mut files = Map::new();
    for path in all.iter().filter(|path| path.starts_with(folder)) {
        if let Ok(text) = loophole_foreign::read_text(path, LARGEST_KEPT) {
            files.insert(path.strip_prefix(folder).ok()?.to_string_lossy().into_owned(), text.into());
        }
    }
    let place = solution.strip_prefix(&artifacts).ok()?.to_string_lossy().into_owned();
    files.contains_key(loophole_grade::SOLUTION).then_some((place, files))
}

/// Files below a folder, few of them; links are none.
fn texts_in(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && folders.len() < MOST_KEPT => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && files.len() < MOST_KEPT => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The files of a folder and of those within it, by name; of a trial of Harbor its trajectory alone.
fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut folders, mut files, mut seen) = (vec![folder.to_path_buf()], Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        if folder.join("agent").is_dir() && BESIDE.iter().any(|name| folder.join(name).is_file()) {
            files.push(folder.join("agent/trajectory.json"));
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            seen += 1;
            if seen > MOST_FILES {
                return Err(loophole_foreign::too_large(format!("more than {MOST_FILES} files; name fewer")));
            }
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type()?;
            let bare = name.strip_suffix(".gz").unwrap_or(&name);
            if name.starts_with('.') {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if ENDINGS.iter().any(|ending| bare.ends_with(&format!(".{ending}")))
                && !NO_TRANSCRIPTS.contains(&name.as_str())
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
