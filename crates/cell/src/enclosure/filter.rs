//! The seccomp filter: which system calls there are for a cell.
//!
//! One filter is installed before the zygote starts and holds for everything in the cell. It is a list of what is
//! allowed (`calls.rs`), some of it with some arguments only; what is younger than the list does not exist. What is
//! refused is told to the supervisor (`notify.rs`), which counts it and answers the caller with an error. The zygote
//! itself needs namespaces and mounts: for those the filter lets pass who knows a number, random for each cell, given in
//! a register that the kernel does not look at. That number is no lock: a program has lost the capabilities before its
//! first line. It lets a program's attempts be told from the zygote's calls without a filter more in every fork.

mod calls;
mod program;
mod rule;
mod sockets;
#[cfg(test)]
mod tests;

use calls::*;
use libc::{c_long, sock_filter};
use program::Table;
use rule::{Fate, Rule, Test, when};
use std::collections::BTreeMap;

pub(crate) use sockets::leaves_traces;

/// What a cell's filter is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Lets the zygote make namespaces and mounts; 0 for nobody.
    pub(crate) secret: u64,
    /// Refused calls are told to the supervisor (else only refused).
    pub(crate) notify: bool,
    /// Files opened, moved and removed, programs started and signals sent are told as well.
    pub(crate) watch: bool,
    /// Processes are numbered in a namespace of their own: 1 is the cell's.
    pub(crate) namespaces: bool,
    /// Something else keeps signals within the cell.
    pub(crate) signals: bool,
}

/// The filter of a cell.
pub(crate) fn outer(kind: Kind) -> Vec<sock_filter> {
    let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    let mut put = |tables: &[Calls], rule: &dyn Fn(c_long) -> Vec<Rule>| {
        for (_, nr) in tables.iter().copied().flatten() {
            rules.insert(*nr as u32, rule(*nr));
        }
    };
    let all = |fate: Fate| move |_: c_long| vec![Rule::always(fate)];
    let either = |allowed: bool| if allowed { Fate::Allow } else { Fate::Refuse };
    put(&[ALLOWED, ALLOWED_HERE, ALLOWED_YOUNG], &all(Fate::Allow));
    put(&[VOID, VOID_HERE], &all(Fate::Answer(0)));
    put(&[SILENT], &all(Fate::Answer(libc::ENOSYS)));
    put(
        &[REFUSED, REFUSED_HERE, REFUSED_YOUNG, ABSENT, ABSENT_HERE, ABSENT_OLD, ABSENT_YOUNG, MARK],
        &all(Fate::Refuse),
    );
    put(&[SOCKETS, SOCKET_OPTIONS], &|nr| sockets::rules(nr, kind.namespaces, kind.notify));
    put(&[SIGNALS], &all(either(kind.signals)));
    put(&[METADATA, METADATA_HERE], &all(either(kind.namespaces)));
    let guarded = |after: Fate| {
        let mut rules = vec![Rule::always(after)];
        if kind.secret != 0 {
            rules.insert(0, when(5, Test::Whole(kind.secret), Fate::Allow));
        }
        rules
    };
    put(&[GUARDED], &|_| guarded(Fate::Refuse));
    put(&[PARTLY, PARTLY_HERE], &|nr| {
        let mut rules = partly(nr, kind.namespaces);
        if nr == libc::SYS_seccomp && kind.secret != 0 {
            rules.insert(0, when(5, Test::Whole(kind.secret), Fate::Allow));
        }
        rules
    });
    if kind.watch && kind.notify {
        // Elsewhere they may be refused, which is told too.
        let signalling = if kind.namespaces { SIGNALLING } else { &[] };
        for (_, nr) in OPENING.iter().chain(CHANGING).chain(signalling) {
            rules.entry(*nr as u32).or_default().retain(|rule| !rule.tests.is_empty());
            rules.entry(*nr as u32).or_default().push(Rule::always(Fate::Tell));
        }
    }
    Table { rules, unknown: Fate::Refuse, notify: kind.notify }.assemble()
}

/// Added in each program where user namespaces could not be forbidden otherwise.
pub(crate) fn inner() -> Vec<sock_filter> {
    let refused = [libc::SYS_unshare, libc::SYS_setns].map(|nr| (nr as u32, vec![Rule::always(Fate::Refuse)]));
    Table { rules: refused.into(), unknown: Fate::Allow, notify: false }.assemble()
}

/// Name of a call.
pub(crate) fn name(nr: c_long) -> String {
    let found = ALL.iter().copied().flatten().find(|c| c.1 == nr);
    found.map_or_else(|| nr.to_string(), |c| c.0.trim_start_matches("SYS_").to_owned())
}

/// The error with which a call is refused.
pub(crate) fn refusal(nr: c_long) -> i32 {
    let is_in = |tables: &[Calls]| tables.iter().copied().flatten().any(|c| c.1 == nr);
    match nr {
        libc::SYS_preadv2 | libc::SYS_pwritev2 => libc::EOPNOTSUPP,
        _ if is_in(&[ABSENT, ABSENT_HERE, ABSENT_OLD, ABSENT_YOUNG]) || !is_in(ALL) => libc::ENOSYS,
        _ => libc::EPERM,
    }
}

/// Whether a call told to the supervisor is one that opens a file.
pub(crate) fn opens(nr: c_long) -> bool {
    OPENING.iter().any(|c| c.1 == nr)
}

/// What a call that is told, and then done, is about: numbers of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A path, and how it is opened; without flags, for writing.
    Opens { at: u8, flags: Option<u8> },
    /// A path, and the words of the program.
    Executes { at: u8, words: u8 },
    /// Two paths.
    Moves { from: u8, to: u8 },
    /// A path.
    Removes { at: u8 },
    /// A process and a signal.
    Signals { signal: u8 },
}

/// What a call is about, if it is one that is told and then done.
pub(crate) fn told(nr: c_long) -> Option<Told> {
    use Told::*;
    #[cfg(target_arch = "x86_64")]
    match nr {
        libc::SYS_open => return Some(Opens { at: 0, flags: Some(1) }),
        libc::SYS_creat => return Some(Opens { at: 0, flags: None }),
        libc::SYS_symlink => return Some(Opens { at: 1, flags: None }),
        libc::SYS_rename | libc::SYS_link => return Some(Moves { from: 0, to: 1 }),
        libc::SYS_unlink => return Some(Removes { at: 0 }),
        _ => {}
    }
    Some(match nr {
        libc::SYS_openat => Opens { at: 1, flags: Some(2) },
        libc::SYS_truncate => Opens { at: 0, flags: None },
        libc::SYS_symlinkat => Opens { at: 2, flags: None },
        libc::SYS_execve => Executes { at: 0, words: 1 },
        libc::SYS_execveat => Executes { at: 1, words: 2 },
        libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => Moves { from: 1, to: 3 },
        libc::SYS_unlinkat => Removes { at: 1 },
        libc::SYS_kill | libc::SYS_tkill => Signals { signal: 1 },
        libc::SYS_tgkill => Signals { signal: 2 },
        _ => return None,
    })
}

/// Whether the argument before a path is the folder it begins in.
pub(crate) fn folder_before(nr: c_long) -> bool {
    matches!(
        nr,
        libc::SYS_openat
            | libc::SYS_execveat
            | libc::SYS_renameat
            | libc::SYS_renameat2
            | libc::SYS_linkat
            | libc::SYS_unlinkat
            | libc::SYS_symlinkat
    )
}

/// Whether the path of such a call is its second argument, after a folder.
pub(crate) fn opens_at(nr: c_long) -> bool {
    matches!(nr, libc::SYS_openat | libc::SYS_execveat)
}

/// Whether a call told to the supervisor changes what is said about a file.
pub(crate) fn is_metadata(nr: c_long) -> bool {
    [METADATA, METADATA_HERE].into_iter().flatten().any(|c| c.1 == nr)
}

/// Whether a call told to the supervisor is the mark of a program that waits to be watched.
pub(crate) fn is_mark(nr: c_long) -> bool {
    nr == libc::SYS_syslog
}

/// Whether a call told to the supervisor installs a filter of the program's own.
pub(crate) fn installs_filter(nr: c_long) -> bool {
    matches!(nr, libc::SYS_seccomp | libc::SYS_prctl)
}

/// The filter as the bytes of an array of `struct sock_filter`.
pub(crate) fn bytes(filter: &[sock_filter]) -> Vec<u8> {
    filter
        .iter()
        .flat_map(|i| {
            let mut b = [0u8; 8];
            b[..2].copy_from_slice(&i.code.to_ne_bytes());
            b[2] = i.jt;
            b[3] = i.jf;
            b[4..].copy_from_slice(&i.k.to_ne_bytes());
            b
        })
        .collect()
}
