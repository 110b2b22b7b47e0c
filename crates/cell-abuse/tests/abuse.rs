//! What hostile programs try (`data/*.toml`), carried out in every tier this machine offers, as this user and as an
//! ordinary one. `cargo run -p loophole-cell-abuse --bin abuse` prints the table.

use loophole_cell_abuse::attempts::{self, Which, attempt, table};

/// Copies of this program run the attempts; they are told which by their environment.
fn carry_out(test: &str, which: Which<'_>) {
    if attempts::copy() {
        return;
    }
    let rows = attempts::run(&[test, "--exact", "--nocapture", "--include-ignored"], which);
    print!("{}", table::totals(&rows));
    table::skipped(&rows).iter().for_each(|line| println!("SKIPPED {line}"));
    table::at_first(&rows).iter().for_each(|line| println!("HELD ONLY ALONE {line}"));
    let failures = table::failures(&rows);
    assert!(failures.is_empty(), "{} attempts did not end as they must:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn no_attempt_succeeds_where_it_is_tried() {
    carry_out("no_attempt_succeeds_where_it_is_tried", Which::Part);
}

#[test]
#[ignore = "long: a thousand attempts"]
fn no_attempt_succeeds_anywhere() {
    carry_out("no_attempt_succeeds_anywhere", Which::Named(""));
}

#[test]
fn there_are_many_attempts_and_the_page_lists_them() {
    let names: Vec<String> = attempt::all().into_iter().map(|a| a.name).collect();
    assert!(names.len() >= 110, "{} attempts", names.len());
    let listed = table::listed().unwrap();
    assert!(listed == names, "docs/cells.md is behind: `cargo run -p loophole-cell-abuse --bin abuse -- --write`");
}

/// An expectation that nothing can fail would prove nothing.
#[test]
fn without_isolation_they_get_through() {
    if attempts::copy() {
        return;
    }
    let rows = attempts::run(&["without_isolation_they_get_through", "--exact", "--nocapture"], Which::Open);
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
