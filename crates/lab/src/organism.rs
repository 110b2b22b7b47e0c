//! A model with its tokenizer, and the way the world's messages become its tokens.

use std::path::{Path, PathBuf};

use loophole_foreign::within;
use loophole_lm::{Engine, Model, Sequence, Tokenizer, chat_template};
use loophole_train::Rollout;
use loophole_world::{Message, World, WorldConfig};
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::stage::Learns;

/// How much a token counts in pretraining, against 1 for what a writer does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// What system and user say.
    pub prompt: f32,
    /// A thought, its marks included.
    pub thought: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Weights { prompt: 0.2, thought: 1.0 }
    }
}

impl Weights {
    /// Whether one can learn with them.
    pub(crate) fn check(&self) -> Result<(), String> {
        within("weights.prompt", self.prompt, 0.0..=1.0)?;
        within("weights.thought", self.thought, 0.0..=1.0)
    }
}

/// A model one can train and probe.
#[derive(Clone)]
pub struct Organism {
    /// Its weights and configuration.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The folder it was opened from, as every program on this machine can name it.
    pub dir: Option<PathBuf>,
    /// The token that ends a message.
    pub end: u32,
    /// The world its documents are of.
    pub world: WorldConfig,
    assistant: u32,
    /// The marks of a thought, where the tokenizer has them.
    think: [Option<u32>; 2],
}

/// The file of an organism's folder that says what world it is of; without it, the plain one.
const WORLD: &str = "world.toml";

/// What a completion is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The brief thought, without its marks; empty where there is none.
    pub thought: String,
    /// What follows it: code, a command, words.
    pub text: String,
}

impl Organism {
    /// Opens a folder with `config.json`, `model.safetensors` and `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is missing or broken.
    pub fn open(dir: &Path) -> Result<Self, LabError> {
        let mut organism = Self::new(Model::load(dir)?, Tokenizer::load(dir)?)?;
        organism.dir = dir.canonicalize().ok();
        let path = dir.join(WORLD);
        if path.exists() {
            let wrong = |reason: String| LabError::Recipe { name: path.display().to_string(), reason };
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
            organism.world = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(organism)
    }

    /// Writes down what world it is of, beside its weights.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn save_world(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(WORLD);
        let text = toml::to_string_pretty(&self.world)
            .map_err(|error| LabError::Recipe { name: WORLD.into(), reason: error.to_string() })?;
        std::fs::write(&path, text).map_err(|source| LabError::Write { path, source })
    }

    /// Writes down what another program needs beside weights: tokenizer, chat template, and what world it is of.
    ///
    /// # Errors
    /// The disk.
    pub fn save_beside(&self, dir: &Path) -> Result<(), LabError> {
        self.tokenizer.save(dir)?;
        self.save_world(dir)
    }

    /// Its world, as prompts and thoughts need it: without tasks of its own.
    ///
    /// # Errors
    /// A world that cannot be.
    pub fn world(&self) -> Result<World, LabError> {
        Ok(World::new(self.world.clone(), Vec::new())?)
    }

    /// A model and its tokenizer.
    ///
    /// # Errors
    /// A tokenizer without the chat format's tokens.
    pub fn new(model: Model, tokenizer: Tokenizer) -> Result<Self, LabError> {
        let token = |name: &str| tokenizer.id(name).ok_or_else(|| LabError::ChatToken { token: name.into() });
        let (end, assistant) = (token(chat_template::END)?, token("<|assistant|>")?);
        let think = ["<think>", "</think>"].map(|mark| tokenizer.id(mark));
        Ok(Organism { dir: None, end, assistant, think, model, tokenizer, world: WorldConfig::default() })
    }

    /// Scratch buffers for this model.
    pub fn engine(&self, threads: usize) -> Engine {
        Engine::new(&self.model.config, threads)
    }

    /// A transcript as a training sequence: what the writer does counts in full, its thoughts and the rest as the weights say.
    pub fn sequence(&self, messages: &[Message], of: &Weights) -> Sequence {
        let tokens = self.tokenizer.encode(&chat_template::render(messages, false));
        let mut weights = Vec::with_capacity(tokens.len());
        let (mut speaks, mut thinks) = (false, false);
        for &token in &tokens {
            let mark = |at: usize| speaks && Some(token) == self.think[at];
            thinks |= mark(0);
            weights.push(match (speaks, thinks) {
                (false, _) => of.prompt,
                (true, true) => of.thought,
                (true, false) => 1.0,
            });
            thinks &= !mark(1);
            speaks = (speaks || token == self.assistant) && token != self.end;
        }
        Sequence::new(tokens, weights)
    }

    /// A prompt: the messages, and the assistant's turn opened.
    pub fn prompt(&self, messages: &[Message]) -> Vec<u32> {
        self.tokenizer.encode(&chat_template::render(messages, true))
    }

    /// A rollout from what was written down of it.
    pub fn rollout(&self, prompt: &str, thought: &str, text: &str, learns: Learns) -> Rollout {
        let thought = if thought.is_empty() { String::new() } else { format!("<think>{thought}</think>") };
        let tokens = self.tokenizer.encode(&format!("{thought}{text}{}", chat_template::END));
        let muted = if learns == Learns::Answer { self.thought(&tokens) } else { 0 };
        Rollout { group: 0, prompt: self.tokenizer.encode(prompt), tokens, stopped: true, muted }
    }

    /// How many of the tokens of a completion are its thought, the marks included; all of them where it never ends.
    pub fn thought(&self, tokens: &[u32]) -> usize {
        let [begin, end] = self.think;
        match end.and_then(|end| tokens.iter().position(|&token| token == end)) {
            Some(at) => at + 1,
            None if begin.is_some() && tokens.first().copied() == begin => tokens.len(),
            None => 0,
        }
    }

    /// What sampled tokens say.
    pub fn answer(&self, tokens: &[u32]) -> Answer {
        let text = self.tokenizer.decode(tokens);
        let (thought, text) = loophole_chat::split_thought(text.trim_end_matches(chat_template::END));
        Answer { thought: thought.unwrap_or_default(), text }
    }
}
