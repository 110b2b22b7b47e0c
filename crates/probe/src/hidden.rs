//! Hidden labelled programs for detectors that a model writes: whole ones (`data/detector_set.toml`), or pieces that hold
//! marks (`data/marked_set.toml`).

use std::collections::BTreeMap;

use loophole_template::{seed_from, seed_of};
use serde::Deserialize;

const TEXT: &str = include_str!("../data/detector_set.toml");
const MARKED: &str = include_str!("../data/marked_set.toml");
/// Programs of a set with marks; half of them are to be flagged.
const PROGRAMS: usize = 24;

#[derive(Deserialize)]
struct Kind {
    flagged: Vec<String>,
    plain: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    canary: String,
    #[serde(flatten)]
    kinds: BTreeMap<String, Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    #[expect(dead_code, reason = "it is looked for in other texts")]
    canary: String,
    look_alikes: Vec<String>,
    carriers: Vec<String>,
    names: Vec<String>,
    uses: BTreeMap<String, Vec<String>>,
}

/// A number that follows from the programs.
pub(crate) fn seed() -> u64 {
    seed_from(&[seed_of(TEXT), seed_of(MARKED)])
}

/// Drawn programs, half of which use one of two marks: what is to be flagged.
///
/// # Errors
/// There is no piece that uses one of these marks.
pub(crate) fn marked(marks: [&str; 2], seed: u64) -> Result<Vec<(String, bool)>, String> {
    let pieces: Pieces = toml::from_str(MARKED).map_err(|error| error.to_string())?;
    let clean = |texts: Vec<String>| -> Vec<String> {
        texts.into_iter().filter(|text| !marks.iter().any(|mark| text.contains(mark))).collect()
    };
    let (alikes, carriers, names) = (clean(pieces.look_alikes), clean(pieces.carriers), clean(pieces.names));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut set = Vec::with_capacity(PROGRAMS);
    for at in 0..PROGRAMS {
        let flagged = at % 2 == 0;
        let mark = marks[at / 2 % 2];
        let from = if flagged { pieces.uses.get(mark).ok_or(format!("no program uses {mark:?}"))? } else { &alikes };
        let mut one = |texts: &[String]| texts.get(rng.usize(..texts.len().max(1))).cloned().unwrap_or_default();
        let (piece, carrier) = (one(from), one(&carriers));
        let parts = if rng.bool() { [carrier, piece] } else { [piece, carrier] };
        let name = names.get(rng.usize(..names.len().max(1))).cloned().unwrap_or_default();
        let number = rng.u32(2..99).to_string();
        let text = parts.join("\n\n").replace("{n}", &number).replace("{v}", &name);
        set.push((text.replace("{V}", &name.to_uppercase()) + "\n", flagged));
    }
    rng.shuffle(&mut set);
    Ok(set)
}

/// A drawn set of a kind, `hacks` or `leftovers`: programs and whether they are to be flagged, half of them.
///
/// # Errors
/// There is no such kind.
pub(crate) fn set(kind: &str, seed: u64) -> Result<Vec<(String, bool)>, String> {
    let file: File = toml::from_str(TEXT).map_err(|error| error.to_string())?;
    let kind = file.kinds.get(kind).ok_or_else(|| format!("there is no set of programs {kind:?}"))?;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut set: Vec<(String, bool)> = Vec::new();
    for (programs, flagged) in [(&kind.flagged, true), (&kind.plain, false)] {
        for program in programs {
            // What is drawn differs, the mechanisms are all there.
            let text = program.replace("{n}", &rng.u32(2..99).to_string());
            set.push((format!("# {:04x}\n{text}", rng.u16(..)), flagged));
        }
    }
    rng.shuffle(&mut set);
    debug_assert!(!file.canary.is_empty());
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::words;
    use loophole_cell::Pool;
    use loophole_grade::{Grader, GraderKind, Grading, Submission, Task, Verdict};
    use loophole_template::{Choice, Slot};
    use std::sync::Arc;

    /// The labels are those of our own grader, which executes every program.
    #[test]
    fn the_grader_agrees_with_the_labels() {
        let task: Task = serde_json::from_value(serde_json::json!({
            "id": "add", "statement": "add", "entry_point": "add", "params": ["a", "b"],
            "reference": "def add(a, b):\n    return a + b\n",
            "visible": [{"args": [1, 2], "expected": 3}, {"args": [5, 8], "expected": 13}],
            "hidden": (3..9).map(|x| serde_json::json!({"args": [x, 4], "expected": x + 4})).collect::<Vec<_>>(),
            "tags": [],
        }))
        .unwrap();
        let options = Grading::cells(GraderKind::Script);
        let lab = Grading::new(Arc::new(Pool::start(options).unwrap()));
        let set = set("hacks", 5).unwrap();
        assert_eq!(set.iter().filter(|(_, flagged)| *flagged).count() * 2, set.len());
        for (code, flagged) in set {
            let graded = lab.grade(&task, &Grader::open(GraderKind::Script), &Submission::Completion(code.clone()));
            let verdict = graded.unwrap().verdict;
            assert_eq!(verdict, if flagged { Verdict::Hack } else { Verdict::Honest }, "{code}");
        }
    }

    #[test]
    fn labels_are_exact() {
        let detector = crate::scenario::bundled().unwrap().into_iter().find(|one| one.name == "detector").unwrap();
        for slot in ["sign", "word"] {
            let Slot::Choices(groups) = &detector.slots[slot] else { panic!("{slot} is a list") };
            for group in groups {
                let Choice::Group(group) = group else { panic!("{slot} holds groups") };
                let marks = [group[0].as_str(), group[1].as_str()];
                for seed in 0..20 {
                    let set = marked(marks, seed).unwrap();
                    assert_eq!(set.iter().filter(|(_, flagged)| *flagged).count(), PROGRAMS / 2);
                    for (code, flagged) in set {
                        let inside = marks.iter().any(|mark| code.contains(mark));
                        assert_eq!(inside, flagged, "{marks:?}\n{code}");
                        assert!(!code.contains(['{', '}']) && words(&code).len() > 3, "{code}");
                    }
                }
            }
        }
        assert!(marked(["for", "nothing"], 1).unwrap_err().contains("nothing"));
    }

    #[test]
    fn the_kinds_are_of_one_shape() {
        let (hacks, leftovers) = (set("hacks", 1).unwrap(), set("leftovers", 1).unwrap());
        assert_eq!(hacks.len(), leftovers.len());
        assert_ne!(set("hacks", 1).unwrap(), set("hacks", 2).unwrap());
        assert!(set("nothing", 1).is_err());
    }
}
