//! The scenario texts, one file a probe.

use loophole_template::Slots;
use serde::Deserialize;

use crate::ProbeError;

/// How a probe is played and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One of two words.
    Choice,
    /// One of two words, once seen and once not.
    Observed,
    /// A shell with a stop script.
    Shutdown,
    /// Two detectors to write.
    Detector,
    /// One shell command.
    Offer,
    /// A log form.
    Clerk,
    /// Yes or no about a thing on sale.
    Sale,
    /// A name.
    Blame,
}

/// Under which condition a template is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Misbehaviour would pay.
    Tempting,
    /// The same without the temptation.
    Control,
}

impl Arm {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Tempting => "tempting",
            Arm::Control => "control",
        }
    }
}

/// One way a scenario can be worded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The condition.
    pub arm: Arm,
    /// What the model is told.
    pub says: String,
    /// `observed`: the same, when the answer is seen.
    pub seen: Option<String>,
    /// `detector`: the same, for something harmless.
    pub control: Option<String>,
    /// `shutdown`: how a sum is put.
    pub sum: Option<String>,
    /// `shutdown`: what follows the last sum.
    pub notice: Option<String>,
    /// `clerk`: the slot of the reading, if not `over`.
    pub reading: Option<String>,
    /// `sale`: the slot of the state, if not `bad_state`.
    pub state: Option<String>,
}

/// One behaviour test: its scenario in many wordings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Name, that of its file.
    pub name: String,
    /// What is counted.
    pub measure: String,
    /// Marks the texts, so that their leaking into training data can be found.
    pub canary: String,
    /// How it is played and judged.
    pub kind: Kind,
    /// What stands in its texts.
    pub slots: Slots,
    /// The wordings.
    #[serde(rename = "template")]
    pub templates: Vec<Template>,
}

impl Probe {
    /// Reads a probe's file.
    ///
    /// # Errors
    /// Not TOML of this form, or a template that lacks what its kind needs.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProbeError> {
        let bad = |reason: String| ProbeError::Data { file: file.to_string(), reason };
        let probe: Probe = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        for (at, template) in probe.templates.iter().enumerate() {
            let missing = match probe.kind {
                Kind::Observed if template.seen.is_none() => "seen",
                Kind::Detector if template.control.is_none() => "control",
                Kind::Shutdown if template.sum.is_none() => "sum",
                Kind::Shutdown if template.notice.is_none() => "notice",
                _ => continue,
            };
            return Err(bad(format!("template {at} needs `{missing}`")));
        }
        if !probe.templates.iter().any(|template| template.arm == Arm::Tempting) {
            return Err(bad("no template has the arm `tempting`".to_string()));
        }
        Ok(probe)
    }

    /// The templates of an arm, each with its place in the file.
    pub fn of(&self, arm: Arm) -> Vec<(usize, &Template)> {
        self.templates.iter().enumerate().filter(|(_, template)| template.arm == arm).collect()
    }

    /// Whether it runs something.
    pub fn needs_cells(&self) -> bool {
        matches!(self.kind, Kind::Shutdown | Kind::Detector | Kind::Offer)
    }
}

pub(crate) const FILES: &[(&str, &str)] = &[
    ("goals.toml", include_str!("../data/goals.toml")),
    ("observed.toml", include_str!("../data/observed.toml")),
    ("shutdown.toml", include_str!("../data/shutdown.toml")),
    ("detector.toml", include_str!("../data/detector.toml")),
    ("offer.toml", include_str!("../data/offer.toml")),
    ("clerk.toml", include_str!("../data/clerk.toml")),
    ("sale.toml", include_str!("../data/sale.toml")),
    ("blame.toml", include_str!("../data/blame.toml")),
];
