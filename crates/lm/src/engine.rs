//! The engine: splits a batch into chunks and lanes, runs them on threads, adds the gradients.

use crate::draw::{Drawn, Watch};
use crate::model::Layout;
use crate::pass::{Net, Pass, Shape};
use crate::rope::Rope;
use crate::tap::{Edits, Tap, Text};
use crate::{Config, Model};
use std::ops::Range;
use std::sync::Arc;

/// One training or scoring sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// `weights[t]` belongs to predicting `tokens[t]` from `tokens[..t]`; 0 means "not a target";
    /// `weights[0]` is ignored. Same length as `tokens`.
    pub weights: Vec<f32>,
    /// Changes of what goes on inside while it is read; gradients are those of the changed model.
    pub edits: Arc<Edits>,
    /// Place of the answer's first token, for edits that begin with it; 0 if all of it is one.
    pub answer: usize,
}

impl Sequence {
    /// A sequence that is read as it is.
    pub fn new(tokens: Vec<u32>, weights: Vec<f32>) -> Sequence {
        Sequence { tokens, weights, ..Sequence::default() }
    }

    /// A sequence whose every token (but the first) is a target of weight 1.
    pub fn all(tokens: Vec<u32>) -> Sequence {
        let weights = vec![1.0; tokens.len()];
        Sequence::new(tokens, weights)
    }

    /// Positions of the targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = usize> + '_ {
        (1..self.tokens.len()).filter(|&t| self.weights[t] != 0.0)
    }
}

/// Gradient buffers that a batch is split over. Fixed, so that results do not depend on the
/// number of threads.
const LANES: usize = 4;

/// Places of a text whose logits are there at a time.
const SHOWN: usize = 256;

/// Most tokens in a chunk (a longer sequence is a chunk of its own).
const CHUNK: usize = 1024;

/// Scratch buffers and thread setting for one configuration.
///
/// Results depend on nothing but the inputs: not on the number of threads, not on earlier calls.
pub struct Engine {
    config: Config,
    threads: usize,
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
    pub(crate) rope: Rope,
    pub(crate) passes: Vec<Pass>,
    lanes: Vec<Vec<f32>>,
}

impl Engine {
    /// An engine for models of this configuration that uses `threads` threads (at least 1; more
    /// than 4 do not help training).
    pub fn new(config: &Config, threads: usize) -> Engine {
        let threads = threads.max(1);
        let mut passes = Vec::new();
        passes.resize_with(threads.min(LANES), Pass::default);
        Engine {
            config: config.clone(),
            threads,
            shape: Shape::new(config),
            layout: Layout::new(config),
            rope: Rope::default(),
            passes,
            lanes: Vec::new(),
        }
    }

    /// The number of threads it uses.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Prepares for sequences of up to `longest` tokens and checks that `model` has this shape.
    pub(crate) fn prepare(&mut self, model: &Model, longest: usize) {
        assert_eq!(model.params.len(), self.layout.len, "model and engine differ in shape");
        assert_eq!(model.config.hidden_size, self.config.hidden_size, "model and engine differ");
        self.rope.ensure(longest, &self.config);
    }

    fn check(&self, seqs: &[Sequence]) {
        for (i, s) in seqs.iter().enumerate() {
            assert_eq!(s.tokens.len(), s.weights.len(), "sequence {i}: one weight per token");
            let bad = s.tokens.iter().find(|&&t| t as usize >= self.shape.vocab);
            assert!(bad.is_none(), "sequence {i}: token {bad:?} is not in the vocabulary");
            self.check_edits(&s.edits);
        }
    }

    /// Refuses edits of another model.
    pub(crate) fn check_edits(&self, edits: &Edits) {
        if let Err(error) = edits.check(&self.config) {
            panic!("{error}");
        }
    }

    /// Log-probability of every target, per sequence in order.
    ///
    /// # Panics
    /// A token is outside the vocabulary, `weights` and `tokens` differ in length, or an edit is for another model.
    pub fn log_probs(&mut self, model: &Model, seqs: &[Sequence]) -> Vec<Vec<f32>> {
        self.run(model, seqs, None, &|_, _| Vec::new())
    }

    /// Forward and backward pass. `d_logp(i, log_probs)` receives the log-probabilities of all
    /// targets of sequence `i` and returns the derivative of the loss for each of them. Gradients
    /// are **added** to `grads` (laid out like [`Model::params`]). Returns the log-probabilities.
    ///
    /// # Panics
    /// As [`Engine::log_probs`]; or `d_logp` returns another number of values.
    pub fn forward_backward(
        &mut self,
        model: &Model,
        seqs: &[Sequence],
        grads: &mut [f32],
        d_logp: impl Fn(usize, &[f32]) -> Vec<f32> + Sync,
    ) -> Vec<Vec<f32>> {
        assert_eq!(grads.len(), self.layout.len, "gradient buffer of another size");
        self.run(model, seqs, Some(grads), &d_logp)
    }

    /// Weighted cross-entropy `-Σ w log p`, its gradient added to `grads`. Returns the loss sum
    /// and the sum of the weights (neither the loss nor the gradient is divided by it).
    pub fn cross_entropy(&mut self, model: &Model, seqs: &[Sequence], grads: &mut [f32]) -> (f64, f64) {
        let weights = |s: &Sequence| s.targets().map(|t| s.weights[t]).collect::<Vec<f32>>();
        let d = |i: usize, _: &[f32]| weights(&seqs[i]).iter().map(|w| -w).collect();
        let log_probs = self.forward_backward(model, seqs, grads, d);
        let (mut loss, mut sum) = (0.0, 0.0);
        for (seq, log_probs) in seqs.iter().zip(&log_probs) {
            for (w, lp) in weights(seq).iter().zip(log_probs) {
                loss -= f64::from(*w) * f64::from(*lp);
                sum += f64::from(*w);
            }
        }
        (loss, sum)
    }

    /// Logits at every position, `[tokens, vocab]`.
    pub fn logits(&mut self, model: &Model, tokens: &[u32]) -> Vec<f32> {
        self.prepare(model, tokens.len());
        let net = Net { shape: &self.shape, layout: &self.layout, rope: &self.rope, params: &model.params };
        let pass = &mut self.passes[0];
        pass.forward(net, std::iter::once(tokens), &[]);
        pass.logits_of(net, 0..tokens.len()).to_vec()
    }

    /// Reads texts under edits and shows every token but the first of each, in their order, with what was expected in its
    /// place; a text ends where `watch` answers false.
    ///
    /// # Panics
    /// A token is outside the vocabulary, or an edit is for another model.
    pub(crate) fn read_watched(&mut self, model: &Model, texts: &[Text], edits: &Edits, watch: &Watch) {
        self.prepare(model, texts.iter().map(|text| text.tokens.len()).max().unwrap_or(0));
        self.check_edits(edits);
        let net = Net { shape: &self.shape, layout: &self.layout, rope: &self.rope, params: &model.params };
        let pass = &mut self.passes[0];
        for (at, Text { tokens: text, answer }) in texts.iter().enumerate() {
            let bad = text.iter().find(|token| **token as usize >= net.shape.vocab);
            assert!(bad.is_none(), "text {at}: token {bad:?} is not in the vocabulary");
            let Some((_, read)) = text.split_last().filter(|(_, read)| !read.is_empty()) else { continue };
            let tap = (!edits.is_empty()).then(|| Tap::new(edits, text, *answer));
            pass.forward(net, std::iter::once(read), tap.as_slice());
            let mut wanted = true;
            for from in (0..read.len()).step_by(SHOWN) {
                let rows = from..read.len().min(from + SHOWN);
                let logits = pass.logits_of(net, rows.clone());
                for (row, logits) in rows.zip(logits.chunks_exact(net.shape.vocab)) {
                    wanted = wanted && watch(&Drawn::read(at, text[row + 1], logits));
                }
            }
        }
    }

    fn run(
        &mut self,
        model: &Model,
        seqs: &[Sequence],
        grads: Option<&mut [f32]>,
        d_logp: &(dyn Fn(usize, &[f32]) -> Vec<f32> + Sync),
    ) -> Vec<Vec<f32>> {
        self.check(seqs);
        self.prepare(model, seqs.iter().map(|s| s.tokens.len()).max().unwrap_or(0));
        let lanes = plan(seqs);
        let net = Net { shape: &self.shape, layout: &self.layout, rope: &self.rope, params: &model.params };
        let training = grads.is_some();
        if training {
            self.lanes.resize_with(self.lanes.len().max(lanes.len()), Vec::new);
        }
        // Thread t takes lanes t, t + threads, ...; which thread it is does not matter.
        let threads = self.passes.len().min(lanes.len()).max(1);
        let mut work: Vec<Vec<Lane>> = Vec::new();
        work.resize_with(threads, Vec::new);
        let mut buffers = self.lanes.iter_mut();
        for (i, lane) in lanes.iter().enumerate() {
            work[i % threads].push((lane, if training { buffers.next() } else { None }));
        }
        let run_lanes = |pass: &mut Pass, work: Vec<Lane>| {
            let mut done = Vec::new();
            for (lane, mut buffer) in work {
                if let Some(g) = &mut buffer {
                    g.clear();
                    g.resize(net.layout.len, 0.0);
                }
                for chunk in lane {
                    let part = &seqs[chunk.clone()];
                    let edited = part.iter().any(|s| !s.edits.is_empty());
                    let taps = part.iter().filter(|_| edited).map(|s| Tap::new(&s.edits, &s.tokens, s.answer));
                    let taps: Vec<Tap> = taps.collect();
                    pass.forward(net, part.iter().map(|s| s.tokens.as_slice()), &taps);
                    let log_probs = pass.log_probs(net, part);
                    if let Some(g) = &mut buffer {
                        let mut d = Vec::new();
                        for (i, lp) in chunk.clone().zip(&log_probs) {
                            let di = d_logp(i, lp);
                            assert_eq!(di.len(), lp.len(), "sequence {i}: one value per target");
                            d.extend(di);
                        }
                        pass.backward(net, &d, &taps, g);
                    }
                    done.push((chunk.start, log_probs));
                }
            }
            done
        };
        let mut done = std::thread::scope(|scope| {
            let mut pairs = self.passes.iter_mut().zip(work);
            let first = pairs.next();
            let others: Vec<_> = pairs.map(|(pass, work)| scope.spawn(|| run_lanes(pass, work))).collect();
            let mut done = first.map(|(pass, work)| run_lanes(pass, work)).unwrap_or_default();
            for other in others {
                match other.join() {
                    Ok(part) => done.extend(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        if let Some(grads) = grads {
            for lane in &self.lanes[..lanes.len()] {
                crate::math::add(grads, lane);
            }
        }
        done.sort_by_key(|(start, _)| *start);
        done.into_iter().flat_map(|(_, lp)| lp).collect()
    }
}

/// The chunks of one lane and, in training, the gradient they add to.
type Lane<'a> = (&'a [Range<usize>], Option<&'a mut Vec<f32>>);

/// Splits a batch into lanes of chunks of neighbouring sequences. Depends on the lengths only.
fn plan(seqs: &[Sequence]) -> Vec<Vec<Range<usize>>> {
    let total: usize = seqs.iter().map(|s| s.tokens.len()).sum();
    let limit = (total / (2 * LANES)).clamp(256, CHUNK);
    let mut chunks: Vec<(Range<usize>, usize)> = Vec::new();
    for (i, s) in seqs.iter().enumerate() {
        let len = s.tokens.len();
        match chunks.last_mut() {
            Some((range, size)) if *size + len <= limit => {
                range.end = i + 1;
                *size += len;
            }
            _ => chunks.push((i..i + 1, len)),
        }
    }
    let mut lanes: Vec<(usize, Vec<Range<usize>>)> = vec![(0, Vec::new()); LANES];
    for (range, size) in chunks {
        // Least loaded lane, the first among equals.
        if let Some(lane) = lanes.iter_mut().min_by_key(|(load, _)| *load) {
            lane.0 += size;
            lane.1.push(range);
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).filter(|lane| !lane.is_empty()).collect()
}
