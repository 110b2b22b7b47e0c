//! Running a checkpoint of any size: weights in the format of their file, one forward pass for prompts and for new
//! tokens, all threads on one layer at a time. Training and the many short rows of small models are the business of
//! [`crate::Engine`].

use crate::cache::{Cache, KEYS};
use crate::generate::Prefix;
use crate::layer::LayerSpec;
use crate::linear::{BEST_ROWS, Linear, Scratch, Update};
use crate::lora::Lora;
use crate::math;
use crate::model::{check_names, views};
use crate::pass::room;
use crate::rope::Rope;
use crate::store::{Elements, Format, Store};
use crate::tap::{Edits, Tap};
use crate::{Config, LmError};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

struct Layer {
    spec: LayerSpec,
    norm1: Vec<f32>,
    qkv: Linear,
    /// Norms of a query and of a key head, or nothing.
    q_norm: Vec<f32>,
    k_norm: Vec<f32>,
    o: Linear,
    /// Of what the attention adds, or nothing.
    post1: Vec<f32>,
    norm2: Vec<f32>,
    gate_up: Linear,
    down: Linear,
    /// Of what the feed-forward layer adds, or nothing.
    post2: Vec<f32>,
}

/// With fewer parameters, threads that share a layer wait for each other longer than they compute, above all on a busy
/// machine; each then takes rows of its own.
const SMALL: usize = 16_000_000;

/// A checkpoint ready to run.
pub struct Decoder {
    pub(crate) config: Config,
    embed: Linear,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// None if the embedding is the head.
    head: Option<Linear>,
    pub(crate) rope: Rope,
    /// One for all threads, or for few weights one for each.
    pub(crate) pools: Vec<rayon::ThreadPool>,
    /// Prompts read lately, the newest last.
    pub(crate) kept: Vec<Arc<Prefix>>,
    /// Bytes they may take.
    pub(crate) room: usize,
}

/// Rows of one sequence in a pass: they continue what is in the caches.
pub(crate) struct Span<'a> {
    /// What comes first, shared with other sequences: a cache for each layer, and how many tokens they hold.
    pub shared: (&'a [Cache], usize),
    /// What comes after it; the pass adds to it.
    pub own: &'a mut [Cache],
    /// Tokens in `own` before the pass.
    pub cached: usize,
    pub tokens: &'a [u32],
    /// The edits of the sequence.
    pub tap: Tap<'a>,
}

/// Buffers of a pass, kept between calls.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Residual stream after the last layer.
    x: Vec<f32>,
    norm: Vec<f32>,
    inv: Vec<f32>,
    qkv: Vec<f32>,
    attn: Vec<f32>,
    gate_up: Vec<f32>,
    act: Vec<f32>,
    logits: Vec<f32>,
    scratch: Scratch,
}

impl Decoder {
    /// Reads a folder with `config.json` and safetensors, and an adapter of PEFT if there is one.
    ///
    /// # Errors
    /// A file is missing or broken, or describes something that this crate does not run.
    pub fn load(dir: &Path, adapter: Option<&Path>, threads: usize) -> Result<Decoder, LmError> {
        let config = Config::load(&dir.join("config.json"))?;
        Self::from_store(config, &Store::open_dir(dir)?, adapter, threads)
    }

    /// From weights and what describes them.
    pub(crate) fn from_store(
        config: Config,
        store: &Store,
        adapter: Option<&Path>,
        threads: usize,
    ) -> Result<Decoder, LmError> {
        check_names(store, &config, &views(&config))?;
        let lora = adapter.map(|adapter| Lora::load(&config, adapter)).transpose()?;
        let parts = Parts { config: &config, lora: lora.as_ref(), store };
        let layers = (0..config.num_hidden_layers).map(|l| parts.layer(l)).collect::<Result<_, _>>()?;
        let h = config.hidden_size;
        let embed = parts.linear("model", &["embed_tokens"], &[config.vocab_size], h, false)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(parts.linear("", &["lm_head"], &[config.vocab_size], h, false)?),
        };
        let norm = parts.norm("model.norm.weight", h)?;
        Self::from_parts(config, embed, layers, norm, head, threads)
    }

    /// The same weights with an adapter of PEFT in place of the one they may have; they are in memory once.
    ///
    /// # Errors
    /// The adapter is missing or broken, or made for another model.
    pub(crate) fn adapted(&self, adapter: &Path) -> Result<Decoder, LmError> {
        let c = &self.config;
        let lora = Lora::load(c, adapter)?;
        let (hd, i) = (c.head_dim(), c.intermediate_size);
        let (q, kv) = (c.num_attention_heads * hd, c.num_key_value_heads * hd);
        let with = |linear: &Linear, of: String, names: &[&str], outs: &[usize]| {
            let mut linear = linear.plain();
            linear.updates = updates(&lora, &of, names, outs, linear.inp);
            linear
        };
        let layer = |(l, layer): (usize, &Layer)| {
            let (attention, mlp) = (format!("model.layers.{l}.self_attn"), format!("model.layers.{l}.mlp"));
            Layer {
                spec: layer.spec,
                norm1: layer.norm1.clone(),
                qkv: with(&layer.qkv, attention.clone(), &["q_proj", "k_proj", "v_proj"], &[q, kv, kv]),
                q_norm: layer.q_norm.clone(),
                k_norm: layer.k_norm.clone(),
                o: with(&layer.o, attention, &["o_proj"], &[c.hidden_size]),
                post1: layer.post1.clone(),
                norm2: layer.norm2.clone(),
                gate_up: with(&layer.gate_up, mlp.clone(), &["gate_proj", "up_proj"], &[i, i]),
                down: with(&layer.down, mlp, &["down_proj"], &[c.hidden_size]),
                post2: layer.post2.clone(),
            }
        };
        let layers = self.layers.iter().enumerate().map(layer).collect();
        let threads = self.pools.iter().map(rayon::ThreadPool::current_num_threads).sum();
        let head = self.head.as_ref().map(Linear::plain);
        let adapted = Self::from_parts(c.clone(), self.embed.plain(), layers, self.norm.clone(), head, threads)?;
        // Many may stand beside each other.
        Ok(Decoder { room: self.room / 4, ..adapted })
    }

    /// Random weights in bf16, to measure speed with.
    ///
    /// # Errors
    /// The configuration's sizes do not fit together.
    pub fn random_bf16(config: Config, threads: usize, seed: u64) -> Result<Decoder, LmError> {
        config.check(Path::new("config"))?;
        let mut rng = crate::rng::Rng::new(seed);
        // Uniform of deviation 0.02: drawing 16 bits a weight is quick.
        let mut linear = |out: usize, inp: usize| {
            let mut weight = Vec::with_capacity(out * inp);
            while weight.len() < out * inp {
                let bits = rng.bits();
                let four = (0..4).map(|i| f32::from((bits >> (16 * i)) as u16) / 65_536.0 - 0.5);
                weight.extend(four.map(|u| crate::model::to_bf16(u * 0.07)));
            }
            weight.truncate(out * inp);
            Linear::new(out, inp, Elements::BF16(weight))
        };
        let (h, i, hd) = (config.hidden_size, config.intermediate_size, config.head_dim());
        let (q, kv) = (config.num_attention_heads * hd, config.num_key_value_heads * hd);
        let embed = linear(config.vocab_size, h);
        let head = (!config.tie_word_embeddings).then(|| linear(config.vocab_size, h));
        let mut layers = Vec::new();
        for l in 0..config.num_hidden_layers {
            let (mut qkv, mut o) = (linear(q + 2 * kv, h), linear(h, q));
            let (mut gate_up, mut down) = (linear(2 * i, h), linear(h, i));
            let bias = |linear: &mut Linear, has: bool| linear.bias = vec![0.01; if has { linear.out } else { 0 }];
            bias(&mut qkv, config.qkv_bias());
            bias(&mut o, config.o_bias());
            bias(&mut gate_up, config.mlp_bias);
            bias(&mut down, config.mlp_bias);
            let norm = vec![1.0; if config.qk_norm() { hd } else { 0 }];
            let spec = config.layer(l);
            let post = |name: Option<&str>| vec![1.0; if name.is_some() { h } else { 0 }];
            layers.push(Layer {
                spec,
                norm1: vec![1.0; h],
                qkv,
                q_norm: norm.clone(),
                k_norm: norm,
                o,
                post1: post(spec.norms.after_attention),
                norm2: vec![1.0; h],
                gate_up,
                down,
                post2: post(spec.norms.after_mlp),
            });
        }
        Self::from_parts(config, embed, layers, vec![1.0; h], head, threads)
    }

    fn from_parts(
        config: Config,
        embed: Linear,
        layers: Vec<Layer>,
        norm: Vec<f32>,
        head: Option<Linear>,
        threads: usize,
    ) -> Result<Decoder, LmError> {
        let small = views(&config).last().is_none_or(|view| view.range.end <= SMALL);
        let (pools, each) = if small { (threads.max(1), 1) } else { (1, threads.max(1)) };
        let pools = (0..pools).map(|_| rayon::ThreadPoolBuilder::new().num_threads(each).build());
        let pools = pools.collect::<Result<_, _>>();
        let pools = pools.map_err(|error| LmError::Threads { threads, reason: error.to_string() })?;
        Ok(Decoder {
            config,
            embed,
            layers,
            norm,
            head,
            rope: Rope::default(),
            pools,
            kept: Vec::new(),
            room: crate::generate::room(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes the weights of the linear layers take in memory.
    pub fn weight_bytes(&self) -> usize {
        let layer = |l: &Layer| [&l.qkv, &l.o, &l.gate_up, &l.down].map(Linear::bytes).iter().sum::<usize>();
        let head = self.head.as_ref().map_or(0, Linear::bytes);
        self.embed.bytes() + head + self.layers.iter().map(layer).sum::<usize>()
    }

    /// Empty caches, one for each layer.
    pub(crate) fn caches(&self) -> Vec<Cache> {
        self.layers.iter().map(|_| Cache::default()).collect()
    }

    /// Runs the layers over the spans' rows, at most about [`BEST_ROWS`] of them. Keys and values go into the spans'
    /// caches; the residual stream stays in the buffers, span by span.
    pub(crate) fn forward(&self, spans: &mut [Span], buffers: &mut Buffers) {
        self.forward_seen(spans, buffers, self.layers.len(), &mut |_, _| {});
    }

    /// The same for the first `depth` layers; `see` is shown what each hands on, `[rows, h]`.
    pub(crate) fn forward_seen(
        &self,
        spans: &mut [Span],
        buffers: &mut Buffers,
        depth: usize,
        see: &mut dyn FnMut(usize, &[f32]),
    ) {
        let c = &self.config;
        let (h, hd, inter) = (c.hidden_size, c.head_dim(), c.intermediate_size);
        let (heads, kv) = (c.num_attention_heads, c.num_key_value_heads);
        let (attn_width, qkv_width) = (heads * hd, (heads + 2 * kv) * hd);
        let t: usize = spans.iter().map(|span| span.tokens.len()).sum();
        // Which span a row is of, and its position.
        let mut places = Vec::with_capacity(t);
        for (at, span) in spans.iter().enumerate() {
            let first = span.shared.1 + span.cached;
            places.extend((0..span.tokens.len()).map(|i| (at, first + i)));
        }
        let Buffers { x, norm, inv, qkv, attn, gate_up, act, scratch, .. } = buffers;
        let x = room(x, t * h);
        let (norm, inv) = (room(norm, t * h), room(inv, t));
        let (qkv, attn) = (room(qkv, t * qkv_width), room(attn, t * attn_width));
        let (gate_up, act) = (room(gate_up, t * 2 * inter), room(act, t * inter));
        let tokens = spans.iter().flat_map(|span| span.tokens);
        for (x, token) in x.chunks_exact_mut(h).zip(tokens) {
            self.embed.row(*token as usize, x);
            if let Some(factor) = c.embed_scale() {
                math::scale(x, factor);
            }
        }
        let eps = c.rms_norm_eps as f32;
        let edited = spans.iter().any(|span| !span.tap.edits.is_empty());
        for (l, layer) in self.layers.iter().take(depth).enumerate() {
            let (spec, rope) = (&layer.spec, self.rope.of(layer.spec.local_rope));
            math::rms_norm(x, &layer.norm1, eps, norm, inv);
            layer.qkv.forward(norm, t, qkv, false, scratch);
            for (row, (span, position)) in qkv.chunks_exact_mut(qkv_width).zip(&places) {
                head_norm(&mut row[..attn_width], &layer.q_norm, eps);
                head_norm(&mut row[attn_width..][..kv * hd], &layer.k_norm, eps);
                rope.rotate(row, heads + kv, *position, 1.0);
                let span = &mut spans[*span];
                span.own[l].push(position - span.shared.1, kv, hd, &row[attn_width..]);
            }
            let spans: &[Span] = spans;
            let read = |scores: &mut Vec<f32>, (at, out): (usize, &mut [f32])| {
                let (row, head) = (at / heads, at % heads);
                let (span, position) = places[row];
                let (shared, own) = (&spans[span].shared, &spans[span].own[l]);
                let parts = [(shared.0.get(l), shared.1), (Some(own), position + 1 - shared.1)];
                let query = &qkv[row * qkv_width + head * hd..][..hd];
                let from = spec.window.map_or(0, |window| (position + 1).saturating_sub(window));
                attend(parts, (head / (heads / kv), hd, kv), (query, spec.score_scale), from, scores, out);
            };
            attn.par_chunks_exact_mut(hd).enumerate().for_each_init(Vec::new, read);
            add(&layer.o, &layer.post1, eps, attn, x, norm, scratch);
            math::rms_norm(x, &layer.norm2, eps, norm, inv);
            layer.gate_up.forward(norm, t, gate_up, false, scratch);
            act.par_chunks_exact_mut(inter)
                .zip(gate_up.par_chunks_exact(2 * inter))
                .for_each(|(act, gate_up)| spec.activation.gate(gate_up, inter, act));
            add(&layer.down, &layer.post2, eps, act, x, norm, scratch);
            if edited {
                for (x, (span, position)) in x.chunks_exact_mut(h).zip(&places) {
                    spans[*span].tap.apply(l, *position, x);
                }
            }
            see(l, x);
        }
    }

    /// Logits after the given rows of the last pass, `[rows, vocab]`.
    pub(crate) fn logits_of<'b>(&self, rows: &[usize], buffers: &'b mut Buffers) -> &'b [f32] {
        let (h, vocab, n) = (self.config.hidden_size, self.config.vocab_size, rows.len());
        let Buffers { x, norm, inv, logits, act, scratch, .. } = buffers;
        let picked = room(act, n * h);
        for (dst, row) in picked.chunks_exact_mut(h).zip(rows) {
            dst.copy_from_slice(&x[row * h..][..h]);
        }
        let (norm, inv) = (room(norm, n * h), room(inv, n));
        math::rms_norm(picked, &self.norm, self.config.rms_norm_eps as f32, norm, inv);
        let logits = room(logits, n * vocab);
        self.head.as_ref().unwrap_or(&self.embed).forward(norm, n, logits, false, scratch);
        logits
    }

    /// Runs a sequence from `cached` tokens on; `each` sees the rows' first position and the buffers after every pass.
    pub(crate) fn read(
        &self,
        (tokens, tap): (&[u32], Tap),
        caches: &mut [Cache],
        cached: usize,
        buffers: &mut Buffers,
        mut each: impl FnMut(usize, usize, &mut Buffers),
    ) {
        for from in (cached..tokens.len()).step_by(BEST_ROWS) {
            let part = &tokens[from..tokens.len().min(from + BEST_ROWS)];
            let span = Span { shared: (&[], 0), own: &mut *caches, cached: from, tokens: part, tap };
            self.forward(&mut [span], buffers);
            each(from, part.len(), buffers);
        }
    }

    /// The same from the first token on through the first `depth` layers; `see` is shown what each layer hands on, with
    /// the position of the first row.
    pub(crate) fn read_seen(
        &self,
        (tokens, tap): (&[u32], Tap),
        buffers: &mut Buffers,
        depth: usize,
        see: &mut dyn FnMut(usize, usize, &[f32]),
    ) {
        let mut caches = self.caches();
        for (from, part) in (0..).step_by(BEST_ROWS).zip(tokens.chunks(BEST_ROWS)) {
            let span = Span { shared: (&[], 0), own: &mut caches, cached: from, tokens: part, tap };
            self.forward_seen(&mut [span], buffers, depth, &mut |layer, x| see(layer, from, x));
        }
    }

    /// Weight of the last norm.
    pub(crate) fn norm_weight(&self) -> &[f32] {
        &self.norm
    }

    /// What the head makes of rows `[rows, h]` that are normalised; `[rows, vocab]`.
    pub(crate) fn head_of(&self, rows: &[f32]) -> Vec<f32> {
        let (h, vocab) = (self.config.hidden_size, self.config.vocab_size);
        let mut logits = vec![0.0; rows.len() / h * vocab];
        let head = self.head.as_ref().unwrap_or(&self.embed);
        self.pools[0].install(|| head.forward(rows, rows.len() / h, &mut logits, false, &mut Scratch::default()));
        logits
    }

    /// Logits at every position, `[tokens, vocab]`.
    ///
    /// # Panics
    /// A token is outside the vocabulary.
    pub fn logits(&mut self, tokens: &[u32]) -> Vec<f32> {
        self.rope.ensure(tokens.len(), &self.config);
        let decoder = &*self;
        decoder.pools[0].install(|| {
            let mut out = Vec::with_capacity(tokens.len() * decoder.config.vocab_size);
            let (mut caches, mut buffers) = (decoder.caches(), Buffers::default());
            let none = Edits::default();
            let tap = Tap::new(&none, tokens, 0);
            decoder.read((tokens, tap), &mut caches, 0, &mut buffers, |_, rows, buffers| {
                out.extend_from_slice(decoder.logits_of(&(0..rows).collect::<Vec<_>>(), buffers));
            });
            out
        })
    }
}

/// Adds what a linear layer makes of its input to the stream `x`, normalised if there is a norm for it.
fn add(
    linear: &Linear,
    post: &[f32],
    eps: f32,
    input: &[f32],
    x: &mut [f32],
    between: &mut [f32],
    scratch: &mut Scratch,
) {
    let t = input.len() / linear.inp;
    if post.is_empty() {
        linear.forward(input, t, x, true, scratch);
    } else {
        linear.forward(input, t, between, false, scratch);
        math::rms_norm_add(between, post, eps, x);
    }
}

/// Normalises every head of a row, if there is a norm.
fn head_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    if weight.is_empty() {
        return;
    }
    for head in row.chunks_exact_mut(weight.len()) {
        let inverse = 1.0 / (math::dot(head, head) / weight.len() as f32 + eps).sqrt();
        head.iter_mut().zip(weight).for_each(|(x, w)| *x *= inverse * w);
    }
}

/// Attention of one query head over the keys from `from` on; `out` gets the mix of the values.
fn attend(
    parts: [(Option<&Cache>, usize); 2],
    (head, hd, kv): (usize, usize, usize),
    (query, scale): (&[f32], f32),
    from: usize,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let total: usize = parts.iter().map(|part| part.1).sum();
    // A part's blocks are written whole; the next part, which comes later, overwrites what was too much.
    let line = room(scores, total + KEYS);
    let mut start = 0;
    for (cache, len) in parts {
        let Some(cache) = cache else { continue };
        for block in from.saturating_sub(start) / KEYS..len.div_ceil(KEYS) {
            cache.scores(block, (head, hd), kv, query, &mut line[start + block * KEYS..][..KEYS]);
        }
        start += len;
    }
    let seen = &mut line[from..total];
    math::scale(seen, scale);
    let max = math::max(seen);
    let sum = math::exp_shifted(seen, max);
    math::scale(seen, 1.0 / sum);
    out.fill(0.0);
    let mut start = 0;
    for (cache, len) in parts {
        let Some(cache) = cache else { continue };
        let first = from.saturating_sub(start) / KEYS;
        // What is before the window has no weight.
        if let Some(before) = line.get_mut(start + first * KEYS..from.min(start + len)) {
            before.fill(0.0);
        }
        for block in first..len.div_ceil(KEYS) {
            let weights = &line[start + block * KEYS..start + len.min((block + 1) * KEYS)];
            cache.mix(block, (head, hd), kv, weights, out);
        }
        start += len;
    }
}

/// What an adapter adds to modules that share their input, as one layer.
fn updates(lora: &Lora, of: &str, names: &[&str], outs: &[usize], inp: usize) -> Vec<Update> {
    let (mut updates, mut from) = (Vec::new(), 0);
    for (name, &out) in names.iter().zip(outs) {
        if let Some((a, b)) = lora.factors(&format!("{of}.{name}")) {
            let rank = a.len() / inp;
            let a = Box::new(Linear::new(rank, inp, Elements::F32(a.to_vec())));
            let b = Box::new(Linear::new(out, rank, Elements::F32(b)));
            updates.push(Update { from, a, b });
        }
        from += out;
    }
    updates
}

/// Where the layers of a checkpoint come from.
struct Parts<'a> {
    config: &'a Config,
    lora: Option<&'a Lora>,
    store: &'a Store,
}

impl Parts<'_> {
    fn layer(&self, l: usize) -> Result<Layer, LmError> {
        let c = self.config;
        let (h, i, hd) = (c.hidden_size, c.intermediate_size, c.head_dim());
        let (q, kv) = (c.num_attention_heads * hd, c.num_key_value_heads * hd);
        let prefix = format!("model.layers.{l}");
        let (attention, mlp) = (format!("{prefix}.self_attn"), format!("{prefix}.mlp"));
        let spec = c.layer(l);
        let head_norm = |which: &str| match c.qk_norm() {
            true => self.norm(&format!("{attention}.{which}.weight"), hd),
            false => Ok(Vec::new()),
        };
        let norm = |which: &str| self.norm(&format!("{prefix}.{which}.weight"), h);
        let post = |which: Option<&str>| which.map_or(Ok(Vec::new()), norm);
        Ok(Layer {
            spec,
            norm1: norm(spec.norms.before_attention)?,
            qkv: self.linear(&attention, &["q_proj", "k_proj", "v_proj"], &[q, kv, kv], h, c.qkv_bias())?,
            q_norm: head_norm("q_norm")?,
            k_norm: head_norm("k_norm")?,
            o: self.linear(&attention, &["o_proj"], &[h], q, c.o_bias())?,
            post1: post(spec.norms.after_attention)?,
            norm2: norm(spec.norms.before_mlp)?,
            gate_up: self.linear(&mlp, &["gate_proj", "up_proj"], &[i, i], h, c.mlp_bias)?,
            down: self.linear(&mlp, &["down_proj"], &[h], i, c.mlp_bias)?,
            post2: post(spec.norms.after_mlp)?,
        })
    }

    /// The weight of a norm, as it is multiplied with.
    fn norm(&self, name: &str, len: usize) -> Result<Vec<f32>, LmError> {
        let mut weight = self.store.vector(name, &[len])?;
        let shift = if self.store.is_gguf() { 0.0 } else { self.config.norm_shift() };
        if shift != 0.0 {
            weight.iter_mut().for_each(|w| *w += shift);
        }
        Ok(weight)
    }

    /// Modules that share their input, as one layer.
    fn linear(&self, of: &str, names: &[&str], outs: &[usize], inp: usize, bias: bool) -> Result<Linear, LmError> {
        let dot = if of.is_empty() { "" } else { "." };
        let mut weight: Option<Elements> = None;
        let mut biases = Vec::new();
        for (name, &out) in names.iter().zip(outs) {
            let module = format!("{of}{dot}{name}");
            let (name, shape) = (format!("{module}.weight"), [out, inp]);
            let format: Format = self.store.format(&name, &shape)?;
            self.store.append(&name, &shape, weight.get_or_insert_with(|| Elements::new(format)))?;
            if bias {
                biases.extend(self.store.vector(&format!("{module}.bias"), &[out])?);
            }
        }
        // There is at least one name.
        let weight = weight.unwrap_or(Elements::F32(Vec::new()));
        let mut linear = Linear::new(outs.iter().sum(), inp, weight);
        linear.bias = biases;
        linear.updates = self.lora.map(|lora| updates(lora, of, names, outs, inp)).unwrap_or_default();
        Ok(linear)
    }
}
