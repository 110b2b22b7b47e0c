//! What comes out of a cell.

use std::collections::BTreeMap;

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::watch::path::escape as escape_path;

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
    /// Content of the files asked for in [`Program::read_back`](crate::Program::read_back) that exist as regular files, by path; those of a folder by
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
    /// Openings of the files of [`Program::watch`](crate::Program::watch), in order.
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
