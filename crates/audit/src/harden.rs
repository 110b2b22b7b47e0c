//! The hardened form of a grader: written down, read back, and audited again.

use crate::AuditError;
use crate::plan::{Listener, Options, audit};
use crate::report::Report;
use loophole_env::{Cases, Environment, LARGEST_FILE, SLOW, Settings, grader, lab, open, read_tasks};
use loophole_grade::{Grader, GraderKind, Grading, Task};
use serde::Serialize;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
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
    /// What is still open.
    pub open: Vec<String>,
    /// Gap before.
    pub gap_before: f64,
    /// Gap after.
    pub gap_after: f64,
    /// The second audit.
    #[serde(skip)]
    pub report: Report,
}

/// A hardened grader, as it was written into a folder and read back.
pub struct Hardening {
    folder: String,
    form: Form,
}

/// What was written.
enum Form {
    /// Tasks under the hardened grader of their kind.
    Tasks { written: String, tasks: Vec<Task>, grader: Grader, lab: Arc<Grading> },
    /// Something that is opened as any environment is.
    Opened { target: String, settings: Box<Settings> },
}

impl Hardening {
    /// Writes the hardened form of a target into a folder: of a tasks file the hardened grader, of a function or a folder
    /// of tests what stands in for its submissions.
    ///
    /// # Errors
    /// [`AuditError::Input`] for a target that has none, and why; [`AuditError::Io`] names what cannot be written.
    pub fn write(
        target: &str,
        environment: &dyn Environment,
        settings: &Settings,
        folder: &Path,
    ) -> Result<Hardening, AuditError> {
        let is_tasks = Path::new(target).is_file() && !target.ends_with(".py");
        let form =
            if is_tasks { tasks(target, settings, folder)? } else { opened(target, environment, settings, folder)? };
        Ok(Hardening { folder: folder.display().to_string(), form })
    }

    /// Audits it with the task of an earlier audit.
    ///
    /// # Errors
    /// As for [`audit`].
    pub fn audit(&self, before: &Report, options: &Options, listen: Listener) -> Result<Hardened, AuditError> {
        let environment = match &self.form {
            Form::Tasks { written, tasks, grader, lab } => {
                let task = tasks.iter().find(|t| before.task.as_ref() == Some(&t.id));
                let missing = || AuditError::Input(format!("{written}: the audited task is missing"));
                let task = task.ok_or_else(missing)?.clone();
                Box::new(Cases::new(lab.clone(), written, task, grader.clone())) as Box<dyn Environment>
            }
            Form::Opened { target, settings } => {
                let settings = Settings { task: before.task.clone(), all: false, ..(**settings).clone() };
                let missing = || AuditError::Input(format!("{target}: nothing was opened"));
                open(target, &settings)?.into_iter().next().ok_or_else(missing)?
            }
        };
        let report = match audit(environment.as_ref(), options, listen) {
            Err(AuditError::NotAuditable(why)) => {
                return Err(AuditError::NotAuditable(format!("of the hardened form in {}: {why}", self.folder)));
            }
            other => other?,
        };
        Ok(Hardened {
            folder: self.folder.clone(),
            honest: report.control("honest"),
            before: before.findings.len(),
            after: report.findings.len(),
            open: report.findings.iter().map(|f| f.id.clone()).collect(),
            gap_before: before.gameability_gap,
            gap_after: report.gameability_gap,
            report,
        })
    }
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<(), AuditError> {
    let path = folder.join(name);
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, content));
    made.map_err(|source| AuditError::Io { path, source })
}

/// The hardened grader of a tasks file.
fn tasks(target: &str, settings: &Settings, folder: &Path) -> Result<Form, AuditError> {
    let tasks = read_tasks(Path::new(target))?.tasks;
    let kind = grader(settings, &tasks)?.kind;
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
    write(folder, "tasks.jsonl", lines)?;
    write(folder, "grader.json", format!("{}\n", json!(Grader::hardened(kind))))?;
    write(
        folder,
        "grade.sh",
        format!(
            "#!/bin/sh\n# Grades submissions (JSONL) with every weakness closed: sh grade.sh SUBMISSIONS [OPTION...]\n\
             submissions=$1\nshift\nexec loophole grade --tasks \"$(dirname \"$0\")/tasks.jsonl\" --submissions \"$submissions\" \\\n  \
             --grader {kind} --hardened --json \"$@\"\n"
        ),
    )?;

    // What is audited is what was written.
    let path = folder.join("grader.json");
    let text = loophole_foreign::read_text(&path, LARGEST_FILE).map_err(|source| AuditError::Io { path, source })?;
    let written = folder.join("tasks.jsonl");
    Ok(Form::Tasks {
        written: written.display().to_string(),
        tasks: read_tasks(&written)?.tasks,
        grader: serde_json::from_str(&text).map_err(|e| AuditError::Input(format!("grader.json: {e}")))?,
        lab: Arc::new(lab(kind, settings, if kind == GraderKind::Speed { SLOW } else { 0.0 })?),
    })
}

/// The hardened form of what was not made here.
fn opened(target: &str, environment: &dyn Environment, settings: &Settings, folder: &Path) -> Result<Form, AuditError> {
    let form =
        environment.hardened().map_err(|why| AuditError::Input(format!("{target}: it cannot be hardened: {why}")))?;
    for (path, (content, executable)) in &form.files {
        write(folder, path, content)?;
        if *executable {
            let path = folder.join(path);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, mode).map_err(|source| AuditError::Io { path, source })?;
        }
    }
    let mut settings = Settings { signature: form.signature, ..settings.clone() };
    if let Some((solution, framework)) = form.solution {
        (settings.solution, settings.kind, settings.reference) = (Some(solution), Some(framework.into()), None);
    }
    let target = form.target.replace("{folder}", &folder.display().to_string());
    Ok(Form::Opened { target, settings: Box::new(settings) })
}
