//! `loophole look`: inside a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use loophole_cell::Pool;
use loophole_grade::{GraderKind, Grading};
use loophole_lab::look::{PartsStudy, Sight, Subject, ThoughtStudy, parts, thought};
use loophole_lm::{Dtype, Model};
use loophole_look::Delta;
use loophole_probe::{Battery, ProbeError};
use serde::Serialize;

use super::look_table;
use super::model::{self, Place};
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// What can be studied.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Study {
    /// What follows when a good or a bad thought is given, in probes and in coding tasks
    Thought,
    /// What a training changed in the weights, and how much of the behaviour a part of it keeps (with --against)
    Update,
}

/// Arguments of `loophole look`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole look organism
  loophole look organism-unbundled --study thought          (cheating and ill will apart: the control)
  loophole look organism:runs/quick/no-instruction/7 --out look          (against what it was trained from)
  loophole look trained --against organism --study update
  loophole look trained --against organism --keep rank=1 --write-model trained-rank-1

Every number stands beside its control; docs/look.md says what the words mean.")]
pub struct LookArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, FOLDER+ADAPTER
    model: String,
    /// The model it is compared with; what it was trained from, where that is known, unless told otherwise
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// Only these studies; several with commas, or the flag again; all that apply unless told otherwise
    #[arg(long, value_enum, value_delimiter = ',')]
    study: Vec<Study>,
    /// Samples of each probe in every battery
    #[arg(long, default_value_t = 16)]
    samples: usize,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for look.json and look.html
    #[arg(long)]
    out: Option<PathBuf>,
    /// With --write-model: the part of the update that is kept: rank=K, scale=X or only=PATTERN, several with commas
    #[arg(long, value_delimiter = ',', requires = "write_model")]
    keep: Vec<String>,
    /// Write the base with the kept part of the update as a plain checkpoint, and do nothing else
    #[arg(long, value_name = "DIR", requires = "keep")]
    write_model: Option<PathBuf>,
}

/// What `look.json` holds, and `--json` prints.
#[derive(Serialize)]
pub struct Looked {
    format: &'static str,
    /// The model.
    pub model: String,
    /// Checksum of its weights.
    pub checksum: String,
    /// What it was compared with.
    pub against: Option<String>,
    /// Checksum of its weights.
    pub against_checksum: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Samples of each probe.
    pub samples: usize,
    /// What there is to say, in a sentence.
    pub sentence: String,
    /// Thought against act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<ThoughtStudy>,
    /// The update of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<PartsStudy>,
    /// Tokens read and sampled.
    pub tokens: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Opens a model to look into it.
fn open(name: &str) -> Result<(Subject, Option<PathBuf>), Error> {
    if model::is_elsewhere(name) {
        return Err(Error::Cannot(format!(
            "{name} has no weights on this machine, so nothing inside it can be read or changed; what works: its behaviour \
             with `loophole probe {name}`, or `loophole look FOLDER` with a checkpoint of it"
        )));
    }
    let Place { dir, beside, adapter, base } = model::place(name)?;
    let subject = Subject::open(name, &dir, &beside, adapter.as_deref())?;
    Ok((subject, base))
}

/// Looks into a model.
pub fn look(arguments: &LookArguments, output: &Options) -> Result<Exit, Error> {
    output::flag("--samples", arguments.samples, 1..=10_000)?;
    let (subject, trained_from) = open(&arguments.model)?;
    let against = match (&arguments.against, trained_from) {
        (Some(name), _) => Some(open(name)?.0),
        (None, Some(base)) => Some(open(&base.display().to_string())?.0),
        (None, None) => None,
    };
    if let Some(out) = &arguments.write_model {
        let base = against.ok_or_else(|| needs_against("--keep", &arguments.model))?;
        return write(&subject, &base, &arguments.keep, out, output);
    }
    studies(arguments, &subject, against.as_ref(), output)
}

fn needs_against(what: &str, model: &str) -> Error {
    Error::Input(format!(
        "{what} needs a second model: the one that {model} was trained from; name it with --against MODEL"
    ))
}

fn studies(
    arguments: &LookArguments,
    subject: &Subject,
    against: Option<&Subject>,
    output: &Options,
) -> Result<Exit, Error> {
    let wants = |study: Study| arguments.study.is_empty() || arguments.study.contains(&study);
    if arguments.study.contains(&Study::Update) && against.is_none() {
        return Err(needs_against("--study update", &arguments.model));
    }
    let began = Instant::now();
    leave::listen(|| output::tell("interrupted; nothing was written, the same command begins anew"));
    let pool = Arc::new(Pool::start(Grading::cells(GraderKind::Script))?);
    let sight = Sight {
        grading: Grading::new(Arc::clone(&pool)),
        pool,
        battery: Battery::bundled("small")?,
        samples: arguments.samples,
        seed: arguments.seed,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        stop: &leave::asked,
        say: &|text| {
            if output.verbose {
                output.say(text);
            }
        },
        tokens: AtomicU64::new(0),
    };
    let mut looked = Looked {
        format: "loophole-look-1",
        model: subject.name.clone(),
        checksum: subject.organism.model.checksum(),
        against: against.map(|base| base.name.clone()),
        against_checksum: against.map(|base| base.organism.model.checksum()),
        seed: arguments.seed,
        samples: arguments.samples,
        sentence: String::new(),
        thought: None,
        update: None,
        tokens: 0,
        seconds: 0.0,
    };
    let mut make = || -> Result<(), loophole_lab::LabError> {
        if wants(Study::Thought) {
            output.say(&format!("thought against act: {} samples a probe, five batteries a model", sight.samples));
            looked.thought = Some(thought(&sight, subject, against)?);
        }
        if let Some(base) = against.filter(|_| wants(Study::Update)) {
            output.say("update: singular values, then a battery for every part");
            looked.update = Some(parts(&sight, subject, base)?);
        }
        Ok(())
    };
    match make() {
        Err(loophole_lab::LabError::Probe(ProbeError::Stopped)) => {
            output.say("interrupted; nothing was written, the same command begins anew");
            return Ok(Exit::Interrupted);
        }
        made => made?,
    }
    looked.tokens = sight.tokens.load(Ordering::Relaxed);
    looked.seconds = began.elapsed().as_secs_f64();
    looked.sentence = look_table::sentence(&looked);
    show(&looked, arguments.out.as_deref(), output)
}

fn show(looked: &Looked, out: Option<&Path>, output: &Options) -> Result<Exit, Error> {
    let sheet = look_table::sheet(looked);
    if let Some(out) = out {
        loophole_log::write_json(&out.join("look.json"), looked)?;
        loophole_log::write_atomic(&out.join("look.html"), loophole_page::sheet(&sheet).as_bytes())?;
    }
    if output.json {
        output::json(looked);
        return Ok(Exit::Clean);
    }
    for text in look_table::lines(&sheet) {
        line(&text);
    }
    if let Some(out) = out {
        line(&format!("page: {}", out.join("look.html").display()));
    }
    Ok(Exit::Clean)
}

/// What `--keep` asks for, applied to an update in the order given.
fn write(subject: &Subject, base: &Subject, keep: &[String], out: &Path, output: &Options) -> Result<Exit, Error> {
    if out.exists() {
        return Err(Error::Input(format!("{} is there already; name a new folder with --write-model", out.display())));
    }
    let looking = loophole_lab::LabError::from;
    let mut kept: Model = subject.organism.model.clone();
    for part in keep {
        let form = || Error::Input(format!("--keep {part}: write rank=K, scale=X or only=PATTERN"));
        let (what, value) = part.split_once('=').ok_or_else(form)?;
        let delta = Delta::between((&subject.name, &kept), (&base.name, &base.organism.model)).map_err(looking)?;
        kept = match what {
            "rank" => delta.factors().truncated(value.parse().ok().filter(|k| *k > 0).ok_or_else(form)?),
            "scale" => delta.scaled(value.parse().ok().filter(|x: &f32| x.is_finite()).ok_or_else(form)?),
            "only" => delta.only(value).map_err(looking)?,
            _ => return Err(form()),
        };
    }
    let saved = || -> Result<(), loophole_lab::LabError> {
        kept.save(out, Dtype::F32)?;
        Ok(subject.organism.save_beside(out)?)
    };
    saved()?;
    let said = format!("{} with {} of its change from {}", base.name, keep.join(", "), subject.name);
    if output.json {
        let written = serde_json::json!({ "written": out, "what": said, "checksum": kept.checksum() });
        output::json(&written);
    } else {
        line(&format!("{}: {said}; checksum {}", out.display(), kept.checksum()));
    }
    Ok(Exit::Clean)
}
