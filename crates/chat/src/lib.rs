//! One trait for a model one can talk to.
