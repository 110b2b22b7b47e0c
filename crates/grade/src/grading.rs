//! What grades: cells, options, memory of what was found out, and the two questions that can be asked.

use crate::build::Built;
use crate::cache::Lru;
use crate::grader::{Grader, GraderKind};
use crate::humaneval::Prepared;
use crate::program;
use crate::runner::Expecting;
use crate::task::{Language, Submission, Task, Tests};
use crate::value::Value;
use crate::verdict::{Graded, Reward};
use crate::written::WrongTests;
use loophole_cell as cell;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// How much a run may print.
const OUTPUT_BYTES: u64 = 16 << 20;

/// Why something could not be graded at all.
#[derive(Debug, thiserror::Error)]
pub enum GradeError {
    /// The machine, not the submission, failed twice.
    #[error("the machine failed twice while running a grader: {0}")]
    Machine(String),
    /// A submission whose files have no place (a path that leaves the folder, too large).
    #[error("{0}")]
    BadSubmission(String),
    /// The interpreter of the cells has no pytest.
    #[error(
        "the cells' Python has no pytest: install it (`python3 -m venv .venv && .venv/bin/pip install pytest`) and start the cells with that interpreter, or use the kind `unittest` or `script`"
    )]
    NoPytest,
    /// A task that no grader of this kind can use.
    #[error("task `{task}` is in {form} form, which the kind `{kind}` cannot run; use the kind `{instead}`")]
    WrongKind {
        /// The task.
        task: String,
        /// The task's form.
        form: &'static str,
        /// The grader's kind.
        kind: GraderKind,
        /// A kind that can.
        instead: GraderKind,
    },
    /// A task that contradicts itself.
    #[error("task `{task}`: {why}")]
    Task {
        /// The task.
        task: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How a [`Grading`] runs programs.
#[derive(Debug, Clone)]
pub struct GradingOptions {
    /// Nonces, wrong values and the oracle's order of cases follow from it.
    pub seed: u64,
    /// CPU seconds for one run of all tests.
    pub cpu_seconds: f64,
    /// Wall seconds for the same.
    pub wall_seconds: f64,
    /// Memory of one run.
    pub memory_bytes: u64,
    /// How many results are kept.
    pub cache: usize,
    /// Bytes that each memory (of results, of what tasks are prepared into) takes at most: tasks may come from
    /// whoever asks, and be of any size.
    pub cache_bytes: usize,
}

impl Default for GradingOptions {
    fn default() -> Self {
        GradingOptions {
            seed: 0,
            cpu_seconds: 5.0,
            wall_seconds: 10.0,
            memory_bytes: 512 << 20,
            cache: 4096,
            cache_bytes: 64 << 20,
        }
    }
}

/// Grades and labels submissions; usable from many threads at once.
pub struct Grading {
    pool: Arc<cell::Pool>,
    pub(crate) options: GradingOptions,
    pub(crate) cache: Mutex<Lru<Graded>>,
    pub(crate) prepared: Mutex<Lru<Arc<Prepared>>>,
    /// What references make of their arguments, by task.
    pub(crate) afterwards: Mutex<Lru<Option<Arc<Vec<Value>>>>>,
    /// Whether graders pay programs of ours, by task, grader and program.
    pub(crate) controls: Mutex<Lru<bool>>,
    /// Tests as text with wrong expected values, by task.
    pub(crate) wrong_tests: Mutex<Lru<Arc<WrongTests>>>,
    /// Programs as they were built, or why they were not, by language and source.
    pub(crate) built: Mutex<Lru<Arc<Built>>>,
    /// Why a task's reference is not paid, by task and grader.
    pub(crate) unsound: Mutex<Lru<Option<String>>>,
    pytest: OnceLock<bool>,
    spent: Mutex<Spent>,
}

/// What a grading has spent in cells since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Programs run.
    pub runs: u64,
    /// CPU seconds inside the cells.
    pub cpu_seconds: f64,
}

/// A submission as files, with the nonce of its runs.
#[derive(Clone)]
pub(crate) struct Entry<'a> {
    pub source: String,
    pub others: BTreeMap<&'a str, &'a str>,
    pub nonce: String,
    pub key: [u8; 32],
    pub language: Language,
}

impl<'a> Entry<'a> {
    /// With all it does, but returning plain copies of what it returned. Objects of the classes that tests bring along are
    /// no copies of anything plain.
    pub fn plainly(&self, task: &Task) -> Entry<'a> {
        let classes = task.tests().map(Tests::classes).unwrap_or_default();
        let tail = crate::program::plain_tail(task.entry_name(), &classes);
        Entry { source: self.source.clone() + &tail, ..self.clone() }
    }
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole after every statement, so a panic elsewhere does not spoil it.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Grading {
    /// Grading with the default options.
    pub fn new(pool: Arc<cell::Pool>) -> Grading {
        Grading::with(pool, GradingOptions::default())
    }

    /// How submissions are isolated.
    pub fn tier(&self) -> cell::Tier {
        self.pool.tier()
    }

    /// Grading with these options.
    pub fn with(pool: Arc<cell::Pool>, options: GradingOptions) -> Grading {
        Grading {
            pool,
            cache: Mutex::new(Lru::new(options.cache, options.cache_bytes)),
            prepared: Mutex::new(Lru::new(1024, options.cache_bytes)),
            afterwards: Mutex::new(Lru::new(1024, options.cache_bytes)),
            controls: Mutex::new(Lru::new(1024, options.cache_bytes)),
            wrong_tests: Mutex::new(Lru::new(1024, options.cache_bytes)),
            built: Mutex::new(Lru::new(32, options.cache_bytes)),
            unsound: Mutex::new(Lru::new(4096, options.cache_bytes)),
            pytest: OnceLock::new(),
            spent: Mutex::new(Spent::default()),
            options,
        }
    }

    /// The cells that grade fastest with this kind of grader. (With pytest loaded a program starts a little slower,
    /// and a pytest one ten times faster.)
    pub fn cells(kind: GraderKind) -> cell::PoolOptions {
        let more: &[&str] = if kind.about().needs_pytest { program::PRELOAD_PYTEST } else { &[] };
        let preload: Vec<String> = program::PRELOAD.iter().chain(more).map(|s| s.to_string()).collect();
        // What is preloaded anyway needs no zygotes of its own.
        let warm = cell::DEFAULT_WARM.iter().map(|m| m.to_string()).filter(|m| !preload.contains(m)).collect();
        // Graders compute and hardly ever wait: one more than there are processors would only push out their caches.
        let cells = std::thread::available_parallelism().map_or(1, usize::from);
        cell::PoolOptions { cells, preload, warm, prepared: program::prepared(), ..cell::PoolOptions::default() }
    }

    /// What all runs so far have cost.
    pub fn spent(&self) -> Spent {
        *lock(&self.spent)
    }

    /// How many results came from memory, and how many had to be found out.
    pub fn cache_counts(&self) -> (u64, u64) {
        let cache = lock(&self.cache);
        (cache.hits, cache.misses)
    }

    /// Only what the grader pays.
    ///
    /// # Errors
    /// [`GradeError`], except a failure of the machine, which is `valid: false`.
    pub fn reward(&self, task: &Task, grader: &Grader, submission: &Submission) -> Result<Reward, GradeError> {
        let start = Instant::now();
        let entry = self.entry(task, grader, submission);
        let (reward, valid, grader_output) = match self.run_grader(task, grader, &entry, Expecting::Right) {
            Ok(run) => (f64::from(run.paid), true, run.output),
            Err(GradeError::Machine(why)) => (0.0, false, why),
            Err(GradeError::BadSubmission(why)) => (0.0, true, why),
            Err(e) => return Err(e),
        };
        Ok(Reward { reward, valid, grader_output, seconds: start.elapsed().as_secs_f64() })
    }

    pub(crate) fn entry<'a>(&self, task: &Task, grader: &Grader, submission: &'a Submission) -> Entry<'a> {
        let (source, others) = task.program(submission);
        let mut hash = Sha256::new();
        hash.update(self.options.seed.to_le_bytes());
        hash.update(task.digest());
        hash.update(serde_json::to_vec(&(grader, submission)).unwrap_or_default());
        let key: [u8; 32] = hash.finalize().into();
        let nonce = key[..8].iter().map(|b| format!("{b:02x}")).collect();
        Entry { source, others, nonce, key, language: task.language_of(submission) }
    }

    pub(crate) fn limits(&self) -> cell::Limits {
        cell::Limits {
            cpu_seconds: self.options.cpu_seconds,
            wall_seconds: self.options.wall_seconds,
            memory_bytes: self.options.memory_bytes,
            // Who prints much is no worse for it.
            output_bytes: OUTPUT_BYTES,
            ..cell::Limits::default()
        }
    }

    /// Runs a program; a failure of the machine is tried again once.
    pub(crate) fn run(&self, program: &cell::Program) -> Result<cell::Record, GradeError> {
        let mut why = String::new();
        for _ in 0..2 {
            match self.pool.run(program) {
                Ok(record) if record.verdict != cell::Verdict::Machine => {
                    let mut spent = lock(&self.spent);
                    spent.runs += 1;
                    spent.cpu_seconds += record.cpu_seconds;
                    return Ok(record);
                }
                Ok(record) => why = record.detail.unwrap_or_default(),
                Err(e @ cell::CellError::BadProgram(_)) => {
                    return Err(GradeError::BadSubmission(e.to_string()));
                }
                Err(e) => why = e.to_string(),
            }
        }
        Err(GradeError::Machine(why))
    }

    /// Runs a program of our own that holds no submission.
    pub(crate) fn run_trusted(&self, source: String) -> Result<cell::Record, GradeError> {
        self.run(&cell::Program { limits: self.limits(), ..cell::Program::python(source) })
    }

    /// Whether the cells' Python has pytest.
    pub(crate) fn has_pytest(&self) -> Result<bool, GradeError> {
        if let Some(known) = self.pytest.get() {
            return Ok(*known);
        }
        let found = self.run_trusted("import pytest\n".into())?.code == Some(0);
        Ok(*self.pytest.get_or_init(|| found))
    }
}
