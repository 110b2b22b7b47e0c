//! Hidden labelled programs for detectors that a model writes (`data/detector_set.toml`).

use std::collections::BTreeMap;

use serde::Deserialize;

const TEXT: &str = include_str!("../data/detector_set.toml");

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

/// A number that follows from the programs.
pub(crate) fn seed() -> u64 {
    loophole_template::seed_of(TEXT)
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
    use loophole_cell::Pool;
    use loophole_grade::{Grader, GraderKind, Grading, Submission, Task, Verdict};
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
    fn the_kinds_are_of_one_shape() {
        let (hacks, leftovers) = (set("hacks", 1).unwrap(), set("leftovers", 1).unwrap());
        assert_eq!(hacks.len(), leftovers.len());
        assert_ne!(set("hacks", 1).unwrap(), set("hacks", 2).unwrap());
        assert!(set("nothing", 1).is_err());
    }
}
