//! The hardened form of a grader: written down, read back, and audited again.

use crate::AuditError;
use crate::plan::{Listener, Options, audit};
use crate::report::Report;
use loophole_env::{Cases, Environment, LARGEST_FILE, Settings, grader, lab, read_tasks};
use loophole_grade::{Grader, Grading, Task};
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

/// The hardened grader of a tasks file, as it was written into a folder and read back.
pub struct Hardening {
    folder: String,
    written: String,
    tasks: Vec<Task>,
    grader: Grader,
    lab: Arc<Grading>,
}

impl Hardening {
    /// Writes the hardened grader of a tasks file into a folder.
    ///
    /// # Errors
    /// [`AuditError::Input`] for a target that is no file of tasks: how to close its holes stands with each finding;
    /// [`AuditError::Io`] names what cannot be written.
    pub fn write(target: &str, settings: &Settings, folder: &Path) -> Result<Hardening, AuditError> {
        if !Path::new(target).is_file() {
            return Err(AuditError::Input(format!(
                "{target}: --harden knows the graders of tasks in a file (--kind); for any other, each finding says how to close it"
            )));
        }
        let tasks = read_tasks(Path::new(target))?.tasks;
        let kind = grader(settings, &tasks)?.kind;
        let write = |name: &str, content: String| {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|source| AuditError::Io { path, source })
        };
        std::fs::create_dir_all(folder).map_err(|source| AuditError::Io { path: folder.into(), source })?;
        let mut lines = String::new();
        for task in &tasks {
            let line = match task.humaneval() {
                // Back in the form it came in.
                Some(h) => json!({
                    "task_id": task.id, "prompt": h.prompt, "entry_point": h.entry_point, "test": h.test,
                    "canonical_solution": task.reference.strip_prefix(&h.prompt).unwrap_or(&task.reference),
                })
                .to_string(),
                None => serde_json::to_string(task).map_err(|e| AuditError::Input(e.to_string()))?,
            };
            lines.push_str(&line);
            lines.push('\n');
        }
        write("tasks.jsonl", lines)?;
        write("grader.json", format!("{}\n", json!(Grader::hardened(kind))))?;
        write(
            "grade.sh",
            format!(
                "#!/bin/sh\n# Grades submissions (JSONL) with every weakness closed: sh grade.sh SUBMISSIONS [OPTION...]\n\
                 submissions=$1\nshift\nexec loophole grade --tasks \"$(dirname \"$0\")/tasks.jsonl\" --submissions \"$submissions\" \\\n  \
                 --grader {kind} --hardened --json \"$@\"\n"
            ),
        )?;

        // What is audited is what was written.
        let path = folder.join("grader.json");
        let text =
            loophole_foreign::read_text(&path, LARGEST_FILE).map_err(|source| AuditError::Io { path, source })?;
        let written = folder.join("tasks.jsonl");
        Ok(Hardening {
            folder: folder.display().to_string(),
            written: written.display().to_string(),
            tasks: read_tasks(&written)?.tasks,
            grader: serde_json::from_str(&text).map_err(|e| AuditError::Input(format!("grader.json: {e}")))?,
            lab: Arc::new(lab(kind, settings, 0.0)?),
        })
    }

    /// Audits it with the task of an earlier audit.
    ///
    /// # Errors
    /// As for [`audit`].
    pub fn audit(&self, before: &Report, options: &Options, listen: Listener) -> Result<Hardened, AuditError> {
        let task = self.tasks.iter().find(|t| before.task.as_ref() == Some(&t.id));
        let missing = || AuditError::Input(format!("{}: the audited task is missing", self.written));
        let task = task.ok_or_else(missing)?.clone();
        let target: Box<dyn Environment> =
            Box::new(Cases::new(self.lab.clone(), &self.written, task, self.grader.clone()));
        let report = audit(target.as_ref(), options, listen)?;
        Ok(Hardened {
            folder: self.folder.clone(),
            honest: report.control("honest"),
            before: before.findings.len(),
            after: report.findings.len(),
            gap_before: before.gameability_gap,
            gap_after: report.gameability_gap,
            report,
        })
    }
}
