//! Reading texts for what is inside: activations, logits at chosen places, and the head's view of a vector.

use super::{Activations, Capture, Edits, Tap, Text};
use crate::decoder::Buffers;
use crate::math::{self, Mat, matmul};
use crate::pass::Net;
use crate::{Decoder, Engine, Model, Runner};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does the jobs `0..count`, each on whichever worker is free; what they made comes in their order.
fn in_order<W: Send, T: Send>(
    workers: impl Iterator<Item = W>,
    count: usize,
    job: impl Fn(&mut W, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = |mut worker: W| {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return done;
            }
            done.push((at, job(&mut worker, at)));
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let work = &work;
        let mut workers = workers.take(count.max(1));
        let first = workers.next();
        let others: Vec<_> = workers.map(|worker| scope.spawn(move || work(worker))).collect();
        let mut done = first.map(work).unwrap_or_default();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

/// What is read of one text while it passes.
struct Collector<'a> {
    layers: &'a [usize],
    h: usize,
    /// Positions that each row is the mean of.
    rows: Vec<Range<usize>>,
    data: Vec<f32>,
}

impl<'a> Collector<'a> {
    fn new(capture: &Capture<'a>, text: usize, len: usize, h: usize) -> Collector<'a> {
        let rows = capture.at.rows(text, len);
        for row in &rows {
            assert!(row.start < row.end && row.end <= len, "text {text}: places {row:?} of {len} tokens");
        }
        Collector { layers: capture.layers, h, data: vec![0.0; rows.len() * capture.layers.len() * h], rows }
    }

    /// So many tokens have to be read.
    fn end(&self) -> usize {
        self.rows.iter().map(|row| row.end).max().unwrap_or(0)
    }

    /// Takes what it wants of the rows `x` that a layer hands on, the first of them at position `first`.
    fn see(&mut self, layer: usize, first: usize, x: &[f32]) {
        let (h, count) = (self.h, self.layers.len());
        for (slot, _) in self.layers.iter().enumerate().filter(|(_, wanted)| **wanted == layer) {
            for (row, places) in self.rows.iter().enumerate() {
                let sum = &mut self.data[(row * count + slot) * h..][..h];
                for at in places.start.max(first)..places.end.min(first + x.len() / h) {
                    math::add(sum, &x[(at - first) * h..][..h]);
                }
            }
        }
    }

    /// The first position of every row, and the rows.
    fn done(mut self) -> (Vec<usize>, Vec<f32>) {
        let width = self.layers.len() * self.h;
        for (row, sums) in self.rows.iter().zip(self.data.chunks_exact_mut(width.max(1))) {
            if row.len() > 1 {
                math::scale(sums, 1.0 / row.len() as f32);
            }
        }
        (self.rows.into_iter().map(|row| row.start).collect(), self.data)
    }
}

impl Activations {
    fn join(layers: &[usize], width: usize, parts: Vec<(Vec<usize>, Vec<f32>)>) -> Activations {
        let (mut rows, mut data) = (Vec::new(), Vec::new());
        for (text, (places, part)) in parts.into_iter().enumerate() {
            rows.extend(places.into_iter().map(|place| (text as u32, place as u32)));
            data.extend(part);
        }
        Activations { layers: layers.to_vec(), width, rows, data }
    }
}

/// How many layers have to be run for a capture.
fn depth(capture: &Capture, layers: usize) -> usize {
    let depth = capture.layers.iter().map(|layer| layer + 1).max().unwrap_or(0);
    assert!(depth <= layers, "block {} of a model that has {layers}", depth.saturating_sub(1));
    depth
}

fn longest(texts: &[Text]) -> usize {
    texts.iter().map(|text| text.tokens.len()).max().unwrap_or(0)
}

/// So many tokens have to be read for the logits at these places.
fn end(text: usize, at: &[usize], len: usize) -> usize {
    let end = at.iter().map(|at| at + 1).max().unwrap_or(0);
    assert!(end <= len, "text {text}: place {} of {len} tokens", end.saturating_sub(1));
    end
}

impl Engine {
    fn check_texts(&mut self, model: &Model, texts: &[Text], edits: &Edits) {
        self.prepare(model, longest(texts));
        self.check_edits(edits);
        for (at, text) in texts.iter().enumerate() {
            let bad = text.tokens.iter().find(|token| **token as usize >= self.shape.vocab);
            assert!(bad.is_none(), "text {at}: token {bad:?} is not in the vocabulary");
        }
    }

    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, model: &Model, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        self.check_texts(model, texts, edits);
        let depth = depth(capture, self.layout.layers.len());
        let net = Net { shape: &self.shape, layout: &self.layout, rope: &self.rope, params: &model.params };
        let parts = in_order(self.passes.iter_mut(), texts.len(), |pass, at| {
            let text = texts[at];
            let mut collector = Collector::new(capture, at, text.tokens.len(), net.shape.h);
            let read = &text.tokens[..collector.end()];
            let tap = (!edits.is_empty()).then(|| Tap::new(edits, text.tokens, text.answer));
            pass.forward_seen(net, std::iter::once(read), tap.as_slice(), depth, &mut |layer, x| {
                collector.see(layer, 0, x);
            });
            collector.done()
        });
        Activations::join(capture.layers, self.shape.h, parts)
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Engine::activations`].
    pub fn logits_at(&mut self, model: &Model, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        assert_eq!(texts.len(), at.len(), "one list of places for each text");
        self.check_texts(model, texts, edits);
        let net = Net { shape: &self.shape, layout: &self.layout, rope: &self.rope, params: &model.params };
        let parts = in_order(self.passes.iter_mut(), texts.len(), |pass, which| {
            let (text, at) = (texts[which], &at[which]);
            let read = &text.tokens[..end(which, at, text.tokens.len())];
            if read.is_empty() {
                return Vec::new();
            }
            let tap = (!edits.is_empty()).then(|| Tap::new(edits, text.tokens, text.answer));
            pass.forward(net, std::iter::once(read), tap.as_slice());
            pass.logits_of(net, at.iter().copied()).to_vec()
        });
        parts.concat()
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, model: &Model, rows: &[f32]) -> Vec<f32> {
        self.prepare(model, 0);
        let (s, mut norm) = (&self.shape, vec![0.0; rows.len()]);
        let weight = &model.params[self.layout.norm..][..s.h];
        math::rms_norm(rows, weight, s.eps, &mut norm, &mut vec![0.0; rows.len() / s.h]);
        self.head(model, &norm)
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, model: &Model, directions: &[f32]) -> Vec<f32> {
        self.prepare(model, 0);
        let weight = &model.params[self.layout.norm..][..self.shape.h];
        let weighed: Vec<f32> = directions.iter().zip(weight.iter().cycle()).map(|(x, w)| x * w).collect();
        self.head(model, &weighed)
    }

    fn head(&self, model: &Model, rows: &[f32]) -> Vec<f32> {
        let (h, vocab) = (self.shape.h, self.shape.vocab);
        let mut logits = vec![0.0; rows.len() / h * vocab];
        let w = Mat::transposed(&model.params[self.layout.head..][..vocab * h], h);
        matmul((rows.len() / h, vocab, h), 1.0, Mat::rows(rows, h), w, &mut logits, vocab, false);
        logits
    }
}

impl Decoder {
    fn check_texts(&mut self, texts: &[Text], edits: &Edits) {
        texts.iter().for_each(|text| self.check(text.tokens, edits));
        self.rope.ensure(longest(texts), &self.config);
    }

    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        self.check_texts(texts, edits);
        let (depth, h) = (depth(capture, self.config.num_hidden_layers), self.config.hidden_size);
        let decoder = &*self;
        let workers = decoder.pools.iter().map(|pool| (pool, Buffers::default()));
        let parts = in_order(workers, texts.len(), |(pool, buffers), at| {
            let text = texts[at];
            let mut collector = Collector::new(capture, at, text.tokens.len(), h);
            let read = &text.tokens[..collector.end()];
            let tap = Tap::new(edits, text.tokens, text.answer);
            pool.install(|| {
                decoder.read_seen((read, tap), buffers, depth, &mut |layer, first, x| collector.see(layer, first, x));
            });
            collector.done()
        });
        Activations::join(capture.layers, h, parts)
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Decoder::activations`].
    pub fn logits_at(&mut self, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        assert_eq!(texts.len(), at.len(), "one list of places for each text");
        self.check_texts(texts, edits);
        let (decoder, vocab) = (&*self, self.config.vocab_size);
        let workers = decoder.pools.iter().map(|pool| (pool, Buffers::default()));
        let parts = in_order(workers, texts.len(), |(pool, buffers), which| {
            let (text, at) = (texts[which], &at[which]);
            let read = &text.tokens[..end(which, at, text.tokens.len())];
            let tap = Tap::new(edits, text.tokens, text.answer);
            let mut out = vec![0.0; at.len() * vocab];
            pool.install(|| {
                decoder.read((read, tap), &mut decoder.caches(), 0, buffers, |from, rows, buffers| {
                    let here = (0..at.len()).filter(|slot| (from..from + rows).contains(&at[*slot]));
                    let (slots, picked): (Vec<usize>, Vec<usize>) = here.map(|slot| (slot, at[slot] - from)).unzip();
                    for (slot, logits) in slots.iter().zip(decoder.logits_of(&picked, buffers).chunks_exact(vocab)) {
                        out[slot * vocab..][..vocab].copy_from_slice(logits);
                    }
                });
            });
            out
        });
        parts.concat()
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, rows: &[f32]) -> Vec<f32> {
        let mut norm = vec![0.0; rows.len()];
        let (weight, mut inv) = (self.norm_weight(), vec![0.0; rows.len() / self.config.hidden_size]);
        math::rms_norm(rows, weight, self.config.rms_norm_eps as f32, &mut norm, &mut inv);
        self.head_of(&norm)
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, directions: &[f32]) -> Vec<f32> {
        let weight = self.norm_weight().iter().cycle();
        let weighed: Vec<f32> = directions.iter().zip(weight).map(|(x, w)| x * w).collect();
        self.head_of(&weighed)
    }
}

impl Runner {
    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        match self {
            Runner::Small { model, engine } => engine.activations(model, texts, capture, edits),
            Runner::Large(decoder) => decoder.activations(texts, capture, edits),
        }
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Runner::activations`].
    pub fn logits_at(&mut self, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.logits_at(model, texts, at, edits),
            Runner::Large(decoder) => decoder.logits_at(texts, at, edits),
        }
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, rows: &[f32]) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.lens(model, rows),
            Runner::Large(decoder) => decoder.lens(rows),
        }
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, directions: &[f32]) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.raises(model, directions),
            Runner::Large(decoder) => decoder.raises(directions),
        }
    }
}
