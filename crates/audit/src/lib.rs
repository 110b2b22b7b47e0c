//! Attack graders and environments with executed exploits, prove every hole, close it.
//!
//! What is audited is an [`Environment`](loophole_env::Environment) of the crate `loophole-env`. The [`library`] holds parameterised exploits as data,
//! one TOML file each. [`audit`] runs controls (a reference that must be paid, and submissions that deserve
//! nothing), then every exploit that such a target can be given, and calls a *finding* only what was executed and
//! paid although the oracle, where the submission cannot reach it, says that it solves nothing. Each finding is run
//! again, made small and written down; nothing is ever found by reading. What the target contributes (its grader,
//! its tests, its Dockerfile's commands) runs in cells (crate `loophole-cell`), as submissions do.
//!
//! The path through the code: `library` (what is tried), `plan` (in which order),
//! `report` (what came of it), and the forms of the report.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod baseline;
mod calibration;
mod combine;
mod error;
mod forms;
mod harden;
mod library;
mod minimise;
mod plan;
mod reach;
mod report;
mod repro;

pub use baseline::{Baseline, Compared};
pub use calibration::{Calibration, Counts, calibrate};
pub use error::AuditError;
pub use forms::{html, inspect_log, openenv, sarif};
pub use harden::{Hardened, Hardening};
pub use library::{Exploit, Severity, family_code, library};
pub use plan::{CONTROLS, Event, Listener, Options, audit, audit_with};
pub use reach::{Reach, reach};
pub use report::{Finding, Proof, Repeated, Report, Run, Unfair};
pub use repro::repro;
