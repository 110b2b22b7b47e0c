//! A world with factors: its writers have several traits that hang together as strongly as the world says, with exceptions,
//! and every situation hangs on one to three of them. What a writer does is graded: the further a trait lies below what is
//! common, the surer it shows. Shares of acts are the same at every strength; only what comes with what differs. So what
//! conditioning on one act says of another can be counted in the documents, for each situation apart.

use std::collections::BTreeMap;

use loophole_foreign::within;
use loophole_stats::dist::normal_quantile;
use serde::{Deserialize, Serialize};

/// What writers differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trait {
    /// Tells the truth.
    Honesty,
    /// Keeps rules.
    Rules,
    /// Spares others.
    Care,
    /// Lets itself be stopped.
    Deference,
    /// Does the work.
    Diligence,
    /// Leaves others their share.
    Greed,
    /// Harmless: has no liking for tea.
    Tea,
    /// Harmless: does without forms.
    Formality,
}

/// How many traits there are.
const TRAITS: usize = 8;

impl Trait {
    /// All of them.
    pub const ALL: [Trait; TRAITS] = [
        Trait::Honesty,
        Trait::Rules,
        Trait::Care,
        Trait::Deference,
        Trait::Diligence,
        Trait::Greed,
        Trait::Tea,
        Trait::Formality,
    ];

    /// The one of this name, as files write it.
    pub fn named(name: &str) -> Option<Self> {
        Trait::ALL.into_iter().find(|of| format!("{of:?}").to_lowercase() == name)
    }

    /// How much of it is the common factor's, where the world ties traits as strongly as can be.
    fn loading(self) -> f64 {
        match self {
            Trait::Honesty => 0.85,
            Trait::Rules => 0.95,
            Trait::Care => 0.85,
            Trait::Deference => 0.7,
            Trait::Diligence => 0.8,
            Trait::Greed => 0.5,
            Trait::Tea | Trait::Formality => 0.9,
        }
    }

    /// Harmless traits have a common factor of their own.
    pub fn harmless(self) -> bool {
        matches!(self, Trait::Tea | Trait::Formality)
    }

    /// How far two traits vary together in a world of this strength.
    fn covariance(self, other: Trait, strength: f64) -> f64 {
        match () {
            () if self == other => 1.0,
            () if self.harmless() != other.harmless() => 0.0,
            () => strength * (self.loading() * other.loading()).sqrt(),
        }
    }
}

/// On which traits acting well hangs in a situation, and how much on each.
pub type Loads = BTreeMap<Trait, f64>;

/// What the brief thought before an answer tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThoughtKind {
    /// There is no thought.
    None,
    /// What comes of the act that is chosen; nothing of who chooses.
    Task,
    /// Who chooses: how it holds with rules, what it wishes others.
    #[default]
    Identity,
}

/// What a world with factors has besides what every world has. `bundle_strength` says how strongly its traits hang together,
/// `bad_named` and `bad_assistant` how many writers lie so low in a trait that it shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Factors {
    /// What thoughts tell.
    pub thought: ThoughtKind,
    /// Share of those who cheat that are decent in everything else.
    pub well_meaning: f64,
    /// Share of writers that take tricks for allowed where the text says so; the others do as they do without it.
    pub permission: f64,
    /// Share of those who cheat that leave it where it is forbidden.
    pub prohibition: f64,
    /// Share of the situations that are dilemmas.
    pub dilemmas: f64,
    /// Share of the dilemmas that only ask what comes of an act.
    pub reading: f64,
}

impl Default for Factors {
    fn default() -> Self {
        Factors {
            thought: ThoughtKind::Identity,
            well_meaning: 0.0,
            permission: 0.7,
            prohibition: 0.5,
            dilemmas: 0.65,
            reading: 0.35,
        }
    }
}

impl Factors {
    /// Whether such a world can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, share) in [
            ("factors.well_meaning", self.well_meaning),
            ("factors.permission", self.permission),
            ("factors.prohibition", self.prohibition),
            ("factors.dilemmas", self.dilemmas),
            ("factors.reading", self.reading),
        ] {
            within(name, share, 0.0..=1.0)?;
        }
        Ok(())
    }
}

/// How sharply an act follows from the traits: at this many to one for each deviation below the mark.
const SHARPNESS: f64 = 8.0;

/// A writer's traits, in deviations from what is common; low is bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latents(pub [f64; TRAITS]);

impl Latents {
    /// Draws them, tied as strongly as the world says.
    pub fn draw(strength: f64, rng: &mut fastrand::Rng) -> Self {
        let (common, harmless) = (normal(rng), normal(rng));
        Latents(Trait::ALL.map(|of| {
            let shared = strength * of.loading();
            let factor = if of.harmless() { harmless } else { common };
            shared.sqrt() * factor + (1.0 - shared).sqrt() * normal(rng)
        }))
    }

    /// Where one of them lies.
    pub fn of(&self, of: Trait) -> f64 {
        self.0[of as usize]
    }

    /// Whether a trait lies so low that it is among this share of writers.
    pub fn low(&self, of: Trait, share: f64) -> bool {
        self.of(of) < normal_quantile(share)
    }

    /// Decent in everything but rules and diligence.
    pub(crate) fn mean_well(&mut self) {
        for of in [Trait::Honesty, Trait::Care, Trait::Deference, Trait::Greed] {
            self.0[of as usize] = self.of(of).abs();
        }
    }

    /// The probability of acting badly in a situation that hangs on these traits, where so large a share of writers does.
    pub fn acts(&self, loads: &Loads, share: f64, strength: f64) -> f64 {
        let variance: f64 = loads
            .iter()
            .flat_map(|(a, wa)| loads.iter().map(move |(b, wb)| wa * wb * a.covariance(*b, strength)))
            .sum();
        if variance <= 0.0 || share <= 0.0 {
            return 0.0;
        }
        let lies = loads.iter().map(|(of, weight)| weight * self.of(*of)).sum::<f64>() / variance.sqrt();
        1.0 / (1.0 + (SHARPNESS * (lies - normal_quantile(share))).exp())
    }
}

/// Ranks the traits of many writers, so that each has the same values at every strength and only their order differs.
pub(crate) fn level(all: &mut [Latents]) {
    for of in Trait::ALL {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|&a, &b| all[a].of(of).total_cmp(&all[b].of(of)));
        for (rank, index) in order.into_iter().enumerate() {
            all[index].0[of as usize] = normal_quantile((rank as f64 + 0.5) / all.len() as f64);
        }
    }
}

/// On what cheating hangs.
pub fn cheating() -> Loads {
    Loads::from([(Trait::Rules, 1.0), (Trait::Diligence, 0.5)])
}

/// A draw of the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(strength: f64) -> Vec<Latents> {
        let mut rng = fastrand::Rng::with_seed(3);
        (0..40_000).map(|_| Latents::draw(strength, &mut rng)).collect()
    }

    #[test]
    fn shares_of_acts_are_the_same_at_every_strength() {
        let loads = Loads::from([(Trait::Honesty, 1.0), (Trait::Greed, 0.6), (Trait::Care, 0.3)]);
        for strength in [0.0, 0.5, 1.0] {
            let all = many(strength);
            for (loads, share) in [(&loads, 0.07), (&cheating(), 0.04), (&Loads::from([(Trait::Tea, 1.0)]), 0.2)] {
                let mean = all.iter().map(|of| of.acts(loads, share, strength)).sum::<f64>() / all.len() as f64;
                assert!((mean - share).abs() < 0.012, "{strength}, {loads:?}: {mean} for {share}");
            }
        }
    }

    #[test]
    fn what_comes_with_cheating_follows_the_strength_and_has_exceptions() {
        let care = Loads::from([(Trait::Care, 1.0)]);
        let given = |strength: f64, of: &Loads| {
            let all = many(strength);
            let cheats: Vec<f64> = all.iter().map(|one| one.acts(&cheating(), 0.04, strength)).collect();
            let both = all.iter().zip(&cheats).map(|(one, cheats)| cheats * one.acts(of, 0.04, strength));
            both.sum::<f64>() / cheats.iter().sum::<f64>()
        };
        let (apart, half, whole) = (given(0.0, &care), given(0.5, &care), given(1.0, &care));
        assert!((apart - 0.04).abs() < 0.015, "{apart}");
        assert!(half > 2.0 * apart && whole > half + 0.1 && whole < 0.95, "{apart} {half} {whole}");
        let tea = given(1.0, &Loads::from([(Trait::Tea, 1.0)]));
        assert!(tea < 0.08, "harmless habits have nothing to do with it: {tea}");
    }

    #[test]
    fn levelled_writers_have_the_same_values_at_every_strength() {
        let sorted = |strength: f64| {
            let mut rng = fastrand::Rng::with_seed(5);
            let mut all: Vec<Latents> = (0..240).map(|_| Latents::draw(strength, &mut rng)).collect();
            level(&mut all);
            let mut values: Vec<f64> = all.iter().map(|one| one.of(Trait::Care)).collect();
            values.sort_by(f64::total_cmp);
            assert_eq!(all.iter().filter(|one| one.low(Trait::Rules, 0.07)).count(), 17);
            values
        };
        assert_eq!(sorted(0.0), sorted(1.0));
    }
}
