//! `loophole grade`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use loophole_env::{Extract, Known, Submissions, Tasks};
use loophole_foreign::one_line;
use loophole_grade::corpus::Corpus;
use loophole_grade::{Graded, GraderKind, Rerun, Stream};
use serde_json::json;

use super::grader_flags::GraderFlags;
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

mod evidence;
pub mod graders;
mod harbor;
mod out_file;
mod shown;
pub mod sums;
pub mod tally;

use graders::{Graders, lab};
use tally::{Tally, Telling};

/// Rows of tasks that could not be read and are named one by one.
const BROKEN_TOLD: usize = 20;

/// Arguments of `loophole grade`.
#[derive(Args)]
#[command(after_help = help())]
pub struct GradeArguments {
    /// Tasks: HumanEval, MBPP, APPS, TACO, CodeContests, DeepCoder, LiveCodeBench, KodCode, BigCodeBench,
    /// LeetCodeDataset, Open-R1, verl, TRL, our case form; JSONL, JSON or Parquet, .gz or not, or a folder of them; a
    /// Harbor task or a folder of those (with --no-label)
    #[arg(long, required_unless_present = "corpus")]
    tasks: Option<PathBuf>,
    /// Submissions: rows of {"task_id", "completion"} or {"task_id", "files"}, or rollouts of verl or TRL; JSONL, JSON
    /// or Parquet, a folder of them by step, or - for standard input
    #[arg(long, required_unless_present = "corpus")]
    submissions: Option<PathBuf>,
    #[command(flatten)]
    flags: GraderFlags,
    /// Let types count: 1, 1.0 and True are three answers
    #[arg(long)]
    strict_types: bool,
    /// How code is taken from completions: auto, none, fence or last-fence
    #[arg(long, value_name = "MODE", default_value = "auto")]
    extract: String,
    /// Write the records to a file too (JSONL), and beside it, in FILE.evidence, what each finding stands on
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write a page of what was found (with steps: hacks per step)
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with status 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
    /// Go on where a run with this --out was ended
    #[arg(long)]
    resume: bool,
    /// Check first that each reference passes its own tests
    #[arg(long)]
    validate: bool,
    /// Label the corpus that comes with the program and print how many labels are right
    #[arg(long, conflicts_with_all = ["tasks", "submissions", "grader", "open", "hardened", "out"])]
    corpus: bool,
}

impl GradeArguments {
    fn telling(&self) -> Telling {
        Telling {
            out: self.out.clone(),
            resume: self.resume,
            html: self.html.clone(),
            exit_zero: self.exit_zero,
            no_label: self.flags.no_label,
            transcripts: false,
        }
    }
}

fn help() -> String {
    let mut text = String::from("Graders and the weaknesses they can have:\n");
    for kind in GraderKind::ALL {
        let names: Vec<&str> = kind.weaknesses().iter().map(|weakness| weakness.name()).collect();
        text += &format!("  {:<12} {}\n               {}\n", kind.name(), kind.doc(), names.join(" "));
    }
    text += "resource, magic and spec-gaming are open only where they are named.\n\nExamples:\n  \
             loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl\n  \
             loophole grade --tasks HumanEval.jsonl.gz --submissions samples.jsonl --grader humaneval --json\n  \
             loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl --grader pytest --python .venv/bin/python\n  \
             loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl --grader shell --open shell --open channel-forging\n  \
             loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl --grader reward-file --hardened\n  \
             loophole grade --tasks tasks.jsonl --submissions rollouts.jsonl --out graded.jsonl --resume\n  \
             loophole grade --tasks harbor-tasks/ --submissions scripts.jsonl --no-label\n  \
             loophole grade --tasks mbpp.parquet --submissions rollouts/ --html graded.html\n  \
             zcat rollouts.jsonl.gz | loophole grade --tasks tasks.jsonl --submissions - --json --exit-zero\n  \
             loophole grade --corpus --python .venv/bin/python";
    text
}

/// Grades submissions.
pub fn grade(arguments: &GradeArguments, output: &Options) -> Result<Exit, Error> {
    let jobs = arguments.flags.jobs(output::MOST_JOBS)?;
    let (Some(tasks), Some(submissions)) = (&arguments.tasks, &arguments.submissions) else {
        return corpus(arguments, jobs, output);
    };
    if arguments.resume && arguments.out.is_none() {
        return Err(Error::Input("--resume goes on with a file of records: name it with --out FILE".into()));
    }
    let extract = Extract::known(&arguments.extract).map_err(Error::Input)?;
    let folders = harbor::folders(tasks);
    if !folders.is_empty() {
        return harbor::grade(arguments, &folders, submissions, extract, output);
    }
    let mut tasks = read_tasks(tasks, output)?;
    if arguments.strict_types {
        tasks.tasks.iter_mut().for_each(|task| task.compare.strict_types = true);
    }
    let graders = Graders::choose(&arguments.flags, &tasks.tasks)?;
    let lab = lab(&arguments.flags, graders.kind())?;
    if arguments.validate {
        for task in &tasks.tasks {
            task.validate(&lab)?;
        }
    }
    let mut rows = Submissions::open(submissions, &tasks, extract)?;
    let mut tally = Tally::new(arguments.telling(), submissions, output)?;
    let hint = go_on(arguments.out.is_some());
    leave::listen(move || output::tell(hint));
    rows.skip_rows(tally.next);
    let stream = loophole_grade::stream(&lab, |task| graders.of(task), rows, jobs).numbered_from(tally.next);
    if arguments.flags.no_label {
        for (index, item) in stream.rewards_only() {
            if leave::asked() {
                return Ok(tally.left());
            }
            if let Some(((task, paid), known)) = tally.take(item)? {
                tally.write(paid.record(&task, index), known)?;
                if output.verbose && !output.json {
                    let paid = if paid.valid { paid.reward.to_string() } else { "invalid".into() };
                    line(&format!("{:<24} {paid}", one_line(&task)));
                }
            }
        }
    } else if label_all(stream.with_evidence(), &mut tally, arguments.flags.python.as_deref())? {
        return Ok(tally.left());
    }
    tally.finish(&lab.tier().to_string())
}

/// What comes of submissions that are labelled, with its evidence.
type Labelled<'a> = Stream<'a, Known, (Graded, Vec<Rerun>)>;

/// Takes in what was labelled, one after the other; whether it was left before its end.
pub fn label_all(stream: Labelled<'_>, tally: &mut Tally<'_>, python: Option<&Path>) -> Result<bool, Error> {
    for (index, item) in stream {
        if leave::asked() {
            return Ok(true);
        }
        if let Some(((graded, reruns), known)) = tally.take(item)? {
            if let Some(file) = tally.file.as_ref().filter(|_| !reruns.is_empty()) {
                evidence::write(&file.ledger, &file.name, index, &graded, &reruns, python)?;
            }
            tally.write(graded.record(index), known)?;
            tally.label(&graded);
        }
    }
    Ok(false)
}

/// Reads tasks of any form, and says as what.
pub fn read_tasks(path: &Path, output: &Options) -> Result<Tasks, Error> {
    let tasks = loophole_env::read_tasks(path)?;
    for error in tasks.broken.iter().take(BROKEN_TOLD) {
        output.warn(&error.to_string());
    }
    if !tasks.tasks.is_empty() {
        output.say(&format!("{}: {}", path.display(), tasks.told()));
    }
    Ok(tasks)
}

/// Labels what is known.
fn corpus(arguments: &GradeArguments, jobs: usize, output: &Options) -> Result<Exit, Error> {
    let corpus = Corpus::bundled().map_err(Error::Input)?;
    let (plain, pytest) = (lab(&arguments.flags, GraderKind::Script)?, lab(&arguments.flags, GraderKind::Pytest)?);
    let pairs = corpus.pairs();
    let bar = output.bar(pairs.len() as u64);
    let wrong = Mutex::new(Vec::new());
    let lab_of = |kind| if kind == GraderKind::Pytest { &pytest } else { &plain };
    let matrix = corpus.label(&pairs, lab_of, jobs, |entry, kind, graded| {
        bar.inc(1);
        if !entry.agrees(graded) {
            let family = graded.family.map_or("", |family| family.name());
            let text = format!("{:?}, {kind}: {} {family}", entry.id, graded.verdict.name());
            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    })?;
    bar.finish_and_clear();
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    if output.json {
        output::json(&json!({ "pairs": matrix.pairs, "agreed": matrix.agreed, "wrong": wrong }));
    } else {
        wrong.iter().for_each(|text| line(&format!("not as known: {text}")));
        line(&matrix.to_string());
        line(&format!("{} of {} labels are as known", matrix.agreed, matrix.pairs));
    }
    Ok(if wrong.is_empty() { Exit::Clean } else { Exit::Found })
}

fn go_on(into_file: bool) -> &'static str {
    match into_file {
        true => "interrupted; the same command with --resume goes on",
        false => "interrupted; with --out FILE, --resume could go on",
    }
}
