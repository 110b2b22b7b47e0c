//! Run one untrusted program in a disposable, isolated place.
//!
//! Start a [`Pool`], describe a [`Program`], and [`Pool::run`] gives a [`Record`] of what it did:
//! how it ended, what it printed, what it used, every file it made or changed. The program is a
//! fork of a warm Python interpreter (the *zygote*) that lives behind namespaces, a read-only
//! root and a seccomp filter (the *outer cell*); each program gets a PID namespace, a `/box` and
//! a `/tmp` of its own, no capabilities, no network but loopback, limits on everything, and is gone with
//! all its processes before anything is read back. [`Pool::session`] gives a bash that lives for
//! several commands. Where isolation cannot be had, [`Pool::start`] refuses; nothing is ever run
//! unconfined. `docs/cells.md` tells how it works and what remains possible.
//!
//! The path through the code: [`Pool`] picks a zygote, `zygote` hands it the program, `zygote.py`
//! (inside) forks it and waits for its end, `watch` sees what it opened, was refused and left behind.
//! `enclosure` is what stands around all of them; `inside/` is the native part within.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![allow(unsafe_code, reason = "isolation is made of system calls")]

mod background;
mod doctor;
mod enclosure;
mod error;
mod pool;
mod session;
mod sys;
mod types;
mod verdict;
mod watch;
mod zygote;

pub use background::in_background;
pub use doctor::doctor;
pub use error::CellError;
pub use pool::Pool;
pub use session::{Changes, EXEC_OUTPUT, ExecRequest, FolderEntry, Session};
pub use types::*;
pub use watch::path::{escape as escape_path, unescape as unescape_path};
