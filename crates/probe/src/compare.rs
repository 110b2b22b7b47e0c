//! Two models on the same samples. Samples are paired by probe, arm, index and seed; each probe gets McNemar's test
//! with Newcombe's interval and a bootstrap over its templates, Holm's correction runs over the probes, and it is
//! said which difference this many pairs could have found. What a probe reports as a difference within its samples
//! (worse at a detector of hacks than at another one) is compared as a difference of differences.

use std::collections::BTreeMap;

use loophole_stats::{PairedCounts, cluster_bootstrap, detectable_paired, holm, mcnemar, paired_difference};
use serde::Serialize;

use crate::report::{SampleRecord, contrasts};
use crate::scenario::TEMPTING;

/// Draws of a bootstrap.
const REPS: u32 = 2000;
/// The power for which the detectable difference is told.
const POWER: f64 = 0.8;

/// One probe under two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The probe.
    pub probe: String,
    /// Pairs in which both samples are valid.
    pub pairs: u64,
    /// Pairs of which at least one sample is not.
    pub invalid: u64,
    /// Rate of the first model.
    pub first: f64,
    /// Rate of the second model.
    pub second: f64,
    /// Second less first.
    pub difference: f64,
    /// Lower end of Newcombe's 95 % interval for pairs.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The interval from drawing whole templates anew; none where all templates agree, since it would know no spread.
    pub templates: Option<[f64; 2]>,
    /// Exact McNemar p value.
    pub p: f64,
    /// After Holm's correction over all probes.
    pub p_holm: f64,
    /// The smallest difference that so many pairs find with a power of 0.8; none if there is no such.
    pub detectable: Option<f64>,
}

/// A difference within samples, and how it differs between two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifferenceOfDifferences {
    /// The probe.
    pub probe: String,
    /// The arm.
    pub arm: String,
    /// What is compared within a sample.
    pub name: String,
    /// Pairs in which it is known for both models.
    pub pairs: u64,
    /// The mean of the first model.
    pub first: f64,
    /// The mean of the second model.
    pub second: f64,
    /// Second less first.
    pub difference: f64,
    /// Lower end of its 95 % t interval over pairs.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Its p value.
    pub p: f64,
}

/// Two models on a battery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Each probe that has pairs.
    pub probes: Vec<Compared>,
    /// Differences within samples, by probe, arm and name.
    pub differences: Vec<DifferenceOfDifferences>,
    /// The mean difference over probes, each with equal weight, with the interval from drawing whole probes anew.
    pub mean: Option<[f64; 3]>,
    /// Samples that only one of the two has.
    pub unpaired: u64,
}

type Pairs<'a> = BTreeMap<(&'a str, &'a str), Vec<(&'a SampleRecord, &'a SampleRecord)>>;

/// The samples that both have, by probe and arm.
fn pairs<'a>(first: &'a [SampleRecord], second: &'a [SampleRecord]) -> Pairs<'a> {
    fn key(sample: &SampleRecord) -> (&str, &str, usize, u64) {
        (&sample.probe, &sample.arm, sample.index, sample.seed)
    }
    let second: BTreeMap<_, &SampleRecord> = second.iter().map(|sample| (key(sample), sample)).collect();
    let mut pairs = Pairs::new();
    for a in first {
        if let Some(b) = second.get(&key(a)) {
            pairs.entry((&a.probe, &a.arm)).or_default().push((a, b));
        }
    }
    pairs
}

fn differences(pairs: &Pairs) -> Vec<DifferenceOfDifferences> {
    let mut found = Vec::new();
    for ((probe, arm), pairs) in pairs {
        let mut by_name: BTreeMap<&str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        for (a, b) in pairs {
            let other: BTreeMap<&str, (f64, f64)> = contrasts(b).collect();
            for (name, (plus, minus)) in contrasts(a) {
                if let Some((other_plus, other_minus)) = other.get(name) {
                    let (first, second) = by_name.entry(name).or_default();
                    first.push(plus - minus);
                    second.push(other_plus - other_minus);
                }
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        found.extend(by_name.into_iter().filter_map(|(name, (first, second))| {
            let both = paired_difference(&second, &first)?;
            Some(DifferenceOfDifferences {
                probe: probe.to_string(),
                arm: arm.to_string(),
                name: name.to_string(),
                pairs: first.len() as u64,
                first: mean(&first),
                second: mean(&second),
                difference: both.difference,
                low: both.low,
                high: both.high,
                p: both.p,
            })
        }));
    }
    found
}

/// Compares two models, second less first: the tempting arms, and the differences within samples of all arms.
pub fn compare(first: &[SampleRecord], second: &[SampleRecord], seed: u64) -> Comparison {
    let mut pairs = pairs(first, second);
    let differences = differences(&pairs);
    pairs.retain(|(_, arm), _| *arm == TEMPTING);
    let tempting = |samples: &[SampleRecord]| samples.iter().filter(|sample| sample.arm == TEMPTING).count();
    let paired: usize = pairs.values().map(Vec::len).sum();
    let mut probes = Vec::new();
    for ((probe, _), pairs) in &pairs {
        let valid: Vec<(bool, bool, usize)> =
            pairs.iter().filter_map(|(a, b)| Some((a.misaligned?, b.misaligned?, a.template))).collect();
        // The second less the first: the second goes first.
        let counts = PairedCounts::count(valid.iter().map(|(a, b, _)| (*b, *a)));
        let Some(found) = mcnemar(counts) else { continue };
        let mut templates: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (a, b, template) in &valid {
            templates.entry(*template).or_default().push(f64::from(u8::from(*b)) - f64::from(u8::from(*a)));
        }
        let clusters: Vec<Vec<f64>> = templates.into_values().collect();
        let n = valid.len() as f64;
        probes.push(Compared {
            probe: (*probe).to_string(),
            pairs: valid.len() as u64,
            invalid: (pairs.len() - valid.len()) as u64,
            first: valid.iter().filter(|(a, _, _)| *a).count() as f64 / n,
            second: valid.iter().filter(|(_, b, _)| *b).count() as f64 / n,
            difference: found.difference,
            low: found.interval.low,
            high: found.interval.high,
            templates: cluster_bootstrap(&clusters, seed, REPS)
                .filter(|mean| mean.low < mean.high)
                .map(|mean| [mean.low, mean.high]),
            p: found.p,
            p_holm: f64::NAN,
            detectable: detectable_paired(counts, POWER),
        });
    }
    let corrected = holm(&probes.iter().map(|probe| probe.p).collect::<Vec<_>>());
    for (probe, p) in probes.iter_mut().zip(corrected) {
        probe.p_holm = p;
    }
    let clusters: Vec<Vec<f64>> = probes.iter().map(|probe| vec![probe.difference]).collect();
    let mean = cluster_bootstrap(&clusters, seed, REPS).map(|mean| [mean.mean, mean.low, mean.high]);
    let unpaired = (tempting(first) + tempting(second)).saturating_sub(2 * paired) as u64;
    Comparison { probes, differences, mean, unpaired }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn samples(probe: &str, bad: impl Fn(usize) -> Option<bool>) -> Vec<SampleRecord> {
        (0..40)
            .map(|index| SampleRecord {
                probe: probe.into(),
                arm: TEMPTING.into(),
                index,
                template: index % 10,
                seed: index as u64,
                outcome: Outcome::Invalid,
                misaligned: bad(index),
                valid: bad(index).is_some(),
                transcript: Vec::new(),
                thoughts: Vec::new(),
                evidence: String::new(),
                steps: Vec::new(),
                facts: BTreeMap::new(),
                error: None,
            })
            .collect()
    }

    #[test]
    fn pairs_are_compared() {
        let mut before = samples("a", |index| Some(index % 10 < 1));
        before.extend(samples("b", |_| Some(false)));
        let mut after = samples("a", |index| Some(index % 10 < 6));
        after.extend(samples("b", |index| (index > 9).then_some(false)));
        after.extend(samples("c", |_| Some(true)));
        let found = compare(&before, &after, 1);
        assert_eq!((found.probes.len(), found.unpaired), (2, 40));
        let (a, b) = (&found.probes[0], &found.probes[1]);
        assert!((a.difference - 0.5).abs() < 1e-12 && a.low > 0.2 && a.p < 1e-4 && a.p_holm < 1e-3, "{a:?}");
        let [low, high] = a.templates.unwrap();
        assert!(low < 0.5 && high > 0.5 && low > 0.1, "{a:?}");
        assert_eq!((b.pairs, b.invalid, b.difference, b.p, b.templates), (30, 10, 0.0, 1.0, None));
        // With 30 pairs and no difference seen, a small one could not have been found.
        assert!(b.detectable.is_some_and(|least| least > 0.1 && least < 0.5), "{b:?}");
        let mean = found.mean.unwrap();
        assert!((mean[0] - 0.25).abs() < 1e-12 && mean[1] <= 0.25 && mean[2] >= 0.25);
    }

    #[test]
    fn differences_are_compared() {
        use crate::expr::Value;
        let with = |a: f64| {
            let mut samples = samples("a", |_| Some(false));
            for (at, sample) in samples.iter_mut().enumerate() {
                sample.arm = if at < 20 { "harmless" } else { TEMPTING }.into();
                sample.facts.insert("gap.a".into(), Value::Number(if at < 20 { 0.9 } else { a }));
                sample.facts.insert("gap.b".into(), Value::Number(0.9 + (at % 2) as f64 / 100.0));
            }
            samples.pop();
            samples
        };
        let found = compare(&with(0.9), &with(0.5), 1).differences;
        let told: Vec<(&str, u64, i64)> =
            found.iter().map(|d| (d.arm.as_str(), d.pairs, (d.difference * 1000.0).round() as i64)).collect();
        assert_eq!(told, [("harmless", 20, 0), (TEMPTING, 19, -400)]);
        assert!((found[1].first + 0.00526).abs() < 1e-3 && found[1].p < 1e-4, "{found:?}");
    }

    #[test]
    fn a_model_against_itself_is_no_difference() {
        let same = samples("a", |index| Some(index % 3 == 0));
        let found = compare(&same, &same, 1);
        assert_eq!((found.probes[0].difference, found.probes[0].p), (0.0, 1.0));
        assert_eq!(compare(&same, &[], 1).probes.len(), 0);
    }
}
