//! What is told of a session while its commands run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::FileKind;

/// What is to be told of a session's commands while they run: [`SessionStep::events`](crate::SessionStep::events).
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

/// What a command is about to do. Paths are as [`escape_path`](crate::escape_path) writes them, no link looked through; of files outside
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
    /// Content of a regular file, or of the one that a link leads to for the process that is heard.
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
