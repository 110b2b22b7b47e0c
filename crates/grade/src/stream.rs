//! Submissions from a file, graded in order with bounded memory.

use crate::grader::Grader;
use crate::grading::{GradeError, Grading};
use crate::lines::open;
use crate::rerun::Rerun;
use crate::task::{ReadError, Submission, Task};
use crate::verdict::{Graded, Reward, Verdict};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead, Read};
use std::path::Path;

/// The longest line of a submissions file that is read.
pub const MAX_LINE: usize = 16 << 20;

/// What came of one line.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A line that is no submission; the next one is read all the same.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A submission that could not be graded.
    #[error("line {line}: {error}")]
    Grade {
        /// Counted from 1.
        line: usize,
        /// Why.
        error: GradeError,
    },
}

#[derive(Deserialize)]
struct Line {
    task_id: String,
    completion: Option<String>,
    files: Option<BTreeMap<String, String>>,
}

/// What is asked about one submission.
type Work<T> = fn(&Grading, &Task, &Grader, &Submission) -> Result<T, GradeError>;

/// The graded submissions of a file, in its order; each with its index among the non-empty lines, from 0.
pub struct Stream<'a, T = Graded> {
    work: Work<T>,
    lab: &'a Grading,
    tasks: HashMap<&'a str, &'a Task>,
    grader: &'a Grader,
    jobs: usize,
    reader: Box<dyn BufRead + Send>,
    path: String,
    line: usize,
    index: usize,
    done: bool,
    ready: VecDeque<(usize, Result<T, StreamError>)>,
}

/// Reads submissions (JSONL, `.gz` or not) and grades them, `jobs` at a time.
///
/// # Errors
/// The file cannot be opened. Broken lines are items of the stream.
pub fn stream<'a>(
    lab: &'a Grading,
    tasks: &'a [Task],
    grader: &'a Grader,
    submissions: impl AsRef<Path>,
    jobs: usize,
) -> Result<Stream<'a>, ReadError> {
    let path = submissions.as_ref();
    Ok(Stream {
        work: |lab, task, grader, submission| lab.grade(task, grader, submission),
        lab,
        tasks: tasks.iter().map(|t| (t.id.as_str(), t)).collect(),
        grader,
        jobs: jobs.max(1),
        reader: open(path)?,
        path: path.display().to_string(),
        line: 0,
        index: 0,
        done: false,
        ready: VecDeque::new(),
    })
}

type Job<'a> = (usize, usize, Result<(&'a Task, Submission), ReadError>);

impl<'a> Stream<'a> {
    /// The same submissions, each with its task and with what the grader alone pays: neither the oracle nor
    /// the changed grader is run, and nothing is said about how the reward was come by.
    pub fn rewards_only(self) -> Stream<'a, (String, Reward)> {
        self.doing(|lab, task, grader, submission| Ok((task.id.clone(), lab.reward(task, grader, submission)?)))
    }

    /// The same submissions, of tasks that were seen to be sound (those of others are `invalid`), each with the
    /// runs that its label stands on where it is not simply honest or failed.
    pub fn with_evidence(self) -> Stream<'a, (Graded, Vec<Rerun>)> {
        self.doing(|lab, task, grader, submission| {
            let graded = lab.grade_sound(task, grader, submission)?;
            let told = !matches!(graded.verdict, Verdict::Honest | Verdict::Fail | Verdict::Invalid);
            let reruns = if told { lab.reruns(task, grader, submission)? } else { Vec::new() };
            Ok((graded, reruns))
        })
    }

    fn doing<T>(self, work: Work<T>) -> Stream<'a, T> {
        Stream {
            work,
            lab: self.lab,
            tasks: self.tasks,
            grader: self.grader,
            jobs: self.jobs,
            reader: self.reader,
            path: self.path,
            line: self.line,
            index: self.index,
            done: self.done,
            ready: VecDeque::new(),
        }
    }
}

impl<'a, T: Send> Stream<'a, T> {
    fn next_line(&mut self) -> Option<Result<String, ReadError>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        self.line += 1;
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(n) if n > MAX_LINE => {
                drop(bytes);
                self.skip_line();
                Some(Err(self.wrong(format!("longer than {MAX_LINE} bytes"))))
            }
            Ok(_) => Some(String::from_utf8(bytes).map_err(|_| self.wrong("not UTF-8".into()))),
            Err(error) => {
                self.done = true;
                let path = self.path.clone();
                Some(Err(ReadError::Io { path, error }))
            }
        }
    }

    /// Reads on to the end of a line without keeping it.
    fn skip_line(&mut self) {
        while let Ok(part) = self.reader.fill_buf() {
            let (found, n) = match part.iter().position(|b| *b == b'\n') {
                Some(at) => (true, at + 1),
                None => (part.is_empty(), part.len()),
            };
            self.reader.consume(n);
            if found {
                return;
            }
        }
    }

    /// Leaves out the submissions before this index, which are not even parsed.
    #[must_use]
    pub fn from_index(mut self, index: usize) -> Self {
        while self.index < index && !self.done {
            match self.next_line() {
                None => self.done = true,
                Some(Ok(text)) if text.trim().is_empty() => {}
                Some(_) => self.index += 1,
            }
        }
        self
    }

    fn wrong(&self, why: String) -> ReadError {
        ReadError::Line { path: self.path.clone(), line: self.line, why }
    }

    fn parse(&self, text: &str) -> Result<(&'a Task, Submission), ReadError> {
        let line: Line = serde_json::from_str(text).map_err(|e| self.wrong(e.to_string()))?;
        let Some(task) = self.tasks.get(line.task_id.as_str()) else {
            return Err(self.wrong(format!("no task `{}` in the tasks file", line.task_id)));
        };
        match (line.completion, line.files) {
            (Some(text), None) => Ok((task, Submission::Completion(text))),
            (None, Some(files)) => Ok((task, Submission::Files(files))),
            _ => Err(self.wrong("needs either `completion` or `files`".into())),
        }
    }

    fn fill(&mut self) {
        let mut batch: Vec<Job<'a>> = Vec::new();
        while batch.len() < self.jobs * 8 && !self.done {
            let parsed = match self.next_line() {
                None => {
                    self.done = true;
                    break;
                }
                Some(Ok(text)) if text.trim().is_empty() => continue,
                Some(Ok(text)) => self.parse(&text),
                Some(Err(e)) => Err(e),
            };
            batch.push((self.index, self.line, parsed));
            self.index += 1;
        }
        let (work, lab, grader) = (self.work, self.lab, self.grader);
        let next = std::sync::Mutex::new(batch.into_iter());
        let results = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let Some((index, line, job)) = crate::grading::lock(&next).next() else {
                            break;
                        };
                        let result = match job {
                            Err(e) => Err(StreamError::Read(e)),
                            Ok((task, submission)) => {
                                work(lab, task, grader, &submission).map_err(|error| StreamError::Grade { line, error })
                            }
                        };
                        crate::grading::lock(&results).push((index, result));
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        self.ready.extend(results);
    }
}

impl<T: Send> Iterator for Stream<'_, T> {
    type Item = (usize, Result<T, StreamError>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.done {
            self.fill();
        }
        self.ready.pop_front()
    }
}
