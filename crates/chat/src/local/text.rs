//! A model on this machine without its chat format: texts, token ids and their log-probabilities; and other adapters on
//! the same weights.

use std::path::Path;
use std::sync::Mutex;

use loophole_lm::{Drawn, LmError, Text, adapter_base, same_weights, tokenizer_settings};
use serde_json::{Map, Value};

use super::{Local, lock};
use crate::listen::likely;
use crate::{ChatError, Message, TokenLogprob, ToolSpec};

impl Local {
    /// Most tokens of a text.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The tokens of a text, marks in it as such; where `whole`, with those that the tokenizer's makers put around one.
    pub fn encode(&self, text: &str, whole: bool) -> Vec<u32> {
        if whole { self.tokenizer.encode_whole(text) } else { self.tokenizer.encode(text) }
    }

    /// The text of a token; of a part of a character its bytes, as `bytes:\xe2`.
    pub fn text(&self, token: u32) -> String {
        self.tokenizer.text_of(token)
    }

    /// What its tokenizer's makers say of it: `tokenizer_config.json` with the chat template, special tokens as texts.
    pub fn tokenizer_info(&self) -> Map<String, Value> {
        let mut info = self.beside.as_deref().map(tokenizer_settings).unwrap_or_default();
        for (name, value) in &mut info {
            if let (true, Some(content)) = (name.ends_with("_token"), value.get("content")) {
                *value = content.clone();
            }
        }
        let end = self.stop.first().and_then(|token| self.tokenizer.token(*token));
        info.entry("eos_token").or_insert_with(|| end.into());
        info.entry("tokenizer_class").or_insert_with(|| "PreTrainedTokenizerFast".into());
        info
    }

    /// The text of tokens, marks included.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens)
    }

    /// The marks that a text may hold: special tokens, which are no part of what is said.
    pub fn marks(&self) -> Vec<String> {
        self.tokenizer.special()
    }

    /// A token as it stands in the vocabulary.
    pub fn token(&self, token: u32) -> String {
        self.tokenizer.token(token).unwrap_or_default()
    }

    /// How many characters stand before each of the tokens in their text.
    pub fn offsets(&self, tokens: &[u32]) -> Vec<usize> {
        self.tokenizer.offsets(tokens)
    }

    /// The tokens after which the model answers a conversation.
    ///
    /// # Errors
    /// The chat template refuses it, or fails.
    pub fn conversation(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<Vec<u32>, ChatError> {
        let tools = if self.format.knows_tools() { tools } else { &[] };
        Ok(self.tokenizer.encode(&self.written(messages, tools)?))
    }

    /// Refuses what is no text of the model's: no token, or one it does not know.
    ///
    /// # Errors
    /// It is none.
    pub fn known(&self, tokens: &[u32]) -> Result<(), String> {
        if tokens.is_empty() {
            return Err("a text without a token cannot be continued".to_string());
        }
        let known = self.vocabulary;
        match tokens.iter().find(|token| **token as usize >= known) {
            Some(token) => Err(format!("there is no token {token}: the model knows {known}, from 0 on")),
            None => Ok(()),
        }
    }

    /// The log-probability of every token of each text but its first, with so many alternatives; fewer where it was not
    /// `wanted` any more.
    ///
    /// # Errors
    /// A text is empty or too long, or has tokens that the model does not know.
    pub fn score(
        &self,
        texts: &[Vec<u32>],
        top: usize,
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<TokenLogprob>>, String> {
        for text in texts {
            self.known(text)?;
            if text.len() > self.context {
                return Err(format!("{} tokens do not fit into a context of {}", text.len(), self.context));
            }
        }
        let scored: Vec<Mutex<Vec<TokenLogprob>>> = texts.iter().map(|_| Mutex::default()).collect();
        let watch = |read: &Drawn| {
            lock(&scored[read.prompt]).push(likely(&self.tokenizer, read, top));
            wanted()
        };
        let texts: Vec<Text> = texts.iter().map(|text| Text::prompt(text)).collect();
        lock(&self.running).read_watched(&texts, &self.edits, &watch);
        Ok(scored.into_iter().map(|scored| scored.into_inner().unwrap_or_else(|e| e.into_inner())).collect())
    }

    /// The same weights with an adapter of PEFT in place of the one they may have, under another name; the weights are in
    /// memory once.
    ///
    /// # Errors
    /// The adapter is missing or broken, or was made for another model.
    pub fn adapted(&self, adapter: &Path, name: &str) -> Result<Local, ChatError> {
        let failed = |error: LmError| ChatError::Model { model: name.to_string(), reason: error.to_string() };
        let base = adapter_base(adapter).map_err(failed)?;
        if let (Some(base), Some(own)) = (base, &self.folder)
            && !same_weights(&base, own).map_err(failed)?
        {
            let (adapter, base) = (adapter.display(), base.display());
            let reason = format!(
                "{adapter}: base_model_name_or_path is {base}, whose weights are not those of {}",
                own.display()
            );
            return Err(ChatError::Model { model: name.to_string(), reason });
        }
        let runner = lock(&self.running).adapted(adapter).map_err(failed)?;
        Ok(Local {
            name: name.to_string(),
            tokenizer: self.tokenizer.clone(),
            format: self.format.clone(),
            stop: self.stop.clone(),
            folder: self.folder.clone(),
            beside: self.beside.clone(),
            generation: self.generation.clone(),
            context: self.context,
            vocabulary: self.vocabulary,
            longest: self.longest,
            edits: self.edits.clone(),
            waiting: Mutex::default(),
            running: Mutex::new(runner),
        })
    }

    /// The text after which the model speaks.
    pub(super) fn written(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, ChatError> {
        self.format.prompt(messages, tools).map_err(|error| {
            let (model, reason) = (self.name.clone(), error.to_string());
            match error {
                // It would with every conversation.
                LmError::Bound { .. } => ChatError::Model { model, reason },
                LmError::Refused { .. } => ChatError::Rejected { model, status: 400, reason },
                _ => ChatError::Template { model, reason },
            }
        })
    }
}
