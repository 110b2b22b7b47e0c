//! The cells and the graders behind all dialects.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loophole_cell::{CellError, Limits, Pool, PoolOptions, Program, Record, Verdict as Ended};
use loophole_grade::{
    GradeError, Graded, Grader, GraderKind, Grading as Lab, GradingOptions as LabOptions, Reward, Submission, Task,
    Verdict,
};

use crate::Service;
use crate::problem::Problem;
use crate::queue::Deadline;

/// Most seconds by the clock on the wall that a request may give a program.
pub(crate) const MOST_SECONDS: f64 = 120.0;
/// Most seconds by the clock on the wall that it may give all tests of a submission.
const MOST_WALL: f64 = 480.0;
/// Least memory, with which Python just starts.
const LEAST_MEMORY: u64 = 64 << 20;
/// Most memory it may give it.
const MOST_MEMORY: u64 = 4 << 30;
/// Memory of a program for which nothing is said.
const MEMORY: u64 = 1 << 30;
/// Seconds by the clock on the wall of all tests of a submission: with all places and side places taken a program gets
/// a fifth of a processor, and is not to fail for it.
const WALL_SECONDS: f64 = 20.0;
/// Labs for time limits of their own that are kept.
const MOST_LABS: usize = 64;
/// Pools for cells with names of their own in their root that are kept.
const MOST_ROOTED: usize = 16;

/// Cells, tasks known by their ids, and the grader for submissions whose client names none.
pub struct Grading {
    pool: Arc<Pool>,
    /// Pools of cells that have these names in their root.
    rooted: Mutex<BTreeMap<Vec<String>, Arc<Pool>>>,
    jobs: usize,
    side: usize,
    lab: Arc<Lab>,
    /// Labs of other limits: tenths of CPU seconds and of seconds by the clock, MiB.
    labs: Mutex<BTreeMap<(u32, u32, u64), Arc<Lab>>>,
    tasks: HashMap<String, Arc<Task>>,
    /// Their ids, in the order in which they were given.
    order: Vec<String>,
    /// Names of a grader, as `--grader`, `--open` and `--hardened` take them.
    grader: Option<String>,
    open: Vec<String>,
    hardened: bool,
    /// Whether the dialects of trainers label what they grade.
    pub(crate) label: bool,
}

impl Grading {
    /// The cells for so many pieces of work at a time. There are more cells than that: a program that does not end
    /// takes one of the others.
    pub fn cells(kind: GraderKind, jobs: usize) -> PoolOptions {
        PoolOptions { cells: jobs + side(jobs), ..Lab::cells(kind) }
    }

    /// Grades in these cells, `jobs` submissions at a time.
    pub fn new(pool: Arc<Pool>, jobs: usize) -> Grading {
        Grading {
            lab: Arc::new(Lab::with(pool.clone(), LabOptions { wall_seconds: WALL_SECONDS, ..LabOptions::default() })),
            pool,
            rooted: Mutex::default(),
            jobs,
            side: side(jobs),
            labs: Mutex::default(),
            tasks: HashMap::new(),
            order: Vec::new(),
            grader: None,
            open: Vec::new(),
            hardened: false,
            label: true,
        }
    }

    /// Knows tasks by their ids.
    #[must_use]
    pub fn with_tasks(mut self, tasks: Vec<Task>) -> Grading {
        self.order = tasks.iter().map(|task| task.id.clone()).collect();
        self.tasks = tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect();
        self
    }

    /// The grader where a request names none (`None`: what fits the task); see [`Grader::choose`].
    ///
    /// # Errors
    /// There is no such grader or weakness.
    pub fn with_grader(mut self, name: Option<&str>, open: &[String], hardened: bool) -> Result<Grading, String> {
        let tasks: Vec<Task> = self.tasks.values().take(1).map(|task| Task::clone(task)).collect();
        Grader::choose(name, open, hardened, GraderKind::fitting(&tasks))?;
        (self.grader, self.open, self.hardened) = (name.map(str::to_string), open.to_vec(), hardened);
        Ok(self)
    }

    /// Pays only, in the dialects of trainers: no oracle, no label.
    #[must_use]
    pub fn without_labels(mut self) -> Grading {
        self.label = false;
        self
    }

    pub(crate) fn jobs(&self) -> usize {
        self.jobs
    }

    pub(crate) fn side(&self) -> usize {
        self.side
    }

    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }

    /// Cells in whose root these names are links to folders of `/box`, where it does not have them already.
    pub(crate) fn rooted(&self, mut roots: Vec<String>) -> Result<Arc<Pool>, CellError> {
        if roots.is_empty() {
            return Ok(self.pool());
        }
        roots.sort();
        roots.dedup();
        // Nothing is left half done under this lock.
        let mut pools = self.rooted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&roots) {
            return Ok(pool.clone());
        }
        let names = roots.clone();
        let pool = Arc::new(self.pool.like(|options| {
            (options.cells, options.shell_only, options.roots_if_free) = (0, true, names);
        })?);
        if pools.len() >= MOST_ROOTED {
            // Its cells hold what they need.
            pools.pop_first();
        }
        pools.insert(roots, pool.clone());
        Ok(pool)
    }

    pub(crate) fn tier(&self) -> String {
        self.pool.tier().to_string()
    }

    pub(crate) fn cells_alive(&self) -> usize {
        self.pool.zygote_pids().len()
    }

    /// Whether a program runs as it should.
    pub(crate) fn works(&self) -> bool {
        let ran = self.pool.run(&Program::python("print(6 * 7)"));
        ran.is_ok_and(|record| record.success() && record.stdout == b"42\n")
    }

    pub(crate) fn task(&self, id: &str) -> Result<Arc<Task>, Problem> {
        self.tasks.get(id).cloned().ok_or_else(|| {
            let there = match self.tasks.len() {
                0 => "the server was started without --tasks".to_string(),
                count => format!("the server knows {count} others"),
            };
            let message = format!("there is no task {id:?}; {there}");
            Problem { code: Some("unknown_task"), ..Problem::other(422, message) }
        })
    }

    /// How many tasks it knows.
    pub(crate) fn count(&self) -> usize {
        self.order.len()
    }

    /// One of the tasks, by a number of any size.
    pub(crate) fn task_at(&self, number: u64) -> Result<Arc<Task>, Problem> {
        let at = number.checked_rem(self.order.len() as u64);
        let id = at.and_then(|at| self.order.get(at as usize));
        self.task(id.ok_or_else(|| Problem::other(422, "the server was started without --tasks"))?)
    }

    /// The grader that a request names, or the server's, or what fits the task.
    pub(crate) fn grader(
        &self,
        task: &Task,
        name: Option<&str>,
        open: &[String],
        hardened: bool,
    ) -> Result<Grader, String> {
        let fitting = GraderKind::fitting(std::slice::from_ref(task));
        if name.is_none() && open.is_empty() && !hardened {
            return Grader::choose(self.grader.as_deref(), &self.open, self.hardened, fitting);
        }
        Grader::choose(name.or(self.grader.as_deref()), open, hardened, fitting)
    }

    /// The lab that gives all tests of a submission so many CPU seconds.
    pub(crate) fn lab(&self, seconds: Option<f64>) -> Arc<Lab> {
        let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else { return self.lab.clone() };
        // A busy machine takes longer by the clock on the wall.
        let cpu = seconds.clamp(0.1, MOST_SECONDS);
        self.lab_of(cpu, cpu * 4.0 + 2.0, LabOptions::default().memory_bytes)
    }

    /// The lab with the limits that a request names, within those of the server.
    pub(crate) fn limited(&self, limits: &Limited) -> Result<Arc<Lab>, Problem> {
        let usual = LabOptions::default();
        if *limits == Limited::default() {
            return Ok(self.lab.clone());
        }
        let within = |name: &str, value: Option<f64>, least: f64, most: f64| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(Problem::field("limits", format!("limits.{name} must be from {least} to {most}, not {value}")))
            }
            value => Ok(value),
        };
        let cpu = within("cpu_seconds", limits.cpu_seconds, 0.1, MOST_SECONDS)?;
        let wall = within("wall_seconds", limits.wall_seconds, 0.1, MOST_WALL)?;
        let memory = limits.memory_bytes.map(|bytes| bytes as f64);
        within("memory_bytes", memory, LEAST_MEMORY as f64, MOST_MEMORY as f64)?;
        let usual_wall = cpu.map_or(WALL_SECONDS, |cpu| (cpu * 4.0 + 2.0).clamp(WALL_SECONDS, MOST_WALL));
        let memory = limits.memory_bytes.unwrap_or(usual.memory_bytes);
        Ok(self.lab_of(cpu.unwrap_or(usual.cpu_seconds), wall.unwrap_or(usual_wall), memory))
    }

    fn lab_of(&self, cpu_seconds: f64, wall_seconds: f64, memory_bytes: u64) -> Arc<Lab> {
        let tenths = |seconds: f64| (seconds * 10.0).ceil() as u32;
        let key = (tenths(cpu_seconds), tenths(wall_seconds), memory_bytes.div_ceil(1 << 20));
        let mut labs = self.labs.lock().unwrap_or_else(PoisonError::into_inner);
        if labs.len() >= MOST_LABS && !labs.contains_key(&key) {
            labs.clear();
        }
        let make = || {
            let (cpu_seconds, wall_seconds) = (f64::from(key.0) / 10.0, f64::from(key.1) / 10.0);
            let memory_bytes = key.2 << 20;
            let (cache, cache_bytes) = (256, 1 << 20);
            let options =
                LabOptions { cpu_seconds, wall_seconds, memory_bytes, cache, cache_bytes, ..LabOptions::default() };
            Arc::new(Lab::with(self.pool.clone(), options))
        };
        labs.entry(key).or_insert_with(make).clone()
    }

    /// Limits within those of the server.
    pub(crate) fn limits(wall_seconds: f64, memory_bytes: Option<u64>) -> Limits {
        let wall_seconds = if wall_seconds.is_finite() { wall_seconds.clamp(0.05, MOST_SECONDS) } else { MOST_SECONDS };
        let memory_bytes = memory_bytes.unwrap_or(MEMORY).clamp(16 << 20, MOST_MEMORY);
        Limits { wall_seconds, cpu_seconds: wall_seconds * 2.0, memory_bytes, ..Limits::default() }
    }
}

/// What all tests of a submission may take; the server's own where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limited {
    cpu_seconds: Option<f64>,
    /// By the clock on the wall; follows from the CPU seconds.
    wall_seconds: Option<f64>,
    memory_bytes: Option<u64>,
}

/// A submission to be graded, and how.
pub(crate) struct Question {
    pub lab: Arc<Lab>,
    pub task: Arc<Task>,
    pub grader: Grader,
    pub submission: Submission,
}

/// Programs that may go on without end beside the others.
fn side(jobs: usize) -> usize {
    jobs + 2
}

/// Does it once more, and a last time, if the machine failed: several cells that died while nothing ran in them are found
/// one after the other, and some clients ask a single time.
fn again<T>(work: impl Fn() -> T, failed: impl Fn(&T) -> bool) -> T {
    for wait in [Duration::from_millis(50), Duration::from_millis(250)] {
        let done = work();
        if !failed(&done) {
            return done;
        }
        std::thread::sleep(wait);
    }
    work()
}

/// What is wrong with a request for grading.
pub(crate) fn problem_of(error: &GradeError) -> Problem {
    match error {
        GradeError::Machine(_) => Problem::machine(error.to_string()),
        GradeError::NoPytest => Problem { code: Some("no_pytest"), ..Problem::other(501, error.to_string()) },
        GradeError::WrongKind { .. } => Problem { code: Some("wrong_kind"), ..Problem::other(422, error.to_string()) },
        GradeError::BadSubmission(_) => {
            Problem { code: Some("bad_submission"), ..Problem::other(422, error.to_string()) }
        }
        GradeError::Task { .. } => Problem { code: Some("bad_task"), ..Problem::other(422, error.to_string()) },
    }
}

impl Service {
    pub(crate) fn grading(&self) -> Result<&Grading, Problem> {
        self.grading
            .as_ref()
            .ok_or_else(|| Problem::other(404, "this server was started without cells; it grades nothing"))
    }

    /// Grades and labels a submission.
    pub(crate) async fn grade(&self, deadline: Deadline, question: Question) -> Result<Graded, Problem> {
        let failed = |result: &Result<Graded, GradeError>| match result {
            Ok(graded) => graded.machine_failed(),
            Err(error) => matches!(error, GradeError::Machine(_)),
        };
        let Question { lab, task, grader, submission } = question;
        let label = move || again(|| lab.grade_sound(&task, &grader, &submission), failed);
        let graded = self.queue.work(deadline, label).await?.map_err(|error| problem_of(&error));
        match &graded {
            Ok(graded) => {
                self.metrics.verdict(graded.verdict.name());
                if graded.machine_failed() {
                    self.metrics.machine_failure();
                }
            }
            Err(problem) if problem.code == Some("machine") => self.metrics.machine_failure(),
            Err(_) => {}
        }
        graded
    }

    /// The same for dialects in which a reward is all there is: what is invalid is a problem.
    pub(crate) async fn grade_valid(&self, deadline: Deadline, question: Question) -> Result<Graded, Problem> {
        let graded = self.grade(deadline, question).await?;
        let why = || graded.evidence.join("; ");
        match graded.verdict {
            Verdict::Invalid if graded.machine_failed() => Err(Problem::machine(why())),
            Verdict::Invalid => Err(Problem { code: Some("bad_task"), ..Problem::other(422, why()) }),
            _ => Ok(graded),
        }
    }

    /// What the grader alone pays; not valid if the machine failed.
    pub(crate) async fn pay(&self, deadline: Deadline, question: Question) -> Result<Reward, Problem> {
        let Question { lab, task, grader, submission } = question;
        let paid = self.queue.work(deadline, move || lab.reward(&task, &grader, &submission)).await?;
        let paid = paid.map_err(|error| problem_of(&error))?;
        if !paid.valid {
            self.metrics.machine_failure();
        }
        Ok(paid)
    }

    /// Runs a program in a cell.
    pub(crate) async fn run(self: &Arc<Self>, deadline: Deadline, program: Program) -> Result<Record, Problem> {
        let pool = self.grading()?.pool.clone();
        let failed = |message: String| {
            self.metrics.machine_failure();
            Problem::machine(message)
        };
        let machine = |ran: &Result<Record, CellError>| match ran {
            Ok(record) => record.verdict == Ended::Machine,
            Err(error) => !matches!(error, CellError::BadProgram(_)),
        };
        // Dropped with this call, which is when its client leaves or its deadline passes.
        let wanted = Wanted::default();
        let program = Program { cancel: Some(wanted.0.clone()), ..program };
        match self.queue.work(deadline, move || again(|| pool.run(&program), machine)).await? {
            Ok(record) if record.verdict == Ended::Machine => {
                Err(failed(record.detail.unwrap_or_else(|| "the machine failed".to_string())))
            }
            Ok(record) => Ok(record),
            Err(error @ CellError::BadProgram(_)) => Err(Problem::other(422, error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// Says to a program, when it is dropped, that nobody waits for it any more.
#[derive(Default)]
pub(crate) struct Wanted(pub Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
