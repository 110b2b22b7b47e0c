//! From what a person types to targets.

use crate::Environment;
use crate::callable::Callable;
use crate::cases::Cases;
use crate::command::{Command, RewardFrom};
use crate::files::{Folder, LARGEST_FILE};
use crate::foreign::{Caller, Foreign};
use crate::harbor::Harbor;
use crate::http::{Http, Openenv, Protocol};
use crate::project::{Choice, Project, is_project};
use crate::row::{Row, read_rows};
use crate::signature::Signature;
use crate::{EnvError, Hint};
use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Grader, GraderKind, Grading, GradingOptions, Task, Weakness};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that can be said about a target besides its name.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Kind of grader, for tasks in a file.
    pub kind: Option<String>,
    /// Weaknesses left open; all the kind has where this is empty.
    pub open: Vec<String>,
    /// Every weakness closed.
    pub hardened: bool,
    /// The interpreter of the cells.
    pub python: Option<PathBuf>,
    /// Wall seconds for one run of the grader.
    pub timeout: Option<f64>,
    /// The one task to audit with.
    pub task: Option<String>,
    /// Audit with every task instead of the first.
    pub all: bool,
    /// Tasks for a grader that was not made here: JSONL, passed on row by row.
    pub tasks: Option<PathBuf>,
    /// A submission that deserves the full reward.
    pub reference: Option<PathBuf>,
    /// In a folder: the file that a submission is.
    pub solution: Option<String>,
    /// Arguments of a callable.
    pub signature: Signature,
    /// What is said to an HTTP grader.
    pub protocol: Protocol,
    /// Where a command's reward is.
    pub reward_from: RewardFrom,
    /// The folder a command runs in (a copy of it).
    pub files: Option<PathBuf>,
}

impl Settings {
    /// Wall seconds for one run of a grader that was not made here.
    pub(crate) fn foreign_seconds(&self) -> f64 {
        self.timeout.unwrap_or(10.0)
    }

    /// Files that must not come along with a grader: they hold answers.
    fn answers(&self) -> Vec<&Path> {
        [&self.tasks, &self.reference].into_iter().flatten().map(PathBuf::as_path).collect()
    }
}

/// Opens a target.
///
/// # Errors
/// [`EnvError::Input`] if it is none, [`EnvError::Unusable`] if it needs what is not here.
pub fn open(target: &str, settings: &Settings) -> Result<Vec<Box<dyn Environment>>, EnvError> {
    // Rows come first: what is wrong with them is sooner seen than what is wrong with a folder.
    if let Some(spec) = target.strip_prefix("python:") {
        let rows = rows(target, settings)?;
        let python = settings.python.as_deref();
        let seconds = settings.foreign_seconds();
        let callable = Callable::open(spec, settings.signature, python, seconds, &settings.answers())?;
        return foreign(target, Arc::new(callable), rows, settings);
    }
    if let Some(opened) = crate::packaged::open(target, settings) {
        let (callable, rows) = opened?;
        return foreign(target, Arc::new(callable), chosen(target, rows, settings)?, settings);
    }
    if let Some(command) = target.strip_prefix("cmd:") {
        let rows = rows(target, settings)?;
        let (files, python) = (settings.files.as_deref(), settings.python.as_deref());
        let seconds = settings.foreign_seconds();
        let command = Command::open(command, files, settings.reward_from, python, seconds, &settings.answers())?;
        return foreign(target, Arc::new(command), rows, settings);
    }
    if target.starts_with("http://") || target.starts_with("https://") {
        let rows = rows(target, settings)?;
        if settings.protocol == Protocol::Openenv {
            let server = Openenv::open(target, settings.foreign_seconds())?;
            return foreign(target, Arc::new(server), rows, settings);
        }
        let http = Http::open(target, settings.protocol, settings.foreign_seconds())?;
        return foreign(target, Arc::new(http), rows, settings);
    }
    let path = Path::new(target);
    // A file of reward functions, as people name it.
    let python = target.rsplit_once(".py").filter(|(_, rest)| rest.is_empty() || rest.starts_with(':'));
    if python.is_some_and(|(stem, _)| Path::new(&format!("{stem}.py")).is_file()) {
        return open(&format!("python:{target}"), settings);
    }
    if path.is_file() {
        return open_tasks(target, path, settings);
    }
    if path.is_dir() {
        return open_folder(target, path, settings);
    }
    Err(EnvError::Input(format!(
        "{target}: no target. One is: a JSONL of tasks, a folder with task.toml (Harbor), a folder with tests and a \
         reference, a file of reward functions (FILE.py:FUNCTION), inspect:PACKAGE/TASK, \
         inspect:FILE.py@TASK, verifiers:NAME, verifiers:FOLDER, cmd:COMMAND {{submission}}, http://127.0.0.1:PORT/..."
    )))
}

/// The environments of a folder that is none itself: the folders in it that are, by name; nothing where it is one.
pub fn environments_in(target: &str) -> Option<Vec<String>> {
    let root = Path::new(target);
    let names = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let is_one = |path: &Path| {
        let test = |n: &String| n.ends_with(".py") && (n.starts_with("test_") || n.ends_with("_test.py"));
        path.join("task.toml").is_file() || names(path).iter().chain(&names(&path.join("tests"))).any(test)
    };
    if !root.is_dir() || is_one(root) {
        return None;
    }
    let inner = names(root).into_iter().filter(|n| !n.starts_with('.'));
    let found: Vec<String> = inner
        .map(|n| root.join(n))
        .filter(|path| path.is_dir() && is_one(path))
        .map(|path| path.display().to_string())
        .collect();
    (!found.is_empty()).then_some(found)
}

fn open_folder(target: &str, path: &Path, settings: &Settings) -> Result<Vec<Box<dyn Environment>>, EnvError> {
    let folder = Folder::read(path)?;
    let python = settings.python.as_deref();
    if folder.files.contains_key("task.toml") {
        let seconds = settings.timeout.unwrap_or(30.0);
        return Ok(vec![Box::new(Harbor::open(path, folder, python, seconds)?)]);
    }
    if is_project(&folder) {
        let choice = Choice {
            kind: settings.kind.as_deref(),
            solution: settings.solution.as_deref(),
            reference: settings.reference.as_deref(),
            python,
            seconds: settings.timeout.unwrap_or(5.0),
        };
        let lab = lab(GraderKind::Humaneval, settings, 3.0)?;
        return Ok(vec![Box::new(Project::open(target, folder, &choice, lab)?)]);
    }
    Err(EnvError::Input(format!(
        "{target}: no environment: it holds neither a task.toml (Harbor) nor tests (test_*.py, *_test.py)"
    )))
}

/// The tasks that the owner of a grader gives with it.
fn rows(target: &str, settings: &Settings) -> Result<Vec<Row>, EnvError> {
    let rows: Vec<Row> = match (&settings.tasks, &settings.reference) {
        (Some(path), _) => read_rows(path)?,
        (None, Some(path)) => {
            let text = loophole_foreign::read_text(path, LARGEST_FILE)
                .map_err(|e| EnvError::Input(format!("{}: {e}", path.display())))?;
            vec![Row::bare(text)]
        }
        (None, None) => {
            return Err(EnvError::Input(format!(
                "{target}: say what deserves the full reward: --tasks FILE (JSONL; each row has a reference, and is \
                 passed on to the grader) or --reference FILE (one submission)"
            )));
        }
    };
    chosen(target, rows, settings)
}

/// The rows that are to be audited with.
fn chosen(target: &str, mut rows: Vec<Row>, settings: &Settings) -> Result<Vec<Row>, EnvError> {
    if let Some(id) = &settings.task {
        rows.retain(|r| r.id().as_ref() == Some(id));
        if rows.is_empty() {
            return Err(EnvError::Input(format!("{target}: no task {id:?} among its tasks")));
        }
    } else if !settings.all {
        rows.truncate(1);
    }
    Ok(rows)
}

/// A grader that was not made here, with the tasks its owner gives.
fn foreign(
    target: &str,
    caller: Arc<dyn Caller>,
    rows: Vec<Row>,
    settings: &Settings,
) -> Result<Vec<Box<dyn Environment>>, EnvError> {
    let tasks: Vec<Task> = rows.iter().filter_map(|r| r.task.clone()).collect();
    let lab = match tasks.as_slice() {
        [] => None,
        some => Some(Arc::new(lab(GraderKind::fitting(some), settings, 0.0)?)),
    };
    rows.into_iter()
        .map(|row| Ok(Box::new(Foreign::new(caller.clone(), target, row, lab.clone())?) as Box<dyn Environment>))
        .collect()
}

fn open_tasks(target: &str, path: &Path, settings: &Settings) -> Result<Vec<Box<dyn Environment>>, EnvError> {
    let read = crate::read::read_tasks(path)?;
    let told = format!("{}, the rest is not audited", read.told());
    let unread = (!read.broken.is_empty()).then_some(Hint { id: "rows-not-read", message: told });
    let mut tasks = read.tasks;
    if let Some(id) = &settings.task {
        tasks.retain(|t| t.id == *id);
        if tasks.is_empty() {
            return Err(EnvError::Input(format!("{target}: holds no task {id:?}")));
        }
    } else if !settings.all {
        tasks.truncate(1);
    }
    let mut with_graders = Vec::new();
    for task in tasks {
        let grader = grader(settings, std::slice::from_ref(&task))?;
        if grader.kind == GraderKind::Stdio && !task.is_program() {
            let id = &task.id;
            return Err(EnvError::Input(format!("task {id:?} asks for a function, and the kind stdio runs programs")));
        }
        with_graders.push((task, grader));
    }
    let cases = with_graders.iter().map(|(task, _)| task.cases().count()).max().unwrap_or(1);
    // A grader that forgives slow tests must have the time to: half a second for each.
    let forgiving = with_graders.iter().any(|(_, grader)| grader.is_open(Weakness::Resource));
    let kind = with_graders.first().map_or(GraderKind::Script, |(_, grader)| grader.kind);
    // One that times a slow baseline, too.
    let timed = if kind == GraderKind::Speed { SLOW } else { 0.0 };
    let lab = Arc::new(lab(kind, settings, timed + if forgiving { 0.5 * cases as f64 } else { 0.0 })?);
    let made = with_graders.into_iter().map(|(task, grader)| {
        let cases = Cases::new(lab.clone(), target, task, grader).with_hints(unread.clone());
        Box::new(cases) as Box<dyn Environment>
    });
    Ok(made.collect())
}

/// Seconds more for graders that time a slow baseline as well.
pub const SLOW: f64 = 8.0;

/// A lab for a grader of that kind, with tight limits, since some submissions never end; `more` seconds on top of
/// [`Settings::timeout`].
///
/// # Errors
/// No cells here.
pub fn lab(kind: GraderKind, settings: &Settings, more: f64) -> Result<Grading, EnvError> {
    let cells = Grading::cells(kind);
    // The control that hangs only waits: beside it the others are to have all processors.
    let pool = Pool::start(PoolOptions { python: settings.python.clone(), cells: cells.cells + 1, ..cells })?;
    let wall_seconds = settings.timeout.unwrap_or(2.0) + more;
    let options = GradingOptions { cpu_seconds: wall_seconds, wall_seconds, ..GradingOptions::default() };
    Ok(Grading::with(Arc::new(pool), options))
}

/// The grader that the settings ask for.
///
/// # Errors
/// [`EnvError::Input`] names the kind or the weakness that there is none of.
pub fn grader(settings: &Settings, tasks: &[Task]) -> Result<Grader, EnvError> {
    let fitting = GraderKind::fitting(tasks);
    Grader::choose(settings.kind.as_deref(), &settings.open, settings.hardened, fitting).map_err(EnvError::Input)
}
