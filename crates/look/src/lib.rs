//! Inside a model. What is thought is set against what is done ([`thought`]); what a training changed in the weights is
//! taken apart and put back in parts ([`update`]). Whatever is told here is a [`Figure`]: a value with its interval, with
//! how much it stands on, and with the control that was measured the same way. What was not measured is no number, and a
//! claim that its control explains as well is *not shown* ([`Verdict`]).
//!
//! The crate sees token ids, weights, activations and counts. It knows nothing of runs, rewards or worlds, and plays no
//! probe: whoever calls it brings what was counted.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod contrast;
pub mod direction;
mod error;
mod figure;
pub mod file;
pub mod joint;
pub mod place;
pub mod shift;
pub mod steer;
mod svd;
pub mod thought;
pub mod update;
mod vector;
mod verdict;

pub use contrast::{Contrast, Pair, Pairs, Position, Reading};
pub use direction::Direction;
pub use error::LookError;
pub use figure::Figure;
pub use joint::{Counts, Joint};
pub use svd::{EXACT, Svd, svd};
pub use update::{Delta, Factors, Spectrum, alike};
pub use verdict::Verdict;
