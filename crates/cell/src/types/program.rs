//! What goes into a cell.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::record::Tier;
use crate::watch::path::unescape;

/// How a [`Pool`](crate::Pool) is set up.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How many programs may run at once; 0 means cores + 1. Sessions do not count.
    pub cells: usize,
    /// The interpreter; `None` means that of the virtual environment that is active (`VIRTUAL_ENV`), else `python3` on
    /// `PATH`. One inside a virtual environment brings its site-packages along.
    pub python: Option<PathBuf>,
    /// Modules the zygote imports before any program is forked from it. A module that is not
    /// there is skipped.
    pub preload: Vec<String>,
    /// Heavier modules. A program that imports one runs in a fork of a zygote that has it, made
    /// at first use.
    pub warm: Vec<String>,
    /// Python texts that many programs begin with ([`Entry::Python`]), one or several after another: the zygote
    /// compiles them once, and runs each once to have what it imports. They only say sooner what the program says.
    pub prepared: Vec<String>,
    /// Only commands and sessions will run: nothing is preloaded.
    pub shell_only: bool,
    /// Further names in the root of a cell, each a link to the folder of that name below `/box`: with `app`
    /// here a program finds its `/box/app` as `/app` too. Names the root has already are refused.
    pub roots: Vec<String>,
    /// The same for names that are wanted where the root has them not already, and left out where it has.
    pub roots_if_free: Vec<String>,
    /// Further programs of this machine that cells may run, by path (a static binary, an interpreter
    /// in a place of its own); what they need is shown read-only.
    pub runtimes: Vec<PathBuf>,
    /// The kind of isolation; `None` is the strongest that this machine offers. [`Tier::None`](crate::Tier::None) is
    /// never taken unless named here.
    pub tier: Option<Tier>,
}

/// The modules of [`PoolOptions::warm`], where installed.
pub const DEFAULT_WARM: &[&str] = &["unittest", "pytest", "numpy"];

/// The modules small programs import most, light enough not to slow down those that do not.
pub const DEFAULT_PRELOAD: &[&str] = &[
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "heapq",
    "io",
    "itertools",
    "json",
    "linecache",
    "math",
    "operator",
    "os",
    "random",
    "re",
    "string",
    "textwrap",
    "time",
    "traceback",
    "typing",
];

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            cells: 0,
            python: None,
            preload: DEFAULT_PRELOAD.iter().map(|m| (*m).to_owned()).collect(),
            warm: DEFAULT_WARM.iter().map(|m| (*m).to_owned()).collect(),
            prepared: Vec::new(),
            shell_only: false,
            roots: Vec::new(),
            roots_if_free: Vec::new(),
            runtimes: Vec::new(),
            tier: None,
        }
    }
}

/// One untrusted program and what it is given.
#[derive(Debug, Clone)]
pub struct Program {
    /// What is run.
    pub entry: Entry,
    /// `sys.argv[1:]`, or further arguments of a command.
    pub args: Vec<OsString>,
    /// Variables beside those every program has.
    pub env: Vec<(OsString, OsString)>,
    /// The folder it starts in, absolute or relative to `/box`; none is `/box`.
    pub cwd: Option<String>,
    /// Files placed below `/box` beforehand.
    pub files: Vec<InputFile>,
    /// Folders made there beforehand, beside those that files lie in: paths as those of files.
    pub folders: Vec<String>,
    /// What standard input holds; then end of file.
    pub stdin: Vec<u8>,
    /// Limits.
    pub limits: Limits,
    /// Paths in `/box` whose content is wanted afterwards; of a folder, that of all files below.
    pub read_back: Vec<String>,
    /// Files given whose every opening is to be told in [`Record::opened`](crate::Record::opened).
    pub watch: Vec<String>,
    /// A Python text of the caller's own around [`Entry::Python`]: it runs as `__main__` in a warm interpreter up to
    /// where it calls `checkpoint()`. The program is forked there: in it the call runs the entry's source, in the same
    /// namespace, and returns. What it had open by then is `/dev/null` in the program. One such interpreter is kept
    /// for each text.
    pub checkpoint: Option<Arc<str>>,
    /// Once this is true the program is ended within a moment, as at its limit of wall time: nobody waits for it any
    /// more.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Whether it is to have a `/proc` with its own processes, and `/dev/fd`, `/dev/stdin`, `/dev/stdout`, `/dev/stderr`.
    /// It costs about a millisecond, and some of what the kernel tells there is the machine's. Where none can be had the
    /// program runs without: [`Record::proc`](crate::Record::proc).
    pub proc: bool,
}

impl Program {
    /// A program that runs Python source under the default limits.
    pub fn python(source: impl Into<String>) -> Self {
        Self::new(Entry::Python(source.into()))
    }

    /// A program that runs a command under the default limits.
    pub fn command<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::new(Entry::Command(argv.into_iter().map(Into::into).collect()))
    }

    /// A program with this entry, nothing else, and the default limits.
    pub fn new(entry: Entry) -> Self {
        Program {
            entry,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            files: Vec::new(),
            folders: Vec::new(),
            stdin: Vec::new(),
            limits: Limits::default(),
            read_back: Vec::new(),
            watch: Vec::new(),
            checkpoint: None,
            cancel: None,
            proc: false,
        }
    }

    /// The same program with a file more.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push(InputFile::new(path, content));
        self
    }
}

/// What is run.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Python source, run as `__main__` in a fork of the warm zygote, `sys.path[0] == "/box"`.
    Python(String),
    /// A file below `/box`, run as `__main__` in a fork of the warm zygote.
    PythonFile(String),
    /// A command, executed: `["bash", "-c", ".."]`, or a cold `python3`.
    Command(Vec<OsString>),
}

/// A file placed in `/box` before the program starts.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// Relative path below `/box`, without `..`. A name that is no UTF-8, or has a backslash, is written as
    /// [`escape_path`](crate::escape_path) writes it, here as everywhere.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether the mode is 0755 instead of 0644.
    pub executable: bool,
}

impl InputFile {
    /// A file that is not executable.
    pub fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        InputFile { path: path.into(), content: content.into(), executable: false }
    }

    /// Its path, byte for byte.
    pub(crate) fn place(&self) -> Vec<u8> {
        unescape(&self.path)
    }
}

/// What one program may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// CPU seconds of all its processes together (and of each one, rounded up).
    pub cpu_seconds: f64,
    /// Seconds by the clock on the wall, for everything.
    pub wall_seconds: f64,
    /// Bytes of address space of each process; where a control group can be had, also of all processes
    /// together (beside what `/box` and `/tmp` may hold).
    pub memory_bytes: u64,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Bytes of one file; `/box` and `/tmp` hold four times as much each.
    pub file_bytes: u64,
    /// Bytes kept of standard output, and of standard error.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cpu_seconds: 2.0,
            wall_seconds: 10.0,
            memory_bytes: 256 << 20,
            processes: 64,
            file_bytes: 16 << 20,
            output_bytes: 1 << 20,
        }
    }
}
