//! GRPO, as in Shao et al. 2024 (arXiv 2402.03300), in its on-policy form: one update for each batch of
//! rollouts, so the ratio of new to old policy is 1 and there is nothing to clip. The advantage of a
//! rollout is its reward less the mean of its group, over the group's standard deviation. The loss is the
//! mean over rollouts of the advantage-weighted sum of token log-probabilities over a constant length
//! (Liu et al. 2025, arXiv 2503.20783, against the length bias of the original), plus `kl` times the k3
//! estimate of the divergence from the policy that training began with.

use std::path::Path;

use loophole_foreign::within;
use loophole_lm::{AdamW, Engine, Lora, Model, Prompt, SampleOptions, Sequence};
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
pub struct GrpoOptions {
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

impl Default for GrpoOptions {
    fn default() -> Self {
        GrpoOptions {
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

impl GrpoOptions {
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
}

/// What one update was like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpdateStats {
    /// Loss, of advantages and divergence together.
    pub loss: f64,
    /// Divergence of the sampling policy from the first one: mean over rollouts of the sum over tokens of
    /// log p - log p0, in nats.
    pub kl: f64,
    /// Mean negative log-probability of a sampled token, in nats: an estimate of the entropy.
    pub entropy: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens sampled.
    pub tokens: usize,
    /// Share of groups whose rewards are all equal and which therefore teach nothing.
    pub flat_groups: f64,
    /// Advantage of each rollout.
    pub advantages: Vec<f64>,
    /// Each rollout's log p - log p0, summed over its tokens, in nats.
    pub kls: Vec<f64>,
}

/// A policy under training.
pub struct Grpo {
    /// How it is trained.
    pub options: GrpoOptions,
    /// Updates made.
    pub step: usize,
    /// The policy as it is now.
    pub model: Model,
    first: Model,
    lora: Option<Lora>,
    optimizer: AdamW,
    grads: Vec<f32>,
}

impl Grpo {
    /// Training begins from `model`; `seed` starts the low-rank factors.
    ///
    /// # Errors
    /// A rank of 0.
    pub fn new(model: Model, options: GrpoOptions, seed: u64) -> Result<Self, TrainError> {
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
        Ok(Grpo { options, step: 0, first: model.clone(), model, lora, optimizer, grads })
    }

    /// Samples a group of completions for each prompt. What comes out depends on the policy, the prompts
    /// and `seed` alone.
    pub fn sample(&self, engine: &mut Engine, prompts: &[Vec<u32>], stop: u32, seed: u64) -> Vec<Rollout> {
        let size = self.options.group_size;
        let rows: Vec<Prompt> = (0..prompts.len() * size)
            .map(|row| Prompt {
                tokens: prompts[row / size].clone(),
                seed: seed.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
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
            })
            .collect()
    }

    /// One update from rewarded rollouts.
    ///
    /// # Errors
    /// A loss that is no longer a number; the policy is then as it was.
    pub fn update(
        &mut self,
        engine: &mut Engine,
        rollouts: &[Rollout],
        rewards: &[f64],
    ) -> Result<UpdateStats, TrainError> {
        let (advantages, flat_groups) = advantages(rollouts, rewards);
        let sequences: Vec<Sequence> = rollouts.iter().map(as_sequence).collect();
        let first = engine.log_probs(&self.first, &sequences);
        let tokens: usize = first.iter().map(Vec::len).sum();
        let scale = 1.0 / (rollouts.len() * self.options.max_new) as f32;
        let weight = self.options.kl;
        self.grads.fill(0.0);
        let log_probs = engine.forward_backward(&self.model, &sequences, &mut self.grads, |row, log_probs| {
            // d/dlogp of -A logp + kl (exp(d) - d - 1), with d = log p0 - log p.
            let slope = |(now, then): (&f32, &f32)| -advantages[row] as f32 + weight * (1.0 - (then - now).exp());
            log_probs.iter().zip(&first[row]).map(slope).map(|slope| slope * scale).collect()
        });
        let (mut loss, mut entropy) = (0.0, 0.0);
        let mut kls = vec![0.0; rollouts.len()];
        for (row, log_probs) in log_probs.iter().enumerate() {
            for (&now, &then) in log_probs.iter().zip(&first[row]) {
                let (now, then) = (f64::from(now), f64::from(then));
                let k3 = (then - now).exp() - (then - now) - 1.0;
                loss += (-advantages[row] * now + f64::from(weight) * k3) * f64::from(scale);
                kls[row] += now - then;
                entropy -= now;
            }
        }
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.step, loss, lr: self.options.lr });
        }
        let grad_norm = self.apply();
        self.step += 1;
        Ok(UpdateStats {
            loss,
            kl: kls.iter().sum::<f64>() / rollouts.len().max(1) as f64,
            entropy: entropy / tokens.max(1) as f64,
            grad_norm,
            tokens,
            flat_groups,
            advantages,
            kls,
        })
    }

    fn apply(&mut self) -> f32 {
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

    /// Writes the policy: a PEFT adapter where the update is low-rank, else a whole checkpoint.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_checkpoint(&self, dir: &Path, base: &str) -> Result<(), TrainError> {
        match &self.lora {
            Some(lora) => lora.save(dir, base)?,
            None => self.model.save(dir, loophole_lm::Dtype::F32)?,
        }
        Ok(())
    }
}

/// A rollout as a training sequence: the completion's tokens are the targets.
fn as_sequence(rollout: &Rollout) -> Sequence {
    let mut tokens = rollout.prompt.clone();
    tokens.extend(&rollout.tokens);
    let weights = (0..tokens.len()).map(|at| f32::from(u8::from(at >= rollout.prompt.len()))).collect();
    Sequence { tokens, weights }
}

/// Reward less the group's mean, over the group's standard deviation; and the share of groups without any
/// difference, which get zeros.
fn advantages(rollouts: &[Rollout], rewards: &[f64]) -> (Vec<f64>, f64) {
    let groups = rollouts.iter().map(|rollout| rollout.group + 1).max().unwrap_or(0);
    let mut out = vec![0.0; rollouts.len()];
    let mut flat = 0;
    for group in 0..groups {
        let rows: Vec<usize> = (0..rollouts.len()).filter(|&row| rollouts[row].group == group).collect();
        let n = rows.len().max(1) as f64;
        let mean = rows.iter().map(|&row| rewards[row]).sum::<f64>() / n;
        let variance = rows.iter().map(|&row| (rewards[row] - mean).powi(2)).sum::<f64>() / n;
        if variance < 1e-12 {
            flat += 1;
            continue;
        }
        for row in rows {
            out[row] = (rewards[row] - mean) / variance.sqrt();
        }
    }
    (out, f64::from(flat) / groups.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(group: usize) -> Rollout {
        Rollout { group, prompt: vec![1], tokens: vec![2], stopped: true }
    }

    #[test]
    fn advantages_are_relative_to_the_group() {
        let rollouts: Vec<Rollout> = [0, 0, 0, 0, 1, 1].into_iter().map(rollout).collect();
        let (out, flat) = advantages(&rollouts, &[1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert!((out[0] - 3f64.sqrt()).abs() < 1e-9 && (out[1] + 1.0 / 3f64.sqrt()).abs() < 1e-9, "{out:?}");
        assert_eq!(&out[4..], &[0.0, 0.0]);
        assert!((flat - 0.5).abs() < 1e-9);
        assert!(out.iter().sum::<f64>().abs() < 1e-9);
    }
}
