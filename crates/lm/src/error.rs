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
    /// An edit of the residual stream is none, or is for another model.
    #[error("the edit of block {layer} {what}")]
    Edit {
        /// The block, from 0.
        layer: usize,
        /// What is wrong with it.
        what: String,
    },
    /// There is not the memory for it.
    #[error("{path}: {what} takes {need}, and {left} of memory are left; take a smaller one, or a machine with more")]
    Memory {
        /// The file that says so.
        path: PathBuf,
        /// What takes it.
        what: &'static str,
        /// How much, in words.
        need: String,
        /// How much there is, in words.
        left: String,
    },
    /// The threads to run a model on could not be started.
    #[error("{threads} threads cannot be started: {reason}; ask for fewer")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's error.
        reason: String,
    },
    /// The chat template is missing, is broken, or fails at what it does itself.
    #[error("chat template {path}: {what}")]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The chat template refuses this conversation, as some do whose roles do not take turns.
    #[error("chat template {path}: {what}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says against it.
        what: String,
    },
    /// The chat template makes more than there is room for, with whatever conversation.
    #[error("chat template {path}: {what}")]
    Bound {
        /// The file.
        path: PathBuf,
        /// Which bound it ran into.
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

/// Longest JSON file of a checkpoint that is read, but for the tokenizer and the index.
const LONGEST_JSON: u64 = 16 << 20;

/// Reads a small text file of a checkpoint.
pub(crate) fn read_text(path: &std::path::Path) -> Result<String, LmError> {
    loophole_foreign::read_text(path, LONGEST_JSON).map_err(LmError::io(path))
}

/// Reads the text of a JSON file of a checkpoint; the error names the field in which it breaks off.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(
    path: &std::path::Path,
    text: &str,
    hint: &str,
) -> Result<T, LmError> {
    serde_json::from_str(text).map_err(|error| {
        let field = loophole_foreign::json_field(text, error.line(), error.column());
        let what = match field {
            Some(field) => format!("field {:?}: {error}", field.chars().take(80).collect::<String>()),
            None => error.to_string(),
        };
        LmError::Broken { path: path.into(), what, hint: hint.into() }
    })
}

/// Whether so many bytes can be taken, asked before they are.
pub(crate) fn fits(path: &std::path::Path, what: &'static str, bytes: u128) -> Result<(), LmError> {
    let left = loophole_foreign::memory_available();
    if bytes <= u128::from(left) {
        return Ok(());
    }
    let said = |bytes: u128| loophole_foreign::bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
    let more = if bytes > u128::from(u64::MAX) { "more than " } else { "" };
    Err(LmError::Memory { path: path.into(), what, need: format!("{more}{}", said(bytes)), left: said(left.into()) })
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
