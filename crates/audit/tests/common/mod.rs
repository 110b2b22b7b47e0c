//! What the tests share.
#![allow(dead_code)]

use loophole_audit::{AuditError, Options, Report, audit, audit_with, library};
use loophole_cell::CellError;
use loophole_env::{Settings, open};
use std::path::{Path, PathBuf};

/// An interpreter with pytest: `LOOPHOLE_PYTHON`, or the virtual environment that the checks make for pytest.
pub fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-pytest/bin/python");
    std::env::var_os("LOOPHOLE_PYTHON").map(PathBuf::from).or_else(|| venv.exists().then_some(venv))
}

/// A golden target.
pub fn target(name: &str) -> String {
    format!("{}/tests/targets/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Audits the first task of a target; nothing, with a line that says so, where this machine has no cells.
pub fn try_audit(target: &str, settings: &Settings) -> Option<Result<Report, AuditError>> {
    try_with(target, settings, &[])
}

/// The same with these exploits; with all where none is named.
pub fn try_with(target: &str, settings: &Settings, only: &[&str]) -> Option<Result<Report, AuditError>> {
    // Proofs are made small, and run again, in the slow tests and in those of the program.
    let options = Options { minimise: false, repeats: 1, ..Options::default() };
    let opened = open(target, settings).map_err(AuditError::from);
    let report = opened.and_then(|opened| {
        if only.is_empty() {
            return audit(opened[0].as_ref(), &options, &|_| {});
        }
        let some: Vec<_> = library()?.iter().filter(|e| only.contains(&e.id.as_str())).cloned().collect();
        audit_with(opened[0].as_ref(), &some, &options, &|_| {})
    });
    match report {
        Err(AuditError::Cell(e @ (CellError::NoNamespaces { .. } | CellError::NoPython { .. }))) => {
            println!("SKIPPED: {e}");
            None
        }
        other => Some(other),
    }
}

/// The same, of a target that can be audited.
#[track_caller]
pub fn report(target: &str, settings: &Settings) -> Option<Report> {
    let report = try_audit(target, settings)?.unwrap_or_else(|e| panic!("{target}: {e}"));
    println!("{}", report.table());
    Some(report)
}

/// Ids of the findings, those that came down to the same proof included.
pub fn ids(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> =
        report.findings.iter().flat_map(|f| std::iter::once(&f.id).chain(&f.also)).map(String::as_str).collect();
    ids.sort_unstable();
    ids
}
