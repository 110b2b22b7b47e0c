//! The hardened form of a grader: written down, read back, and audited again.

use crate::plan::{Listener, Options, audit};
use crate::report::Report;
use crate::target::cases::Cases;
use crate::target::open::{Settings, grader, lab};
use crate::{AuditError, Target};
use loophole_grade::{Grader, read_tasks};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A grader before and after.
#[derive(Debug, Clone, Serialize)]
pub struct Hardened {
    /// Where it was written.
    pub folder: String,
    /// What the hardened grader pays the reference.
    pub honest: Option<f64>,
    /// Findings before.
    pub before: usize,
    /// Findings after.
    pub after: usize,
    /// Gap before.
    pub gap_before: f64,
    /// Gap after.
    pub gap_after: f64,
    /// The second audit.
    #[serde(skip)]
    pub report: Report,
}

/// Whether [`harden`] knows the grader of such a target; asked before an audit that would be in vain.
///
/// # Errors
/// [`AuditError::Input`] for a target that is no file of tasks: how to close its holes stands with each finding.
pub fn hardenable(target: &str) -> Result<(), AuditError> {
    if Path::new(target).is_file() {
        return Ok(());
    }
    Err(AuditError::Input(format!(
        "{target}: --harden knows the graders of tasks in a file (--kind); for any other, each finding says how to close it"
    )))
}

/// Writes the hardened grader of a tasks file into a folder and audits what was written; `before` is the first audit.
///
/// # Errors
/// As for [`hardenable`] and [`audit`].
pub fn harden(
    target: &str,
    settings: &Settings,
    folder: &Path,
    before: &Report,
    options: &Options,
    listen: Listener,
) -> Result<Hardened, AuditError> {
    hardenable(target)?;
    let tasks = read_tasks(Path::new(target))?;
    let kind = grader(settings, &tasks)?.kind;
    let sound = Grader::hardened(kind);
    let write = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|source| AuditError::Io { path, source })
    };
    std::fs::create_dir_all(folder).map_err(|source| AuditError::Io { path: folder.into(), source })?;
    let mut lines = String::new();
    for task in &tasks {
        let line = match &task.humaneval {
            // Back in the form it came in.
            Some(h) => json!({
                "task_id": task.id, "prompt": h.prompt, "entry_point": task.entry_point, "test": h.test,
                "canonical_solution": task.reference.strip_prefix(&h.prompt).unwrap_or(&task.reference),
            })
            .to_string(),
            None => serde_json::to_string(task).map_err(|e| AuditError::Input(e.to_string()))?,
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    write("tasks.jsonl", lines)?;
    write("grader.json", format!("{}\n", json!(sound)))?;
    write(
        "grade.sh",
        format!(
            "#!/bin/sh\n# Grades submissions (JSONL) with every weakness closed: sh grade.sh SUBMISSIONS\n\
             exec loophole grade --tasks \"$(dirname \"$0\")/tasks.jsonl\" --submissions \"$1\" --grader {kind} --hardened --json\n"
        ),
    )?;

    // What is audited is what was written.
    let text = std::fs::read_to_string(folder.join("grader.json"))
        .map_err(|source| AuditError::Io { path: folder.join("grader.json"), source })?;
    let sound: Grader = serde_json::from_str(&text).map_err(|e| AuditError::Input(format!("grader.json: {e}")))?;
    let written = folder.join("tasks.jsonl");
    let tasks = read_tasks(&written)?;
    let task = tasks.into_iter().find(|t| before.task.as_ref() == Some(&t.id));
    let task = task.ok_or_else(|| AuditError::Input(format!("{}: the audited task is missing", written.display())))?;
    let lab = Arc::new(lab(kind, settings, 0.0)?);
    let target: Box<dyn Target> = Box::new(Cases::new(lab, &written.display().to_string(), task, sound));
    let report = audit(target.as_ref(), options, listen)?;
    Ok(Hardened {
        folder: folder.display().to_string(),
        honest: report.control("honest"),
        before: before.findings.len(),
        after: report.findings.len(),
        gap_before: before.gameability_gap,
        gap_after: report.gameability_gap,
        report,
    })
}
