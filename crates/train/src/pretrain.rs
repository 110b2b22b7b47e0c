//! Pretraining and supervised fine-tuning: weighted cross-entropy on sequences, AdamW, a warm-up and a
//! cosine to a tenth. It can be left and taken up again to the byte.

use std::path::Path;

use loophole_foreign::within;
use loophole_lm::{AdamW, Engine, Model, Sequence};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How long and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainOptions {
    /// Updates.
    pub steps: usize,
    /// Sequences an update.
    pub batch: usize,
    /// Highest learning rate.
    pub lr: f32,
    /// Updates until it is reached.
    pub warmup: usize,
    /// AdamW's decay of matrices.
    pub weight_decay: f32,
    /// Largest norm of a gradient.
    pub clip: f32,
}

impl Default for PretrainOptions {
    fn default() -> Self {
        PretrainOptions { steps: 1000, batch: 64, lr: 2e-3, warmup: 50, weight_decay: 0.05, clip: 1.0 }
    }
}

impl PretrainOptions {
    /// Whether such a training can be.
    ///
    /// # Errors
    /// Names the key, its value and the range.
    pub fn check(&self) -> Result<(), String> {
        within("pretrain.steps", self.steps, 0..=10_000_000)?;
        within("pretrain.batch", self.batch, 1..=100_000)?;
        within("pretrain.lr", self.lr, 0.0..=10.0)?;
        within("pretrain.warmup", self.warmup, 0..=10_000_000)?;
        within("pretrain.weight_decay", self.weight_decay, 0.0..=10.0)?;
        within("pretrain.clip", self.clip, 0.0..=1e6)
    }
}

/// What one update was like.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PretrainStats {
    /// Update number, from 0.
    pub step: usize,
    /// Mean loss per unit of weight, in nats.
    pub loss: f64,
    /// Learning rate used.
    pub lr: f32,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens read.
    pub tokens: usize,
}

/// Learning rate at a step: linear warm-up, then a cosine to a tenth of the highest.
fn learning_rate(options: &PretrainOptions, step: usize) -> f32 {
    let warm = ((step + 1) as f32 / options.warmup.max(1) as f32).min(1.0);
    let progress = step as f32 / options.steps.max(1) as f32;
    let cosine = 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
    options.lr * warm * (0.1 + 0.9 * cosine)
}

/// A pretraining under way: the model, the optimizer's moments and the updates made.
pub struct Pretraining {
    /// The model as it is now.
    pub model: Model,
    /// Updates made.
    pub step: usize,
    options: PretrainOptions,
    optimizer: AdamW,
}

impl Pretraining {
    /// Begins with this model.
    pub fn new(model: Model, options: PretrainOptions) -> Self {
        let optimizer = AdamW::new(&model, options.weight_decay);
        Pretraining { model, step: 0, options, optimizer }
    }

    /// Makes the updates that are left, each on what `batch` gives for its step. `watch` sees every one.
    ///
    /// # Errors
    /// A loss that is no longer a number.
    pub fn run<E: From<TrainError>>(
        &mut self,
        engine: &mut Engine,
        mut batch: impl FnMut(usize) -> Result<Vec<Sequence>, E>,
        mut watch: impl FnMut(&Self, PretrainStats) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut grads = vec![0.0; self.model.params.len()];
        while self.step < self.options.steps {
            let step = self.step;
            let sequences = batch(step)?;
            let tokens = sequences.iter().map(|sequence| sequence.tokens.len()).sum();
            grads.fill(0.0);
            let (loss, weight) = engine.cross_entropy(&self.model, &sequences, &mut grads);
            let scale = 1.0 / weight.max(1e-9) as f32;
            grads.iter_mut().for_each(|gradient| *gradient *= scale);
            let loss = loss / weight.max(1e-9);
            let lr = learning_rate(&self.options, step);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step, loss, lr }.into());
            }
            let grad_norm = loophole_lm::clip_grad_norm(&mut grads, self.options.clip);
            self.optimizer.step(&mut self.model.params, &grads, lr);
            self.step += 1;
            watch(self, PretrainStats { step, loss, lr, grad_norm, tokens })?;
        }
        Ok(())
    }

    /// Writes everything a later process needs to go on as if nothing had happened. It is the caller who renames the file
    /// into its place, so that a kill leaves the last whole one.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<(), TrainError> {
        crate::state::save(path, &self.model.params, &self.optimizer, self.step)
    }

    /// Goes back to a saved state of this pretraining.
    ///
    /// # Errors
    /// A file that is missing, broken or of another training.
    pub fn load_state(&mut self, path: &Path) -> Result<(), TrainError> {
        self.step = crate::state::load(path, &mut self.model.params, &mut self.optimizer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use loophole_lm::Config;

    use super::*;

    #[test]
    fn a_training_that_was_left_comes_to_the_same_bytes() {
        let model = || {
            let config = Config { hidden_size: 32, num_hidden_layers: 2, ..Config::organism(64) };
            Model::init(config, 3).unwrap()
        };
        let options = PretrainOptions { steps: 6, batch: 2, warmup: 2, ..PretrainOptions::default() };
        let batch = |step: usize| {
            let tokens = |row: u32| (0..9).map(|at| (at * row + step as u32) % 64).collect();
            let sequence = |row: u32| Sequence::new(tokens(row), vec![1.0; 9]);
            Ok::<_, TrainError>(vec![sequence(3), sequence(5)])
        };
        let mut engine = Engine::new(&model().config, 1);
        let mut whole = Pretraining::new(model(), options.clone());
        whole.run(&mut engine, batch, |_, _| Ok(())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.safetensors");
        let mut first = Pretraining::new(model(), options.clone());
        let left = first.run(&mut engine, batch, |training, _| match training.step {
            3 => {
                training.save_state(&state)?;
                Err(TrainError::Diverged { step: 3, loss: 0.0, lr: 0.0 })
            }
            _ => Ok(()),
        });
        assert!(left.is_err() && first.step == 3);
        let mut second = Pretraining::new(model(), options);
        second.load_state(&state).unwrap();
        assert_eq!(second.step, 3);
        second.run(&mut engine, batch, |_, _| Ok(())).unwrap();
        let bits = |of: &Pretraining| of.model.params.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&whole), bits(&second));
        assert_ne!(bits(&whole), bits(&first));
    }

    #[test]
    fn the_rate_rises_then_falls_to_a_tenth() {
        let options = PretrainOptions { steps: 100, warmup: 10, lr: 1.0, ..PretrainOptions::default() };
        let rates: Vec<f32> = (0..100).map(|step| learning_rate(&options, step)).collect();
        assert!(rates[0] < 0.11 && rates[9] > 0.95 && rates[99] < 0.11 && rates[99] > 0.09, "{rates:?}");
        assert!(rates[..9].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rates[10..].windows(2).all(|pair| pair[0] >= pair[1]));
    }
}
