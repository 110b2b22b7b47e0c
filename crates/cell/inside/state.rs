//! What a zygote knows: the job at hand, and its means. All of it lies in pages of its own, zero at first, so that a fork
//! can give it up in one call: a program must not find there what came before it.

use crate::calls::{Stack, nr, sys};
use crate::head::Head;
use core::mem::{size_of, zeroed};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// The socket to the supervisor.
pub(crate) const CTL: usize = 3;
/// Landlock's rule about signals waits in this descriptor.
pub(crate) const SCOPE: usize = 5;

pub(crate) struct State {
    pub(crate) me: usize,
    pub(crate) secret: usize,
    pub(crate) filter: [usize; 2],
    /// What to show again in each new `/tmp`: address and length of pairs of paths, each closed by a NUL.
    pub(crate) again: [usize; 2],
    pub(crate) head: Head,
    pub(crate) fds: [i32; 5],
    pub(crate) init: isize,
    /// The processors a program may use; empty if they are not known.
    pub(crate) processors: [u64; 16],
}

/// Between the zygote and process 1.
pub(crate) struct Shared {
    pub(crate) finish: AtomicU32,
    pub(crate) left: AtomicU32,
    pub(crate) micros: AtomicU64,
    pub(crate) peak: AtomicU64,
}

#[repr(C, align(4096))]
struct Work {
    state: State,
    shared: Shared,
    init_stack: Stack,
    spare_stack: Stack,
}

// SAFETY: plain numbers, for which zero is a value.
static mut WORK: Work = unsafe { zeroed() };

pub(crate) fn state() -> &'static mut State {
    // SAFETY: the zygote has one thread; process 1 does not use it.
    unsafe { &mut *(&raw mut WORK.state) }
}

pub(crate) fn shared() -> &'static Shared {
    // SAFETY: atomic numbers in static memory.
    unsafe { &*(&raw const WORK.shared) }
}

/// The stack of process 1.
pub(crate) fn init_stack() -> *mut Stack {
    // SAFETY: only its address.
    unsafe { &raw mut WORK.init_stack }
}

/// The stack of the process that is made to see whether one can be made.
pub(crate) fn spare_stack() -> *mut Stack {
    // SAFETY: only its address.
    unsafe { &raw mut WORK.spare_stack }
}

/// In a fork: all of the above is zero again.
pub(crate) fn forget() {
    const DONTNEED: usize = 4;
    sys(nr::MADVISE, (&raw const WORK) as usize, size_of::<Work>(), DONTNEED, 0);
}

/// In a fork: what earlier calls have left on the stack, below the one that runs now, is zero again.
#[inline(never)]
pub(crate) fn forget_stack() {
    const DONTNEED: usize = 4;
    const PAGE: usize = 4096;
    const PAGES: usize = 24;
    let stack: usize;
    // SAFETY: only reads the register.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack));
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!("mov {}, sp", out(reg) stack, options(nomem, nostack));
    }
    let mut at = stack & !(PAGE - 1);
    // Whole pages are given up; where the stack has not grown so far there is nothing.
    sys(nr::MADVISE, at - PAGES * PAGE, PAGES * PAGE, DONTNEED, 0);
    // What may be written below a stack's end without moving it stays.
    while at + 256 < stack {
        // SAFETY: below the end of this thread's stack, in a page that is in use.
        unsafe { (at as *mut usize).write_volatile(0) };
        at += size_of::<usize>();
    }
}
