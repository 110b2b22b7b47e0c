//! `loophole audit`.

use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;
use loophole_audit::{Event, Report, Settings};

use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole audit`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole audit tasks.jsonl --kind pytest\n  loophole audit tasks.jsonl --kind script --hardened --json"
)]
pub struct AuditArguments {
    /// A JSONL of tasks; a folder with task.toml, or with tests and a reference; python:FILE.py:FUNCTION;
    /// cmd:COMMAND {submission}; http://127.0.0.1:PORT/...
    target: String,
    /// Kind of grader, for tasks in a file
    #[arg(long)]
    kind: Option<String>,
    /// Weaknesses left open; all the kind has unless named
    #[arg(long, value_name = "WEAKNESS", conflicts_with = "hardened")]
    open: Vec<String>,
    /// Close every weakness
    #[arg(long)]
    hardened: bool,
    /// Audit with this task instead of the first
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    task: Option<String>,
    /// Audit with every task
    #[arg(long)]
    all: bool,
    /// Python of the cells
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Wall seconds for one run of the grader
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Submissions run at a time; one a core and one more unless told otherwise
    #[arg(long)]
    jobs: Option<usize>,
}

/// Audits a target.
pub fn audit(arguments: &AuditArguments, output: &Options) -> Result<Exit, Error> {
    let settings = Settings {
        kind: arguments.kind.clone(),
        open: arguments.open.clone(),
        hardened: arguments.hardened,
        python: arguments.python.clone(),
        timeout: arguments.timeout,
        task: arguments.task.clone(),
        all: arguments.all,
    };
    let targets = loophole_audit::open(&arguments.target, &settings)?;
    let mut options = loophole_audit::Options::default();
    if let Some(jobs) = arguments.jobs {
        options.jobs = jobs;
    }
    let mut reports = Vec::new();
    for target in &targets {
        let bar = output.bar(0);
        let report = loophole_audit::audit(target.as_ref(), &options, &|event| progress(&bar, &event));
        bar.finish_and_clear();
        reports.push(report?);
    }
    for report in &reports {
        show(report, output);
    }
    Ok(if reports.iter().any(|r| !r.findings.is_empty()) { Exit::Found } else { Exit::Clean })
}

fn progress(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Stage(name, items) => {
            bar.set_position(0);
            bar.set_length(*items as u64);
            bar.set_message(*name);
        }
        Event::Done(_) => bar.inc(1),
    }
}

fn show(report: &Report, output: &Options) {
    if output.json {
        output::json(report);
    } else {
        line(report.table().trim_end());
    }
}
