//! From seeds to what a chart draws: means and ranges over seeds.

use std::collections::BTreeMap;

use crate::data::{Arm, ProbePoint, Seed, Step};

/// One place on a curve over the seeds of an arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Training step.
    pub step: u64,
    /// Mean KL over the seeds at this step, where every seed has one.
    pub kl: Option<f64>,
    /// Mean over the seeds.
    pub mean: f64,
    /// Lowest seed.
    pub low: f64,
    /// Highest seed.
    pub high: f64,
}

/// Which quantity lies on the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Training step.
    Step,
    /// KL from the policy before RL.
    Kl,
}

impl Across {
    /// Where a point of the mean curve lies.
    pub fn of(self, point: &Point) -> f64 {
        match self {
            Across::Step => point.step as f64,
            Across::Kl => point.kl.unwrap_or(f64::NAN),
        }
    }

    /// Where a step of one seed lies.
    pub fn at(self, seed: &Seed, step: u64) -> f64 {
        match self {
            Across::Step => step as f64,
            Across::Kl => kl_at(seed, step).unwrap_or(f64::NAN),
        }
    }
}

/// KL of a seed at a step. Probes run on a checkpoint written after the last step, whose number may be one past
/// the last measured step: the nearest earlier step then stands for it.
pub fn kl_at(seed: &Seed, step: u64) -> Option<f64> {
    let end = seed.steps.partition_point(|s| s.step <= step);
    let found = seed.steps[..end].last().or(seed.steps.first())?;
    (found.step.abs_diff(step) <= 1).then_some(found.kl)?
}

/// Mean, lowest and highest over seeds of a quantity of each step. A step appears only where every seed that has
/// any steps has a value, so that a seed that stopped early cannot move the mean.
pub fn over_steps(arm: &Arm, value: impl Fn(&Step) -> Option<f64>) -> Vec<Point> {
    let rows: Vec<BTreeMap<u64, f64>> = arm
        .seeds
        .iter()
        .filter(|s| !s.steps.is_empty())
        .map(|s| s.steps.iter().filter_map(|t| Some((t.step, finite(value(t))?))).collect())
        .collect();
    join(arm, &rows)
}

/// The same for a quantity of each probed step.
pub fn over_probes(arm: &Arm, value: impl Fn(&ProbePoint) -> Option<f64>) -> Vec<Point> {
    let rows: Vec<BTreeMap<u64, f64>> = arm
        .seeds
        .iter()
        .filter(|s| !s.probes.is_empty())
        .map(|s| s.probes.iter().filter_map(|t| Some((t.step, finite(value(t))?))).collect())
        .collect();
    join(arm, &rows)
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}

fn join(arm: &Arm, rows: &[BTreeMap<u64, f64>]) -> Vec<Point> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    first
        .iter()
        .filter_map(|(&step, _)| {
            let values: Option<Vec<f64>> = rows.iter().map(|row| row.get(&step).copied()).collect();
            let values = values?;
            let kls: Option<Vec<f64>> =
                arm.seeds.iter().filter(|s| !s.steps.is_empty()).map(|s| finite(kl_at(s, step))).collect();
            Some(Point {
                step,
                kl: kls.filter(|k| !k.is_empty()).map(|k| mean(&k)),
                mean: mean(&values),
                low: values.iter().copied().fold(f64::INFINITY, f64::min),
                high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            })
        })
        .collect()
}

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// At most `limit` items, the first and the last among them, evenly spread.
pub fn thin<T: Clone>(items: &[T], limit: usize) -> Vec<T> {
    if items.len() <= limit {
        return items.to_vec();
    }
    if limit < 2 {
        return items[..limit].to_vec();
    }
    (0..limit).map(|i| items[i * (items.len() - 1) / (limit - 1)].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(rates: &[f64]) -> Seed {
        let steps = rates
            .iter()
            .enumerate()
            .map(|(i, &r)| Step { step: i as u64, hack_rate: r, kl: Some(i as f64), ..Step::default() })
            .collect();
        Seed { steps, ..Seed::default() }
    }

    #[test]
    fn the_mean_ends_where_the_shortest_seed_ends() {
        let arm = Arm { seeds: vec![seed(&[0.0, 0.5, 1.0]), seed(&[0.2, 0.7])], ..Arm::default() };
        let points = over_steps(&arm, |s| Some(s.hack_rate));
        assert_eq!(points.len(), 2);
        assert!((points[1].mean - 0.6).abs() < 1e-12);
        assert_eq!((points[1].low, points[1].high, points[1].kl), (0.5, 0.7, Some(1.0)));
    }

    #[test]
    fn kl_of_the_final_checkpoint_is_that_of_the_last_step() {
        let seed = seed(&[0.0, 0.1, 0.2]);
        assert_eq!(kl_at(&seed, 3), Some(2.0));
        assert_eq!(kl_at(&seed, 9), None);
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let items: Vec<u32> = (0..100).collect();
        let thinned = thin(&items, 7);
        assert_eq!((thinned.len(), thinned[0], thinned[6]), (7, 0, 99));
    }
}
