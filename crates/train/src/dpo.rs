//! Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): of two answers to one prompt the better one
//! becomes likelier, relative to the policy that training began with.

use loophole_lm::{Engine, Sequence};

use crate::{Policy, Rollout, TrainError};

/// What one update was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpoStats {
    /// Mean of -log sigmoid(margin), in nats.
    pub loss: f64,
    /// Mean margin: beta times how much more the better answer has gained than the worse, in nats.
    pub margin: f64,
    /// Share of pairs with a margin above 0.
    pub accuracy: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens read.
    pub tokens: usize,
}

impl Policy {
    /// One update from pairs of a better and a worse answer.
    ///
    /// # Errors
    /// A loss that is no longer a number; the policy is then as it was.
    pub fn prefer(
        &mut self,
        engine: &mut Engine,
        pairs: &[(Rollout, Rollout)],
        beta: f64,
    ) -> Result<DpoStats, TrainError> {
        let sequences: Vec<Sequence> = pairs.iter().flat_map(|(good, bad)| [good.sequence(), bad.sequence()]).collect();
        let total = |log_probs: &Vec<f32>| log_probs.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>();
        let first: Vec<f64> = engine.log_probs(&self.first, &sequences).iter().map(total).collect();
        let now: Vec<f64> = engine.log_probs(&self.model, &sequences).iter().map(total).collect();
        let gained = |row: usize| now[row] - first[row];
        let margins: Vec<f64> = (0..pairs.len()).map(|pair| beta * (gained(2 * pair) - gained(2 * pair + 1))).collect();
        let n = pairs.len().max(1) as f64;
        // log(1 + exp(-m)), for a margin of any size.
        let losses = margins.iter().map(|margin| (-margin).max(0.0) + (-margin.abs()).exp().ln_1p());
        let loss = losses.sum::<f64>() / n;
        self.grads.fill(0.0);
        engine.forward_backward(&self.model, &sequences, &mut self.grads, |row, log_probs| {
            let pull = beta / (1.0 + margins[row / 2].exp()) / n;
            let slope = if row.is_multiple_of(2) { -pull } else { pull };
            vec![slope as f32; log_probs.len()]
        });
        let grad_norm = self.apply(loss)?;
        Ok(DpoStats {
            loss,
            margin: margins.iter().sum::<f64>() / n,
            accuracy: margins.iter().filter(|margin| **margin > 0.0).count() as f64 / n,
            grad_norm,
            tokens: sequences.iter().map(|sequence| sequence.tokens.len()).sum(),
        })
    }
}
