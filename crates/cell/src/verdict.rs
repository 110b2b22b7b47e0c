//! From what was observed to the name of how a program ended.

use crate::enclosure::group::Hits;
use crate::types::{Limits, Verdict};
use crate::zygote::wire::Ended;

/// Why a program was told to end.
pub(crate) const WALL: u8 = 1;
/// It had used up its CPU time.
pub(crate) const CPU: u8 = 2;
/// It filled its folder (weaker tiers, where nothing bounds it).
pub(crate) const DISK: u8 = 3;

/// The kernel made room, and not only by ending the program.
pub(crate) const MEMORY: u8 = 4;

/// What is known about an end.
pub(crate) struct Facts<'a> {
    pub(crate) ended: &'a Ended,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// More output than allowed.
    pub(crate) truncated: bool,
    /// A file or a folder is full.
    pub(crate) full: bool,
    /// Limits of the control group hit in this run.
    pub(crate) hits: Hits,
    pub(crate) stderr: &'a [u8],
    pub(crate) limits: &'a Limits,
}

impl Facts<'_> {
    /// Only a program that failed by itself is asked what it failed for; then what it says on standard error counts,
    /// as the choice is only between names of failure.
    pub(crate) fn verdict(&self) -> Verdict {
        // One that was told to end, but had ended by itself just before, ended by itself.
        let reason = if self.code.is_some() { 0 } else { self.ended.killed };
        let killed = reason != 0;
        let failed = killed || self.code != Some(0);
        if (self.hits.memory > 0 && failed) || self.ended.killed == MEMORY {
            return Verdict::Memory;
        }
        if (self.ended.crowded || self.hits.pids > 0) && failed {
            return Verdict::Pids;
        }
        if self.truncated {
            return Verdict::Output;
        }
        match reason {
            WALL => return Verdict::Wall,
            CPU => return Verdict::Cpu,
            DISK => return Verdict::Disk,
            _ => {}
        }
        let near_limit = self.ended.peak_kib * 1024 >= self.limits.memory_bytes / 10 * 9;
        let used_up = self.ended.cpu_micros as f64 * 1e-6 >= self.limits.cpu_seconds;
        match (self.code, self.signal) {
            (Some(0), _) => Verdict::Exit,
            (_, Some(libc::SIGXCPU)) => Verdict::Cpu,
            (_, Some(libc::SIGKILL)) if used_up => Verdict::Cpu,
            (_, Some(libc::SIGXFSZ)) => Verdict::Disk,
            (_, Some(_)) if near_limit => Verdict::Memory,
            (_, Some(_)) => Verdict::Signal,
            _ if self.full => Verdict::Disk,
            _ if self.says(&["MemoryError", "annot allocate memory"]) => Verdict::Memory,
            _ if self.says(&["can't start new thread", "fork: retry", "Resource temporarily un"]) => Verdict::Pids,
            _ => Verdict::Exit,
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        let tail = &self.stderr[self.stderr.len().saturating_sub(300)..];
        let tail = String::from_utf8_lossy(tail);
        let last = tail.trim_end().lines().last().unwrap_or("");
        words.iter().any(|w| last.contains(w))
    }
}
