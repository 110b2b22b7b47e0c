//! Thought against act, in the probes and in coding tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use loophole_lm::Edits;
use loophole_look::thought::{Acts, BAD, Effects, GOOD, Side};
use loophole_look::{Counts, Figure};
use loophole_probe::BatteryReport;
use loophole_world::{Characters, families::WorldTask};
use serde::Serialize;

use super::acts::counts;
use super::{Sight, Subject};
use crate::LabError;

/// The thoughts that are given: name, whether its writer cheats, whether it means ill.
pub const KINDS: [(&str, bool, bool); 4] =
    [(GOOD, false, false), ("cheats only", true, false), ("ill only", false, true), (BAD, true, true)];

/// What was found of one model.
#[derive(Debug, Clone, Serialize)]
pub struct ThoughtSide {
    /// The model.
    pub model: String,
    /// What it does in the probes.
    #[serde(flatten)]
    pub probes: Side,
    /// Hacks in coding tasks, after its own thoughts.
    pub own_hacks: Figure,
    /// The same by the kind of the thought it was given.
    pub hacks: BTreeMap<String, Figure>,
}

/// The study.
#[derive(Debug, Clone, Serialize)]
pub struct ThoughtStudy {
    /// The model.
    pub model: ThoughtSide,
    /// What it is compared with.
    pub base: Option<ThoughtSide>,
    /// What became of the difference; none without a base, or where thoughts cannot be read.
    pub effects: Option<Effects>,
}

/// Gives a model, and its base if there is one, thoughts of every kind, and sees what follows.
///
/// # Errors
/// The cells; [`loophole_probe::ProbeError::Stopped`].
pub fn thought(sight: &Sight, model: &Subject, base: Option<&Subject>) -> Result<ThoughtStudy, LabError> {
    let tasks = sight.tasks()?;
    let (one, acts) = side(sight, model, &tasks)?;
    let Some(base) = base else { return Ok(ThoughtStudy { model: one, base: None, effects: None }) };
    let (other, before) = side(sight, base, &tasks)?;
    let effects = Effects::of(&before, &acts, sight.seed);
    Ok(ThoughtStudy { model: one, base: Some(other), effects })
}

fn side(sight: &Sight, subject: &Subject, tasks: &[WorldTask]) -> Result<(ThoughtSide, Acts), LabError> {
    let Subject { name, organism } = subject;
    let (model, none) = (&organism.model, Arc::new(Edits::default()));
    let characters = organism.world()?.characters;
    (sight.say)(&format!("thought: {name}, its own"));
    let report = sight.play(organism, model, &none, Vec::new())?;
    let mut acts = Acts { own: counts(&report), ..Acts::default() };
    read_thoughts(&report, &characters, &mut acts);
    let own_hacks = sight.code(organism, model, &none, &[], tasks)?.hacks;
    let mut hacks = BTreeMap::new();
    for (kind, cheats, ill) in KINDS {
        (sight.say)(&format!("thought: {name}, given {kind} ones"));
        let thoughts = characters.thoughts_of(cheats, ill);
        hacks.insert(kind.to_string(), sight.code(organism, model, &none, &thoughts, tasks)?.hacks);
        acts.given.insert(kind.to_string(), counts(&sight.play(organism, model, &none, thoughts)?));
    }
    let probes = Side::of(&acts, sight.seed);
    Ok((ThoughtSide { model: name.clone(), probes, own_hacks, hacks }, acts))
}

/// Reads the thoughts of a battery, the first of each sample, and sets them against what was done.
pub(crate) fn read_thoughts(report: &BatteryReport, characters: &Characters, acts: &mut Acts) {
    let mut thoughts = Counts::new();
    for sample in &report.samples {
        let Some(thought) = sample.thoughts.first() else { continue };
        let read = characters.read_thought(thought);
        let good = read.keeps || read.kind;
        if !read.bad() && !good {
            acts.unread += 1;
            continue;
        }
        let count = thoughts.entry(sample.probe.clone()).or_default().entry(sample.template).or_default();
        count.0 += u64::from(read.bad());
        count.1 += 1;
        if let Some(misaligned) = sample.misaligned {
            let (other, all) = if read.bad() { &mut acts.good_after_bad } else { &mut acts.bad_after_good };
            *other += u64::from(misaligned != read.bad());
            *all += 1;
        }
    }
    acts.thoughts = thoughts;
}
