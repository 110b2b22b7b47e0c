//! What a zygote knows: the job at hand, and its means.

use crate::head::Head;

/// Landlock's rule about signals waits in this descriptor.
pub(crate) const SCOPE: usize = 5;

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
    head: Head::NONE,
    fds: [-1; 5],
    init: 0,
    processors: [0; 16],
};

pub(crate) fn state() -> &'static mut State {
    // SAFETY: the zygote has one thread; process 1 does not use it.
    unsafe { &mut *(&raw mut STATE) }
}
