//! A run: all arms and seeds of a recipe over the cores there are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use loophole_cell::Pool;
use loophole_grade::{GraderKind, Grading};
use loophole_log::{Axes, Kind, LogError, Place, Predictions, RunDir, RunState, Status, recipe_hash};
use loophole_probe::{Battery, ProbeError};

use crate::arm::{Bench, Training, find_organism};
use crate::battery::{Firsts, stopped};
use crate::organism::Organism;
use crate::recipe::Recipe;
use crate::{Event, LabError, predict, summarize};

/// How a run is made.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder.
    pub out: PathBuf,
    /// Where a relative organism is looked for besides the current folder.
    pub root: PathBuf,
    /// Go on with a run that is there.
    pub resume: bool,
    /// Trainings at a time; 0 is one a core.
    pub jobs: usize,
    /// Only this arm.
    pub only_arm: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All arms are complete and summarized; with the hash that stands for everything in the folder.
    Finished(Box<loophole_log::Summary>, String),
    /// It was asked to leave; `--resume` goes on.
    Interrupted,
}

/// One arm and seed to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    arm: usize,
    seed: u64,
}

/// What the workers share.
struct Board {
    waiting: VecDeque<Job>,
    /// Divergence at the end, by arm and seed.
    done: BTreeMap<(usize, u64), f64>,
    failed: Option<LabError>,
}

/// Makes a run, or goes on with one.
///
/// # Errors
/// The recipe, the organism, the cells, the disk. What was written until then is whole and can be resumed.
pub fn run(
    recipe: &Recipe,
    options: &RunOptions,
    watch: &(dyn Fn(Event) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Outcome, LabError> {
    let resolved = recipe.resolved()?;
    if let Some(arm) = recipe.arms.iter().find(|arm| options.only_arm.as_ref() == Some(&arm.name))
        && !recipe.needs(arm).is_empty()
    {
        let reason = format!("arm {:?} waits for {}; it needs the whole run", arm.name, recipe.needs(arm).join(", "));
        return Err(LabError::Recipe { name: recipe.name.clone(), reason });
    }
    let battery = Battery::bundled(&recipe.probe.battery)?;
    let organisms = open_organisms(recipe, &options.root)?;
    let pool = Arc::new(Pool::start(Grading::cells(GraderKind::Script))?);
    let dir = open_dir(&options.out, &resolved, options.resume, watch)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut jobs: VecDeque<Job> = VecDeque::new();
    // Seeds outermost: a run that is looked at half-way has complete comparisons.
    for seed in recipe.seeds() {
        for (arm, spec) in recipe.arms.iter().enumerate() {
            if options.only_arm.as_ref().is_none_or(|only| only == &spec.name) {
                jobs.push_back(Job { arm, seed });
            }
        }
    }
    let total = jobs.len() as u64;
    let workers = if options.jobs == 0 { cores } else { options.jobs }.min(jobs.len()).max(1);
    let before = dir.read_status()?.map_or(0.0, |status| if status.seconds.is_finite() { status.seconds } else { 0.0 });
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let tier = pool.tier().to_string();
    let bench = Bench {
        recipe: recipe.clone(),
        grading: Grading::new(Arc::clone(&pool)),
        pool,
        battery,
        threads: cores,
        created,
        firsts: Firsts::new(),
    };
    let began = Instant::now();
    let steps_done = AtomicU64::new(0);
    let status = |state: RunState, done: u64, message: Option<String>| Status {
        state,
        arm: None,
        seed: None,
        step: steps_done.load(Ordering::Relaxed),
        steps: recipe.arms.iter().map(|arm| recipe.steps(arm) as u64).sum::<u64>() * recipe.seeds().len() as u64,
        done,
        total,
        seconds: before + began.elapsed().as_secs_f64(),
        message,
        tier: Some(tier.clone()),
        ledger: true,
    };
    dir.write_status(&status(RunState::Running, 0, None))?;
    // What is predicted is written before anything is trained.
    if recipe.prediction > 0 && dir.read_predictions()?.is_none() {
        match predictions(&bench, &organisms, options.only_arm.as_deref(), watch, stop) {
            Err(error) if stopped(&error) => {}
            predictions => dir.write_predictions(&predictions?)?,
        }
    }
    let mut bench = Bench { threads: (cores / workers).max(1), ..bench };
    match bench.firsts(&dir, &organisms, options.only_arm.as_deref(), workers, stop) {
        Err(error) if stopped(&error) => {}
        firsts => bench.firsts = firsts?,
    }
    let board = Mutex::new(Board { waiting: jobs, done: BTreeMap::new(), failed: None });
    let changed = Condvar::new();
    let tell = |event: Event| {
        if let Event::Step { .. } = &event {
            steps_done.fetch_add(1, Ordering::Relaxed);
        }
        watch(event);
    };
    let work = || {
        while let Some((job, ended)) = take(&board, &changed, recipe, stop) {
            // Others may wait for this one: what ends it ends the run.
            let result = catch_unwind(AssertUnwindSafe(|| one(&bench, &dir, &job, &organisms, &ended, &tell, stop)));
            let result = result.unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().cloned();
                let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
                let arm = recipe.arms[job.arm].name.clone();
                Err(LabError::Broke { arm, seed: job.seed, said })
            });
            let mut held = lock(&board);
            match result {
                Ok(Some(kl)) => drop(held.done.insert((job.arm, job.seed), kl)),
                Ok(None) => {}
                // The other seeds go on; this one is missing in the summary, which says so.
                Err(error @ (LabError::NoCheckpoint { .. } | LabError::NoExamples { .. })) => {
                    watch(Event::Noted(format!("left out: {error}")));
                    held.done.insert((job.arm, job.seed), f64::NAN);
                }
                Err(error) => drop(held.failed.get_or_insert(error)),
            }
            let done = held.done.len() as u64;
            // The status is a courtesy to watchers; a disk that is full shows in the run's own files.
            let _ = dir.write_status(&status(RunState::Running, done, None));
            drop(held);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = board.done.len() as u64;
    if let Some(error) = board.failed {
        dir.write_status(&status(RunState::Failed, done, Some(error.to_string())))?;
        return Err(error);
    }
    if stop() {
        dir.write_status(&status(RunState::Interrupted, done, None))?;
        return Ok(Outcome::Interrupted);
    }
    dir.check_measures()?;
    let summary = summarize(&dir, recipe, before + began.elapsed().as_secs_f64())?;
    let root = dir.close()?.unwrap_or_default();
    dir.write_status(&status(RunState::Finished, done, None))?;
    Ok(Outcome::Finished(Box::new(summary), root))
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next job whose needs are met, with the divergence at which the arms it waited for have ended; none when all is
/// done.
fn take(
    board: &Mutex<Board>,
    changed: &Condvar,
    recipe: &Recipe,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<(Job, BTreeMap<String, f64>)> {
    let mut held = lock(board);
    loop {
        if held.failed.is_some() || stop() || held.waiting.is_empty() {
            return None;
        }
        let ended = |job: &Job, done: &BTreeMap<(usize, u64), f64>| -> Option<BTreeMap<String, f64>> {
            let kl = |name: String| {
                let arm = recipe.arms.iter().position(|arm| arm.name == name)?;
                done.get(&(arm, job.seed)).map(|&kl| (name, kl))
            };
            recipe.needs(&recipe.arms[job.arm]).into_iter().map(kl).collect()
        };
        let ready = held.waiting.iter().position(|job| ended(job, &held.done).is_some());
        if let Some(job) = ready.and_then(|index| held.waiting.remove(index)) {
            let ended = ended(&job, &held.done).unwrap_or_default();
            return Some((job, ended));
        }
        held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Runs one job; the divergence it ended at, or none if it was asked to leave before its end.
fn one(
    bench: &Bench,
    dir: &RunDir,
    job: &Job,
    organisms: &BTreeMap<PathBuf, Organism>,
    ended: &BTreeMap<String, f64>,
    watch: &(dyn Fn(Event) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<f64>, LabError> {
    let arm = &bench.recipe.arms[job.arm];
    let organism = &organisms[arm.organism.as_ref().unwrap_or(&bench.recipe.organism)];
    let seed_dir = dir.seed(&arm.name, job.seed)?;
    let from = seed_dir.read_metrics()?.len();
    watch(Event::ArmStarted { arm: arm.name.clone(), seed: job.seed, from });
    let training = Training { arm, seed: job.seed, organism, run: dir, dir: &seed_dir, ended };
    let complete = bench.run_arm(training, watch, stop)?;
    let kl = seed_dir.read_metrics()?.last().map_or(0.0, |metrics| metrics.kl);
    Ok(complete.then_some(kl))
}

/// What the models that a run begins with predict of its arms.
fn predictions(
    bench: &Bench,
    organisms: &BTreeMap<PathBuf, Organism>,
    only: Option<&str>,
    watch: &(dyn Fn(Event) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Predictions, LabError> {
    let recipe = &bench.recipe;
    let mut after: BTreeMap<&PathBuf, Axes> = BTreeMap::new();
    let mut arms = BTreeMap::new();
    for arm in recipe.arms.iter().filter(|arm| only.is_none_or(|only| only == arm.name)) {
        let path = arm.organism.as_ref().unwrap_or(&recipe.organism);
        let organism = &organisms[path];
        let after = match after.entry(path) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(predict::after_thoughts(bench, organism, stop)?),
        };
        if let Some(prediction) = predict::predict(bench, arm, organism, after, stop)? {
            watch(Event::Predicted { arm: arm.name.clone(), prediction: prediction.clone() });
            arms.insert(arm.name.clone(), prediction);
        }
        if stop() {
            return Err(ProbeError::Stopped.into());
        }
    }
    Ok(Predictions { arms })
}

fn open_organisms(recipe: &Recipe, root: &Path) -> Result<BTreeMap<PathBuf, Organism>, LabError> {
    let named = recipe.arms.iter().filter_map(|arm| arm.organism.clone());
    std::iter::once(recipe.organism.clone())
        .chain(named)
        .map(|path| Ok((path.clone(), Organism::open(&find_organism(&path, root))?)))
        .collect()
}

/// The run's folder: new, or the same recipe's when asked to go on. It belongs to this process from here on.
fn open_dir(out: &Path, resolved: &str, resume: bool, watch: &(dyn Fn(Event) + Sync)) -> Result<RunDir, LabError> {
    if let Some(pid) = Place::folder(Kind::Run, out).holder() {
        return Err(LogError::Held { path: out.into(), pid }.into());
    }
    if !out.join("recipe.toml").exists() {
        return Ok(RunDir::create(out, resolved)?);
    }
    let dir = RunDir::open(out)?;
    let wanted = recipe_hash(resolved);
    if dir.hash() != wanted {
        return Err(LabError::OtherRun { path: out.into(), found: dir.hash().into(), wanted });
    }
    if !resume {
        return Err(LabError::RunExists { path: out.into() });
    }
    let (dir, notes) = RunDir::take_up(out)?;
    for note in notes {
        watch(Event::Noted(note));
    }
    Ok(dir)
}
