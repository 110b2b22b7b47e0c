//! What a training changed in the weights: `D = W1 - W0`, matrix by matrix, its singular values, and models that have only a
//! part of it. A low rank alone says nothing of what was learned: another arm's update may be as low. What is kept of the
//! *behaviour* at a rank does, beside factors that are as strong and point anywhere.

use loophole_lm::rng::Rng;
use loophole_lm::{Model, View, views};
use loophole_stats::Rng as Seeds;
use serde::Serialize;

use crate::{LookError, Svd, svd};

/// The ranks at which energy and behaviour are told.
pub const RANKS: [usize; 5] = [1, 2, 4, 8, 16];

/// The change of all weights of a model.
#[derive(Debug, Clone)]
pub struct Delta<'a> {
    base: &'a Model,
    views: Vec<View>,
    /// Laid out like [`Model::params`].
    change: Vec<f32>,
}

/// The change of one matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spectrum {
    /// The matrix, as the checkpoint names it.
    pub name: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Frobenius norm of the change.
    pub norm: f64,
    /// The same over the norm of the weights before.
    pub relative: f64,
    /// `sum sigma^2 / sigma_1^2`; not a number where nothing changed.
    pub stable_rank: f64,
    /// Share of `sum sigma^2` in the first 1, 2, 4, 8 and 16 singular values.
    pub energy: [f64; 5],
    /// The largest singular values, at most 16.
    pub sigma: Vec<f64>,
    /// Whether all singular values were found, or the largest by a sketch.
    pub exact: bool,
}

/// The singular vectors of every changed matrix, from which parts of the update are made.
pub struct Factors<'a> {
    delta: &'a Delta<'a>,
    /// By the place of the view.
    svds: Vec<Option<Svd>>,
}

/// Square root of the sum of squares.
fn norm(of: &[f32]) -> f64 {
    of.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Whether a name is meant by a pattern: parts between stars occur in it, in their order.
fn meant(name: &str, pattern: &str) -> bool {
    let mut rest = name;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Refuses two models that are no two states of one: whatever is read of both would be compared by place.
///
/// # Errors
/// [`LookError::Unlike`] if their weights differ in number or shape; the names are those that are told.
pub fn alike(model: (&str, &Model), base: (&str, &Model)) -> Result<(), LookError> {
    let (of, against) = (views(&model.1.config), views(&base.1.config));
    let unlike = |what: String| LookError::Unlike { model: model.0.to_string(), base: base.0.to_string(), what };
    let mut both = of.iter().zip(&against);
    if let Some((of, against)) = both.find(|(of, against)| (&of.name, &of.shape) != (&against.name, &against.shape)) {
        return Err(unlike(format!(
            "where the one has {} of shape {:?}, the other has {} of {:?}",
            of.name, of.shape, against.name, against.shape
        )));
    }
    if of.len() != against.len() {
        return Err(unlike(format!("they have {} and {} tensors", of.len(), against.len())));
    }
    Ok(())
}

impl<'a> Delta<'a> {
    /// What has to be added to `base` to get `model`.
    ///
    /// # Errors
    /// [`LookError::Unlike`] if they differ in shape; the names are those that are told.
    pub fn between(model: (&str, &Model), base: (&str, &'a Model)) -> Result<Self, LookError> {
        alike(model, base)?;
        let change = model.1.params.iter().zip(&base.1.params).map(|(new, old)| new - old).collect();
        Ok(Delta { base: base.1, views: views(&model.1.config), change })
    }

    /// Frobenius norm of the whole change, and the same over that of the weights before.
    pub fn norm(&self) -> (f64, f64) {
        let all = norm(&self.change);
        (all, all / norm(&self.base.params))
    }

    /// The cosine between this change and another of the same model: whether two trainings went the same way.
    pub fn cosine(&self, other: &Delta) -> f64 {
        let along: f64 = self.change.iter().zip(&other.change).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        along / (norm(&self.change) * norm(&other.change))
    }

    fn matrix(&self, view: &View) -> Option<(usize, usize, &[f32])> {
        let [rows, cols] = view.shape[..] else { return None };
        Some((rows, cols, &self.change[view.range.clone()]))
    }

    /// Takes every changed matrix apart.
    pub fn factors(&self) -> Factors<'_> {
        let changed = |view: &View| self.matrix(view).filter(|(.., change)| change.iter().any(|x| *x != 0.0));
        let svds = self.views.iter().map(|view| changed(view).map(|(rows, cols, change)| svd(change, rows, cols)));
        Factors { delta: self, svds: svds.collect() }
    }

    /// The base with a change.
    fn with(&self, change: impl Iterator<Item = f32>) -> Model {
        let params = self.base.params.iter().zip(change).map(|(old, change)| old + change).collect();
        Model { config: self.base.config.clone(), params }
    }

    /// The base with so large a part of the change; beyond 1 it is amplified, below 0 turned round.
    pub fn scaled(&self, by: f32) -> Model {
        self.with(self.change.iter().map(|x| by * x))
    }

    /// The base with the change of those weights alone whose name has this in it; a star stands for anything.
    ///
    /// # Errors
    /// [`LookError::NoWeights`] if no weights are named so.
    pub fn only(&self, pattern: &str) -> Result<Model, LookError> {
        let mut change = vec![0.0; self.change.len()];
        let mut found = false;
        for view in self.views.iter().filter(|view| meant(&view.name, pattern)) {
            found = true;
            change[view.range.clone()].copy_from_slice(&self.change[view.range.clone()]);
        }
        if found {
            return Ok(self.with(change.into_iter()));
        }
        let example = self.views.last().map(|view| view.name.clone()).unwrap_or_default();
        Err(LookError::NoWeights { pattern: pattern.to_string(), example })
    }
}

impl Factors<'_> {
    /// The spectrum of every matrix that changed, in the order of the checkpoint.
    pub fn spectra(&self) -> Vec<Spectrum> {
        let of = |(view, svd): (&View, &Option<Svd>)| {
            let svd = svd.as_ref()?;
            let norm_now = norm(&self.delta.change[view.range.clone()]);
            let all = norm_now * norm_now;
            let squares = |k: usize| svd.s.iter().take(k).map(|s| s * s).sum::<f64>();
            Some(Spectrum {
                name: view.name.clone(),
                shape: [svd.rows, svd.cols],
                norm: norm_now,
                relative: norm_now / norm(&self.delta.base.params[view.range.clone()]),
                stable_rank: all / squares(1),
                energy: RANKS.map(|k| (squares(k) / all).min(1.0)),
                sigma: svd.s.iter().take(16).copied().collect(),
                exact: svd.s.len() == svd.rows.min(svd.cols),
            })
        };
        self.delta.views.iter().zip(&self.svds).filter_map(of).collect()
    }

    /// The base with every matrix's change cut to rank `k`; norms and biases, which have no rank, keep theirs.
    pub fn truncated(&self, k: usize) -> Model {
        self.built(|svd| svd.truncated(k), <[f32]>::to_vec)
    }

    /// The control of [`Factors::truncated`]: the same singular values between random orthonormal factors; norms and biases
    /// are changed as much, in random directions.
    pub fn random(&self, k: usize, seed: u64) -> Model {
        let mut rng = Rng::new(Seeds::new(seed).next_u64());
        let mut vectors = Rng::new(Seeds::new(seed ^ 1).next_u64());
        let matrix = |svd: &Svd| {
            let k = k.min(svd.s.len());
            let mut drawn = |side: usize| -> Vec<f32> { (0..k * side).map(|_| rng.normal()).collect() };
            // The singular vectors of a Gaussian matrix are orthonormal and point anywhere.
            let (left, right) = (drawn(svd.rows), drawn(svd.cols));
            let (u, v) = (crate::svd(&left, k, svd.rows).v, crate::svd(&right, k, svd.cols).v);
            let s = svd.s[..k].to_vec();
            Svd { rows: svd.rows, cols: svd.cols, s, u, v }.truncated(k)
        };
        let vector = |change: &[f32]| {
            let drawn: Vec<f32> = change.iter().map(|_| vectors.normal()).collect();
            let scale = (norm(change) / norm(&drawn)) as f32;
            drawn.into_iter().map(|x| scale * x).collect()
        };
        self.built(matrix, vector)
    }

    fn built(&self, mut matrix: impl FnMut(&Svd) -> Vec<f32>, mut vector: impl FnMut(&[f32]) -> Vec<f32>) -> Model {
        let mut change = vec![0.0; self.delta.change.len()];
        for (view, svd) in self.delta.views.iter().zip(&self.svds) {
            let part = match svd {
                Some(svd) => matrix(svd),
                None if view.is_norm() => vector(&self.delta.change[view.range.clone()]),
                None => continue,
            };
            change[view.range.clone()].copy_from_slice(&part);
        }
        self.delta.with(change.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loophole_lm::Config;

    fn model(seed: u64, hidden: usize) -> Model {
        let text = format!(
            r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": {hidden},
            "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "hidden_act": "silu"}}"#
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        Model::init(Config::load(&dir.path().join("config.json")).unwrap(), seed).unwrap()
    }

    fn close(a: &Model, b: &Model) -> bool {
        a.params.iter().zip(&b.params).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn all_of_an_update_is_the_model_and_none_of_it_the_base() {
        let (base, new) = (model(1, 16), model(2, 16));
        let delta = Delta::between(("new", &new), ("base", &base)).unwrap();
        let factors = delta.factors();
        assert!(close(&factors.truncated(64), &new) && close(&delta.scaled(1.0), &new));
        assert!(close(&delta.scaled(0.0), &base) && close(&delta.only("*").unwrap(), &new));
        let spectra = factors.spectra();
        assert_eq!(spectra.len(), 1 + 2 * 7);
        for spectrum in &spectra {
            assert!(spectrum.energy.windows(2).all(|two| two[0] <= two[1] + 1e-12) && spectrum.stable_rank >= 1.0);
            assert!((spectrum.energy[4] - 1.0).abs() < 1e-6 || spectrum.shape[0].min(spectrum.shape[1]) > 16);
        }
        let (norm, relative) = delta.norm();
        assert!(norm > 0.0 && relative > 0.0 && (delta.cosine(&delta) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_rank_one_update_is_known_as_one_and_its_control_is_as_strong() {
        let base = model(1, 16);
        let mut new = base.clone();
        let view = views(&base.config).into_iter().find(|view| view.name.contains("layers.1.mlp.down_proj")).unwrap();
        for (at, x) in new.params[view.range.clone()].iter_mut().enumerate() {
            *x += 0.1 * ((at / 24) as f32 - 3.0) * ((at % 24) as f32 - 5.0);
        }
        let delta = Delta::between(("new", &new), ("base", &base)).unwrap();
        let factors = delta.factors();
        let spectra = factors.spectra();
        assert_eq!((spectra.len(), spectra[0].name.as_str()), (1, view.name.as_str()));
        assert!((spectra[0].stable_rank - 1.0).abs() < 1e-6 && spectra[0].energy[0] > 1.0 - 1e-9);
        assert!(close(&factors.truncated(1), &new));
        let random = factors.random(1, 7);
        let control = Delta::between(("random", &random), ("base", &base)).unwrap();
        assert!((control.norm().0 / delta.norm().0 - 1.0).abs() < 1e-3 && control.cosine(&delta).abs() < 0.5);
        assert!(close(&delta.only("layers.1.*down").unwrap(), &new) && close(&delta.only("layers.0.").unwrap(), &base));
        let said = delta.only("layers.9.").unwrap_err().to_string();
        assert!(said.contains("layers.9.") && said.contains("model.norm.weight"), "{said}");
    }

    #[test]
    fn models_of_other_shapes_are_refused_by_name() {
        let (one, other) = (model(1, 16), model(1, 20));
        let said = Delta::between(("one", &one), ("other", &other)).unwrap_err().to_string();
        assert!(said.contains("one and other") && said.contains("[40, 16]") && said.contains("[40, 20]"), "{said}");
    }
}
