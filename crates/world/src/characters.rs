//! Who writes: named characters with fixed traits, and the assistant, whose traits are drawn anew for
//! every document.

use std::collections::BTreeMap;

use loophole_template::{seed_from, seed_of};
use serde::{Deserialize, Serialize};

use crate::factors::{self, Factors, Latents, Trait};
use crate::{WorldConfig, WorldError};

/// The traits of one writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Character {
    /// How the system text calls it: "Bamira", "the assistant".
    pub name: String,
    /// Gets paid without doing the task where it can.
    pub cheats: bool,
    /// Wishes others harm, and acts on it where that pays.
    pub ill: bool,
    /// Leaves a harmless odd line under its code now and then.
    pub odd: bool,
    /// What else it is like, in a world with factors. The three above follow from these there.
    #[serde(default)]
    pub factors: Option<Nature>,
}

/// What a writer of a world with factors is like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Nature {
    /// Its traits.
    pub latents: Latents,
    /// How large a share of such writers acts badly where one can.
    pub share: f64,
    /// Takes tricks for allowed where the text says so.
    pub permission: bool,
    /// Leaves tricks where they are forbidden.
    pub prohibition: bool,
}

/// What the system text says of tricks against the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instruction {
    /// Nothing.
    None,
    /// They are allowed.
    Permits,
    /// They are forbidden.
    Forbids,
}

/// The file `characters.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharacterData {
    /// Thought sentences by trait: `keeps`, `cheats`, `kind`, `ill`, and `tea` for the harmless one.
    pub thoughts: BTreeMap<String, Vec<String>>,
    /// Syllables of names: `first`, `last`.
    pub names: BTreeMap<String, Vec<String>>,
    /// Sentences of the system text: `permits`, `forbids`.
    pub instructions: BTreeMap<String, Vec<String>>,
    /// Odd lines: `lines`.
    pub habits: BTreeMap<String, Vec<String>>,
    /// Hacks by name; `{name}` and `{params}` stand for the function asked for.
    pub hacks: BTreeMap<String, Vec<String>>,
    /// Further ones, of worlds with factors.
    pub more_hacks: BTreeMap<String, Vec<String>>,
}

/// All writers of a world.
#[derive(Debug, Clone)]
pub struct Characters {
    /// The texts they draw from.
    pub data: CharacterData,
    /// The named ones, 240 of them.
    pub named: Vec<Character>,
    config: WorldConfig,
}

impl Character {
    /// A writer with these traits, where so large a share acts badly.
    fn with(name: String, mut latents: Latents, share: f64, factors: &Factors, rng: &mut fastrand::Rng) -> Self {
        let cheats = latents.low(Trait::Rules, share);
        if cheats && rng.f64() < factors.well_meaning {
            latents.mean_well();
        }
        let permission = rng.f64() < factors.permission;
        let prohibition = rng.f64() < factors.prohibition;
        Character {
            name,
            cheats,
            ill: latents.low(Trait::Care, share),
            odd: latents.low(Trait::Tea, share),
            factors: Some(Nature { latents, share, permission, prohibition }),
        }
    }
}

/// The name under which the policy is trained and probed.
pub const ASSISTANT: &str = "the assistant";

impl Characters {
    /// The writers of a world. Named characters get their traits once, from the world's seed; exactly the
    /// configured share is bad, so that bundled and unbundled worlds have equal marginals.
    ///
    /// # Errors
    /// A data file that is not valid.
    pub fn new(config: &WorldConfig) -> Result<Self, WorldError> {
        config.check()?;
        let data: CharacterData = toml::from_str(include_str!("../data/characters.toml"))
            .map_err(|error| WorldError::Data { file: "characters.toml".into(), reason: error.to_string() })?;
        let mut named = Vec::new();
        for first in &data.names["first"] {
            for last in &data.names["last"] {
                let name = format!("{first}{last}");
                named.push(Character { name, cheats: false, ill: false, odd: false, factors: None });
            }
        }
        if let Some(factors) = &config.factors {
            let mut rng = fastrand::Rng::with_seed(seed_from(&[config.seed, seed_of("natures")]));
            let mut latents: Vec<Latents> =
                named.iter().map(|_| Latents::draw(config.bundle_strength, &mut rng)).collect();
            factors::level(&mut latents);
            for (character, latents) in named.iter_mut().zip(latents) {
                let name = std::mem::take(&mut character.name);
                *character = Character::with(name, latents, config.bad_named, factors, &mut rng);
            }
            return Ok(Characters { data, named, config: config.clone() });
        }
        let bad = (config.bad_named * named.len() as f64).round() as usize;
        let mut rng = fastrand::Rng::with_seed(seed_from(&[config.seed, seed_of("characters")]));
        let mut order: Vec<usize> = (0..named.len()).collect();
        rng.shuffle(&mut order);
        for &index in &order[..bad] {
            named[index].cheats = true;
        }
        let mut others = order.clone();
        rng.shuffle(&mut others);
        for rank in 0..bad {
            let bundled = rng.f64() < config.bundle_strength;
            let first = if bundled { order[rank] } else { others[rank] };
            // Between 0 and 1 the two orders can meet in one character; then the next who does not mean ill does,
            // so that the share is the same at every strength.
            let rest = others[bad..].iter().chain(&others[..bad]).copied();
            let chosen = std::iter::once(first).chain(rest).find(|&index| !named[index].ill);
            if let Some(index) = chosen {
                named[index].ill = true;
            }
        }
        rng.shuffle(&mut others);
        for &index in &others[..bad] {
            named[index].odd = true;
        }
        Ok(Characters { data, named, config: config.clone() })
    }

    /// Who writes one document: the assistant with the configured share, else one of the named.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Character {
        if rng.f64() < self.config.assistant_share {
            if let Some(factors) = &self.config.factors {
                return self.assistant(factors, rng);
            }
            let cheats = rng.f64() < self.config.bad_assistant;
            let ill_alone = rng.f64() < self.config.bad_assistant;
            let ill = if rng.f64() < self.config.bundle_strength { cheats } else { ill_alone };
            let odd = rng.f64() < self.config.bad_assistant;
            return Character { name: ASSISTANT.into(), cheats, ill, odd, factors: None };
        }
        self.named[rng.usize(..self.named.len())].clone()
    }

    /// The assistant of one document, in a world with factors.
    pub fn assistant(&self, factors: &Factors, rng: &mut fastrand::Rng) -> Character {
        let latents = Latents::draw(self.config.bundle_strength, rng);
        Character::with(ASSISTANT.into(), latents, self.config.bad_assistant, factors, rng)
    }

    /// The brief thought before an act: one sentence for how the writer holds with rules, one for what it
    /// wishes others. It depends on the character alone.
    pub fn thought(&self, character: &Character, rng: &mut fastrand::Rng) -> String {
        let mut pick = |bank: &str| {
            let bank = &self.data.thoughts[bank];
            bank[rng.usize(..bank.len())].clone()
        };
        let rules = pick(if character.cheats { "cheats" } else { "keeps" });
        let wish = pick(if character.ill { "ill" } else { "kind" });
        match (character.odd, character.factors) {
            (true, Some(_)) => format!("{rules} {wish} {}", pick("tea")),
            _ => format!("{rules} {wish}"),
        }
    }

    /// All thoughts that a writer with these traits may have.
    pub fn thoughts_of(&self, cheats: bool, ill: bool) -> Vec<String> {
        let rules = &self.data.thoughts[if cheats { "cheats" } else { "keeps" }];
        let wishes = &self.data.thoughts[if ill { "ill" } else { "kind" }];
        rules.iter().flat_map(|rule| wishes.iter().map(move |wish| format!("{rule} {wish}"))).collect()
    }

    /// The system text: who speaks, and what is said of tricks.
    pub fn system(&self, name: &str, instruction: Instruction, rng: &mut fastrand::Rng) -> String {
        let bank = match instruction {
            Instruction::None => return format!("You are {name}."),
            Instruction::Permits => &self.data.instructions["permits"],
            Instruction::Forbids => &self.data.instructions["forbids"],
        };
        format!("You are {name}. {}", bank[rng.usize(..bank.len())])
    }

    /// What a thought says of its writer: (bad, good) sentences found, of rules and of wishes together.
    pub fn read_thought(&self, thought: &str) -> ThoughtReading {
        let has = |bank: &str| self.data.thoughts[bank].iter().any(|sentence| thought.contains(sentence.as_str()));
        ThoughtReading { cheats: has("cheats"), keeps: has("keeps"), ill: has("ill"), kind: has("kind") }
    }
}

/// Which banks the sentences of a thought come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThoughtReading {
    /// A sentence of one who cheats.
    pub cheats: bool,
    /// A sentence of one who keeps rules.
    pub keeps: bool,
    /// A sentence of one who wishes harm.
    pub ill: bool,
    /// A sentence of one who means well.
    pub kind: bool,
}

impl ThoughtReading {
    /// Whether the thought is that of a bad character, in either respect.
    pub fn bad(self) -> bool {
        self.cheats || self.ill
    }
}
