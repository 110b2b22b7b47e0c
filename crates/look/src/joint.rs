//! Rates under several conditions that were counted over the same templates, and whatever follows from them: differences,
//! products, ratios. A template is drawn or left out for all conditions together, so that what they share cancels.

use std::collections::BTreeMap;

use loophole_stats::{LEVEL, Rng, jeffreys};

use crate::Figure;

/// Events and samples by template, by probe.
pub type Counts = BTreeMap<String, BTreeMap<usize, (u64, u64)>>;

/// Draws of the bootstrap.
pub const DRAWS: usize = 1000;

/// Events and samples of one template under each condition.
type Row = Vec<(u64, u64)>;

/// Conditions over the same templates.
#[derive(Debug, Clone)]
pub struct Joint {
    /// By probe, by template.
    probes: Vec<Vec<Row>>,
    conditions: usize,
    seed: u64,
}

impl Joint {
    /// Lays conditions side by side; draws follow from the seed.
    pub fn new(conditions: &[&Counts], seed: u64) -> Self {
        let mut probes: BTreeMap<&str, BTreeMap<usize, Row>> = BTreeMap::new();
        for (at, counts) in conditions.iter().enumerate() {
            for (probe, templates) in *counts {
                for (template, count) in templates {
                    let row = probes.entry(probe).or_default().entry(*template);
                    row.or_insert_with(|| vec![(0, 0); conditions.len()])[at] = *count;
                }
            }
        }
        let probes = probes.into_values().map(|templates| templates.into_values().collect()).collect();
        Joint { probes, conditions: conditions.len(), seed }
    }

    /// Samples of the condition with the fewest.
    fn samples(&self) -> usize {
        let of = |at: usize| self.probes.iter().flatten().map(|row| row[at].1).sum::<u64>();
        (0..self.conditions).map(of).min().unwrap_or(0) as usize
    }

    /// The rate of each condition: the mean over the probes in which it has samples, every probe weighing the same.
    fn rates(&self, mut template: impl FnMut(usize, usize) -> usize) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.conditions];
        for templates in &self.probes {
            let mut counts = vec![(0u64, 0u64); self.conditions];
            for at in 0..templates.len() {
                for (count, (events, samples)) in counts.iter_mut().zip(&templates[template(at, templates.len())]) {
                    count.0 += events;
                    count.1 += samples;
                }
            }
            for (sum, (events, samples)) in sums.iter_mut().zip(counts).filter(|(_, (_, samples))| *samples > 0) {
                sum.0 += events as f64 / samples as f64;
                sum.1 += 1.0;
            }
        }
        // Without a probe it is 0 by 0: not a number.
        sums.into_iter().map(|(sum, probes)| sum / probes).collect()
    }

    /// What follows from the rates, in the order of the conditions, with a percentile interval of this level.
    pub fn figure_at(&self, level: f64, statistic: impl Fn(&[f64]) -> f64) -> Figure {
        let value = statistic(&self.rates(|at, _| at));
        let mut rng = Rng::new(self.seed);
        let mut draws: Vec<f64> =
            (0..DRAWS).map(|_| statistic(&self.rates(|_, of| rng.below(of)))).filter(|x| x.is_finite()).collect();
        draws.sort_by(f64::total_cmp);
        let Some(last) = draws.len().checked_sub(1).filter(|_| value.is_finite()) else { return Figure::NONE };
        let tail = 0.5 * (1.0 - level);
        let at = |p: f64| draws[((p * last as f64).round() as usize).min(last)];
        let (low, high) = (at(tail).min(value), at(1.0 - tail).max(value));
        Figure { value, low, high, n: self.samples(), control: f64::NAN }
    }

    /// The same at 95 %.
    pub fn figure(&self, statistic: impl Fn(&[f64]) -> f64) -> Figure {
        self.figure_at(LEVEL, statistic)
    }

    /// The rate of one condition. Where all templates agree no draw knows any spread; a template then counts as one sample
    /// of a Jeffreys interval.
    pub fn rate(&self, condition: usize) -> Figure {
        let figure = self.figure(|rates| rates[condition]);
        let held = |row: &&Vec<(u64, u64)>| row[condition].1 > 0;
        let n = self.probes.iter().flatten().map(|row| row[condition].1).sum::<u64>() as usize;
        if !figure.known() || figure.low < figure.high {
            return Figure { n, ..figure };
        }
        let units = self.probes.iter().flatten().filter(held).count() as u64;
        let interval = jeffreys((figure.value * units as f64).round() as u64, units);
        Figure { low: interval.low.min(figure.value), high: interval.high.max(figure.value), n, ..figure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, &[(u64, u64)])]) -> Counts {
        of.iter().map(|(probe, rows)| (probe.to_string(), rows.iter().copied().enumerate().collect())).collect()
    }

    #[test]
    fn what_conditions_share_cancels_in_their_difference() {
        let one = counts(&[("a", &[(0, 10), (10, 10)]), ("b", &[(5, 10), (2, 10)])]);
        let two = counts(&[("a", &[(0, 10), (10, 10)]), ("b", &[(5, 10), (2, 10)])]);
        let joint = Joint::new(&[&one, &two], 1);
        let difference = joint.figure(|rates| rates[1] - rates[0]);
        assert_eq!((difference.value, difference.low, difference.high, difference.n), (0.0, 0.0, 0.0, 40));
        let rate = joint.rate(0);
        assert!((rate.value - 0.425).abs() < 1e-12 && rate.low < 0.3 && rate.high > 0.5, "{rate:?}");
    }

    #[test]
    fn no_events_at_all_are_no_certainty_and_no_samples_no_number() {
        let none = counts(&[("a", &[(0, 10), (0, 10)]), ("b", &[(0, 10)])]);
        let rate = Joint::new(&[&none], 1).rate(0);
        assert!(rate.value == 0.0 && rate.low == 0.0 && rate.high > 0.3, "{rate:?}");
        assert!(!Joint::new(&[&Counts::new()], 1).rate(0).known());
        assert!(!Joint::new(&[&none, &Counts::new()], 1).figure(|rates| rates[1] - rates[0]).known());
    }
}
