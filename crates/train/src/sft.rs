//! Supervised fine-tuning: cross-entropy on given sequences, the mean over what counts in them.

use loophole_lm::{Engine, Sequence};

use crate::{Policy, TrainError};

/// What one update was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SftStats {
    /// Mean loss per unit of weight, in nats.
    pub loss: f64,
    /// Mean over sequences of the sum over their weighted tokens of log p - log p0, in nats: how much likelier than to the
    /// first policy they have become. Not a divergence, for the sequences are not the policy's own.
    pub gain: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens read.
    pub tokens: usize,
}

impl Policy {
    /// One update towards these sequences.
    ///
    /// # Errors
    /// A loss that is no longer a number; the policy is then as it was.
    pub fn imitate(&mut self, engine: &mut Engine, sequences: &[Sequence]) -> Result<SftStats, TrainError> {
        self.grads.fill(0.0);
        let first = engine.log_probs(&self.first, sequences);
        let (loss, weight) = engine.cross_entropy(&self.model, sequences, &mut self.grads);
        let weight = weight.max(1e-9);
        self.grads.iter_mut().for_each(|gradient| *gradient /= weight as f32);
        let before: f64 = sequences
            .iter()
            .zip(&first)
            .flat_map(|(sequence, log_probs)| sequence.targets().map(|at| sequence.weights[at]).zip(log_probs))
            .map(|(weight, log_prob)| f64::from(weight) * f64::from(*log_prob))
            .sum();
        let grad_norm = self.apply(loss / weight)?;
        Ok(SftStats {
            loss: loss / weight,
            gain: (-loss - before) / sequences.len().max(1) as f64,
            grad_norm,
            tokens: sequences.iter().map(|sequence| sequence.tokens.len()).sum(),
        })
    }
}
