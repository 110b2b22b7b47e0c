//! What can go wrong with a model's files, said so that the reader knows what to do.

use std::path::PathBuf;

/// An error of the engine. Every message names the file and, where there is one, the tensor.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file that should be there is not.
    #[error("{path}: no such file; {hint}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is there and cannot be understood.
    #[error("{path}: {what}; {hint}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A tensor is missing or has another shape or type than the configuration says.
    #[error("{path}: tensor {tensor}: {what}; {hint}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The configuration describes a model that this engine does not run.
    #[error("{path}: {field}: {what}")]
    Config {
        /// The configuration file (or `config` for one made in code).
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong and which values work.
        what: String,
    },
    /// The threads to run a model on could not be started.
    #[error("{threads} threads cannot be started: {reason}; ask for fewer")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's error.
        reason: String,
    },
    /// The chat template is missing, broken, or refuses the conversation.
    #[error("chat template {path}: {what}")]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The tokenizer failed.
    #[error("tokenizer {path}: {what}")]
    Tokenizer {
        /// The file (or `tokenizer` for one made in code).
        path: PathBuf,
        /// What the tokenizer library said.
        what: String,
    },
}

impl LmError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> LmError + '_ {
        move |source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                LmError::Missing { path: path.into(), hint: "check the path".into() }
            } else {
                LmError::Io { path: path.into(), source }
            }
        }
    }
}
