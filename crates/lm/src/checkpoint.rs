//! A checkpoint ready to talk: weights, tokenizer, chat template and the tokens that end a turn.

use crate::config::token_ids;
use crate::error::{parse_json, read_text};
use crate::generation::{self, GenerationConfig};
use crate::gguf::{self, Gguf};
use crate::template::special_token;
use crate::{
    ChatTemplate, Completion, Config, Decoder, Edits, Engine, LmError, Model, Prompt, SampleOptions, Sequence, Text,
    Tokenizer, Watch,
};
use crate::{chat_template, sample_watched};
use std::path::{Path, PathBuf};

/// What runs a checkpoint's weights.
pub enum Runner {
    /// The engine that also trains, for a model that is in memory already.
    Small {
        /// The weights.
        model: Box<Model>,
        /// Its scratch buffers.
        engine: Box<Engine>,
    },
    /// A decoder that keeps the weights in the number format of their files, and the prompts it read last: an agent's
    /// conversation is read from where it grew.
    Large(Box<Decoder>),
}

/// A checkpoint on disk, or one in memory, that one can talk to.
pub struct Checkpoint {
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens that end a turn: the tokenizer's `eos_token`, with which chat templates as a rule end one, and those of
    /// `generation_config.json` (else of `config.json`).
    pub stop: Vec<u32>,
    /// How its makers sample from it.
    pub generation: GenerationConfig,
    /// The model's shape.
    pub config: Config,
    /// The chat template, or why there is none: a base model can be sampled from without.
    pub template: Result<ChatTemplate, LmError>,
    /// What runs it.
    pub runner: Runner,
}

/// Splits `FOLDER+ADAPTER`; a folder with a `+` in its name is a folder.
pub fn split_adapter(name: &str) -> (PathBuf, Option<PathBuf>) {
    let whole = Path::new(name);
    match name.rsplit_once('+') {
        Some((folder, adapter)) if !whole.exists() && !adapter.is_empty() => (folder.into(), Some(adapter.into())),
        _ => (whole.into(), None),
    }
}

impl Checkpoint {
    /// Opens a folder with `config.json`, safetensors and `tokenizer.json`, or a GGUF file or a folder with one, and an
    /// adapter of PEFT if one is named.
    ///
    /// # Errors
    /// Something is missing there, broken, or not supported.
    pub fn open(dir: &Path, adapter: Option<&Path>, threads: usize) -> Result<Checkpoint, LmError> {
        Self::open_beside(dir, dir, adapter, threads)
    }

    /// The same with the tokenizer and the end of a turn of another folder: a checkpoint of a run has none of its own.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_beside(
        dir: &Path,
        beside: &Path,
        adapter: Option<&Path>,
        threads: usize,
    ) -> Result<Checkpoint, LmError> {
        if let Some(file) = gguf::find(dir)? {
            return Self::open_gguf(&file, adapter, threads);
        }
        let path = dir.join("config.json");
        let config = Config::load(&path)?;
        // Weights of 16 bits stay so.
        config.fits(&path, 2)?;
        let tokenizer = Tokenizer::load(beside)?;
        known(&tokenizer, &config, &path)?;
        let runner = Runner::Large(Box::new(Decoder::load(dir, adapter, threads)?));
        let (stop, generation) = (stop_tokens(beside, &tokenizer)?, GenerationConfig::load(beside)?);
        Ok(Checkpoint { tokenizer, stop, generation, config, template: ChatTemplate::load(beside), runner })
    }

    fn open_gguf(path: &Path, adapter: Option<&Path>, threads: usize) -> Result<Checkpoint, LmError> {
        let gguf = Gguf::open(path)?;
        let (config, store) = gguf.model()?;
        let tokenizer = gguf.tokenizer()?;
        known(&tokenizer, &config, path)?;
        let stop = gguf.stop(&tokenizer)?;
        let runner = Runner::Large(Box::new(Decoder::from_store(config.clone(), &store, adapter, threads)?));
        Ok(Checkpoint { tokenizer, stop, generation: gguf.generation()?, config, template: gguf.template(), runner })
    }

    /// A model in memory that speaks this project's own chat format.
    ///
    /// # Errors
    /// The tokenizer lacks the marks of the format, or has tokens that the model does not know.
    pub fn from_parts(model: Model, tokenizer: Tokenizer, threads: usize) -> Result<Checkpoint, LmError> {
        let wrong = |what: String| LmError::Tokenizer { path: "tokenizer".into(), what };
        let end = tokenizer.id(chat_template::END).ok_or_else(|| {
            wrong(format!("has no {}; only checkpoints of this chat format can talk", chat_template::END))
        })?;
        let (has, knows) = (tokenizer.vocab_size(), model.config.vocab_size);
        if has > knows {
            return Err(wrong(format!("has {has} tokens, the model knows {knows}")));
        }
        let (config, engine) = (model.config.clone(), Engine::new(&model.config, threads));
        let runner = Runner::Small { model: Box::new(model), engine: Box::new(engine) };
        let generation = GenerationConfig::default();
        Ok(Checkpoint { tokenizer, stop: vec![end], generation, config, template: ChatTemplate::organism(), runner })
    }
}

impl Runner {
    /// Samples a completion for every prompt, in the order of the prompts; `watch` sees every token when it is drawn
    /// and may end its row.
    ///
    /// # Panics
    /// A prompt is empty or has a token outside the vocabulary.
    pub fn sample_watched(&mut self, prompts: &[Prompt], options: &SampleOptions, watch: &Watch) -> Vec<Completion> {
        match self {
            Runner::Small { model, engine } => sample_watched(engine, model, prompts, options, watch),
            Runner::Large(decoder) => decoder.sample_watched(prompts, options, watch),
        }
    }

    /// Reads texts under edits and shows every token but the first of each, in their order, with what was expected in its
    /// place; a text ends where `watch` answers false.
    ///
    /// # Panics
    /// A token is outside the vocabulary.
    pub fn read_watched(&mut self, texts: &[Text], edits: &Edits, watch: &Watch) {
        match self {
            Runner::Small { model, engine } => engine.read_watched(model, texts, edits, watch),
            Runner::Large(decoder) => decoder.read_watched(texts, edits, watch),
        }
    }

    /// The same weights with an adapter of PEFT in place of the one they may have; they are in memory once.
    ///
    /// # Errors
    /// The adapter is missing or broken or does not fit, or the model is one that is being trained.
    pub fn adapted(&self, adapter: &Path) -> Result<Runner, LmError> {
        match self {
            Runner::Small { .. } => Err(LmError::Broken {
                path: adapter.into(),
                what: "is for a model that was opened from disk, and this one is in memory only".into(),
                hint: "save it first".into(),
            }),
            Runner::Large(decoder) => Ok(Runner::Large(Box::new(decoder.adapted(adapter)?))),
        }
    }

    /// Log-probability of every target, per sequence in order.
    ///
    /// # Panics
    /// A token is outside the vocabulary, or `weights` and `tokens` differ in length.
    pub fn log_probs(&mut self, sequences: &[Sequence]) -> Vec<Vec<f32>> {
        match self {
            Runner::Small { model, engine } => engine.log_probs(model, sequences),
            Runner::Large(decoder) => decoder.log_probs(sequences),
        }
    }
}

/// Refuses a tokenizer with tokens that the model does not know.
fn known(tokenizer: &Tokenizer, config: &Config, path: &Path) -> Result<(), LmError> {
    let Some(beyond) = tokenizer.largest_id().filter(|id| *id as usize >= config.vocab_size) else { return Ok(()) };
    let what = format!("is {}, but the tokenizer has the token {beyond}", config.vocab_size);
    Err(LmError::Config { path: path.into(), field: "vocab_size".into(), what })
}

const SETTINGS: &str = "tokenizer_config.json";

/// The tokens that end a turn.
fn stop_tokens(dir: &Path, tokenizer: &Tokenizer) -> Result<Vec<u32>, LmError> {
    let json = |name: &str| -> Result<serde_json::Value, LmError> {
        let path = dir.join(name);
        match read_text(&path) {
            Ok(text) => parse_json(&path, &text, "fetch or write it again"),
            Err(LmError::Missing { .. }) => Ok(serde_json::Value::Null),
            Err(error) => Err(error),
        }
    };
    let mut others = token_ids(&json(generation::FILE)?, "eos_token_id");
    if others.is_empty() {
        others = token_ids(&json("config.json")?, "eos_token_id");
    }
    let own = special_token(&json(SETTINGS)?, "eos_token").and_then(|token| tokenizer.id(&token));
    let mut stop: Vec<u32> = own.into_iter().collect();
    others.retain(|token| Some(*token) != own);
    stop.extend(others);
    Ok(stop)
}
