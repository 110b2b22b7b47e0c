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

/// Most rows in a worker's batch.
const SLOTS: usize = 64;

/// Most rows of one prompt that are handed to a worker together.
const UNIT: usize = 16;

/// Keys scored at a time in a row's own cache; its length is a multiple of this.
const KEYS: usize = 32;

/// Samples a completion for every prompt, in the order of the prompts.
///
/// # Panics
/// A prompt is empty or has a token outside the vocabulary.
pub fn sample(
    engine: &mut Engine,
    model: &Model,
    prompts: &[Prompt],
    options: &SampleOptions,
) -> Vec<Completion> {
    let limit = model.config.max_position_embeddings;
    let longest = prompts.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
    engine.prepare(model, (longest + options.max_new).max(longest));
    let mut by_tokens: HashMap<&[u32], usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, p) in prompts.iter().enumerate() {
        assert!(!p.tokens.is_empty(), "prompt {i} is empty");
        let bad = p.tokens.iter().find(|&&t| t as usize >= engine.shape.vocab);
        assert!(
            bad.is_none(),
            "prompt {i}: token {bad:?} is not in the vocabulary"
        );
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
    let net = Net {
        shape: &engine.shape,
        layout: &engine.layout,
        rope: &engine.rope,
        params: &model.params,
    };
    let next = AtomicUsize::new(0);
    let work = |pass: &mut Pass| {
        let mut worker = Worker::new(net, options, limit);
        loop {
            while worker.rows.len() + UNIT <= SLOTS {
                let Some(&(g, rows)) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let tokens = &prompts[rows[0]].tokens;
                let prefix = if groups[g].len() > UNIT {
                    shared[g]
                        .get_or_init(|| Arc::new(Prefix::new(net, pass, tokens)))
                        .clone()
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
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // Every prompt is in exactly one unit, and a unit's rows all retire before the end.
    done.into_iter().flatten().collect()
}

/// The cache of a prompt: per layer the rows `[keys | values]`, and the logits after it.
struct Prefix {
    len: usize,
    layers: Vec<Vec<f32>>,
    logits: Vec<f32>,
}

impl Prefix {
    fn new(net: Net, pass: &mut Pass, tokens: &[u32]) -> Prefix {
        let s = net.shape;
        let len = tokens.len();
        pass.forward(net, std::iter::once(tokens));
        let copy = |qkv: &Vec<f32>| {
            qkv.chunks_exact(s.qkv)
                .take(len)
                .flat_map(|row| &row[s.attn..])
                .copied()
                .collect()
        };
        let layers = pass.layers.iter().map(|l| copy(&l.qkv)).collect();
        let logits = pass.logits_of(net, std::iter::once(len - 1)).to_vec();
        Prefix {
            len,
            layers,
            logits,
        }
    }
}

/// A row's own part of the cache in one layer.
#[derive(Default)]
struct Own {
    /// `[block of KEYS][kv head][head_dim][KEYS]`: keys transposed, so that scores vectorise.
    keys: Vec<f32>,
    /// `[position][kv head][head_dim]`.
    values: Vec<f32>,
}

struct Row {
    index: usize,
    rng: Rng,
    prefix: Arc<Prefix>,
    own: Vec<Own>,
    /// Tokens in its own cache.
    cached: usize,
    out: Completion,
    ended: bool,
}

struct Worker<'a> {
    net: Net<'a>,
    options: &'a SampleOptions,
    limit: usize,
    rows: Vec<Row>,
    /// Caches of rows that ended, for reuse.
    spare: Vec<Vec<Own>>,
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
    fn new(net: Net<'a>, options: &'a SampleOptions, limit: usize) -> Self {
        Worker {
            net,
            options,
            limit,
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
        let own = self.spare.pop().unwrap_or_else(|| {
            std::iter::repeat_with(Own::default)
                .take(prefix.layers.len())
                .collect()
        });
        let mut row = Row {
            index,
            rng: Rng::new(seed),
            prefix: prefix.clone(),
            own,
            cached: 0,
            out: Completion {
                tokens: Vec::new(),
                log_probs: Vec::new(),
                stopped: false,
            },
            ended: self.options.max_new == 0 || prefix.len >= self.limit,
        };
        if !row.ended {
            let mut logits = prefix.logits.clone();
            row.draw(&mut logits, self.options, self.limit);
        }
        self.rows.push(row);
    }

    fn retire(&mut self, done: &Mutex<Vec<Option<Completion>>>) {
        if !self.rows.iter().any(|r| r.ended) {
            return;
        }
        let mut done = done
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
        for (l, at) in net.layout.layers.iter().enumerate() {
            math::rms_norm(x, net.weight(at.norm1, h), s.eps, norm, inv);
            let w = Mat::transposed(net.weight(at.qkv, s.qkv * h), h);
            matmul((b, s.qkv, h), 1.0, Mat::rows(norm, h), w, qkv, s.qkv, false);
            for (row, qkv) in self.rows.iter_mut().zip(qkv.chunks_exact_mut(s.qkv)) {
                net.rope
                    .rotate(qkv, s.heads + s.kv, row.prefix.len + row.cached, 1.0);
                row.own[l].push(row.cached, s.kv, s.hd, &qkv[s.attn..]);
            }
            // Neighbours that share a prompt read its keys and values together.
            let mut r0 = 0;
            while r0 < b {
                let prefix = &self.rows[r0].prefix;
                let same = |r: &&Row| Arc::ptr_eq(&r.prefix, prefix);
                let r1 = r0 + self.rows[r0..].iter().take_while(same).count();
                let group = GroupAttention {
                    net,
                    layer: l,
                    rows: &self.rows[r0..r1],
                };
                let attn = &mut attn[r0 * s.attn..r1 * s.attn];
                group.run(&qkv[r0 * s.qkv..r1 * s.qkv], attn, &mut self.scores);
                r0 = r1;
            }
            let w = Mat::transposed(net.weight(at.o, h * s.attn), s.attn);
            matmul((b, h, s.attn), 1.0, Mat::rows(attn, s.attn), w, x, h, true);
            math::rms_norm(x, net.weight(at.norm2, h), s.eps, norm, inv);
            let w = Mat::transposed(net.weight(at.gate_up, 2 * s.inter * h), h);
            matmul(
                (b, 2 * s.inter, h),
                1.0,
                Mat::rows(norm, h),
                w,
                gate_up,
                2 * s.inter,
                false,
            );
            math::swiglu(gate_up, s.inter, act);
            let w = Mat::transposed(net.weight(at.down, h * s.inter), s.inter);
            matmul((b, h, s.inter), 1.0, Mat::rows(act, s.inter), w, x, h, true);
        }
        math::rms_norm(x, net.weight(net.layout.norm, h), s.eps, norm, inv);
        let logits = room(&mut self.logits, b * s.vocab);
        let w = Mat::transposed(net.weight(net.layout.head, s.vocab * h), h);
        matmul(
            (b, s.vocab, h),
            1.0,
            Mat::rows(norm, h),
            w,
            logits,
            s.vocab,
            false,
        );
        for (row, logits) in self.rows.iter_mut().zip(logits.chunks_exact_mut(s.vocab)) {
            row.cached += 1;
            row.draw(logits, self.options, self.limit);
        }
    }
}

impl Own {
    fn push(&mut self, at: usize, kv: usize, hd: usize, key_value: &[f32]) {
        let (keys, values) = key_value.split_at(kv * hd);
        let block = at / KEYS * kv * hd * KEYS;
        if self.keys.len() < block + kv * hd * KEYS {
            self.keys.resize(block + kv * hd * KEYS, 0.0);
        }
        for (slot, &k) in self.keys[block..].chunks_exact_mut(KEYS).zip(keys) {
            slot[at % KEYS] = k;
        }
        self.values.truncate(at * kv * hd);
        self.values.extend_from_slice(values);
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
        let (hd, kvw) = (s.hd, s.kv * s.hd);
        let scale = 1.0 / (hd as f32).sqrt();
        let m = self.rows.len();
        let prefix = &self.rows[0].prefix;
        let cache = &prefix.layers[self.layer];
        let n = prefix.len;
        let own = self.rows.iter().map(|r| r.cached + 1).max().unwrap_or(0);
        let width = n + own.div_ceil(KEYS) * KEYS;
        let scores = room(scores, m * width);
        for i in 0..s.heads {
            let kv = i / (s.heads / s.kv);
            let k = Mat::transposed(&cache[kv * hd..], 2 * kvw);
            matmul(
                (m, n, hd),
                scale,
                Mat::rows(&qkv[i * hd..], s.qkv),
                k,
                scores,
                width,
                false,
            );
            for (r, row) in self.rows.iter().enumerate() {
                let line = &mut scores[r * width..(r + 1) * width];
                let len = row.cached + 1;
                let q = &qkv[r * s.qkv + i * hd..][..hd];
                for (b, out) in line[n..].chunks_exact_mut(KEYS).enumerate() {
                    if b * KEYS >= len {
                        break;
                    }
                    let block = &row.own[self.layer].keys[(b * s.kv + kv) * hd * KEYS..];
                    let mut acc = [0.0f32; KEYS];
                    for (&q, k) in q.iter().zip(block.as_chunks::<KEYS>().0) {
                        for j in 0..KEYS {
                            acc[j] += q * scale * k[j];
                        }
                    }
                    out.copy_from_slice(&acc);
                }
                let line = &mut line[..n + len];
                let max = math::max(line);
                let sum = math::exp_shifted(line, max);
                math::scale(line, 1.0 / sum);
            }
            let v = Mat::rows(&cache[kvw + kv * hd..], 2 * kvw);
            let p = Mat::rows(scores, width);
            matmul((m, hd, n), 1.0, p, v, &mut attn[i * hd..], s.attn, false);
            for (r, row) in self.rows.iter().enumerate() {
                let p = &scores[r * width + n..][..row.cached + 1];
                let values = &row.own[self.layer].values[kv * hd..];
                weighted_sum(p, values, kvw, &mut attn[r * s.attn + i * hd..][..hd]);
            }
        }
    }
}

/// `out += Σ p[j] * values[j * stride..]`.
fn weighted_sum(p: &[f32], values: &[f32], stride: usize, out: &mut [f32]) {
    const W: usize = 16;
    let mut at = 0;
    let (chunks, tail) = out.as_chunks_mut::<W>();
    for out in chunks {
        let mut acc = *out;
        for (j, p) in p.iter().enumerate() {
            let v = &values[j * stride + at..][..W];
            for i in 0..W {
                acc[i] += p * v[i];
            }
        }
        *out = acc;
        at += W;
    }
    for out in tail {
        for (j, p) in p.iter().enumerate() {
            *out += p * values[j * stride + at];
        }
        at += 1;
    }
}

impl Row {
    /// Draws the next token from `logits` (which it overwrites) and notes whether the row ends.
    fn draw(&mut self, logits: &mut [f32], options: &SampleOptions, limit: usize) {
        let max = math::max(logits);
        let norm = math::sum_exp_shifted(logits, max).ln();
        let raw = |logits: &[f32], t: usize| logits[t] - max - norm;
        let (token, log_prob) = if options.temperature <= 0.0 {
            let token = logits.iter().position(|&x| x == max).unwrap_or(0);
            (token, raw(logits, token))
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
            (token, raw(logits, token))
        };
        self.out.tokens.push(token as u32);
        self.out.log_probs.push(log_prob);
        self.out.stopped = options.stop.contains(&(token as u32));
        self.ended = self.out.stopped
            || self.out.tokens.len() >= options.max_new
            || self.prefix.len + self.out.tokens.len() >= limit;
    }
}
