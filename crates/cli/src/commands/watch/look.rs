//! One look at the folder: every file that is new or has grown is read on from where it was left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loophole_env::{Submissions, Whole, row_files, whole_part};
use loophole_grade::{GradeError, ReadError, StreamError};
use loophole_log::{WatchedFile, hash_beginning};

use super::folder::Watching;
use super::{Means, steps};
use crate::leave;
use crate::output::Error;

/// While a training is followed, what was changed so lately is left for the next look: it is being written.
const SETTLED: Duration = Duration::from_millis(500);
/// Rows of a file that are told one by one.
const TOLD: u64 = 5;
/// Rollouts that wait at most until they are written down.
const WAITING: usize = 4096;

/// What was graded and is not written down yet, by step.
type Waiting = BTreeMap<u64, Vec<steps::Seen>>;

/// A file as it is found.
struct Found<'a> {
    name: &'a str,
    path: &'a Path,
    size: u64,
    modified: u64,
}

impl Watching<'_> {
    /// Looks once; whether there was something new.
    ///
    /// # Errors
    /// The folder cannot be listed; the machine cannot grade; the run cannot be written.
    pub fn look(&mut self, means: &Means<'_>) -> Result<bool, Error> {
        let folder = self.folder().to_path_buf();
        let cannot = |error: std::io::Error| Error::Cannot(format!("{}: {error}", folder.display()));
        let mut news = false;
        for path in row_files(&folder).map_err(cannot)? {
            if leave::asked() {
                break;
            }
            let name = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy().into_owned();
            // A file that is gone by now is none.
            let Ok(about) = std::fs::metadata(&path) else { continue };
            let since = about.modified().unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH).unwrap_or_default();
            let modified = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            let found = Found { name: &name, path: &path, size: about.len(), modified };
            let same = self.state.files.get(&name).is_some_and(|f| (f.size, f.modified) == (found.size, modified));
            // What was changed in the future was changed by another clock.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let fresh = now.checked_sub(since).is_some_and(|age| age < SETTLED);
            if about.is_file() && !same && !(self.follows() && fresh) {
                news |= self.look_at(means, &found)?;
            }
        }
        Ok(news)
    }

    /// Reads on in a file that has changed.
    fn look_at(&mut self, means: &Means<'_>, found: &Found<'_>) -> Result<bool, Error> {
        let name = found.name;
        let whole = whole_part(found.path);
        let (bytes, torn, unread) = match whole {
            Ok(Whole::All(bytes)) => (bytes, 0, None),
            Ok(Whole::UpTo(bytes, torn)) => (bytes, torn, None),
            Ok(Whole::Not(why)) => (0, found.size, Some(why.to_string())),
            Err(error) => (0, found.size, Some(error.to_string())),
        };
        let rewritten = match self.state.files.get(name) {
            Some(known) if known.bytes > 0 => {
                bytes < known.bytes || hash_beginning(found.path, known.bytes)? != known.sha256
            }
            _ => false,
        };
        if rewritten {
            self.forget(name)?;
        }
        let known = self.state.files.get(name).cloned().unwrap_or_default();
        // What was in work when it was left has no size.
        let read = known.bytes == bytes && known.size > 0;
        let now = WatchedFile { bytes, size: found.size, modified: found.modified, torn, unread, ..known };
        if read || bytes == 0 {
            self.state.files.insert(name.into(), now);
            self.keep()?;
            return Ok(rewritten);
        }
        let now = WatchedFile { sha256: hash_beginning(found.path, bytes)?, ..now };
        self.read(means, found, now)?;
        Ok(true)
    }

    fn read(&mut self, means: &Means<'_>, found: &Found<'_>, mut now: WatchedFile) -> Result<(), Error> {
        let opened = Submissions::open_part(found.path, Some(now.bytes), means.tasks, means.extract);
        let mut rows = match opened {
            Ok(rows) => rows,
            Err(error) => {
                now.unread = Some(error.to_string());
                // What could not be read is read again once it is another.
                self.state.files.insert(found.name.into(), WatchedFile { bytes: 0, ..now });
                return self.keep();
            }
        };
        rows.skip_rows(now.rows);
        let mut waiting = Waiting::new();
        let stream = loophole_grade::stream(means.lab, |task| means.graders.of(task), rows, means.jobs);
        for (_, item) in stream.of_sound_tasks() {
            if leave::asked() {
                // What waits is graded again when it is gone on with.
                return Ok(());
            }
            let error = match item {
                Ok((graded, known)) => {
                    let step = steps::step_in(&known).unwrap_or_else(|| self.no_step(found.name));
                    if let Ok(number) = i32::try_from(step) {
                        let full = waiting.values().map(Vec::len).sum::<usize>() >= WAITING;
                        if full || (!waiting.is_empty() && !waiting.contains_key(&step)) {
                            self.add(found.name, std::mem::take(&mut waiting), in_work(&now))?;
                        }
                        waiting.entry(step).or_default().push(steps::seen(graded, known, number));
                        now.rows += 1;
                        continue;
                    }
                    let why = format!("a step is at most {}, and this is {step}", i32::MAX);
                    StreamError::Read(ReadError::Line { path: found.name.into(), line: now.rows + 1, why })
                }
                Err(error) => error,
            };
            match &error {
                // No other row would fare better.
                StreamError::Grade { error: GradeError::NoPytest, .. } => return Err(GradeError::NoPytest.into()),
                StreamError::Read(ReadError::Io { error, .. }) => {
                    now.unread = Some(error.to_string());
                    // It is looked at again once it is another.
                    now.bytes = 0;
                    break;
                }
                StreamError::Read(ReadError::NoTask { .. }) => now.no_task += 1,
                _ => now.broken += 1,
            }
            now.rows += 1;
            if now.broken + now.no_task <= TOLD {
                self.output().warn(&match &error {
                    StreamError::Grade { .. } => format!("{}, {error}", found.path.display()),
                    StreamError::Read(_) => error.to_string(),
                });
            }
        }
        self.add(found.name, waiting, now)
    }
}

/// A file as it is while the rest of it is still to be graded.
fn in_work(now: &WatchedFile) -> WatchedFile {
    WatchedFile { size: 0, modified: 0, ..now.clone() }
}
