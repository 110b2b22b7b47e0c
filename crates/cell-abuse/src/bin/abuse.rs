//! The abuse suite as a table: `cargo run -p loophole-cell-abuse --bin abuse [-- OPTIONS] [NAME]`.
//!
//! `--write` writes the table into `docs/cells.md`, `--slow` shows how long each attempt took; with a NAME only the
//! attempts that have it in their names or titles are carried out.

use loophole_cell_abuse::attempts::{self, attempt, table};
use std::process::ExitCode;

fn main() -> ExitCode {
    if attempts::copy() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().find(|a| !a.starts_with("--")).map_or("", String::as_str);
    // Only the tier of that name, and progress on stderr: LOOPHOLE_ABUSE_TIER=namespaces, LOOPHOLE_ABUSE_LOUD=1.
    let mut rows = attempts::run(&[], attempts::Which::Named(only));
    let failures = table::failures(&rows);
    print!("{}", table::totals(&rows));
    table::skipped(&rows).iter().for_each(|line| println!("SKIPPED {line}"));
    table::at_first(&rows).iter().for_each(|line| println!("HELD ONLY ALONE {line}"));
    table::measured(&rows).iter().for_each(|line| println!("MEASURED {line}"));
    failures.iter().for_each(|line| println!("FAILED {line}"));
    if arguments.iter().any(|a| a == "--write")
        && let Err(why) = table::write(&attempt::all(), &rows)
    {
        eprintln!("error: {why}");
        return ExitCode::from(3);
    }
    if arguments.iter().any(|a| a == "--slow") {
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rows.iter().take(30).for_each(|r| println!("{:6.2} s  {} ({}, {})", r.seconds, r.name, r.tier, r.user));
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
