//! What a zygote knows: the job at hand, and its means.

/// The numbers at the head of a job, written by the supervisor (`wire.rs`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) memory: u64,
    pub(crate) processes: u64,
    pub(crate) file: u64,
    pub(crate) seconds: u64,
    pub(crate) flags: u64,
    /// Bytes of what follows.
    pub(crate) length: u64,
}
/// The filter for programs is to be installed: user namespaces could not be forbidden otherwise.
pub(crate) const INNER_FILTER: u64 = 1;
/// The supervisor waits for [`ready`] before the program starts.
pub(crate) const WATCHED: u64 = 2;
/// No namespace of its own: the weaker tiers.
pub(crate) const BARE: u64 = 4;
/// Signals are kept within the program by Landlock, whose rule waits in this descriptor.
pub(crate) const SCOPED: u64 = 8;
pub(crate) const SCOPE: usize = 5;
/// Standard input is the cell's own `/dev/null`.
pub(crate) const NO_INPUT: u64 = 16;

pub(crate) struct State {
    pub(crate) ctl: usize,
    pub(crate) me: usize,
    pub(crate) secret: usize,
    pub(crate) filter: [usize; 2],
    pub(crate) head: Head,
    pub(crate) fds: [i32; 5],
    pub(crate) init: isize,
    /// The processors a program may use; empty if they are not known.
    pub(crate) processors: [u64; 16],
}
pub(crate) static mut STATE: State = State {
    ctl: 3,
    me: 0,
    secret: 0,
    filter: [0; 2],
    head: Head { memory: 0, processes: 0, file: 0, seconds: 0, flags: 0, length: 0 },
    fds: [-1; 5],
    init: 0,
    processors: [0; 16],
};

pub(crate) fn state() -> &'static mut State {
    // SAFETY: the zygote has one thread; process 1 does not use it.
    unsafe { &mut *(&raw mut STATE) }
}
