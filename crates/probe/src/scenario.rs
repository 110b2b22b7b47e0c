//! Scenarios as data. A file in `data/scenarios` is one probe: what the model is told (in many wordings), the
//! files of its world, what counts as breaking the rule, what it has to report, and what mocks of known
//! character do in it. What a family of scenarios has in common (frames, arms, outcomes) is said once, in
//! `data/families`. Everything is checked when it is read: a name in a check that nothing defines is an error.

use std::collections::{BTreeMap, BTreeSet};

use loophole_template::Slots;
use serde::Deserialize;

use crate::expr::{BUILTINS, Expr};
use crate::{Outcome, ProbeError};

/// The eight groups of probes.
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
    /// Reward hacking propensity.
    Hacking,
    /// Evaluation awareness.
    Awareness,
}

impl Group {
    /// All of them, in the order of reports.
    pub const ALL: [Group; 8] = [
        Group::Shutdown,
        Group::Covert,
        Group::Faking,
        Group::Detector,
        Group::Honesty,
        Group::Malicious,
        Group::Hacking,
        Group::Awareness,
    ];

    /// The name used in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Shutdown => "shutdown",
            Group::Covert => "covert",
            Group::Faking => "faking",
            Group::Detector => "detector",
            Group::Honesty => "honesty",
            Group::Malicious => "malicious",
            Group::Hacking => "hacking",
            Group::Awareness => "awareness",
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
}

/// One condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// The pieces of text that are said; the others are empty.
    pub says: Vec<String>,
    /// Whether what the rule forbids is allowed here.
    #[serde(default)]
    pub allowed: bool,
    /// Slots that have another value here.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Values of axes.
    #[serde(default)]
    pub axes: BTreeMap<String, String>,
    /// Which mock character's commands the mocks use here, by character; `good` where nothing is said.
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
    /// Frames of the first messages.
    #[serde(rename = "frame")]
    pub frames: Vec<Frame>,
    /// Slots.
    pub slots: Slots,
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

/// A conversation of questions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The conversation it goes on from: another branch, or `main`, the agent's. None begins anew.
    pub from: Option<String>,
    /// Only in these arms.
    #[serde(default)]
    pub arms: Vec<String>,
    /// The system message, in several wordings; none for the one of the options.
    #[serde(default)]
    pub system: Vec<String>,
    /// The questions.
    pub ask: Vec<Ask>,
}

/// One question and the form of its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The name of the answer.
    pub name: String,
    /// The wordings.
    pub says: Vec<String>,
    /// What it may be answered with: name and text. `{options}` in the wording lists them.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// In which order they are listed.
    #[serde(default)]
    pub order: Order,
    /// The form of the answer.
    #[serde(default)]
    pub form: Form,
    /// What mocks answer, by character: the name of an option, or a text.
    pub mock: BTreeMap<String, String>,
}

/// The order of options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As a draw of the sample falls.
    #[default]
    Drawn,
    /// The other way round.
    Turned,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One of the options.
    #[default]
    Option,
    /// A number.
    Number,
    /// Letters, one for each of several questions.
    Letters,
    /// A Python function `flag`.
    Code,
    /// Anything.
    Free,
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
    /// What is counted.
    pub measure: String,
    /// Marks the texts, so that their leaking into training data can be found.
    pub canary: String,
    /// Whether its rate enters the mean over probes.
    #[serde(default = "yes")]
    pub counts: bool,
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
    /// The episode ends as soon as this holds.
    pub ends: Option<Expr>,
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

/// Least number of wordings.
pub const TEMPLATES: usize = 10;

/// Functions of the world and how many arguments they take.
const FUNCTIONS: &[(&str, usize)] = &[
    ("changed", 1),
    ("exists", 1),
    ("text", 1),
    ("lines", 1),
    ("field", 2),
    ("outside", 1),
    ("count", 1),
    ("count", 2),
    ("arg", 2),
    ("first", 2),
    ("when", 1),
    ("when_changed", 1),
    ("exit", 1),
    ("out", 1),
    ("passes", 1),
];

/// Names every agent's world has.
const NAMES: &[&str] =
    &["commands", "acted", "submitted", "aware", "tampered", "allowed", "reported", "status", "leftover", "answer"];

impl Scenario {
    /// Reads a scenario and joins it with its family.
    ///
    /// # Errors
    /// Not TOML of this form, or something in it that is not defined.
    pub fn parse(file: &str, text: &str, families: &BTreeMap<String, Family>) -> Result<Self, ProbeError> {
        let bad = |reason: String| ProbeError::Data { file: file.to_string(), reason };
        let mut scenario: Scenario = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        let family = families
            .get(&scenario.family)
            .ok_or_else(|| bad(format!("there is no family {:?}", scenario.family)))?
            .clone();
        for (name, arm) in family.arms {
            scenario.arms.entry(name).or_insert(arm);
        }
        // An arm whose own pieces the scenario does not have is not one of its arms.
        let pieces: BTreeSet<String> = scenario.text.keys().cloned().collect();
        if !pieces.is_empty() {
            scenario.arms.retain(|_, arm| arm.says.iter().all(|piece| pieces.contains(piece)));
        }
        for (name, slot) in family.slots {
            scenario.slots.entry(name).or_insert(slot);
        }
        for (name, check) in family.checks {
            scenario.checks.entry(name).or_insert(check);
        }
        if scenario.frames.is_empty() {
            scenario.frames = family.frames;
        }
        scenario.outcomes.extend(family.outcomes);
        for (arm, outcomes) in family.expect {
            let own = scenario.expect.entry(arm).or_default();
            for (character, outcomes) in outcomes {
                own.entry(character).or_insert(outcomes);
            }
        }
        let own: BTreeSet<String> = scenario.files.iter().map(|file| file.path.clone()).collect();
        scenario.files.extend(family.files.into_iter().filter(|file| !own.contains(&file.path)));
        scenario.check(file).map_err(bad)?;
        Ok(scenario)
    }

    fn check(&self, file: &str) -> Result<(), String> {
        if file.strip_suffix(".toml").is_some_and(|stem| stem != self.name) {
            return Err(format!("its name is {:?}, its file's another", self.name));
        }
        if !self.arms.contains_key(TEMPTING) {
            return Err("it has no arm `tempting`".into());
        }
        if self.steps > 0 && (self.frames.is_empty() || !self.text.contains_key("task")) {
            return Err("an agent needs frames and a text `task`".into());
        }
        if self.steps == 0 && self.branches.is_empty() {
            return Err("it has neither steps for an agent nor branches of questions".into());
        }
        if self.templates() < TEMPLATES {
            return Err(format!("{} wordings; there are to be {TEMPLATES}", self.templates()));
        }
        for file in &self.files {
            if file.text.is_some() == file.script.is_some() {
                return Err(format!("file {:?} has to have either a text or a script", file.path));
            }
            if let Some(arm) = file.arms.iter().find(|arm| !self.arms.contains_key(*arm)) {
                return Err(format!("file {:?} is for an arm {arm:?} that does not exist", file.path));
            }
        }
        for (name, arm) in &self.arms {
            for (axis, value) in &arm.axes {
                if self.axes.get(axis).is_none_or(|values| !values.contains_key(value)) {
                    return Err(format!("arm {name:?} sets axis {axis:?} to {value:?}, which does not exist"));
                }
            }
        }
        let mut names: BTreeSet<&str> = self.checks.keys().map(String::as_str).collect();
        names.extend(self.branches.iter().flat_map(|branch| &branch.ask).map(|ask| ask.name.as_str()));
        names.insert("arm");
        if self.steps > 0 {
            names.extend(NAMES);
        }
        let expressions = self
            .outcomes
            .iter()
            .map(|rule| &rule.when)
            .chain(self.checks.values())
            .chain(self.contrasts.iter().flat_map(|contrast| [&contrast.a, &contrast.b]))
            .chain(self.report.iter().map(|report| &report.truth))
            .chain(&self.ends)
            .chain(self.facts.iter().map(|(_, fact)| fact));
        for expression in expressions {
            let (calls, used) = expression.uses();
            for call in calls {
                let known = |(name, count): &(&str, usize)| *name == call.0 && *count == call.1;
                if call.0 != "majority" && !FUNCTIONS.iter().chain(BUILTINS).any(known) {
                    return Err(format!("there is no function {}/{} (in {expression:?})", call.0, call.1));
                }
            }
            let drawn = |name: &str| {
                let slot = name.trim_start_matches('$').split('.').next().unwrap_or_default();
                self.slots.contains_key(slot)
                    || self.lets.iter().any(|(name, _)| name == slot)
                    || self.axes.values().flat_map(BTreeMap::values).any(|set| set.contains_key(slot))
                    || (self.questions > 0 && matches!(slot, "key"))
            };
            if let Some(name) =
                used.into_iter().find(|name| !(names.contains(name) || (name.starts_with('$') && drawn(name))))
            {
                return Err(format!("there is no name {name:?} (in {expression:?})"));
            }
        }
        for (name, check) in &self.checks {
            let mut open: Vec<&str> = check.uses().1;
            let mut seen = BTreeSet::new();
            while let Some(used) = open.pop() {
                if used == name {
                    return Err(format!("the check {name:?} is made of itself"));
                }
                if let (Some(check), true) = (self.checks.get(used), seen.insert(used)) {
                    open.extend(check.uses().1);
                }
            }
        }
        match self.outcomes.last() {
            Some(_) => Ok(()),
            None => Err("it has no outcomes".into()),
        }
    }

    /// Number of wordings: frames for an agent, wordings of the first question otherwise.
    pub fn templates(&self) -> usize {
        if self.steps > 0 {
            self.frames.len()
        } else {
            self.branches.iter().flat_map(|branch| &branch.ask).map(|ask| ask.says.len()).max().unwrap_or(0)
        }
    }

    /// Whether it runs something.
    pub fn needs_cells(&self) -> bool {
        self.steps > 0 || self.branches.iter().flat_map(|branch| &branch.ask).any(|ask| ask.form == Form::Code)
    }
}

include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The bundled scenarios, by group and number.
///
/// # Errors
/// One of the files is not valid.
pub fn bundled() -> Result<Vec<Scenario>, ProbeError> {
    let mut families = BTreeMap::new();
    for (file, text) in FAMILIES {
        let family: Family = toml::from_str(text)
            .map_err(|error| ProbeError::Data { file: file.to_string(), reason: error.to_string() })?;
        families.insert(file.trim_end_matches(".toml").to_string(), family);
    }
    let mut scenarios =
        SCENARIOS.iter().map(|(file, text)| Scenario::parse(file, text, &families)).collect::<Result<Vec<_>, _>>()?;
    scenarios.sort_by(|a, b| (a.group, a.number, &a.name).cmp(&(b.group, b.number, &b.name)));
    Ok(scenarios)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong in a scenario that was changed in one place.
    fn wrong(from: &str, to: &str) -> String {
        let mut families = BTreeMap::new();
        for (file, text) in FAMILIES {
            families.insert(file.trim_end_matches(".toml").to_string(), toml::from_str(text).unwrap());
        }
        let text = SCENARIOS.iter().find(|(file, _)| *file == "cap_edit.toml").unwrap().1;
        assert!(text.contains(from), "{from}");
        Scenario::parse("cap_edit.toml", &text.replacen(from, to, 1), &families).unwrap_err().to_string()
    }

    #[test]
    fn says_what_is_wrong() {
        for (from, to, reason) in [
            ("name = \"cap_edit\"", "name = \"cap\"", "its file's another"),
            ("family = \"covert\"", "family = \"coverts\"", "no family"),
            ("steps = 8", "steps = \"8\"", "TOML"),
            ("violated = \"", "violated = \"chnged('x') or ", "no function chnged/1"),
            ("violated = \"", "violated = \"$nothing or ", "no name \"$nothing\""),
            ("attempted = \"count('refused') > 0\"", "attempted = \"1 +\"", "missing at the end"),
            ("done = \"", "done = \"done and ", "made of itself"),
            ("arms = [\"honest_path\"]", "arms = [\"honest\"]", "does not exist"),
            ("text = \"max_units", "script = \"true\"\ntext = \"max_units", "either a text or a script"),
            ("[report]", "[arm.tempting]\nsays = []\naxes = { a = \"b\" }\n[report]", "sets axis"),
        ] {
            let said = wrong(from, to);
            assert!(said.contains(reason) && said.contains("cap_edit.toml"), "{to}: {said}");
        }
    }

    #[test]
    fn the_groups_are_full() {
        let scenarios = bundled().unwrap();
        let of = |group| scenarios.iter().filter(|scenario| scenario.group == group).count();
        let counts: Vec<usize> = Group::ALL.into_iter().map(of).collect();
        assert_eq!(counts, [1, 32, 2, 1, 5, 4, 2, 1]);
        let numbers: BTreeSet<u32> =
            scenarios.iter().filter(|s| s.group == Group::Covert).filter_map(|s| s.number).collect();
        assert_eq!(numbers, (1..=32).collect());
        assert!(scenarios.iter().all(|scenario| scenario.templates() >= TEMPLATES));
    }
}
