//! `loophole watch`: a training by another program, seen by the rollouts it leaves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use loophole_env::{Extract, Tasks};
use loophole_grade::Grading;
use loophole_log::{Kind, Place, RunDir, RunState, Status};

use super::grade::graders::{Graders, lab};
use super::grade::read_tasks;
use super::grader_flags::GraderFlags;
use crate::leave;
use crate::output::{self, Error, Exit, Options};

mod folder;
mod look;
mod steps;
mod told;

use folder::Watching;

/// Arguments of `loophole watch`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole watch rollouts --tasks tasks.jsonl --out runs/mine            (verl: trainer.rollout_data_dir=rollouts)
  loophole watch out/completions --tasks tasks.jsonl --out runs/mine     (TRL: log_completions=True, output_dir=out)
  loophole watch rollouts --tasks tasks.jsonl --out runs/mine --follow --stop-command 'touch STOP'
  loophole report runs/mine

Exit 1: something was paid that was not earned, or tried to be (hack, tamper, attempted); 3: not one row is for a task
that is known, or there is nothing to read; 130: interrupted, the same command goes on.")]
pub struct WatchArguments {
    /// Folder of rollouts: verl's dumps, TRL's completions, rollouts of a run; JSONL, JSON or Parquet
    folder: PathBuf,
    /// Tasks, as for `loophole grade`
    #[arg(long)]
    tasks: PathBuf,
    #[command(flatten)]
    flags: GraderFlags,
    /// Let types count: 1, 1.0 and True are three answers
    #[arg(long)]
    strict_types: bool,
    /// How code is taken from completions: auto, none, fence or last-fence
    #[arg(long, value_name = "MODE", default_value = "auto")]
    extract: String,
    /// Folder of the run that is written; runs/NAME unless named. One that is there is gone on with
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the page is headed with; the folder's name unless named
    #[arg(long)]
    name: Option<String>,
    /// What the training is to show
    #[arg(long, default_value = "")]
    question: String,
    /// Name of the condition
    #[arg(long, default_value = "training")]
    arm: String,
    /// Seed of the training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on as files appear, until interrupted
    #[arg(long)]
    follow: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, requires = "follow")]
    every: f64,
    /// End when nothing new came for so many seconds
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    idle: Option<f64>,
    /// Shell command that is run once, at the onset of hacking; it finds LOOPHOLE_RUN, LOOPHOLE_STEP and LOOPHOLE_HACK_RATE
    #[arg(long, value_name = "CMD")]
    stop_command: Option<String>,
    /// Keep curves for TensorBoard in this folder, too
    #[arg(long, value_name = "DIR")]
    tfevents: Option<PathBuf>,
    /// End with status 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
}

/// What rollouts are graded with.
struct Means<'a> {
    tasks: &'a Tasks,
    graders: &'a Graders,
    lab: &'a Grading,
    extract: Extract,
    jobs: usize,
}

/// What is said when it was left.
const GO_ON: &str = "interrupted; the same command goes on";
/// Seconds without news after which a sign of life is given.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Watches a training.
pub fn watch(arguments: &WatchArguments, output: &Options) -> Result<Exit, Error> {
    let jobs = arguments.flags.jobs(output::MOST_JOBS)?;
    output::flag("--every", arguments.every, 0.05..=86_400.0)?;
    output::flag("--idle", arguments.idle.unwrap_or(0.0), 0.0..=31_536_000.0)?;
    if arguments.flags.no_label {
        return Err(Error::Input("--no-label leaves nothing to watch for: hacks are told by their labels".into()));
    }
    let extract = Extract::known(&arguments.extract).map_err(Error::Input)?;
    if !arguments.folder.is_dir() {
        let why = if arguments.folder.exists() { "is no folder" } else { "is not there" };
        return Err(Error::Input(format!("{} {why}; name the folder of the rollouts", arguments.folder.display())));
    }
    let mut tasks = read_tasks(&arguments.tasks, output)?;
    if arguments.strict_types {
        tasks.tasks.iter_mut().for_each(|task| task.compare.strict_types = true);
    }
    let graders = Graders::choose(&arguments.flags, &tasks.tasks)?;
    let lab = lab(&arguments.flags, graders.kind())?;
    let mut watching = Watching::open(arguments, &graders, lab.tier().to_string(), output)?;
    let out = watching.out().to_path_buf();
    leave::listen(move || interrupted(&out));
    let means = Means { tasks: &tasks, graders: &graders, lab: &lab, extract, jobs };
    let (mut news, mut beat) = (Instant::now(), Instant::now());
    loop {
        if watching.look(&means)? {
            (news, beat) = (Instant::now(), Instant::now());
        }
        if leave::asked() {
            watching.status(RunState::Interrupted)?;
            output.say(GO_ON);
            return Ok(Exit::Interrupted);
        }
        if !arguments.follow || arguments.idle.is_some_and(|idle| news.elapsed().as_secs_f64() >= idle) {
            return watching.finish();
        }
        if beat.elapsed() >= HEARTBEAT {
            beat = Instant::now();
            output.say(&watching.waits(news.elapsed()));
        }
        wait(arguments.every);
    }
}

/// Waits until the next look, or until it is to end.
fn wait(seconds: f64) {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while !leave::asked() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
}

/// The last words where a look could not be waited for.
fn interrupted(out: &std::path::Path) {
    if Place::folder(Kind::Run, out).holder() != Some(Some(std::process::id())) {
        return;
    }
    if let Ok((Some(status), run)) = RunDir::open(out).and_then(|run| Ok((run.read_status()?, run))) {
        // Nobody is left to be told of a disk that is full.
        let _ = run.write_status(&Status { state: RunState::Interrupted, ..status });
    }
    output::tell(GO_ON);
}
