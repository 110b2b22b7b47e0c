use crate::dist::{t_quantile, t_two_sided};
use crate::interval::mean_variance;
use crate::{Interval, LEVEL, Rng, wilson};

/// A difference of two means with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// First minus second.
    pub difference: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Two-sided p value.
    pub p: f64,
    /// Degrees of freedom of the t distribution used.
    pub df: f64,
}

/// Above this many arrangements a permutation test draws instead of listing them all.
const EXACT_LIMIT: f64 = 50_000.0;

/// The difference `mean(a) - mean(b)` between two arms, one value per seed, by Welch's t.
///
/// `None` unless both arms have two finite values. Where neither arm varies, t is undefined: the interval is the
/// point, and `p` comes from the exact permutation test, which two arms of three seeds cannot push below 0.1.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Difference> {
    let ((ma, va), (mb, vb)) = (mean_variance(a)?, mean_variance(b)?);
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let (na, nb) = (a.len() as f64, b.len() as f64);
    let difference = ma - mb;
    let (ea, eb) = (va / na, vb / nb);
    let se = (ea + eb).sqrt();
    if se <= 1e-12 * (ma.abs() + mb.abs()) || se == 0.0 {
        let p = permutation(a, b, 9_999, 0)?.p;
        return Some(Difference { difference, low: difference, high: difference, p, df: na + nb - 2.0 });
    }
    let df = (ea + eb).powi(2) / (ea * ea / (na - 1.0) + eb * eb / (nb - 1.0));
    let half = t_quantile(0.5 + 0.5 * LEVEL, df) * se;
    Some(Difference {
        difference,
        low: difference - half,
        high: difference + half,
        p: t_two_sided(difference / se, df),
        df,
    })
}

/// The answer of [`permutation`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Permutation {
    /// `mean(a) - mean(b)`.
    pub difference: f64,
    /// Two-sided p value, never 0.
    pub p: f64,
    /// Whether every arrangement was looked at.
    pub exact: bool,
    /// How many arrangements `p` stands on.
    pub arrangements: u64,
}

/// Two-sided permutation test of the difference of two means, one value per seed.
///
/// Looks at every way to deal the values to the two arms where there are at most 50,000 of them; otherwise draws
/// `reps` from `seed` and counts the observed one among them (`p = (1 + hits) / (1 + reps)`). `None` if an arm is
/// empty or a value is not finite.
pub fn permutation(a: &[f64], b: &[f64], reps: u32, seed: u64) -> Option<Permutation> {
    let ((ma, _), (mb, _)) = (mean_variance(a)?, mean_variance(b)?);
    let difference = ma - mb;
    let mut pool: Vec<f64> = a.iter().chain(b).copied().collect();
    let total: f64 = pool.iter().sum();
    let (na, n) = (a.len(), pool.len());
    let scale = pool.iter().fold(0.0f64, |s, v| s.max(v.abs()));
    // Arrangements that tie with the observed one must count in spite of rounding.
    let bar = difference.abs() - 1e-10 * scale;
    let far = |sum_a: f64| (sum_a / na as f64 - (total - sum_a) / (n - na) as f64).abs() >= bar;

    let arrangements = (0..na.min(n - na)).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    if arrangements <= EXACT_LIMIT {
        let (mut hits, mut seen) = (0u64, 0u64);
        let mut chosen: Vec<usize> = (0..na).collect();
        loop {
            seen += 1;
            hits += u64::from(far(chosen.iter().map(|&i| pool[i]).sum()));
            // The next combination in lexicographic order.
            let Some(i) = (0..na).rev().find(|&i| chosen[i] < n - na + i) else {
                break;
            };
            chosen[i] += 1;
            for j in i + 1..na {
                chosen[j] = chosen[j - 1] + 1;
            }
        }
        return Some(Permutation { difference, p: hits as f64 / seen as f64, exact: true, arrangements: seen });
    }
    let mut rng = Rng::new(seed);
    let mut hits = 1u64;
    for _ in 0..reps {
        rng.shuffle(&mut pool);
        hits += u64::from(far(pool[..na].iter().sum()));
    }
    let arrangements = u64::from(reps) + 1;
    Some(Permutation { difference, p: hits as f64 / arrangements as f64, exact: false, arrangements })
}

/// The 95 % interval of the difference of two independent rates, `ka/na - kb/nb` (Newcombe 1998, method 10 of the
/// paper on independent proportions: the two Wilson intervals, joined). An arm with no trials gives `[-1, 1]`.
pub fn newcombe(ka: u64, na: u64, kb: u64, nb: u64) -> Interval {
    if na == 0 || nb == 0 {
        return Interval { low: -1.0, high: 1.0 };
    }
    let (ka, kb) = (ka.min(na), kb.min(nb));
    let (pa, pb) = (ka as f64 / na as f64, kb as f64 / nb as f64);
    let (wa, wb) = (wilson(ka, na), wilson(kb, nb));
    let d = pa - pb;
    Interval { low: d - (pa - wa.low).hypot(wb.high - pb), high: d + (wa.high - pa).hypot(pb - wb.low) }
}

/// Holm's step-down correction: adjusted p values in the order given. A NaN stays NaN and counts as a test made.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&i, &j| ps[i].total_cmp(&ps[j]));
    let mut out = vec![f64::NAN; ps.len()];
    let mut floor = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        if !ps[i].is_nan() {
            floor = floor.max((ps[i] * (ps.len() - rank) as f64).min(1.0));
            out[i] = floor;
        }
    }
    out
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
        // scipy.stats.ttest_ind(a, b, equal_var=False) and its confidence_interval(); permutation_test of the absolute difference.
        let (a, b) = ([0.31, 0.52, 0.48, 0.6, 0.44], [0.21, 0.33, 0.45, 0.28]);
        let d = welch(&a, &b).unwrap();
        close(d.p, 0.06633071538085332);
        close(d.df, 6.736818809071263);
        close(d.low, -0.013597103997018606);
        close(d.high, 0.3185971039970187);
        let t = permutation(&a, &b, 0, 0).unwrap();
        assert!(t.exact && t.arrangements == 126);
        close(t.p, 0.07142857142857142);
        // statsmodels confint_proportions_2indep(12, 60, 5, 80, method="newcomb").
        let i = newcombe(12, 60, 5, 80);
        close(i.low, 0.02617651881061407);
        close(i.high, 0.2605532374397331);
        // statsmodels multipletests(method="holm").
        for (got, want) in holm(&[0.03, 0.001, 0.04, 0.2, 0.012]).into_iter().zip([0.09, 0.005, 0.09, 0.2, 0.048]) {
            close(got, want);
        }
    }

    #[test]
    fn arms_that_do_not_vary_keep_an_honest_p() {
        let d = welch(&[1.0; 3], &[0.0; 3]).unwrap();
        assert_eq!((d.difference, d.low, d.high), (1.0, 1.0, 1.0));
        assert!((d.p - 0.1).abs() < 1e-12, "2 of 20 arrangements: {}", d.p);
        assert_eq!(welch(&[0.5; 3], &[0.5; 3]).unwrap().p, 1.0);
        assert_eq!(welch(&[1.0], &[0.0, 0.1]), None);
    }

    #[test]
    fn drawing_agrees_with_listing() {
        let a = [0.31, 0.52, 0.48, 0.60, 0.44, 0.39, 0.71];
        let b = [0.21, 0.33, 0.45, 0.28, 0.35, 0.41, 0.50];
        let exact = permutation(&a, &b, 0, 0).unwrap();
        assert!(exact.exact && exact.arrangements == 3432);
        let (many_a, many_b): (Vec<f64>, Vec<f64>) = (a.repeat(3), b.repeat(3));
        let drawn = permutation(&many_a, &many_b, 20_000, 5).unwrap();
        assert!(!drawn.exact && drawn.p < exact.p, "{drawn:?}");
        assert_eq!(drawn, permutation(&many_a, &many_b, 20_000, 5).unwrap());
        let far = welch(&many_a, &many_b).unwrap().p;
        assert!((drawn.p - far).abs() < 0.005, "permutation {} and Welch {far}", drawn.p);
    }

    /// Under no difference a p value at 5 % comes up at most 5 % of the time, for the test and for the t interval.
    #[test]
    fn false_alarms_keep_to_their_rate() {
        let mut rng = Rng::new(3);
        let mut seeds = || (0..5).map(|_| (0..6).map(|_| rng.uniform()).sum()).collect::<Vec<f64>>();
        let mut hits = [0u32; 2];
        for i in 0..2000 {
            let (a, b) = (seeds(), seeds());
            hits[0] += u32::from(permutation(&a, &b, 0, i).unwrap().p <= 0.05);
            hits[1] += u32::from(welch(&a, &b).unwrap().p <= 0.05);
        }
        for hit in hits {
            assert!((50..=135).contains(&hit), "{hit} of 2000 at 5 %");
        }
    }

    proptest! {
        #[test]
        fn holm_only_raises_and_keeps_the_order(ps in prop::collection::vec(0.0f64..=1.0, 0..12)) {
            let adjusted = holm(&ps);
            for (i, (p, a)) in ps.iter().zip(&adjusted).enumerate() {
                prop_assert!(a >= p && *a <= 1.0);
                for (q, b) in ps.iter().zip(&adjusted).skip(i) {
                    prop_assert!((p < q) <= (a <= b));
                }
            }
        }

        #[test]
        fn permutation_p_is_a_p(a in prop::collection::vec(-1.0f64..1.0, 1..8), b in prop::collection::vec(-1.0f64..1.0, 1..8)) {
            let t = permutation(&a, &b, 500, 1).unwrap();
            prop_assert!(t.p >= 1.0 / t.arrangements as f64 && t.p <= 1.0);
            let back = permutation(&b, &a, 500, 1).unwrap();
            prop_assert!((t.p - back.p).abs() < 1e-12 && (t.difference + back.difference).abs() < 1e-12);
        }

        #[test]
        fn differences_lie_in_their_interval(
            a in prop::collection::vec(-1.0f64..1.0, 2..8),
            b in prop::collection::vec(-1.0f64..1.0, 2..8),
            na in 1u64..80, nb in 1u64..80, ka in 0u64..80, kb in 0u64..80,
        ) {
            let d = welch(&a, &b).unwrap();
            prop_assert!(d.low <= d.difference && d.difference <= d.high && (0.0..=1.0).contains(&d.p));
            // The interval leaves out 0 exactly when p is below 5 %.
            prop_assert!(((d.p < 0.05) == (d.low > 0.0 || d.high < 0.0)) || (d.p - 0.05).abs() < 1e-6);
            let (ka, kb) = (ka.min(na), kb.min(nb));
            let i = newcombe(ka, na, kb, nb);
            prop_assert!(i.contains(ka as f64 / na as f64 - kb as f64 / nb as f64) && i.low >= -1.0 - 1e-9 && i.high <= 1.0 + 1e-9);
        }
    }
}
