use crate::LEVEL;
use crate::dist::{beta_quantile, normal_quantile, t_quantile};

/// A two-sided interval, `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `x` lies in the interval, ends included.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// `high - low`.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// A mean with its interval, over `n` units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The estimate.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Units (seeds, templates), not samples.
    pub n: usize,
}

/// The 95 % Jeffreys interval of a rate with `k` events in `n` trials: quantiles of Beta(k + 1/2, n - k + 1/2).
///
/// The lower end is 0 when nothing happened and the upper 1 when everything did, so that the interval always holds
/// the estimate (Brown, Cai and DasGupta 2001). `n = 0` says nothing: `[0, 1]`. `k` above `n` counts as `n`.
pub fn jeffreys(k: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let k = k.min(n);
    let (a, b) = (k as f64 + 0.5, (n - k) as f64 + 0.5);
    let tail = 0.5 * (1.0 - LEVEL);
    Interval {
        low: if k == 0 { 0.0 } else { beta_quantile(tail, a, b) },
        high: if k == n { 1.0 } else { beta_quantile(1.0 - tail, a, b) },
    }
}

/// The 95 % Wilson score interval of a rate. `n = 0` gives `[0, 1]`; `k` above `n` counts as `n`.
pub fn wilson(k: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let k = k.min(n);
    let z = normal_quantile(0.5 + 0.5 * LEVEL);
    let (kf, nf) = (k as f64, n as f64);
    let p = kf / nf;
    let centre = (kf + 0.5 * z * z) / (nf + z * z);
    let half = z * (nf * p * (1.0 - p) + 0.25 * z * z).sqrt() / (nf + z * z);
    Interval {
        low: if k == 0 { 0.0 } else { (centre - half).max(0.0) },
        high: if k == n { 1.0 } else { (centre + half).min(1.0) },
    }
}

/// Mean and unbiased variance; `None` without values or with one that is not finite. The variance of one value is 0.
pub(crate) fn mean_variance(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    // Shifted by the first value, so that a constant sample has exactly that mean and variance 0.
    let shift = values[0];
    let mean = shift + values.iter().map(|v| v - shift).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((mean, if values.len() > 1 { squares / (n - 1.0) } else { 0.0 }))
}

/// Mean over seeds with its 95 % Student t interval.
///
/// `None` for fewer than two values (one seed says nothing about the spread between seeds). Seeds that all agree give
/// an interval of width 0: the t interval knows no other spread than the one it saw. The interval of a rate is not
/// cut to `[0, 1]`; the caller does so where the page needs it.
pub fn mean_interval_t(values: &[f64]) -> Option<Mean> {
    mean_interval_t_at(values, LEVEL)
}

/// As [`mean_interval_t`], with an interval of another level, between 0 and 1: of `1 - 0.05 / m` each, `m` intervals hold
/// together with a probability of at least 95 % (Bonferroni).
pub fn mean_interval_t_at(values: &[f64], level: f64) -> Option<Mean> {
    let (mean, variance) = mean_variance(values)?;
    let n = values.len();
    if n < 2 {
        return None;
    }
    let half = t_quantile(0.5 + 0.5 * level, (n - 1) as f64) * (variance / n as f64).sqrt();
    Some(Mean { mean, low: mean - half, high: mean + half, n })
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
        // scipy.stats.beta.ppf([0.025, 0.975], k + 0.5, n - k + 0.5); statsmodels proportion_confint(k, n, method="wilson").
        close(jeffreys(3, 20).low, 0.04413134197515587);
        close(jeffreys(3, 20).high, 0.348577710858454);
        close(wilson(3, 20).low, 0.052368745896216595);
        close(wilson(3, 20).high, 0.36041886474075696);
        close(jeffreys(50, 100).low, 0.40317395089641805);
        close(jeffreys(50, 100).high, 0.596826049103582);
        close(wilson(50, 100).low, 0.4038315303659956);
        close(wilson(50, 100).high, 0.5961684696340044);
        close(jeffreys(1, 1000).low, 0.00010791880468097968);
        close(jeffreys(1, 1000).high, 0.004664458808791372);
        close(wilson(1, 1000).low, 0.00017654637062607765);
        close(wilson(1, 1000).high, 0.005642558597957937);
        close(jeffreys(0, 100).high, 0.02474527001526989);
        // scipy.stats.t.interval(0.95, 4, mean, sem).
        let m = mean_interval_t(&[0.31, 0.52, 0.48, 0.6, 0.44]).unwrap();
        close(m.mean, 0.47000000000000003);
        close(m.low, 0.33684637041745125);
        close(m.high, 0.6031536295825488);
    }

    #[test]
    fn nothing_is_said_without_data() {
        assert_eq!(jeffreys(0, 0), Interval { low: 0.0, high: 1.0 });
        assert_eq!(mean_interval_t(&[0.3]), None);
        assert_eq!(mean_interval_t(&[0.3, f64::NAN]), None);
    }

    /// The share of 4,000 simulated samples whose interval holds the truth. Jeffreys is not conservative: its
    /// coverage oscillates around 95 % (Brown et al. 2001, figure 5), so the band is wider than the noise.
    #[test]
    fn jeffreys_and_wilson_cover() {
        let mut rng = Rng::new(11);
        for (n, p) in [(50u64, 0.02), (50, 0.1), (100, 0.5), (200, 0.05), (20, 0.3)] {
            let mut hit = [0u32; 2];
            for _ in 0..4000 {
                let k = (0..n).filter(|_| rng.uniform() < p).count() as u64;
                hit[0] += u32::from(jeffreys(k, n).contains(p));
                hit[1] += u32::from(wilson(k, n).contains(p));
            }
            for hit in hit {
                let share = f64::from(hit) / 4000.0;
                assert!((0.90..=0.995).contains(&share), "n {n}, p {p}: covered {share}");
            }
        }
    }

    proptest! {
        #[test]
        fn rates_lie_in_their_interval_and_more_events_raise_it(n in 1u64..400, share in 0.0f64..1.0) {
            let k = (share * n as f64) as u64;
            for f in [jeffreys, wilson] {
                let (here, next) = (f(k, n), f(k + 1, n));
                prop_assert!(here.contains(k as f64 / n as f64) && here.low >= 0.0 && here.high <= 1.0);
                prop_assert!(next.low > here.low || k + 1 > n || n == 0);
                prop_assert!(next.high >= here.high);
                // Ten times the data at the same rate is narrower.
                prop_assert!(f(10 * k, 10 * n).width() < here.width());
                // Events and non-events mirror each other.
                prop_assert!((f(n - k, n).low - (1.0 - here.high)).abs() < 1e-9);
            }
        }

        #[test]
        fn means_move_with_their_values(values in prop::collection::vec(-5.0f64..5.0, 2..12), by in -3.0f64..3.0) {
            let a = mean_interval_t(&values).unwrap();
            let b = mean_interval_t(&values.iter().map(|v| v + by).collect::<Vec<_>>()).unwrap();
            prop_assert!(a.low <= a.mean && a.mean <= a.high);
            prop_assert!((b.low - a.low - by).abs() < 1e-9 && (b.high - a.high - by).abs() < 1e-9);
        }
    }
}
