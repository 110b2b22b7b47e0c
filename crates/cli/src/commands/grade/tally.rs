//! What was graded so far, and where it goes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use loophole_env::Known;
use loophole_foreign::one_line;
use loophole_grade::{GradeError, Graded, ReadError, StreamError};
use serde_json::{Value, json};

use super::go_on;
use super::out_file::OutFile;
use super::shown::shown;
use super::sums::Sums;
use crate::output::{self, Error, Exit, Options, line};

/// How what comes of a grading is told.
#[derive(Default)]
pub struct Telling {
    /// Write the records to this file too.
    pub out: Option<PathBuf>,
    /// Go on with it.
    pub resume: bool,
    /// Write a page.
    pub html: Option<PathBuf>,
    /// End with status 0 whatever was found.
    pub exit_zero: bool,
    /// Only what the grader pays.
    pub no_label: bool,
    /// They are transcripts of others: those that could not be labelled are records, too.
    pub transcripts: bool,
}

/// What was read so far, and where it goes.
pub struct Tally<'a> {
    telling: Telling,
    submissions: &'a Path,
    output: &'a Options,
    /// The file asked for.
    pub file: Option<OutFile>,
    bar: output::Bar,
    began: Instant,
    /// The first index that is not in the file yet.
    pub next: usize,
    /// How many were graded by an earlier run.
    earlier: u64,
    /// How many were for no task that is known.
    no_task: u64,
    /// Files that could not be read at all.
    unreadable: u64,
    sums: Sums,
}

impl<'a> Tally<'a> {
    /// Begins; takes up the file that was begun, where there is one.
    pub fn new(telling: Telling, submissions: &'a Path, output: &'a Options) -> Result<Self, Error> {
        let mut tally = Tally {
            telling,
            no_task: 0,
            unreadable: 0,
            submissions,
            output,
            file: None,
            bar: output.bar(0),
            began: Instant::now(),
            next: 0,
            earlier: 0,
            sums: Sums::default(),
        };
        if let Some(path) = tally.telling.out.clone() {
            let (file, notes) = OutFile::open(&path, tally.telling.resume)?;
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
            self.sums.add(&record);
            text.clear();
        }
        Ok(file.ledger.truncate("", &file.partial, whole)?)
    }

    /// What is said when the grading was left.
    pub fn left(&self) -> Exit {
        self.bar.finish_and_clear();
        self.output.say(go_on(self.telling.out.is_some()));
        Exit::Interrupted
    }

    /// A submission that was graded; none for a row that could not be, which is said and counted.
    pub fn take<T>(&mut self, item: Result<T, StreamError>) -> Result<Option<T>, Error> {
        match item {
            Ok(graded) => {
                self.bar.inc(1);
                Ok(Some(graded))
            }
            // No other line would fare better.
            Err(StreamError::Grade { error: error @ GradeError::NoPytest, .. }) => Err(error.into()),
            Err(error) => {
                self.sums.broken();
                let no_task = matches!(error, StreamError::Read(ReadError::NoTask { .. }));
                self.no_task += u64::from(no_task);
                self.unreadable += u64::from(matches!(error, StreamError::Read(ReadError::Io { .. })));
                if self.telling.transcripts && self.output.json {
                    let why = if no_task { "no-task" } else { "no-submission" };
                    output::json(&json!({ "not_labelled": why, "reason": error.to_string() }));
                }
                let place = match &error {
                    StreamError::Read(_) => String::new(),
                    StreamError::Grade { .. } => format!("{}, ", self.submissions.display()),
                };
                self.output.warn(&format!("{place}{error}"));
                Ok(None)
            }
        }
    }

    /// Writes a record, with what its row says besides.
    pub fn write(&mut self, mut record: Value, known: Known) -> Result<(), Error> {
        if let Value::Object(fields) = &mut record {
            if let Some(extracted) = known.extracted {
                fields.insert("extracted".into(), extracted.into());
            }
            for (name, value) in known.columns {
                // What has a name of ours is the row's own account of it.
                let name = if fields.contains_key(&name) { format!("recorded_{name}") } else { name };
                fields.insert(name, value);
            }
        }
        self.sums.add(&record);
        if let Some(file) = &self.file {
            file.ledger.append("", &file.partial, format!("{record}\n").as_bytes())?;
        }
        if self.output.json {
            output::json(&record);
        }
        Ok(())
    }

    /// A line for one submission, where every one is to be seen.
    pub fn label(&self, graded: &Graded) {
        if self.output.verbose && !self.output.json {
            let family = graded.family.map_or("", |family| family.name());
            let verdict = graded.verdict.name();
            let (task, evidence) = (one_line(&graded.task_id), graded.evidence.join("; "));
            line(&format!("{task:<24} {verdict:<9} {family:<14} {}", one_line(&evidence)));
        }
    }

    /// Completes the file and tells what came of all.
    pub fn finish(self, tier: &str) -> Result<Exit, Error> {
        self.bar.finish_and_clear();
        if let Some(file) = &self.file {
            file.ledger.rename(&file.partial, &file.name)?;
            file.ledger.close_short()?;
        }
        let summary = self.sums.summary();
        let per_second = (self.sums.count() - self.earlier) as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        let labelled = !self.telling.no_label;
        if let Some(path) = &self.telling.html {
            let page = loophole_page::grading(&summary, &self.submissions.display().to_string());
            loophole_log::write_atomic(path, page.as_bytes())?;
        }
        if self.output.json {
            let mut told = json!(summary);
            told["per_second"] = json!(per_second);
            told["tier"] = json!(tier);
            if self.telling.transcripts {
                told["no_task"] = self.no_task.into();
                told["no_submission"] = (summary.broken_lines - self.no_task).into();
            }
            if let (false, Value::Object(fields)) = (labelled, &mut told) {
                fields.remove("verdicts");
                fields.remove("families");
            }
            output::json(&json!({ "summary": told }));
        } else {
            shown(&summary, labelled, per_second).lines().for_each(line);
        }
        if self.telling.transcripts && summary.broken_lines > 0 {
            let (all, left) = (summary.submissions + summary.broken_lines, summary.broken_lines);
            let why =
                format!("{} hold no submission, {} are for no task that is known", left - self.no_task, self.no_task);
            if self.unreadable == all {
                return Err(Error::Input(format!("not one of {all} files could be read; see above")));
            }
            if summary.submissions == 0 {
                return Err(Error::Cannot(format!("not one of {all} transcripts could be labelled: {why}")));
            }
            self.output.warn(&format!("{left} of {all} transcripts could not be labelled: {why}"));
        }
        if self.telling.transcripts && summary.submissions == 0 {
            return Err(Error::Cannot("there is no transcript: nothing was labelled".into()));
        }
        if summary.submissions == 0 && summary.broken_lines > 0 {
            let path = self.submissions.display();
            return Err(Error::Input(format!("no line of {path} could be graded")));
        }
        let hacked = ["hack", "tamper", "attempted"].iter().any(|verdict| summary.verdicts.contains_key(*verdict));
        Ok(if hacked && !self.telling.exit_zero { Exit::Found } else { Exit::Clean })
    }
}
