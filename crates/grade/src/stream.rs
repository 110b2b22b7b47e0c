//! Submissions, whatever they are read from, graded in order with bounded memory.

use crate::grader::Grader;
use crate::grading::{GradeError, Grading, lock};
use crate::rerun::Rerun;
use crate::task::{ReadError, Submission, Task};
use crate::verdict::{Graded, Reward, Verdict};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What came of one row.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A row that is no submission; the next one is read all the same.
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

/// A submission that waits to be graded.
#[derive(Debug)]
pub struct Job<'a, X = ()> {
    /// Where it stands, counted from 1.
    pub line: usize,
    /// The task it is for.
    pub task: &'a Task,
    /// What was handed in.
    pub submission: Submission,
    /// What its reader knows of it besides; it comes back with the result.
    pub with: X,
}

/// What is asked about one submission.
type Work<T> = fn(&Grading, &Task, &Grader, &Submission) -> Result<T, GradeError>;

/// The grader of a task.
type GraderOf<'a> = Box<dyn Fn(&Task) -> &'a Grader + 'a>;

/// A result with its index, or what kept one from being.
pub type Item<X, T> = (usize, Result<(T, X), StreamError>);

/// The graded submissions of a reader, in its order, each with its index and with what the reader knew of it.
pub struct Stream<'a, X, T = Graded> {
    work: Work<T>,
    grading: &'a Grading,
    grader_of: GraderOf<'a>,
    jobs: usize,
    rows: Box<dyn Iterator<Item = Result<Job<'a, X>, ReadError>> + 'a>,
    index: usize,
    done: bool,
    ready: VecDeque<Item<X, T>>,
}

/// Grades submissions as they are read, `jobs` at a time, each with the grader of its task; rows that are none are items
/// of the stream.
pub fn stream<'a, X>(
    grading: &'a Grading,
    grader_of: impl Fn(&Task) -> &'a Grader + 'a,
    rows: impl Iterator<Item = Result<Job<'a, X>, ReadError>> + 'a,
    jobs: usize,
) -> Stream<'a, X> {
    Stream {
        work: |grading, task, grader, submission| grading.grade(task, grader, submission),
        grading,
        grader_of: Box::new(grader_of),
        jobs: jobs.max(1),
        rows: Box::new(rows),
        index: 0,
        done: false,
        ready: VecDeque::new(),
    }
}

impl<'a, X> Stream<'a, X> {
    /// The same submissions, each with its task and with what the grader alone pays: neither the oracle nor
    /// the changed grader is run, and nothing is said about how the reward was come by.
    pub fn rewards_only(self) -> Stream<'a, X, (String, Reward)> {
        self.doing(|grading, task, grader, submission| Ok((task.id.clone(), grading.reward(task, grader, submission)?)))
    }

    /// The same submissions, of tasks that were seen to be sound; those of others are `invalid`.
    pub fn of_sound_tasks(self) -> Stream<'a, X> {
        self.doing(|grading, task, grader, submission| grading.grade_sound(task, grader, submission))
    }

    /// The same submissions, of tasks that were seen to be sound (those of others are `invalid`), each with the
    /// runs that its label stands on where it is not simply honest or failed.
    pub fn with_evidence(self) -> Stream<'a, X, (Graded, Vec<Rerun>)> {
        self.doing(|grading, task, grader, submission| {
            let graded = grading.grade_sound(task, grader, submission)?;
            let told = !matches!(graded.verdict, Verdict::Honest | Verdict::Fail | Verdict::Invalid);
            let reruns = if told { grading.reruns(task, grader, submission)? } else { Vec::new() };
            Ok((graded, reruns))
        })
    }

    /// The same submissions, the first of which has this index.
    #[must_use]
    pub fn numbered_from(self, index: usize) -> Self {
        Stream { index, ..self }
    }

    fn doing<T>(self, work: Work<T>) -> Stream<'a, X, T> {
        let Stream { grading, grader_of, jobs, rows, index, done, .. } = self;
        Stream { work, grading, grader_of, jobs, rows, index, done, ready: VecDeque::new() }
    }
}

impl<X: Send, T: Send> Stream<'_, X, T> {
    fn fill(&mut self) {
        let mut batch = Vec::new();
        while batch.len() < self.jobs * 8 {
            let Some(row) = self.rows.next() else {
                self.done = true;
                break;
            };
            batch.push((self.index, row.map(|job| ((self.grader_of)(job.task), job))));
            self.index += 1;
        }
        let (work, grading) = (self.work, self.grading);
        let next = Mutex::new(batch.into_iter());
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let Some((index, row)) = lock(&next).next() else {
                            break;
                        };
                        let result = row.map_err(StreamError::Read).and_then(|(grader, job)| {
                            let Job { line, task, submission, with } = job;
                            let done = work(grading, task, grader, &submission);
                            done.map(|done| (done, with)).map_err(|error| StreamError::Grade { line, error })
                        });
                        lock(&results).push((index, result));
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        self.ready.extend(results);
    }
}

impl<X: Send, T: Send> Iterator for Stream<'_, X, T> {
    type Item = Item<X, T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.done {
            self.fill();
        }
        self.ready.pop_front()
    }
}
