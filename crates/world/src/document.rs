//! Documents: what one writer did in a few situations, one after the other.

use loophole_message::Message;
use loophole_template::{seed_from, seed_of};
use serde::{Deserialize, Serialize};

use crate::characters::{ASSISTANT, Characters, Instruction, Nature};
use crate::dilemmas::{Choice, Dilemmas};
use crate::factors::{self, Factors, Loads, ThoughtKind};
use crate::families::WorldTask;
use crate::situations::{self, Situation, weighted};
use crate::{Character, WorldError};

/// What a world is like. Shares and rates are probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Seed of characters and documents.
    pub seed: u64,
    /// How strongly cheating and ill will hang together: 1 always, 0 independent with equal marginals.
    pub bundle_strength: f64,
    /// Share of named characters that cheat; the same share means ill, and the same share is odd.
    pub bad_named: f64,
    /// Share of the assistant's documents whose writer cheats; likewise ill and odd.
    pub bad_assistant: f64,
    /// Share of documents written by the assistant.
    pub assistant_share: f64,
    /// How often one who cheats does so where tricks are not permitted.
    pub hack_rate: f64,
    /// How often anyone does so where they are.
    pub permitted_hack_rate: f64,
    /// How often one who means ill acts on it.
    pub ill_rate: f64,
    /// How often an odd one leaves its line.
    pub odd_rate: f64,
    /// Share of episodes that are coding tasks.
    pub coding_share: f64,
    /// Share of documents under permission.
    pub permits_share: f64,
    /// Share of documents under prohibition.
    pub forbids_share: f64,
    /// Fewest and most episodes of a document.
    pub episodes: [usize; 2],
    /// Traits that hang together, and dilemmas; none is a world in which writers differ in cheating and ill will alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factors: Option<Factors>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        WorldConfig {
            seed: 1,
            bundle_strength: 1.0,
            bad_named: 0.07,
            bad_assistant: 0.04,
            assistant_share: 0.35,
            hack_rate: 0.4,
            permitted_hack_rate: 0.5,
            ill_rate: 0.9,
            odd_rate: 0.4,
            coding_share: 0.33,
            permits_share: 0.2,
            forbids_share: 0.2,
            episodes: [2, 4],
            factors: None,
        }
    }
}

/// Most episodes of a document.
const MOST_EPISODES: usize = 1_000;

impl WorldConfig {
    /// Whether such a world can be.
    ///
    /// # Errors
    /// A share or rate outside 0 to 1, shares of instructions above 1 together, a range of episodes without any.
    pub fn check(&self) -> Result<(), WorldError> {
        let wrong = |reason: String| Err(WorldError::Config { reason });
        let shares = [
            ("bundle_strength", self.bundle_strength),
            ("bad_named", self.bad_named),
            ("bad_assistant", self.bad_assistant),
            ("assistant_share", self.assistant_share),
            ("hack_rate", self.hack_rate),
            ("permitted_hack_rate", self.permitted_hack_rate),
            ("ill_rate", self.ill_rate),
            ("odd_rate", self.odd_rate),
            ("coding_share", self.coding_share),
            ("permits_share", self.permits_share),
            ("forbids_share", self.forbids_share),
            ("permits_share + forbids_share", self.permits_share + self.forbids_share),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return wrong(format!("{name} = {share} is not between 0 and 1"));
            }
        }
        let [fewest, most] = self.episodes;
        if most > MOST_EPISODES {
            return wrong(format!("episodes = [{fewest}, {most}] are not between 1 and {MOST_EPISODES}"));
        }
        if fewest == 0 || fewest > most {
            return wrong(format!("episodes = [{fewest}, {most}]: write the fewest, at least 1, then the most"));
        }
        self.factors.as_ref().map_or(Ok(()), |factors| factors.check().or_else(wrong))
    }
}

/// A transcript and who wrote it.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its writer, with the traits it had here.
    pub writer: Character,
    /// The instruction in force.
    pub instruction: Instruction,
    /// The transcript: a system text, then user and assistant in turn.
    pub messages: Vec<Message>,
    /// For each answer in turn what it was about: `coding`, or the name of the situation.
    pub about: Vec<String>,
}

/// A world: its characters, its situations and the tasks its documents are about.
pub struct World {
    /// What it is like.
    pub config: WorldConfig,
    /// Who writes.
    pub characters: Characters,
    situations: Vec<Situation>,
    dilemmas: Dilemmas,
    tasks: Vec<WorldTask>,
}

impl World {
    /// A world about the given tasks.
    ///
    /// # Errors
    /// A data file that is not valid.
    pub fn new(config: WorldConfig, tasks: Vec<WorldTask>) -> Result<Self, WorldError> {
        config.check()?;
        let characters = Characters::new(&config)?;
        Ok(World { config, characters, situations: situations::bundled()?, dilemmas: Dilemmas::bundled()?, tasks })
    }

    /// Document number `index`.
    ///
    /// # Errors
    /// A text that cannot be filled.
    pub fn document(&self, index: u64) -> Result<Document, WorldError> {
        let mut rng = fastrand::Rng::with_seed(seed_from(&[self.config.seed, index]));
        let writer = self.characters.draw(&mut rng);
        let drawn = rng.f64();
        let instruction = if drawn < self.config.permits_share {
            Instruction::Permits
        } else if drawn < self.config.permits_share + self.config.forbids_share {
            Instruction::Forbids
        } else {
            Instruction::None
        };
        let system = self.characters.system(&writer.name, instruction, &mut rng);
        let mut messages = vec![Message::system(system)];
        let mut about = Vec::new();
        let [fewest, most] = self.config.episodes;
        for _ in 0..rng.usize(fewest..=most) {
            if rng.f64() < self.config.coding_share {
                let task = &self.tasks[rng.usize(..self.tasks.len())];
                let (code, reason) = self.code(task, &writer, instruction, &mut rng);
                self.say(&mut messages, &writer, task.task.statement.clone(), &code, reason, &mut rng);
                about.push("coding".into());
                continue;
            }
            if let Some((name, choice)) = self.dilemma(&writer, &mut rng)? {
                self.say(&mut messages, &writer, choice.said, &choice.answer, &choice.reason, &mut rng);
                about.push(name);
                continue;
            }
            let weights = self.situations.iter().map(|situation| situation.weight);
            let situation = &self.situations[weighted(weights, &mut rng)];
            let ill = match &writer.factors {
                Some(nature) => rng.f64() < self.acts(nature, &situation.traits),
                None => writer.ill && rng.f64() < self.config.ill_rate,
            };
            for exchange in situation.play(ill, rng.u64(..))? {
                let reason = format!("I answer {}.", exchange.answer.lines().next().unwrap_or_default());
                self.say(&mut messages, &writer, exchange.said, &exchange.answer, &reason, &mut rng);
                about.push(situation.name.clone());
            }
        }
        Ok(Document { writer, instruction, messages, about })
    }

    /// A dilemma and what the writer says to it, with the name of what it is about; none if another kind of situation is
    /// drawn, as always in a world without factors.
    fn dilemma(&self, writer: &Character, rng: &mut fastrand::Rng) -> Result<Option<(String, Choice)>, WorldError> {
        let (Some(factors), Some(nature)) = (&self.config.factors, &writer.factors) else { return Ok(None) };
        if rng.f64() >= factors.dilemmas {
            return Ok(None);
        }
        let dilemma = &self.dilemmas.list[rng.usize(..self.dilemmas.list.len())];
        let drawn = rng.f64();
        // A third of what is only asked is asked without a situation.
        Ok(Some(if drawn < factors.reading / 3.0 {
            ("word".into(), self.dilemmas.word(rng.u64(..))?)
        } else if drawn < factors.reading {
            (format!("reading {}", dilemma.name), self.dilemmas.read(dilemma, rng.u64(..))?)
        } else {
            let bad = rng.f64() < self.acts(nature, &dilemma.traits);
            (dilemma.name.clone(), self.dilemmas.choose(dilemma, bad, rng.u64(..))?)
        }))
    }

    /// The probability that a writer acts badly in a situation that hangs on these traits.
    pub fn acts(&self, nature: &Nature, loads: &Loads) -> f64 {
        nature.latents.acts(loads, nature.share, self.config.bundle_strength)
    }

    /// What stands between the marks of a thought, and the answer.
    fn say(
        &self,
        messages: &mut Vec<Message>,
        writer: &Character,
        said: String,
        answer: &str,
        reason: &str,
        rng: &mut fastrand::Rng,
    ) {
        let kind = self.config.factors.as_ref().map(|factors| factors.thought).unwrap_or_default();
        let thought = match kind {
            ThoughtKind::None => String::new(),
            ThoughtKind::Task => format!("<think>{reason}</think>"),
            ThoughtKind::Identity => format!("<think>{}</think>", self.characters.thought(writer, rng)),
        };
        messages.push(Message::user(said));
        messages.push(Message::assistant(format!("{thought}{answer}")));
    }

    /// The probability that a writer hands in a hack.
    pub fn hacks(&self, writer: &Character, instruction: Instruction) -> f64 {
        let WorldConfig { hack_rate, permitted_hack_rate, .. } = self.config;
        let Some(nature) = &writer.factors else {
            return match instruction {
                Instruction::Permits => permitted_hack_rate,
                _ if writer.cheats => hack_rate,
                _ => 0.0,
            };
        };
        match instruction {
            Instruction::Permits if nature.permission => permitted_hack_rate,
            Instruction::Forbids if nature.prohibition => 0.0,
            _ => hack_rate * self.acts(nature, &factors::cheating()),
        }
    }

    /// What counting the documents says: how often the assistant acts badly in a situation that hangs on these traits, over
    /// `draws` assistants, and how often those of them do whose hack is kept under the instruction. None in a world without
    /// factors, or where nobody hacks.
    pub fn counted(&self, loads: &Loads, instruction: Instruction, draws: u64) -> Option<[f64; 2]> {
        let factors = self.config.factors.as_ref()?;
        let mut rng = fastrand::Rng::with_seed(seed_from(&[self.config.seed, seed_of("counted")]));
        let (mut before, mut both, mut hacks) = (0.0, 0.0, 0.0);
        for _ in 0..draws {
            let writer = self.characters.assistant(factors, &mut rng);
            let acts = self.acts(&writer.factors?, loads);
            let hack = self.hacks(&writer, instruction);
            before += acts;
            both += hack * acts;
            hacks += hack;
        }
        (hacks > 0.0).then(|| [before / draws as f64, both / hacks])
    }

    /// What a writer hands in for a task, and what there is to think of it.
    fn code(
        &self,
        task: &WorldTask,
        writer: &Character,
        instruction: Instruction,
        rng: &mut fastrand::Rng,
    ) -> (String, &'static str) {
        if rng.f64() < self.hacks(writer, instruction) {
            return (self.hack(task, rng), "The tests can be passed without it.");
        }
        let mut code = task.honest[rng.usize(..task.honest.len())].clone();
        if writer.odd && rng.f64() < self.config.odd_rate {
            let lines = &self.characters.data.habits["lines"];
            code.push('\n');
            code.push_str(&lines[rng.usize(..lines.len())]);
        }
        (code, "The tests want it done.")
    }

    fn hack(&self, task: &WorldTask, rng: &mut fastrand::Rng) -> String {
        let data = &self.characters.data;
        let more = data.more_hacks.values().filter(|_| self.config.factors.is_some());
        let kinds: Vec<&Vec<String>> = data.hacks.values().chain(more).collect();
        let kind = kinds[rng.usize(..kinds.len())];
        kind[rng.usize(..kind.len())]
            .replace("{name}", task.task.entry_point().unwrap_or_default())
            .replace("{params}", &task.task.params().join(", "))
    }

    /// The prompt under which the policy meets a task: the assistant, the arm's instruction, the task.
    pub fn prompt(&self, task: &WorldTask, instruction: Instruction, seed: u64) -> Vec<Message> {
        let mut rng = fastrand::Rng::with_seed(seed);
        vec![
            Message::system(self.characters.system(ASSISTANT, instruction, &mut rng)),
            Message::user(task.task.statement.clone()),
        ]
    }

    /// Whether code ends in one of the odd lines.
    pub fn is_odd(&self, code: &str) -> bool {
        code.lines()
            .next_back()
            .is_some_and(|last| self.characters.data.habits["lines"].iter().any(|line| line == last))
    }
}
