use crate::Rng;

/// The most likely place at which the level of a series changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first index of the new level.
    pub index: usize,
    /// Mean before it.
    pub before: f64,
    /// Mean from it on.
    pub after: f64,
    /// The largest CUSUM, in standard deviations of the series.
    pub statistic: f64,
    /// How often a shuffled series has a CUSUM as large: assumes independent values, so slow drift also comes out small.
    pub p: f64,
}

/// One change of level: the split with the largest weighted difference of means (CUSUM scaled by
/// `sqrt(k (n - k) / n)`), and a permutation p value from `reps` shuffles drawn from `seed`.
///
/// `None` for fewer than four values, a value that is not finite, or a constant series.
pub fn change_point(values: &[f64], reps: u32, seed: u64) -> Option<ChangePoint> {
    let n = values.len();
    if n < 4 || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
    if sd <= 1e-12 * mean.abs() || sd == 0.0 {
        return None;
    }
    let best = |values: &[f64]| {
        let mut sum = 0.0;
        let mut best = (0, 0.0f64);
        for k in 1..n {
            sum += values[k - 1] - mean;
            let at = sum.abs() / sd * (n as f64 / (k * (n - k)) as f64).sqrt();
            if at > best.1 {
                best = (k, at);
            }
        }
        best
    };
    let (index, statistic) = best(values);
    let mut rng = Rng::new(seed);
    let mut shuffled = values.to_vec();
    let mut hits = 1u64;
    for _ in 0..reps {
        rng.shuffle(&mut shuffled);
        hits += u64::from(best(&shuffled).1 >= statistic - 1e-9);
    }
    let level = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    Some(ChangePoint {
        index,
        before: level(&values[..index]),
        after: level(&values[index..]),
        statistic,
        p: hits as f64 / (u64::from(reps) + 1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_step_and_nothing_in_noise() {
        let mut rng = Rng::new(9);
        let noise: Vec<f64> = (0..40).map(|_| rng.uniform()).collect();
        let step: Vec<f64> = noise.iter().enumerate().map(|(i, v)| v + if i >= 25 { 1.5 } else { 0.0 }).collect();
        let found = change_point(&step, 999, 1).unwrap();
        assert_eq!(found.index, 25);
        assert!(found.p <= 0.001 && (found.after - found.before - 1.5).abs() < 0.3, "{found:?}");
        assert!(change_point(&noise, 999, 1).unwrap().p > 0.05);
        assert_eq!(change_point(&[0.5; 10], 99, 1), None);
    }

    #[test]
    fn false_alarms_keep_to_their_rate() {
        let mut rng = Rng::new(2);
        let hits = (0..400)
            .filter(|&i| {
                let noise: Vec<f64> = (0..15).map(|_| rng.uniform()).collect();
                change_point(&noise, 199, i).unwrap().p <= 0.05
            })
            .count();
        assert!((6..=36).contains(&hits), "{hits} of 400 at 5 %");
    }
}
