//! Contrasts: pairs of texts that differ in a character and in as little else as can be, as token ids.

use std::ops::Range;

use loophole_lm::{Activations, At, Capture, Edits, Runner, Text};
use loophole_template::seed_from;
use serde::Serialize;

/// Where in a text it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// At the last token of the prompt: before anything is said.
    Start,
    /// The mean over the tokens of the thought.
    Thought,
    /// At the token that ends the thought: before the act.
    Act,
    /// The mean over the answer.
    Answer,
}

impl Position {
    /// All of them.
    pub const ALL: [Position; 4] = [Position::Start, Position::Thought, Position::Act, Position::Answer];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Position::Start => "start",
            Position::Thought => "thought",
            Position::Act => "act",
            Position::Answer => "answer",
        }
    }
}

/// A text and where it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// So many of them are the prompt.
    pub answer: usize,
    /// Positions over which the mean is taken; never the first token, whose activations are of another size in many models.
    pub at: Range<usize>,
}

/// A bad text and a good one that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The bad one.
    pub bad: Reading,
    /// The good one.
    pub good: Reading,
    /// What samples resemble each other in: the template. A group is the unit of every interval.
    pub group: String,
}

/// Pairs to fit a direction on, and others to test it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contrast {
    /// What it is called: `history`, `identity`, `thought`, or a file's name.
    pub name: String,
    /// Where its texts are read.
    pub position: Position,
    /// Pairs to fit on.
    pub fit: Vec<Pair>,
    /// Pairs to test on, of other wordings.
    pub test: Vec<Pair>,
}

impl Contrast {
    /// A hash of all its tokens.
    pub fn hash(&self) -> String {
        let reading = |of: &Reading| {
            let tokens: Vec<u64> = of.tokens.iter().map(|token| u64::from(*token)).collect();
            seed_from(&[seed_from(&tokens), of.at.start as u64, of.at.end as u64])
        };
        let pairs = self.fit.iter().chain(&self.test);
        let parts: Vec<u64> = pairs.flat_map(|pair| [reading(&pair.bad), reading(&pair.good)]).collect();
        format!("{:016x}", seed_from(&parts))
    }
}

/// What a model's blocks hand on in the two texts of each pair.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// In the bad ones, a row each.
    pub bad: Activations,
    /// In the good ones.
    pub good: Activations,
    /// The group of each pair.
    pub groups: Vec<String>,
}

/// Reads texts at their places, in all blocks; a row each.
pub fn read<'a>(runner: &mut Runner, blocks: usize, readings: impl Iterator<Item = &'a Reading>) -> Activations {
    let layers: Vec<usize> = (0..blocks).collect();
    let (texts, at): (Vec<Text>, Vec<Range<usize>>) =
        readings.map(|reading| (Text { tokens: &reading.tokens, answer: reading.answer }, reading.at.clone())).unzip();
    runner.activations(&texts, &Capture { layers: &layers, at: At::Mean(&at) }, &Edits::default())
}

impl Pairs {
    /// Reads pairs in all blocks of a model.
    pub fn read(runner: &mut Runner, blocks: usize, pairs: &[Pair]) -> Self {
        Pairs {
            bad: read(runner, blocks, pairs.iter().map(|pair| &pair.bad)),
            good: read(runner, blocks, pairs.iter().map(|pair| &pair.good)),
            groups: pairs.iter().map(|pair| pair.group.clone()).collect(),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
