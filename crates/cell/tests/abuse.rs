//! What hostile programs try (`abuse/*.toml`), carried out in every tier this machine offers, as this user and as an
//! ordinary one. `cargo run -p loophole-cell --example abuse` prints the table.

#[path = "abuse/suite.rs"]
mod suite;

use std::sync::OnceLock;
use suite::{attempt, table};

fn rows() -> &'static [table::Row] {
    static ROWS: OnceLock<Vec<table::Row>> = OnceLock::new();
    ROWS.get_or_init(|| suite::run(&["no_attempt_succeeds", "--exact", "--nocapture"], ""))
}

#[test]
fn no_attempt_succeeds() {
    if suite::copy() {
        return;
    }
    print!("{}", table::totals(rows()));
    let failures = table::failures(rows());
    assert!(failures.is_empty(), "{} attempts did not end as they must:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_attempt_was_carried_out() {
    let skipped = table::skipped(rows());
    if !skipped.is_empty() {
        println!("SKIPPED {} attempts: {}", skipped.len(), skipped.join("; "));
    }
}

#[test]
fn there_are_many_attempts_and_the_page_lists_them() {
    let names: Vec<String> = attempt::all().into_iter().map(|a| a.name).collect();
    assert!(names.len() >= 110, "{} attempts", names.len());
    let listed = table::listed().unwrap();
    assert!(listed == names, "docs/cells.md is behind: `cargo run -p loophole-cell --example abuse -- --write`");
}

/// An expectation that nothing can fail would prove nothing.
#[test]
fn without_isolation_they_get_through() {
    if suite::copy() {
        return;
    }
    let rows = suite::run_open(&["without_isolation_they_get_through", "--exact", "--nocapture"]);
    let held: Vec<&str> = rows.iter().filter(|r| r.outcome == table::Outcome::Held).map(|r| r.name.as_str()).collect();
    match table::skipped(&rows).first() {
        Some(why) => println!("SKIPPED {why}"),
        None => assert!(
            rows.len() >= 20 && held.is_empty(),
            "{} attempts; no way out without isolation: {held:?}",
            rows.len()
        ),
    }
}
