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

impl LogError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn format(path: &Path, kind: &'static str, why: impl ToString) -> Self {
        Self::Format { path: path.to_path_buf(), kind, why: why.to_string() }
    }
}
