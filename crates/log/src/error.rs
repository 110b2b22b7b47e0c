use std::path::{Path, PathBuf};

/// What can go wrong with a file of a run.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The reason of the system.
        source: std::io::Error,
    },
    /// A line or file that is not what it should be.
    #[error("{path}, line {line}: {why}; remove the line or restore the file from a copy")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A whole file that cannot be understood.
    #[error("{path} is not a readable {kind}: {why}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        kind: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A new run was to go where something already is.
    #[error("{0} already holds something; resume that run or choose another folder")]
    Exists(PathBuf),
    /// A folder that is no run.
    #[error("{0} is not the folder of a run (it has no recipe.toml)")]
    NotARun(PathBuf),
    /// The stored recipe was edited after the run began.
    #[error("{path} does not match the hash in its first line; a changed recipe needs a new run")]
    RecipeChanged {
        /// The recipe.
        path: PathBuf,
    },
    /// Another process writes there.
    #[error("{path} is being written by {}; wait until it has ended, or choose another output", holder(*pid))]
    Held {
        /// The output.
        path: PathBuf,
        /// The process, where it could be told.
        pid: Option<u32>,
    },
    /// A ledger that does not follow from its own lines.
    #[error(
        "{path}, line {line}: {why}; the ledger was edited or cut, so nothing beside it can be trusted: restore it from a copy, or {}",
        advice(path)
    )]
    Ledger {
        /// The ledger.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Files that are not as they were written.
    #[error("{path} is not as it was written: {}; restore what is named from a copy, or {remedy}", listed(problems))]
    Damaged {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, in the order of paths.
        problems: Vec<crate::Problem>,
        /// What else can be done.
        remedy: String,
    },
    /// Nothing of ours lies there.
    #[error("{0} is no folder or file of results; runs, batteries, graded files, audits and organisms made here are")]
    NotResults(PathBuf),
    /// A name that cannot be a folder.
    #[error("arm name {0:?} cannot be a folder name; use letters, digits, '-', '_' and '.', not starting with '.'")]
    ArmName(String),
    /// A value that cannot be written.
    #[error("cannot write {kind}: {why}")]
    Unwritable {
        /// What was to be written.
        kind: &'static str,
        /// Why it could not be.
        why: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".into(), |pid| format!("process {pid}"))
}

fn advice(path: &Path) -> String {
    format!("make the results again in another place than {}", path.parent().unwrap_or(path).display())
}

/// The first few problems in words.
fn listed(problems: &[crate::Problem]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        words.push(format!("and {} more (`loophole verify` names them all)", problems.len() - SHOWN));
    }
    words.join("; ")
}

impl LogError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn format(path: &Path, kind: &'static str, why: impl ToString) -> Self {
        Self::Format { path: path.to_path_buf(), kind, why: why.to_string() }
    }
}
