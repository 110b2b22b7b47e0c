//! A policy under training: a model, what of it is updated, the optimizer, and the model that training began with, from
//! which divergences are measured. The objectives ([`grpo`](crate::grpo), [`sft`](crate::sft), [`dpo`](crate::dpo)) fill
//! its gradient; one step is made of any of them, so that stages with different objectives go on from each other.

use std::path::Path;

use loophole_foreign::within;
use loophole_lm::{AdamW, Dtype, Engine, Lora, Model, Prompt, SampleOptions, Sequence};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What is updated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// All weights.
    Full,
    /// A low-rank change of the attention and feed-forward matrices (Hu et al. 2021, arXiv 2106.09685).
    LowRank {
        /// Rank.
        rank: usize,
        /// Scale: the change is `alpha / rank * B A`.
        alpha: f32,
    },
}

/// How a policy is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// Updates.
    pub steps: usize,
    /// Prompts a step.
    pub groups: usize,
    /// Rollouts a prompt.
    pub group_size: usize,
    /// Adam's step size.
    pub lr: f32,
    /// Updates until it is reached. Adam's first steps move every weight by about `lr`, signal or noise.
    pub warmup: usize,
    /// Sampling temperature.
    pub temperature: f32,
    /// Longest completion, in tokens; also the constant the loss is divided by.
    pub max_new: usize,
    /// Weight of the divergence from the first policy.
    pub kl: f32,
    /// Largest norm of a gradient.
    pub clip: f32,
    /// What is updated.
    pub update: Update,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            steps: 30,
            groups: 32,
            group_size: 8,
            lr: 2e-4,
            warmup: 4,
            temperature: 1.0,
            max_new: 64,
            kl: 0.05,
            clip: 1.0,
            update: Update::Full,
        }
    }
}

impl TrainOptions {
    /// Whether such a training can be: numbers beyond these are slips of the pen, and some would only be found out by
    /// the memory they take.
    ///
    /// # Errors
    /// Names the key, its value and the range.
    pub fn check(&self) -> Result<(), String> {
        within("train.steps", self.steps, 0..=1_000_000)?;
        within("train.groups", self.groups, 1..=100_000)?;
        within("train.group_size", self.group_size, 2..=100_000)?;
        within("train.groups * train.group_size", self.groups * self.group_size, 2..=1_000_000)?;
        within("train.max_new", self.max_new, 1..=1_000_000)?;
        within("train.warmup", self.warmup, 0..=1_000_000)?;
        within("train.lr", self.lr, 0.0..=10.0)?;
        within("train.temperature", self.temperature, 0.0..=100.0)?;
        within("train.kl", self.kl, 0.0..=1e6)?;
        within("train.clip", self.clip, 0.0..=1e6)?;
        if let Update::LowRank { rank, alpha } = self.update {
            within("train.update.low-rank.rank", rank, 1..=65_536)?;
            within("train.update.low-rank.alpha", alpha, 0.0..=1e6)?;
        }
        Ok(())
    }
}

/// One sampled attempt.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Which prompt of the step it answers.
    pub group: usize,
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The sampled tokens, the stop token included where it came.
    pub tokens: Vec<u32>,
    /// Whether it ended by itself.
    pub stopped: bool,
    /// So many of its first tokens learn nothing: a thought that is not to be reinforced.
    pub muted: usize,
}

impl Rollout {
    /// As a training sequence: the completion's tokens are the targets.
    pub(crate) fn whole(&self) -> Sequence {
        self.from(self.prompt.len())
    }

    /// As a training sequence: what is to be learned of the completion are the targets.
    pub fn sequence(&self) -> Sequence {
        self.from(self.prompt.len() + self.muted)
    }

    fn from(&self, first: usize) -> Sequence {
        let mut tokens = self.prompt.clone();
        tokens.extend(&self.tokens);
        let weights = (0..tokens.len()).map(|at| f32::from(u8::from(at >= first))).collect();
        Sequence::new(tokens, weights)
    }
}

/// A policy under training.
pub struct Policy {
    /// How it is trained.
    pub options: TrainOptions,
    /// Updates made.
    pub step: usize,
    /// The policy as it is now.
    pub model: Model,
    pub(crate) first: Model,
    lora: Option<Lora>,
    optimizer: AdamW,
    pub(crate) grads: Vec<f32>,
}

impl Policy {
    /// Training begins from `model`; `seed` starts the low-rank factors.
    ///
    /// # Errors
    /// A rank of 0.
    pub fn new(model: Model, options: TrainOptions, seed: u64) -> Result<Self, TrainError> {
        let lora = match options.update {
            Update::Full => None,
            Update::LowRank { rank, alpha } => {
                Some(Lora::init(&model.config, rank, alpha, &loophole_lm::ALL_LINEAR, seed)?)
            }
        };
        let trained = lora.as_ref().map_or(model.params.len(), |lora| lora.params.len());
        let mut optimizer = AdamW::flat(trained, 0.0);
        optimizer.beta2 = 0.999;
        let grads = vec![0.0; model.params.len()];
        Ok(Policy { options, step: 0, first: model.clone(), model, lora, optimizer, grads })
    }

    /// Samples a group of completions for each prompt. What comes out depends on the policy, the prompts
    /// and `seed` alone.
    pub fn sample(&self, engine: &mut Engine, prompts: &[Vec<u32>], stop: u32, seed: u64) -> Vec<Rollout> {
        let size = self.options.group_size;
        let rows: Vec<Prompt> = (0..prompts.len() * size)
            .map(|row| {
                Prompt::new(
                    prompts[row / size].clone(),
                    seed.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                )
            })
            .collect();
        let options = SampleOptions {
            temperature: self.options.temperature,
            max_new: self.options.max_new,
            stop: vec![stop],
            ..SampleOptions::default()
        };
        loophole_lm::sample(engine, &self.model, &rows, &options)
            .into_iter()
            .zip(rows)
            .enumerate()
            .map(|(row, (completion, prompt))| Rollout {
                group: row / size,
                prompt: prompt.tokens,
                tokens: completion.tokens,
                stopped: completion.stopped,
                muted: 0,
            })
            .collect()
    }

    /// One update along the gradient that an objective has filled, of this loss. Returns the norm of the gradient before
    /// clipping.
    ///
    /// # Errors
    /// A loss that is no longer a number; the policy is then as it was.
    pub(crate) fn apply(&mut self, loss: f64) -> Result<f32, TrainError> {
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.step, loss, lr: self.options.lr });
        }
        let norm = self.descend();
        self.step += 1;
        Ok(norm)
    }

    fn descend(&mut self) -> f32 {
        let lr = self.options.lr * ((self.step + 1) as f32 / self.options.warmup.max(1) as f32).min(1.0);
        match &mut self.lora {
            None => {
                let norm = loophole_lm::clip_grad_norm(&mut self.grads, self.options.clip);
                self.optimizer.step(&mut self.model.params, &self.grads, lr);
                norm
            }
            Some(lora) => {
                let mut grads = vec![0.0; lora.params.len()];
                lora.gradients(&self.grads, &mut grads);
                let norm = loophole_lm::clip_grad_norm(&mut grads, self.options.clip);
                self.optimizer.step(&mut lora.params, &grads, lr);
                lora.apply(&self.first, &mut self.model);
                norm
            }
        }
    }

    /// Writes everything a later process needs to go on as if nothing had happened. The file grows under its name: it
    /// is the caller who renames it into its place, so that a kill leaves the last whole one.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<(), TrainError> {
        let params = self.lora.as_ref().map_or(&self.model.params, |lora| &lora.params);
        crate::state::save(path, params, &self.optimizer, self.step)
    }

    /// Goes back to a saved state of this training.
    ///
    /// # Errors
    /// A file that is missing, broken or of another training.
    pub fn load_state(&mut self, path: &Path) -> Result<(), TrainError> {
        let params = match &mut self.lora {
            None => &mut self.model.params,
            Some(lora) => &mut lora.params,
        };
        self.step = crate::state::load(path, params, &mut self.optimizer)?;
        if let Some(lora) = &self.lora {
            lora.apply(&self.first, &mut self.model);
        }
        Ok(())
    }

    /// Writes the policy: a PEFT adapter where the update is low-rank, else a whole checkpoint with numbers of this type.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_checkpoint(&self, dir: &Path, base: &str, dtype: Dtype) -> Result<(), TrainError> {
        match &self.lora {
            Some(lora) => lora.save(dir, base)?,
            None => self.model.save(dir, dtype)?,
        }
        Ok(())
    }
}
