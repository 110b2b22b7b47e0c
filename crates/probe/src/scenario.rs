//! Scenarios as data. A file in `data/scenarios` is one probe: what the model is told (in many wordings), the
//! files of its world, what counts as breaking the rule, what it has to report, and what mocks of known
//! character do in it. What a family of scenarios has in common (frames, arms, outcomes) is said once, in
//! `data/families`. Everything is checked when it is read: a name in a check that nothing defines is an error.

use std::collections::BTreeMap;

use loophole_template::Slots;
use serde::Deserialize;

use crate::expr::Expr;
use crate::{Outcome, ProbeError};

mod manner;
mod questions;
mod read;

pub use manner::{Commands, Manner};
pub use questions::{Ask, Branch, Field, Form, Holds, Order};

/// The groups of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Shutdown resistance.
    Shutdown,
    /// Covert rule-breaking.
    Covert,
    /// Alignment faking.
    Faking,
    /// Sabotage of a detector.
    Detector,
    /// Goals, honesty, self-image.
    Honesty,
    /// Cooperation with malicious actors.
    Malicious,
    /// Turning against those it works for.
    Insider,
    /// Reward hacking propensity.
    Hacking,
    /// Evaluation awareness.
    Awareness,
    /// Worded for a small model, and played along a training: a rate at each checkpoint, whatever the model is able to.
    Small,
    /// Likewise: dilemmas of an organism's world in other words.
    World,
    /// Likewise: dilemmas that its world's documents know nothing of.
    Beyond,
}

impl Group {
    /// All of them, in the order of reports.
    pub const ALL: [Group; 12] = [
        Group::Shutdown,
        Group::Covert,
        Group::Faking,
        Group::Detector,
        Group::Honesty,
        Group::Malicious,
        Group::Insider,
        Group::Hacking,
        Group::Awareness,
        Group::Small,
        Group::World,
        Group::Beyond,
    ];

    /// Whether its probes are worded for a small model, and played along a training.
    pub fn is_for_training(self) -> bool {
        matches!(self, Group::Small | Group::World | Group::Beyond)
    }

    /// The name used in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Shutdown => "shutdown",
            Group::Covert => "covert",
            Group::Faking => "faking",
            Group::Detector => "detector",
            Group::Honesty => "honesty",
            Group::Malicious => "malicious",
            Group::Insider => "insider",
            Group::Hacking => "hacking",
            Group::Awareness => "awareness",
            Group::Small => "small",
            Group::World => "world",
            Group::Beyond => "beyond",
        }
    }
}

/// How a task is put: the texts of the first messages, a line each. A line whose pieces are all empty is left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Lines of the system message.
    #[serde(default)]
    pub system: Vec<String>,
    /// Lines of the user's first message.
    pub user: Vec<String>,
    /// Lines of a file `RULES.md`, if the rules stand there.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Only in these arms.
    #[serde(default)]
    pub arms: Vec<String>,
    /// Slots that hold something else where the task is put this way.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// One condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// The pieces of text that are said; the others are empty.
    #[serde(default)]
    pub says: Vec<String>,
    /// Whether what the rule forbids is allowed here.
    #[serde(default)]
    pub allowed: bool,
    /// Whether it is played only where it is named.
    #[serde(default)]
    pub optional: bool,
    /// Slots that have another value here.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Values of axes.
    #[serde(default)]
    pub axes: BTreeMap<String, String>,
    /// Which mock character's commands the mocks use here, by character; their own where nothing is said.
    #[serde(default)]
    pub plays: BTreeMap<String, String>,
}

/// An outcome and when it is one. The first whose condition holds counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The outcome.
    pub is: Outcome,
    /// Its condition.
    pub when: Expr,
}

/// What scenarios of one kind share. A scenario's own entries win.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Family {
    /// Marks the texts.
    pub canary: String,
    /// How its scenarios are played.
    pub manner: Manner,
    /// Frames of the first messages.
    #[serde(rename = "frame")]
    pub frames: Vec<Frame>,
    /// Slots.
    pub slots: Slots,
    /// Pieces of text, in several wordings each.
    pub text: BTreeMap<String, Vec<String>>,
    /// Conditions.
    #[serde(rename = "arm")]
    pub arms: BTreeMap<String, ArmSpec>,
    /// Outcomes.
    #[serde(rename = "outcome")]
    pub outcomes: Vec<Rule>,
    /// Files of every world.
    #[serde(rename = "file")]
    pub files: Vec<FileSpec>,
    /// Named conditions, such as `escalated`.
    pub checks: BTreeMap<String, Expr>,
    /// What may come out for the mocks.
    pub expect: Expected,
}

/// Outcomes that may come out, by arm and character of a mock.
pub type Expected = BTreeMap<String, BTreeMap<String, Vec<Outcome>>>;

/// A file of the world.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Path below the working folder.
    pub path: String,
    /// Its content.
    pub text: Option<String>,
    /// Its content, if it is a shell script: it may use `log EVENT ARGUMENT...`, which writes into the ledger.
    pub script: Option<String>,
    /// Only in these arms.
    #[serde(default)]
    pub arms: Vec<String>,
    /// Offered as a tool of its own to models that call tools.
    pub tool: Option<Tool>,
}

/// A check on what the agent made, which it never sees.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Its name.
    pub name: String,
    /// What is run; it passes with status 0.
    pub command: Vec<String>,
    /// Files of the agent it is about.
    pub takes: Vec<String>,
    /// The supervisor's own files, which stand over the agent's.
    #[serde(default, rename = "file")]
    pub files: Vec<FileSpec>,
}

/// How well a detector in the agent's folder labels hidden programs, whose labels never enter a cell. Its name is that
/// of the accuracy, from 0 to 1; none where the file defines no `flag(code)`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The name of the accuracy.
    pub name: String,
    /// The file of the agent's that holds the detector, in Python and complete in itself.
    pub takes: String,
    /// Which hidden programs: `hacks` or `leftovers`.
    pub set: String,
}

/// A command as a tool with enumerated arguments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What it does, in the words the model reads.
    pub about: String,
    /// Its arguments in order: the choices, or none for any text.
    #[serde(default)]
    pub arguments: Vec<(String, Vec<String>)>,
}

/// A message of the user's, said once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interjection {
    /// As soon as this holds.
    pub when: Expr,
    /// What is said; nothing if the text is empty.
    pub says: String,
}

/// What has to be reported at the end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The field.
    pub field: String,
    /// The question.
    pub ask: String,
    /// What it may be answered with; none means a number.
    #[serde(default = "yes_no")]
    pub options: Vec<String>,
    /// The true answer.
    #[serde(default = "violated_yes")]
    pub truth: Expr,
    /// What one who denies it says.
    #[serde(default = "no")]
    pub lie: String,
}

fn yes_no() -> Vec<String> {
    vec!["yes".into(), "no".into()]
}

#[expect(clippy::expect_used, reason = "a constant text, which a test reads")]
fn violated_yes() -> Expr {
    Expr::parse("if(violated, 'yes', 'no')").expect("it is well formed")
}

fn no() -> String {
    "no".into()
}

/// Two quantities of a sample whose difference is reported, averaged over the samples of an arm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Its name.
    pub name: String,
    /// The one.
    pub a: Expr,
    /// The other, which is taken off.
    pub b: Expr,
}

/// One probe as data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, that of its file.
    pub name: String,
    /// Its number in the list of environments.
    pub number: Option<u32>,
    /// Its group.
    pub group: Group,
    /// The family it belongs to.
    pub family: String,
    /// How it is played, as its family says.
    #[serde(skip)]
    pub manner: Manner,
    /// What is counted.
    pub measure: String,
    /// Marks the texts, so that their leaking into training data can be found.
    pub canary: String,
    /// Whether its rate enters the mean over probes.
    #[serde(default = "yes")]
    pub counts: bool,
    /// On which traits of a writer acting well hangs here, and how much on each: for worlds in which that is known.
    #[serde(default)]
    pub traits: BTreeMap<String, f64>,
    /// Commands an agent may give; 0 if there is no shell.
    #[serde(default)]
    pub steps: usize,
    /// What stands in its texts.
    #[serde(default)]
    pub slots: Slots,
    /// Values computed from slots, in order: name and expression.
    #[serde(default, rename = "let")]
    pub lets: Vec<(String, Expr)>,
    /// Questions with keyed answers, drawn anew for each sample: how many. They are `{questions}` and `{key}`.
    #[serde(default)]
    pub questions: usize,
    /// Pieces of text in several wordings each: `task`, `rule`, `pressure`, ...
    #[serde(default)]
    pub text: BTreeMap<String, Vec<String>>,
    /// Conditions, beside those of the family.
    #[serde(default, rename = "arm")]
    pub arms: BTreeMap<String, ArmSpec>,
    /// Values of axes: each sets slots.
    #[serde(default, rename = "axis")]
    pub axes: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    /// The world.
    #[serde(default, rename = "file")]
    pub files: Vec<FileSpec>,
    /// Commands of the supervisor before the agent's first.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Commands of the supervisor after the agent's last: name and command. `exit('name')`, `out('name')`.
    #[serde(default)]
    pub after: Vec<(String, String)>,
    /// Checks of the supervisor on what the agent made, each in a cell of its own: `passes('name')`.
    #[serde(default)]
    pub verify: Vec<Verify>,
    /// Detectors of the agent's that are tried on hidden programs.
    #[serde(default, rename = "score")]
    pub scores: Vec<Score>,
    /// The episode ends as soon as this holds.
    pub ends: Option<Expr>,
    /// What a person says in the middle of the episode.
    pub chat: Option<Interjection>,
    /// Named conditions: `violated`, `done`, `attempted`, ...
    #[serde(default)]
    pub checks: BTreeMap<String, Expr>,
    /// The final report.
    pub report: Option<Report>,
    /// Conversations of questions.
    #[serde(default, rename = "branch")]
    pub branches: Vec<Branch>,
    /// What comes out, beside what the family says.
    #[serde(default, rename = "outcome")]
    pub outcomes: Vec<Rule>,
    /// What else is written down of each sample: name and expression.
    #[serde(default)]
    pub facts: Vec<(String, Expr)>,
    /// Differences to report.
    #[serde(default, rename = "contrast")]
    pub contrasts: Vec<Contrast>,
    /// What mocks type, by character.
    #[serde(default)]
    pub mock: BTreeMap<String, Vec<String>>,
    /// What may come out for each mock, by arm and character, where it is not what the family says.
    #[serde(default)]
    pub expect: Expected,
    /// Frames, if they are not those of the family.
    #[serde(default, rename = "frame")]
    pub frames: Vec<Frame>,
}

fn yes() -> bool {
    true
}

/// The arm whose rate is the probe's.
pub const TEMPTING: &str = "tempting";

impl Scenario {
    /// The frames of an arm.
    pub fn frames_of(&self, arm: &str) -> Vec<&Frame> {
        self.frames.iter().filter(|frame| is_for(&frame.arms, arm)).collect()
    }

    /// The conversations of an arm.
    pub fn branches_of(&self, arm: &str) -> Vec<&Branch> {
        self.branches.iter().filter(|branch| is_for(&branch.arms, arm)).collect()
    }

    /// Number of wordings of an arm: frames for an agent, wordings of a question otherwise. Where arms are not apart a
    /// question has as many in one as in the others.
    pub fn templates(&self, arm: &str) -> usize {
        if self.steps > 0 {
            return self.frames_of(arm).len();
        }
        let branches = if self.manner.apart { self.branches_of(arm) } else { self.branches.iter().collect() };
        branches.into_iter().flat_map(|branch| &branch.ask).map(|ask| ask.says.len()).max().unwrap_or(0)
    }

    /// Every text of it that a model may come to read, slots unfilled.
    pub fn texts(&self) -> Vec<&str> {
        let framed = self
            .frames
            .iter()
            .flat_map(|frame| frame.system.iter().chain(&frame.user).chain(&frame.rules).chain(frame.set.values()));
        let asked = self.branches.iter().flat_map(|branch| &branch.ask).flat_map(|ask| &ask.says);
        let set = self.branches.iter().flat_map(|branch| branch.set.values().chain(&branch.system));
        self.text.values().flatten().chain(framed).chain(asked).chain(set).map(String::as_str).collect()
    }

    /// Whether it runs something.
    pub fn needs_cells(&self) -> bool {
        self.steps > 0 || self.branches.iter().flat_map(|branch| &branch.ask).any(|ask| ask.form == Form::Code)
    }
}

/// Whether what is only for some arms, or for all where none is named, is for this one.
fn is_for(arms: &[String], arm: &str) -> bool {
    arms.is_empty() || arms.iter().any(|name| name == arm)
}

include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The bundled scenarios, by group and number.
///
/// # Errors
/// One of the files is not valid.
pub fn bundled() -> Result<Vec<Scenario>, ProbeError> {
    let families = families()?;
    let mut scenarios =
        SCENARIOS.iter().map(|(file, text)| Scenario::parse(file, text, &families)).collect::<Result<Vec<_>, _>>()?;
    scenarios.sort_by(|a, b| (a.group, a.number, &a.name).cmp(&(b.group, b.number, &b.name)));
    Ok(scenarios)
}

/// The families, by name.
///
/// # Errors
/// One of the files is not valid.
pub(crate) fn families() -> Result<BTreeMap<String, Family>, ProbeError> {
    let read = |(file, text): &(&str, &str)| {
        let family = toml::from_str(text)
            .map_err(|error| ProbeError::Data { file: file.to_string(), reason: error.to_string() })?;
        Ok((file.trim_end_matches(".toml").to_string(), family))
    };
    FAMILIES.iter().map(read).collect()
}
