//! `loophole verify`.

use std::path::PathBuf;

use clap::Args;
use loophole_foreign::one_line;
use loophole_log::{LogError, Place, Problem, Progress, Verified, Wrong};
use serde::Serialize;

use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole verify`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole verify runs/quick\n  loophole verify graded.jsonl --json\n\nCompares every file with the ledger that was kept while it was written. Exit 0: whole and unedited; 1: the files named are not, or it cannot be told; 2: no results are there. It is no signature: who changes a file and the ledger with it is not caught, unless the hash that is printed was noted elsewhere."
)]
pub struct VerifyArguments {
    /// Folder of a run, a battery, an organism or a hardened grader; file of graded submissions or of an audit
    path: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    path: String,
    whole: bool,
    #[serde(flatten)]
    found: &'a Verified,
}

/// Compares results with their ledger.
pub fn verify(arguments: &VerifyArguments, output: &Options) -> Result<Exit, Error> {
    let place = Place::of(&arguments.path)?;
    let found = match loophole_log::verify(&place) {
        // A ledger that was tampered with is what is looked for here.
        Err(LogError::Ledger { path, line, why }) => Verified {
            problems: vec![Problem {
                path: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                what: Wrong::Edited,
                detail: format!("line {line}: {why}; without it nothing else can be told"),
            }],
            ..Verified::nothing(&place)
        },
        found => found?,
    };
    let path = arguments.path.display().to_string();
    if output.json {
        output::json(&Printed { path, whole: found.whole(), found: &found });
    } else {
        show(&path, &found);
    }
    Ok(if found.whole() { Exit::Clean } else { Exit::Found })
}

fn show(path: &str, found: &Verified) {
    for problem in &found.problems {
        line(&one_line(&problem.to_string()));
    }
    for note in &found.notes {
        line(&one_line(&format!("note: {note}")));
    }
    let progress = match (found.progress, found.pid) {
        (Progress::Complete, _) => "complete".to_string(),
        (Progress::Going, Some(pid)) => format!("in progress, written by process {pid}"),
        (Progress::Going, None) => "in progress".to_string(),
        (Progress::Unfinished, _) => "unfinished".to_string(),
    };
    let verdict = match (found.problems.len(), found.verifiable) {
        (0, true) => "whole and unedited".to_string(),
        (0, false) => "not verifiable".to_string(),
        (1, _) => "1 file is not as it was written".to_string(),
        (n, _) => format!("{n} files are not as they were written"),
    };
    line(&format!("{path}: {verdict}; {progress}; {} files, {} bytes compared", found.files, found.bytes));
    if found.whole() && found.progress == Progress::Complete {
        line(&format!("hash of all: {}", found.root));
    }
}
