//! Why an environment cannot be opened, or not be used.

use std::path::PathBuf;

/// What keeps an environment from being used.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// What was named is no environment, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// It is what it should be, but needs what is not here, or does not answer.
    #[error("not usable here, because {0}")]
    Unusable(String),
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cells.
    #[error(transparent)]
    Cell(#[from] loophole_cell::CellError),
    /// Grading.
    #[error(transparent)]
    Grade(#[from] loophole_grade::GradeError),
    /// A tasks file.
    #[error(transparent)]
    Read(#[from] loophole_grade::ReadError),
}
