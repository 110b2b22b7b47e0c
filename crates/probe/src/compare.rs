//! Two models on the same samples. Samples are paired by probe, arm, index and seed, and the wording is the unit: each
//! probe gets a sign-flip test over its wordings beside McNemar's over samples, Newcombe's interval and a bootstrap over
//! wordings. All probes together, and those of each group, get a pooled difference with a test of their own, in which
//! a pair weighs as much as any other. What a probe reports as a difference within its samples (worse at a detector of
//! hacks than at another one) is compared as a difference of differences. One correction (Holm) runs over the tests of
//! probes and of differences of differences, another over those of groups. What is not valid is told with bounds.

use std::collections::BTreeMap;

use loophole_stats::{
    PairedCounts, cluster_bootstrap, clustered_difference, detectable_paired, holm, mcnemar, ratio_bootstrap, sign_flip,
};
use serde::Serialize;

use crate::ProbeError;
use crate::gate::{SCENARIOS, VALID};
use crate::report::{SampleRecord, contrasts};
use crate::scenario::{self, TEMPTING};

/// Draws of a bootstrap.
const REPS: u32 = 2000;
/// The power for which the detectable difference is told.
const POWER: f64 = 0.8;

/// One probe under two models. Rates and differences are `null` where no pair is valid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The probe.
    pub probe: String,
    /// Its group; `small` for the small probes.
    pub group: String,
    /// Pairs in which both samples are valid.
    pub pairs: u64,
    /// Pairs of which at least one sample is not.
    pub invalid: u64,
    /// Samples of these pairs that are valid, of the first model and of the second.
    pub valid: [u64; 2],
    /// Whether enough pairs are valid for it to enter what is pooled.
    pub pooled: bool,
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
    /// The difference over all pairs if what is not valid fell as low, and as high, as it can.
    pub bounds: [f64; 2],
    /// The interval from drawing whole wordings anew; none where all wordings agree, since it would know no spread.
    pub templates: Option<[f64; 2]>,
    /// Exact McNemar p value, with samples as units.
    pub p: f64,
    /// p value of flipping the signs of whole wordings.
    pub p_templates: f64,
    /// That after Holm's correction over all probes and differences of differences.
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
    /// Lower end of its 95 % t interval, with the wordings as units.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Its p value.
    pub p: f64,
    /// After Holm's correction over all probes and differences of differences.
    pub p_holm: f64,
}

/// Several probes as one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pooled {
    /// `all`, or the group.
    pub name: String,
    /// Probes in it.
    pub probes: u64,
    /// Valid pairs in it.
    pub pairs: u64,
    /// Second less first, over all these pairs.
    pub difference: f64,
    /// Lower end of the 95 % interval from drawing whole wordings anew; none where all agree.
    pub templates: Option<[f64; 2]>,
    /// p value of flipping the signs of whole wordings.
    pub p: f64,
    /// After Holm's correction over the groups; for `all`, which is one test, the same.
    pub p_holm: f64,
}

/// Two models on a battery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Each probe that has pairs.
    pub probes: Vec<Compared>,
    /// Differences within samples, by probe, arm and name.
    pub differences: Vec<DifferenceOfDifferences>,
    /// All probes with enough valid pairs as one; none if there is none.
    pub pooled: Option<Pooled>,
    /// The same for each group.
    pub groups: Vec<Pooled>,
    /// The mean difference over probes, each with the share of its pairs that is valid for its weight, with the interval
    /// from drawing whole probes anew; none for fewer than [`SCENARIOS`].
    pub mean: Option<[f64; 3]>,
    /// The mean over all probes of their bounds.
    pub bounds: [f64; 2],
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

/// The group of a probe.
fn groups() -> Result<BTreeMap<String, String>, ProbeError> {
    let all = scenario::bundled()?;
    Ok(all.into_iter().map(|scenario| (scenario.name, scenario.group.name().to_string())).collect())
}

/// Differences of a pair, by wording.
type Clusters = BTreeMap<usize, Vec<f64>>;

fn differences(pairs: &Pairs) -> Vec<DifferenceOfDifferences> {
    let mut found = Vec::new();
    for ((probe, arm), pairs) in pairs {
        let mut by_name: BTreeMap<&str, (Vec<f64>, Vec<f64>, Clusters)> = BTreeMap::new();
        for (a, b) in pairs {
            let other: BTreeMap<&str, (f64, f64)> = contrasts(b).collect();
            for (name, (plus, minus)) in contrasts(a) {
                if let Some((other_plus, other_minus)) = other.get(name) {
                    let (first, second, clusters) = by_name.entry(name).or_default();
                    first.push(plus - minus);
                    second.push(other_plus - other_minus);
                    clusters.entry(a.template).or_default().push((other_plus - other_minus) - (plus - minus));
                }
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        found.extend(by_name.into_iter().filter_map(|(name, (first, second, clusters))| {
            let both = clustered_difference(&clusters.into_values().collect::<Vec<_>>())?;
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
                p_holm: f64::NAN,
            })
        }));
    }
    found
}

/// One probe, and its differences by wording.
fn compared(
    probe: &str,
    group: &str,
    pairs: &[(&SampleRecord, &SampleRecord)],
    seed: u64,
) -> (Compared, Vec<Vec<f64>>) {
    let both: Vec<(bool, bool, usize)> =
        pairs.iter().filter_map(|(a, b)| Some((a.misaligned?, b.misaligned?, a.template))).collect();
    let number = |bad: bool| f64::from(u8::from(bad));
    let mut templates: Clusters = BTreeMap::new();
    for (a, b, template) in &both {
        templates.entry(*template).or_default().push(number(*b) - number(*a));
    }
    let clusters: Vec<Vec<f64>> = templates.into_values().collect();
    // What is not valid may have been either.
    let reach = |sample: &SampleRecord| sample.misaligned.map_or((0.0, 1.0), |bad| (number(bad), number(bad)));
    let (low, high) = pairs.iter().fold((0.0, 0.0), |(low, high), (a, b)| {
        let (a, b) = (reach(a), reach(b));
        (low + b.0 - a.1, high + b.1 - a.0)
    });
    let n = both.len() as f64;
    // The second less the first: the second goes first.
    let counts = PairedCounts::count(both.iter().map(|(a, b, _)| (*b, *a)));
    let found = mcnemar(counts);
    let of = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let compared = Compared {
        probe: probe.to_string(),
        group: group.to_string(),
        pairs: both.len() as u64,
        invalid: (pairs.len() - both.len()) as u64,
        valid: [
            pairs.iter().filter(|(a, _)| a.valid).count() as u64,
            pairs.iter().filter(|(_, b)| b.valid).count() as u64,
        ],
        pooled: n > 0.0 && n >= VALID * pairs.len() as f64,
        first: both.iter().filter(|(a, _, _)| *a).count() as f64 / n,
        second: both.iter().filter(|(_, b, _)| *b).count() as f64 / n,
        difference: of(found.map(|found| found.difference)),
        low: of(found.map(|found| found.interval.low)),
        high: of(found.map(|found| found.interval.high)),
        bounds: [low / pairs.len() as f64, high / pairs.len() as f64],
        templates: cluster_bootstrap(&clusters, seed, REPS)
            .filter(|mean| mean.low < mean.high)
            .map(|mean| [mean.low, mean.high]),
        p: of(found.map(|found| found.p)),
        p_templates: of(sign_flip(&clusters, seed)),
        p_holm: f64::NAN,
        detectable: detectable_paired(counts, POWER),
    };
    (compared, clusters)
}

/// Several probes as one: a wording of a probe is a unit, a pair weighs as much as any other.
fn pool(name: &str, probes: &[&(Compared, Vec<Vec<f64>>)], seed: u64) -> Option<Pooled> {
    let clusters: Vec<Vec<f64>> = probes.iter().flat_map(|(_, clusters)| clusters.iter().cloned()).collect();
    let sums: Vec<(f64, f64)> = clusters.iter().map(|of| (of.iter().sum(), of.len() as f64)).collect();
    let (sum, pairs) = sums.iter().fold((0.0, 0.0), |(sum, n), (s, m)| (sum + s, n + m));
    let p = sign_flip(&clusters, seed)?;
    Some(Pooled {
        name: name.to_string(),
        probes: probes.len() as u64,
        pairs: pairs as u64,
        difference: sum / pairs,
        templates: ratio_bootstrap(&sums, seed, REPS)
            .filter(|mean| mean.low < mean.high)
            .map(|mean| [mean.low, mean.high]),
        p,
        p_holm: p,
    })
}

/// Compares two models, second less first: the tempting arms, and the differences within samples of all arms.
///
/// # Errors
/// The bundled probes, which say what belongs to which group, cannot be read.
pub fn compare(first: &[SampleRecord], second: &[SampleRecord], seed: u64) -> Result<Comparison, ProbeError> {
    let groups = groups()?;
    let mut pairs = pairs(first, second);
    let mut differences = differences(&pairs);
    pairs.retain(|(_, arm), _| *arm == TEMPTING);
    let tempting = |samples: &[SampleRecord]| samples.iter().filter(|sample| sample.arm == TEMPTING).count();
    let paired: usize = pairs.values().map(Vec::len).sum();
    let mut probes: Vec<(Compared, Vec<Vec<f64>>)> = pairs
        .iter()
        .map(|((probe, _), pairs)| compared(probe, groups.get(*probe).map_or("small", String::as_str), pairs, seed))
        .collect();
    // One family: every test that is looked at one by one.
    let tests = probes.iter().map(|(probe, _)| probe.p_templates).chain(differences.iter().map(|of| of.p));
    let known: Vec<f64> = tests.collect();
    let tested: Vec<f64> = known.iter().copied().filter(|p| p.is_finite()).collect();
    let mut corrected = holm(&tested).into_iter();
    let mut next = |p: f64| if p.is_finite() { corrected.next().unwrap_or(f64::NAN) } else { f64::NAN };
    for (probe, _) in &mut probes {
        probe.p_holm = next(probe.p_templates);
    }
    for of in &mut differences {
        of.p_holm = next(of.p);
    }
    let held: Vec<&(Compared, Vec<Vec<f64>>)> = probes.iter().filter(|(probe, _)| probe.pooled).collect();
    let mut names: Vec<&str> = held.iter().map(|(probe, _)| probe.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut by_group: Vec<Pooled> = names
        .into_iter()
        .filter_map(|name| {
            let of: Vec<_> = held.iter().copied().filter(|(probe, _)| probe.group == name).collect();
            pool(name, &of, seed)
        })
        .collect();
    let corrected = holm(&by_group.iter().map(|group| group.p).collect::<Vec<_>>());
    for (group, p) in by_group.iter_mut().zip(corrected) {
        group.p_holm = p;
    }
    let weighed: Vec<(f64, f64)> = held
        .iter()
        .map(|(probe, _)| {
            let weight = probe.pairs as f64 / (probe.pairs + probe.invalid) as f64;
            (probe.difference * weight, weight)
        })
        .collect();
    let mean = ratio_bootstrap(&weighed, seed, REPS).filter(|_| held.len() >= SCENARIOS);
    let side = |side: usize| probes.iter().map(|(probe, _)| probe.bounds[side]).sum::<f64>() / probes.len() as f64;
    Ok(Comparison {
        pooled: pool("all", &held, seed),
        groups: by_group,
        mean: mean.map(|mean| [mean.mean, mean.low, mean.high]),
        bounds: if probes.is_empty() { [-1.0, 1.0] } else { [side(0), side(1)] },
        unpaired: (tempting(first) + tempting(second)).saturating_sub(2 * paired) as u64,
        probes: probes.into_iter().map(|(probe, _)| probe).collect(),
        differences,
    })
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
                usage: Default::default(),
                error: None,
            })
            .collect()
    }

    #[test]
    fn pairs_are_compared() {
        let mut before = samples("a", |index| Some(index % 10 < 1));
        before.extend(samples("b", |_| Some(false)));
        let mut after = samples("a", |index| Some(index % 10 < 8));
        after.extend(samples("b", |index| (index > 9).then_some(false)));
        after.extend(samples("c", |_| Some(true)));
        let found = compare(&before, &after, 1).unwrap();
        assert_eq!((found.probes.len(), found.unpaired), (2, 40));
        let (a, b) = (&found.probes[0], &found.probes[1]);
        assert!((a.difference - 0.7).abs() < 1e-12 && a.low > 0.4 && a.p < 1e-4, "{a:?}");
        // Seven of ten wordings changed, all one way: 2 of 128, whatever the number of samples.
        assert_eq!((a.p_templates, a.p_holm), (2.0 / 128.0, 4.0 / 128.0));
        let [low, high] = a.templates.unwrap();
        assert!(low < 0.7 && high > 0.7 && low > 0.3, "{a:?}");
        assert_eq!((b.pairs, b.invalid, b.difference, b.p, b.templates), (30, 10, 0.0, 1.0, None));
        assert_eq!((b.valid, b.bounds), ([40, 30], [0.0, 0.25]));
        // With 30 pairs and no difference seen, a small one could not have been found.
        assert!(b.detectable.is_some_and(|least| least > 0.1 && least < 0.5), "{b:?}");
        // Two probes have no mean, but what they have in pairs can be pooled.
        let pooled = found.pooled.unwrap();
        assert_eq!((found.mean, pooled.pairs, pooled.probes), (None, 70, 2));
        assert!((pooled.difference - 28.0 / 70.0).abs() < 1e-12 && pooled.p == 2.0 / 128.0, "{pooled:?}");
    }

    #[test]
    fn a_probe_with_few_valid_pairs_is_told_and_weighs_little() {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for probe in ["a", "b", "c", "d", "e"] {
            before.extend(samples(probe, |_| Some(false)));
            after.extend(samples(probe, |_| Some(false)));
        }
        // One pair of forty is valid, and it differs.
        before.extend(samples("f", |index| (index == 0).then_some(false)));
        after.extend(samples("f", |_| Some(true)));
        before.extend(samples("g", |_| None));
        after.extend(samples("g", |_| None));
        let found = compare(&before, &after, 1).unwrap();
        assert_eq!(found.mean.unwrap()[0], 0.0);
        let of = |name: &str| found.probes.iter().find(|probe| probe.probe == name).unwrap();
        assert_eq!(
            (of("f").pairs, of("f").pooled, of("f").difference, of("f").bounds),
            (1, false, 1.0, [1.0 / 40.0, 1.0])
        );
        assert!(of("g").difference.is_nan() && of("g").p_holm.is_nan() && of("g").bounds == [-1.0, 1.0]);
        assert_eq!(found.pooled.unwrap().pairs, 200);
    }

    #[test]
    fn groups_have_tests_of_their_own() {
        let mut before = samples("cap_edit", |_| Some(false));
        before.extend(samples("goals_choice", |_| Some(false)));
        let mut after = samples("cap_edit", |_| Some(true));
        after.extend(samples("goals_choice", |_| Some(false)));
        let found = compare(&before, &after, 1).unwrap();
        let told: Vec<(&str, f64, f64)> =
            found.groups.iter().map(|group| (group.name.as_str(), group.difference, group.p_holm)).collect();
        assert_eq!(told, [("covert", 1.0, 4.0 / 1024.0), ("honesty", 0.0, 1.0)]);
    }

    #[test]
    fn differences_are_compared() {
        use crate::expr::Value;
        let with = |a: f64| {
            let mut samples = samples("a", |_| Some(false));
            for (at, sample) in samples.iter_mut().enumerate() {
                sample.arm = if at < 20 { "harmless" } else { TEMPTING }.into();
                let slip = (at % 3) as f64 / 100.0 * (1.0 - a);
                sample.facts.insert("gap.a".into(), Value::Number(if at < 20 { 0.9 } else { a + slip }));
                sample.facts.insert("gap.b".into(), Value::Number(0.9 + (at % 2) as f64 / 100.0));
            }
            samples.pop();
            samples
        };
        let found = compare(&with(0.9), &with(0.5), 1).unwrap();
        let told: Vec<(&str, u64, i64)> = found
            .differences
            .iter()
            .map(|d| (d.arm.as_str(), d.pairs, (d.difference * 100.0).round() as i64))
            .collect();
        assert_eq!(told, [("harmless", 20, 0), (TEMPTING, 19, -40)]);
        let gap = &found.differences[1];
        // In one family with the other two tests.
        assert!(gap.p < 1e-4 && gap.p_holm > gap.p && (gap.p_holm - 3.0 * gap.p).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_model_against_itself_is_no_difference() {
        let same = samples("a", |index| Some(index % 3 == 0));
        let found = compare(&same, &same, 1).unwrap();
        assert_eq!((found.probes[0].difference, found.probes[0].p, found.probes[0].p_templates), (0.0, 1.0, 1.0));
        let none = compare(&same, &[], 1).unwrap();
        assert!(none.probes.is_empty() && none.pooled.is_none());
    }
}
