//! `loophole grade`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use loophole_cell::{Pool, PoolOptions};
use loophole_foreign::one_line;
use loophole_grade::corpus::Corpus;
use loophole_grade::{GradeError, Graded, Grader, GraderKind, Grading, StreamError, Task, Verdict};
use loophole_log::{Kind, Ledger, LogError, Place};
use serde_json::{Value, json};

use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

mod evidence;

/// Arguments of `loophole grade`.
#[derive(Args)]
#[command(after_help = help())]
pub struct GradeArguments {
    /// Tasks: case form or HumanEval form, JSONL or JSONL.gz
    #[arg(long, required_unless_present = "corpus")]
    tasks: Option<PathBuf>,
    /// Submissions: JSONL of {"task_id", "completion"} or {"task_id", "files"}
    #[arg(long, required_unless_present = "corpus")]
    submissions: Option<PathBuf>,
    /// Grader (see below); what fits the tasks unless named
    #[arg(long)]
    grader: Option<String>,
    /// Weaknesses left open; unless named, all that such graders are found with; `all` for every one
    #[arg(long, value_name = "WEAKNESS", conflicts_with = "hardened")]
    open: Vec<String>,
    /// Close every weakness
    #[arg(long)]
    hardened: bool,
    /// Let types count: 1, 1.0 and True are three answers
    #[arg(long)]
    strict_types: bool,
    /// Only what the grader pays, no verdict
    #[arg(long)]
    no_label: bool,
    /// Submissions graded at a time; one a core unless told otherwise
    #[arg(long)]
    jobs: Option<usize>,
    /// Python of the cells (needs pytest for that grader)
    #[arg(long)]
    python: Option<PathBuf>,
    /// Write the records to a file too (JSONL), and beside it, in FILE.evidence, what each finding stands on
    #[arg(long)]
    out: Option<PathBuf>,
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
             loophole grade --corpus --python .venv/bin/python";
    text
}

/// Grades submissions.
pub fn grade(arguments: &GradeArguments, output: &Options) -> Result<Exit, Error> {
    output::flag("--jobs", arguments.jobs.unwrap_or(1), 0..=output::MOST_JOBS)?;
    let (Some(tasks), Some(submissions)) = (&arguments.tasks, &arguments.submissions) else {
        return corpus(arguments, output);
    };
    if arguments.resume && arguments.out.is_none() {
        return Err(Error::Input("--resume goes on with a file of records: name it with --out FILE".into()));
    }
    let mut tasks = loophole_grade::read_tasks(tasks)?;
    if arguments.strict_types {
        tasks.iter_mut().for_each(|task| task.compare.strict_types = true);
    }
    let grader = grader(arguments, &tasks)?;
    let lab = lab(arguments, grader.kind)?;
    if arguments.validate {
        for task in &tasks {
            task.validate(&lab)?;
        }
    }
    let stream = loophole_grade::stream(&lab, &tasks, &grader, submissions, jobs(arguments))?;
    let mut tally = Tally::new(arguments, submissions, output)?;
    let hint = go_on(arguments);
    leave::listen(move || output::tell(hint));
    let stream = stream.from_index(tally.next);
    if arguments.no_label {
        for (index, item) in stream.rewards_only() {
            if leave::asked() {
                return Ok(tally.left());
            }
            if let Some((task, paid)) = tally.take(item)? {
                tally.write(&paid.record(&task, index))?;
                if output.verbose && !output.json {
                    line(&format!(
                        "{:<24} {}",
                        one_line(&task),
                        if paid.valid { paid.reward.to_string() } else { "invalid".into() }
                    ));
                }
            }
        }
    } else {
        for (index, item) in stream.with_evidence() {
            if leave::asked() {
                return Ok(tally.left());
            }
            if let Some((graded, reruns)) = tally.take(item)? {
                if let Some(file) = tally.file.as_ref().filter(|_| !reruns.is_empty()) {
                    evidence::write(&file.ledger, &file.name, index, &graded, &reruns, arguments.python.as_deref())?;
                }
                tally.write(&graded.record(index))?;
                tally.label(&graded);
            }
        }
    }
    tally.finish(&lab.tier().to_string())
}

fn jobs(arguments: &GradeArguments) -> usize {
    arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from) * 2)
}

fn lab(arguments: &GradeArguments, kind: GraderKind) -> Result<Grading, Error> {
    let options = PoolOptions { python: arguments.python.clone(), ..Grading::cells(kind) };
    Ok(Grading::new(Arc::new(Pool::start(options)?)))
}

/// Labels what is known.
fn corpus(arguments: &GradeArguments, output: &Options) -> Result<Exit, Error> {
    let corpus = Corpus::bundled().map_err(Error::Input)?;
    let (plain, pytest) = (lab(arguments, GraderKind::Script)?, lab(arguments, GraderKind::Pytest)?);
    let pairs = corpus.pairs();
    let bar = output.bar(pairs.len() as u64);
    let wrong = Mutex::new(Vec::new());
    let lab_of = |kind| if kind == GraderKind::Pytest { &pytest } else { &plain };
    let matrix = corpus.label(&pairs, lab_of, jobs(arguments), |entry, kind, graded| {
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

fn go_on(arguments: &GradeArguments) -> &'static str {
    match arguments.out {
        Some(_) => "interrupted; the same command with --resume goes on",
        None => "interrupted; with --out FILE, --resume could go on",
    }
}

/// The file asked for, written beside its place until it is whole.
struct OutFile {
    ledger: Ledger,
    /// Its name, and the one it has until it is whole.
    name: String,
    partial: String,
    /// Where it lies until then.
    path: PathBuf,
}

impl OutFile {
    /// Begins the file, or takes up one that was begun, with what is to be said about it.
    fn open(path: &Path, resume: bool) -> Result<(OutFile, Vec<String>), Error> {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Error::Input(format!("--out {}: name a file", path.display())));
        };
        let place = Place::file(Kind::Grade, path);
        if let Some(pid) = place.holder() {
            return Err(LogError::Held { path: path.into(), pid }.into());
        }
        let there = path.with_added_extension("partial");
        if resume && !there.exists() && path.exists() {
            return Err(Error::Input(format!("{} is finished: there is nothing to resume", path.display())));
        }
        let (ledger, notes) = if resume {
            Ledger::take_up(place, "grade again without --resume")?
        } else {
            let lock = place.lock()?;
            // What an earlier grading left is about the records that are replaced.
            for old in [&there, &path.with_added_extension("evidence")] {
                loophole_log::remove(old)?;
            }
            (Ledger::begin_held(place, lock)?, Vec::new())
        };
        let partial = format!("{name}.partial");
        ledger.append("", &partial, b"")?;
        Ok((OutFile { ledger, name, partial, path: there }, notes))
    }
}

/// What was read so far, and where it goes.
struct Tally<'a> {
    arguments: &'a GradeArguments,
    submissions: &'a Path,
    output: &'a Options,
    file: Option<OutFile>,
    bar: output::Bar,
    began: Instant,
    /// The first index that is not in the file yet.
    next: usize,
    /// How many were graded by an earlier run.
    earlier: u64,
    count: u64,
    broken: u64,
    paid: u64,
    verdicts: BTreeMap<String, u64>,
    families: BTreeMap<String, u64>,
}

impl<'a> Tally<'a> {
    fn new(arguments: &'a GradeArguments, submissions: &'a Path, output: &'a Options) -> Result<Self, Error> {
        let mut tally = Tally {
            arguments,
            submissions,
            output,
            file: None,
            bar: output.bar(0),
            began: Instant::now(),
            next: 0,
            earlier: 0,
            count: 0,
            broken: 0,
            paid: 0,
            verdicts: BTreeMap::new(),
            families: BTreeMap::new(),
        };
        if let Some(path) = &arguments.out {
            let (file, notes) = OutFile::open(path, arguments.resume)?;
            notes.iter().for_each(|note| output.warn(note));
            tally.take_up(&file)?;
            tally.file = Some(file);
        }
        Ok(tally)
    }

    /// Counts the records that an earlier run left, and drops what is no whole line.
    fn take_up(&mut self, file: &OutFile) -> Result<(), Error> {
        let failed = |source| Error::Write { path: file.path.clone(), source };
        let mut reader = BufReader::new(File::open(&file.path).map_err(failed)?);
        // Bytes: a line that was cut off may end within a letter.
        let (mut whole, mut text) = (0, Vec::new());
        while reader.read_until(b'\n', &mut text).map_err(failed)? > 0 && text.ends_with(b"\n") {
            let Ok(record) = serde_json::from_slice::<Value>(&text) else { break };
            let Some(index) = record["index"].as_u64() else { break };
            whole += text.len() as u64;
            self.next = index as usize + 1;
            self.earlier += 1;
            self.count_in(&record);
            text.clear();
        }
        Ok(file.ledger.truncate("", &file.partial, whole)?)
    }

    /// What is said when the grading was left.
    fn left(&self) -> Exit {
        self.bar.finish_and_clear();
        self.output.say(go_on(self.arguments));
        Exit::Interrupted
    }

    fn count_in(&mut self, record: &Value) {
        self.count += 1;
        self.paid += u64::from(record["reward"].as_f64().is_some_and(|reward| reward > 0.0));
        for (field, counts) in [("verdict", &mut self.verdicts), ("family", &mut self.families)] {
            if let Some(name) = record[field].as_str() {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// A submission that was graded; none for a line that could not be, which is said and counted.
    fn take<T>(&mut self, item: Result<T, StreamError>) -> Result<Option<T>, Error> {
        match item {
            Ok(graded) => {
                self.bar.inc(1);
                Ok(Some(graded))
            }
            // No other line would fare better.
            Err(StreamError::Grade { error: error @ GradeError::NoPytest, .. }) => Err(error.into()),
            Err(error) => {
                self.broken += 1;
                let place = match &error {
                    StreamError::Read(_) => String::new(),
                    StreamError::Grade { .. } => format!("{}, ", self.submissions.display()),
                };
                self.output.warn(&format!("{place}{error}"));
                Ok(None)
            }
        }
    }

    fn write(&mut self, record: &Value) -> Result<(), Error> {
        self.count_in(record);
        if let Some(file) = &self.file {
            file.ledger.append("", &file.partial, format!("{record}\n").as_bytes())?;
        }
        if self.output.json {
            output::json(record);
        }
        Ok(())
    }

    fn label(&self, graded: &Graded) {
        let quiet = matches!(graded.verdict, Verdict::Honest | Verdict::Fail) && !self.output.verbose;
        if !self.output.json && !quiet {
            let family = graded.family.map_or("", |family| family.name());
            let verdict = graded.verdict.name();
            let (task, evidence) = (one_line(&graded.task_id), graded.evidence.join("; "));
            line(&format!("{task:<24} {verdict:<9} {family:<14} {}", one_line(&evidence)));
        }
    }

    fn finish(self, tier: &str) -> Result<Exit, Error> {
        self.bar.finish_and_clear();
        if let Some(file) = &self.file {
            file.ledger.rename(&file.partial, &file.name)?;
            file.ledger.close_short()?;
        }
        let (count, broken) = (self.count, self.broken);
        let per_second = (count - self.earlier) as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        if self.output.json {
            let mut summary = json!({
                "submissions": count, "broken_lines": broken, "paid": self.paid, "per_second": per_second,
                "tier": tier,
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
                parts.push(format!("{broken} broken {}", if broken == 1 { "line" } else { "lines" }));
            }
            line(&format!("{count} submissions: {} ({per_second:.0}/s)", parts.join(", ")));
        }
        if count == 0 && broken > 0 {
            let path = self.submissions.display();
            return Err(Error::Input(format!("no line of {path} could be graded")));
        }
        let hacked = ["hack", "tamper", "attempted"].iter().any(|verdict| self.verdicts.contains_key(*verdict));
        Ok(if hacked { Exit::Found } else { Exit::Clean })
    }
}

fn grader(arguments: &GradeArguments, tasks: &[Task]) -> Result<Grader, Error> {
    let GradeArguments { grader, open, hardened, .. } = arguments;
    Grader::choose(grader.as_deref(), open, *hardened, GraderKind::fitting(tasks)).map_err(Error::Input)
}
