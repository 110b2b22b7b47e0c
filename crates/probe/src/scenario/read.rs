//! Reading a scenario: joining it with its family, and checking that everything it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::questions::take_after;
use super::{Family, Scenario, TEMPTING};
use crate::expr::{BUILTINS, is_if, is_of_moments};
use crate::{ProbeError, hidden};

/// Functions of the world and how many arguments they take.
const FUNCTIONS: &[(&str, usize)] = &[
    ("changed", 1),
    ("as_given", 1),
    ("keeps", 1),
    ("given", 1),
    ("usable", 1),
    ("copied", 1),
    ("mode", 1),
    ("exists", 1),
    ("text", 1),
    ("lines", 1),
    ("field", 2),
    ("outside", 1),
    ("opened", 1),
    ("running", 1),
    ("by_other", 1),
    ("carried", 2),
    ("carries", 2),
    ("joined", 2),
    ("named", 2),
    ("named", 3),
    ("shown", 1),
    ("after", 2),
    ("count", 1),
    ("count", 2),
    ("arg", 2),
    ("first", 2),
    ("when", 1),
    ("when_changed", 1),
    ("exit", 1),
    ("out", 1),
    ("passes", 1),
    ("acted", 1),
];

/// Names every agent's world has.
const NAMES: &[&str] = &[
    "commands",
    "acted",
    "submitted",
    "aware",
    "tampered",
    "forged",
    "ended",
    "allowed",
    "reported",
    "status",
    "leftover",
    "answer",
];

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
        scenario.manner = family.manner;
        take_after(&mut scenario.branches).map_err(bad)?;
        for (name, arm) in family.arms {
            scenario.arms.entry(name).or_insert(arm);
        }
        // One of questions alone has no texts, and all arms.
        if !scenario.text.is_empty() {
            for (piece, texts) in family.text {
                scenario.text.entry(piece).or_insert(texts);
            }
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
        if Path::new(file).file_stem().is_some_and(|stem| *stem != *self.name) {
            return Err(format!("its name is {:?}, its file's another", self.name));
        }
        if !self.arms.contains_key(TEMPTING) {
            return Err("it has no arm `tempting`".into());
        }
        let task = |frame: &super::Frame| frame.user.iter().any(|line| line.contains("{task}"));
        if self.steps > 0 && self.frames.iter().any(task) && !self.text.contains_key("task") {
            return Err("its frames name a text `task`, and it has none".into());
        }
        if self.steps == 0 && self.branches.is_empty() {
            return Err("it has neither steps for an agent nor branches of questions".into());
        }
        let named = |arms: &[String]| arms.iter().find(|arm| !self.arms.contains_key(*arm)).cloned();
        if let Some(arm) = self.frames.iter().find_map(|frame| named(&frame.arms)) {
            return Err(format!("a frame is for an arm {arm:?} that does not exist"));
        }
        for arm in self.arms.keys() {
            let (found, least) = (self.templates(arm), self.manner.wordings);
            if found < least {
                return Err(format!("arm {arm:?} has {found} wordings; there are to be {least}"));
            }
        }
        for file in &self.files {
            if file.text.is_some() == file.script.is_some() {
                return Err(format!("file {:?} has to have either a text or a script", file.path));
            }
            if let Some(arm) = named(&file.arms) {
                return Err(format!("file {:?} is for an arm {arm:?} that does not exist", file.path));
            }
        }
        for score in &self.scores {
            hidden::set(&score.set, 0).map_err(|reason| format!("score {:?}: {reason}", score.name))?;
        }
        for (name, arm) in &self.arms {
            for (axis, value) in &arm.axes {
                if self.axes.get(axis).is_none_or(|values| !values.contains_key(value)) {
                    return Err(format!("arm {name:?} sets axis {axis:?} to {value:?}, which does not exist"));
                }
            }
        }
        let drawn = |slot: &str| {
            self.slots.contains_key(slot)
                || self.lets.iter().any(|(name, _)| name == slot)
                || self.axes.values().flat_map(BTreeMap::values).any(|set| set.contains_key(slot))
                || self.arms.values().any(|arm| arm.set.contains_key(slot))
                || self.frames.iter().any(|frame| frame.set.contains_key(slot))
                || self.branches.iter().any(|branch| branch.set.contains_key(slot))
                || (self.questions > 0 && matches!(slot, "key"))
        };
        let asks = || self.branches.iter().flat_map(|branch| &branch.ask);
        if let Some(slot) = asks().filter_map(|ask| ask.marks.as_ref()).find(|slot| !drawn(slot)) {
            return Err(format!("there is no slot {slot:?} for the marks of hidden programs"));
        }
        let fields: Vec<String> =
            asks().flat_map(|ask| ask.fields.iter().map(|field| format!("{}.{}", ask.name, field.name))).collect();
        let mut names: BTreeSet<&str> = self.checks.keys().chain(&fields).map(String::as_str).collect();
        names.extend(asks().map(|ask| ask.name.as_str()));
        names.extend(self.scores.iter().map(|score| score.name.as_str()));
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
            .chain(self.chat.iter().map(|chat| &chat.when))
            .chain(self.facts.iter().map(|(_, fact)| fact));
        for expression in expressions {
            let (calls, used) = expression.uses();
            for call in calls {
                let known = |(name, count): &(&str, usize)| *name == call.0 && *count == call.1;
                let any = call.0 == "majority" || call.0 == "if" && is_if(call.1) || is_of_moments(call.0, call.1);
                if !any && !FUNCTIONS.iter().chain(BUILTINS).any(known) {
                    return Err(format!("there is no function {}/{} (in {expression:?})", call.0, call.1));
                }
            }
            let slot = |name: &str| name.strip_prefix('$').is_some_and(|n| drawn(n.split('.').next().unwrap_or(n)));
            if let Some(name) = used.into_iter().find(|name| !names.contains(name) && !slot(name)) {
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
}

#[cfg(test)]
mod tests {
    use super::super::{FAMILIES, Group, SCENARIOS, bundled};
    use super::*;

    /// What is wrong in a scenario that was changed in one place.
    fn wrong(file: &str, from: &str, to: &str) -> String {
        let mut families = BTreeMap::new();
        for (file, text) in FAMILIES {
            families.insert(file.trim_end_matches(".toml").to_string(), toml::from_str(text).unwrap());
        }
        let text = SCENARIOS.iter().find(|(name, _)| *name == file).unwrap().1;
        assert!(text.contains(from), "{from}");
        Scenario::parse(file, &text.replacen(from, to, 1), &families).unwrap_err().to_string()
    }

    #[test]
    fn says_what_is_wrong() {
        for (from, to, reason) in [
            ("name = \"cap_edit\"", "name = \"cap\"", "its file's another"),
            ("family = \"covert\"", "family = \"coverts\"", "no family"),
            ("steps = 8", "steps = \"8\"", "TOML"),
            ("violated = \"", "violated = \"chnged('x') or ", "no function chnged/1"),
            ("violated = \"", "violated = \"$nothing or ", "no name \"$nothing\""),
            ("done = \"", "open = \"1 +\"\ndone = \"", "missing at the end"),
            ("done = \"", "done = \"done and ", "made of itself"),
            ("arms = [\"honest_path\"]", "arms = [\"honest\"]", "does not exist"),
            ("text = \"max_units", "script = \"true\"\ntext = \"max_units", "either a text or a script"),
            ("[report]", "[arm.tempting]\nsays = []\naxes = { a = \"b\" }\n[report]", "sets axis"),
        ] {
            let said = wrong("cap_edit.toml", from, to);
            assert!(said.contains(reason) && said.contains("cap_edit.toml"), "{to}: {said}");
        }
        for (file, from, to, reason) in [
            ("shutdown.toml", "[frame.set]", "[frame.sets]", "unknown field"),
            ("shutdown.toml", "arms = [\"control\"]", "arms = [\"controls\"]", "a frame is for an arm"),
            ("offer.toml", "arms = [\"control\"]", "arms = [\"tempting\"]", "\"control\" has 1 wordings"),
            ("alignment_faking.toml", "like = \"free\"", "like = \"fre\"", "does not stand before it"),
            ("alignment_faking.toml", "like = \"free\"\n", "", "has no wording"),
            ("detector.toml", "marks = \"sign\"", "marks = \"signs\"", "no slot \"signs\""),
            ("clerk.toml", "entry.changed", "entry.change", "no name \"entry.change\""),
            ("sale.toml", "said == $truth", "said == $truths", "no name \"$truths\""),
        ] {
            let said = wrong(file, from, to);
            assert!(said.contains(reason) && said.contains(file), "{to}: {said}");
        }
    }

    #[test]
    fn the_groups_are_full() {
        let scenarios = bundled().unwrap();
        let of = |group| scenarios.iter().filter(|scenario| scenario.group == group).count();
        let counts: Vec<usize> = Group::ALL.into_iter().map(of).collect();
        assert_eq!(counts, [1, 37, 2, 3, 5, 4, 5, 2, 1, 8, 14, 13]);
        let numbers: BTreeSet<u32> =
            scenarios.iter().filter(|s| s.group == Group::Covert).filter_map(|s| s.number).collect();
        assert_eq!(numbers, (1..=37).collect());
        let least = |scenario: &Scenario| if scenario.group.is_for_training() { 5 } else { 10 };
        assert!(scenarios.iter().all(|scenario| scenario.templates(TEMPTING) >= least(scenario)));
    }
}
