//! Batched sampling with a key-value cache.
//!
//! Identical prompts under the same edits are read once and their cache is shared. Every worker thread keeps a batch of
//! rows; a row that ends leaves it and the next prompt takes its place. A row draws from its own
//! generator and no kernel mixes rows, so its outcome depends on model, prompt, edits, seed and options
//! only, not on the company it is sampled in nor on the number of threads.

use crate::cache::{Cache, KEYS};
use crate::draw::{Completion, Draws, Prompt, SampleOptions, Watch};
use crate::math::{self, Mat, matmul};
use crate::pass::{Net, Pass, room};
use crate::tap::{Edits, Reach, Tap};
use crate::{Engine, Model};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Most rows in a worker's batch.
const SLOTS: usize = 64;

/// Most rows of one prompt that are handed to a worker together.
const UNIT: usize = 16;

/// Samples a completion for every prompt, in the order of the prompts.
///
/// # Panics
/// A prompt is empty, has a token outside the vocabulary, or an edit of another model.
pub fn sample(engine: &mut Engine, model: &Model, prompts: &[Prompt], options: &SampleOptions) -> Vec<Completion> {
    sample_watched(engine, model, prompts, options, &|_| true)
}

/// As [`sample`], and `watch` sees every token when it is drawn and may end its row: for streaming, for texts
/// that end a reply, for listeners that have left.
///
/// # Panics
/// As [`sample`].
pub fn sample_watched(
    engine: &mut Engine,
    model: &Model,
    prompts: &[Prompt],
    options: &SampleOptions,
    watch: &Watch,
) -> Vec<Completion> {
    let limit = model.config.max_position_embeddings;
    let longest = prompts.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
    engine.prepare(model, longest.saturating_add(options.max_new).min(limit).max(longest));
    // What a prompt's cache depends on.
    let mut by_tokens: HashMap<(&[u32], u64, usize), usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, p) in prompts.iter().enumerate() {
        assert!(!p.tokens.is_empty(), "prompt {i} is empty");
        let bad = p.tokens.iter().find(|&&t| t as usize >= engine.shape.vocab);
        assert!(bad.is_none(), "prompt {i}: token {bad:?} is not in the vocabulary");
        engine.check_edits(&p.edits);
        let answer = if p.edits.is_empty() { 0 } else { p.answer() };
        let g = *by_tokens.entry((&p.tokens, p.edits.key(), answer)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[g].push(i);
    }
    let shared: Vec<OnceLock<Arc<Prefix>>> = groups.iter().map(|_| OnceLock::new()).collect();
    let mut units: Vec<(usize, &[usize])> = Vec::new();
    for (g, rows) in groups.iter().enumerate() {
        units.extend(rows.chunks(UNIT).map(|rows| (g, rows)));
    }
    let done: Mutex<Vec<Option<Completion>>> = Mutex::new(vec![None; prompts.len()]);
    let net = Net { shape: &engine.shape, layout: &engine.layout, rope: &engine.rope, params: &model.params };
    let weights = Weights::new(net);
    let next = AtomicUsize::new(0);
    let work = |pass: &mut Pass| {
        let mut worker = Worker::new(net, &weights, options, limit, watch);
        loop {
            while worker.rows.len() + UNIT <= SLOTS {
                let Some(&(g, rows)) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let prompt = &prompts[rows[0]];
                let prefix = if groups[g].len() > UNIT {
                    shared[g].get_or_init(|| Arc::new(Prefix::new(net, pass, prompt))).clone()
                } else {
                    Arc::new(Prefix::new(net, pass, prompt))
                };
                for &i in rows {
                    worker.start(i, prompts[i].seed, &prefix);
                }
                worker.retire(&done);
            }
            if worker.rows.is_empty() {
                if next.load(Ordering::Relaxed) >= units.len() {
                    break;
                }
                continue;
            }
            worker.advance();
            worker.retire(&done);
        }
    };
    let threads = engine.threads().min(units.len()).max(1);
    let mut passes: Vec<Pass> = Vec::new();
    passes.resize_with(threads, Pass::default);
    std::thread::scope(|scope| {
        let mut passes = passes.iter_mut();
        let first = passes.next();
        let work = &work;
        for pass in passes {
            scope.spawn(move || work(pass));
        }
        if let Some(pass) = first {
            work(pass);
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Every prompt is in exactly one unit, and a unit's rows all retire before the end.
    done.into_iter().flatten().collect()
}

/// A layer's weights transposed to `[in, out]`, the form in which a small batch needs no packing.
struct LayerWeights {
    qkv: Vec<f32>,
    o: Vec<f32>,
    gate_up: Vec<f32>,
    down: Vec<f32>,
}

struct Weights {
    layers: Vec<LayerWeights>,
    head: Vec<f32>,
}

/// Columns of a transposed matrix are padded to a multiple of this: whole vectors.
const PAD: usize = 16;

fn transposed(w: &[f32], out: usize, inp: usize) -> Vec<f32> {
    let out = out.next_multiple_of(PAD);
    let mut t = vec![0.0; inp * out];
    for (o, row) in w.chunks_exact(inp).enumerate() {
        for (i, &x) in row.iter().enumerate() {
            t[i * out + o] = x;
        }
    }
    t
}

impl Weights {
    fn new(net: Net) -> Weights {
        let s = net.shape;
        let part = |at: usize, out: usize, inp: usize| transposed(net.weight(at, out * inp), out, inp);
        let layer = |at: &crate::model::LayerOffsets| LayerWeights {
            qkv: part(at.qkv, s.qkv, s.h),
            o: part(at.o, s.h, s.attn),
            gate_up: part(at.gate_up, 2 * s.inter, s.h),
            down: part(at.down, s.h, s.inter),
        };
        Weights { layers: net.layout.layers.iter().map(layer).collect(), head: part(net.layout.head, s.vocab, s.h) }
    }
}

/// The cache of a prompt, per layer, and the logits after it; and how it was edited, which goes on in what is drawn.
struct Prefix {
    len: usize,
    layers: Vec<Cache>,
    logits: Vec<f32>,
    edits: Arc<Edits>,
    reach: Reach,
}

impl Prefix {
    fn new(net: Net, pass: &mut Pass, prompt: &Prompt) -> Prefix {
        let s = net.shape;
        let (tokens, edits) = (&prompt.tokens, prompt.edits.clone());
        let len = tokens.len();
        let reach = Reach::new(&edits, tokens, prompt.answer());
        let tap = (!edits.is_empty()).then_some(Tap { edits: &edits, reach });
        pass.forward(net, std::iter::once(tokens.as_slice()), tap.as_slice());
        let copy = |qkv: &Vec<f32>| {
            let mut cache = Cache::default();
            for (p, row) in qkv.chunks_exact(s.qkv).take(len).enumerate() {
                cache.push(p, s.kv, s.hd, &row[s.attn..]);
            }
            cache
        };
        let layers = pass.layers.iter().map(|l| copy(&l.qkv)).collect();
        let logits = pass.logits_of(net, std::iter::once(len - 1)).to_vec();
        Prefix { len, layers, logits, edits, reach }
    }
}

struct Row {
    draws: Draws,
    prefix: Arc<Prefix>,
    own: Vec<Cache>,
    /// Tokens in its own cache.
    cached: usize,
    /// Where its edits apply.
    reach: Reach,
}

struct Worker<'a> {
    net: Net<'a>,
    weights: &'a Weights,
    options: &'a SampleOptions,
    limit: usize,
    watch: &'a Watch<'a>,
    rows: Vec<Row>,
    /// Caches of rows that ended, for reuse.
    spare: Vec<Vec<Cache>>,
    x: Vec<f32>,
    norm: Vec<f32>,
    inv: Vec<f32>,
    qkv: Vec<f32>,
    attn: Vec<f32>,
    gate_up: Vec<f32>,
    act: Vec<f32>,
    logits: Vec<f32>,
    scores: Vec<f32>,
}

impl<'a> Worker<'a> {
    fn new(net: Net<'a>, weights: &'a Weights, options: &'a SampleOptions, limit: usize, watch: &'a Watch<'a>) -> Self {
        Worker {
            net,
            weights,
            options,
            limit,
            watch,
            rows: Vec::new(),
            spare: Vec::new(),
            x: Vec::new(),
            norm: Vec::new(),
            inv: Vec::new(),
            qkv: Vec::new(),
            attn: Vec::new(),
            gate_up: Vec::new(),
            act: Vec::new(),
            logits: Vec::new(),
            scores: Vec::new(),
        }
    }

    fn start(&mut self, index: usize, seed: u64, prefix: &Arc<Prefix>) {
        let own = self
            .spare
            .pop()
            .unwrap_or_else(|| std::iter::repeat_with(Cache::default).take(prefix.layers.len()).collect());
        let mut draws = Draws::new(index, seed, prefix.len, self.options, self.limit);
        if !draws.ended {
            draws.draw(&prefix.logits, self.options, self.limit, self.watch);
        }
        let row = Row { draws, prefix: prefix.clone(), own, cached: 0, reach: prefix.reach };
        self.rows.push(row);
    }

    fn retire(&mut self, done: &Mutex<Vec<Option<Completion>>>) {
        if !self.rows.iter().any(|r| r.draws.ended) {
            return;
        }
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let rows = std::mem::take(&mut self.rows);
        for row in rows {
            if row.draws.ended {
                done[row.draws.index] = Some(row.draws.out);
                self.spare.push(row.own);
            } else {
                self.rows.push(row);
            }
        }
    }

    /// One more token for every row.
    fn advance(&mut self) {
        let net = self.net;
        let (s, h, b) = (net.shape, net.shape.h, self.rows.len());
        let x = room(&mut self.x, b * h);
        let norm = room(&mut self.norm, b * h);
        let inv = room(&mut self.inv, b);
        let qkv = room(&mut self.qkv, b * s.qkv);
        let attn = room(&mut self.attn, b * s.attn);
        let gate_up = room(&mut self.gate_up, b * 2 * s.inter);
        let act = room(&mut self.act, b * s.inter);
        let embed = net.weight(net.layout.embed, s.vocab * h);
        let mut edited = false;
        for (row, x) in self.rows.iter_mut().zip(x.chunks_exact_mut(h)) {
            let token = row.draws.last();
            x.copy_from_slice(&embed[token as usize * h..][..h]);
            row.reach.goes_on(&row.prefix.edits, token, row.prefix.len + row.cached);
            edited |= !row.prefix.edits.is_empty();
        }
        let layers = net.layout.layers.iter().zip(&self.weights.layers);
        for (l, (at, weights)) in layers.enumerate() {
            math::rms_norm(x, net.weight(at.norm1, h), s.eps, norm, inv);
            let w = Mat::rows(&weights.qkv, s.qkv.next_multiple_of(PAD));
            matmul((b, s.qkv, h), 1.0, Mat::rows(norm, h), w, qkv, s.qkv, false);
            net.add_bias(at.qkv_bias, qkv, s.qkv);
            net.norm_heads(at.qk_norm, qkv);
            for (row, qkv) in self.rows.iter_mut().zip(qkv.chunks_exact_mut(s.qkv)) {
                net.rope.rotate(qkv, s.heads + s.kv, row.prefix.len + row.cached, 1.0);
                row.own[l].push(row.cached, s.kv, s.hd, &qkv[s.attn..]);
            }
            // Neighbours that share a prompt read its keys and values together.
            let mut r0 = 0;
            while r0 < b {
                let prefix = &self.rows[r0].prefix;
                let same = |r: &&Row| Arc::ptr_eq(&r.prefix, prefix);
                let r1 = r0 + self.rows[r0..].iter().take_while(same).count();
                let group = GroupAttention { net, layer: l, rows: &self.rows[r0..r1] };
                let attn = &mut attn[r0 * s.attn..r1 * s.attn];
                group.run(&qkv[r0 * s.qkv..r1 * s.qkv], attn, &mut self.scores);
                r0 = r1;
            }
            let w = Mat::rows(&weights.o, h.next_multiple_of(PAD));
            matmul((b, h, s.attn), 1.0, Mat::rows(attn, s.attn), w, x, h, true);
            net.add_bias(at.o_bias, x, h);
            math::rms_norm(x, net.weight(at.norm2, h), s.eps, norm, inv);
            let w = Mat::rows(&weights.gate_up, (2 * s.inter).next_multiple_of(PAD));
            matmul((b, 2 * s.inter, h), 1.0, Mat::rows(norm, h), w, gate_up, 2 * s.inter, false);
            net.add_bias(at.gate_up_bias, gate_up, 2 * s.inter);
            math::swiglu(gate_up, s.inter, act);
            let w = Mat::rows(&weights.down, h.next_multiple_of(PAD));
            matmul((b, h, s.inter), 1.0, Mat::rows(act, s.inter), w, x, h, true);
            net.add_bias(at.down_bias, x, h);
            if edited {
                for (row, x) in self.rows.iter().zip(x.chunks_exact_mut(h)) {
                    let tap = Tap { edits: &row.prefix.edits, reach: row.reach };
                    tap.apply(l, row.prefix.len + row.cached, x);
                }
            }
        }
        math::rms_norm(x, net.weight(net.layout.norm, h), s.eps, norm, inv);
        let vocab = s.vocab.next_multiple_of(PAD);
        let logits = room(&mut self.logits, b * vocab);
        let w = Mat::rows(&self.weights.head, vocab);
        matmul((b, vocab, h), 1.0, Mat::rows(norm, h), w, logits, vocab, false);
        for (row, logits) in self.rows.iter_mut().zip(logits.chunks_exact_mut(vocab)) {
            row.cached += 1;
            row.draws.draw(&logits[..s.vocab], self.options, self.limit, self.watch);
        }
    }
}

struct GroupAttention<'a> {
    net: Net<'a>,
    layer: usize,
    rows: &'a [Row],
}

impl GroupAttention<'_> {
    fn run(&self, qkv: &[f32], attn: &mut [f32], scores: &mut Vec<f32>) {
        let s = self.net.shape;
        let (hd, scale) = (s.hd, 1.0 / (s.hd as f32).sqrt());
        let prompt = &self.rows[0].prefix;
        let (n, shared) = (prompt.len, &prompt.layers[self.layer]);
        let own = self.rows.iter().map(|r| r.cached + 1).max().unwrap_or(0);
        // The prompt's scores fill whole blocks; a row's own follow right behind its last key.
        let width = (n.div_ceil(KEYS) + own.div_ceil(KEYS) + 1) * KEYS;
        let line = s.heads * width;
        let scores = room(scores, self.rows.len() * line);
        let kv_of = |i: usize| (i / (s.heads / s.kv), hd);
        let query = |r: usize, i: usize| &qkv[r * s.qkv + i * hd..][..hd];
        attn.fill(0.0);
        // The prompt's blocks stay in the first cache while all rows use them; a row's own blocks
        // are read once, in the order in which they lie in memory.
        for block in 0..n.div_ceil(KEYS) {
            for i in 0..s.heads {
                for (r, line) in scores.chunks_exact_mut(line).enumerate() {
                    let out = &mut line[i * width + block * KEYS..][..KEYS];
                    shared.scores(block, kv_of(i), s.kv, query(r, i), out);
                }
            }
        }
        for (r, (row, line)) in self.rows.iter().zip(scores.chunks_exact_mut(line)).enumerate() {
            let len = row.cached + 1;
            for block in 0..len.div_ceil(KEYS) {
                for i in 0..s.heads {
                    let out = &mut line[i * width + n + block * KEYS..][..KEYS];
                    row.own[self.layer].scores(block, kv_of(i), s.kv, query(r, i), out);
                }
            }
            for line in line.chunks_exact_mut(width) {
                let line = &mut line[..n + len];
                math::scale(line, scale);
                let max = math::max(line);
                let sum = math::exp_shifted(line, max);
                math::scale(line, 1.0 / sum);
            }
        }
        for block in 0..n.div_ceil(KEYS) {
            for i in 0..s.heads {
                for (r, line) in scores.chunks_exact(line).enumerate() {
                    let p = &line[i * width..][block * KEYS..n.min((block + 1) * KEYS)];
                    shared.mix(block, kv_of(i), s.kv, p, &mut attn[r * s.attn + i * hd..][..hd]);
                }
            }
        }
        for (r, (row, line)) in self.rows.iter().zip(scores.chunks_exact(line)).enumerate() {
            let len = row.cached + 1;
            for block in 0..len.div_ceil(KEYS) {
                for i in 0..s.heads {
                    let own = &line[i * width + n..][block * KEYS..len.min((block + 1) * KEYS)];
                    let out = &mut attn[r * s.attn + i * hd..][..hd];
                    row.own[self.layer].mix(block, kv_of(i), s.kv, own, out);
                }
            }
        }
    }
}
