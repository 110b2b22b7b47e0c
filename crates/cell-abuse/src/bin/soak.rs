//! Very many programs of mixed kinds, 5 % of them hostile:
//! `cargo run --release -p loophole-cell-abuse --bin soak -- [--programs N] [--seed N] [--cells N] [--kill-every N] [--json]`.
//!
//! Without options it runs a million programs on one cell more than there are cores and kills a zygote every 5,000.
//! It ends with status 1 if a program did not end as it must, or if descriptors, memory, mounts, cgroups, zombies or
//! processes grew.

use loophole_cell::PoolOptions;
use loophole_cell_abuse::soak;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut plan = soak::Plan { programs: 1_000_000, seed: 1, cells: cores + 1, kill_every: 5000, loud: true };
    let mut json = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--json" => {
                json = true;
                continue;
            }
            _ => words.next().and_then(|w| w.replace('_', "").parse::<u64>().ok()).filter(|n| *n > 0),
        };
        match (word.as_str(), number) {
            ("--programs", Some(n)) => plan.programs = n as usize,
            ("--seed", Some(n)) => plan.seed = n,
            ("--cells", Some(n)) => plan.cells = n as usize,
            ("--kill-every", Some(n)) => plan.kill_every = n as usize,
            _ => {
                eprintln!(
                    "error: {word:?} is not understood; options are --programs N, --seed N, --cells N, --kill-every N, --json"
                );
                return ExitCode::from(2);
            }
        }
    }
    let report = soak::run(&plan, PoolOptions::default());
    match json {
        true => println!("{}", serde_json::to_string(&report).expect("JSON")),
        false => print!("{}", report.text()),
    }
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
