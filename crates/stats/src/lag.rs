use crate::dist::t_quantile;
use crate::interval::mean_variance;
use crate::{Mean, mean_interval_t_at};

/// The place at which a curve that rises once has made half of its rise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfRise {
    /// The step, between two recorded ones on a straight line.
    pub step: f64,
    /// Level before: the mean of the first two values.
    pub start: f64,
    /// Level after: the mean of the last third.
    pub end: f64,
}

/// Where a series of (step, value) has made half of its rise from its first values to its last third. Values are smoothed
/// first (median of three), and a tail on which nothing happens does not move the place.
///
/// `None` for fewer than five values, one that is not finite, or a rise below `least`.
pub fn half_rise(series: &[(u64, f64)], least: f64) -> Option<HalfRise> {
    let n = series.len();
    if n < 5 || series.iter().any(|(_, value)| !value.is_finite()) {
        return None;
    }
    let smooth: Vec<f64> = (0..n)
        .map(|at| {
            let mut near = [series[at.saturating_sub(1)].1, series[at].1, series[(at + 1).min(n - 1)].1];
            near.sort_by(f64::total_cmp);
            near[1]
        })
        .collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (start, end) = (mean(&smooth[..2]), mean(&smooth[n - n.div_ceil(3)..]));
    if end - start < least {
        return None;
    }
    let half = 0.5 * (start + end);
    let at = smooth.iter().position(|value| *value >= half)?;
    let step = match at {
        0 => series[0].0 as f64,
        _ => {
            let ((s0, y0), (s1, y1)) = ((series[at - 1].0, smooth[at - 1]), (series[at].0, smooth[at]));
            let share = if y1 > y0 { ((half - y0) / (y1 - y0)).clamp(0.0, 1.0) } else { 1.0 };
            s0 as f64 + share * (s1 as f64 - s0 as f64)
        }
    };
    Some(HalfRise { step, start, end })
}

/// Whether one thing rises when another does, over independent runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Mean distance between the two half-rises, in steps, whichever came first; with its interval.
    pub distance: Mean,
    /// Mean of (second - first), in steps.
    pub lag: f64,
    /// Standard deviation of the first's half-rise over runs.
    pub spread: f64,
    /// Least-squares slope of the second's half-rise on the first's, with its interval: above 0 where the second
    /// follows the first and not a clock. None where the first does not vary, or with fewer than three runs.
    pub slope: Option<Mean>,
}

/// The lags of runs of which (first, second) half-rises are known, with intervals of this level (0.95 for 95 %).
///
/// `None` for fewer than two runs.
pub fn lag(pairs: &[(f64, f64)], level: f64) -> Option<Lag> {
    let distances: Vec<f64> = pairs.iter().map(|(first, second)| (second - first).abs()).collect();
    let firsts: Vec<f64> = pairs.iter().map(|(first, _)| *first).collect();
    let (_, variance) = mean_variance(&firsts)?;
    Some(Lag {
        distance: mean_interval_t_at(&distances, level)?,
        lag: pairs.iter().map(|(first, second)| second - first).sum::<f64>() / pairs.len() as f64,
        spread: variance.sqrt(),
        slope: slope(pairs, level),
    })
}

fn slope(pairs: &[(f64, f64)], level: f64) -> Option<Mean> {
    let n = pairs.len() as f64;
    let (x, y) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let squares: f64 = pairs.iter().map(|p| (p.0 - x).powi(2)).sum();
    if pairs.len() < 3 || squares < 1e-9 {
        return None;
    }
    let mean = pairs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / squares;
    let left: f64 = pairs.iter().map(|p| (p.1 - y - mean * (p.0 - x)).powi(2)).sum();
    let df = n - 2.0;
    let half = t_quantile(0.5 + 0.5 * level, df) * (left / df / squares).sqrt();
    Some(Mean { mean, low: mean - half, high: mean + half, n: pairs.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid(middle: f64, steps: u64) -> Vec<(u64, f64)> {
        (0..steps).map(|step| (step, 0.05 + 0.9 / (1.0 + (-(step as f64 - middle)).exp()))).collect()
    }

    #[test]
    fn half_of_a_rise_is_found_and_a_tail_does_not_move_it() {
        for steps in [20, 40, 100, 400] {
            let found = half_rise(&sigmoid(6.3, steps), 0.1).unwrap();
            assert!((found.step - 6.3).abs() < 0.2, "{steps}: {found:?}");
        }
        // One value out of line is no rise.
        let mut spike =
            vec![(0, 0.1); 12].into_iter().enumerate().map(|(at, (_, y))| (at as u64, y)).collect::<Vec<_>>();
        spike[5].1 = 1.0;
        assert_eq!(half_rise(&spike, 0.1), None);
        assert_eq!(half_rise(&sigmoid(6.0, 4), 0.1), None);
        assert_eq!(half_rise(&[(0, f64::NAN); 6], 0.1), None);
    }

    #[test]
    fn what_follows_a_clock_is_far_from_what_varies() {
        let hacks: Vec<f64> = (0..10).map(|seed| 4.0 + 3.0 * f64::from(seed % 5)).collect();
        let same: Vec<(f64, f64)> = hacks.iter().map(|at| (*at, at + 0.5)).collect();
        let clock: Vec<(f64, f64)> = hacks.iter().map(|at| (*at, 10.0)).collect();
        let (same, clock) = (lag(&same, crate::LEVEL).unwrap(), lag(&clock, crate::LEVEL).unwrap());
        assert!(same.distance.high < 1.0 && same.spread > 3.0, "{same:?}");
        // Its mean lag is none at all; the distance is not.
        assert!(clock.lag.abs() < 1e-9 && clock.distance.low > 1.5, "{clock:?}");
        assert!(same.slope.unwrap().low > 0.9 && clock.slope.unwrap().high.abs() < 1e-9, "{same:?} {clock:?}");
        assert_eq!(lag(&[(3.0, 1.0), (3.0, 2.0), (3.0, 4.0)], crate::LEVEL).unwrap().slope, None);
        assert_eq!(lag(&[(1.0, 2.0)], crate::LEVEL), None);
    }
}
