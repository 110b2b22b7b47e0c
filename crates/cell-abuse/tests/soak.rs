//! A few thousand programs of mixed kinds; `cargo run --release -p loophole-cell-abuse --bin soak` runs a million.

use loophole_cell::PoolOptions;
use loophole_cell_abuse::soak;

#[test]
fn three_thousand_programs_leave_nothing_behind() {
    let plan = soak::Plan { programs: 3000, seed: 1, cells: 3, kill_every: 700, loud: false };
    let report = soak::run(&plan, PoolOptions::default());
    print!("{}", report.text());
    assert!(report.wrong.is_empty(), "{}", report.text());
    assert!(report.killed >= 3 && report.replaced >= 1, "{}", report.text());
    assert!((0.03..0.07).contains(&report.hostile), "{}", report.text());
    assert!(!report.verdicts.contains_key("machine"), "{}", report.text());
}
