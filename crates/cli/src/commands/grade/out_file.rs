//! The file of records, which a kill leaves such that `--resume` goes on with it.

use std::path::{Path, PathBuf};

use loophole_log::{Kind, Ledger, LogError, Place};

use crate::output::Error;

/// The file asked for, written beside its place until it is whole.
pub struct OutFile {
    /// Through which it is written.
    pub ledger: Ledger,
    /// Its name.
    pub name: String,
    /// The name it has until it is whole.
    pub partial: String,
    /// Where it lies until then.
    pub path: PathBuf,
}

impl OutFile {
    /// Begins the file, or takes up one that was begun, with what is to be said about it.
    pub fn open(path: &Path, resume: bool) -> Result<(OutFile, Vec<String>), Error> {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Error::Input(format!("--out {}: name a file", path.display())));
        };
        let place = Place::file(Kind::Grade, path);
        if let Some(pid) = place.holder() {
            return Err(LogError::Held { path: path.into(), pid }.into());
        }
        let there = path.with_added_extension("partial");
        if resume && !there.exists() && path.exists() {
            return Err(Error::Input(format!("{} is finished: there is nothing to resume", path.display())));
        }
        let (ledger, notes) = if resume {
            Ledger::take_up(place, "grade again without --resume")?
        } else {
            let lock = place.lock()?;
            // What an earlier grading left is about the records that are replaced.
            for old in [&there, &path.with_added_extension("evidence")] {
                loophole_log::remove(old)?;
            }
            (Ledger::begin_held(place, lock)?, Vec::new())
        };
        let partial = format!("{name}.partial");
        ledger.append("", &partial, b"")?;
        Ok((OutFile { ledger, name, partial, path: there }, notes))
    }
}
