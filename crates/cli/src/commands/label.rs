//! `loophole label`: transcripts of others in, labels out.

use std::path::{Path, PathBuf};

use clap::Args;
use loophole_env::Extract;

use super::grade::graders::{Graders, lab};
use super::grade::tally::{Tally, Telling};
use super::grade::{label_all, read_tasks};
use super::grader_flags::GraderFlags;
use crate::leave;
use crate::output::{self, Error, Exit, Options};

mod files;
mod sources;
mod transcript;

use sources::Sources;

/// Arguments of `loophole label`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole label logs/ --tasks tasks.jsonl --json                    (Inspect: *.eval, *.json)
  loophole label jobs/2026-11-30 --tasks tasks.jsonl --json          (Harbor: each trial's agent/trajectory.json)
  loophole label conversations.jsonl --tasks tasks.jsonl             (rows of messages, rollouts of verl or TRL)

Exit 1: a transcript is a hack, tampers or tried to; 3: not one could be labelled.")]
pub struct LabelArguments {
    /// Transcripts, or folders of them: ATIF trajectories, Inspect logs, rows of messages or completions
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Tasks, as for `loophole grade`
    #[arg(long)]
    tasks: PathBuf,
    /// The task of all transcripts that name none
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    #[command(flatten)]
    flags: GraderFlags,
    /// Let types count: 1, 1.0 and True are three answers
    #[arg(long)]
    strict_types: bool,
    /// How code is taken from what was said: auto, none, fence or last-fence
    #[arg(long, value_name = "MODE", default_value = "auto")]
    extract: String,
    /// Write the records to a file too (JSONL), and beside it, in FILE.evidence, what each finding stands on
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write a page of what was found
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with status 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
}

/// Labels transcripts.
pub fn label(arguments: &LabelArguments, output: &Options) -> Result<Exit, Error> {
    let jobs = arguments.flags.jobs(output::MOST_JOBS)?;
    if arguments.flags.no_label {
        return Err(Error::Input("--no-label leaves nothing to label; `loophole grade --no-label` pays alone".into()));
    }
    let extract = Extract::known(&arguments.extract).map_err(Error::Input)?;
    if let Some(gone) = arguments.files.iter().find(|path| !path.exists()) {
        return Err(Error::Input(format!("{} is not there", gone.display())));
    }
    let mut tasks = read_tasks(&arguments.tasks, output)?;
    if arguments.strict_types {
        tasks.tasks.iter_mut().for_each(|task| task.compare.strict_types = true);
    }
    if let Some(id) = arguments.task.as_ref().filter(|id| tasks.tasks.iter().all(|task| task.id != **id)) {
        return Err(Error::Input(format!("--task {id:?}: {} has no such task", arguments.tasks.display())));
    }
    let graders = Graders::choose(&arguments.flags, &tasks.tasks)?;
    let lab = lab(&arguments.flags, graders.kind())?;
    let sources = Sources::open(&arguments.files, &tasks, extract, arguments.task.as_deref())?;
    let telling = Telling {
        out: arguments.out.clone(),
        html: arguments.html.clone(),
        exit_zero: arguments.exit_zero,
        transcripts: true,
        ..Telling::default()
    };
    let path: &Path = arguments.files.first().map_or(Path::new(""), PathBuf::as_path);
    let mut tally = Tally::new(telling, path, output)?;
    leave::listen(|| output::tell("interrupted"));
    let stream = loophole_grade::stream(&lab, |task| graders.of(task), sources, jobs);
    if label_all(stream.with_evidence(), &mut tally, arguments.flags.python.as_deref())? {
        output.say("interrupted");
        return Ok(Exit::Interrupted);
    }
    tally.finish(&lab.tier().to_string())
}
