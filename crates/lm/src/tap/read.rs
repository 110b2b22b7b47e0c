//! Reading texts for what is inside: activations, logits at chosen places, and the head's view of a vector.

use super::{Activations, Capture, Edits, Text};
use crate::{Decoder, Engine, Model, Runner};

impl Engine {
    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, model: &Model, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        unimplemented!("{} {} {:?} {:?}", model.params.len(), texts.len(), capture, edits)
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Engine::activations`].
    pub fn logits_at(&mut self, model: &Model, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        unimplemented!("{} {} {:?} {:?}", model.params.len(), texts.len(), at, edits)
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, model: &Model, rows: &[f32]) -> Vec<f32> {
        unimplemented!("{} {}", model.params.len(), rows.len())
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, model: &Model, directions: &[f32]) -> Vec<f32> {
        unimplemented!("{} {}", model.params.len(), directions.len())
    }
}

impl Decoder {
    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        unimplemented!("{} {:?} {:?}", texts.len(), capture, edits)
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Decoder::activations`].
    pub fn logits_at(&mut self, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        unimplemented!("{} {:?} {:?}", texts.len(), at, edits)
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, rows: &[f32]) -> Vec<f32> {
        unimplemented!("{}", rows.len())
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, directions: &[f32]) -> Vec<f32> {
        unimplemented!("{}", directions.len())
    }
}

impl Runner {
    /// What the blocks hand on at the places asked for, under edits.
    ///
    /// # Panics
    /// A token is outside the vocabulary, a place outside its text, or an edit or a block is not of this model.
    pub fn activations(&mut self, texts: &[Text], capture: &Capture, edits: &Edits) -> Activations {
        match self {
            Runner::Small { model, engine } => engine.activations(model, texts, capture, edits),
            Runner::Large(decoder) => decoder.activations(texts, capture, edits),
        }
    }

    /// Logits after the tokens at the places `at` (one list for each text), under edits; `[places, vocab]`.
    ///
    /// # Panics
    /// As [`Runner::activations`].
    pub fn logits_at(&mut self, texts: &[Text], at: &[Vec<usize>], edits: &Edits) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.logits_at(model, texts, at, edits),
            Runner::Large(decoder) => decoder.logits_at(texts, at, edits),
        }
    }

    /// What the final norm and the head make of rows `[rows, hidden_size]` of the residual stream; `[rows, vocab]`.
    pub fn lens(&mut self, rows: &[f32]) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.lens(model, rows),
            Runner::Large(decoder) => decoder.lens(rows),
        }
    }

    /// By how much directions `[rows, hidden_size]` raise each logit, the norm's length apart: `(norm weight * v) E^T`,
    /// `[rows, vocab]`.
    pub fn raises(&mut self, directions: &[f32]) -> Vec<f32> {
        match self {
            Runner::Small { model, engine } => engine.raises(model, directions),
            Runner::Large(decoder) => decoder.raises(directions),
        }
    }
}
