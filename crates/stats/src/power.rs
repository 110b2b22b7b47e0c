use crate::dist::{ln_gamma, normal_cdf, normal_quantile, t_quantile};
use crate::{LEVEL, PairedCounts};

/// The chance that a two-sided two-sample t test at 5 % finds a true difference of `difference` between two arms of
/// `n` seeds each, whose values vary between seeds with standard deviation `sd`.
///
/// Exact (noncentral t, integrated numerically) under normality. `None` for fewer than two seeds or a standard
/// deviation that is not positive.
pub fn power_means(difference: f64, sd: f64, n: usize) -> Option<f64> {
    if n < 2 || !(sd > 0.0 && sd.is_finite() && difference.is_finite()) {
        return None;
    }
    Some(power_t(difference.abs() / sd * (0.5 * n as f64).sqrt(), 2.0 * (n as f64 - 1.0)))
}

/// The chance that a two-sided paired t test at 5 % finds a true difference of `difference` over `n` pairs (seeds that two
/// arms share), whose differences vary with standard deviation `sd`. Exact, and `None`, as [`power_means`].
pub fn power_paired(difference: f64, sd: f64, n: usize) -> Option<f64> {
    if n < 2 || !(sd > 0.0 && sd.is_finite() && difference.is_finite()) {
        return None;
    }
    Some(power_t(difference.abs() / sd * (n as f64).sqrt(), n as f64 - 1.0))
}

/// The chance that |t| exceeds its 5 % bar where t has `df` degrees of freedom and is off zero by `shift`.
fn power_t(shift: f64, df: f64) -> f64 {
    let bar = t_quantile(0.5 + 0.5 * LEVEL, df);
    // P(|Z + shift| > bar S) over S = sqrt(chi2_df / df), Simpson's rule; S beyond 1 +- 10 / sqrt(2 df) is negligible.
    let spread = 10.0 / (2.0 * df).sqrt();
    let (low, high) = ((1.0 - spread).max(0.0), 1.0 + spread);
    let steps = 2000;
    let h = (high - low) / f64::from(steps);
    let constant = std::f64::consts::LN_2 + 0.5 * df * (0.5 * df).ln() - ln_gamma(0.5 * df);
    let at = |s: f64| {
        if s <= 0.0 {
            return 0.0;
        }
        let density = (constant + (df - 1.0) * s.ln() - 0.5 * df * s * s).exp();
        density * (normal_cdf(shift - bar * s) + normal_cdf(-shift - bar * s))
    };
    let sum: f64 = (0..=steps)
        .map(|i| {
            let weight = if i == 0 || i == steps {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
            weight * at(low + f64::from(i) * h)
        })
        .sum();
    (sum * h / 3.0).clamp(0.0, 1.0)
}

/// The smallest difference between two arms of `n` seeds each that the t test finds with the given power (0.8 is
/// usual). `None` as for [`power_means`], or for a power not between 0.05 and 1.
pub fn detectable_means(sd: f64, n: usize, power: f64) -> Option<f64> {
    if !(power > 1.0 - LEVEL && power < 1.0) {
        return None;
    }
    power_means(0.0, sd, n)?;
    let enough = |d: f64| power_means(d, sd, n).is_some_and(|p| p >= power);
    let mut high = sd;
    while !enough(high) {
        high *= 2.0;
        if high > 1e6 * sd {
            return None;
        }
    }
    Some(bisect(0.0, high, enough))
}

/// The chance that a two-sided test at 5 % tells the rates `p1` and `p2` apart with `n` independent samples in each
/// arm (normal approximation, pooled under the null; Fleiss). `None` without samples or for rates outside `[0, 1]`.
pub fn power_proportions(p1: f64, p2: f64, n: u64) -> Option<f64> {
    if n == 0 || ![p1, p2].iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let z = normal_quantile(0.5 + 0.5 * LEVEL);
    let pooled = 0.5 * (p1 + p2);
    let null = (2.0 * pooled * (1.0 - pooled) / n as f64).sqrt();
    let real = ((p1 * (1.0 - p1) + p2 * (1.0 - p2)) / n as f64).sqrt();
    let d = (p1 - p2).abs();
    if real == 0.0 {
        return Some(if d > z * null { 1.0 } else { 0.0 });
    }
    Some(normal_cdf((d - z * null) / real) + normal_cdf((-d - z * null) / real))
}

/// How many samples an arm needs to tell `p1` from `p2` with the given power. `None` if the rates are equal or out of
/// range.
pub fn sample_size_proportions(p1: f64, p2: f64, power: f64) -> Option<u64> {
    power_proportions(p1, p2, 1)?;
    if p1 == p2 || !(power > 0.0 && power < 1.0) {
        return None;
    }
    let (za, zb) = (normal_quantile(0.5 + 0.5 * LEVEL), normal_quantile(power));
    let pooled = 0.5 * (p1 + p2);
    let root = za * (2.0 * pooled * (1.0 - pooled)).sqrt() + zb * (p1 * (1.0 - p1) + p2 * (1.0 - p2)).sqrt();
    Some((root / (p1 - p2)).powi(2).ceil() as u64)
}

/// The smallest rise above `base` that `n` samples an arm could have found with the given power. `None` if even a
/// rise to 1 would have been missed.
pub fn detectable_proportions(base: f64, n: u64, power: f64) -> Option<f64> {
    let enough = |d: f64| power_proportions(base, (base + d).min(1.0), n).is_some_and(|p| p >= power);
    if !enough(1.0 - base) {
        return None;
    }
    Some(bisect(0.0, 1.0 - base, enough))
}

/// The smallest difference of two rates over the same items that McNemar's test at 5 % finds with the given power,
/// if as many pairs disagree as in `counts` (at least so many as the difference needs). Normal approximation
/// (Connor, Biometrics 43, 1987). `None` without pairs, or if no difference would be found.
pub fn detectable_paired(counts: PairedCounts, power: f64) -> Option<f64> {
    let n = (counts.both + counts.first_only + counts.second_only + counts.neither) as f64;
    if n == 0.0 || !(0.05..1.0).contains(&power) {
        return None;
    }
    let (za, zb) = (normal_quantile(0.5 + 0.5 * LEVEL), normal_quantile(power));
    let disagree = (counts.first_only + counts.second_only) as f64 / n;
    let enough = |d: f64| {
        let psi = disagree.max(d);
        za * psi.sqrt() + zb * (psi - d * d).max(0.0).sqrt() <= d * n.sqrt()
    };
    enough(1.0).then(|| bisect(0.0, 1.0, enough))
}

/// The point between `low` (not enough) and `high` (enough) at which enough begins.
fn bisect(mut low: f64, mut high: f64, enough: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..50 {
        let mid = 0.5 * (low + high);
        if enough(mid) { high = mid } else { low = mid }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() < tolerance, "{a} against {b}");
    }

    /// Connor's own formula solved for n gives the n that was put in, and McNemar's test finds what it says it finds.
    #[test]
    fn paired_differences_that_can_be_found() {
        let counts =
            |disagree| PairedCounts { first_only: disagree, neither: 100 - disagree, ..PairedCounts::default() };
        let d = detectable_paired(counts(20), 0.8).unwrap();
        let n = ((1.959964 * 0.2f64.sqrt() + 0.841621 * (0.2 - d * d).sqrt()) / d).powi(2);
        close(n, 100.0, 1e-2);
        assert!(detectable_paired(counts(0), 0.8).unwrap() < d);
        assert_eq!(detectable_paired(PairedCounts::default(), 0.8), None);
        let few = PairedCounts { neither: 3, ..PairedCounts::default() };
        assert_eq!(detectable_paired(few, 0.8), None);
        let mut rng = crate::Rng::new(3);
        let found = (0..400).filter(|_| {
            let pairs = (0..100).map(|_| {
                let u = rng.uniform();
                (u < (0.2 + d) / 2.0, u >= (0.2 + d) / 2.0 && u < 0.2)
            });
            crate::mcnemar(PairedCounts::count(pairs)).unwrap().p < 0.05
        });
        let share = found.count() as f64 / 400.0;
        assert!((0.68..0.9).contains(&share), "{share}");
    }

    #[test]
    fn a_paired_test_finds_what_it_says() {
        let power = power_paired(1.0, 1.0, 8).unwrap();
        let mut rng = crate::Rng::new(5);
        let normal = |rng: &mut crate::Rng| normal_quantile(rng.uniform().clamp(1e-12, 1.0 - 1e-12));
        let found = (0..2000).filter(|_| {
            let a: Vec<f64> = (0..8).map(|_| 1.0 + normal(&mut rng)).collect();
            crate::paired_difference(&a, &[0.0; 8]).unwrap().p < 0.05
        });
        let share = found.count() as f64 / 2000.0;
        assert!((share - power).abs() < 0.03, "{share} and {power}");
        assert!(power_paired(1.0, 1.0, 8) > power_paired(1.0, 1.0, 5));
        assert_eq!(power_paired(1.0, 0.0, 5), None);
    }

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels TTestIndPower().power(difference / sd, n, 0.05).
        close(power_means(1.0, 1.0, 3).unwrap(), 0.158790870005201, 1e-6);
        close(power_means(0.4, 0.1, 3).unwrap(), 0.9479377545400748, 1e-6);
        close(power_means(0.5, 1.0, 64).unwrap(), 0.8014595579222542, 1e-6);
        close(power_means(2.0, 1.0, 2).unwrap(), 0.21830707484678244, 1e-6);
        // The same, solve_power(nobs1=5, power=0.8).
        close(detectable_means(1.0, 5, 0.8).unwrap(), 2.024440145655355, 1e-5);
    }

    #[test]
    fn published_sample_sizes() {
        // 80 % power, 5 %, two-sided: the usual table for safety rates.
        assert_eq!(sample_size_proportions(0.05, 0.10, 0.8), Some(435));
        assert_eq!(sample_size_proportions(0.3, 0.3, 0.8), None);
        let p = power_proportions(0.05, 0.10, 435).unwrap();
        close(p, 0.8, 0.001);
        close(detectable_proportions(0.05, 435, 0.8).unwrap(), 0.05, 1e-4);
        assert_eq!(detectable_proportions(0.5, 2, 0.8), None);
    }

    #[test]
    fn no_difference_is_found_as_often_as_the_level() {
        close(power_means(0.0, 1.0, 3).unwrap(), 0.05, 1e-8);
        close(power_means(0.0, 0.2, 40).unwrap(), 0.05, 1e-8);
        assert_eq!(power_means(0.1, 0.0, 3), None);
        let d = detectable_means(0.1, 3, 0.8).unwrap();
        close(power_means(d, 0.1, 3).unwrap(), 0.8, 1e-9);
    }
}
