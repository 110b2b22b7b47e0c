//! Heavy work that makes way for cells.
//!
//! A run in a cell is a chain of small hand-overs between processes. Beside threads that compute without a
//! pause, each link of that chain waits for its turn. Cells themselves always run at the caller's priority:
//! they take the kernel's locks on mounts, and a holder that is not scheduled would stop all others.

/// The nice value of background threads.
const NICE: libc::c_int = 15;

/// Runs `work` on a thread of its own that makes way for cells (and for everything else at normal
/// priority), and returns what it returns. A panic in `work` goes on in the caller.
pub fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let handle = scope.spawn(|| {
            // SAFETY: a plain system call on the calling thread (process 0 means that on Linux); being
            // refused only leaves the priority as it is.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
            work()
        });
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn lowers_its_own_priority_only() {
        // SAFETY: reading a priority has no effect.
        let mine = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = mine();
        let inside = super::in_background(mine);
        assert!(inside >= before.max(super::NICE), "{before} outside, {inside} inside");
        assert_eq!(mine(), before);
    }
}
