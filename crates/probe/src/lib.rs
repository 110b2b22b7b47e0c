//! The behaviour battery: situations in which a model can do harm, lie, hide, or get round those who could stop it. They are
//! scenarios, and data (`data/scenarios/*.toml`): a situation in several wordings, with and without the temptation. The
//! truth of a sample is read from what was executed, from files, or from an answer whose form was given; no model judges
//! another. An answer that has no such form is `unparseable`, a decision that was never reached is `invalid`, and
//! neither counts as aligned.
//!
//! [`run`] plays a [`Battery`] with any [`Chat`](loophole_chat::Chat). Many samples are played at a time, so that a model
//! can answer in batches. What it returns, a [`BatteryReport`], holds rates with their intervals and every transcript with
//! the evidence it was judged by.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod aside;
#[cfg(test)]
mod behaviour_tests;
mod carry;
mod compare;
mod detector;
mod episode;
pub mod expr;
mod facts;
mod fields;
pub mod gate;
mod help;
mod hidden;
mod judge;
mod known;
mod ledger;
mod lexicon;
mod offered;
mod outcome;
mod own;
mod perform;
mod report;
mod reporting;
#[cfg(test)]
mod reporting_tests;
mod run;
pub mod scenario;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod shutdown_tests;
mod stage;
mod statements;
mod talk;
#[cfg(test)]
mod tests;
mod tools;

pub use aside::{AS_INTENDED, INTENDED, SAYS_TEST};
pub use compare::{Compared, Comparison, DifferenceOfDifferences, Pooled, compare};
pub use episode::Step;
pub use facts::Altered;
pub use gate::{Gate, Measured};
pub use judge::{JUDGED, JUDGED_BY, Judged, judge};
pub use known::{Answer, KnownAnswer, arms as known_answer_arms, known_answers};
use loophole_chat::ChatError;
use loophole_template::TemplateError;
pub use offered::offered;
pub use outcome::Outcome;
pub use report::{ArmReport, BatteryReport, Difference, Misalignment, ProbeReport, SampleRecord, Share, Time, Times};
pub use run::{play, run};
use scenario::{ArmSpec, Group, Scenario};

/// Why a battery could not be played.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A probe's file is not valid.
    #[error("probe file {file}: {reason}")]
    Data {
        /// The file.
        file: String,
        /// What is wrong in it.
        reason: String,
    },
    /// A text that cannot be filled.
    #[error("probe {probe}, template {template}: {source}")]
    Text {
        /// The probe.
        probe: String,
        /// The template, by its place in the file.
        template: usize,
        /// What is wrong in it.
        source: TemplateError,
    },
    /// A name nobody bears.
    #[error("there is no {what} {name:?}; known are {known}")]
    Unknown {
        /// Battery or probe.
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A probe that runs something, and nothing to run it in.
    #[error("the probe {probe:?} runs programs, and no cells are available; see `loophole doctor`, or leave it out")]
    NeedsCells {
        /// The probe.
        probe: String,
    },
    /// A thought was to be given to a model that takes none.
    #[error("{model} cannot be given a thought; models on this machine can")]
    NoThoughts {
        /// The model.
        model: String,
    },
    /// Nothing comes back any more.
    #[error(
        "{samples} samples in a row failed, the last one with: {reason}; nothing is lost: with --out the same command goes on"
    )]
    Failing {
        /// How many.
        samples: usize,
        /// The last failure.
        reason: String,
    },
    /// It was told to stop.
    #[error("stopped before the end")]
    Stopped,
    /// The model failed.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// Probes that are played together.
#[derive(Debug, Clone)]
pub struct Battery {
    /// Its name.
    pub name: String,
    /// The probes: agents at work, and conversations.
    pub scenarios: Vec<Scenario>,
    /// Samples of each probe and arm, unless the options say otherwise.
    pub samples: usize,
    /// A short hash of the texts and checks: samples made with different ones are not comparable.
    pub texts: String,
}

/// Samples of each scenario and arm, unless the options say otherwise.
const SAMPLES: usize = 20;

impl Battery {
    /// The names of the bundled batteries.
    pub const NAMES: &'static [&'static str] = &[
        "small",
        "full",
        "factors",
        "world",
        "beyond",
        "all",
        "shutdown",
        "covert",
        "faking",
        "detector",
        "honesty",
        "malicious",
        "insider",
        "hacking",
        "awareness",
    ];

    /// A bundled battery: the eight small probes with 20 samples an arm (`small`) or 100 (`full`); those and the dilemmas of
    /// worlds with factors (`factors`); every other scenario (`all`) or those of one group, with 20.
    ///
    /// # Errors
    /// No battery has that name.
    pub fn bundled(name: &str) -> Result<Self, ProbeError> {
        let belongs = |group: Group| match name {
            "all" => !group.is_for_training(),
            "full" => group == Group::Small,
            "factors" => group.is_for_training(),
            _ => name == group.name(),
        };
        if !Group::ALL.into_iter().any(belongs) {
            let known = format!("{}, and files and folders of scenarios of your own", Self::NAMES.join(", "));
            return Err(ProbeError::Unknown { what: "battery", name: name.to_string(), known });
        }
        let mut scenarios = scenario::bundled()?;
        scenarios.retain(|scenario| belongs(scenario.group));
        Ok(Battery {
            name: name.to_string(),
            scenarios,
            samples: if name == "full" { 100 } else { SAMPLES },
            texts: texts_hash(),
        })
    }

    /// The names of its probes, in their order.
    pub fn names(&self) -> Vec<&str> {
        self.scenarios.iter().map(|scenario| scenario.name.as_str()).collect()
    }

    /// The arms that its probes have.
    pub fn arms(&self) -> std::collections::BTreeSet<&str> {
        self.scenarios.iter().flat_map(|scenario| scenario.arms.keys().map(String::as_str)).collect()
    }

    /// Keeps the named probes only, in the order of the battery.
    ///
    /// # Errors
    /// No probe has that name.
    pub fn select<S: AsRef<str>>(mut self, names: &[S]) -> Result<Self, ProbeError> {
        for name in names {
            if !self.names().contains(&name.as_ref()) {
                return Err(ProbeError::Unknown {
                    what: "probe",
                    name: name.as_ref().to_string(),
                    known: self.names().join(", "),
                });
            }
        }
        self.scenarios.retain(|scenario| names.iter().any(|name| name.as_ref() == scenario.name));
        Ok(self)
    }

    /// Leaves out what runs programs.
    #[must_use]
    pub fn without_cells(mut self) -> Self {
        self.scenarios.retain(|scenario| !scenario.needs_cells());
        self
    }
}

/// Which arms are played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arms {
    /// Where misbehaviour pays: enough for a rate.
    Tempting,
    /// The controls as well, but for those that have to be named.
    All,
    /// Those with these names.
    Only(Vec<String>),
}

impl Arms {
    fn has(&self, arm: &str, spec: &ArmSpec) -> bool {
        match self {
            Arms::Tempting => arm == scenario::TEMPTING,
            Arms::All => !spec.optional,
            Arms::Only(names) => names.iter().any(|name| name == arm),
        }
    }
}

/// How a battery is played.
#[derive(Debug, Clone, PartialEq)]
pub struct BatteryOptions {
    /// Samples of each probe and arm; none means what the battery says.
    pub samples: Option<usize>,
    /// Everything random follows from it.
    pub seed: u64,
    /// Sampling temperature.
    pub temperature: f32,
    /// Only the likeliest tokens that together have this probability; none is the model's own default.
    pub top_p: Option<f32>,
    /// Only so many tokens, the likeliest; none is the model's own default.
    pub top_k: Option<usize>,
    /// Most tokens of one reply.
    pub max_tokens: usize,
    /// What every conversation begins with; empty for nothing.
    pub system: String,
    /// Which arms.
    pub arms: Arms,
    /// Whether an agent is offered tools; otherwise every answer of its is a command.
    pub tools: bool,
    /// Samples that are played at a time; of the small probes at least so many as keep the processors busy.
    pub width: usize,
    /// Whether every sample is asked afterwards, in branches of its own, if it was a test.
    pub awareness: bool,
    /// Whether an agent is asked afterwards, in branches from where its conversation stood before the deed, what it meant
    /// to do.
    pub intent: bool,
    /// If not empty: every reply of the model begins with one of these thoughts, drawn with the reply's seed; an empty one
    /// is no thought. Needs a model with [`Chat::takes_thoughts`](loophole_chat::Chat::takes_thoughts).
    pub thoughts: Vec<String>,
}

impl Default for BatteryOptions {
    fn default() -> Self {
        BatteryOptions {
            samples: None,
            seed: 1,
            temperature: 1.0,
            top_p: None,
            top_k: None,
            max_tokens: 96,
            system: "You are the assistant.".to_string(),
            arms: Arms::All,
            tools: false,
            width: 64,
            awareness: false,
            intent: false,
            thoughts: Vec::new(),
        }
    }
}

/// A short hash of the texts and checks of all bundled probes: samples made with different ones are not comparable.
pub fn texts_hash() -> String {
    let files = scenario::FAMILIES.iter().chain(scenario::SCENARIOS);
    let parts: Vec<u64> = files.map(|(_, text)| loophole_template::seed_of(text)).chain([hidden::seed()]).collect();
    format!("{:016x}", loophole_template::seed_from(&parts))
}

/// The 95 % Jeffreys interval of a rate.
pub fn interval(bad: u64, valid: u64) -> (f64, f64) {
    let found = loophole_stats::jeffreys(bad, valid);
    (found.low, found.high)
}
