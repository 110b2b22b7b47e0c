use crate::compare::Difference;
use crate::dist::{binomial_cdf, t_quantile, t_two_sided};
use crate::interval::mean_variance;
use crate::{Interval, LEVEL, wilson};

/// The mean of paired differences `a[i] - b[i]` (the same seed or template under two conditions) with its t interval.
///
/// `None` for unequal lengths, fewer than two pairs, or values that are not finite. Where every pair differs by the
/// same amount, t is undefined: the interval is the point and `p` that of the exact sign-flip test, `2 / 2^n`.
pub fn paired_difference(a: &[f64], b: &[f64]) -> Option<Difference> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let (difference, variance) = mean_variance(&differences)?;
    let df = (a.len() - 1) as f64;
    let se = (variance / a.len() as f64).sqrt();
    if se <= 1e-12 * difference.abs() {
        let p = if difference == 0.0 { 1.0 } else { 2.0 * 0.5f64.powi(a.len() as i32) };
        return Some(Difference { difference, low: difference, high: difference, p, df });
    }
    let half = t_quantile(0.5 + 0.5 * LEVEL, df) * se;
    let p = t_two_sided(difference / se, df);
    Some(Difference { difference, low: difference - half, high: difference + half, p, df })
}

/// What became of the same items at two checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairedCounts {
    /// Event at both.
    pub both: u64,
    /// Event at the first only.
    pub first_only: u64,
    /// Event at the second only.
    pub second_only: u64,
    /// Event at neither.
    pub neither: u64,
}

impl PairedCounts {
    /// Counts pairs of (event at the first, event at the second).
    pub fn count(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut c = Self::default();
        for pair in pairs {
            *match pair {
                (true, true) => &mut c.both,
                (true, false) => &mut c.first_only,
                (false, true) => &mut c.second_only,
                (false, false) => &mut c.neither,
            } += 1;
        }
        c
    }
}

/// The answer of [`mcnemar`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRates {
    /// Rate at the first minus rate at the second.
    pub difference: f64,
    /// Newcombe's 95 % interval of the difference.
    pub interval: Interval,
    /// Exact two-sided McNemar p value.
    pub p: f64,
}

/// Compares two rates over the same items: exact McNemar test and Newcombe's interval for paired proportions
/// (method 10 of "Improved confidence intervals for the difference between binomial proportions based on paired
/// data", Statistics in Medicine 17, 1998). `None` without items.
pub fn mcnemar(c: PairedCounts) -> Option<PairedRates> {
    let n = c.both + c.first_only + c.second_only + c.neither;
    if n == 0 {
        return None;
    }
    let (n1, n2) = (c.both + c.first_only, c.both + c.second_only);
    let nf = n as f64;
    let (p1, p2) = (n1 as f64 / nf, n2 as f64 / nf);
    let (w1, w2) = (wilson(n1, n), wilson(n2, n));
    // The correlation of the two answers narrows the interval; pulled towards 0 by n/2, as in the paper.
    let margins = n1 as f64 * (n - n1) as f64 * n2 as f64 * (n - n2) as f64;
    let mut cross = c.both as f64 * c.neither as f64 - c.first_only as f64 * c.second_only as f64;
    if cross > 0.0 {
        cross = (cross - 0.5 * nf).max(0.0);
    }
    let phi = if margins == 0.0 { 0.0 } else { cross / margins.sqrt() };
    let side = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let difference = p1 - p2;
    let interval = Interval {
        low: difference - side(p1 - w1.low, w2.high - p2),
        high: difference + side(w1.high - p1, p2 - w2.low),
    };
    let discordant = c.first_only + c.second_only;
    let p = (2.0 * binomial_cdf(c.first_only.min(c.second_only), discordant, 0.5)).min(1.0);
    Some(PairedRates { difference, interval, p })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} against {b}");
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.ttest_rel and its confidence_interval().
        let d = paired_difference(&[0.31, 0.52, 0.48, 0.6], &[0.21, 0.33, 0.45, 0.28]).unwrap();
        close(d.p, 0.08346150692494095);
        close(d.low, -0.03916792137177744);
        close(d.high, 0.3591679213717774);
        // scipy.stats.binomtest(2, 14, 0.5).pvalue; the interval by the paper's formula from statsmodels Wilson intervals.
        let r = mcnemar(PairedCounts { both: 20, first_only: 12, second_only: 2, neither: 16 }).unwrap();
        close(r.p, 0.012939453125);
        close(r.interval.low, 0.05615642484174821);
        close(r.interval.high, 0.32920699540014053);
    }

    #[test]
    fn pairs_that_do_not_vary_keep_an_honest_p() {
        let d = paired_difference(&[1.0; 4], &[0.5; 4]).unwrap();
        assert_eq!((d.low, d.high, d.p), (0.5, 0.5, 0.125));
        assert_eq!(paired_difference(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(mcnemar(PairedCounts::default()), None);
    }

    /// Newcombe's interval holds the true difference about 95 % of the time for correlated pairs.
    #[test]
    fn paired_interval_covers() {
        let mut rng = Rng::new(23);
        let mut hit = 0;
        for _ in 0..3000 {
            // First: 0.3; second: keeps the first's event with 0.6, else gains one with 0.2 -> 0.32.
            let counts = PairedCounts::count((0..60).map(|_| {
                let first = rng.uniform() < 0.3;
                (first, rng.uniform() < if first { 0.6 } else { 0.2 })
            }));
            hit += u32::from(mcnemar(counts).unwrap().interval.contains(0.3 - 0.32));
        }
        assert!((2790..=2940).contains(&hit), "covered {hit} of 3000");
    }

    proptest! {
        #[test]
        fn swapping_the_pair_swaps_the_sign(a in 0u64..40, b in 0u64..40, c in 0u64..40, d in 1u64..40) {
            let x = mcnemar(PairedCounts { both: a, first_only: b, second_only: c, neither: d }).unwrap();
            let y = mcnemar(PairedCounts { both: a, first_only: c, second_only: b, neither: d }).unwrap();
            prop_assert!(x.interval.contains(x.difference) && x.p > 0.0 && x.p <= 1.0);
            prop_assert!((x.difference + y.difference).abs() < 1e-12 && (x.p - y.p).abs() < 1e-12);
            prop_assert!((x.interval.low + y.interval.high).abs() < 1e-9);
        }
    }
}
