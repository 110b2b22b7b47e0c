//! `loophole export harbor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use loophole_foreign::one_line;
use serde_json::json;

use super::super::grade::graders::Graders;
use super::super::grade::read_tasks;
use super::super::grader_flags::GraderFlags;
use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole export harbor`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole export harbor --tasks tasks.jsonl --out open
  loophole export harbor --tasks tasks.jsonl --grader pytest --out open
  loophole export harbor --tasks tasks.jsonl --hardened --out hardened
  harbor run -p hardened/sum -a oracle --env loophole.harbor:Cell

Exit 3 if not one task could be exported; those that could not are named.")]
pub struct HarborArguments {
    /// Tasks in case form
    #[arg(long)]
    tasks: PathBuf,
    /// Folder to write to, a folder a task; new or empty
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    flags: GraderFlags,
}

/// Writes tasks as Harbor has them.
pub fn export(arguments: &HarborArguments, output: &Options) -> Result<Exit, Error> {
    let out = &arguments.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Input(format!("{} already holds something; name a new folder with --out", out.display())));
    }
    let tasks = read_tasks(&arguments.tasks, output)?;
    let graders = Graders::choose(&arguments.flags, &tasks.tasks)?;
    let (mut made, mut left) = (Vec::new(), Vec::new());
    for task in &tasks.tasks {
        let files = match loophole_env::harbor_task(task, graders.of(task)) {
            Ok(files) => files,
            Err(why) => {
                output.warn(&format!("task {:?} is not exported: {why}", task.id));
                left.push(task.id.clone());
                continue;
            }
        };
        let mut name = loophole_env::harbor_name(&task.id);
        while out.join(&name).exists() {
            name.push('_');
        }
        let folder = out.join(&name);
        for (path, (content, runs)) in &files {
            write(&folder.join(path), content, *runs)?;
        }
        made.push(json!({ "task_id": task.id, "folder": folder }));
    }
    let broken = tasks.broken.len();
    if made.is_empty() {
        return Err(Error::Cannot(format!("not one task of {} could be exported", arguments.tasks.display())));
    }
    if output.json {
        output::json(&json!({ "exported": made, "left_out": left, "broken": broken }));
    } else {
        let rest = if left.is_empty() { String::new() } else { format!(", {} left out", left.len()) };
        line(&one_line(&format!("{}: {} tasks{rest}", out.display(), made.len())));
    }
    Ok(Exit::Clean)
}

fn write(path: &Path, content: &[u8], runs: bool) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, content).map_err(failed)?;
    let mode = if runs { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}
