//! The pool: as many zygotes as wanted, each running one program at a time.

use crate::CellError;
use crate::outer::{Plan, environment};
use crate::python::Python;
use crate::session::Session;
use crate::types::{Entry, InputFile, PoolOptions, Program, Record, SessionOptions, Tier, Verdict};
use crate::zygote::{Setup, Zygote};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A place waiting for a program; `None` where a zygote died and is to be replaced.
type Place = Option<Zygote>;

/// Zygotes ready to run programs. [`run`](Pool::run) blocks; call it from many threads.
pub struct Pool {
    setup: Arc<Setup>,
    version: (u32, u32, u32),
    free: Mutex<Vec<Place>>,
    freed: Condvar,
    pids: Mutex<BTreeSet<i32>>,
}

impl Pool {
    /// Starts the zygotes.
    ///
    /// # Errors
    /// [`CellError::NoNamespaces`] where programs cannot be isolated, [`CellError::NoPython`] and
    /// [`CellError::PythonTooOld`] where no zygote can run, [`CellError::Machine`] otherwise.
    pub fn start(options: PoolOptions) -> Result<Pool, CellError> {
        let python = Python::find(options.python.as_deref())?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cells = if options.cells == 0 { cores + 1 } else { options.cells };
        let setup = Setup {
            plan: Plan::new(&python, &options.roots)?,
            preload: if options.shell_only { Vec::new() } else { options.preload },
            site: python.site.clone(),
            env: environment(&python),
        };
        // The first one tells whether it works at all; the others start side by side.
        let first = Zygote::start(&setup)?;
        let rest: Result<Vec<Zygote>, CellError> = std::thread::scope(|s| {
            let starts: Vec<_> = (1..cells).map(|_| s.spawn(|| Zygote::start(&setup))).collect();
            starts
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err(CellError::Machine("a start panicked".into()))))
                .collect()
        });
        let mut zygotes = rest?;
        zygotes.push(first);
        Ok(Pool {
            setup: Arc::new(setup),
            version: python.version,
            pids: Mutex::new(zygotes.iter().map(|z| z.pid).collect()),
            free: Mutex::new(zygotes.into_iter().map(Some).collect()),
            freed: Condvar::new(),
        })
    }

    /// Runs one program and tells what is known about it. A failure of the machine is retried
    /// once in another place; after that the verdict is [`Verdict::Machine`].
    ///
    /// # Errors
    /// [`CellError::BadProgram`] for a program that cannot be placed, and errors of starting a
    /// zygote where one had to be replaced.
    pub fn run(&self, program: &Program) -> Result<Record, CellError> {
        validate(program)?;
        let mut reason = String::new();
        for _ in 0..2 {
            let mut place = self.take();
            let result = match &mut place.zygote {
                Some(z) => z.run(&self.setup, program),
                none => {
                    let z = none.insert(Zygote::start(&self.setup)?);
                    locked(&self.pids).insert(z.pid);
                    z.run(&self.setup, program)
                }
            };
            match result {
                Ok(record) => return Ok(record),
                Err(e) => {
                    // Whatever state it is in, it is not used again.
                    place.discard();
                    reason = e.to_string();
                }
            }
        }
        Ok(Record {
            verdict: Verdict::Machine,
            code: None,
            signal: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
            cpu_seconds: 0.0,
            wall_seconds: 0.0,
            peak_memory: 0,
            files: Vec::new(),
            contents: BTreeMap::new(),
            leftover_processes: 0,
            refused: BTreeMap::new(),
            tier: Tier::Namespaces,
            detail: Some(reason),
        })
    }

    /// Starts a bash in a cell of its own that lives for several commands.
    ///
    /// # Errors
    /// As for [`start`](Pool::start) and [`run`](Pool::run).
    pub fn session(&self, options: &SessionOptions) -> Result<Session, CellError> {
        Session::start(&self.setup, options)
    }

    /// Version of the interpreter.
    pub fn python_version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Process ids of the zygotes, as seen from outside.
    pub fn zygote_pids(&self) -> Vec<i32> {
        locked(&self.pids).iter().copied().collect()
    }

    fn take(&self) -> Taken<'_> {
        let mut free = locked(&self.free);
        loop {
            if let Some(zygote) = free.pop() {
                return Taken { pool: self, zygote };
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in use; it goes back whatever happens.
struct Taken<'a> {
    pool: &'a Pool,
    zygote: Place,
}

impl Taken<'_> {
    fn discard(&mut self) {
        if let Some(z) = self.zygote.take() {
            locked(&self.pool.pids).remove(&z.pid);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut free = locked(&self.pool.free);
        match self.zygote.take() {
            Some(z) => free.push(Some(z)),
            // A place to be filled is the last to be taken.
            None => free.insert(0, None),
        }
        drop(free);
        self.pool.freed.notify_one();
    }
}

/// Refuses what cannot be placed, before any cell is involved.
pub(crate) fn validate(program: &Program) -> Result<(), CellError> {
    let bad = |what: String| Err(CellError::BadProgram(what));
    let words: Vec<&String> = match &program.entry {
        Entry::Python(_) => Vec::new(),
        Entry::PythonFile(path) => {
            relative(path)?;
            Vec::new()
        }
        Entry::Command(words) if words.is_empty() => return bad("an empty command".to_owned()),
        Entry::Command(words) => words.iter().collect(),
    };
    if let Some(w) = words.into_iter().chain(&program.args).find(|w| w.contains('\0')) {
        return bad(format!("NUL byte in argument {w:?}"));
    }
    let l = &program.limits;
    let times = [l.cpu_seconds, l.wall_seconds];
    if !times.iter().all(|t| t.is_finite() && *t > 0.0) || l.processes == 0 || l.memory_bytes == 0 {
        return bad(format!("limits must be positive: {l:?}"));
    }
    files(&program.files, l.file_bytes)
}

fn files(files: &[InputFile], limit: u64) -> Result<(), CellError> {
    let mut seen = BTreeSet::new();
    let mut total = 0u64;
    for file in files {
        relative(&file.path)?;
        if !seen.insert(file.path.as_str()) {
            return Err(CellError::BadProgram(format!("two files are named {:?}", file.path)));
        }
        total += file.content.len() as u64;
    }
    if total > limit.saturating_mul(4) {
        return Err(CellError::BadProgram(format!(
            "{total} bytes of files do not fit; raise file_bytes above {}",
            total / 4
        )));
    }
    Ok(())
}

fn relative(path: &str) -> Result<(), CellError> {
    let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    let normal = !path.contains("//") && !path.ends_with('/') && !path.contains("/./");
    if path.is_empty() || !plain || !normal || path.contains('\0') {
        return Err(CellError::BadProgram(format!("{path:?} is not a relative path below /box without `.` and `..`")));
    }
    Ok(())
}
