//! What a run leaves behind: its folder, its metrics, its rollouts and its transcripts.
//!
//! This room knows formats and nothing else: no models, no graders, no clock (every time is passed in), so equal
//! inputs give equal bytes. [`RunDir`] is the folder of one run and the place to start; [`SeedDir`] is the part that
//! belongs to one seed of one arm. Three promises hold for every file:
//!
//! * *A kill loses at most the current step.* Whole files are written beside their place and renamed into it
//!   ([`write_atomic`]); `metrics.jsonl` grows by whole lines, and a line torn by a kill is ignored when reading and
//!   removed before writing goes on.
//! * *No NaN is written.* What is not a number is `null` in JSON and reads back as NaN.
//! * *Formats of others are theirs.* Rollouts are Parquet, transcripts are Inspect logs ([`EvalLog`]); the scripts in
//!   `tests/foreign/` open our files with pyarrow and `inspect_ai`.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod error;
mod eval;
mod eval_file;
mod eval_read;
mod files;
mod metrics;
mod number;
mod probe;
mod rollouts;
mod run_dir;
mod summary;
mod table;

pub use error::LogError;
pub use eval::{EvalLog, EvalSample, Message, Score, ToolCall};
pub use eval_file::{eval_bytes, write_eval};
pub use eval_read::read_eval;
pub use files::{read_json, write_atomic, write_json};
pub use metrics::{StepMetrics, append_metrics, parse_metrics, read_metrics, truncate_metrics_to};
pub use probe::{ArmRate, Estimate, ProbeReport, ProbeResult};
pub use rollouts::{RolloutRow, read_rollouts, write_rollouts};
pub use run_dir::{RunDir, RunState, SeedDir, Status, recipe_hash};
pub use summary::{
    Answer, ArmSummary, Claim, Comparison, JumpAtOnset, MeasureJump, ProbePoint, ProbeSummary, SeedSummary, StartEnd,
    Summary,
};
pub use table::{TableColumn, write_table};
