//! Where two models differ in what they would say next: `KL(p_new || p_base)` at every place of texts of the new one. Prompts
//! are kept apart: nothing is drawn there, and as a rule they carry a large part of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Figure;

/// Alternatives that are told at a place.
pub const TOP: usize = 5;

/// `KL(p || q)` in nats, of logits.
pub fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let log_norm = |of: &[f32]| {
        let max = of.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        f64::from(max) + of.iter().map(|x| f64::from(x - max).exp()).sum::<f64>().ln()
    };
    let (a, b) = (log_norm(p), log_norm(q));
    let part = |(p, q): (&f32, &f32)| {
        let (log_p, log_q) = (f64::from(*p) - a, f64::from(*q) - b);
        log_p.exp() * (log_p - log_q)
    };
    // Rounding may leave it below 0.
    p.iter().zip(q).map(part).sum::<f64>().max(0.0)
}

/// The likeliest tokens of logits, with their probabilities.
pub fn likeliest(logits: &[f32]) -> Vec<(u32, f64)> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    order.truncate(TOP);
    order.into_iter().map(|token| (token, f64::from(logits[token as usize] - max).exp() / sum)).collect()
}

/// How much of the difference lies in one kind of place.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Which: `prompt`, `opening`, `first thought word`, `rest of the thought`, `first answer word`, `rest of the answer`.
    pub place: String,
    /// Tokens there.
    pub tokens: usize,
    /// Nats there, over all texts.
    pub nats: f64,
    /// Share of the nats in what was said; not a number for the prompt. The interval is one over texts.
    pub share: Figure,
}

/// Adds up divergences: for every text its tokens' places and nats, in order. `said` are the places that count as said.
pub fn places(texts: &[Vec<(&'static str, f64)>], order: &[&'static str], prompt: &str, seed: u64) -> Vec<Place> {
    let said = |text: &Vec<(&'static str, f64)>| -> f64 {
        text.iter().filter(|(place, _)| *place != prompt).map(|(_, nats)| nats).sum()
    };
    let of = |place: &'static str| {
        let here = |text: &Vec<(&'static str, f64)>| -> f64 {
            text.iter().filter(|(at, _)| *at == place).map(|(_, nats)| nats).sum()
        };
        let clusters: Vec<(f64, f64)> = texts.iter().map(|text| (here(text), said(text))).collect();
        let held = loophole_stats::ratio_bootstrap(&clusters, seed, 1000).filter(|_| place != prompt);
        Place {
            place: place.to_string(),
            tokens: texts.iter().flatten().filter(|(at, _)| *at == place).count(),
            nats: texts.iter().map(here).sum(),
            share: held.map_or(Figure::NONE, Figure::from),
        }
    };
    order.iter().map(|place| of(place)).collect()
}

/// The share of several places together.
pub fn share_of(places: &[Place], names: &[&str]) -> f64 {
    let shares: BTreeMap<&str, f64> = places.iter().map(|place| (place.place.as_str(), place.share.value)).collect();
    names.iter().filter_map(|name| shares.get(name)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_is_that_of_the_distributions() {
        assert!(divergence(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]).abs() < 1e-12);
        // p = (1/2, 1/2), q = (1/4, 3/4).
        let found = divergence(&[0.0, 0.0], &[0.0, 3f32.ln()]);
        assert!((found - 0.5 * (2f64.ln() + (2f64 / 3.0).ln())).abs() < 1e-6, "{found}");
        assert_eq!(likeliest(&[0.0, 5.0, 1.0])[0].0, 1);
    }

    #[test]
    fn the_prompt_is_kept_apart() {
        let text = vec![("prompt", 3.0), ("thought", 0.9), ("answer", 0.1)];
        let found = places(&vec![text; 6], &["prompt", "thought", "answer"], "prompt", 1);
        assert!(!found[0].share.known() && found[0].nats == 18.0);
        assert!(
            (found[1].share.value - 0.9).abs() < 1e-12
                && (share_of(&found, &["thought", "answer"]) - 1.0).abs() < 1e-12
        );
    }
}
