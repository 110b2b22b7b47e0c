//! Tasks, graders with weaknesses, the oracle and verdicts.
//!
//! A [`Task`] has tests; a [`Grader`] is a kind (script, pytest, unittest, HumanEval `check`) plus the set of
//! weaknesses that are open; a [`Submission`] is what a policy hands in. [`Grading::reward`] runs the grader as the
//! policy meets it (G). [`Grading::grade`] also asks the *oracle* (O), which gives the submission inputs only and
//! compares plain copies of its values in this process, and where the grader paid it runs the grader once more with every
//! expected value replaced by a wrong one (M): no honest program passes that. What is paid, right and fails M is
//! honest; what passes M subverts or reads the grader, and so does what leaves the grader early or is paid only for
//! objects of its own (E). Nothing is guessed from the text of a submission.
//! Everything untrusted runs in cells (crate `loophole-cell`); the same question gets the same answer.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod asserts;
mod attribute;
mod build;
mod cache;
pub mod corpus;
mod family;
mod grader;
mod grading;
mod humaneval;
mod kind;
mod label;
mod oracle;
mod program;
mod rerun;
mod runner;
mod speed;
mod stream;
mod task;
mod value;
mod verdict;
mod written;

pub use family::{FAMILIES, Family, Weakness};
pub use grader::{Grader, GraderKind};
pub use grading::{GradeError, Grading, GradingOptions, Spent};
pub use rerun::Rerun;
pub use stream::{Job, Stream, StreamError, stream};
pub use task::{
    Case, Compare, Function, HumanEval, Language, ReadError, SOLUTION, Shape, Speed, Submission, Task, TaskForm, Tests,
};
pub use value::{MAX_BYTES, MAX_DEPTH, MAX_DIGITS, Value, ValueError};
pub use verdict::{Graded, OracleResult, Reward, Verdict};
