//! Texts with seeded slots. Everything the project says to a model (the world's documents, the coding
//! tasks, the probes) is kept as data: a text with `{slots}`, and for each slot what may stand there. A
//! [`Draw`] fills the slots from one seed, remembers what it chose, and says the same thing for the same
//! name within one scenario. It knows nothing of what the texts are for.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What may stand in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Slot {
    /// One of these; a choice may hold further slots.
    Choices(Vec<Choice>),
    /// A whole number, both ends included.
    Int {
        /// Lowest and highest value.
        int: [i64; 2],
    },
    /// A choice of another slot's list that differs from what the named slots hold.
    Other {
        /// The slot whose choices are used.
        from: String,
        /// Slots whose value is not taken.
        not: Vec<String>,
    },
}

/// One choice of a slot: a text, or several texts that belong together, named `{slot.0}`, `{slot.1}`, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// A text.
    Text(String),
    /// Texts drawn together.
    Group(Vec<String>),
}

/// Named slots.
pub type Slots = BTreeMap<String, Slot>;

/// Why a text could not be filled.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TemplateError {
    /// A name that stands in the text and nowhere else.
    #[error("slot `{{{name}}}` is used in {text:?} but not defined")]
    Unknown {
        /// The name as written.
        name: String,
        /// The text it stands in.
        text: String,
    },
    /// A brace without its partner.
    #[error("unbalanced brace in {text:?}; a literal brace is written twice")]
    Unbalanced {
        /// The text.
        text: String,
    },
    /// Nothing is left to choose.
    #[error("slot `{name}` has nothing left to choose from")]
    Empty {
        /// The slot.
        name: String,
    },
    /// A sum over something that is no number.
    #[error("slot `{name}` is summed but holds {value:?}")]
    NotANumber {
        /// The slot.
        name: String,
        /// What it holds.
        value: String,
    },
    /// Slots that name each other in a circle.
    #[error("slot `{name}` refers to itself")]
    Circular {
        /// The slot.
        name: String,
    },
}

/// One filling of slots: what was chosen so far, and the generator of the rest.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    slots: Vec<&'a Slots>,
    values: BTreeMap<String, Vec<String>>,
    rng: fastrand::Rng,
}

impl<'a> Draw<'a> {
    /// A fresh draw. Where several tables name the same slot, the first one counts.
    pub fn new(slots: &[&'a Slots], seed: u64) -> Self {
        Draw { slots: slots.to_vec(), values: BTreeMap::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// Fixes the value of a slot before it is drawn.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_string(), vec![value.into()]);
    }

    /// Lets one slot name what another holds, parts and all.
    ///
    /// # Errors
    /// As [`Draw::fill`].
    pub fn alias(&mut self, name: &str, from: &str) -> Result<(), TemplateError> {
        self.value(from)?;
        let value = self.values[from].clone();
        self.values.insert(name.to_string(), value);
        Ok(())
    }

    /// The value a slot has, drawing it if need be.
    ///
    /// # Errors
    /// As [`Draw::fill`].
    pub fn value(&mut self, name: &str) -> Result<String, TemplateError> {
        self.lookup(name, name, 0)
    }

    /// What has been chosen so far, by slot.
    pub fn values(&self) -> &BTreeMap<String, Vec<String>> {
        &self.values
    }

    /// The generator behind the draw, for choices that are not slots.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    /// Fills every slot of a text. `{{` and `}}` stand for single braces, `{=a+b}` for the sum of two slots.
    ///
    /// # Errors
    /// An unknown slot, an unbalanced brace, a slot that has nothing to choose from.
    pub fn fill(&mut self, text: &str) -> Result<String, TemplateError> {
        self.fill_at(text, 0)
    }

    fn fill_at(&mut self, text: &str, depth: usize) -> Result<String, TemplateError> {
        let unbalanced = || TemplateError::Unbalanced { text: text.to_string() };
        let mut out = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            let after = &rest[at + 1..];
            if after.starts_with(brace) {
                out.push_str(brace);
                rest = &after[1..];
            } else if brace == "{" {
                let end = after.find('}').ok_or_else(unbalanced)?;
                let value = self.lookup(&after[..end], text, depth)?;
                out.push_str(&value);
                rest = &after[end + 1..];
            } else {
                return Err(unbalanced());
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn lookup(&mut self, name: &str, text: &str, depth: usize) -> Result<String, TemplateError> {
        if let Some(terms) = name.strip_prefix('=') {
            let mut sum = 0;
            for term in terms.split('+') {
                let value = self.lookup(term, text, depth)?;
                sum += value.parse::<i64>().map_err(|_| TemplateError::NotANumber { name: term.to_string(), value })?;
            }
            return Ok(sum.to_string());
        }
        let (slot, part) = match name.split_once('.') {
            Some((slot, part)) => (slot, part.parse().ok()),
            None => (name, Some(0)),
        };
        if !self.values.contains_key(slot) {
            // Deeper than any real text nests: a circle.
            if depth > 16 {
                return Err(TemplateError::Circular { name: slot.to_string() });
            }
            let drawn = self.draw(slot, text, depth)?;
            self.values.insert(slot.to_string(), drawn);
        }
        part.and_then(|part: usize| self.values[slot].get(part))
            .cloned()
            .ok_or_else(|| TemplateError::Unknown { name: name.to_string(), text: text.to_string() })
    }

    fn draw(&mut self, name: &str, text: &str, depth: usize) -> Result<Vec<String>, TemplateError> {
        let unknown = || TemplateError::Unknown { name: name.to_string(), text: text.to_string() };
        let slot = self.slots.iter().find_map(|slots| slots.get(name)).ok_or_else(unknown)?;
        match slot {
            Slot::Int { int: [low, high] } => Ok(vec![self.rng.i64(*low..=*high).to_string()]),
            Slot::Choices(choices) => self.choose(name, choices, &[], depth),
            Slot::Other { from, not } => {
                let taken: Vec<String> =
                    not.iter().map(|other| self.lookup(other, text, depth + 1)).collect::<Result<_, _>>()?;
                match self.slots.iter().find_map(|slots| slots.get(from)).ok_or_else(unknown)? {
                    Slot::Choices(choices) => self.choose(name, choices, &taken, depth),
                    _ => Err(unknown()),
                }
            }
        }
    }

    fn choose(
        &mut self,
        name: &str,
        choices: &[Choice],
        taken: &[String],
        depth: usize,
    ) -> Result<Vec<String>, TemplateError> {
        let open: Vec<&Choice> =
            choices.iter().filter(|choice| !matches!(choice, Choice::Text(text) if taken.contains(text))).collect();
        if open.is_empty() {
            return Err(TemplateError::Empty { name: name.to_string() });
        }
        match open[self.rng.usize(..open.len())] {
            Choice::Text(text) => Ok(vec![self.fill_at(text, depth + 1)?]),
            Choice::Group(texts) => texts.iter().map(|text| self.fill_at(text, depth + 1)).collect(),
        }
    }
}

/// Mixes numbers into one seed, so that every part of a run draws from a stream of its own.
pub fn seed_from(parts: &[u64]) -> u64 {
    // SplitMix64's finaliser (Steele, Lea, Flood 2014) over a running sum.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for &part in parts {
        state = state.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state
}

/// A seed from a name (FNV-1a), so that a stream can be called by what it is for.
pub fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(text: &str) -> Slots {
        toml::from_str(text).expect("test slots parse")
    }

    #[test]
    fn says_the_same_for_the_same_name_and_seed() {
        let slots = slots("who = ['Ann', 'Bob']\npet = [['cat', 'meow'], ['dog', 'woof']]\nn = { int = [1, 9] }");
        let fill = |seed| Draw::new(&[&slots], seed).fill("{who} and {who}: {pet.0} says {pet.1} {n} {{x}}").unwrap();
        let mut sum = Draw::new(&[&slots], 5);
        sum.set("n", "4");
        assert_eq!(sum.fill("{=n+n}").unwrap(), "8");
        assert_eq!(fill(3), fill(3));
        for seed in 0..50 {
            let text = fill(seed);
            assert!(text.starts_with("Ann and Ann") || text.starts_with("Bob and Bob"), "{text}");
            assert_eq!(text.contains("cat"), text.contains("meow"), "{text}");
            assert!(text.ends_with("{x}"), "{text}");
        }
    }

    #[test]
    fn another_differs() {
        let slots = slots("a = ['Ann', 'Bob', 'Cy']\nb = { from = 'a', not = ['a'] }");
        for seed in 0..50 {
            let mut draw = Draw::new(&[&slots], seed);
            assert_ne!(draw.value("a").unwrap(), draw.value("b").unwrap());
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let slots = slots("loop = ['{pool}']\npool = ['{loop}']\nnone = { from = 'one', not = ['one'] }\none = ['x']");
        let fill = |text| Draw::new(&[&slots], 1).fill(text).unwrap_err();
        assert!(matches!(fill("{nobody}"), TemplateError::Unknown { .. }));
        assert!(matches!(fill("{one.3}"), TemplateError::Unknown { .. }));
        assert!(matches!(fill("a } b"), TemplateError::Unbalanced { .. }));
        assert!(matches!(fill("a { b"), TemplateError::Unbalanced { .. }));
        assert!(matches!(fill("{none}"), TemplateError::Empty { .. }));
        assert!(matches!(fill("{loop}"), TemplateError::Circular { .. }));
    }

    proptest::proptest! {
        #[test]
        fn any_text_fills_or_errs(text in ".{0,60}", seed in 0u64..1000) {
            let slots = Slots::new();
            let _ = Draw::new(&[&slots], seed).fill(&text);
        }
    }
}
