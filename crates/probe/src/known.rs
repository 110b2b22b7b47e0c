//! Known answers: differences between arms that others have published (`data/known_answers.toml`), beside what a model shows
//! here. A published sign that does not come back means another model than theirs, a battery that does not measure what it
//! says, or too few samples; which of these it is no number tells, but a rate should not be read before it is known.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use loophole_stats::clustered_difference;
use serde::{Deserialize, Serialize};

use crate::expr::Value;
use crate::report::SampleRecord;
use crate::{Battery, ProbeError};

/// Scenarios without which nothing is said.
const SCENARIOS: usize = 5;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contrast {
    name: String,
    source: String,
    group: String,
    more: String,
    less: String,
    published: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contrasts {
    contrast: Vec<Contrast>,
}

fn contrasts() -> Result<&'static [Contrast], ProbeError> {
    static READ: OnceLock<Result<Contrasts, String>> = OnceLock::new();
    let file = "known_answers.toml";
    let read = READ
        .get_or_init(|| toml::from_str(include_str!("../data/known_answers.toml")).map_err(|error| error.to_string()));
    match read {
        Ok(read) => Ok(&read.contrast),
        Err(reason) => Err(ProbeError::Data { file: file.into(), reason: reason.clone() }),
    }
}

/// What a published difference has become here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The interval lies on the published side of zero.
    AsPublished,
    /// It lies on the other side.
    Contrary,
    /// It holds zero.
    Undecided,
    /// Too few scenarios were played in both arms, or the rule was broken in neither of them.
    NotKnown,
}

/// A published difference beside the one found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownAnswer {
    /// What differs.
    pub name: String,
    /// Who published it.
    pub source: String,
    /// The arm in which the rule was broken more often there.
    pub more: String,
    /// The other one.
    pub less: String,
    /// The published difference of the shares of samples in which the rule was broken.
    pub published: f64,
    /// The difference here, over the pairs of samples in the same world; none where it is not known.
    pub difference: Option<f64>,
    /// Its 95 % t interval with the scenarios as units.
    pub interval: Option<[f64; 2]>,
    /// Pairs of samples, both valid or not: whether a rule was broken is known of every played one.
    pub pairs: u64,
    /// Scenarios.
    pub scenarios: usize,
    /// What it comes to.
    pub answer: Answer,
}

/// The arms that have to be played.
///
/// # Errors
/// The bundled list is broken, which a test excludes.
pub fn arms() -> Result<Vec<String>, ProbeError> {
    let mut arms: Vec<String> =
        contrasts()?.iter().flat_map(|contrast| [contrast.more.clone(), contrast.less.clone()]).collect();
    arms.sort();
    arms.dedup();
    Ok(arms)
}

/// Looks for the published differences in the samples of a battery.
///
/// # Errors
/// As [`arms`].
pub fn known_answers(battery: &Battery, samples: &[SampleRecord]) -> Result<Vec<KnownAnswer>, ProbeError> {
    Ok(contrasts()?.iter().map(|contrast| answer(contrast, battery, samples)).collect())
}

fn answer(contrast: &Contrast, battery: &Battery, samples: &[SampleRecord]) -> KnownAnswer {
    let of_group = |name: &str| {
        battery.scenarios.iter().any(|scenario| scenario.name == name && scenario.group.name() == contrast.group)
    };
    // A command has to have been given: who never acts breaks no rule in either arm.
    let violated = |sample: &SampleRecord| match (sample.steps.is_empty(), sample.facts.get("violated")) {
        (false, Some(Value::Bool(violated))) => Some(f64::from(u8::from(*violated))),
        _ => None,
    };
    let in_arm = |arm: &str| -> BTreeMap<(&str, usize), f64> {
        let played = samples.iter().filter(|sample| sample.arm == arm && of_group(&sample.probe));
        played.filter_map(|sample| Some(((sample.probe.as_str(), sample.index), violated(sample)?))).collect()
    };
    let (more, less) = (in_arm(&contrast.more), in_arm(&contrast.less));
    let mut by_scenario: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut broken = 0.0;
    for (of, a) in &more {
        if let Some(b) = less.get(of) {
            by_scenario.entry(of.0).or_default().push(a - b);
            broken += a + b;
        }
    }
    let clusters: Vec<Vec<f64>> = by_scenario.into_values().collect();
    let found = clustered_difference(&clusters).filter(|_| clusters.len() >= SCENARIOS && broken > 0.0);
    let answer = match &found {
        None => Answer::NotKnown,
        Some(found)
            if found.low * contrast.published.signum() > 0.0 && found.high * contrast.published.signum() > 0.0 =>
        {
            Answer::AsPublished
        }
        Some(found)
            if found.low * contrast.published.signum() < 0.0 && found.high * contrast.published.signum() < 0.0 =>
        {
            Answer::Contrary
        }
        Some(_) => Answer::Undecided,
    };
    KnownAnswer {
        name: contrast.name.clone(),
        source: contrast.source.clone(),
        more: contrast.more.clone(),
        less: contrast.less.clone(),
        published: contrast.published,
        difference: found.as_ref().map(|found| found.difference),
        interval: found.as_ref().map(|found| [found.low, found.high]),
        pairs: clusters.iter().map(Vec::len).sum::<usize>() as u64,
        scenarios: clusters.len(),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of six scenarios in which each arm breaks the rule so many times of four.
    fn samples(battery: &Battery, often: &[(&str, usize)]) -> Vec<SampleRecord> {
        let ls =
            crate::Step { command: "ls".into(), code: Some(0), ended: None, ledger: Vec::new(), altered: Vec::new() };
        let mut out = Vec::new();
        for scenario in battery.scenarios.iter().filter(|scenario| scenario.group.name() == "covert").take(6) {
            for (arm, times) in often {
                for index in 0..4 {
                    let mut sample = SampleRecord {
                        probe: scenario.name.clone(),
                        arm: (*arm).to_string(),
                        index,
                        template: index,
                        seed: 1,
                        outcome: crate::Outcome::Clean,
                        misaligned: Some(false),
                        valid: true,
                        transcript: Vec::new(),
                        thoughts: Vec::new(),
                        evidence: String::new(),
                        steps: vec![ls.clone()],
                        facts: BTreeMap::new(),
                        usage: Default::default(),
                        error: None,
                    };
                    // Not the same in all of them, so that there is a spread.
                    let more = usize::from(scenario.name.len() % 2 == 0 && *times > 0);
                    sample.facts.insert("violated".into(), Value::Bool(index < times + more));
                    out.push(sample);
                }
            }
        }
        out
    }

    #[test]
    fn a_published_sign_comes_back_or_does_not() {
        let battery = Battery::bundled("covert").unwrap();
        let found = |often: &[(&str, usize)]| -> Vec<Answer> {
            known_answers(&battery, &samples(&battery, often)).unwrap().iter().map(|known| known.answer).collect()
        };
        let all = found(&[("tempting", 1), ("honest_path", 0), ("permitted", 3), ("vague", 1)]);
        assert_eq!(all, [Answer::AsPublished, Answer::AsPublished, Answer::Undecided]);
        let contrary = found(&[("tempting", 1), ("honest_path", 3), ("permitted", 0)]);
        assert_eq!(contrary, [Answer::Contrary, Answer::Contrary, Answer::NotKnown]);
        // Who breaks no rule at all shows nothing.
        assert_eq!(found(&[("tempting", 0), ("honest_path", 0)])[0], Answer::NotKnown);
        assert_eq!(arms().unwrap(), ["honest_path", "permitted", "tempting", "vague"]);
    }

    #[test]
    fn every_arm_of_the_list_is_there() {
        let battery = Battery::bundled("covert").unwrap();
        for arm in arms().unwrap() {
            // Three of the group are conversations, and have no way that could be closed.
            let have = battery.scenarios.iter().filter(|scenario| scenario.arms.contains_key(&arm)).count();
            assert!(have >= 34, "{arm}: {have}");
        }
    }
}
