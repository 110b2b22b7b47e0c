//! The runs a label stands on, as a folder each with a script that runs them again.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use loophole_grade::{Graded, Rerun};
use loophole_log::Ledger;

use crate::output::Error;

/// Writes `OUT.evidence/INDEX-TASK/`, where `out` is the name of the file; `python` is the interpreter that graded, where
/// it was chosen.
pub fn write(
    ledger: &Ledger,
    out: &str,
    index: usize,
    graded: &Graded,
    reruns: &[Rerun],
    python: Option<&Path>,
) -> Result<(), Error> {
    let name: String =
        graded.task_id.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let folder = format!("{out}.evidence/{index:06}-{name}");
    Ok(ledger.write_folder("", &folder, |folder| write_all(folder, graded, reruns, python))?)
}

fn write_all(folder: &Path, graded: &Graded, reruns: &[Rerun], python: Option<&Path>) -> io::Result<()> {
    // The script works in its own folder.
    let python = python.map(std::path::absolute).transpose()?;
    let python = python.map(|path| format!(" --python {}", quoted(&path.to_string_lossy()))).unwrap_or_default();
    let mut script = String::from("#!/bin/sh\n");
    for text in [format!("{}: {}", graded.task_id, graded.verdict.name())].iter().chain(&graded.evidence) {
        script += &format!("# {}\n", text.replace(['\n', '\r'], " "));
    }
    script += "cd \"$(dirname \"$0\")\" || exit\n";
    for run in reruns {
        let place = folder.join(run.name);
        script += &format!("\necho {}\nloophole exec{python}", quoted(&format!("{}: {}", run.name, run.what)));
        for (path, content, executable) in &run.files {
            let file: PathBuf = place.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&file, content)?;
            if *executable {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
            }
            script += &format!(" --file {}", quoted(&format!("{}/{path}={path}", run.name)));
        }
        let words: Vec<String> = run.command.iter().map(|word| quoted(word)).collect();
        script += &format!(" -- {}\n", words.join(" "));
    }
    fs::write(folder.join("again.sh"), script)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
