//! The head of a job: the numbers that a fork needs before it can read Python's format. The supervisor (`wire.rs`) and
//! the part inside read this same file.

/// Numbers for one program, as both sides have them in memory: they run on one machine.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// Processes of the user, those of the cell included.
    pub(crate) processes: u64,
    /// Bytes of one file.
    pub(crate) file: u64,
    /// Whole seconds of CPU time for one process.
    pub(crate) seconds: u64,
    /// Bits, as below.
    pub(crate) flags: u64,
    /// Bytes of what follows.
    pub(crate) length: u64,
}

impl Head {
    /// No program yet.
    pub(crate) const NONE: Head = Head { memory: 0, processes: 0, file: 0, seconds: 0, flags: 0, length: 0 };
}

/// Programs install a filter of their own: user namespaces could not be forbidden otherwise.
pub(crate) const INNER_FILTER: u64 = 1;
/// The program waits until the supervisor watches its files.
pub(crate) const WATCHED: u64 = 2;
/// No namespace of its own: the weaker tiers.
pub(crate) const BARE: u64 = 4;
/// Landlock keeps the program's signals within it.
pub(crate) const SCOPED: u64 = 8;
/// Standard input is the cell's own `/dev/null`.
pub(crate) const NO_INPUT: u64 = 16;
/// The program has a `/proc`.
pub(crate) const PROC: u64 = 32;
