//! Run one untrusted program in a disposable, isolated place.

mod error;
mod types;

pub use error::CellError;
pub use types::*;
