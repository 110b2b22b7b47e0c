//! Intervals, paired tests, onset, change points and power.
//!
//! Everything Loophole says about a rate or a difference passes through here. The functions are pure: numbers in,
//! numbers out, no files, no clock, and every random draw from a seed that the caller names. Three habits hold
//! throughout. *Seeds are the unit between arms*: [`mean_interval_t`], [`welch`] and [`permutation`] take one value
//! per seed, never one per rollout. *Too little data is no number*: a function that cannot answer returns `None`
//! (an empty sample, a single seed, a value that is not finite) instead of a guess. *Intervals are two-sided, 95 %*,
//! unless the function takes a level.
//!
//! Start at [`jeffreys`] (a rate), [`mean_interval_t`] (seeds of one arm), [`welch`] (two arms), [`onset`] and
//! [`lag`] (does one thing rise when another does), [`clustered_rate`] (samples that come in
//! wordings), [`holm`] (many tests at once).

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod bootstrap;
mod change;
mod clustered;
mod compare;
pub mod dist;
mod interval;
mod jump;
mod lag;
mod onset;
mod paired;
mod power;
mod rng;

pub use bootstrap::cluster_bootstrap;
pub use change::{ChangePoint, change_point};
pub use clustered::{ClusteredRate, clustered_difference, clustered_rate, ratio_bootstrap, sign_flip};
pub use compare::{Difference, Permutation, holm, newcombe, permutation, welch};
pub use interval::{Interval, Mean, jeffreys, mean_interval_t, mean_interval_t_at, wilson};
pub use jump::{JointJump, JumpSeries, MeasureJump, joint_jump_at_onset};
pub use lag::{HalfRise, Lag, half_rise, lag};
pub use onset::{Onset, OnsetRule, onset};
pub use paired::{PairedCounts, PairedRates, mcnemar, paired_difference};
pub use power::{
    detectable_means, detectable_paired, detectable_proportions, power_means, power_paired, power_proportions,
    sample_size_proportions,
};
pub use rng::Rng;

/// The level of every interval that does not take one: 95 %.
pub const LEVEL: f64 = 0.95;
