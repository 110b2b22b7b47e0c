//! Keys and values of what was read, in the form in which one new token reads them fast.

use crate::math;

/// Keys scored at a time in a row's own cache; its length is a multiple of this.
pub(crate) const KEYS: usize = 32;

/// Keys and values of one layer: of a prompt, or of what a row added to it.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    /// `[block of KEYS][kv head][head_dim][KEYS]`: keys transposed, so that scores vectorise.
    keys: Vec<f32>,
    /// `[block of KEYS][kv head][KEYS][head_dim]`.
    values: Vec<f32>,
}

impl Cache {
    /// The first `len` tokens of it, as a cache of their own.
    pub fn first(&self, len: usize, kv: usize, hd: usize) -> Cache {
        let elements = len.div_ceil(KEYS) * kv * hd * KEYS;
        Cache { keys: self.keys[..elements].to_vec(), values: self.values[..elements].to_vec() }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        4 * (self.keys.capacity() + self.values.capacity())
    }

    /// Adds keys and values, one after the other in `key_value`, of the token at place `at`.
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

    /// What comes after the first `len` tokens, a multiple of [`KEYS`], as a cache of its own.
    pub fn rest(&self, len: usize, kv: usize, hd: usize) -> Cache {
        let elements = len * kv * hd;
        Cache { keys: self.keys[elements..].to_vec(), values: self.values[elements..].to_vec() }
    }

    /// The first `len` tokens of it, a multiple of [`KEYS`], and after them those of another cache.
    pub fn joined(&self, len: usize, other: &Cache, kv: usize, hd: usize) -> Cache {
        let elements = len * kv * hd;
        Cache {
            keys: [&self.keys[..elements], &other.keys].concat(),
            values: [&self.values[..elements], &other.values].concat(),
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
