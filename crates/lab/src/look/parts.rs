//! What a training changed in the weights, and how much of what it changed in behaviour a part of that keeps.

use std::sync::Arc;

use loophole_lm::{Edits, Model};
use loophole_look::update::RANKS;
use loophole_look::{Counts, Delta, Figure, Joint, Spectrum};
use serde::Serialize;

use super::acts::counts;
use super::{Sight, Subject};
use crate::LabError;

/// A part of the update, and what it keeps.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Which part: `rank 4`, `scale 0.5`, `block 2`.
    pub part: String,
    /// Misalignment of the base with this part of the update.
    pub misalignment: Figure,
    /// `b = (m(part) - m(base)) / (m(model) - m(base))`; not a number where model and base do not differ. Its control is the
    /// same with random factors of the same singular values, where the part is a rank.
    pub kept: Figure,
}

/// The study.
#[derive(Debug, Clone, Serialize)]
pub struct PartsStudy {
    /// The model.
    pub model: String,
    /// What it was trained from.
    pub base: String,
    /// Frobenius norm of the whole change.
    pub norm: f64,
    /// The same over the norm of the weights before.
    pub relative: f64,
    /// Mean stable rank of the changed matrices.
    pub stable_rank: f64,
    /// Every changed matrix.
    pub spectra: Vec<Spectrum>,
    /// Misalignment of the base.
    pub misalignment_base: Figure,
    /// Misalignment of the model.
    pub misalignment_model: Figure,
    /// Parts and what they keep.
    pub kept: Vec<Kept>,
}

/// Takes the update of a model apart, and plays the battery with parts of it.
///
/// # Errors
/// Models of other shapes; the cells; [`loophole_probe::ProbeError::Stopped`].
pub fn parts(sight: &Sight, subject: &Subject, base: &Subject) -> Result<PartsStudy, LabError> {
    let organism = &subject.organism;
    let (model, before) = (&organism.model, &base.organism.model);
    let delta = Delta::between((&subject.name, model), (&base.name, before))?;
    (sight.say)("update: singular values");
    let factors = delta.factors();
    let spectra = factors.spectra();
    let none = Arc::new(Edits::default());
    let play = |what: &str, model: &Model| -> Result<Counts, LabError> {
        (sight.say)(&format!("update: {what}"));
        Ok(counts(&sight.play(organism, model, &none, Vec::new())?))
    };
    let (zero, one) = (play("the base", before)?, play("the model", model)?);
    let ends = Joint::new(&[&zero, &one], sight.seed);
    let spread = ends.figure(|rates| rates[1] - rates[0]);
    let told = spread.known() && (spread.low > 0.0 || spread.high < 0.0);
    let share = |part: &Counts| -> Figure {
        let joint = Joint::new(&[&zero, &one, part], sight.seed);
        if told { joint.figure(|rates| (rates[2] - rates[0]) / (rates[1] - rates[0])) } else { Figure::NONE }
    };
    let mut kept = Vec::new();
    let mut add = |part: String, model: &Model, control: Option<&Model>| -> Result<(), LabError> {
        let found = play(&part, model)?;
        let control = control.map(|model| play(&format!("{part}, random"), model)).transpose()?;
        let control = control.map_or(f64::NAN, |counts| share(&counts).value);
        let misalignment = Joint::new(&[&found], sight.seed).rate(0);
        kept.push(Kept { part, misalignment, kept: share(&found).beside(control) });
        Ok(())
    };
    if !spectra.is_empty() {
        for k in RANKS {
            add(format!("rank {k}"), &factors.truncated(k), Some(&factors.random(k, sight.seed)))?;
        }
        for scale in [0.25, 0.5] {
            add(format!("scale {scale}"), &delta.scaled(scale), None)?;
        }
        for block in 0..model.config.num_hidden_layers {
            add(format!("block {block} alone"), &delta.only(&format!("model.layers.{block}."))?, None)?;
        }
    }
    let (norm, relative) = delta.norm();
    let ranks: Vec<f64> = spectra.iter().map(|spectrum| spectrum.stable_rank).collect();
    Ok(PartsStudy {
        model: subject.name.clone(),
        base: base.name.clone(),
        norm,
        relative,
        stable_rank: ranks.iter().sum::<f64>() / ranks.len() as f64,
        spectra,
        misalignment_base: ends.rate(0),
        misalignment_model: ends.rate(1),
        kept,
    })
}
