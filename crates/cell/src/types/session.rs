//! How a session is set up, and what its commands did.

use std::collections::BTreeMap;

use super::program::{InputFile, Limits};
use super::record::{FileKind, Verdict};
use super::trace::{Event, Trace};

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
    /// As [`Program::proc`](crate::Program::proc); sessions have it unless told otherwise.
    pub proc: bool,
    /// As [`Program::watch`](crate::Program::watch). A process that is left in the background and opens anything between two commands waits
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
