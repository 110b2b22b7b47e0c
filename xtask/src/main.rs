//! Chores of the workspace, started as `cargo xtask CHORE`.
//!
//! `test` runs every check of the project and ends with a table; `test --slow` adds those that need other programs
//! (transformers, Inspect, pyarrow, Chromium). What cannot be run on a machine is skipped aloud, with the reason.
//! `check-deps` compares `docs/dependencies.md` with what the crates depend on.

mod binaries;
mod command;
mod deps;
mod outcome;
mod python;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [--slow]
       cargo xtask check-deps";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let good = match arguments[..] {
        ["test"] => suite::run(&root(), false),
        ["test", "--slow"] => suite::run(&root(), true),
        ["check-deps"] => {
            let found = deps::check(&root());
            found.iter().for_each(|line| println!("{line}"));
            found.is_empty()
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
