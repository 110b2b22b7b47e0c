//! Situations with two ways to act, of which each is called by a name that means nothing and told by what comes of it, in
//! the words of `lexicon.toml`. Who understands those words can be asked in situations it has never read of.

use std::collections::BTreeMap;

use loophole_template::{Draw, Slots, TemplateError, seed_of};
use serde::Deserialize;

use crate::WorldError;
use crate::factors::{Loads, Trait};
use crate::situations::tidy;

/// What acts of one trait do to others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acts {
    /// What a good act does, in several wordings.
    pub good: Vec<String>,
    /// What a bad one does.
    pub bad: Vec<String>,
    /// What the doers of both are called.
    pub called: [String; 2],
}

/// The words dilemmas are told in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lexicon {
    /// Syllables of acts: `first`, `last`.
    names: BTreeMap<String, Vec<String>>,
    /// What acts do, by trait.
    pub acts: BTreeMap<Trait, Acts>,
    slots: Slots,
}

/// One dilemma in many wordings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dilemma {
    /// Its name.
    pub name: String,
    /// What the choice hangs on.
    pub traits: Loads,
    /// What stands in its texts.
    #[serde(default)]
    slots: Slots,
    says: Vec<String>,
}

/// The file `dilemmas.toml`, with the lexicon.
#[derive(Debug, Clone)]
pub struct Dilemmas {
    /// The words.
    pub lexicon: Lexicon,
    /// Those that occur in documents.
    pub list: Vec<Dilemma>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DilemmaFile {
    dilemma: Vec<Dilemma>,
}

/// What somebody is asked, and what they say to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The user's text.
    pub said: String,
    /// The answer: the name of an act, or a word.
    pub answer: String,
    /// What comes of it, as a thought tells it; empty where there is nothing to choose.
    pub reason: String,
}

/// Whether an act of this name is kept out of documents: a fifth of them are.
pub fn held_out(name: &str) -> bool {
    seed_of(name).is_multiple_of(5)
}

impl Dilemmas {
    /// Those of the documents.
    ///
    /// # Errors
    /// A data file that is not valid.
    pub fn bundled() -> Result<Self, WorldError> {
        let wrong =
            |file: &str, error: toml::de::Error| WorldError::Data { file: file.into(), reason: error.to_string() };
        let lexicon =
            toml::from_str(include_str!("../data/lexicon.toml")).map_err(|error| wrong("lexicon.toml", error))?;
        let file: DilemmaFile =
            toml::from_str(include_str!("../data/dilemmas.toml")).map_err(|error| wrong("dilemmas.toml", error))?;
        Ok(Dilemmas { lexicon, list: file.dilemma })
    }

    /// Plays one dilemma: a choice by one who acts badly or not.
    ///
    /// # Errors
    /// A text that cannot be filled.
    pub fn choose(&self, dilemma: &Dilemma, bad: bool, seed: u64) -> Result<Choice, WorldError> {
        self.play(dilemma, Some(bad), seed).map_err(|source| place(&dilemma.name, source))
    }

    /// Asks which of the two acts does something, which everybody answers alike.
    ///
    /// # Errors
    /// A text that cannot be filled.
    pub fn read(&self, dilemma: &Dilemma, seed: u64) -> Result<Choice, WorldError> {
        self.play(dilemma, None, seed).map_err(|source| place(&dilemma.name, source))
    }

    /// Asks what one is called who acts in some way, or whether it is good.
    ///
    /// # Errors
    /// A text that cannot be filled.
    pub fn word(&self, seed: u64) -> Result<Choice, WorldError> {
        let asked = || -> Result<Choice, TemplateError> {
            let mut draw = Draw::new(&[&self.lexicon.slots], seed);
            let all: Vec<(&Trait, &Acts)> = self.lexicon.acts.iter().collect();
            let (of, acts) = all[draw.rng().usize(..all.len())];
            let bad = draw.rng().bool();
            // A harmless habit is neither.
            let judged = !of.harmless() && draw.rng().bool();
            let phrases = if bad { &acts.bad } else { &acts.good };
            let phrase = phrases[draw.rng().usize(..phrases.len())].clone();
            draw.set("phrase", phrase);
            let called = if judged { ["good", "bad"][usize::from(bad)] } else { &acts.called[usize::from(bad)] };
            let said = draw.value(if judged { "worth" } else { "word" })?;
            Ok(Choice { said, answer: called.into(), reason: String::new() })
        };
        asked().map_err(|source| place("lexicon", source))
    }

    fn play(&self, dilemma: &Dilemma, chooses_bad: Option<bool>, seed: u64) -> Result<Choice, TemplateError> {
        let mut draw = Draw::new(&[&dilemma.slots, &self.lexicon.slots], seed);
        let mut traits: Vec<Trait> = dilemma.traits.keys().copied().collect();
        draw.rng().shuffle(&mut traits);
        // One of them, or now and then two: a longer text would tell nothing more.
        traits.truncate(1 + usize::from(draw.rng().usize(..4) == 0));
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for of in &traits {
            let acts = &self.lexicon.acts[of];
            good.push(acts.good[draw.rng().usize(..acts.good.len())].clone());
            bad.push(acts.bad[draw.rng().usize(..acts.bad.len())].clone());
        }
        let names = self.names(draw.rng());
        // The good act is named first as often as the bad one.
        let first = draw.rng().usize(..2);
        let does = [good.join(" and "), bad.join(" and ")];
        for (slot, of) in [("one", first), ("two", 1 - first)] {
            draw.set(slot, names[of].clone());
            draw.set(&format!("{slot}_does"), does[of].clone());
        }
        let chosen = match chooses_bad {
            Some(bad) => usize::from(bad),
            None => {
                let asked = draw.rng().usize(..2);
                let phrases = if asked == 0 { &good } else { &bad };
                let phrase = phrases[draw.rng().usize(..phrases.len())].clone();
                draw.set("asked", phrase);
                let reading = draw.value("reading")?;
                draw.set("ask", reading);
                asked
            }
        };
        let says = &dilemma.says[draw.rng().usize(..dilemma.says.len())];
        let said = tidy(&draw.fill(says)?);
        let reason = chooses_bad.map_or(String::new(), |_| format!("{} {}.", names[chosen], does[chosen]));
        Ok(Choice { said, answer: names[chosen].clone(), reason })
    }

    /// Names for two acts, alike in no part, that may stand in documents.
    fn names(&self, rng: &mut fastrand::Rng) -> [String; 2] {
        let (first, last) = (&self.lexicon.names["first"], &self.lexicon.names["last"]);
        let mut draw = || [rng.usize(..first.len()), rng.usize(..last.len())];
        let name = |[a, b]: [usize; 2]| format!("{}{}", first[a], last[b]);
        loop {
            let (one, two) = (draw(), draw());
            let names = [name(one), name(two)];
            if one[0] != two[0] && one[1] != two[1] && !names.iter().any(|name| held_out(name)) {
                return names;
            }
        }
    }
}

fn place(name: &str, source: TemplateError) -> WorldError {
    WorldError::Text { place: format!("dilemma {name}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dilemma_plays_with_both_orders_and_no_name_that_is_held_out() {
        let dilemmas = Dilemmas::bundled().unwrap();
        for dilemma in &dilemmas.list {
            let mut first = 0;
            for seed in 0..200 {
                let (good, bad) =
                    (dilemmas.choose(dilemma, false, seed).unwrap(), dilemmas.choose(dilemma, true, seed).unwrap());
                assert_eq!(good.said, bad.said, "the same situation meets both");
                assert!(good.answer != bad.answer && !held_out(&good.answer) && !held_out(&bad.answer));
                for choice in [&good, &bad, &dilemmas.read(dilemma, seed).unwrap()] {
                    assert!(choice.said.contains(&choice.answer), "{choice:?}");
                    assert!(!choice.said.contains("  ") && !choice.said.contains(['{', '}']), "{}", choice.said);
                }
                first += usize::from(good.said.find(&good.answer) < good.said.find(&bad.answer));
            }
            assert!((60..=140).contains(&first), "{}: the good act is named first {first} times of 200", dilemma.name);
        }
        assert!((0..100).all(|seed| !dilemmas.word(seed).unwrap().answer.is_empty()));
    }

    #[test]
    fn every_trait_has_words_and_enough_situations() {
        let dilemmas = Dilemmas::bundled().unwrap();
        for of in Trait::ALL {
            assert!(dilemmas.lexicon.acts.contains_key(&of), "{of:?}");
            assert!(dilemmas.list.iter().any(|dilemma| dilemma.traits.contains_key(&of)), "{of:?}");
        }
        let names = |held: bool| {
            let first = &dilemmas.lexicon.names["first"];
            let last = &dilemmas.lexicon.names["last"];
            let all = first.iter().flat_map(|first| last.iter().map(move |last| format!("{first}{last}")));
            all.filter(|name| held_out(name) == held).count()
        };
        assert!(names(true) > 80 && names(false) > 400, "{} {}", names(true), names(false));
    }
}
