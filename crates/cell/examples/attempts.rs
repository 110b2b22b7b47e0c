//! The table of hostile attempts, as Markdown: `CELL_ABUSE_TABLE=FILE cargo test -p loophole-cell --test abuse`, then
//! `cargo run -p loophole-cell --example attempts FILE > docs/attempts.md`.

#[path = "../tests/abuse/attempt.rs"]
mod attempt;

use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: attempts FILE")?;
    let text = std::fs::read_to_string(path)?;
    let mut results = BTreeMap::new();
    for line in text.lines() {
        if let [tier, user, name, result] = line.split('\t').collect::<Vec<_>>()[..] {
            results.insert((tier, user, name), result);
        }
    }
    let columns = [("namespaces", "root"), ("namespaces", "user"), ("landlock", "root"), ("landlock", "user")];
    println!("# Attempts to get out of a cell\n");
    println!(
        "Printed from a run (see `crates/cell/examples/attempts.rs`); the attempts are `crates/cell/tests/abuse/*.toml`.\n"
    );
    println!("| tier | started by | held | failed | skipped |\n|---|---|---|---|---|");
    for (tier, user) in columns {
        let count = |start: &str| {
            results.iter().filter(|((t, u, _), r)| (*t, *u) == (tier, user) && r.starts_with(start)).count()
        };
        println!("| {tier} | {user} | {} | {} | {} |", count("held"), count("FAILED"), count("skipped"));
    }
    println!("\n| attempt | what is tried | namespaces, root | namespaces, user | landlock, root | landlock, user |");
    println!("|---|---|---|---|---|---|");
    let mut notes = Vec::new();
    for attempt in attempt::all() {
        let cell = |(tier, user): &(&str, &str)| {
            let result = results.get(&(*tier, *user, attempt.name.as_str())).copied().unwrap_or("not run");
            result.split(':').next().unwrap_or("").to_owned()
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        println!("| {} | {} | {} |", attempt.name, attempt.tries, cells.join(" | "));
        let reason = results.iter().find(|((_, _, n), r)| *n == attempt.name && r.starts_with("skipped"));
        notes.extend(reason.map(|(_, r)| format!("* {}: {}", attempt.name, r.trim_start_matches("skipped: "))));
    }
    println!("\nSkipped, and why:\n\n{}", notes.join("\n"));
    Ok(())
}
