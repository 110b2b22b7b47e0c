//! Rates and differences whose samples come in clusters (the wordings of a probe): samples of one wording resemble each
//! other, so a wording and not a sample is the unit.

use crate::compare::Difference;
use crate::dist::{beta_quantile, t_quantile, t_two_sided};
use crate::{Interval, LEVEL, Mean, Rng};

/// Flips of signs that are drawn where there are too many to try them all.
const FLIPS: u32 = 20_000;
/// Clusters up to which all flips are tried.
const ALL: usize = 14;

/// A rate over clusters: the standard error of the ratio, as Inspect's `stderr(cluster=...)` computes it, and the samples
/// it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusteredRate {
    /// Events over samples.
    pub rate: f64,
    /// Its standard error; 0 where fewer than two clusters say anything about the spread.
    pub stderr: f64,
    /// As many independent samples would say as much.
    pub effective: f64,
    /// The 95 % interval.
    pub interval: Interval,
}

/// The rate of events over clusters of (events, samples), with an interval that takes the clusters for the units: the
/// Jeffreys interval at the effective number of samples (Korn and Graubard, "Confidence intervals for proportions with
/// small expected number of positive counts estimated from survey data", 1998).
///
/// Where all samples agree the spread between clusters is unknown and a cluster counts as one sample. None without samples.
pub fn clustered_rate(clusters: &[(u64, u64)]) -> Option<ClusteredRate> {
    let held: Vec<(f64, f64)> =
        clusters.iter().filter(|(_, n)| *n > 0).map(|(k, n)| ((*k).min(*n) as f64, *n as f64)).collect();
    let samples: f64 = held.iter().map(|(_, n)| n).sum();
    let events: f64 = held.iter().map(|(k, _)| k).sum();
    if held.is_empty() {
        return None;
    }
    let count = held.len() as f64;
    let rate = events / samples;
    let squares: f64 = held.iter().map(|(k, n)| (k - rate * n).powi(2)).sum();
    let stderr = if held.len() < 2 { 0.0 } else { (squares * count / (count - 1.0)).sqrt() / samples };
    let effective = if rate <= 0.0 || rate >= 1.0 || held.len() < 2 {
        count
    } else if stderr == 0.0 {
        samples
    } else {
        // Few clusters know their own spread badly: their t is wider than that of so many samples.
        let tail = 0.5 + 0.5 * LEVEL;
        let freedom = (t_quantile(tail, (samples - 1.0).max(1.0)) / t_quantile(tail, count - 1.0)).powi(2);
        (rate * (1.0 - rate) / (stderr * stderr) * freedom).clamp(1.0, samples)
    };
    let (k, tail) = (rate * effective, 0.5 * (1.0 - LEVEL));
    let (a, b) = (k + 0.5, effective - k + 0.5);
    let interval = Interval {
        low: if rate <= 0.0 { 0.0 } else { beta_quantile(tail, a, b).min(rate) },
        high: if rate >= 1.0 { 1.0 } else { beta_quantile(1.0 - tail, a, b).max(rate) },
    };
    Some(ClusteredRate { rate, stderr, effective, interval })
}

/// The two-sided p value of the sum of paired differences under flips of the sign of whole clusters: exact for few
/// clusters, drawn for many. Every pair weighs the same, whichever cluster it is in. None without clusters.
///
/// The null hypothesis is that within every cluster the two sides could be exchanged.
pub fn sign_flip(clusters: &[Vec<f64>], seed: u64) -> Option<f64> {
    let sums: Vec<f64> = clusters.iter().filter(|c| !c.is_empty()).map(|c| c.iter().sum()).collect();
    if sums.is_empty() || sums.iter().any(|sum| !sum.is_finite()) {
        return None;
    }
    let moved: Vec<f64> = sums.into_iter().filter(|sum| *sum != 0.0).collect();
    let seen = moved.iter().sum::<f64>().abs() - 1e-9;
    let sum_of = |flip: &mut dyn FnMut(usize) -> bool| {
        moved.iter().enumerate().map(|(at, sum)| if flip(at) { -sum } else { *sum }).sum::<f64>().abs()
    };
    if moved.len() <= ALL {
        let all = 1u32 << moved.len();
        let hits = (0..all).filter(|bits| sum_of(&mut |at| bits >> at & 1 == 1) >= seen).count();
        return Some(hits as f64 / f64::from(all));
    }
    let mut rng = Rng::new(seed);
    let hits = (0..FLIPS).filter(|_| sum_of(&mut |_| rng.next_u64() >> 63 == 1) >= seen).count();
    // What was seen is one of the flips.
    Some((hits + 1) as f64 / f64::from(FLIPS + 1))
}

/// The ratio of two sums over clusters, such as differences over pairs or weighted rates over weights, with a 95 %
/// percentile interval from `reps` draws of whole clusters. None for fewer than two clusters with a weight.
pub fn ratio_bootstrap(clusters: &[(f64, f64)], seed: u64, reps: u32) -> Option<Mean> {
    let held: Vec<(f64, f64)> = clusters.iter().copied().filter(|(_, weight)| *weight > 0.0).collect();
    if held.len() < 2 || reps == 0 || held.iter().any(|(sum, weight)| !(sum.is_finite() && weight.is_finite())) {
        return None;
    }
    let ratio = |parts: &mut dyn Iterator<Item = (f64, f64)>| {
        let (sum, weight) = parts.fold((0.0, 0.0), |(sum, all), (s, w)| (sum + s, all + w));
        sum / weight
    };
    let mean = ratio(&mut held.iter().copied());
    let mut rng = Rng::new(seed);
    let mut draws: Vec<f64> =
        (0..reps).map(|_| ratio(&mut (0..held.len()).map(|_| held[rng.below(held.len())]))).collect();
    draws.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - LEVEL);
    let at = |p: f64| draws[((p * (draws.len() - 1) as f64).round() as usize).min(draws.len() - 1)];
    Some(Mean { mean, low: at(tail).min(mean), high: at(1.0 - tail).max(mean), n: held.len() })
}

/// The mean of values in clusters, every value weighing the same, with a t interval and a t test against 0 whose spread
/// is that between clusters. None for fewer than two clusters. Where the clusters do not differ at all, the interval is
/// the point and `p` that of the exact sign-flip test.
pub fn clustered_difference(clusters: &[Vec<f64>]) -> Option<Difference> {
    let held: Vec<&Vec<f64>> = clusters.iter().filter(|c| !c.is_empty()).collect();
    if held.len() < 2 || held.iter().any(|c| c.iter().any(|v| !v.is_finite())) {
        return None;
    }
    let (count, n) = (held.len() as f64, held.iter().map(|c| c.len()).sum::<usize>() as f64);
    // Shifted by the first value, so that values that are all alike have exactly that mean.
    let shift = held[0][0];
    let mean = shift + held.iter().flat_map(|c| c.iter()).map(|v| v - shift).sum::<f64>() / n;
    let squares: f64 = held.iter().map(|c| c.iter().map(|v| v - mean).sum::<f64>().powi(2)).sum();
    let stderr = (squares * count / (count - 1.0)).sqrt() / n;
    let df = count - 1.0;
    if stderr <= 1e-12 * mean.abs() {
        let p = if mean == 0.0 { 1.0 } else { 2.0 * 0.5f64.powi(held.len() as i32) };
        return Some(Difference { difference: mean, low: mean, high: mean, p, df });
    }
    let half = t_quantile(0.5 + 0.5 * LEVEL, df) * stderr;
    Some(Difference { difference: mean, low: mean - half, high: mean + half, p: t_two_sided(mean / stderr, df), df })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jeffreys;

    #[test]
    fn independent_clusters_are_samples() {
        // One sample a cluster: hardly wider than without clusters.
        let alone: Vec<(u64, u64)> = (0..40).map(|at| (u64::from(at % 4 == 0), 1)).collect();
        let (found, plain) = (clustered_rate(&alone).unwrap(), jeffreys(10, 40));
        assert!((found.interval.low - plain.low).abs() < 0.01 && (found.interval.high - plain.high).abs() < 0.01);
        // Whole clusters agree: as uncertain as the clusters are few.
        let whole: Vec<(u64, u64)> = (0..8).map(|at| (if at < 2 { 10 } else { 0 }, 10)).collect();
        let found = clustered_rate(&whole).unwrap();
        let few = jeffreys(2, 8);
        assert!((found.rate - 0.25).abs() < 1e-12 && found.effective < 8.0, "{found:?}");
        assert!(found.interval.width() > few.width() && found.interval.width() < 0.65, "{found:?} {few:?}");
        // All alike: a cluster is one sample.
        let none = clustered_rate(&[(0, 20), (0, 20), (0, 20)]).unwrap();
        assert!((none.interval.high - jeffreys(0, 3).high).abs() < 1e-9 && none.interval.low == 0.0);
        assert_eq!(clustered_rate(&[(0, 0)]), None);
    }

    /// Rates that differ between clusters, uniformly around a half: the interval holds the truth, and the one over samples
    /// does not.
    #[test]
    fn the_interval_covers() {
        let mut rng = Rng::new(7);
        let (mut clustered, mut plain) = (0, 0);
        for _ in 0..1000 {
            let clusters: Vec<(u64, u64)> = (0..12)
                .map(|_| {
                    let rate = rng.uniform();
                    ((0..10).filter(|_| rng.uniform() < rate).count() as u64, 10)
                })
                .collect();
            let events = clusters.iter().map(|(k, _)| k).sum();
            clustered += u32::from(clustered_rate(&clusters).unwrap().interval.contains(0.5));
            plain += u32::from(jeffreys(events, 120).contains(0.5));
        }
        assert!((925..=985).contains(&clustered), "covered {clustered} of 1000");
        assert!(plain < 850, "{plain}: the samples are not independent");
    }

    #[test]
    fn flips_are_of_clusters() {
        // Ten pairs in one cluster are one unit: they can never be surprising.
        assert_eq!(sign_flip(&[vec![1.0; 10]], 1), Some(1.0));
        // Five clusters that all go one way: 2 of 32.
        let five = vec![vec![1.0; 3]; 5];
        assert_eq!(sign_flip(&five, 1), Some(2.0 / 32.0));
        // Clusters without a difference add nothing.
        let with_none: Vec<Vec<f64>> = five.into_iter().chain(vec![vec![0.0; 3]; 40]).collect();
        assert_eq!(sign_flip(&with_none, 1), Some(2.0 / 32.0));
        assert_eq!((sign_flip(&[vec![0.0]], 1), sign_flip(&[], 1)), (Some(1.0), None));
        // Many clusters are drawn, and a pair weighs the same wherever it is.
        let many: Vec<Vec<f64>> = (0..30).map(|at| vec![if at % 3 == 0 { -1.0 } else { 1.0 }]).collect();
        let p = sign_flip(&many, 3).unwrap();
        // The exact sign test of 20 against 10 gives 0.0987.
        assert!((p - 0.0987).abs() < 0.01, "{p}");
    }

    #[test]
    fn a_probe_with_one_pair_does_not_weigh_as_one_with_twenty() {
        let found = ratio_bootstrap(&[(1.0, 1.0), (0.0, 20.0), (0.0, 20.0)], 1, 500).unwrap();
        assert!((found.mean - 1.0 / 41.0).abs() < 1e-12 && found.low <= found.mean && found.mean <= found.high);
        assert_eq!(ratio_bootstrap(&[(1.0, 1.0), (1.0, 0.0)], 1, 500), None);
    }

    #[test]
    fn one_value_a_cluster_is_the_t_test() {
        let values = [0.31, 0.52, 0.48, 0.6, 0.44];
        let clusters: Vec<Vec<f64>> = values.iter().map(|v| vec![*v]).collect();
        let (found, plain) = (clustered_difference(&clusters).unwrap(), crate::mean_interval_t(&values).unwrap());
        assert!((found.low - plain.low).abs() < 1e-12 && (found.high - plain.high).abs() < 1e-12, "{found:?}");
        // Copies of a value in its cluster are no more than the value.
        let copies: Vec<Vec<f64>> = values.iter().map(|v| vec![*v; 7]).collect();
        let again = clustered_difference(&copies).unwrap();
        assert!((again.p - found.p).abs() < 1e-12 && (again.low - found.low).abs() < 1e-12, "{again:?}");
        assert_eq!(clustered_difference(&vec![vec![0.5; 3]; 4]).unwrap().p, 2.0 / 16.0);
        assert_eq!(clustered_difference(&[vec![0.5; 3]]), None);
    }
}
