//! The program `loophole`.
fn main() {}
