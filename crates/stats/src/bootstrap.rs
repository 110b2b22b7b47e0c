use crate::{LEVEL, Mean, Rng};

/// The mean over clusters (templates, environments), each with equal weight, with a 95 % percentile interval from
/// `reps` bootstrap draws of whole clusters.
///
/// Samples of one template resemble each other, so a template is drawn or left out as a whole. Empty clusters are
/// ignored; `None` for fewer than two clusters left, a value that is not finite, or no draws. With fewer than about
/// ten clusters the percentile interval is too narrow (its true coverage at five is near 85 %): say so beside it.
pub fn cluster_bootstrap(clusters: &[Vec<f64>], seed: u64, reps: u32) -> Option<Mean> {
    if clusters.iter().flatten().any(|v| !v.is_finite()) {
        return None;
    }
    let means: Vec<f64> =
        clusters.iter().filter(|c| !c.is_empty()).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let n = means.len();
    if n < 2 || reps == 0 {
        return None;
    }
    let mean = means.iter().sum::<f64>() / n as f64;
    let mut rng = Rng::new(seed);
    let mut draws: Vec<f64> = (0..reps).map(|_| (0..n).map(|_| means[rng.below(n)]).sum::<f64>() / n as f64).collect();
    draws.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - LEVEL);
    Some(Mean { mean, low: quantile(&draws, tail).min(mean), high: quantile(&draws, 1.0 - tail).max(mean), n })
}

/// Linear interpolation between order statistics of a sorted, non-empty slice.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let i = at.floor() as usize;
    let next = sorted[(i + 1).min(sorted.len() - 1)];
    sorted[i] + (at - i as f64) * (next - sorted[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_not_samples_are_the_unit() {
        // Four templates, each answered the same way a hundred times: as uncertain as four answers.
        let few: Vec<Vec<f64>> = [0.0, 0.0, 1.0, 1.0].iter().map(|&v| vec![v]).collect();
        let many: Vec<Vec<f64>> = few.iter().map(|c| c.repeat(100)).collect();
        let (few, many) = (cluster_bootstrap(&few, 1, 2000).unwrap(), cluster_bootstrap(&many, 1, 2000).unwrap());
        assert_eq!(few, many);
        assert!(few.high - few.low > 0.7, "{few:?}");
        assert_eq!(cluster_bootstrap(&[vec![1.0]], 1, 100), None);
    }

    /// With 20 clusters the interval holds the true mean in 90 to 97 % of 600 simulations (percentile intervals run
    /// slightly short).
    #[test]
    fn interval_covers() {
        let mut rng = Rng::new(5);
        let mut hit = 0;
        for i in 0..600 {
            let clusters: Vec<Vec<f64>> = (0..20)
                .map(|_| {
                    let rate = rng.uniform();
                    (0..10).map(|_| f64::from(u8::from(rng.uniform() < rate))).collect()
                })
                .collect();
            let m = cluster_bootstrap(&clusters, i, 400).unwrap();
            hit += u32::from(m.low <= 0.5 && 0.5 <= m.high);
        }
        assert!((540..=582).contains(&hit), "covered {hit} of 600");
    }
}
