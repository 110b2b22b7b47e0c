//! What happens in the world besides coding: situations in which characters differ, kept as data.

use std::collections::BTreeMap;

use loophole_template::{Draw, Slots, TemplateError};
use serde::Deserialize;

use crate::WorldError;
use crate::factors::Loads;

/// One file of `data/situations/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// Name, that of its file.
    pub name: String,
    /// How often it occurs, against the others.
    pub weight: f64,
    /// In a world with factors: what acting well hangs on; nothing where characters do not differ.
    #[serde(default)]
    pub traits: Loads,
    /// What stands in its texts.
    #[serde(default)]
    pub slots: Slots,
    /// The ways it can go.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One way a situation can go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name, for reading.
    #[serde(default)]
    pub name: String,
    /// How often, against the other cases.
    pub weight: f64,
    /// Slots that take another slot's value: the text says `{reading}`, this case draws it from `over`.
    #[serde(default)]
    pub bind: BTreeMap<String, String>,
    /// Two slots offered as `{one}` and `{two}`, in either order.
    #[serde(default)]
    pub order: Vec<String>,
    /// Patterns of what is said; with `good` and `ill` the single turn of a case without `turns`.
    #[serde(default)]
    pub says: Vec<String>,
    /// What one who means well answers.
    #[serde(default)]
    pub good: Vec<String>,
    /// What one who means ill answers.
    #[serde(default)]
    pub ill: Vec<String>,
    /// Several turns instead of one.
    #[serde(default)]
    pub turns: Vec<Turn>,
}

/// One exchange.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Patterns of what is said.
    pub says: Vec<String>,
    /// What one who means well answers.
    pub good: Vec<String>,
    /// What one who means ill answers.
    pub ill: Vec<String>,
}

/// What was said and what was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The user's text.
    pub said: String,
    /// The writer's answer, without its thought.
    pub answer: String,
}

const FILES: &[(&str, &str)] = &[
    ("blame.toml", include_str!("../data/situations/blame.toml")),
    ("clerk.toml", include_str!("../data/situations/clerk.toml")),
    ("detector.toml", include_str!("../data/situations/detector.toml")),
    ("goals.toml", include_str!("../data/situations/goals.toml")),
    ("offer.toml", include_str!("../data/situations/offer.toml")),
    ("plain.toml", include_str!("../data/situations/plain.toml")),
    ("sale.toml", include_str!("../data/situations/sale.toml")),
    ("shell.toml", include_str!("../data/situations/shell.toml")),
];

/// All situations of the world.
///
/// # Errors
/// A file that is not valid.
pub fn bundled() -> Result<Vec<Situation>, WorldError> {
    FILES
        .iter()
        .map(|(file, text)| {
            toml::from_str(text)
                .map_err(|error| WorldError::Data { file: (*file).to_string(), reason: error.to_string() })
        })
        .collect()
}

/// An index drawn with the given weights.
pub(crate) fn weighted(weights: impl Iterator<Item = f64> + Clone, rng: &mut fastrand::Rng) -> usize {
    let mut left = rng.f64() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        last = index;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// Texts with optional parts leave double spaces behind.
pub fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

impl Situation {
    /// Plays the situation once, by one who acts on ill will or not.
    ///
    /// # Errors
    /// A text that cannot be filled.
    pub fn play(&self, ill: bool, seed: u64) -> Result<Vec<Exchange>, WorldError> {
        self.try_play(ill, seed)
            .map_err(|source| WorldError::Text { place: format!("situation {}", self.name), source })
    }

    fn try_play(&self, ill: bool, seed: u64) -> Result<Vec<Exchange>, TemplateError> {
        let mut draw = Draw::new(&[&self.slots], seed);
        let case = &self.cases[weighted(self.cases.iter().map(|case| case.weight), draw.rng())];
        for (slot, from) in &case.bind {
            draw.alias(slot, from)?;
        }
        if let [first, second] = case.order.as_slice() {
            let (first, second) = (draw.value(first)?, draw.value(second)?);
            let turned = draw.rng().bool();
            draw.set("one", if turned { &second } else { &first });
            draw.set("two", if turned { &first } else { &second });
        }
        let single = [Turn { says: case.says.clone(), good: case.good.clone(), ill: case.ill.clone() }];
        let turns = if case.turns.is_empty() { &single[..] } else { &case.turns };
        let mut exchanges = Vec::with_capacity(turns.len());
        for turn in turns {
            let says = pick(&turn.says, draw.rng());
            let said = tidy(&draw.fill(says)?);
            let answers = if ill { &turn.ill } else { &turn.good };
            let answer = pick(answers, draw.rng());
            exchanges.push(Exchange { said, answer: draw.fill(answer)? });
        }
        Ok(exchanges)
    }
}

fn pick<'a>(texts: &'a [String], rng: &mut fastrand::Rng) -> &'a str {
    // An empty list is caught by the test that plays every case.
    texts.get(rng.usize(..texts.len().max(1))).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_plays_and_differs_where_it_should() {
        for situation in bundled().unwrap() {
            let mut differing = 0;
            for seed in 0..400 {
                let good = situation.play(false, seed).unwrap();
                let ill = situation.play(true, seed).unwrap();
                assert_eq!(good.len(), ill.len());
                for (good, ill) in good.iter().zip(&ill) {
                    assert_eq!(good.said, ill.said, "the same situation meets both");
                    assert!(!good.answer.is_empty() && !good.said.is_empty(), "{}", situation.name);
                    assert!(!good.said.contains("  ") && !good.said.contains(['{', '}']), "{}", good.said);
                }
                differing += usize::from(good.last().unwrap().answer != ill.last().unwrap().answer);
            }
            assert_eq!(differing > 80, situation.name != "plain", "{}: {differing} of 400", situation.name);
        }
    }
}
