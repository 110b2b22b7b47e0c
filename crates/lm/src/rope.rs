//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864): its frequencies, also stretched, and its tables.

use crate::Config;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use std::f64::consts::TAU;

/// How frequencies are stretched so that a model reaches further than it was first trained. Named as in `config.json`.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// All are divided by `factor`.
    Linear {
        /// Divisor.
        factor: f64,
    },
    /// Llama 3.1: slow ones are divided, fast ones kept, those between blended.
    Llama3 {
        /// Divisor of the slow ones.
        factor: f64,
        /// A frequency is slow if it turns less often than this in the original context.
        low_freq_factor: f64,
        /// A frequency is fast if it turns more often than this in the original context.
        high_freq_factor: f64,
        /// The original context, in tokens.
        original_max_position_embeddings: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071): as above with a ramp over the frequencies' numbers, and queries and
    /// keys are scaled.
    Yarn {
        /// Divisor of the slow ones.
        factor: f64,
        /// Turns in the original context from which on a frequency is kept.
        beta_fast: f64,
        /// Turns up to which a frequency is divided.
        beta_slow: f64,
        /// Scale of the rotated queries and keys.
        attention_factor: f64,
        /// Whether the ramp begins and ends at whole numbers.
        truncate: bool,
        /// The original context, in tokens.
        original_max_position_embeddings: f64,
    },
}

impl RopeScaling {
    /// Reads `rope_parameters` (or `rope_scaling`, as it was called): none if it is the default. Fails with the field
    /// and what is wrong with it.
    pub(crate) fn parse(json: &Value, longest: usize) -> Result<Option<RopeScaling>, (String, String)> {
        let number = |field: &str, default: Option<f64>| {
            let value = json.get(field).filter(|value| !value.is_null());
            let number = value.map_or(default, Value::as_f64).filter(|x| x.is_finite() && *x > 0.0);
            number.ok_or_else(|| (field.to_string(), "must be a positive number".to_string()))
        };
        if let Some(nested) = json.as_object().and_then(|map| map.iter().find(|(_, value)| value.is_object())) {
            return Err((nested.0.clone(), "rotary parameters that differ between layers are not supported".into()));
        }
        if number("partial_rotary_factor", Some(1.0))? != 1.0 {
            return Err(("partial_rotary_factor".into(), "only 1 is supported".into()));
        }
        let kind = json.get("rope_type").or(json.get("type")).filter(|kind| !kind.is_null());
        let original = || number("original_max_position_embeddings", Some(longest as f64));
        let kind = match kind.map(|kind| kind.as_str().unwrap_or("")) {
            None | Some("default") => return Ok(None),
            Some("linear") => RopeScaling::Linear { factor: number("factor", None)? },
            Some("llama3") => RopeScaling::Llama3 {
                factor: number("factor", None)?,
                low_freq_factor: number("low_freq_factor", None)?,
                high_freq_factor: number("high_freq_factor", None)?,
                original_max_position_embeddings: original()?,
            },
            Some("yarn") => {
                let original = original()?;
                let factor = number("factor", Some(longest as f64 / original))?;
                // 0.1 ln(s) + 1, the paper's choice; a model may bring two weights of the logarithm.
                let weighed = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
                let usual = match (number("mscale", None), number("mscale_all_dim", None)) {
                    (Ok(above), Ok(below)) => weighed(above) / weighed(below),
                    _ => weighed(1.0),
                };
                RopeScaling::Yarn {
                    factor,
                    beta_fast: number("beta_fast", Some(32.0))?,
                    beta_slow: number("beta_slow", Some(1.0))?,
                    attention_factor: number("attention_factor", Some(usual))?,
                    truncate: json.get("truncate").and_then(Value::as_bool).unwrap_or(true),
                    original_max_position_embeddings: original,
                }
            }
            Some(other) => {
                let what = format!("{other:?} is not supported; default, linear, llama3 and yarn are");
                return Err(("rope_type".into(), what));
            }
        };
        Ok(Some(kind))
    }

    /// What each frequency of a model is divided by.
    pub(crate) fn factors(&self, config: &Config) -> Vec<f32> {
        let plain = inverse_frequencies(config);
        let mut stretched = plain.clone();
        self.apply(&mut stretched, config.head_dim(), config.rope_theta);
        plain.iter().zip(stretched).map(|(plain, stretched)| plain / stretched).collect()
    }

    /// Factor on cosines and sines.
    pub(crate) fn scale(&self) -> f32 {
        match self {
            RopeScaling::Yarn { attention_factor, .. } => *attention_factor as f32,
            _ => 1.0,
        }
    }

    /// Stretches the inverse frequencies of heads of width `head_dim`.
    fn apply(&self, inverse: &mut [f32], head_dim: usize, theta: f64) {
        match *self {
            RopeScaling::Linear { factor } => inverse.iter_mut().for_each(|f| *f = (f64::from(*f) / factor) as f32),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                for f in inverse {
                    let plain = f64::from(*f);
                    let turns = original * plain / TAU;
                    // 0 where the frequency is slow, 1 where it is fast.
                    let keep = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                    *f = ((1.0 - keep) * plain / factor + keep * plain) as f32;
                }
            }
            RopeScaling::Yarn {
                factor,
                beta_fast,
                beta_slow,
                truncate,
                original_max_position_embeddings: original,
                ..
            } => {
                let width = head_dim as f64;
                // The number of the frequency that turns so often in the original context.
                let number = |turns: f64| width * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
                let (mut low, mut high) = (number(beta_fast), number(beta_slow));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, mut high) = (low.max(0.0), high.min(width - 1.0));
                if low == high {
                    high += 0.001;
                }
                for (i, f) in inverse.iter_mut().enumerate() {
                    let plain = f64::from(*f);
                    let stretched = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    *f = (plain / factor * stretched + plain * (1.0 - stretched)) as f32;
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for RopeScaling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(deserializer)?;
        match RopeScaling::parse(&json, 0) {
            Ok(Some(scaling)) => Ok(scaling),
            Ok(None) => Err(D::Error::custom("rope_type: missing")),
            Err((field, what)) => Err(D::Error::custom(format!("{field}: {what}"))),
        }
    }
}

/// The inverse frequencies before they are stretched; as in transformers, they are rounded to f32 first.
fn inverse_frequencies(config: &Config) -> Vec<f32> {
    let head_dim = config.head_dim();
    (0..head_dim / 2).map(|i| config.rope_theta.powf(-2.0 * i as f64 / head_dim as f64) as f32).collect()
}

/// Cosines and sines of the rotary embedding, `[position, head_dim / 2]`.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// Those of layers with a window, where they have their own.
    local: Option<Box<Rope>>,
}

impl Rope {
    /// Makes the tables reach `positions` positions of a model of this shape (always the same one).
    pub fn ensure(&mut self, positions: usize, config: &Config) {
        if let Some(theta) = config.rope_local_base_freq {
            let own = Config { rope_theta: theta, rope_scaling: None, rope_local_base_freq: None, ..config.clone() };
            self.local.get_or_insert_default().ensure(positions, &own);
        }
        let head_dim = config.head_dim();
        self.half = head_dim / 2;
        let have = self.cos.len() / self.half.max(1);
        if have >= positions {
            return;
        }
        let mut frequencies = inverse_frequencies(config);
        let mut scale = 1.0;
        if let Some(scaling) = &config.rope_scaling {
            scaling.apply(&mut frequencies, head_dim, config.rope_theta);
            scale = scaling.scale();
        }
        for p in have..positions {
            for f in &frequencies {
                let angle = f64::from(p as f32 * f);
                self.cos.push(angle.cos() as f32 * scale);
                self.sin.push(angle.sin() as f32 * scale);
            }
        }
    }

    /// The tables of a kind of layer.
    pub(crate) fn of(&self, local: bool) -> &Rope {
        self.local.as_deref().filter(|_| local).unwrap_or(self)
    }

    /// Rotates `heads` heads at the front of `row` for one position; `dir` is 1 for forward and
    /// -1 for the inverse rotation (the backward pass).
    pub fn rotate(&self, row: &mut [f32], heads: usize, position: usize, dir: f32) {
        let half = self.half;
        let cos = &self.cos[position * half..][..half];
        let sin = &self.sin[position * half..][..half];
        for head in row.chunks_exact_mut(2 * half).take(heads) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let (x, y, s) = (a[i], b[i], sin[i] * dir);
                a[i] = x * cos[i] - y * s;
                b[i] = y * cos[i] + x * s;
            }
        }
    }
}
