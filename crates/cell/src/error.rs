//! What can go wrong on this machine (never: what the program did, which is a [`Verdict`](crate::Verdict)).

use std::path::PathBuf;

/// A cell could not be made or used. Nothing is ever run unconfined instead.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The kernel (or a container around us) refuses a namespace that a cell is made of.
    #[error("this machine does not allow an isolated place for programs: {what}. {hint}")]
    NoNamespaces {
        /// What was refused, and with which error.
        what: String,
        /// What the reader can do about it.
        hint: String,
    },
    /// No Python interpreter was found.
    #[error("no usable python3: {what}. Install Python 3.9 or newer, or name one with `--python`")]
    NoPython {
        /// Where was looked and what happened.
        what: String,
    },
    /// The interpreter is too old to serve as a zygote.
    #[error("{} is Python {found}, but cells need 3.9 or newer; name a newer one with `--python`", path.display())]
    PythonTooOld {
        /// The interpreter.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// A program that cannot be placed in a cell as described (bad path, too large, NUL byte).
    #[error("the program cannot be placed in a cell: {0}")]
    BadProgram(String),
    /// A file of a session could not be written, read, listed or removed.
    #[error("{path}: {source}")]
    File {
        /// The path as it was asked for.
        path: String,
        /// What the kernel said, or why it was not asked.
        source: std::io::Error,
    },
    /// The session's bash has ended; no further command can run in it.
    #[error("the session has ended ({0}); start a new one")]
    SessionEnded(String),
    /// The machine failed (fork, memory, a dead zygote), twice in a row.
    #[error("the machine failed while running a cell: {0}")]
    Machine(String),
}

impl CellError {
    pub(crate) fn machine(what: &str, err: &std::io::Error) -> Self {
        CellError::Machine(format!("{what}: {err}"))
    }
}
