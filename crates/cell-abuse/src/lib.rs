//! Tries to break out of cells, and to wear them out. A development crate: nothing that is shipped depends on it.
//!
//! [`attempts`] carries out what `data/*.toml` says hostile programs try and looks at the cell from outside after each;
//! [`soak`] runs very many programs, some of them hostile, and reads what must stay flat. The binaries `abuse` and
//! `soak` print what came of it; `tests` hold both to it. What it needs from the machine it demands with `expect`, as
//! tests do.

pub mod attempts;
pub mod soak;
