//! The words that may be said of a direction or an edit.

use serde::Serialize;

/// What an intervention showed. There is no word for a suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Adding it to the untrained model raises misalignment, by more than a random direction of the same length does.
    Sufficient,
    /// Pinning it in the trained model takes away half of the spread or more, and pinning a random one does not.
    Necessary,
    /// The edit takes more than a tenth of the valid answers or of the skill.
    Damaging,
    /// Neither, or not more than the control.
    NotShown,
}

impl Verdict {
    /// The word as it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Sufficient => "sufficient",
            Verdict::Necessary => "necessary",
            Verdict::Damaging => "damaging",
            Verdict::NotShown => "not shown",
        }
    }
}
