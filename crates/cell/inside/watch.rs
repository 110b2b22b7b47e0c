//! In the zygote, after the fork: the end of the program and of all it left behind.

use crate::calls::*;
use crate::head::*;
use crate::state::*;
use crate::wire::*;
use core::mem::zeroed;
use core::sync::atomic::Ordering::SeqCst;

/// In the zygote, after the fork: waits for the program's end, ends its namespace, and tells the supervisor.
/// `pid` below zero: the fork failed with that error.
#[inline(never)]
pub(crate) fn watch(pid: i32) {
    let s = state();
    let bare = s.head.flags & BARE != 0;
    if !bare {
        let r = call(nr::SETNS, [s.me, NEWPID, 0, 0, 0, s.secret]);
        if r < 0 {
            fail(b's', r);
            exit(75);
        }
    }
    s.fds.iter().filter(|fd| **fd >= 0).for_each(|fd| {
        sys(nr::CLOSE, *fd as usize, 0, 0, 0);
    });
    if pid < 0 {
        fail(b'f', pid as isize);
        exit(76);
    }
    let pid = pid as isize;
    let pidfd = sys(nr::PIDFD_OPEN, pid as usize, 0, 0, 0);
    let (mut killed, mut crowded) = (0u64, false);
    while killed == 0 {
        #[repr(C)]
        struct Poll {
            fd: i32,
            events: i16,
            revents: i16,
        }
        let mut polls =
            [Poll { fd: pidfd as i32, events: 1, revents: 0 }, Poll { fd: CTL as i32, events: 1, revents: 0 }];
        let r = call(nr::PPOLL, [polls.as_mut_ptr() as usize, 2, 0, 0, 8, 0]);
        if polls[0].revents != 0 || (r < 0 && r != EINTR) {
            break;
        }
        if polls[1].revents != 0 {
            let mut message = [0u8; 32];
            let mut fds = [-1; 5];
            if receive(&mut message, &mut fds) <= 0 {
                orphaned();
            }
            killed = u64::from(message[1].max(1));
            crowded = is_crowded();
            sys(nr::KILL, pid as usize, SIGKILL, 0, 0);
        }
    }
    sys(nr::CLOSE, pidfd as usize, 0, 0, 0);
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    wait(pid, 0, &mut status, &mut usage);
    crowded |= status != 0 && killed == 0 && is_crowded();
    let (mut left, mut micros, mut peak) = (0, usage.micros(), usage.peak as u64);
    if bare {
        left = reap(&mut micros, &mut peak);
    } else {
        shared().finish.store(1, SeqCst);
        sys(nr::KILL, s.init as usize, SIGUSR1 as usize, 0, 0);
        let mut end = 0;
        wait(s.init, 0x4000_0000, &mut end, &mut usage);
        crate::proc::remove();
        left += u64::from(shared().left.load(SeqCst));
        micros += shared().micros.load(SeqCst);
        peak = peak.max(shared().peak.load(SeqCst));
    }
    let words = [status as u32 as u64, killed, micros, peak, left, u64::from(crowded)];
    let mut message = [0u8; 56];
    message[0] = b'D';
    for (i, word) in words.iter().enumerate() {
        message[8 + 8 * i..16 + 8 * i].copy_from_slice(&word.to_le_bytes());
    }
    send(&message, &[]);
}

/// The supervisor is gone. Process 1 of a namespace takes everything along; elsewhere all is killed that this process
/// may send signals to, if that is kept to the program and itself.
fn orphaned() -> ! {
    if state().head.flags & SCOPED != 0 {
        sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
    }
    exit(0)
}

/// Without a namespace: this process takes in orphans, and the supervisor kills them (it can see them) until
/// none is left.
fn reap(micros: &mut u64, peak: &mut u64) -> u64 {
    const NOHANG: usize = 1;
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    let (mut left, mut asked) = (0, false);
    loop {
        let r = wait(-1, if asked { 0 } else { NOHANG }, &mut status, &mut usage);
        if r < 0 {
            return left;
        }
        if r == 0 {
            if send(b"L", &[]) < 0 {
                orphaned();
            }
            asked = true;
            continue;
        }
        *micros += usage.micros();
        *peak = (*peak).max(usage.peak as u64);
        left += u64::from(asked);
    }
}

extern "C" fn nothing() -> ! {
    exit(0)
}

/// Whether one more process would be refused right now.
fn is_crowded() -> bool {
    if state().head.processes == 0 {
        return false;
    }
    let mut before = [0u64; 2];
    sys(nr::PRLIMIT64, 0, NPROC, 0, before.as_mut_ptr() as usize);
    limit(NPROC, state().head.processes, before[1]);
    let pid = clone_onto(CLONE_VM | CLONE_VFORK | SIGCHLD as usize, top(spare_stack()), nothing);
    limit(NPROC, before[0], before[1]);
    if pid > 0 {
        // SAFETY: plain data.
        let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
        wait(pid, 0, &mut status, &mut usage);
    }
    pid < 0
}
