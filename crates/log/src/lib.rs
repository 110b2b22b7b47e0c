//! What a run leaves behind: its folder, its metrics, its rollouts and its transcripts.
//!
//! This room knows formats and nothing else: no models, no graders, no clock (every time is passed in), so equal
//! inputs give equal bytes. [`RunDir`] is the folder of one run and the place to start; [`SeedDir`] is the part that
//! belongs to one seed of one arm. Outputs of other commands are written through a [`Ledger`] too. Five promises hold:
//!
//! * *A kill loses at most the current step.* Whole files are written beside their place and renamed into it
//!   ([`write_atomic`]); `metrics.jsonl` grows by whole lines, and a line torn by a kill is ignored when reading and
//!   removed before writing goes on.
//! * *One owner.* A [`Lock`] of the kernel keeps a second process from writing there.
//! * *Nothing is taken away, edited or put there unnoticed.* A ledger, written before each change, knows every file; what
//!   differs from it and is not what a kill leaves is named by [`verify`].
//! * *No NaN is written.* What is not a number is `null` in JSON and reads back as NaN.
//! * *Formats of others are theirs.* Rollouts are Parquet, transcripts are Inspect logs ([`EvalLog`]); the scripts in
//!   `tests/foreign/` open our files with pyarrow and `inspect_ai`.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod book;
mod error;
mod eval;
mod eval_file;
mod eval_read;
mod files;
mod graded;
mod ledger;
mod lock;
mod metrics;
mod number;
mod prediction;
mod probe;
mod probe_sample;
mod rollouts;
mod run_dir;
mod seed_dir;
mod status;
mod summary;
mod table;
mod tfevents;
mod verify;
mod watched;

pub use book::{FileSum, Kind};
pub use error::LogError;
pub use eval::{EvalLog, EvalResult, EvalSample, EvalUsage, Message, Score, ToolCall};
pub use eval_file::{eval_bytes, write_eval};
pub use eval_read::{EvalSamples, read_eval};
pub use files::{json_bytes, read_json, write_atomic, write_json};
pub use graded::{GradedGroup, GradedStep, GradedSummary, Recorded, Share, Unearned};
pub use ledger::{Ledger, remove, seal};
pub use lock::Lock;
pub use metrics::{StepMetrics, append_metrics, parse_metrics, read_metrics};
pub use prediction::{Axes, GivenRate, Prediction, Predictions, TaskRates, mean_rate};
pub use probe::{ArmRate, Estimate, Measured, ProbeGate, ProbeReport, ProbeResult};
pub use probe_sample::{ProbeCall, ProbeMessage, ProbeSample};
pub(crate) use rollouts::rollout_bytes;
pub use rollouts::{RolloutRow, read_rollouts, write_rollouts};
pub use run_dir::{RunDir, recipe_hash};
pub use seed_dir::SeedDir;
pub use status::{RunState, Status};
pub use summary::{
    Answer, ArmSummary, Claim, Comparison, Fit, JumpAtOnset, MeasureJump, PredictionCheck, PredictionPoint, ProbePoint,
    ProbeSummary, SeedSummary, StartEnd, Summary,
};
pub use table::{TableColumn, table_bytes, write_table};
pub use tfevents::{Scalars, tfevents, write_tfevents};
pub use verify::{Place, Problem, Progress, Verified, Wrong, hash_beginning, verify};
pub use watched::{Watched, WatchedFile, WatchedPart};
