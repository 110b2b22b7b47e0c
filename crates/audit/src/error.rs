//! What can keep an audit from being carried out.

use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Something the caller gave is no target, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The target is what it should be, but cannot be audited here or at all.
    #[error("not auditable here, because {0}")]
    NotAuditable(String),
    /// An exploit of the library that cannot be read.
    #[error("exploit {file}: {why}")]
    Exploit {
        /// File of `crates/audit/exploits`.
        file: String,
        /// What is wrong with it.
        why: String,
    },
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
    Cell(loophole_cell::CellError),
    /// Grading.
    #[error(transparent)]
    Grade(#[from] loophole_grade::GradeError),
    /// A tasks file.
    #[error(transparent)]
    Read(#[from] loophole_grade::ReadError),
    /// A log.
    #[error(transparent)]
    Log(#[from] loophole_log::LogError),
}

impl From<loophole_env::EnvError> for AuditError {
    fn from(error: loophole_env::EnvError) -> AuditError {
        use loophole_env::EnvError;
        match error {
            EnvError::Input(why) => AuditError::Input(why),
            EnvError::Unusable(why) => AuditError::NotAuditable(why),
            EnvError::Io { path, source } => AuditError::Io { path, source },
            EnvError::Cell(error) => AuditError::Cell(error),
            EnvError::Grade(error) => AuditError::Grade(error),
            EnvError::Read(error) => AuditError::Read(error),
        }
    }
}
