//! GRPO, as in Shao et al. 2024 (arXiv 2402.03300), in its on-policy form: one update for each batch of
//! rollouts, so the ratio of new to old policy is 1 and there is nothing to clip. The advantage of a
//! rollout is its reward less the mean of its group, over the group's standard deviation. The loss is the
//! mean over rollouts of the advantage-weighted sum of token log-probabilities over a constant length
//! (Liu et al. 2025, arXiv 2503.20783, against the length bias of the original), plus `kl` times the k3
//! estimate of the divergence from the policy that training began with.

use loophole_lm::{Engine, Sequence};
use serde::Serialize;

use crate::{Policy, Rollout, TrainError};

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

impl Policy {
    /// Divergence of the policy from the first one on its own rollouts: each one's log p - log p0, summed over its tokens,
    /// in nats. (Updating tells the same of the prompts it is given.)
    pub fn divergences(&self, engine: &mut Engine, rollouts: &[Rollout]) -> Vec<f64> {
        let sequences: Vec<Sequence> = rollouts.iter().map(Rollout::whole).collect();
        let first = engine.log_probs(&self.first, &sequences);
        let now = engine.log_probs(&self.model, &sequences);
        let total = |of: &[f32]| of.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>();
        now.iter().zip(&first).map(|(now, first)| total(now) - total(first)).collect()
    }

    /// One update from rewarded rollouts.
    ///
    /// # Errors
    /// A loss that is no longer a number; the policy is then as it was.
    pub fn reinforce(
        &mut self,
        engine: &mut Engine,
        rollouts: &[Rollout],
        rewards: &[f64],
    ) -> Result<UpdateStats, TrainError> {
        let (advantages, flat_groups) = advantages(rollouts, rewards);
        let sequences: Vec<Sequence> = rollouts.iter().map(Rollout::whole).collect();
        let first = engine.log_probs(&self.first, &sequences);
        let tokens: usize = first.iter().map(Vec::len).sum();
        let scale = 1.0 / (rollouts.len() * self.options.max_new) as f32;
        let weight = self.options.kl;
        self.grads.fill(0.0);
        let log_probs = engine.forward_backward(&self.model, &sequences, &mut self.grads, |row, log_probs| {
            // d/dlogp of -A logp + kl (exp(d) - d - 1), with d = log p0 - log p.
            let slope = |(now, then): (&f32, &f32)| -advantages[row] as f32 + weight * (1.0 - (then - now).exp());
            let slopes = log_probs.iter().zip(&first[row]).map(slope).map(|slope| slope * scale);
            slopes.enumerate().map(|(at, slope)| if at < rollouts[row].muted { 0.0 } else { slope }).collect()
        });
        let (mut loss, mut entropy) = (0.0, 0.0);
        let mut kls = vec![0.0; rollouts.len()];
        for (row, log_probs) in log_probs.iter().enumerate() {
            for (at, (&now, &then)) in log_probs.iter().zip(&first[row]).enumerate() {
                let (now, then) = (f64::from(now), f64::from(then));
                let k3 = (then - now).exp() - (then - now) - 1.0;
                if at >= rollouts[row].muted {
                    loss += (-advantages[row] * now + f64::from(weight) * k3) * f64::from(scale);
                }
                kls[row] += now - then;
                entropy -= now;
            }
        }
        let grad_norm = self.apply(loss)?;
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
        Rollout { group, prompt: vec![1], tokens: vec![2], stopped: true, muted: 0 }
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
