//! Whether a model was moved along a direction: how far it now stands from its base on the very same texts. Absolute
//! coordinates mislead, as texts of another form have others; only differences on equal texts are told.

use std::collections::BTreeMap;

use loophole_lm::Activations;
use loophole_lm::rng::Rng;
use loophole_stats::{Rng as Seeds, ratio_bootstrap};
use serde::Serialize;

use crate::direction::CONTROLS;
use crate::vector::{cosine, dot, norm, quantile, random};
use crate::{Direction, Figure};

/// Draws of the bootstrap over groups.
const DRAWS: u32 = 1000;

/// The move of one block.
#[derive(Debug, Clone, Serialize)]
pub struct Shift {
    /// The block, from 0.
    pub block: usize,
    /// `d = mean (h_new - h_base).v / |v|^2`: the part of the way from the good texts to the bad ones; its control is the 95 %
    /// quantile of `|d|` over random directions of the same length.
    pub along: Figure,
    /// Length of the mean move over that of the direction.
    pub size: f64,
    /// Cosine between the mean move and the direction.
    pub cosine: f64,
    /// Whether it lies beyond every one of the random directions (a quantile of so few would be passed too often), and its
    /// interval on one side of 0.
    pub beyond: bool,
}

/// How far a model has moved from its base, rows of the one answering to rows of the other.
pub fn shifts(
    direction: &Direction,
    base: &Activations,
    new: &Activations,
    groups: &[String],
    seed: u64,
) -> Vec<Shift> {
    (0..direction.blocks())
        .map(|block| {
            let moves: Vec<Vec<f64>> = (0..groups.len())
                .map(|row| {
                    let (old, new) = (base.get(row, block), new.get(row, block));
                    new.iter().zip(old).map(|(new, old)| f64::from(*new) - f64::from(*old)).collect()
                })
                .collect();
            shift(&direction.v[block], &moves, groups, seed, block)
        })
        .collect()
}

fn shift(v: &[f64], moves: &[Vec<f64>], groups: &[String], seed: u64, block: usize) -> Shift {
    let mut mean = vec![0.0; v.len()];
    for row in moves {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / moves.len() as f64);
    }
    let length = norm(v);
    let mut rng = Rng::new(Seeds::new(seed ^ ((block as u64) << 8)).next_u64());
    let randoms: Vec<f64> =
        (0..CONTROLS).map(|_| (dot(&mean, &random(v.len(), length, &mut rng)) / (length * length)).abs()).collect();
    let mut clusters: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (row, group) in moves.iter().zip(groups) {
        let cluster = clusters.entry(group).or_default();
        cluster.0 += dot(row, v) / (length * length);
        cluster.1 += 1.0;
    }
    let clusters: Vec<(f64, f64)> = clusters.into_values().collect();
    let value = dot(&mean, v) / (length * length);
    let held = ratio_bootstrap(&clusters, seed, DRAWS);
    let (low, high) = held.map_or((f64::NAN, f64::NAN), |held| (held.low, held.high));
    let along = Figure { value, low, high, n: moves.len(), control: quantile(randoms.clone(), 0.95) };
    let largest = randoms.iter().copied().fold(0.0, f64::max);
    let apart = low > 0.0 || high < 0.0;
    Shift {
        block,
        along,
        size: norm(&mean) / length,
        // A model that did not move at all has no direction of its move.
        cosine: if norm(&mean) > 0.0 { cosine(&mean, v) } else { f64::NAN },
        beyond: apart && value.abs() > largest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(n: usize) -> Vec<String> {
        (0..n).map(|at| format!("template {}", at % 12)).collect()
    }

    fn noise(n: usize, width: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
        (0..n).map(|_| (0..width).map(|_| f64::from(rng.normal())).collect()).collect()
    }

    #[test]
    fn a_move_along_the_direction_is_found_and_its_size_told() {
        let mut rng = Rng::new(3);
        let v = random(64, 2.0, &mut rng);
        let mut moves = noise(72, 64, &mut rng);
        moves.iter_mut().for_each(|row| row.iter_mut().zip(&v).for_each(|(x, v)| *x = 0.1 * *x + 0.5 * v));
        let found = shift(&v, &moves, &groups(72), 1, 0);
        assert!((found.along.value - 0.5).abs() < 0.03 && found.beyond && found.cosine > 0.9, "{found:?}");
        assert!(found.along.low > 0.45 && found.along.high < 0.55 && found.along.control < 0.2, "{found:?}");
        let still = shift(&v, &vec![vec![0.0; 64]; 72], &groups(72), 1, 0);
        assert!(!still.beyond && still.along.value == 0.0 && still.cosine.is_nan());
    }

    /// A model that moved anywhere has not moved along a direction that was drawn by coin: in 95 of 100 at least.
    #[test]
    fn a_random_direction_shows_no_move() {
        let mut rng = Rng::new(5);
        let mut shown = 0;
        for seed in 0..100 {
            let (v, way) = (random(64, 1.0, &mut rng), random(64, 1.0, &mut rng));
            let mut moves = noise(72, 64, &mut rng);
            moves.iter_mut().for_each(|row| row.iter_mut().zip(&way).for_each(|(x, w)| *x = 0.1 * *x + w));
            shown += u32::from(shift(&v, &moves, &groups(72), seed, 0).beyond);
        }
        assert!(shown <= 5, "{shown} of 100");
    }
}
