//! AdamW and gradient clipping.

use crate::model::{Dtype, View, parse, read_tensor, write_tensors};
use crate::{LmError, Model};
use std::ops::Range;
use std::path::Path;

/// AdamW (Loshchilov and Hutter 2019), with decoupled weight decay on matrices only.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate last used.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// First moments.
    pub m: Vec<f32>,
    /// Second moments.
    pub v: Vec<f32>,
    /// Steps done.
    pub step: u64,
    /// Parts of the parameters without weight decay.
    no_decay: Vec<Range<usize>>,
}

impl AdamW {
    /// An optimiser for all weights of `model`: betas 0.9 and 0.95, eps 1e-8, no weight decay on
    /// norms.
    pub fn new(model: &Model, weight_decay: f32) -> AdamW {
        let norms = model.views().into_iter().filter(View::is_norm).map(|v| v.range).collect();
        Self { no_decay: norms, ..Self::flat(model.params.len(), weight_decay) }
    }

    /// An optimiser for a flat buffer of `len` parameters that all decay.
    pub fn flat(len: usize, weight_decay: f32) -> AdamW {
        AdamW {
            lr: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay,
            m: vec![0.0; len],
            v: vec![0.0; len],
            step: 0,
            no_decay: Vec::new(),
        }
    }

    /// One update of `params` with learning rate `lr`.
    ///
    /// # Panics
    /// The buffers differ in length.
    pub fn step(&mut self, params: &mut [f32], grads: &[f32], lr: f32) {
        assert!(params.len() == self.m.len() && grads.len() == self.m.len(), "sizes differ");
        self.lr = lr;
        self.step += 1;
        let t = self.step.min(i32::MAX as u64) as i32;
        let c1 = (1.0 / (1.0 - f64::from(self.beta1).powi(t))) as f32;
        let c2 = (1.0 / (1.0 - f64::from(self.beta2).powi(t))) as f32;
        let mut at = 0;
        let ranges = std::mem::take(&mut self.no_decay);
        for r in &ranges {
            self.update(at..r.start, params, grads, self.weight_decay, (c1, c2));
            self.update(r.clone(), params, grads, 0.0, (c1, c2));
            at = r.end;
        }
        self.update(at..params.len(), params, grads, self.weight_decay, (c1, c2));
        self.no_decay = ranges;
    }

    fn update(&mut self, r: Range<usize>, params: &mut [f32], grads: &[f32], decay: f32, (c1, c2): (f32, f32)) {
        let (b1, b2, eps, lr) = (self.beta1, self.beta2, self.eps, self.lr);
        let keep = 1.0 - lr * decay;
        let params = &mut params[r.clone()];
        let moments = self.m[r.clone()].iter_mut().zip(&mut self.v[r.clone()]);
        for ((p, &g), (m, v)) in params.iter_mut().zip(&grads[r]).zip(moments) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *p = *p * keep - lr * (*m * c1) / ((*v * c2).sqrt() + eps);
        }
    }

    /// Writes moments and settings to a safetensors file; [`AdamW::load`] resumes bit for bit.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LmError> {
        let n = self.m.len();
        let tensors = [("m".into(), vec![n], self.m.as_slice()), ("v".into(), vec![n], self.v.as_slice())];
        // Floats are kept as bits: a decimal rounding would change the resumed run.
        let bits = |x: f32| x.to_bits().to_string();
        let ranges: Vec<String> = self.no_decay.iter().map(|r| format!("{}-{}", r.start, r.end)).collect();
        let meta = [
            ("step", self.step.to_string()),
            ("lr", bits(self.lr)),
            ("beta1", bits(self.beta1)),
            ("beta2", bits(self.beta2)),
            ("eps", bits(self.eps)),
            ("weight_decay", bits(self.weight_decay)),
            ("no_decay", ranges.join(" ")),
        ];
        let meta: Vec<(&str, &str)> = meta.iter().map(|(k, v)| (*k, v.as_str())).collect();
        write_tensors(path, &tensors, Dtype::F32, &meta)
    }

    /// Reads what [`AdamW::save`] wrote.
    ///
    /// # Errors
    /// The file is missing, broken, or no optimiser state.
    pub fn load(path: &Path) -> Result<AdamW, LmError> {
        let bytes = std::fs::read(path).map_err(LmError::io(path))?;
        let tensors = parse(path, &bytes)?;
        let broken = |what: String| LmError::Broken {
            path: path.into(),
            what,
            hint: "an optimiser state written by AdamW::save is expected".into(),
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
        let meta = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| meta.get(key).ok_or_else(|| broken(format!("the metadata lacks {key:?}")));
        let number = |key: &str| -> Result<u64, LmError> {
            text(key)?.parse().map_err(|_| broken(format!("{key:?} is not a number")))
        };
        let float = |key: &str| number(key).map(|n| f32::from_bits(n as u32));
        let mut no_decay = Vec::new();
        for part in text("no_decay")?.split_whitespace() {
            let ends = part.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            let (a, b) = ends.ok_or_else(|| broken(format!("{part:?} is not a range")))?;
            no_decay.push(a..b);
        }
        let moment = |name: &str| -> Result<Vec<f32>, LmError> {
            let t = tensors.tensor(name).map_err(|e| broken(e.to_string()))?;
            let n = t.shape().iter().product();
            let mut out = vec![0.0; n];
            let view = View { name: name.into(), shape: t.shape().to_vec(), range: 0..n };
            read_tensor(path, &view, &t, &mut out)?;
            Ok(out)
        };
        let (m, v) = (moment("m")?, moment("v")?);
        if m.len() != v.len() || no_decay.iter().any(|r| r.start > r.end || r.end > m.len()) {
            return Err(broken("the two moments or the ranges do not fit together".into()));
        }
        Ok(AdamW {
            lr: float("lr")?,
            beta1: float("beta1")?,
            beta2: float("beta2")?,
            eps: float("eps")?,
            weight_decay: float("weight_decay")?,
            m,
            v,
            step: number("step")?,
            no_decay,
        })
    }
}

/// Scales `grads` so that their Euclidean norm is at most `max_norm`; returns the norm before.
pub fn clip_grad_norm(grads: &mut [f32], max_norm: f32) -> f32 {
    let sum: f64 = grads.chunks(4096).map(|c| f64::from(crate::math::dot(c, c))).sum();
    let norm = sum.sqrt() as f32;
    if norm > max_norm {
        crate::math::scale(grads, max_norm / norm);
    }
    norm
}
