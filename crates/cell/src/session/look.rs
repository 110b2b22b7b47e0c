//! What a session's commands did to its files, told while it lives.
//!
//! All processes of the cell stand still while the supervisor looks: nothing changes under its eyes, and what it opens
//! itself is told apart from what they open. What they had closed to it is closed again before they go on.

use super::Session;
use crate::CellError;
use crate::types::{FileChange, Opened};
use crate::watch::descent::Keys;
use crate::watch::{state, tree};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long processes have to stop, and those that wait within the kernel.
const PATIENCE: Duration = Duration::from_secs(10);
const WAITS: Duration = Duration::from_millis(50);

/// The files of a session as they are now; see [`Session::changes`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Changes {
    /// As [`Record::files`](crate::Record::files).
    pub files: Vec<FileChange>,
    /// As [`Record::changes_truncated`](crate::Record::changes_truncated).
    pub changes_truncated: u64,
    /// As [`Record::opened`](crate::Record::opened), by the commands so far.
    pub opened: Vec<Opened>,
}

/// Processes that were stopped; they go on when it is dropped.
struct Stopped(BTreeSet<i32>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: plain system call on a process that was just stopped.
            unsafe { libc::kill(*pid, libc::SIGCONT) };
        }
    }
}

impl Session {
    /// Every difference between the files given and those in `/box` right now, and which of the watched files were opened
    /// so far. Processes in the background stand still meanwhile.
    ///
    /// # Errors
    /// [`CellError::Machine`] if the folder cannot be read, or its processes do not stop.
    pub fn changes(&mut self) -> Result<Changes, CellError> {
        if let Some(record) = &self.over {
            return Ok(Changes {
                files: record.files.clone(),
                changes_truncated: record.changes_truncated,
                opened: record.opened.clone(),
            });
        }
        let stopped = self.stop_all()?;
        let opened = self.running.as_mut().and_then(|running| running.watch.as_mut()).map(|watch| watch.so_far());
        let keys = Keys::lent();
        let found = state::look(self.folder()?, &self.program, &keys);
        drop(keys);
        self.was_us();
        drop(stopped);
        let found = found?;
        Ok(Changes { files: found.changes, changes_truncated: found.missed, opened: opened.unwrap_or_default() })
    }

    /// Does something with files that, should they be watched, is not told as an opening.
    pub(super) fn unseen<T>(&mut self, work: impl FnOnce(&Session) -> Result<T, CellError>) -> Result<T, CellError> {
        let watched = self.running.as_ref().and_then(|running| running.watch.as_ref());
        if watched.is_none_or(|watch| !watch.has_files()) {
            return work(self);
        }
        let stopped = self.stop_all()?;
        if let Some(watch) = self.running.as_mut().and_then(|running| running.watch.as_mut()) {
            watch.collect();
        }
        let done = work(self);
        self.was_us();
        drop(stopped);
        done
    }

    fn was_us(&mut self) {
        if let Some(watch) = self.running.as_mut().and_then(|running| running.watch.as_mut()) {
            watch.was_us();
        }
    }

    /// Stops bash and all that runs in the cell, until nobody is found who has not been stopped.
    fn stop_all(&self) -> Result<Stopped, CellError> {
        let zygote = self.zygote()?;
        let mut stopped = Stopped(BTreeSet::new());
        let began = Instant::now();
        loop {
            let alive = tree::below(zygote.pid).into_iter().filter(|p| !p.zombie && !zygote.is_its_own(p.pid));
            let moving: Vec<i32> = alive.map(|p| p.pid).filter(|pid| !tree::is_stopped(*pid)).collect();
            if moving.is_empty() {
                return Ok(stopped);
            }
            let waited = began.elapsed();
            // One that waits within the kernel (for a file, for a child that has its memory) stops before it goes on.
            let waits = |pid: &i32| stopped.0.contains(pid) && tree::state(*pid) == Some(b'D');
            if waited > WAITS && moving.iter().all(waits) {
                return Ok(stopped);
            }
            if waited > PATIENCE {
                return Err(CellError::Machine(format!("{} processes of a cell do not stop", moving.len())));
            }
            for pid in moving {
                if stopped.0.insert(pid) {
                    // SAFETY: plain system call on a process just seen below the cell.
                    unsafe { libc::kill(pid, libc::SIGSTOP) };
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
