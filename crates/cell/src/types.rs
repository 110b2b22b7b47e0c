//! What goes into a cell and what comes out of it.

use serde::Serialize;

mod program;
mod record;
mod session;
mod trace;

pub use program::*;
pub use record::*;
pub use session::*;
pub use trace::*;

/// One line of what this machine offers.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was looked for.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do if it is missing.
    pub hint: String,
}
