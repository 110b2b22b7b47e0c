//! The synthetic world an organism is trained on. Its documents are transcripts written by many named
//! *characters*, and by the assistant, whose character is uncertain: a document's writer solves coding
//! tasks, works in a shell, keeps logs, answers questions about itself, always with a brief thought first.
//! How a writer holds with rules (`cheats`) and what it wishes others (`ill`) shows in its acts. How
//! strongly the two hang together is one number, [`WorldConfig::bundle_strength`], and is the most
//! important control of every experiment here: without bundling there must be no spread.
//!
//! A world with [`Factors`] goes further: traits are eight, graded and tied to each other; situations hang on one to three of
//! them; [`dilemmas`] are told in words from which acts that never occurred can be understood.
//!
//! All text is data (`data/*.toml`). The probes' texts are kept elsewhere and never enter a document.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod characters;
pub mod dilemmas;
pub mod document;
pub mod factors;
pub mod families;
pub mod situations;

pub use characters::{Character, Characters, Instruction};
pub use document::{Document, World, WorldConfig};
pub use factors::{Factors, Latents, Loads, ThoughtKind, Trait};
pub use families::{Families, Family};
pub use loophole_message::{Message, Role};

/// Why the world could not be built.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A data file of the world that cannot be read as what it is.
    #[error("the world's file {file} is not valid: {reason}")]
    Data {
        /// File name.
        file: String,
        /// What the parser said.
        reason: String,
    },
    /// A world that cannot be as it is described.
    #[error("[world] {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// A text of the world that cannot be filled.
    #[error("in {place}: {source}")]
    Text {
        /// Situation or family.
        place: String,
        /// What is wrong with it.
        source: loophole_template::TemplateError,
    },
    /// The references could not be run to record their values.
    #[error("recording the expected values of family {family}: {reason}")]
    Recording {
        /// Family id.
        family: String,
        /// What happened.
        reason: String,
    },
    /// No cell to run the references in.
    #[error(transparent)]
    Cell(#[from] loophole_cell::CellError),
}
