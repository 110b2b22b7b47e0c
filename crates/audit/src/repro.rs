//! A script for each finding, which needs nothing of ours.

use crate::AuditError;
use crate::report::Report;
use loophole_env::Environment;
use std::path::{Path, PathBuf};

/// Writes a script (or, where the target has none, the submission's files) for each finding of a report; what was
/// written.
///
/// # Errors
/// [`AuditError::Io`] names what cannot be written.
pub fn repro(target: &dyn Environment, report: &Report, folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut written = Vec::new();
    let mut write = |path: PathBuf, text: &str| {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        made.map_err(|source| AuditError::Io { path: path.clone(), source })?;
        written.push(path);
        Ok::<(), AuditError>(())
    };
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "_");
    let task = report.task.as_ref().map_or(String::new(), |task| format!("{}-", plain(task)));
    for finding in &report.findings {
        let name = format!("{task}{}", finding.id);
        match target.script(&finding.proof.files) {
            Some(script) => write(folder.join(format!("{name}.py")), &script)?,
            None => {
                for (path, text) in &finding.proof.files {
                    write(folder.join(&name).join(path), text)?;
                }
            }
        }
    }
    Ok(written)
}
