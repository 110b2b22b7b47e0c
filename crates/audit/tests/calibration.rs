//! The audit's own error rates.

mod common;

use loophole_audit::{AuditError, calibrate};
use loophole_cell::CellError;

/// Every weakness alone; `loophole bench audit` also takes them in pairs. Not among the slow checks: it takes longer
/// than all of them.
#[test]
#[ignore = "long: some seventy audits"]
fn every_weakness_alone() {
    let python = common::python();
    let progress = |done: usize, all: usize| {
        if done.is_multiple_of(25) || done == all {
            println!("{done} of {all}");
        }
    };
    let c = match calibrate(python.as_deref(), true, &progress) {
        Ok(c) => c,
        Err(AuditError::Cell(e @ (CellError::NoNamespaces { .. } | CellError::NoPython { .. }))) => {
            println!("SKIPPED: {e}");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    println!("{}", serde_json::to_string_pretty(&c).unwrap());
    assert_eq!(c.false_findings, Vec::<String>::new());
    assert!(c.found as f64 >= 0.95 * c.seeded as f64, "{} of {}: {:?}", c.found, c.seeded, c.missed);
    let other = |s: &&String| !s.contains("no pytest");
    assert!(c.skipped.iter().find(other).is_none(), "{:?}", c.skipped);
}
