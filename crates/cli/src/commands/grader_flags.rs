//! The flags of commands that grade: which grader, how open, in which cells.

use std::path::PathBuf;

use clap::Args;

use crate::output::{self, Error};

/// Flags of `loophole grade` and `loophole serve`.
#[derive(Args)]
pub struct GraderFlags {
    /// Grader; what fits the task unless named (`loophole grade --help` tells which there are). A client of a service
    /// may name another
    #[arg(long)]
    pub grader: Option<String>,
    /// Weaknesses left open; unless named, all that such graders are found with; `all` for every one
    #[arg(long, value_name = "WEAKNESS", conflicts_with = "hardened")]
    pub open: Vec<String>,
    /// Close every weakness
    #[arg(long)]
    pub hardened: bool,
    /// Only what the grader pays, no verdict
    #[arg(long)]
    pub no_label: bool,
    /// Submissions and programs worked at a time; two a core unless told otherwise
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Python of the cells (needs pytest for that grader)
    #[arg(long)]
    pub python: Option<PathBuf>,
}

impl GraderFlags {
    /// How much is worked on at a time.
    ///
    /// # Errors
    /// Nothing, or more than `most`, is asked for.
    pub fn jobs(&self, most: usize) -> Result<usize, Error> {
        let free = std::thread::available_parallelism().map_or(1, usize::from) * 2;
        let jobs = self.jobs.unwrap_or(free.min(most));
        output::flag("--jobs", jobs, 1..=most)?;
        Ok(jobs)
    }
}
