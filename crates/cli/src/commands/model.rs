//! Models by name, and `loophole chat`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use loophole_chat::{Chat, GenerationConfig, Local, Message, Mock, Remote, RemoteOptions, Request, Sampling};
use loophole_foreign::{Line, Lines, bytes};
use loophole_lab::Recipe;
use loophole_lab::arm::find_organism;
use loophole_lm::split_adapter;

use super::steer::Steering;
use crate::output::{Error, Exit, flag, line, tell};

/// Opens a model as `MODEL` arguments name it: `organism`, `organism:RUN/ARM/SEED[@STEP]`, a folder,
/// `FOLDER+ADAPTER`, `openai:NAME`, `anthropic:NAME`, `http://host:port/v1#NAME` or `mock:BEHAVIOUR`. One on this machine uses all
/// cores, and is steered where `~FILE` follows its name.
pub fn open(name: &str) -> Result<Box<dyn Chat>, Error> {
    if is_elsewhere(name) {
        // Refused where a direction is named.
        Steering::split(name)?;
    }
    if name.starts_with("mock:") {
        return Ok(Box::new(Mock::open(name)?));
    }
    if Remote::is_name(name) {
        let env = |variable: &str| std::env::var(variable).ok();
        return Ok(Box::new(Remote::open(name, RemoteOptions::from_env(&env)?, &env)?));
    }
    let local = |at: &Place| -> Result<Local, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Local::open_beside(&at.dir, &at.beside, at.adapter.as_deref(), threads)?.named(name))
    };
    if let Some((model, steering)) = Steering::split(name)? {
        let place = place(model)?;
        return Ok(Box::new(steering.apply(local(&place)?, model, &place)?));
    }
    Ok(Box::new(local(&place(name)?)?))
}

/// Where the files of a model on this machine lie.
pub struct Place {
    /// The weights.
    pub dir: PathBuf,
    /// Tokenizer and chat template: a checkpoint of a run has none of its own.
    pub beside: PathBuf,
    /// An adapter on them.
    pub adapter: Option<PathBuf>,
    /// What it was trained from, where that is known: the organism that the arm of a run began with.
    pub base: Option<PathBuf>,
}

/// Whether a name is that of a model without weights here: one behind an API, or a mock.
pub fn is_elsewhere(name: &str) -> bool {
    name.starts_with("mock:") || Remote::is_name(name)
}

/// The files of a model on this machine.
pub fn place(name: &str) -> Result<Place, Error> {
    if let Some(place) = name.strip_prefix("organism:") {
        return from_run(place);
    }
    if name == "organism" {
        return Ok(Place { dir: organism(), beside: organism(), adapter: None, base: None });
    }
    let (folder, adapter) = split_adapter(name);
    if !folder.exists() {
        return Err(Error::Input(format!(
            "there is no model {name:?}; write organism, organism:RUN/ARM/SEED, a folder with config.json, *.safetensors \
             and tokenizer.json, FILE.gguf, FOLDER+ADAPTER, openai:NAME, anthropic:NAME, http://host:port/v1#NAME or mock:BEHAVIOUR"
        )));
    }
    let base = adapter.is_some().then(|| folder.clone());
    Ok(Place { beside: folder.clone(), dir: folder, adapter, base })
}

/// What was asked of a model behind an API and what it cost, in a line; none for a model on this machine.
pub fn account(chat: &dyn Chat) -> Option<String> {
    let account = chat.account()?;
    let mut line = format!(
        "{} replies ({} kept from before), {} retries, {} tokens read, {} sampled",
        account.replies + account.from_cache,
        account.from_cache,
        account.retries,
        account.usage.prompt_tokens,
        account.usage.completion_tokens
    );
    line += &match account.dollars {
        Some(dollars) => format!(", about ${dollars:.4}"),
        None => ", price not known".to_string(),
    };
    for (kind, count) in &account.failed {
        line += &format!(", {count} {kind}");
    }
    if !account.left_out.is_empty() {
        let options: Vec<&str> = account.left_out.iter().map(String::as_str).collect();
        line += &format!("; the endpoint does not know {}: left out", options.join(", "));
    }
    Some(line)
}

/// The bundled organism: in this folder, or beside the sources.
pub fn organism() -> PathBuf {
    let here = PathBuf::from("organism");
    if here.join("config.json").exists() {
        here
    } else {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../organism")
    }
}

/// A checkpoint of a run, the last one unless a step is named.
fn from_run(place: &str) -> Result<Place, Error> {
    let (place, step) = match place.rsplit_once('@') {
        Some((place, step)) => (place, Some(step)),
        None => (place, None),
    };
    let form = || Error::Input(format!("organism:{place}: write organism:RUN/ARM/SEED or organism:RUN/ARM/SEED@STEP"));
    let mut parts = place.rsplitn(3, '/');
    let (seed, arm, run) =
        (parts.next().ok_or_else(form)?, parts.next().ok_or_else(form)?, parts.next().ok_or_else(form)?);
    let run_dir = loophole_log::RunDir::open(run)?;
    let recipe = Recipe::parse(&run_dir.recipe()?, &run_dir.recipe_path().display().to_string())?;
    let base = recipe.arms.iter().find(|spec| spec.name == arm).and_then(|spec| spec.organism.as_ref());
    // A checkpoint has no tokenizer of its own: it is that of the organism which the arm began with.
    let base =
        find_organism(base.unwrap_or(&recipe.organism), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
    let number = seed.parse().map_err(|_| form())?;
    let dir = run_dir.seed(arm, number)?;
    let steps = dir.checkpoints()?;
    let wanted = match step {
        Some(step) => step.parse().map_err(|_| form())?,
        None => *steps.last().ok_or_else(|| Error::Input(format!("{run}/{arm}/{seed} has no checkpoint yet")))?,
    };
    if !steps.contains(&wanted) {
        return Err(Error::Input(format!("{run}/{arm}/{seed} has checkpoints after steps {steps:?}, not {wanted}")));
    }
    if let Some(note) = run_dir.verify_checkpoint(arm, number, wanted)? {
        tell(&format!("warning: {note}"));
    }
    let checkpoint = dir.checkpoint_path(wanted);
    let whole = !checkpoint.join("adapter_config.json").exists();
    Ok(Place {
        dir: if whole { checkpoint.clone() } else { base.clone() },
        beside: base.clone(),
        adapter: (!whole).then_some(checkpoint),
        base: Some(base),
    })
}

/// How to sample.
#[derive(Args, Default)]
pub struct SamplingFlags {
    /// Sampling temperature; that of the checkpoint's generation_config.json, else 1, unless told otherwise
    #[arg(long)]
    temperature: Option<f32>,
    /// Only the likeliest tokens that together have this probability, above 0; 1 for all
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Only so many tokens, the likeliest; 0 for all
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
}

impl SamplingFlags {
    /// Whether the values can be sampled with.
    pub fn check(&self) -> Result<(), Error> {
        flag("--temperature", self.temperature.unwrap_or(1.0), 0.0..=100.0)?;
        if self.top_p == Some(0.0) {
            return Err(Error::Input("--top-p 0 leaves no token; it has to be above 0 and at most 1".into()));
        }
        flag("--top-p", self.top_p.unwrap_or(1.0), 0.0..=1.0)
    }

    /// These, and what the model's makers say where nothing was asked; that is said.
    pub fn of(&self, chat: &dyn Chat, say: &dyn Fn(&str)) -> Sampling {
        let usual = chat.generation().cloned().unwrap_or_default();
        if let Some(text) = self.taken(&usual) {
            say(&format!("{}: {text}", chat.name()));
        }
        Sampling {
            temperature: Some(self.temperature.or(usual.temperature).unwrap_or(1.0)),
            top_p: self.top_p.or(usual.top_p),
            top_k: self.top_k.or(usual.top_k),
            ..Sampling::default()
        }
    }

    /// What is taken from a checkpoint, and what is not followed; none if it says nothing.
    fn taken(&self, usual: &GenerationConfig) -> Option<String> {
        let mut taken = Vec::new();
        if let Some(temperature) = usual.temperature.filter(|_| self.temperature.is_none()) {
            taken.push(format!("temperature {temperature}"));
        }
        if let Some(top_p) = usual.top_p.filter(|_| self.top_p.is_none()) {
            taken.push(format!("top_p {top_p}"));
        }
        if let Some(top_k) = usual.top_k.filter(|_| self.top_k.is_none()) {
            taken.push(format!("top_k {top_k}"));
        }
        let followed =
            (!taken.is_empty()).then(|| format!("sampled with {}, as the checkpoint says", taken.join(", ")));
        let left_out = &usual.left_out;
        let left_out = (!left_out.is_empty()).then(|| format!("its {} is not followed", left_out.join(", ")));
        let said: Vec<String> = followed.into_iter().chain(left_out).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Longest line that a model is told, in bytes.
const LONGEST_LINE: usize = 16 << 20;

/// Arguments of `loophole chat`.
#[derive(Args)]
#[command(after_help = "Example:\n  loophole chat organism")]
pub struct ChatArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, FILE.gguf, FOLDER+ADAPTER, openai:NAME, anthropic:NAME,
    /// http://host:port/v1#NAME
    model: String,
    /// What it is told about itself
    #[arg(long, default_value = "You are the assistant.")]
    system: String,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Most tokens of a reply
    #[arg(long, default_value_t = 512)]
    max_tokens: usize,
    /// Seed of the sampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Talks to a model, a line at a time.
pub fn chat(arguments: &ChatArguments) -> Result<Exit, Error> {
    arguments.sampling.check()?;
    flag("--max-tokens", arguments.max_tokens, 1..=1_000_000)?;
    let model = open(&arguments.model)?;
    let sampling = arguments.sampling.of(model.as_ref(), &tell);
    let mut messages = vec![Message::system(arguments.system.clone())];
    tell(&format!("{}: say something; an empty line ends it", model.name()));
    let mut lines = Lines::new(std::io::stdin().lock(), LONGEST_LINE);
    for turn in 0.. {
        let said = match lines.next_line().map_err(|error| Error::Input(format!("stdin: {error}")))? {
            None => break,
            Some(Line::TooLong) => {
                let most = bytes(LONGEST_LINE as u64);
                return Err(Error::Input(format!("stdin: a line has more than the {most} that a model is told")));
            }
            Some(Line::Whole(said)) => String::from_utf8_lossy(&said).trim_end_matches(['\n', '\r']).to_owned(),
        };
        if said.trim().is_empty() {
            break;
        }
        messages.push(Message::user(said));
        let request = Request {
            messages: messages.clone(),
            sampling: Sampling {
                seed: arguments.seed.wrapping_add(turn),
                max_tokens: arguments.max_tokens,
                ..sampling.clone()
            },
            ..Request::default()
        };
        let reply = model.one(&request)?;
        if let Some(thought) = &reply.thought {
            tell(&format!("({thought})"));
        }
        line(&reply.answer);
        messages.push(reply.message());
        let _ = std::io::stdout().flush();
    }
    if let Some(account) = account(model.as_ref()) {
        tell(&account);
    }
    Ok(Exit::Clean)
}
