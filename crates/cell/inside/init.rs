//! Process 1 of a program's namespace.

use crate::calls::*;
use crate::state::*;
use core::mem::zeroed;
use core::sync::atomic::Ordering::SeqCst;

/// Process 1 of a program's namespace: takes in orphans, and at the end kills and counts what is left. It hears
/// of the end by a signal, but believes only the zygote's word in the memory the two share.
pub(crate) extern "C" fn init() -> ! {
    const NOHANG: usize = 1;
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    let set: u64 = 1 << (SIGCHLD - 1) | 1 << (SIGUSR1 - 1);
    let (mut counted, mut killing) = (0, false);
    crate::proc::make(crate::state::state().secret);
    loop {
        sys(nr::RT_SIGTIMEDWAIT, (&raw const set) as usize, 0, 0, 8);
        let finish = shared().finish.load(SeqCst) != 0;
        loop {
            let r = wait(-1, if killing { 0 } else { NOHANG }, &mut status, &mut usage);
            if r <= 0 {
                if r == 0 && finish {
                    // Somebody is still alive.
                    killing = true;
                    sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
                    continue;
                }
                break;
            }
            shared().micros.fetch_add(usage.micros(), SeqCst);
            shared().peak.fetch_max(usage.peak as u64, SeqCst);
            counted += u32::from(killing);
            if killing {
                sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
            }
        }
        if finish {
            shared().left.store(counted, SeqCst);
            exit(0);
        }
    }
}
