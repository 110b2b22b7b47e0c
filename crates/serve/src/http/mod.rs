//! What every request goes through: connections, who may ask, bodies.

pub(crate) mod admit;
pub(crate) mod body;
pub(crate) mod listen;
mod patient;
