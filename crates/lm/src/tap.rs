//! Looks at the residual stream and changes it.
//!
//! Blocks count from 0, and what is read or changed is what a block hands on (`hidden_states[block + 1]` of
//! transformers; of the last block it is the stream before the final norm). Edits are data: they have a key by which
//! kept prompts are told apart, and a derivative. They belong to one text and go by positions in it, so a row's outcome
//! still depends on what comes before it and on nothing else: cached or read again, alone or in a batch, the bits are
//! the same.

use crate::{Config, LmError, math};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;

pub(crate) mod read;

/// One change of what a block hands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The block, from 0.
    pub layer: usize,
    /// The rows it changes.
    pub span: Span,
    /// The change.
    pub what: What,
}

/// What is done to a row of the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `h += v`; how strongly is in it. `[hidden_size]`.
    Add(Arc<[f32]>),
    /// `h += (at - h·u) u`: the coordinate along `u` is set, everything across it left alone.
    Pin {
        /// `u`, of length 1. `[hidden_size]`.
        unit: Arc<[f32]>,
        /// What the coordinate is set to.
        at: f32,
    },
}

/// The rows of a text that an edit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// All of them.
    Everywhere,
    /// From the last token of the prompt on: each row that has a say in what is drawn next.
    Answer,
    /// As `Answer`, up to the token that ends the thought: its row is the first that is left alone. A prompt that ends
    /// with that token has no such rows.
    Thought,
}

impl Span {
    /// The name it has in files.
    pub fn name(self) -> &'static str {
        match self {
            Span::Everywhere => "everywhere",
            Span::Answer => "answer",
            Span::Thought => "thought",
        }
    }
}

/// The edits of one text, applied in their order; the default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    list: Vec<Edit>,
    /// The token that ends a thought.
    thought_end: Option<u32>,
    key: u64,
    /// Key of those that change the prompt, which several answers may share.
    everywhere: u64,
}

impl Edits {
    /// Edits in the order in which they are applied. `thought_end` is the token that ends a thought; without one
    /// [`Span::Thought`] has no end.
    ///
    /// # Errors
    /// A number is not finite, or a direction to pin is not of length 1.
    pub fn new(list: Vec<Edit>, thought_end: Option<u32>) -> Result<Edits, LmError> {
        for Edit { layer, what, .. } in &list {
            let wrong = |what: String| Err(LmError::Edit { layer: *layer, what });
            let (vector, at) = match what {
                What::Add(vector) => (vector, 0.0),
                What::Pin { unit, at } => (unit, *at),
            };
            if !at.is_finite() || vector.iter().any(|x| !x.is_finite()) {
                return wrong("has a number that is not finite".into());
            }
            let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if matches!(what, What::Pin { .. }) && (length - 1.0).abs() > 1e-3 {
                return wrong(format!("pins along a direction of length {length:.4}; it must be 1"));
            }
        }
        let thought_end = thought_end.filter(|_| list.iter().any(|edit| edit.span == Span::Thought));
        let everywhere = key(list.iter().filter(|edit| edit.span == Span::Everywhere), None);
        Ok(Edits { key: key(list.iter(), thought_end), everywhere, list, thought_end })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The edits, in the order in which they are applied.
    pub fn list(&self) -> &[Edit] {
        &self.list
    }

    /// The token that ends a thought, if an edit asks for it.
    pub fn thought_end(&self) -> Option<u32> {
        self.thought_end
    }

    /// Tells edits apart, the same on every machine; 0 for none.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The key of those that change rows of the prompt before its last.
    pub(crate) fn prompt_key(&self) -> u64 {
        self.everywhere
    }

    /// Whether some begin with the answer.
    pub(crate) fn in_answer(&self) -> bool {
        self.key != self.everywhere
    }

    /// Checks that a model has these blocks, of this width.
    ///
    /// # Errors
    /// It has not.
    pub fn check(&self, config: &Config) -> Result<(), LmError> {
        let (layers, h) = (config.num_hidden_layers, config.hidden_size);
        for Edit { layer, what, .. } in &self.list {
            let (What::Add(vector) | What::Pin { unit: vector, .. }) = what;
            if *layer >= layers || vector.len() != h {
                let what = format!("is for a width of {}; the model has {layers} blocks of width {h}", vector.len());
                return Err(LmError::Edit { layer: *layer, what });
            }
        }
        Ok(())
    }
}

/// 64 bits of a hash of everything that edits say.
fn key<'a>(edits: impl Iterator<Item = &'a Edit>, thought_end: Option<u32>) -> u64 {
    let mut hash = Sha256::new();
    let mut count = 0u64;
    for Edit { layer, span, what } in edits {
        count += 1;
        hash.update((*layer as u64).to_le_bytes());
        hash.update(span.name());
        let (kind, vector, at) = match what {
            What::Add(vector) => ("add", vector, 0.0),
            What::Pin { unit, at } => ("pin", unit, *at),
        };
        hash.update(kind);
        hash.update(at.to_le_bytes());
        hash.update((vector.len() as u64).to_le_bytes());
        vector.iter().for_each(|x| hash.update(x.to_le_bytes()));
    }
    if count == 0 {
        return 0;
    }
    hash.update(thought_end.map_or(u64::MAX, u64::from).to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    // 0 is kept for none.
    u64::from_le_bytes(first).max(1)
}

/// Where the spans of one text lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reach {
    /// First row of the answer.
    pub from: usize,
    /// First row after the thought.
    over: usize,
}

impl Reach {
    /// Of a text whose answer begins at the token `answer`.
    pub fn new(edits: &Edits, tokens: &[u32], answer: usize) -> Reach {
        let mut reach = Reach { from: answer.saturating_sub(1), over: usize::MAX };
        if edits.thought_end.is_some() {
            for (position, token) in tokens.iter().enumerate().skip(reach.from) {
                reach.goes_on(edits, *token, position);
            }
        }
        reach
    }

    /// Notes a token that was drawn.
    pub fn goes_on(&mut self, edits: &Edits, token: u32, position: usize) {
        if edits.thought_end == Some(token) {
            self.over = self.over.min(position);
        }
    }

    fn holds(self, span: Span, position: usize) -> bool {
        match span {
            Span::Everywhere => true,
            Span::Answer => position >= self.from,
            Span::Thought => position >= self.from && position < self.over,
        }
    }
}

/// The edits of one text, ready to be applied.
#[derive(Clone, Copy)]
pub(crate) struct Tap<'a> {
    pub edits: &'a Edits,
    pub reach: Reach,
}

impl<'a> Tap<'a> {
    pub fn new(edits: &'a Edits, tokens: &[u32], answer: usize) -> Tap<'a> {
        Tap { edits, reach: Reach::new(edits, tokens, answer) }
    }

    /// Those of a block that change the row at `position`.
    fn at(&self, layer: usize, position: usize) -> impl DoubleEndedIterator<Item = &'a What> {
        let reach = self.reach;
        let of = move |edit: &&Edit| edit.layer == layer && reach.holds(edit.span, position);
        self.edits.list.iter().filter(of).map(|edit| &edit.what)
    }

    /// Changes a row that a block hands on.
    pub fn apply(&self, layer: usize, position: usize, row: &mut [f32]) {
        for what in self.at(layer, position) {
            match what {
                What::Add(vector) => math::add(row, vector),
                What::Pin { unit, at } => {
                    let move_by = at - math::dot(row, unit);
                    math::axpy(row, move_by, unit);
                }
            }
        }
    }

    /// The same for the derivative of a loss with respect to the changed row: makes it that with respect to the row as
    /// it was.
    pub fn backward(&self, layer: usize, position: usize, d: &mut [f32]) {
        for what in self.at(layer, position).rev() {
            if let What::Pin { unit, .. } = what {
                let along = math::dot(d, unit);
                math::axpy(d, -along, unit);
            }
        }
    }
}

/// A text to read, and where the answer in it begins.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Token ids.
    pub tokens: &'a [u32],
    /// Place of the answer's first token: so many tokens are the prompt.
    pub answer: usize,
}

impl<'a> Text<'a> {
    /// A prompt, all of it: of an edited answer only the last row is there.
    pub fn prompt(tokens: &'a [u32]) -> Text<'a> {
        Text { tokens, answer: tokens.len() }
    }
}

/// What to read of the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// The blocks whose output is read, from 0.
    pub layers: &'a [usize],
    /// The places where it is read.
    pub at: At<'a>,
}

/// Places in texts.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The last token of every text.
    Last,
    /// Positions, one list for each text.
    Positions(&'a [Vec<usize>]),
    /// The mean over positions, one range for each text, none of them empty.
    Mean(&'a [Range<usize>]),
}

impl At<'_> {
    /// The rows of text `text`, which has `len` tokens: the positions each is the mean of.
    fn rows(&self, text: usize, len: usize) -> Vec<Range<usize>> {
        match self {
            At::Last => std::iter::once(len - 1..len).collect(),
            At::Positions(lists) => lists[text].iter().map(|at| *at..at + 1).collect(),
            At::Mean(ranges) => vec![ranges[text].clone()],
        }
    }
}

/// What was read of the residual stream: for each row (a place in a text), one vector for each block.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    layers: Vec<usize>,
    width: usize,
    rows: Vec<(u32, u32)>,
    /// `[row][block][width]`.
    data: Vec<f32>,
}

impl Activations {
    /// The blocks, as they were asked for.
    pub fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// Width of the residual stream.
    pub fn width(&self) -> usize {
        self.width
    }

    /// For each row its text and its position (of a mean, the first position), text by text in the order asked for.
    pub fn rows(&self) -> &[(u32, u32)] {
        &self.rows
    }

    /// What the block at place `layer` of [`Activations::layers`] handed on in a row. `[width]`.
    ///
    /// # Panics
    /// There is no such row or block.
    pub fn get(&self, row: usize, layer: usize) -> &[f32] {
        assert!(layer < self.layers.len(), "block {layer} of {}", self.layers.len());
        &self.data[(row * self.layers.len() + layer) * self.width..][..self.width]
    }

    /// All of it, `[rows, layers, width]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
}
