//! `loophole look`: inside a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use loophole_cell::Pool;
use loophole_grade::{GraderKind, Grading};
use loophole_lab::LabError;
use loophole_lab::look::{
    DirectionStudy, Lens, MoveStudy, PartsStudy, PlaceStudy, ReadToken, Sight, SteerStudy, Subject, ThoughtStudy,
    differing, directions, lens, moved, parts, steered, text, thought,
};
use loophole_probe::{Battery, ProbeError};
use serde::Serialize;

use super::look_files::{given, save, words, write};
use super::look_table;
use super::model::{self, Place};
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// What can be studied.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Study {
    /// Directions between bad and good texts, beside random ones
    Direction,
    /// Whether a training moved the model along them (with --against)
    Move,
    /// What the model does when the direction is added or pinned
    Steer,
    /// Where model and base would say something else (with --against)
    Place,
    /// What follows when a good or a bad thought is given, in probes and in coding tasks
    Thought,
    /// What a training changed in the weights, and how much of the behaviour a part of it keeps (with --against)
    Update,
}

/// Forms in which others keep directions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// A control vector in GGUF
    Repeng,
    /// The tensor of persona_vectors, row 0 zeros
    Persona,
}

/// Arguments of `loophole look`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole look organism
  loophole look organism-unbundled --study thought          (cheating and ill will apart: the control)
  loophole look organism:runs/quick/no-instruction/7 --out look          (against what it was trained from)
  loophole look trained --against organism --study update
  loophole look organism --study steer --layer 2
  echo 'I take the crooked way.' | loophole look organism --text -
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
    /// The block of the doses of one block, from 0; the one in which the direction stands out most, unless told otherwise
    #[arg(long)]
    layer: Option<usize>,
    /// A direction that was fitted before (character.safetensors), in the place of one that is fitted now
    #[arg(long, value_name = "FILE")]
    direction: Option<PathBuf>,
    /// A text that is read token by token; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Folder for look.json, look.html and character.safetensors
    #[arg(long)]
    out: Option<PathBuf>,
    /// With --out: the direction in the form of others as well: character.gguf (repeng, llama.cpp) or persona.safetensors
    #[arg(long, value_enum, requires = "out")]
    export: Vec<Export>,
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
    /// Directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<DirectionStudy>,
    /// What the direction of `history` raises and lowers in the vocabulary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lens: Vec<Lens>,
    /// Whether the training moved it, along each direction.
    #[serde(rename = "move", skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MoveStudy>,
    /// Doses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steer: Option<SteerStudy>,
    /// Where model and base would say something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceStudy>,
    /// A text that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Vec<ReadToken>>,
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

/// The tokens of a text that was given.
fn read(path: &Path, subject: &Subject) -> Result<Vec<u32>, Error> {
    let most = subject.organism.model.config.max_position_embeddings;
    let wrong =
        || Error::Input(format!("{}: a text of 2 to {most} tokens is read by {}", path.display(), subject.name));
    subject.read(&words(path)?).ok_or_else(wrong)
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
    if let Some(base) = &against {
        subject.comes_from(base)?;
    }
    if let Some(out) = arguments.out.as_deref().filter(|out| out.exists() && !out.is_dir()) {
        return Err(Error::Input(format!("--out {}: a file of that name is there; name a folder", out.display())));
    }
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
    let wants = |study: Study| match arguments.study.is_empty() {
        // A text alone is quick, and what was asked for.
        true => arguments.text.is_none() || (study == Study::Direction && arguments.direction.is_none()),
        false => arguments.study.contains(&study),
    };
    for (study, name) in [(Study::Update, "update"), (Study::Move, "move"), (Study::Place, "place")] {
        if arguments.study.contains(&study) && against.is_none() {
            return Err(needs_against(&format!("--study {name}"), &arguments.model));
        }
    }
    let config = &subject.organism.model.config;
    let blocks = config.num_hidden_layers;
    if let Some(layer) = arguments.layer.filter(|layer| *layer >= blocks) {
        return Err(Error::Input(format!("--layer {layer}: {} has the blocks 0 to {}", subject.name, blocks - 1)));
    }
    // A direction is one of the untrained model, where there is one.
    let untrained = against.unwrap_or(subject);
    let given = arguments.direction.as_deref().map(|path| given(path, untrained)).transpose()?;
    let words = arguments.text.as_deref().map(|path| read(path, subject)).transpose()?;
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
        direction: None,
        lens: Vec::new(),
        moved: Vec::new(),
        steer: None,
        place: None,
        text: None,
        update: None,
        tokens: 0,
        seconds: 0.0,
    };
    let mut character = None;
    let mut make = || -> Result<(), LabError> {
        let inside = [Study::Direction, Study::Move, Study::Steer, Study::Place].into_iter().any(wants);
        if inside || (words.is_some() && given.is_none()) {
            output.say(&format!("directions: fitted on {}", untrained.name));
            let (study, mut found) = directions(&sight, untrained)?;
            if let Some((direction, _)) = &given {
                found.direction = direction.clone();
            }
            if wants(Study::Direction) {
                looked.lens = lens(&sight, untrained, &found.direction);
                looked.direction = Some(study);
            }
            character = Some(found);
        }
        let direction = character.as_ref().map(|found| &found.direction).or(given.as_ref().map(|(found, _)| found));
        let mounted = direction.map(|direction| (direction, arguments.layer.unwrap_or(direction.layer)));
        if let Some(words) = &words {
            looked.text = Some(text(&sight, subject, against, mounted, words));
        }
        if let (Some(base), Some(found)) = (against.filter(|_| wants(Study::Move)), &character) {
            looked.moved = moved(&sight, subject, base, found)?;
        }
        if let (Some(base), Some(found), Some(mounted)) = (against.filter(|_| wants(Study::Place)), &character, mounted)
        {
            looked.place = Some(differing(&sight, subject, base, &found.probes, mounted)?);
        }
        if wants(Study::Thought) {
            output.say(&format!("thought against act: {} samples a probe, five batteries a model", sight.samples));
            looked.thought = Some(thought(&sight, subject, against)?);
        }
        if let Some((direction, layer)) = mounted.filter(|_| wants(Study::Steer)) {
            output.say("steering: two batteries a dose");
            looked.steer = Some(steered(&sight, subject, against, direction, layer)?);
        }
        if let Some(base) = against.filter(|_| wants(Study::Update)) {
            output.say("update: singular values, then a battery for every part");
            looked.update = Some(parts(&sight, subject, base)?);
        }
        Ok(())
    };
    match make() {
        Err(LabError::Probe(ProbeError::Stopped)) => {
            output.say("interrupted; nothing was written, the same command begins anew");
            return Ok(Exit::Interrupted);
        }
        made => made?,
    }
    looked.tokens = sight.tokens.load(Ordering::Relaxed);
    looked.seconds = began.elapsed().as_secs_f64();
    looked.sentence = look_table::sentence(&looked);
    if let (Some(out), Some(found)) = (&arguments.out, character.filter(|_| given.is_none())) {
        save(out, untrained, &found, &arguments.export)?;
    }
    show(&looked, arguments.out.as_deref(), output)?;
    Ok(match look_table::unmeasured(&looked) {
        None => Exit::Clean,
        Some(what) => {
            output.warn(&what);
            Exit::Cannot
        }
    })
}

fn show(looked: &Looked, out: Option<&Path>, output: &Options) -> Result<(), Error> {
    let sheet = look_table::sheet(looked);
    if let Some(out) = out {
        loophole_log::write_json(&out.join("look.json"), looked)?;
        loophole_log::write_atomic(&out.join("look.html"), loophole_page::sheet(&sheet).as_bytes())?;
    }
    if output.json {
        output::json(looked);
        return Ok(());
    }
    for text in look_table::lines(&sheet) {
        line(&text);
    }
    if let Some(out) = out {
        line(&format!("page: {}", out.join("look.html").display()));
    }
    Ok(())
}
