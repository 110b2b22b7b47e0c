use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{LogError, RunDir, json_bytes, read_json};

/// How far a watcher has come with the rollouts of another program's training: `watched.json`. It is written after all
/// that it speaks of, so that after a kill nothing is counted twice and nothing left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watched {
    /// The files that were read, by their path in the folder.
    pub files: BTreeMap<String, WatchedFile>,
    /// Of what the rollouts of each step are made, in order.
    pub steps: BTreeMap<u64, Vec<WatchedPart>>,
    /// The onset of hacking, once it was told.
    #[serde(default)]
    pub alarm: Option<u64>,
    /// Wall time of all sittings.
    #[serde(default)]
    pub seconds: f64,
}

/// A file of rollouts, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WatchedFile {
    /// Bytes read.
    pub bytes: u64,
    /// Length of the file then.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub modified: u64,
    /// SHA-256 of what was read.
    pub sha256: String,
    /// Rows of it that were read.
    pub rows: usize,
    /// Of those, rows that are no rollouts.
    #[serde(default)]
    pub broken: u64,
    /// Of those, rows for no task that is known.
    #[serde(default)]
    pub no_task: u64,
    /// Bytes of a last line that has no end yet.
    #[serde(default)]
    pub torn: u64,
    /// Why the rest of it cannot be read, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// Rollouts of one step that come from one file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WatchedPart {
    /// The file.
    pub file: String,
    /// How many.
    pub rollouts: usize,
    /// How many of them say what the training paid.
    #[serde(default)]
    pub scored: u64,
    /// What it paid them, added up.
    #[serde(default)]
    pub paid: f64,
    /// How many were paid for what does not solve their task.
    #[serde(default)]
    pub unearned: u64,
}

impl Watched {
    /// Rollouts that were graded.
    pub fn rollouts(&self) -> usize {
        self.steps.values().flatten().map(|part| part.rollouts).sum()
    }
}

impl RunDir {
    /// `watched.json`.
    pub fn watched_path(&self) -> PathBuf {
        self.root().join("watched.json")
    }

    /// Writes `watched.json`.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write_watched(&self, watched: &Watched) -> Result<(), LogError> {
        self.write_own("watched.json", &json_bytes(watched)?)
    }

    /// Reads `watched.json`; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_watched(&self) -> Result<Option<Watched>, LogError> {
        let path = self.watched_path();
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }
}
