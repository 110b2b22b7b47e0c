//! Batched sampling with a key-value cache.
//!
//! Identical prompts are read once and their cache is shared. Every worker thread keeps a batch of
//! rows; a row that ends leaves it and the next prompt takes its place. A row draws from its own
//! generator and no kernel mixes rows, so its outcome depends on model, prompt, seed and options
//! only, not on the company it is sampled in nor on the number of threads.

use crate::math::{self, Mat, matmul};
use crate::pass::{Net, Pass, room};
use crate::{Engine, Model, rng::Rng};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

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

/// Most rows in a worker's batch.
const SLOTS: usize = 64;

/// Most rows of one prompt that are handed to a worker together.
const UNIT: usize = 16;

/// Keys scored at a time in a row's own cache; its length is a multiple of this.
pub(crate) const KEYS: usize = 32;

/// Samples a completion for every prompt, in the order of the prompts.
///
/// # Panics
/// A prompt is empty or has a token outside the vocabulary.
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
    engine.prepare(model, (longest + options.max_new).max(longest));
    let mut by_tokens: HashMap<&[u32], usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, p) in prompts.iter().enumerate() {
        assert!(!p.tokens.is_empty(), "prompt {i} is empty");
        let bad = p.tokens.iter().find(|&&t| t as usize >= engine.shape.vocab);
        assert!(bad.is_none(), "prompt {i}: token {bad:?} is not in the vocabulary");
        let g = *by_tokens.entry(&p.tokens).or_insert_with(|| {
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
                let tokens = &prompts[rows[0]].tokens;
                let prefix = if groups[g].len() > UNIT {
                    shared[g].get_or_init(|| Arc::new(Prefix::new(net, pass, tokens))).clone()
                } else {
                    Arc::new(Prefix::new(net, pass, tokens))
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

/// The cache of a prompt, per layer, and the logits after it.
struct Prefix {
    len: usize,
    layers: Vec<Cache>,
    logits: Vec<f32>,
}

impl Prefix {
    fn new(net: Net, pass: &mut Pass, tokens: &[u32]) -> Prefix {
        let s = net.shape;
        let len = tokens.len();
        pass.forward(net, std::iter::once(tokens));
        let copy = |qkv: &Vec<f32>| {
            let mut cache = Cache::default();
            for (p, row) in qkv.chunks_exact(s.qkv).take(len).enumerate() {
                cache.push(p, s.kv, s.hd, &row[s.attn..]);
            }
            cache
        };
        let layers = pass.layers.iter().map(|l| copy(&l.qkv)).collect();
        let logits = pass.logits_of(net, std::iter::once(len - 1)).to_vec();
        Prefix { len, layers, logits }
    }
}

/// Keys and values of one layer: of a prompt, or of what a row added to it.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    /// `[block of KEYS][kv head][head_dim][KEYS]`: keys transposed, so that scores vectorise.
    keys: Vec<f32>,
    /// `[block of KEYS][kv head][KEYS][head_dim]`.
    values: Vec<f32>,
}

struct Row {
    index: usize,
    rng: Rng,
    prefix: Arc<Prefix>,
    own: Vec<Cache>,
    /// Tokens in its own cache.
    cached: usize,
    out: Completion,
    ended: bool,
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
        let mut row = Row {
            index,
            rng: Rng::new(seed),
            prefix: prefix.clone(),
            own,
            cached: 0,
            out: Completion { tokens: Vec::new(), log_probs: Vec::new(), stopped: false },
            ended: self.options.max_new == 0 || prefix.len >= self.limit,
        };
        if !row.ended {
            row.draw(&prefix.logits, self.options, self.limit, self.watch);
        }
        self.rows.push(row);
    }

    fn retire(&mut self, done: &Mutex<Vec<Option<Completion>>>) {
        if !self.rows.iter().any(|r| r.ended) {
            return;
        }
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let rows = std::mem::take(&mut self.rows);
        for row in rows {
            if row.ended {
                done[row.index] = Some(row.out);
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
        for (row, x) in self.rows.iter().zip(x.chunks_exact_mut(h)) {
            // A row that is still running has at least one token.
            let token = row.out.tokens[row.out.tokens.len() - 1] as usize;
            x.copy_from_slice(&embed[token * h..][..h]);
        }
        let layers = net.layout.layers.iter().zip(&self.weights.layers);
        for (l, (at, weights)) in layers.enumerate() {
            math::rms_norm(x, net.weight(at.norm1, h), s.eps, norm, inv);
            let w = Mat::rows(&weights.qkv, s.qkv.next_multiple_of(PAD));
            matmul((b, s.qkv, h), 1.0, Mat::rows(norm, h), w, qkv, s.qkv, false);
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
            math::rms_norm(x, net.weight(at.norm2, h), s.eps, norm, inv);
            let w = Mat::rows(&weights.gate_up, (2 * s.inter).next_multiple_of(PAD));
            matmul((b, 2 * s.inter, h), 1.0, Mat::rows(norm, h), w, gate_up, 2 * s.inter, false);
            math::swiglu(gate_up, s.inter, act);
            let w = Mat::rows(&weights.down, h.next_multiple_of(PAD));
            matmul((b, h, s.inter), 1.0, Mat::rows(act, s.inter), w, x, h, true);
        }
        math::rms_norm(x, net.weight(net.layout.norm, h), s.eps, norm, inv);
        let vocab = s.vocab.next_multiple_of(PAD);
        let logits = room(&mut self.logits, b * vocab);
        let w = Mat::rows(&self.weights.head, vocab);
        matmul((b, vocab, h), 1.0, Mat::rows(norm, h), w, logits, vocab, false);
        for (row, logits) in self.rows.iter_mut().zip(logits.chunks_exact_mut(vocab)) {
            row.cached += 1;
            row.draw(&logits[..s.vocab], self.options, self.limit, self.watch);
        }
    }
}

impl Cache {
    pub fn push(&mut self, at: usize, kv: usize, hd: usize, key_value: &[f32]) {
        let (keys, values) = key_value.split_at(kv * hd);
        let block = at / KEYS * kv * hd * KEYS;
        if self.keys.len() < block + kv * hd * KEYS {
            self.keys.resize(block + kv * hd * KEYS, 0.0);
        }
        for (slot, &k) in self.keys[block..].chunks_exact_mut(KEYS).zip(keys) {
            slot[at % KEYS] = k;
        }
        if self.values.len() < block + kv * hd * KEYS {
            self.values.resize(block + kv * hd * KEYS, 0.0);
        }
        let heads = self.values[block..].chunks_exact_mut(KEYS * hd);
        for (head, v) in heads.zip(values.chunks_exact(hd)) {
            head[at % KEYS * hd..][..hd].copy_from_slice(v);
        }
    }

    /// `out[key] = q · key` for the keys of one block and head.
    pub fn scores(&self, block: usize, (kv, hd): (usize, usize), heads: usize, q: &[f32], out: &mut [f32]) {
        let keys = &self.keys[(block * heads + kv) * hd * KEYS..][..hd * KEYS];
        let mut acc = [0.0f32; KEYS];
        for (&q, k) in q.iter().zip(keys.as_chunks::<KEYS>().0) {
            for j in 0..KEYS {
                acc[j] = math::fma(q, k[j], acc[j]);
            }
        }
        out.copy_from_slice(&acc);
    }

    /// `out += Σ p[key] * value` over the first `p.len()` keys of one block and head.
    pub fn mix(&self, block: usize, (kv, hd): (usize, usize), heads: usize, p: &[f32], out: &mut [f32]) {
        const W: usize = 32;
        let values = &self.values[(block * heads + kv) * hd * KEYS..][..p.len() * hd];
        let full = hd / W * W;
        for at in (0..full).step_by(W) {
            // Two chains, as one would wait for its own result.
            let (mut even, mut odd) = ([0.0f32; W], [0.0f32; W]);
            let (pairs, rest) = p.as_chunks::<2>();
            for (p, v) in pairs.iter().zip(values.chunks_exact(2 * hd)) {
                let (a, b) = (&v[at..at + W], &v[hd + at..hd + at + W]);
                for i in 0..W {
                    even[i] = math::fma(p[0], a[i], even[i]);
                    odd[i] = math::fma(p[1], b[i], odd[i]);
                }
            }
            if let [p_last] = rest {
                let v = &values[(p.len() - 1) * hd + at..][..W];
                for i in 0..W {
                    even[i] = math::fma(*p_last, v[i], even[i]);
                }
            }
            for i in 0..W {
                out[at + i] += even[i] + odd[i];
            }
        }
        for at in full..hd {
            for (p, v) in p.iter().zip(values.chunks_exact(hd)) {
                out[at] += p * v[at];
            }
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

impl Row {
    /// Draws the next token from `logits` and notes whether the row ends.
    fn draw(&mut self, logits: &[f32], options: &SampleOptions, limit: usize, watch: &Watch) {
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
            || self.prefix.len + self.out.tokens.len() >= limit;
    }
}
