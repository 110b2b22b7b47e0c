//! The report in the forms of others: SARIF for code scanning, OpenEnv's validation report, an Inspect log, a page.

mod html;
mod inspect;
mod openenv;
mod sarif;

pub use html::html;
pub use inspect::inspect_log;
pub use openenv::openenv;
pub use sarif::sarif;

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A digest as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
