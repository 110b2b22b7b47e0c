//! What comes from elsewhere: files, lines, numbers and texts that others wrote, a model, a task, a program, an
//! endpoint among them.
//!
//! None of it is believed. It is read within bounds on memory ([`read`], [`lines`](Lines), [`within`],
//! [`memory_available`],
//! [`json_values`]), and a terminal gets it with every character visible that would do something there, or
//! hide something ([`visible`], [`one_line`], [`escaped_json`], [`Visible`]).

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod json;
mod memory;
mod read;
mod show;

pub use json::{json_field, json_values};
pub use memory::memory_available;
pub use read::{Line, Lines, bytes, read, read_text, too_large, within};
pub use show::{Visible, escaped_json, one_line, pictured, stand_in, visible};
