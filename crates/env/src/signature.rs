//! How a reward function takes its arguments.

use crate::EnvError;
use serde::Deserialize;

/// How a reward function takes its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// Found out from its parameters.
    #[default]
    Auto,
    /// `f(submission: str, task: dict) -> float`
    Plain,
    /// TRL: `f(prompts, completions, **columns) -> list[float | None]`
    Trl,
    /// verl: `compute_score(data_source, solution_str, ground_truth, extra_info) -> float | dict`
    Verl,
    /// verl, a batch at a time: `compute_score(data_sources, solution_strs, ground_truths, extra_infos)`
    VerlBatch,
    /// All completions of one prompt at once, as a list in `completions`, `responses`, `generations`..., the rest as for
    /// `names`
    Group,
    /// By the names of its parameters: `completion` or `response` or `solution_str`..., `ground_truth` or `answer`...,
    /// and columns of the row
    Names,
}

impl Signature {
    /// The signature of that name.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(name: &str) -> Result<Signature, EnvError> {
        let all = [
            Signature::Auto,
            Signature::Plain,
            Signature::Trl,
            Signature::Verl,
            Signature::VerlBatch,
            Signature::Group,
            Signature::Names,
        ];
        all.into_iter().find(|s| s.name() == name).ok_or_else(|| {
            EnvError::Input(format!(
                "no signature {name:?}; known are auto, trl, verl, verl-batch, group, names, plain"
            ))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Signature::Auto => "auto",
            Signature::Plain => "plain",
            Signature::Trl => "trl",
            Signature::Verl => "verl",
            Signature::VerlBatch => "verl-batch",
            Signature::Group => "group",
            Signature::Names => "names",
        }
    }
}
