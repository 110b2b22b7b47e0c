//! The supervisor's end of the seccomp filter: what was refused, counted by name, and answered.
//!
//! See `seccomp_unotify(2)`. The caller of a refused system call waits until it is answered here, so the supervisor
//! listens as long as a program runs.

use crate::{enclosure::filter, sys};
use std::collections::BTreeMap;
use std::ffi::c_long;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

const RECEIVE: u64 = 0xC050_2100;
const SEND: u64 = 0xC018_2101;
const CONTINUE: u32 = 1;

/// From this many refusals (and calls let pass) on in one run, each answer takes a while: a program that hammers costs itself time, not us.
const PATIENT: u64 = 10_000;

#[repr(C)]
#[derive(Default)]
struct Notice {
    id: u64,
    pid: u32,
    flags: u32,
    nr: i32,
    arch: u32,
    pointer: u64,
    args: [u64; 6],
}

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// A call that waits for its answer.
pub(crate) struct Call {
    /// The process, by our number for it.
    pub(crate) pid: i32,
    /// Number of the call, and its arguments.
    pub(crate) nr: c_long,
    pub(crate) args: [u64; 6],
}

/// What a program was refused so far.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    counts: BTreeMap<i32, u64>,
    total: u64,
    /// Whether something may be left in the cell's network namespace.
    pub(crate) traces: bool,
    /// The program has a filter of its own, which may refuse calls before ours sees them.
    pub(crate) incomplete: bool,
}

impl Refused {
    pub(crate) fn names(&self) -> BTreeMap<String, u64> {
        self.counts.iter().map(|(nr, n)| (filter::name(c_long::from(*nr)), *n)).collect()
    }

    /// Counts one more answer, and holds it back if there were many.
    fn wait_a_while(&mut self) {
        self.total += 1;
        if self.total > PATIENT {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes one notice and answers it. `network` is whether the cell has namespaces of its own, of the network and of processes; `telling` hears of what is about to be done, `mark` of the program that waits
    /// to be watched; `change` does what concerns a file of the program's own, or says with which error it is refused.
    pub(crate) fn answer(
        &mut self,
        listener: &OwnedFd,
        secret: u64,
        network: bool,
        telling: &mut dyn FnMut(&Call),
        mark: &mut dyn FnMut(),
        change: &mut dyn FnMut(&Call) -> Result<(), i32>,
    ) -> io::Result<()> {
        let mut notice = Notice::default();
        // SAFETY: the kernel fills the zeroed structure it is given.
        let got = sys::check(i64::from(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, &raw mut notice) }));
        match got {
            // The caller is gone already, or a signal came: the next poll tells.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            other => other?,
        };
        let nr = c_long::from(notice.nr);
        let call = Call { pid: notice.pid.cast_signed(), nr, args: notice.args };
        let mut answer = Answer { id: notice.id, value: 0, error: -filter::refusal(nr), flags: 0 };
        let changed = if filter::is_metadata(nr) { change(&call) } else { Err(libc::EPERM) };
        if network && filter::leaves_traces(nr, &notice.args) {
            self.traces = true;
            self.wait_a_while();
            (answer.error, answer.flags) = (0, CONTINUE);
        } else if filter::told(nr).is_some_and(|told| network || !matches!(told, filter::Told::Signals { .. })) {
            telling(&call);
            (answer.error, answer.flags) = (0, CONTINUE);
        } else if filter::installs_filter(nr) {
            self.incomplete = true;
            (answer.error, answer.flags) = (0, CONTINUE);
        } else if changed != Err(libc::EPERM) {
            answer.error = changed.map_or_else(|number| -number, |()| 0);
        } else if filter::is_mark(nr) && secret != 0 && notice.args[5] == secret {
            mark();
            answer.error = 0;
        } else {
            *self.counts.entry(notice.nr).or_default() += 1;
            self.wait_a_while();
        }
        // SAFETY: a whole answer that lives through the call. That the caller is gone by now does not matter.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, &raw mut answer) };
        Ok(())
    }
}
