//! The pool: warm zygotes of several kinds, each running one program at a time.

use crate::enclosure::ground;
use crate::enclosure::plan::{Plan, environment};
use crate::enclosure::python::Python;
use crate::session::Session;
use crate::types::{Entry, InputFile, PoolOptions, Program, Record, SessionOptions, Tier, Verdict};
use crate::watch::path::unescape;
use crate::zygote::{Setup, Zygote};
use crate::zygote::{imports, wire};
use crate::{CellError, sys};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a zygote has imported, and whether it tells of files opened. A program runs in the lightest that has what
/// it imports: each module more makes every fork dearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Flavour {
    /// [`PoolOptions::preload`].
    standard: bool,
    /// Bits by position in [`PoolOptions::warm`].
    warm: u32,
    watch: bool,
    /// One of [`Shared::checkpoints`].
    checkpoint: Option<usize>,
}

/// Zygotes ready to run programs. [`run`](Pool::run) blocks; call it from many threads.
pub struct Pool {
    shared: Arc<Shared>,
    version: (u32, u32, u32),
}

/// What sessions outlive their pool with.
pub(crate) struct Shared {
    options: PoolOptions,
    python: Python,
    cells: usize,
    tier: Tier,
    setups: Mutex<BTreeMap<Flavour, Arc<Setup>>>,
    /// The texts met so far.
    checkpoints: Mutex<Vec<Arc<str>>>,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Waiting zygotes, the longest unused first.
    idle: Vec<(Flavour, Zygote)>,
    /// Programs that run, by processor.
    running: Vec<usize>,
    pids: BTreeSet<i32>,
}

impl Pool {
    /// Starts the first zygote; more of them, and of other kinds, are started when they are needed.
    ///
    /// # Errors
    /// [`CellError::NoNamespaces`] where programs cannot be isolated, [`CellError::NoPython`] and
    /// [`CellError::PythonTooOld`] where no zygote can run, [`CellError::Machine`] otherwise.
    pub fn start(options: PoolOptions) -> Result<Pool, CellError> {
        let python = Python::find(options.python.as_deref(), &options.warm)?;
        let mut options = options;
        options.warm.retain(|module| python.has.contains(module));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut shared = Shared {
            tier: options.tier.unwrap_or(Tier::Namespaces),
            cells: if options.cells == 0 { cores + 1 } else { options.cells },
            setups: Mutex::default(),
            checkpoints: Mutex::default(),
            state: Mutex::new(State { running: vec![0; sys::processors().len()], ..State::default() }),
            freed: Condvar::new(),
            options,
            python,
        };
        // The one that starts soonest; what it is for, trivial programs and commands, is often the first thing that runs.
        let flavour = Flavour::default();
        let mut first = shared.make(flavour);
        if shared.options.tier.is_none()
            && matches!(first, Err(CellError::NoNamespaces { .. }))
            && ground::version() > 0
        {
            locked(&shared.setups).clear();
            shared.tier = Tier::Landlock;
            first = shared.make(flavour);
        }
        let first = first?;
        let version = shared.python.version;
        locked(&shared.state).idle.push((flavour, first));
        Ok(Pool { shared: Arc::new(shared), version })
    }

    /// Another pool with the same interpreter, made otherwise.
    ///
    /// # Errors
    /// As [`Pool::start`].
    pub fn like(&self, change: impl FnOnce(&mut PoolOptions)) -> Result<Pool, CellError> {
        let mut options = self.shared.options.clone();
        change(&mut options);
        Pool::start(options)
    }

    /// Runs one program and tells what is known about it. A failure of the machine is retried
    /// once in another place; after that the verdict is [`Verdict::Machine`].
    ///
    /// # Errors
    /// [`CellError::BadProgram`] for a program that cannot be placed, and errors of starting a
    /// zygote where one had to be made.
    pub fn run(&self, program: &Program) -> Result<Record, CellError> {
        validate(program)?;
        let flavour = self.shared.flavour(program);
        let mut reason = String::new();
        for _ in 0..2 {
            let mut place = self.shared.take(flavour)?;
            let result = place.zygote.as_mut().map(|z| z.run(program));
            match result {
                Some(Ok(record)) => {
                    if place.zygote.as_ref().is_some_and(|z| z.dead) {
                        place.discard();
                    }
                    return Ok(record);
                }
                Some(Err(e)) => {
                    // Whatever state it is in, it is not used again.
                    place.discard();
                    reason = e.to_string();
                }
                None => {}
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
            changes_truncated: 0,
            contents: BTreeMap::new(),
            leftover_processes: 0,
            refused: BTreeMap::new(),
            refused_incomplete: false,
            opened: Vec::new(),
            tier: self.shared.tier,
            proc: false,
            detail: Some(reason),
        })
    }

    /// Starts a bash in a cell of its own that lives for several commands.
    ///
    /// # Errors
    /// As for [`start`](Pool::start) and [`run`](Pool::run).
    pub fn session(&self, options: &SessionOptions) -> Result<Session, CellError> {
        Session::start(&self.shared, options)
    }

    /// The kind of isolation.
    pub fn tier(&self) -> Tier {
        self.shared.tier
    }

    /// Version of the interpreter.
    pub fn python_version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Process ids of the zygotes, as seen from outside.
    pub fn zygote_pids(&self) -> Vec<i32> {
        locked(&self.shared.state).pids.iter().copied().collect()
    }

    /// What guards the cells of this pool beside the limits of each process, for people.
    pub fn describe(&self) -> Vec<String> {
        let state = locked(&self.shared.state);
        let Some((_, zygote)) = state.idle.first() else { return Vec::new() };
        let counts =
            if zygote.counts_refusals() { "refused calls are counted" } else { "refused calls are not counted" };
        let group = zygote.bounds().unwrap_or_else(|| "no control group".to_owned());
        vec![format!("tier {}", zygote.tier), counts.to_owned(), group]
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The lightest kind of zygote for a program.
    fn flavour(&self, program: &Program) -> Flavour {
        let watch = !program.watch.is_empty();
        let bare = Flavour { watch, ..Flavour::default() };
        if self.options.shell_only || matches!(program.entry, Entry::Command(_)) {
            return bare;
        }
        if let Some(text) = &program.checkpoint {
            let mut known = locked(&self.checkpoints);
            let found = known.iter().position(|t| t == text);
            let checkpoint = found.unwrap_or_else(|| {
                known.push(Arc::clone(text));
                known.len() - 1
            });
            return Flavour { standard: true, checkpoint: Some(checkpoint), ..bare };
        }
        let own = program.files.iter().filter_map(|f| f.path.split(['/', '.']).next());
        let mut found = imports::Found::beside(own);
        if let Entry::Python(source) = &program.entry {
            found.scan(wire::begins(source, &self.options.prepared).1, &self.options.warm);
        }
        for file in program.files.iter().filter(|f| f.path.ends_with(".py")) {
            if let Ok(source) = std::str::from_utf8(&file.content) {
                found.scan(source, &self.options.warm);
            }
        }
        Flavour { standard: found.any, warm: found.warm, ..bare }
    }

    fn setup(&self, flavour: Flavour) -> Result<Arc<Setup>, CellError> {
        let mut setups = locked(&self.setups);
        if let Some(setup) = setups.get(&flavour) {
            return Ok(Arc::clone(setup));
        }
        let warm = self.options.warm.iter().enumerate().filter(|(i, _)| flavour.warm & 1 << i != 0);
        let standard = if flavour.standard { &self.options.preload[..] } else { &[] };
        let setup = Arc::new(Setup {
            plan: Plan::new(&self.python, &self.options)?,
            preload: standard.iter().chain(warm.map(|(_, m)| m)).cloned().collect(),
            checkpoint: flavour.checkpoint.map(|i| Arc::clone(&locked(&self.checkpoints)[i])),
            prepared: self.options.prepared.as_slice().into(),
            site: self.python.site.clone(),
            env: environment(&self.python),
            watch: flavour.watch,
            tier: self.tier,
        });
        setups.insert(flavour, Arc::clone(&setup));
        Ok(setup)
    }

    fn make(&self, flavour: Flavour) -> Result<Zygote, CellError> {
        if self.tier == Tier::Landlock && ground::version() == 0 {
            let what = "Landlock is asked for, but this kernel does not have it".to_owned();
            return Err(CellError::NoNamespaces {
                what,
                hint: "Linux 5.13 or newer with Landlock is needed".to_owned(),
            });
        }
        if self.tier != Tier::Namespaces && !self.options.roots.is_empty() {
            return Err(CellError::BadProgram("without namespaces a cell has no root of its own".to_owned()));
        }
        let zygote = Zygote::start(&*self.setup(flavour)?)?;
        locked(&self.state).pids.insert(zygote.pid);
        Ok(zygote)
    }

    /// A zygote of a kind, once fewer programs run than may.
    fn take(&self, flavour: Flavour) -> Result<Taken<'_>, CellError> {
        let mut state = locked(&self.state);
        while state.running.iter().sum::<usize>() >= self.cells {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let State { idle, running, .. } = &mut *state;
        // Among those of the kind the one whose processor has the least to do, else the one used last.
        let load = |zygote: &Zygote| zygote.processor.map_or(0, |p| running[p]);
        let of_kind = idle.iter().enumerate().rev().filter(|(_, (f, _))| *f == flavour);
        let found = of_kind.min_by_key(|(_, (_, z))| load(z)).map(|(i, _)| i);
        // The last of several: interrupts and who waits for the programs are mostly on the first.
        let least = (0..running.len()).rev().min_by_key(|p| running[*p]).unwrap_or(0);
        let own = found.and_then(|i| idle[i].1.processor).filter(|p| running[*p] == running[least]);
        let processor = own.unwrap_or(least);
        running[processor] += 1;
        let found = found.map(|i| idle.remove(i).1);
        drop(state);
        let mut taken = Taken { shared: self, flavour, processor, zygote: found };
        let mut zygote = taken.zygote.take().map_or_else(|| self.make(flavour), Ok)?;
        zygote.keep_on(processor);
        taken.zygote = Some(zygote);
        Ok(taken)
    }

    /// A zygote for a session, which runs beside the programs; one that tells of files opened, or not.
    pub(crate) fn for_session(&self, watch: bool) -> Result<Zygote, CellError> {
        let flavour = Flavour { watch, ..Flavour::default() };
        let mut state = locked(&self.state);
        let found = state.idle.iter().rposition(|(f, _)| *f == flavour).map(|i| state.idle.remove(i).1);
        drop(state);
        found.map_or_else(|| self.make(flavour), Ok)
    }

    /// Takes back a zygote that can run another program.
    pub(crate) fn give_back(&self, zygote: Zygote, watch: bool) {
        self.shelve(Flavour { watch, ..Flavour::default() }, Some(zygote), None);
    }

    pub(crate) fn forget(&self, pid: i32) {
        locked(&self.state).pids.remove(&pid);
    }

    fn shelve(&self, flavour: Flavour, zygote: Option<Zygote>, ran_on: Option<usize>) {
        let mut state = locked(&self.state);
        ran_on.into_iter().for_each(|p| state.running[p] -= 1);
        state.idle.extend(zygote.map(|z| (flavour, z)));
        // A few of each kind; those not used for longest go.
        let spare = (state.idle.len() > 4 * self.cells).then(|| state.idle.remove(0));
        if let Some((_, zygote)) = &spare {
            state.pids.remove(&zygote.pid);
        }
        drop(state);
        drop(spare);
        self.freed.notify_one();
    }
}

/// A zygote in use; it goes back whatever happens.
struct Taken<'a> {
    shared: &'a Shared,
    flavour: Flavour,
    processor: usize,
    zygote: Option<Zygote>,
}

impl Taken<'_> {
    fn discard(&mut self) {
        if let Some(z) = self.zygote.take() {
            self.shared.forget(z.pid);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.shared.shelve(self.flavour, self.zygote.take(), Some(self.processor));
    }
}

/// Refuses what cannot be placed, before any cell is involved.
pub(crate) fn validate(program: &Program) -> Result<(), CellError> {
    let bad = |what: String| Err(CellError::BadProgram(what));
    let words: &[OsString] = match &program.entry {
        Entry::Python(_) => &[],
        Entry::PythonFile(path) => {
            relative(path)?;
            &[]
        }
        Entry::Command(words) if words.is_empty() => return bad("an empty command".to_owned()),
        Entry::Command(words) => words,
    };
    let ends = |text: &OsStr| text.as_bytes().contains(&0);
    if let Some(w) = words.iter().chain(&program.args).find(|w| ends(w)) {
        return bad(format!("NUL byte in argument {w:?}"));
    }
    let texts = program.env.iter().map(|(_, value)| value.as_os_str()).chain(program.cwd.as_deref().map(OsStr::new));
    if let Some(text) = texts.into_iter().find(|text| ends(text)) {
        return bad(format!("NUL byte in {text:?}"));
    }
    if let Some((name, _)) =
        program.env.iter().find(|(name, _)| name.is_empty() || ends(name) || name.as_bytes().contains(&b'='))
    {
        return bad(format!("{name:?} cannot be the name of a variable"));
    }
    if program.checkpoint.is_some() && !matches!(program.entry, Entry::Python(_)) {
        return bad("a checkpoint needs Python source".to_owned());
    }
    let l = &program.limits;
    let times = [l.cpu_seconds, l.wall_seconds];
    if !times.iter().all(|t| t.is_finite() && *t > 0.0) || l.processes == 0 || l.memory_bytes == 0 {
        return bad(format!("limits must be positive: {l:?}"));
    }
    for path in program.watch.iter().chain(&program.read_back) {
        relative(path.strip_prefix("/box/").unwrap_or(path))?;
    }
    files(&program.files, &program.folders, l.file_bytes)
}

fn files(files: &[InputFile], folders: &[String], limit: u64) -> Result<(), CellError> {
    folders.iter().try_for_each(|path| relative(path))?;
    let mut seen = BTreeSet::new();
    let mut total = 0u64;
    for file in files {
        relative(&file.path)?;
        if !seen.insert(file.place()) {
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
    let place = unescape(path);
    let normal = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    if !place.split(|byte| *byte == b'/').all(normal) {
        return Err(CellError::BadProgram(format!("{path:?} is not a relative path below /box without `.` and `..`")));
    }
    if place.len() > 4000 || place.split(|byte| *byte == b'/').any(|name| name.len() > 255) {
        let shown: String = path.chars().take(40).collect();
        return Err(CellError::BadProgram(format!("the path {shown:?}... is longer than the system allows")));
    }
    Ok(())
}
