//! In the fork, before it becomes the program.

use crate::calls::*;
use crate::head::*;
use crate::state::*;
use core::mem::size_of;

/// In the fork: gives up everything a program must not have. Zero, or below zero what failed.
#[unsafe(no_mangle)]
pub extern "C" fn cell_enter() -> i32 {
    const CPU: usize = 0;
    const FSIZE: usize = 1;
    const CORE: usize = 4;
    const NOFILE: usize = 7;
    const MEMLOCK: usize = 8;
    const AS: usize = 9;
    const SIGPENDING: usize = 11;
    const MSGQUEUE: usize = 12;
    let s = state();
    let (head, secret) = (s.head, core::mem::take(&mut s.secret));
    sys(nr::SETSID, 0, 0, 0, 0);
    if s.processors != [0; 16] {
        sys(nr::SCHED_SETAFFINITY, 0, size_of::<[u64; 16]>(), s.processors.as_ptr() as usize, 0);
    }
    if head.flags & NO_INPUT != 0 {
        let null = sys(nr::OPENAT, (-100isize) as usize, c"/dev/null".as_ptr() as usize, 0, 0);
        if null < 0 {
            return -7;
        }
        s.fds[1] = null as i32;
    }
    for i in 0..3 {
        if sys(nr::DUP3, s.fds[i + 1] as usize, i, 0, 0) < 0 {
            return -1;
        }
    }
    limit(CPU, head.seconds, head.seconds + 1);
    limit(FSIZE, head.file, head.file);
    limit(NOFILE, 256, 256);
    // 1, not 0: with a piped core pattern only 1 stops the dump.
    limit(CORE, 1, 1);
    limit(MEMLOCK, 0, 0);
    limit(MSGQUEUE, 0, 0);
    limit(SIGPENDING, 256, 256);
    if head.processes != 0 && limit(NPROC, head.processes, head.processes) < 0 {
        return -2;
    }
    let (header, none) = ([0x2008_0522u32, 0], [0u32; 6]);
    if sys(nr::CAPSET, header.as_ptr() as usize, none.as_ptr() as usize, 0, 0) < 0 {
        return -3;
    }
    if head.flags & PROC != 0 {
        // What it has in `/proc` of itself and its children is its own; process 1 is not shown.
        sys(nr::PRCTL, 4, 1, 0, 0);
    }
    if head.flags & BARE != 0 {
        // The supervisor, which may be no more than the same user, must be able to look at what the program asks for.
        sys(nr::PRCTL, 4, 1, 0, 0);
    }
    if head.flags & SCOPED != 0 && sys(nr::LANDLOCK_RESTRICT_SELF, SCOPE, 0, 0, 0) < 0 {
        return -6;
    }
    if head.flags & WATCHED != 0 {
        // The supervisor answers once it watches the files; see `watch.rs`.
        call(nr::SYSLOG, [0, 0, 0, 0, 0, secret]);
    }
    if head.flags & INNER_FILTER != 0 && call(nr::SECCOMP, [1, 0, (&raw const s.filter) as usize, 0, 0, secret]) < 0 {
        return -4;
    }
    if s.fds[4] >= 0 {
        // The command channel of a session's bash.
        sys(nr::DUP3, s.fds[4] as usize, 250, 0, 0);
        sys(nr::CLOSE_RANGE, 3, 249, 0, 0);
        sys(nr::CLOSE_RANGE, 251, u32::MAX as usize, 0, 0);
    } else {
        sys(nr::CLOSE_RANGE, 3, u32::MAX as usize, 0, 0);
    }
    if head.memory != 0 && limit(AS, head.memory, head.memory) < 0 {
        return -5;
    }
    forget();
    forget_stack();
    0
}
