//! What goes into a cell and what comes out of it.

use crate::watch::path::{escape as escape_path, unescape};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    /// Further programs of this machine that cells may run, by path (a static binary, an interpreter
    /// in a place of its own); what they need is shown read-only.
    pub runtimes: Vec<PathBuf>,
    /// The kind of isolation; `None` is the strongest that this machine offers. [`Tier::None`] is
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
    /// Files given whose every opening is to be told in [`Record::opened`].
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
    /// program runs without: [`Record::proc`].
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

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It ended by itself, with [`Record::code`].
    Exit,
    /// A signal ended it that no limit explains.
    Signal,
    /// It used up its CPU time.
    Cpu,
    /// It used up its wall time.
    Wall,
    /// It failed for want of memory.
    Memory,
    /// It failed at the limit of processes.
    Pids,
    /// It wrote more output than allowed.
    Output,
    /// It failed because a file or its folder was full.
    Disk,
    /// The machine failed, not the program; nothing follows from this run.
    Machine,
}

/// The kind of isolation a record was made under, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// User, mount, PID, network, IPC and UTS namespaces, seccomp filter, limits.
    Namespaces,
    /// Landlock, seccomp filter, limits: for machines that forbid user namespaces. Weaker: the machine's
    /// processes and much of its file system can be seen to exist, though not read.
    Landlock,
    /// Limits only. The program can do whatever the user can who started it.
    None,
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Tier::Namespaces => "namespaces",
            Tier::Landlock => "landlock",
            Tier::None => "none",
        })
    }
}

/// What is known about a run, all of it observed from outside the program.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// How it ended.
    pub verdict: Verdict,
    /// Exit status, if it exited.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Standard output, at most `output_bytes` of it.
    #[serde(serialize_with = "lossy")]
    pub stdout: Vec<u8>,
    /// Standard error, at most `output_bytes` of it.
    #[serde(serialize_with = "lossy")]
    pub stderr: Vec<u8>,
    /// Whether output was cut.
    pub truncated: bool,
    /// CPU seconds, user and system, of the program and all it left behind.
    pub cpu_seconds: f64,
    /// Seconds from start to end.
    pub wall_seconds: f64,
    /// Largest resident size of one of its processes, in bytes (a fork of the zygote starts
    /// with what it shares with the zygote).
    pub peak_memory: u64,
    /// Every difference between the files given and the files found in `/box`, sorted by path. Files given, watched or
    /// asked for are always among them.
    pub files: Vec<FileChange>,
    /// How many more entries of `/box` there are, at least, that are not in `files`: it lists 20,000 of them, and 4 MiB of
    /// paths. Neither is known whether they are as they were given: only files of the caller's are looked at always.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_truncated: u64,
    /// Content of the files asked for in [`Program::read_back`] that exist as regular files, by path; those of a folder by
    /// its path, a slash and theirs below it.
    #[serde(skip)]
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Processes still alive when the program ended; they were killed.
    pub leftover_processes: u32,
    /// System calls that the filter refused, by name.
    pub refused: BTreeMap<String, u64>,
    /// The program installed a filter of its own, which hides what that refuses: `refused` may lack some.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused_incomplete: bool,
    /// Openings of the files of [`Program::watch`], in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<Opened>,
    /// What isolated it.
    pub tier: Tier,
    /// Whether it had a `/proc` of its own.
    pub proc: bool,
    /// Why the verdict is `machine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Record {
    /// Whether the program ended by itself with status 0 and within its limits.
    pub fn success(&self) -> bool {
        self.verdict == Verdict::Exit && self.code == Some(0)
    }

    /// Why a program that did not succeed may have failed, beside what it printed itself: the calls that were refused.
    pub fn explain(&self) -> Option<String> {
        if self.success() || self.refused.is_empty() {
            return None;
        }
        let names: Vec<&str> = self.refused.keys().map(String::as_str).collect();
        let sockets = ["socket", "connect", "bind", "listen"].iter().any(|call| self.refused.contains_key(*call));
        let hint = match self.tier {
            Tier::Landlock if sockets => " (there are no sockets without user namespaces: `loophole doctor`)",
            _ => "",
        };
        Some(format!("refused: {}{hint}", names.join(", ")))
    }

    /// The last line of standard error that says something, and after it what was refused: how a failure is told in one
    /// line.
    pub fn last_words(&self) -> String {
        let text = self.stderr_text();
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
        let said = match self.explain() {
            Some(why) if last.is_empty() => why,
            Some(why) => format!("{last} [{why}]"),
            None => last.to_owned(),
        };
        // What needs `/proc` fails without a refused call.
        let misses = !self.success() && !self.proc && (last.contains("/proc/") || last.contains("/dev/fd"));
        if misses { format!("{said} [this cell has no /proc: `exec --proc` gives it one]") } else { said }
    }

    /// Standard output as text, invalid UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, invalid UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A watched file was opened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opened {
    /// The path as it was asked for.
    pub path: String,
    /// Seconds since the program's start.
    pub seconds: f64,
    /// Number of the process inside the cell; none if it could hide.
    pub process: Option<i32>,
    /// Its command line, or its name where that is long.
    pub command: Option<String>,
}

/// One file of `/box` that is not as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Path below `/box`, byte for byte; in JSON as [`escape_path`] writes it.
    #[serde(serialize_with = "escaped")]
    pub path: Vec<u8>,
    /// What happened to it.
    pub change: Change,
    /// What it is now (for a removed one: what it was).
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of a regular file, in hexadecimal; none for others and for those beyond the
    /// bounds of what is read.
    pub sha256: Option<String>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there before.
    Created,
    /// Content, kind or mode differ.
    Changed,
    /// It is gone.
    Removed,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link (never followed).
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device node.
    Device,
}

/// What is to be told of a session's commands while they run: [`SessionStep::events`].
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// A path that begins so is not opened to read what is there: the rest of it is said to the supervisor, who keeps
    /// with it what the files and processes were at that moment. The caller waits meanwhile.
    pub announce: String,
    /// Paths below `/box` that are looked at then.
    pub files: Vec<String>,
}

/// Something that a command is about to do: it is told before it is done, and the kernel may refuse it after that.
#[derive(Debug, Clone)]
pub struct Event {
    /// Seconds since the session's start.
    pub seconds: f64,
    /// Number of the process inside the cell.
    pub process: Option<i32>,
    /// What it is about to do.
    pub kind: EventKind,
}

/// What a command is about to do. Paths are as [`escape_path`] writes them, no link looked through; of files outside
/// `/box` and `/tmp` nothing is told.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// It says something to the supervisor.
    Announced(Box<Announcement>),
    /// It starts a program, wherever that is. A shell without a path for it may try several places.
    Executed {
        /// The program.
        path: String,
        /// Its words, the name first.
        words: Vec<String>,
        /// What was at the paths of [`Trace::files`], if one of them is started, or is the script of a shell.
        files: Option<BTreeMap<String, Option<Arc<Sample>>>>,
    },
    /// It opens a file, or makes a link there.
    Opened {
        /// The file.
        path: String,
        /// Whether it could write to it.
        writes: bool,
    },
    /// It gives a file another name, or one more.
    Moved {
        /// The name it has; empty if that is elsewhere.
        from: String,
        /// The new one; empty if that is elsewhere.
        to: String,
    },
    /// It removes a file or a folder.
    Removed {
        /// What is removed.
        path: String,
    },
    /// It sends a signal.
    Signalled {
        /// As `kill` takes it: a process, or a group of them.
        to: i32,
        /// The signal; 0 only asks whether it is there.
        signal: i32,
    },
}

/// What a process said to the supervisor, and how things stood at that moment.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// What was said.
    pub text: String,
    /// The command line of the process.
    pub words: Vec<String>,
    /// The script it is executing, if it is a shell and executes one.
    pub script: Option<Script>,
    /// Regular files of `/box` and `/tmp` that its command line names, by path.
    pub named: BTreeMap<String, Vec<u8>>,
    /// What was at the paths of [`Trace::files`].
    pub files: BTreeMap<String, Option<Arc<Sample>>>,
    /// How the processes did that are followed, by number.
    pub processes: BTreeMap<i32, Followed>,
}

/// A script that a shell is executing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its path in the cell; empty for the text after `-c`.
    pub path: String,
    /// Its content at that moment, bounded.
    pub content: Vec<u8>,
}

/// What was at a path at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What it is; a link is not followed.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Content, of a regular file.
    pub content: Option<Vec<u8>>,
}

/// How a process does that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Followed {
    /// It is there and not stopped.
    Runs,
    /// It is stopped.
    Stopped,
    /// It has ended.
    Gone,
}

/// How a session is set up.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Variables beside those every program has.
    pub env: Vec<(String, String)>,
    /// Files placed below `/box` beforehand.
    pub files: Vec<InputFile>,
    /// Limits; `wall_seconds` is not used, `output_bytes` holds for each command.
    pub limits: Limits,
    /// Seconds by the clock on the wall for each command.
    pub step_wall_seconds: f64,
    /// Whether commands have a terminal for input and output (both outputs then arrive as one).
    pub terminal: bool,
    /// As [`Program::proc`]; sessions have it unless told otherwise.
    pub proc: bool,
    /// As [`Program::watch`]. A process that is left in the background and opens anything between two commands waits
    /// for the next one: only then is there somebody to hear of it.
    pub watch: Vec<String>,
    /// What is to be told of the commands while they run; the same holds for processes in the background.
    pub trace: Option<Trace>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            env: Vec::new(),
            files: Vec::new(),
            limits: Limits::default(),
            step_wall_seconds: 10.0,
            terminal: false,
            proc: true,
            watch: Vec::new(),
            trace: None,
        }
    }
}

/// What one command of a session did.
#[derive(Debug, Clone)]
pub struct SessionStep {
    /// Standard output of this command.
    pub stdout: Vec<u8>,
    /// Standard error of this command.
    pub stderr: Vec<u8>,
    /// Whether one of them was cut.
    pub truncated: bool,
    /// Exit status as bash tells it.
    pub code: Option<i32>,
    /// `Exit`, `Wall`, `Output`, or how the whole session ended.
    pub verdict: Verdict,
    /// Seconds it took.
    pub wall_seconds: f64,
    /// Processes alive when it ended, beside bash itself.
    pub background: u32,
    /// System calls that the filter refused during this command, by name.
    pub refused: BTreeMap<String, u64>,
    /// What was told since the command before, in order, if the session has a [`Trace`].
    pub events: Vec<Event>,
    /// How many more events there were than are kept.
    pub events_missed: u64,
}

/// What is at a path of `/box`, read by the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of a regular file, in hexadecimal.
    pub sha256: Option<String>,
    /// What it is.
    pub kind: FileKind,
}

/// One line of what this machine offers.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was looked for.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do if it is missing.
    pub hint: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn escaped<S: Serializer>(path: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&escape_path(path))
}

fn lossy<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(bytes))
}
