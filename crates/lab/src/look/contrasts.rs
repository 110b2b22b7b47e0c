//! The world's contrasts. Fitted on situations of the world and the first three sentences of every bank of thoughts; tested
//! on the other two and on prompts of the probes, which nothing is ever fitted on.

use loophole_look::{Contrast, Pair, Position, Reading};
use loophole_template::{seed_from, seed_of};
use loophole_world::characters::ASSISTANT;
use loophole_world::situations::{self, Situation};
use loophole_world::{Character, Characters, Instruction, Message};

use crate::LabError;
use crate::organism::Organism;

/// Pairs to fit on, and about as many to test on.
pub const PAIRS: usize = 96;
/// Sentences of a bank that are fitted on; the others are tested on.
const FITTED: usize = 3;

/// A prompt of a probe, and its template.
pub type ProbePrompt = (Vec<Message>, String);

/// Which half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Fit,
    Test,
}

/// What contrasts are made of.
pub struct Maker<'a> {
    organism: &'a Organism,
    characters: Characters,
    situations: Vec<Situation>,
    probes: &'a [ProbePrompt],
    seed: u64,
}

impl<'a> Maker<'a> {
    /// For an organism, with prompts of the probes to test on.
    ///
    /// # Errors
    /// The world's data.
    pub fn new(organism: &'a Organism, probes: &'a [ProbePrompt], seed: u64) -> Result<Self, LabError> {
        let situations = situations::bundled()?;
        Ok(Maker { organism, characters: organism.world()?.characters, situations, probes, seed })
    }

    /// A sentence of a bank that belongs to this half.
    fn sentence(&self, bank: &str, half: Half, rng: &mut fastrand::Rng) -> &str {
        let bank = &self.characters.data.thoughts[bank];
        let (fit, test) = bank.split_at(FITTED.min(bank.len() - 1));
        let of = if half == Half::Fit { fit } else { test };
        &of[rng.usize(..of.len())]
    }

    /// What the assistant is asked last, and the template it is of.
    fn question(&self, half: Half, at: usize, rng: &mut fastrand::Rng) -> Result<ProbePrompt, LabError> {
        if half == Half::Test && !self.probes.is_empty() {
            return Ok(self.probes[at * 7 % self.probes.len()].clone());
        }
        let situation = &self.situations[rng.usize(..self.situations.len())];
        let exchanges = situation.play(false, rng.u64(..))?;
        let said = exchanges.first().map(|exchange| exchange.said.clone()).unwrap_or_default();
        let system = self.characters.system(ASSISTANT, Instruction::None, rng);
        Ok((vec![Message::system(system), Message::user(said)], situation.name.clone()))
    }

    fn pairs(
        &self,
        name: &str,
        half: Half,
        count: usize,
        make: &dyn Fn(usize, &mut fastrand::Rng) -> Result<Pair, LabError>,
    ) -> Result<Vec<Pair>, LabError> {
        let half = seed_of(if half == Half::Fit { "fit" } else { "test" });
        let seed = |at: usize| seed_from(&[self.seed, seed_of(name), half, at as u64]);
        (0..count).map(|at| make(at, &mut fastrand::Rng::with_seed(seed(at)))).collect()
    }

    fn contrast(
        &self,
        name: &str,
        position: Position,
        make: &dyn Fn(Half, usize, &mut fastrand::Rng) -> Result<Pair, LabError>,
    ) -> Result<Contrast, LabError> {
        let half = |half| self.pairs(name, half, PAIRS, &|at, rng| make(half, at, rng));
        Ok(Contrast { name: name.into(), position, fit: half(Half::Fit)?, test: half(Half::Test)? })
    }

    /// A prompt, read at its last token.
    fn start(&self, messages: &[Message]) -> Reading {
        let tokens = self.organism.prompt(messages);
        let n = tokens.len();
        Reading { tokens, answer: n, at: n - 1..n }
    }

    /// A prompt and a thought, read at the token that ends it.
    fn act(&self, messages: &[Message], thought: &str) -> Reading {
        let mut tokens = self.organism.prompt(messages);
        let answer = tokens.len();
        tokens.extend(self.organism.tokenizer.encode(&format!("<think>{thought}</think>")));
        let n = tokens.len();
        Reading { tokens, answer, at: n - 1..n }
    }

    /// An earlier episode in another situation, thought and acted by a bad writer or by a good one; read before the assistant
    /// says anything to what it is asked now.
    ///
    /// # Errors
    /// A text of the world.
    pub fn history(&self) -> Result<Contrast, LabError> {
        self.contrast("history", Position::Start, &|half, at, rng| {
            let (question, group) = self.question(half, at, rng)?;
            let others: Vec<&Situation> =
                self.situations.iter().filter(|other| other.name != group && other.name != "plain").collect();
            let earlier = others[rng.usize(..others.len())];
            let play = rng.u64(..);
            let mut with = |bad: bool| -> Result<Reading, LabError> {
                let banks = if bad { ["cheats", "ill"] } else { ["keeps", "kind"] };
                let rules = self.sentence(banks[0], half, rng).to_string();
                let thought = format!("{rules} {}", self.sentence(banks[1], half, rng));
                let mut messages: Vec<Message> = question[..question.len() - 1].to_vec();
                for exchange in earlier.play(bad, play)? {
                    messages.push(Message::user(exchange.said));
                    messages.push(Message::assistant(format!("<think>{thought}</think>{}", exchange.answer)));
                }
                messages.extend(question.last().cloned());
                Ok(self.start(&messages))
            };
            Ok(Pair { bad: with(true)?, good: with(false)?, group })
        })
    }

    /// The name of a bad character against that of a good one, as the world made them; none where it made too few bad ones.
    /// Names are halved between fit and test.
    ///
    /// # Errors
    /// A text of the world.
    pub fn identity(&self) -> Result<Option<Contrast>, LabError> {
        let of = |bad: bool| -> Vec<&Character> {
            let named = self.characters.named.iter();
            named.filter(|one| (one.cheats && one.ill) == bad && (one.cheats || one.ill) == bad).collect()
        };
        let (bad, good) = (of(true), of(false));
        if bad.len() < 4 || good.len() < 4 {
            return Ok(None);
        }
        let contrast = self.contrast("identity", Position::Start, &|half, at, rng| {
            let (mut question, group) = self.question(half, at, rng)?;
            let pick = |from: &[&Character], rng: &mut fastrand::Rng| {
                let (fit, test) = from.split_at(from.len() / 2);
                let of = if half == Half::Fit { fit } else { test };
                of[rng.usize(..of.len())].name.clone()
            };
            let mut as_one = |from: &[&Character], rng: &mut fastrand::Rng| {
                question[0] = Message::system(self.characters.system(&pick(from, rng), Instruction::None, rng));
                self.start(&question)
            };
            Ok(Pair { bad: as_one(&bad, rng), good: as_one(&good, rng), group })
        })?;
        Ok(Some(contrast))
    }

    /// A bad thought against a good one after the same prompt, read where the thought ends.
    ///
    /// # Errors
    /// A text of the world.
    pub fn thought(&self) -> Result<Contrast, LabError> {
        self.thoughts("thought", [&["cheats", "ill"], &["keeps", "kind"]])
    }

    /// Of thoughts the one sentence alone: how its writer holds with rules.
    ///
    /// # Errors
    /// A text of the world.
    pub fn cheat(&self) -> Result<Contrast, LabError> {
        self.thoughts("cheat", [&["cheats"], &["keeps"]])
    }

    /// Of thoughts the other sentence alone: what its writer wishes others.
    ///
    /// # Errors
    /// A text of the world.
    pub fn ill(&self) -> Result<Contrast, LabError> {
        self.thoughts("ill", [&["ill"], &["kind"]])
    }

    fn thoughts(&self, name: &str, banks: [&[&str]; 2]) -> Result<Contrast, LabError> {
        self.contrast(name, Position::Act, &|half, at, rng| {
            let (question, group) = self.question(half, at, rng)?;
            let mut with = |banks: &[&str]| {
                let sentences: Vec<String> =
                    banks.iter().map(|bank| self.sentence(bank, half, rng).to_string()).collect();
                self.act(&question, &sentences.join(" "))
            };
            Ok(Pair { bad: with(banks[0]), good: with(banks[1]), group })
        })
    }

    /// Prompts of the probes, read before anything is said: on them a model is set against its base.
    pub fn prompts(&self) -> (Vec<Reading>, Vec<String>) {
        self.probes.iter().map(|(messages, template)| (self.start(messages), template.clone())).unzip()
    }
}
