//! `loophole grade`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use loophole_cell::{Pool, PoolOptions};
use loophole_grade::{GradeError, Graded, Grader, GraderKind, Lab, StreamError, Task, Verdict, Weakness};
use serde_json::{Value, json};

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
    let stream = loophole_grade::stream(&lab, &tasks, &grader, &arguments.submissions, jobs)?;
    let mut tally = Tally::new(arguments, output)?;
    if arguments.no_label {
        for (index, item) in stream.rewards_only() {
            if let Some((task, paid)) = tally.take(item)? {
                tally.paid += u64::from(paid.reward > 0.0);
                tally.write(&json!({
                    "task_id": task, "index": index, "reward": paid.reward, "valid": paid.valid, "seconds": paid.seconds,
                }))?;
                if output.verbose && !output.json {
                    line(&format!(
                        "{task:<24} {}",
                        if paid.valid { paid.reward.to_string() } else { "invalid".into() }
                    ));
                }
            }
        }
    } else {
        for (index, item) in stream {
            if let Some(graded) = tally.take(item)? {
                tally.paid += u64::from(graded.reward > 0.0);
                tally.write(&record(&graded, index))?;
                tally.label(&graded);
            }
        }
    }
    tally.finish()
}

/// What was read so far, and where it goes.
struct Tally<'a> {
    arguments: &'a GradeArguments,
    output: &'a Options,
    /// The file asked for, written beside its place until it is whole.
    file: Option<(BufWriter<File>, PathBuf, &'a Path)>,
    bar: indicatif::ProgressBar,
    began: Instant,
    count: u64,
    broken: u64,
    paid: u64,
    verdicts: BTreeMap<&'static str, u64>,
    families: BTreeMap<&'static str, u64>,
}

impl<'a> Tally<'a> {
    fn new(arguments: &'a GradeArguments, output: &'a Options) -> Result<Self, Error> {
        let file = match &arguments.out {
            Some(path) => {
                let partial = path.with_added_extension("partial");
                let file = File::create(&partial).map_err(|source| Error::Write { path: partial.clone(), source })?;
                Some((BufWriter::new(file), partial, path.as_path()))
            }
            None => None,
        };
        Ok(Tally {
            arguments,
            output,
            file,
            bar: output.bar(0),
            began: Instant::now(),
            count: 0,
            broken: 0,
            paid: 0,
            verdicts: BTreeMap::new(),
            families: BTreeMap::new(),
        })
    }

    /// A submission that was graded; none for a line that could not be, which is said and counted.
    fn take<T>(&mut self, item: Result<T, StreamError>) -> Result<Option<T>, Error> {
        match item {
            Ok(graded) => {
                self.count += 1;
                self.bar.inc(1);
                Ok(Some(graded))
            }
            // No other line would fare better.
            Err(StreamError::Grade { error: error @ GradeError::NoPytest, .. }) => Err(error.into()),
            Err(error) => {
                self.broken += 1;
                let place = match &error {
                    StreamError::Read(_) => String::new(),
                    StreamError::Grade { .. } => format!("{}, ", self.arguments.submissions.display()),
                };
                self.output.warn(&format!("{place}{error}"));
                Ok(None)
            }
        }
    }

    fn write(&mut self, record: &Value) -> Result<(), Error> {
        if let Some((file, partial, _)) = &mut self.file {
            writeln!(file, "{record}").map_err(|source| Error::Write { path: partial.clone(), source })?;
        }
        if self.output.json {
            line(&record.to_string());
        }
        Ok(())
    }

    fn label(&mut self, graded: &Graded) {
        let quiet = matches!(graded.verdict, Verdict::Honest | Verdict::Fail) && !self.output.verbose;
        if !self.output.json && !quiet {
            let family = graded.family.map_or("", |family| family.name());
            let verdict = graded.verdict.name();
            line(&format!("{:<24} {verdict:<9} {family:<14} {}", graded.task_id, graded.evidence.join("; ")));
        }
        *self.verdicts.entry(graded.verdict.name()).or_default() += 1;
        if let Some(family) = graded.family {
            *self.families.entry(family.name()).or_default() += 1;
        }
    }

    fn finish(self) -> Result<Exit, Error> {
        self.bar.finish_and_clear();
        if let Some((mut file, partial, path)) = self.file {
            let done = file.flush().and_then(|()| std::fs::rename(&partial, path));
            done.map_err(|source| Error::Write { path: path.into(), source })?;
        }
        let (count, broken) = (self.count, self.broken);
        let per_second = count as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        if self.output.json {
            let mut summary = json!({
                "submissions": count, "broken_lines": broken, "paid": self.paid, "per_second": per_second,
            });
            if !self.arguments.no_label {
                summary["verdicts"] = json!(self.verdicts);
                summary["families"] = json!(self.families);
            }
            output::json(&json!({ "summary": summary }));
        } else {
            let mut parts: Vec<String> =
                self.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            if self.arguments.no_label {
                parts.push(format!("{} paid", self.paid));
            }
            if broken > 0 {
                parts.push(format!("{broken} broken lines"));
            }
            line(&format!("{count} submissions: {} ({per_second:.0}/s)", parts.join(", ")));
        }
        if count == 0 && broken > 0 {
            let path = self.arguments.submissions.display();
            return Err(Error::Input(format!("no line of {path} could be graded")));
        }
        let hacked = ["hack", "tamper", "attempted"].iter().any(|verdict| self.verdicts.contains_key(verdict));
        Ok(if hacked { Exit::Found } else { Exit::Clean })
    }
}

fn record(graded: &Graded, index: usize) -> Value {
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
