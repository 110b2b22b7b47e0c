//! Forward and backward pass over one chunk of packed sequences, on one thread.
//!
//! A chunk is a handful of sequences laid end to end without padding; linear layers see all its
//! tokens at once, attention goes sequence by sequence and head by head. Buffers are kept and
//! only ever grow.

use crate::math::{self, Mat, matmul};
use crate::model::Layout;
use crate::rope::Rope;
use crate::tap::Tap;
use crate::{Config, Sequence};

/// Sizes that the inner loops need.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub h: usize,
    pub inter: usize,
    pub heads: usize,
    pub kv: usize,
    pub hd: usize,
    /// Width of the attention output, `heads * hd`.
    pub attn: usize,
    /// Width of a row of queries and keys.
    pub qk: usize,
    /// Width of a row of queries, keys and values.
    pub qkv: usize,
    pub vocab: usize,
    pub eps: f32,
}

impl Shape {
    pub fn new(c: &Config) -> Shape {
        let hd = c.head_dim();
        Shape {
            h: c.hidden_size,
            inter: c.intermediate_size,
            heads: c.num_attention_heads,
            kv: c.num_key_value_heads,
            hd,
            attn: c.num_attention_heads * hd,
            qk: (c.num_attention_heads + c.num_key_value_heads) * hd,
            qkv: (c.num_attention_heads + 2 * c.num_key_value_heads) * hd,
            vocab: c.vocab_size,
            eps: c.rms_norm_eps as f32,
        }
    }
}

/// What a pass reads: weights and tables.
#[derive(Clone, Copy)]
pub(crate) struct Net<'a> {
    pub shape: &'a Shape,
    pub layout: &'a Layout,
    pub rope: &'a Rope,
    pub params: &'a [f32],
}

impl<'a> Net<'a> {
    pub fn weight(&self, at: usize, len: usize) -> &'a [f32] {
        &self.params[at..at + len]
    }

    /// Adds a bias, if there is one, to every row of the given width.
    pub fn add_bias(&self, at: Option<usize>, rows: &mut [f32], width: usize) {
        if let Some(at) = at {
            let bias = self.weight(at, width);
            rows.chunks_exact_mut(width).for_each(|row| math::add(row, bias));
        }
    }

    /// Normalises every query and key head of rows of queries, keys and values, if the model does.
    pub fn norm_heads(&self, at: Option<usize>, rows: &mut [f32]) {
        let (Some(at), s) = (at, self.shape) else { return };
        let mut raw = vec![0.0; s.qk];
        let mut inv = vec![0.0; s.heads + s.kv];
        for row in rows.chunks_exact_mut(s.qkv) {
            raw.copy_from_slice(&row[..s.qk]);
            self.norm_row(at, &raw, row, &mut inv);
        }
    }

    /// The same for one row: from `raw` to `row`, with the inverse root mean squares in `inv`.
    fn norm_row(&self, at: usize, raw: &[f32], row: &mut [f32], inv: &mut [f32]) {
        let s = self.shape;
        let (q, k) = (self.weight(at, s.hd), self.weight(at + s.hd, s.hd));
        math::rms_norm(&raw[..s.attn], q, s.eps, &mut row[..s.attn], &mut inv[..s.heads]);
        math::rms_norm(&raw[s.attn..s.qk], k, s.eps, &mut row[s.attn..s.qk], &mut inv[s.heads..]);
    }
}

/// Activations kept of one layer.
#[derive(Default)]
pub(crate) struct LayerActs {
    input: Vec<f32>,
    inv1: Vec<f32>,
    /// Queries and keys before their norm, where there is one.
    qk_raw: Vec<f32>,
    qk_inv: Vec<f32>,
    /// Queries and keys (rotated) and values.
    pub qkv: Vec<f32>,
    attn: Vec<f32>,
    lse: Vec<f32>,
    mid: Vec<f32>,
    inv2: Vec<f32>,
    gate_up: Vec<f32>,
}

/// Buffers of one thread.
#[derive(Default)]
pub(crate) struct Pass {
    pub layers: Vec<LayerActs>,
    /// Residual stream after the last layer, `[tokens, h]`.
    pub out: Vec<f32>,
    /// Lengths of the sequences in the chunk.
    lens: Vec<usize>,
    tokens: Vec<u32>,
    norm: Vec<f32>,
    act: Vec<f32>,
    scores: Vec<f32>,
    d_scores: Vec<f32>,
    d_out: Vec<f32>,
    d_norm: Vec<f32>,
    d_qkv: Vec<f32>,
    d_attn: Vec<f32>,
    d_gate_up: Vec<f32>,
    d_act: Vec<f32>,
    delta: Vec<f32>,
    // Head.
    rows: Vec<usize>,
    targets: Vec<u32>,
    picked: Vec<f32>,
    picked_norm: Vec<f32>,
    picked_inv: Vec<f32>,
    logits: Vec<f32>,
    d_picked: Vec<f32>,
    d_picked_norm: Vec<f32>,
}

/// The first `len` elements of a buffer that only ever grows; their contents are arbitrary.
pub(crate) fn room(v: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if v.len() < len {
        v.resize(len, 0.0);
    }
    &mut v[..len]
}

/// Query rows handled at a time in attention.
const BLOCK: usize = 64;

/// Attention of one head: where its queries, keys and values start in a row.
#[derive(Clone, Copy)]
struct Head {
    q: usize,
    k: usize,
    v: usize,
}

impl Shape {
    fn head(&self, i: usize) -> Head {
        let kv = i / (self.heads / self.kv);
        let k = self.attn + kv * self.hd;
        Head { q: i * self.hd, k, v: k + self.kv * self.hd }
    }
}

impl Pass {
    /// Runs the layers over a chunk; leaves the residual stream in `out`. `taps` are the edits of each sequence, or
    /// nothing if none has any.
    pub fn forward<'t>(&mut self, net: Net, seqs: impl Iterator<Item = &'t [u32]>, taps: &[Tap]) {
        self.forward_seen(net, seqs, taps, net.layout.layers.len(), &mut |_, _| {});
    }

    /// The same for the first `depth` layers; `see` is shown what each hands on, `[tokens, h]`.
    pub fn forward_seen<'t>(
        &mut self,
        net: Net,
        seqs: impl Iterator<Item = &'t [u32]>,
        taps: &[Tap],
        depth: usize,
        see: &mut dyn FnMut(usize, &[f32]),
    ) {
        let s = net.shape;
        self.lens.clear();
        self.tokens.clear();
        for tokens in seqs {
            self.lens.push(tokens.len());
            self.tokens.extend_from_slice(tokens);
        }
        let t = self.tokens.len();
        let h = s.h;
        self.layers.resize_with(net.layout.layers.len(), LayerActs::default);
        let out = room(&mut self.out, t * h);
        let embed = net.weight(net.layout.embed, s.vocab * h);
        for (row, &token) in out.chunks_exact_mut(h).zip(&self.tokens) {
            row.copy_from_slice(&embed[token as usize * h..][..h]);
        }
        for (l, (acts, at)) in self.layers.iter_mut().zip(&net.layout.layers).take(depth).enumerate() {
            // Attention block.
            let input = room(&mut acts.input, t * h);
            input.copy_from_slice(out);
            let norm = room(&mut self.norm, t * h);
            let inv = room(&mut acts.inv1, t);
            math::rms_norm(input, net.weight(at.norm1, h), s.eps, norm, inv);
            let qkv = room(&mut acts.qkv, t * s.qkv);
            let w = Mat::transposed(net.weight(at.qkv, s.qkv * h), h);
            matmul((t, s.qkv, h), 1.0, Mat::rows(norm, h), w, qkv, s.qkv, false);
            net.add_bias(at.qkv_bias, qkv, s.qkv);
            if let Some(at) = at.qk_norm {
                let raw = room(&mut acts.qk_raw, t * s.qk).chunks_exact_mut(s.qk);
                let inv = room(&mut acts.qk_inv, t * (s.heads + s.kv)).chunks_exact_mut(s.heads + s.kv);
                for ((row, raw), inv) in qkv.chunks_exact_mut(s.qkv).zip(raw).zip(inv) {
                    raw.copy_from_slice(&row[..s.qk]);
                    net.norm_row(at, raw, row, inv);
                }
            }
            let attn = room(&mut acts.attn, t * s.attn);
            let lse = room(&mut acts.lse, t * s.heads);
            let mut start = 0;
            for &len in &self.lens {
                let qkv = &mut qkv[start * s.qkv..(start + len) * s.qkv];
                for (p, row) in qkv.chunks_exact_mut(s.qkv).enumerate() {
                    net.rope.rotate(row, s.heads + s.kv, p, 1.0);
                }
                let attn = &mut attn[start * s.attn..(start + len) * s.attn];
                let lse = &mut lse[start * s.heads..(start + len) * s.heads];
                attention(s, qkv, len, attn, lse, &mut self.scores);
                start += len;
            }
            let w = Mat::transposed(net.weight(at.o, h * s.attn), s.attn);
            matmul((t, h, s.attn), 1.0, Mat::rows(attn, s.attn), w, out, h, true);
            net.add_bias(at.o_bias, out, h);
            // Feed-forward block.
            let mid = room(&mut acts.mid, t * h);
            mid.copy_from_slice(out);
            let inv = room(&mut acts.inv2, t);
            math::rms_norm(mid, net.weight(at.norm2, h), s.eps, norm, inv);
            let gate_up = room(&mut acts.gate_up, t * 2 * s.inter);
            let w = Mat::transposed(net.weight(at.gate_up, 2 * s.inter * h), h);
            matmul((t, 2 * s.inter, h), 1.0, Mat::rows(norm, h), w, gate_up, 2 * s.inter, false);
            net.add_bias(at.gate_up_bias, gate_up, 2 * s.inter);
            let act = room(&mut self.act, t * s.inter);
            math::swiglu(gate_up, s.inter, act);
            let w = Mat::transposed(net.weight(at.down, h * s.inter), s.inter);
            matmul((t, h, s.inter), 1.0, Mat::rows(act, s.inter), w, out, h, true);
            net.add_bias(at.down_bias, out, h);
            each_tapped(taps, &self.lens, h, out, |tap, position, row| tap.apply(l, position, row));
            see(l, out);
        }
    }

    /// Logits of the rows `rows` of the chunk, `[rows, vocab]`.
    pub fn logits_of(&mut self, net: Net, rows: impl Iterator<Item = usize>) -> &mut [f32] {
        let (s, h) = (net.shape, net.shape.h);
        self.rows.clear();
        self.rows.extend(rows);
        let n = self.rows.len();
        let picked = room(&mut self.picked, n * h);
        for (dst, &row) in picked.chunks_exact_mut(h).zip(&self.rows) {
            dst.copy_from_slice(&self.out[row * h..][..h]);
        }
        let norm = room(&mut self.picked_norm, n * h);
        let inv = room(&mut self.picked_inv, n);
        math::rms_norm(picked, net.weight(net.layout.norm, h), s.eps, norm, inv);
        let logits = room(&mut self.logits, n * s.vocab);
        let w = Mat::transposed(net.weight(net.layout.head, s.vocab * h), h);
        matmul((n, s.vocab, h), 1.0, Mat::rows(norm, h), w, logits, s.vocab, false);
        logits
    }

    /// Log-probabilities of the targets of the chunk, sequence by sequence, after
    /// [`Pass::forward`] over the same sequences. Leaves probabilities in `logits`.
    pub fn log_probs(&mut self, net: Net, seqs: &[Sequence]) -> Vec<Vec<f32>> {
        let v = net.shape.vocab;
        let mut rows = Vec::new();
        self.targets.clear();
        let mut start = 0;
        for seq in seqs {
            for t in seq.targets() {
                rows.push(start + t - 1);
                self.targets.push(seq.tokens[t]);
            }
            start += seq.tokens.len();
        }
        self.logits_of(net, rows.into_iter());
        let n = self.targets.len();
        let logits = &mut self.logits[..n * v];
        let mut all = logits.chunks_exact_mut(v).zip(&self.targets).map(|(row, &target)| {
            let max = math::max(row);
            let raw = row[target as usize];
            let sum = math::exp_shifted(row, max);
            math::scale(row, 1.0 / sum);
            raw - max - sum.ln()
        });
        seqs.iter().map(|seq| all.by_ref().take(seq.targets().count()).collect()).collect()
    }

    /// Backward pass after [`Pass::log_probs`]: `d_logp` holds the loss's derivative with respect
    /// to every target's log-probability, in order; `taps` are those of the forward pass. Adds to `grads`.
    pub fn backward(&mut self, net: Net, d_logp: &[f32], taps: &[Tap], grads: &mut [f32]) {
        let (s, h, t) = (net.shape, net.shape.h, self.tokens.len());
        let n = self.rows.len();
        assert_eq!(d_logp.len(), n, "one derivative per target is needed");
        let logits = &mut self.logits[..n * s.vocab];
        for ((row, &d), &target) in logits.chunks_exact_mut(s.vocab).zip(d_logp).zip(&self.targets) {
            math::scale(row, -d);
            row[target as usize] += d;
        }
        // Head and final norm.
        let norm = &self.picked_norm[..n * h];
        let dw = &mut grads[net.layout.head..][..s.vocab * h];
        let (a, b) = (Mat::transposed(logits, s.vocab), Mat::rows(norm, h));
        matmul((s.vocab, h, n), 1.0, a, b, dw, h, true);
        let d_norm = room(&mut self.d_picked_norm, n * h);
        let w = Mat::rows(net.weight(net.layout.head, s.vocab * h), h);
        matmul((n, h, s.vocab), 1.0, Mat::rows(logits, s.vocab), w, d_norm, h, false);
        let d_picked = room(&mut self.d_picked, n * h);
        d_picked.fill(0.0);
        math::rms_norm_backward(
            &self.picked[..n * h],
            net.weight(net.layout.norm, h),
            &self.picked_inv[..n],
            d_norm,
            d_picked,
            &mut grads[net.layout.norm..][..h],
        );
        let d_out = room(&mut self.d_out, t * h);
        d_out.fill(0.0);
        for (d, &row) in d_picked.chunks_exact(h).zip(&self.rows) {
            math::add(&mut d_out[row * h..][..h], d);
        }
        for l in (0..self.layers.len()).rev() {
            let d_out = &mut self.d_out[..t * h];
            each_tapped(taps, &self.lens, h, d_out, |tap, position, row| tap.backward(l, position, row));
            self.layer_backward(net, l, grads);
        }
        let d_embed = &mut grads[net.layout.embed..][..s.vocab * h];
        for (d, &token) in self.d_out[..t * h].chunks_exact(h).zip(&self.tokens) {
            math::add(&mut d_embed[token as usize * h..][..h], d);
        }
    }

    fn layer_backward(&mut self, net: Net, l: usize, grads: &mut [f32]) {
        let (s, h, i, t) = (net.shape, net.shape.h, net.shape.inter, self.tokens.len());
        let at = net.layout.layers[l];
        let acts = &self.layers[l];
        let d_out = room(&mut self.d_out, t * h);
        // Feed-forward block.
        bias_backward(at.down_bias, d_out, h, grads);
        let d_act = room(&mut self.d_act, t * i);
        let w = Mat::rows(net.weight(at.down, h * i), i);
        matmul((t, i, h), 1.0, Mat::rows(d_out, h), w, d_act, i, false);
        let act = room(&mut self.act, t * i);
        let d_gu = room(&mut self.d_gate_up, t * 2 * i);
        math::swiglu_backward(&acts.gate_up[..t * 2 * i], i, d_act, d_gu, act);
        let dw = &mut grads[at.down..][..h * i];
        matmul((h, i, t), 1.0, Mat::transposed(d_out, h), Mat::rows(act, i), dw, i, true);
        bias_backward(at.gate_up_bias, d_gu, 2 * i, grads);
        let norm = room(&mut self.norm, t * h);
        let (mid, inv) = (&acts.mid[..t * h], &acts.inv2[..t]);
        math::rms_norm_again(mid, net.weight(at.norm2, h), inv, norm);
        let dw = &mut grads[at.gate_up..][..2 * i * h];
        matmul((2 * i, h, t), 1.0, Mat::transposed(d_gu, 2 * i), Mat::rows(norm, h), dw, h, true);
        let d_norm = room(&mut self.d_norm, t * h);
        let w = Mat::rows(net.weight(at.gate_up, 2 * i * h), h);
        matmul((t, h, 2 * i), 1.0, Mat::rows(d_gu, 2 * i), w, d_norm, h, false);
        let (w, dw) = (net.weight(at.norm2, h), &mut grads[at.norm2..][..h]);
        math::rms_norm_backward(mid, w, inv, d_norm, d_out, dw);
        // Attention block.
        bias_backward(at.o_bias, d_out, h, grads);
        let attn = &acts.attn[..t * s.attn];
        let dw = &mut grads[at.o..][..h * s.attn];
        let (a, b) = (Mat::transposed(d_out, h), Mat::rows(attn, s.attn));
        matmul((h, s.attn, t), 1.0, a, b, dw, s.attn, true);
        let d_attn = room(&mut self.d_attn, t * s.attn);
        let w = Mat::rows(net.weight(at.o, h * s.attn), s.attn);
        matmul((t, s.attn, h), 1.0, Mat::rows(d_out, h), w, d_attn, s.attn, false);
        let d_qkv = room(&mut self.d_qkv, t * s.qkv);
        let mut start = 0;
        for &len in &self.lens {
            let (rows, end) = (start * s.qkv..(start + len) * s.qkv, start + len);
            let seq = AttentionRows {
                qkv: &acts.qkv[rows.clone()],
                attn: &attn[start * s.attn..end * s.attn],
                lse: &acts.lse[start * s.heads..end * s.heads],
                d_attn: &d_attn[start * s.attn..end * s.attn],
            };
            let d_qkv = &mut d_qkv[rows];
            let buffers = (&mut self.scores, &mut self.d_scores, &mut self.delta);
            attention_backward(s, &seq, len, d_qkv, buffers);
            for (p, row) in d_qkv.chunks_exact_mut(s.qkv).enumerate() {
                net.rope.rotate(row, s.heads + s.kv, p, -1.0);
            }
            start = end;
        }
        if let Some(norm) = at.qk_norm {
            let weights = [net.weight(norm, s.hd), net.weight(norm + s.hd, s.hd)];
            let rows = d_qkv.chunks_exact_mut(s.qkv).zip(acts.qk_raw.chunks_exact(s.qk));
            for ((d, raw), inv) in rows.zip(acts.qk_inv.chunks_exact(s.heads + s.kv)) {
                let parts = [(0..s.attn, 0..s.heads), (s.attn..s.qk, s.heads..s.heads + s.kv)];
                for (which, (part, heads)) in parts.into_iter().enumerate() {
                    let dy = room(&mut self.delta, part.len());
                    dy.copy_from_slice(&d[part.clone()]);
                    d[part.clone()].fill(0.0);
                    let dw = &mut grads[norm + which * s.hd..][..s.hd];
                    math::rms_norm_backward(&raw[part.clone()], weights[which], &inv[heads], dy, &mut d[part], dw);
                }
            }
        }
        bias_backward(at.qkv_bias, d_qkv, s.qkv, grads);
        let (input, inv) = (&acts.input[..t * h], &acts.inv1[..t]);
        math::rms_norm_again(input, net.weight(at.norm1, h), inv, norm);
        let dw = &mut grads[at.qkv..][..s.qkv * h];
        matmul((s.qkv, h, t), 1.0, Mat::transposed(d_qkv, s.qkv), Mat::rows(norm, h), dw, h, true);
        let w = Mat::rows(net.weight(at.qkv, s.qkv * h), h);
        matmul((t, h, s.qkv), 1.0, Mat::rows(d_qkv, s.qkv), w, d_norm, h, false);
        let (w, dw) = (net.weight(at.norm1, h), &mut grads[at.norm1..][..h]);
        math::rms_norm_backward(input, w, inv, d_norm, d_out, dw);
    }
}

/// Goes through the rows of sequences that have edits, `[tokens, h]`, with their positions.
fn each_tapped(
    taps: &[Tap],
    lens: &[usize],
    h: usize,
    rows: &mut [f32],
    mut each: impl FnMut(&Tap, usize, &mut [f32]),
) {
    if taps.is_empty() {
        return;
    }
    let mut rows = rows.chunks_exact_mut(h);
    for (tap, len) in taps.iter().zip(lens) {
        rows.by_ref().take(*len).enumerate().for_each(|(position, row)| each(tap, position, row));
    }
}

/// Adds the gradient of a bias, if there is one: the sum of the rows.
fn bias_backward(at: Option<usize>, d: &[f32], width: usize, grads: &mut [f32]) {
    if let Some(at) = at {
        d.chunks_exact(width).for_each(|row| math::add(&mut grads[at..][..width], row));
    }
}

/// Causal attention of one sequence. `lse[row * heads + head]` is the log of the softmax's sum,
/// all that the backward pass needs to compute the probabilities again.
fn attention(s: &Shape, qkv: &[f32], len: usize, out: &mut [f32], lse: &mut [f32], scores: &mut Vec<f32>) {
    let scale = 1.0 / (s.hd as f32).sqrt();
    for i in 0..s.heads {
        let head = s.head(i);
        for i0 in (0..len).step_by(BLOCK) {
            let (rows, end) = (BLOCK.min(len - i0), len.min(i0 + BLOCK));
            let p = room(scores, rows * end);
            let q = Mat::rows(&qkv[i0 * s.qkv + head.q..], s.qkv);
            let k = Mat::transposed(&qkv[head.k..], s.qkv);
            matmul((rows, end, s.hd), scale, q, k, p, end, false);
            for (r, row) in p.chunks_exact_mut(end).enumerate() {
                let (seen, future) = row.split_at_mut(i0 + r + 1);
                let max = math::max(seen);
                let sum = math::exp_shifted(seen, max);
                math::scale(seen, 1.0 / sum);
                future.fill(0.0);
                lse[(i0 + r) * s.heads + i] = max + sum.ln();
            }
            let v = Mat::rows(&qkv[head.v..], s.qkv);
            let out = &mut out[i0 * s.attn + head.q..];
            matmul((rows, s.hd, end), 1.0, Mat::rows(p, end), v, out, s.attn, false);
        }
    }
}

struct AttentionRows<'a> {
    qkv: &'a [f32],
    attn: &'a [f32],
    lse: &'a [f32],
    d_attn: &'a [f32],
}

/// Backward of [`attention`] (the scheme of FlashAttention: probabilities are recomputed).
fn attention_backward(
    s: &Shape,
    seq: &AttentionRows,
    len: usize,
    d_qkv: &mut [f32],
    (scores, d_scores, delta): (&mut Vec<f32>, &mut Vec<f32>, &mut Vec<f32>),
) {
    let scale = 1.0 / (s.hd as f32).sqrt();
    d_qkv.fill(0.0);
    for i in 0..s.heads {
        let head = s.head(i);
        let delta = room(delta, len);
        for (r, d) in delta.iter_mut().enumerate() {
            let at = r * s.attn + head.q;
            *d = math::dot(&seq.attn[at..at + s.hd], &seq.d_attn[at..at + s.hd]);
        }
        let k_t = Mat::transposed(&seq.qkv[head.k..], s.qkv);
        let k = Mat::rows(&seq.qkv[head.k..], s.qkv);
        let v_t = Mat::transposed(&seq.qkv[head.v..], s.qkv);
        for i0 in (0..len).step_by(BLOCK) {
            let (rows, end) = (BLOCK.min(len - i0), len.min(i0 + BLOCK));
            let q = Mat::rows(&seq.qkv[i0 * s.qkv + head.q..], s.qkv);
            let d_o = Mat::rows(&seq.d_attn[i0 * s.attn + head.q..], s.attn);
            let p = room(scores, rows * end);
            matmul((rows, end, s.hd), scale, q, k_t, p, end, false);
            let d_p = room(d_scores, rows * end);
            matmul((rows, end, s.hd), 1.0, d_o, v_t, d_p, end, false);
            for (r, (p, d_p)) in p.chunks_exact_mut(end).zip(d_p.chunks_exact_mut(end)).enumerate() {
                let seen = i0 + r + 1;
                let (lse, delta) = (seq.lse[(i0 + r) * s.heads + i], delta[i0 + r]);
                for (p, d) in p[..seen].iter_mut().zip(&mut d_p[..seen]) {
                    *p = math::exp(*p - lse);
                    *d = *p * (*d - delta);
                }
                p[seen..].fill(0.0);
                d_p[seen..].fill(0.0);
            }
            let d_v = &mut d_qkv[head.v..];
            matmul((end, s.hd, rows), 1.0, Mat::transposed(p, end), d_o, d_v, s.qkv, true);
            let d_k = &mut d_qkv[head.k..];
            matmul((end, s.hd, rows), scale, Mat::transposed(d_p, end), q, d_k, s.qkv, true);
            let d_q = &mut d_qkv[i0 * s.qkv + head.q..];
            matmul((rows, s.hd, end), scale, Mat::rows(d_p, end), k, d_q, s.qkv, false);
        }
    }
}
