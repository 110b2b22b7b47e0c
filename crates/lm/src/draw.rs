//! Drawing tokens: what is asked for, what comes out, and the draw itself.

use crate::rng::Rng;
use crate::{Edits, math};
use std::sync::Arc;

/// What to continue, and the seed of the row's random draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
    /// Seed of this row's generator.
    pub seed: u64,
    /// Changes of what goes on inside while it is read and continued.
    pub edits: Arc<Edits>,
    /// Where the answer begins, for edits that begin with it: at the end of `tokens`, unless they hold the beginning of
    /// an answer.
    pub answer: Option<usize>,
}

impl Prompt {
    /// A prompt that is continued as it is.
    pub fn new(tokens: Vec<u32>, seed: u64) -> Prompt {
        Prompt { tokens, seed, edits: Arc::default(), answer: None }
    }

    /// Place of the answer's first token.
    pub(crate) fn answer(&self) -> usize {
        self.answer.unwrap_or(self.tokens.len())
    }
}

/// How to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOptions {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Only so many tokens, the likeliest; 0 for all.
    pub top_k: usize,
    /// Of those, only the likeliest that together have this probability; 1 for all.
    pub top_p: f32,
    /// Most tokens to add to a prompt.
    pub max_new: usize,
    /// Tokens that end a row; the one met is part of the completion.
    pub stop: Vec<u32>,
}

impl Default for SampleOptions {
    fn default() -> Self {
        SampleOptions { temperature: 1.0, top_k: 0, top_p: 1.0, max_new: 0, stop: Vec::new() }
    }
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

impl<'a> Drawn<'a> {
    /// A token of a text that is read, as if it had just been drawn.
    pub(crate) fn read(prompt: usize, token: u32, logits: &'a [f32]) -> Self {
        let max = math::max(logits);
        let norm = math::sum_exp_shifted(logits, max).ln();
        Drawn { prompt, token, log_prob: logits[token as usize] - max - norm, logits, log_norm: max + norm }
    }
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
        } else if options.top_k > 0 || options.top_p < 1.0 {
            let likely = likeliest(logits, max, options);
            let goal = self.rng.uniform() as f32 * likely.iter().map(|(_, weight)| weight).sum::<f32>();
            let mut sum = 0.0;
            let drawn = likely.iter().find(|(_, weight)| {
                sum += weight;
                sum > goal
            });
            // Rounding may leave the goal at the very end.
            let token = drawn.or(likely.last()).map_or(0, |(token, _)| *token);
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

/// Tokens whose weight is less than this part of the likeliest one's are looked at only where the others are too few.
const RARE: f32 = 12.0;

/// The tokens that may be drawn, likeliest first, with weights that are in the ratio of their probabilities.
fn likeliest(logits: &[f32], max: f32, options: &SampleOptions) -> Vec<(usize, f32)> {
    let inverse = 1.0 / options.temperature;
    let weight = |logit: f32| math::exp((logit - max) * inverse);
    let order = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    let total = match options.top_k {
        0 => logits.iter().map(|logit| weight(*logit)).sum::<f32>(),
        _ => 0.0,
    };
    let among = |least: f32| {
        let mut tokens: Vec<usize> = (0..logits.len()).filter(|token| logits[*token] >= least).collect();
        if options.top_k > 0 && options.top_k < tokens.len() {
            tokens.select_nth_unstable_by(options.top_k - 1, order);
            tokens.truncate(options.top_k);
        }
        tokens.sort_unstable_by(order);
        let mut likely: Vec<(usize, f32)> = tokens.iter().map(|token| (*token, weight(logits[*token]))).collect();
        let total = if options.top_k > 0 { likely.iter().map(|(_, weight)| weight).sum() } else { total };
        let mut sum = 0.0;
        let enough = likely.iter().position(|(_, weight)| {
            sum += weight;
            sum >= options.top_p * total
        });
        if let Some(last) = enough.filter(|_| options.top_p < 1.0) {
            likely.truncate(last + 1);
        }
        (likely, enough.is_some())
    };
    if options.top_k == 0 {
        let (likely, enough) = among(max - RARE * options.temperature);
        if enough {
            return likely;
        }
    }
    among(f32::NEG_INFINITY).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(logits: &[f32], options: &SampleOptions, count: u64) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for seed in 0..count {
            let mut row = Draws::new(0, seed, 1, &SampleOptions { max_new: 2, ..options.clone() }, 10);
            row.draw(logits, options, 10, &|_| true);
            counts[row.last() as usize] += 1;
        }
        counts
    }

    #[test]
    fn only_the_likeliest_are_drawn_and_in_their_ratio() {
        // Probabilities 0.5, 0.25, 0.125, 0.125 at temperature 1.
        let logits = [4f32, 8.0, 2.0, 2.0].map(f32::ln);
        let options = |top_k, top_p| SampleOptions { top_k, top_p, ..SampleOptions::default() };
        for (options, want) in [
            (options(2, 1.0), [1.0, 2.0, 0.0, 0.0].map(|x: f64| x / 3.0)),
            (options(0, 0.7), [1.0, 2.0, 0.0, 0.0].map(|x: f64| x / 3.0)),
            (options(0, 0.8), [2.0, 4.0, 1.0, 0.0].map(|x: f64| x / 7.0)),
            (options(3, 0.9), [2.0, 4.0, 1.0, 0.0].map(|x: f64| x / 7.0)),
            (options(9, 1.0), [0.25, 0.5, 0.125, 0.125]),
            (options(0, 0.0), [0.0, 1.0, 0.0, 0.0]),
            // With a temperature the ratio is another, and so is what is enough.
            (SampleOptions { temperature: 0.5, ..options(0, 0.9) }, [0.2, 0.8, 0.0, 0.0]),
        ] {
            let counts = draws(&logits, &options, 4000);
            for (count, want) in counts.iter().zip(want) {
                let got = *count as f64 / 4000.0;
                assert!((got - want).abs() < 0.03 && (want > 0.0 || *count == 0), "{options:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn rare_tokens_count_where_the_others_are_too_few() {
        let mut logits = vec![-20.0; 100_000];
        logits[7] = 0.0;
        let options = SampleOptions { temperature: 2.0, top_p: 0.95, ..SampleOptions::default() };
        // One token has 18 % of the probability; 100,000 others have the rest.
        let likely = likeliest(&logits, 0.0, &options);
        assert!(likely.len() > 90_000 && likely.len() < 99_999 && likely[0].0 == 7, "{}", likely.len());
    }
}
