//! `loophole grade`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{Graded, Grader, GraderKind, Lab, Task, Verdict, Weakness};
use serde_json::json;

use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole grade`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl\n  loophole grade --tasks HumanEval.jsonl.gz --submissions samples.jsonl --grader humaneval --json\n  loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl --hardened"
)]
pub struct GradeArguments {
    /// Tasks: case form or HumanEval form, JSONL or JSONL.gz
    #[arg(long)]
    tasks: PathBuf,
    /// Submissions: JSONL of {"task_id", "completion"} or {"task_id", "files"}
    #[arg(long)]
    submissions: PathBuf,
    /// Grader: script, pytest, unittest or humaneval; what fits the tasks unless named
    #[arg(long)]
    grader: Option<String>,
    /// Weaknesses left open; all the kind has unless named
    #[arg(long, value_name = "WEAKNESS", conflicts_with = "hardened")]
    open: Vec<String>,
    /// Close every weakness
    #[arg(long)]
    hardened: bool,
    /// Only what the grader pays, no verdict
    #[arg(long)]
    no_label: bool,
    /// Submissions graded at a time; one a core unless told otherwise
    #[arg(long)]
    jobs: Option<usize>,
    /// Python of the cells (needs pytest for that grader)
    #[arg(long)]
    python: Option<PathBuf>,
    /// Write the records to a file too (JSONL)
    #[arg(long)]
    out: Option<PathBuf>,
    /// Check first that each reference passes its own tests
    #[arg(long)]
    validate: bool,
}

/// Grades submissions.
pub fn grade(arguments: &GradeArguments, output: &Options) -> Result<Exit, Error> {
    let tasks = loophole_grade::read_tasks(&arguments.tasks)?;
    let grader = grader(arguments, &tasks)?;
    let pool = Pool::start(PoolOptions {
        python: arguments.python.clone(),
        preload: Lab::preload(grader.kind),
        ..PoolOptions::default()
    })?;
    let lab = Lab::new(Arc::new(pool));
    if arguments.validate {
        for task in &tasks {
            task.validate(&lab)?;
        }
    }
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from) * 2);
    let mut file = match &arguments.out {
        Some(path) => {
            let file = File::create(path).map_err(|source| Error::Write { path: path.clone(), source })?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let began = Instant::now();
    let bar = output.bar(0);
    let (mut count, mut broken) = (0_u64, 0_u64);
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut families: BTreeMap<&str, u64> = BTreeMap::new();
    let stream = loophole_grade::stream(&lab, &tasks, &grader, &arguments.submissions, jobs)?;
    for (index, item) in stream {
        let graded = match item {
            Ok(graded) => graded,
            Err(error) => {
                broken += 1;
                output.say(&format!("{}: {error}", arguments.submissions.display()));
                continue;
            }
        };
        count += 1;
        bar.inc(1);
        let record = record(&graded, index, arguments.no_label);
        if let (Some(file), Some(path)) = (&mut file, &arguments.out) {
            writeln!(file, "{record}").map_err(|source| Error::Write { path: path.clone(), source })?;
        }
        if output.json {
            line(&record.to_string());
        } else if !matches!(graded.verdict, Verdict::Honest | Verdict::Fail) || output.verbose {
            let family = graded.family.map_or("", |family| family.name());
            line(&format!(
                "{:<24} {:<9} {family:<14} {}",
                graded.task_id,
                graded.verdict.name(),
                graded.evidence.join("; ")
            ));
        }
        *verdicts.entry(graded.verdict.name()).or_default() += 1;
        if let Some(family) = graded.family {
            *families.entry(family.name()).or_default() += 1;
        }
    }
    bar.finish_and_clear();
    if let (Some(mut file), Some(path)) = (file, &arguments.out) {
        file.flush().map_err(|source| Error::Write { path: path.clone(), source })?;
    }
    let per_second = count as f64 / began.elapsed().as_secs_f64().max(1e-9);
    if output.json {
        let summary = json!({
            "submissions": count, "broken_lines": broken, "verdicts": verdicts, "families": families,
            "per_second": per_second,
        });
        output::json(&json!({ "summary": summary }));
    } else {
        let parts: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        line(&format!("{count} submissions: {} ({per_second:.0}/s)", parts.join(", ")));
    }
    if count == 0 && broken > 0 {
        return Err(Error::Input(format!("no line of {} could be graded", arguments.submissions.display())));
    }
    let hacked = ["hack", "tamper", "attempted"].iter().any(|verdict| verdicts.contains_key(verdict));
    Ok(if hacked { Exit::Found } else { Exit::Clean })
}

fn record(graded: &Graded, index: usize, bare: bool) -> serde_json::Value {
    if bare {
        return json!({ "task_id": graded.task_id, "index": index, "reward": graded.reward, "seconds": graded.seconds });
    }
    json!({
        "task_id": graded.task_id, "index": index, "reward": graded.reward, "verdict": graded.verdict,
        "family": graded.family, "mechanism": graded.mechanism, "oracle": graded.oracle,
        "evidence": graded.evidence, "seconds": graded.seconds,
    })
}

fn grader(arguments: &GradeArguments, tasks: &[Task]) -> Result<Grader, Error> {
    let kind = match &arguments.grader {
        Some(name) => GraderKind::parse(name).ok_or_else(|| {
            Error::Input(format!("there is no grader {name:?} yet; known are script, pytest, unittest, humaneval"))
        })?,
        None if tasks.iter().any(|task| task.humaneval.is_some()) => GraderKind::Humaneval,
        None => GraderKind::Script,
    };
    if arguments.hardened {
        return Ok(Grader::hardened(kind));
    }
    if arguments.open.is_empty() {
        return Ok(Grader::open(kind));
    }
    let open: Vec<Weakness> = arguments
        .open
        .iter()
        .map(|name| {
            Weakness::parse(name).ok_or_else(|| {
                let known: Vec<&str> = kind.weaknesses().iter().map(|weakness| weakness.name()).collect();
                Error::Input(format!(
                    "{name:?} is no weakness of the grader {}; it has {}",
                    kind.name(),
                    known.join(", ")
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    Grader::with_only(kind, &open).map_err(Error::Input)
}
