//! Drawing tokens: what is asked for, what comes out, and the draw itself.

use crate::math;
use crate::rng::Rng;

/// What to continue, and the seed of the row's random draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
    /// Seed of this row's generator.
    pub seed: u64,
}

/// How to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOptions {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Most tokens to add to a prompt.
    pub max_new: usize,
    /// Tokens that end a row; the one met is part of the completion.
    pub stop: Vec<u32>,
}

/// What was sampled for one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// New tokens, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each new token under the model at temperature 1.
    pub log_probs: Vec<f32>,
    /// Whether a stop token ended it (else it ran into `max_new` or the longest context).
    pub stopped: bool,
}

/// A token that was just drawn, for whoever watches.
pub struct Drawn<'a> {
    /// The prompt it continues, by its place among the prompts.
    pub prompt: usize,
    /// The token.
    pub token: u32,
    /// Its log-probability under the model at temperature 1.
    pub log_prob: f32,
    /// The logits it was drawn from.
    pub logits: &'a [f32],
    /// What to take from a logit to get a log-probability.
    pub log_norm: f32,
}

/// Told of every token when it is drawn, on whichever thread that happens; the row ends if it answers false.
pub type Watch<'a> = dyn Fn(&Drawn) -> bool + Sync + 'a;

/// The tokens of one row as they come.
pub(crate) struct Draws {
    /// Its place among the prompts.
    pub index: usize,
    /// Tokens of its prompt.
    prompt: usize,
    rng: Rng,
    pub out: Completion,
    pub ended: bool,
}

impl Draws {
    /// A row that has drawn nothing yet; it has ended if there is no room for a token.
    pub fn new(index: usize, seed: u64, prompt: usize, options: &SampleOptions, limit: usize) -> Draws {
        let out = Completion { tokens: Vec::new(), log_probs: Vec::new(), stopped: false };
        let ended = options.max_new == 0 || prompt >= limit;
        Draws { index, prompt, rng: Rng::new(seed), out, ended }
    }

    /// The token drawn last; only for a row that goes on, which has one.
    pub fn last(&self) -> u32 {
        self.out.tokens[self.out.tokens.len() - 1]
    }

    /// Draws the next token from `logits` and notes whether the row ends.
    pub fn draw(&mut self, logits: &[f32], options: &SampleOptions, limit: usize, watch: &Watch) {
        let max = math::max(logits);
        let norm = math::sum_exp_shifted(logits, max).ln();
        let raw = |t: usize| logits[t] - max - norm;
        let (token, log_prob) = if options.temperature <= 0.0 {
            let token = logits.iter().position(|&x| x == max).unwrap_or(0);
            (token, raw(token))
        } else {
            let inverse = 1.0 / options.temperature;
            let u = self.rng.uniform() as f32;
            // Blocks are summed first, so that the search looks into one block only.
            const W: usize = 32;
            let mut sums = Vec::with_capacity(logits.len().div_ceil(W));
            let mut total = 0.0;
            for block in logits.chunks(W) {
                let mut e = [0.0; W];
                for (e, x) in e.iter_mut().zip(block) {
                    *e = math::exp((x - max) * inverse);
                }
                total += e[..block.len()].iter().sum::<f32>();
                sums.push(total);
            }
            let goal = u * total;
            let b = sums.partition_point(|&s| s <= goal).min(sums.len() - 1);
            let mut sum = if b == 0 { 0.0 } else { sums[b - 1] };
            let block = &logits[b * W..logits.len().min((b + 1) * W)];
            let mut token = b * W + block.len() - 1;
            for (j, x) in block.iter().enumerate() {
                sum += math::exp((x - max) * inverse);
                if sum > goal {
                    token = b * W + j;
                    break;
                }
            }
            (token, raw(token))
        };
        self.out.tokens.push(token as u32);
        self.out.log_probs.push(log_prob);
        self.out.stopped = options.stop.contains(&(token as u32));
        let drawn = Drawn { prompt: self.index, token: token as u32, log_prob, logits, log_norm: max + norm };
        let wanted = watch(&drawn);
        self.ended = !wanted
            || self.out.stopped
            || self.out.tokens.len() >= options.max_new
            || self.prompt + self.out.tokens.len() >= limit;
    }
}
