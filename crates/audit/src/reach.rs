//! On how many of its tasks a hole pays.

use crate::AuditError;
use crate::library::library;
use crate::report::{Finding, Report};
use loophole_env::{Environment, Files};
use serde::Serialize;

/// Two rewards that are this close are the same.
const CLOSE: f64 = 1e-9;

/// How far a finding reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The finding.
    pub id: String,
    /// Tasks on which it pays.
    pub paid: usize,
    /// Tasks whose reference is paid.
    pub of: usize,
}

/// Tries the findings of a report on other tasks of the same grader.
///
/// # Errors
/// What keeps the grader from being asked.
pub fn reach(report: &Report, others: &[Box<dyn Environment>]) -> Result<Vec<Reach>, AuditError> {
    let first = |f: &Finding| Reach { id: f.id.clone(), paid: 1, of: 1 };
    let mut out: Vec<Reach> = report.findings.iter().map(first).collect();
    for other in others {
        let controls = &other.description().controls;
        let control = |name: &str| controls.iter().find(|c| c.name == name).map(|c| c.files.clone());
        let pay = |files: &Files| other.pay(files).map(|paid| paid.reward.unwrap_or(0.0));
        let mut null = 0.0f64;
        for files in ["empty", "constant", "echo"].iter().filter_map(|name| control(name)) {
            null = null.max(pay(&files)?);
        }
        let honest = control("honest").map(|files| pay(&files)).transpose()?.unwrap_or(0.0);
        if honest <= CLOSE {
            continue;
        }
        for (reach, finding) in out.iter_mut().zip(&report.findings) {
            reach.of += 1;
            let (forms, over): (Vec<Files>, f64) = match finding.id.strip_prefix("CTL-") {
                Some(name) => (control(name).into_iter().collect(), 0.0),
                None => {
                    let names: Vec<&str> = finding.id.split('+').collect();
                    let mine = library()?.iter().filter(|e| names.contains(&e.id.as_str()));
                    (mine.flat_map(|e| e.forms(&other.description().facts)).collect(), null)
                }
            };
            for files in forms {
                if pay(&files)? > over + CLOSE && !other.judge_briefly(&files)?.solved {
                    reach.paid += 1;
                    break;
                }
            }
        }
    }
    Ok(out)
}
