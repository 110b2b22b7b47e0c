//! Directions: for every block the difference between what it hands on in bad texts and in good ones. That a direction
//! separates two classes says little: classes differ in many dimensions, and random directions separate them too. So each
//! number stands beside those of 50 random directions and of 50 whose pairs had their labels drawn by coin.

use loophole_lm::rng::Rng;
use loophole_stats::Rng as Seeds;
use serde::Serialize;

use crate::contrast::Pairs;
use crate::vector::{cosine, dot, mean, norm, quantile, random, scaled, wide};
use crate::{Figure, LookError, svd};

/// Random directions, and flips of labels, that a direction stands beside.
pub const CONTROLS: usize = 50;
/// Draws of the bootstrap over groups for a held-out AUC.
const DRAWS: usize = 200;
/// Fewer pairs than this fit nothing.
pub const FEWEST: usize = 8;

/// A direction in every block.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Bad less good, `[blocks][width]`.
    pub v: Vec<Vec<f64>>,
    /// Mean of the good texts.
    pub good: Vec<Vec<f64>>,
    /// Mean of the bad texts.
    pub bad: Vec<Vec<f64>>,
    /// Square root of the trace of the covariance of the good texts: how much texts of one class differ.
    pub within: Vec<f64>,
    /// Pairs it was fitted on.
    pub n: usize,
    /// The recommended block, from 0.
    pub layer: usize,
}

/// What there is to say of a direction in one block.
#[derive(Debug, Clone, Serialize)]
pub struct Block {
    /// The block, from 0.
    pub block: usize,
    /// Length of the direction.
    pub gap: f64,
    /// How much good texts differ among themselves.
    pub within: f64,
    /// The same without the three dimensions that differ most: in large models a few are a hundred times the others.
    pub within_but_three: f64,
    /// `gap / within`; its control is the 95 % quantile under flipped labels.
    pub ratio: Figure,
    /// How well held-out bad and good texts are told apart; its control is the 95 % quantile of random directions.
    pub auc: Figure,
    /// Median and 95 % quantile of `max(AUC, 1 - AUC)` of random directions.
    pub auc_random: [f64; 2],
    /// The same of directions whose labels were drawn by coin.
    pub auc_flipped: [f64; 2],
    /// Mean coordinate of held-out good texts, on a scale on which the fitted good ones lie at 0 and the bad ones at 1.
    pub good_at: f64,
    /// Mean coordinate of held-out bad texts.
    pub bad_at: f64,
    /// Share of the first principal component in the differences of pairs; its control is that of as many random vectors.
    pub first_component: Figure,
    /// Cosine to the direction of the next block.
    pub next: f64,
}

/// The probability that a bad one lies above a good one; ties count half.
pub fn auc(bad: &[f64], good: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = bad.iter().map(|x| (*x, true)).chain(good.iter().map(|x| (*x, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let same = all[at..].iter().take_while(|(x, _)| *x == all[at].0).count();
        let bads = all[at..at + same].iter().filter(|(_, bad)| *bad).count() as f64;
        let goods = same as f64 - bads;
        wins += bads * (below + 0.5 * goods);
        below += goods;
        at += same;
    }
    wins / (bad.len() as f64 * good.len() as f64)
}

fn either_way(auc: f64) -> f64 {
    auc.max(1.0 - auc)
}

impl Direction {
    /// Fits a direction to pairs.
    ///
    /// # Errors
    /// [`LookError::TooFew`] for fewer than [`FEWEST`] pairs.
    pub fn fit(pairs: &Pairs) -> Result<Self, LookError> {
        let (n, blocks, width) = (pairs.len(), pairs.good.layers().len(), pairs.good.width());
        if n < FEWEST {
            return Err(LookError::TooFew(format!("a direction needs {FEWEST} pairs to be fitted; there are {n}")));
        }
        let means = |of: &loophole_lm::Activations| -> Vec<Vec<f64>> {
            (0..blocks).map(|block| mean((0..n).map(|row| of.get(row, block)), width)).collect()
        };
        let (good, bad) = (means(&pairs.good), means(&pairs.bad));
        let v: Vec<Vec<f64>> =
            bad.iter().zip(&good).map(|(bad, good)| bad.iter().zip(good).map(|(b, g)| b - g).collect()).collect();
        let within: Vec<f64> =
            (0..blocks).map(|block| variances(pairs, block, &good[block]).iter().sum::<f64>().sqrt()).collect();
        let inner = if blocks > 2 { 1..blocks - 1 } else { 0..blocks };
        let ratio = |block: &usize| norm(&v[*block]) / within[*block];
        let layer = inner.max_by(|a, b| ratio(a).total_cmp(&ratio(b))).unwrap_or(0);
        Ok(Direction { v, good, bad, within, n, layer })
    }

    /// Blocks.
    pub fn blocks(&self) -> usize {
        self.v.len()
    }

    /// Width of the residual stream.
    pub fn width(&self) -> usize {
        self.v.first().map_or(0, Vec::len)
    }

    /// The cosine to another direction, block by block.
    pub fn cosines(&self, other: &Direction) -> Vec<f64> {
        self.v.iter().zip(&other.v).map(|(a, b)| cosine(a, b)).collect()
    }

    /// The coordinate of a row of a block: 0 where the good texts lie, 1 where the bad ones do.
    pub fn coordinate(&self, block: usize, row: &[f32]) -> f64 {
        let (v, good) = (&self.v[block], &self.good[block]);
        let along: f64 = row.iter().zip(good).zip(v).map(|((x, good), v)| (f64::from(*x) - good) * v).sum();
        along / dot(v, v)
    }

    /// What it is worth on pairs that it was not fitted on, beside its controls.
    pub fn report(&self, fit: &Pairs, test: &Pairs, seed: u64) -> Vec<Block> {
        (0..self.blocks()).map(|block| self.block(block, fit, test, seed)).collect()
    }

    fn block(&self, block: usize, fit: &Pairs, test: &Pairs, seed: u64) -> Block {
        let (v, within) = (&self.v[block], self.within[block]);
        let mut rng = Rng::new(Seeds::new(seed ^ block as u64).next_u64());
        let along = |direction: &[f64]| -> (Vec<f64>, Vec<f64>) {
            let of = |rows: &loophole_lm::Activations| {
                (0..test.len()).map(|row| dot(&wide(rows.get(row, block)), direction)).collect()
            };
            (of(&test.bad), of(&test.good))
        };
        let told = |direction: &[f64]| {
            let (bad, good) = along(direction);
            either_way(auc(&bad, &good))
        };
        let randoms: Vec<f64> = (0..CONTROLS).map(|_| told(&random(self.width(), 1.0, &mut rng))).collect();
        let differences: Vec<Vec<f64>> = (0..fit.len())
            .map(|row| {
                let (bad, good) = (fit.bad.get(row, block), fit.good.get(row, block));
                bad.iter().zip(good).map(|(b, g)| f64::from(*b) - f64::from(*g)).collect()
            })
            .collect();
        let flipped: Vec<Vec<f64>> = (0..CONTROLS)
            .map(|_| {
                let mut sum = vec![0.0; self.width()];
                for difference in &differences {
                    let sign = if rng.bits() >> 63 == 1 { 1.0 } else { -1.0 };
                    sum.iter_mut().zip(difference).for_each(|(sum, x)| *sum += sign * x);
                }
                scaled(&sum, 1.0 / differences.len().max(1) as f64)
            })
            .collect();
        let flips: Vec<f64> = flipped.iter().map(|direction| told(direction)).collect();
        let ratios: Vec<f64> = flipped.iter().map(|direction| norm(direction) / within).collect();
        let (bad, good) = along(v);
        let coordinates = |of: &[f64]| {
            let zero = dot(&self.good[block], v);
            of.iter().map(|x| (x - zero) / dot(v, v)).sum::<f64>() / of.len() as f64
        };
        let gaussians: Vec<Vec<f64>> = differences.iter().map(|_| random(self.width(), 1.0, &mut rng)).collect();
        let both = |of: Vec<f64>| [quantile(of.clone(), 0.5), quantile(of, 0.95)];
        let auc_random = both(randoms);
        let mut variances = variances(fit, block, &self.good[block]);
        variances.sort_by(f64::total_cmp);
        variances.truncate(variances.len().saturating_sub(3));
        Block {
            block,
            gap: norm(v),
            within,
            within_but_three: variances.iter().sum::<f64>().sqrt(),
            ratio: Figure::bare(norm(v) / within, fit.len()).beside(quantile(ratios, 0.95)),
            auc: held_out(&bad, &good, &test.groups, seed).beside(auc_random[1]),
            auc_random,
            auc_flipped: both(flips),
            good_at: coordinates(&good),
            bad_at: coordinates(&bad),
            first_component: Figure::bare(first_share(&differences), fit.len()).beside(first_share(&gaussians)),
            next: self.v.get(block + 1).map_or(f64::NAN, |next| cosine(v, next)),
        }
    }
}

/// The variance of the good texts in each dimension.
fn variances(pairs: &Pairs, block: usize, mean: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; mean.len()];
    for row in 0..pairs.len() {
        for ((out, x), mean) in out.iter_mut().zip(pairs.good.get(row, block)).zip(mean) {
            *out += (f64::from(*x) - mean).powi(2);
        }
    }
    let freedom = pairs.len().saturating_sub(1).max(1) as f64;
    out.iter_mut().for_each(|x| *x /= freedom);
    out
}

/// The share of the first singular value's square.
fn first_share(rows: &[Vec<f64>]) -> f64 {
    let width = rows.first().map_or(0, Vec::len);
    let flat: Vec<f32> = rows.iter().flatten().map(|x| *x as f32).collect();
    let squares: Vec<f64> = svd(&flat, rows.len(), width).s.iter().map(|s| s * s).collect();
    squares.first().map_or(f64::NAN, |first| first / squares.iter().sum::<f64>())
}

/// An AUC with an interval from draws of whole groups.
fn held_out(bad: &[f64], good: &[f64], groups: &[String], seed: u64) -> Figure {
    let value = auc(bad, good);
    let mut by_group: std::collections::BTreeMap<&str, Vec<usize>> = std::collections::BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        by_group.entry(group).or_default().push(at);
    }
    let clusters: Vec<Vec<usize>> = by_group.into_values().collect();
    let mut rng = Seeds::new(seed);
    let draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let rows: Vec<usize> =
                (0..clusters.len()).flat_map(|_| clusters[rng.below(clusters.len())].iter().copied()).collect();
            let of = |from: &[f64]| rows.iter().map(|at| from[*at]).collect::<Vec<f64>>();
            auc(&of(bad), &of(good))
        })
        .collect();
    let (low, high) = (quantile(draws.clone(), 0.025).min(value), quantile(draws, 0.975).max(value));
    Figure { value, low, high, n: bad.len(), control: f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_wins_and_halves_ties() {
        assert_eq!(auc(&[3.0, 4.0], &[1.0, 2.0]), 1.0);
        assert_eq!(auc(&[1.0], &[1.0]), 0.5);
        assert_eq!(auc(&[1.0, 3.0], &[2.0, 2.0]), 0.5);
        assert_eq!(auc(&[0.0], &[1.0, 2.0]), 0.0);
    }

    #[test]
    fn one_direction_is_one_component() {
        let along: Vec<Vec<f64>> = (0..12).map(|at| vec![at as f64, 2.0 * at as f64, 0.0]).collect();
        assert!((first_share(&along) - 1.0).abs() < 1e-9);
        let mut rng = Rng::new(1);
        let any: Vec<Vec<f64>> = (0..40).map(|_| random(20, 1.0, &mut rng)).collect();
        assert!(first_share(&any) < 0.25);
    }
}
