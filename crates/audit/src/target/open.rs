//! From what a person types to targets.

use super::{Target, cases::Cases};
use crate::AuditError;
use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Grader, GraderKind, Lab, LabOptions, Weakness, read_tasks};
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
}

/// Opens a target.
///
/// # Errors
/// [`AuditError::Input`] if it is none, [`AuditError::NotAuditable`] if it needs what is not here.
pub fn open(target: &str, settings: &Settings) -> Result<Vec<Box<dyn Target>>, AuditError> {
    let path = Path::new(target);
    if path.is_file() {
        return open_tasks(target, path, settings);
    }
    Err(AuditError::Input(format!(
        "{target}: no target. One is: a JSONL of tasks, a folder with task.toml (Harbor), a folder with tests and a \
         reference, python:FILE.py:FUNCTION, cmd:COMMAND {{submission}}, http://127.0.0.1:PORT/..."
    )))
}

fn open_tasks(target: &str, path: &Path, settings: &Settings) -> Result<Vec<Box<dyn Target>>, AuditError> {
    let mut tasks = read_tasks(path)?;
    if tasks.is_empty() {
        return Err(AuditError::Input(format!("{target}: holds no task")));
    }
    let grader = grader(settings, tasks.iter().any(|t| t.humaneval.is_some()))?;
    if let Some(id) = &settings.task {
        tasks.retain(|t| t.id == *id);
        if tasks.is_empty() {
            return Err(AuditError::Input(format!("{target}: holds no task {id:?}")));
        }
    } else if !settings.all {
        tasks.truncate(1);
    }
    if grader.kind == GraderKind::Stdio
        && let Some(task) = tasks.iter().find(|t| !t.stdio)
    {
        let id = &task.id;
        return Err(AuditError::Input(format!("task {id:?} asks for a function, and the kind stdio runs programs")));
    }
    let cases = tasks.iter().map(|t| t.cases().count()).max().unwrap_or(1);
    // A grader that forgives slow tests must have the time to: half a second for each.
    let forgiving = if grader.is_open(Weakness::Resource) { 0.5 * cases as f64 } else { 0.0 };
    let lab = Arc::new(lab(grader.kind, settings, forgiving)?);
    Ok(tasks
        .into_iter()
        .map(|task| Box::new(Cases::new(lab.clone(), target, task, grader.clone())) as Box<dyn Target>)
        .collect())
}

/// A lab for audits: tight limits, since some exploits never end.
pub(crate) fn lab(kind: GraderKind, settings: &Settings, more: f64) -> Result<Lab, AuditError> {
    let pool = Pool::start(PoolOptions {
        python: settings.python.clone(),
        preload: Lab::preload(kind),
        ..PoolOptions::default()
    })?;
    let wall_seconds = settings.timeout.unwrap_or(2.0) + more;
    let options = LabOptions { cpu_seconds: wall_seconds, wall_seconds, ..LabOptions::default() };
    Ok(Lab::with(Arc::new(pool), options))
}

/// The grader that the settings ask for.
pub(crate) fn grader(settings: &Settings, humaneval: bool) -> Result<Grader, AuditError> {
    let kind = match &settings.kind {
        Some(name) => GraderKind::parse(name).ok_or_else(|| {
            let known: Vec<&str> = GraderKind::ALL.iter().map(|k| k.name()).collect();
            AuditError::Input(format!("there is no grader kind {name:?}; known are {}", known.join(", ")))
        })?,
        None if humaneval => GraderKind::Humaneval,
        None => GraderKind::Script,
    };
    if settings.hardened {
        return Ok(Grader::hardened(kind));
    }
    if settings.open.is_empty() {
        return Ok(Grader::open(kind));
    }
    let open: Vec<Weakness> = settings
        .open
        .iter()
        .map(|name| {
            Weakness::parse(name).ok_or_else(|| {
                let known: Vec<&str> = kind.weaknesses().iter().map(|w| w.name()).collect();
                AuditError::Input(format!("{name:?} is no weakness of a {kind} grader; it has {}", known.join(", ")))
            })
        })
        .collect::<Result<_, _>>()?;
    Grader::with_only(kind, &open).map_err(AuditError::Input)
}
