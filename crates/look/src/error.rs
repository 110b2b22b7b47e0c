//! What can be wrong with what is to be looked into.

use std::path::PathBuf;

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Two models whose weights do not answer to each other.
    #[error(
        "{model} and {base} are no two states of one model: {what}; name as --against the model that {model} was trained from"
    )]
    Unlike {
        /// The model.
        model: String,
        /// What it was to be compared with.
        base: String,
        /// Where they differ.
        what: String,
    },
    /// A pattern that names no weights.
    #[error("no weights are named like {pattern:?}; names are those of the checkpoint, such as {example}")]
    NoWeights {
        /// The pattern.
        pattern: String,
        /// A name there is.
        example: String,
    },
    /// Too little of something to say anything.
    #[error("{0}")]
    TooFew(String),
    /// A file that is not what it should be.
    #[error("{path}: {what}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the way out.
        what: String,
    },
    /// Weights that are no numbers.
    #[error("{model}: {weights} holds something that is not a finite number; a model like that says nothing")]
    NotFinite {
        /// The model.
        model: String,
        /// The first such weights.
        weights: String,
    },
    /// A direction of another model.
    #[error(
        "{path} was made with another model: it holds the sum {found}, {model} has {wanted}; fit it anew with: \
         loophole look {model} --study direction --out DIR", path = path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The model at hand.
        model: String,
        /// The sum in the file.
        found: String,
        /// The sum of the model at hand.
        wanted: String,
    },
    /// Model files.
    #[error(transparent)]
    Model(#[from] loophole_lm::LmError),
}
