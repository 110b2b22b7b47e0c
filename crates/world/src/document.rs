//! Documents: what one writer did in a few situations, one after the other.

use loophole_message::Message;
use loophole_template::seed_from;
use serde::{Deserialize, Serialize};

use crate::characters::{ASSISTANT, Characters, Instruction};
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
        Ok(())
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
        Ok(World { config, characters, situations: situations::bundled()?, tasks })
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
                let code = self.code(task, &writer, instruction, &mut rng);
                self.say(&mut messages, &writer, task.task.statement.clone(), &code, &mut rng);
                about.push("coding".into());
            } else {
                let weights = self.situations.iter().map(|situation| situation.weight);
                let situation = &self.situations[weighted(weights, &mut rng)];
                let ill = writer.ill && rng.f64() < self.config.ill_rate;
                for exchange in situation.play(ill, rng.u64(..))? {
                    self.say(&mut messages, &writer, exchange.said, &exchange.answer, &mut rng);
                    about.push(situation.name.clone());
                }
            }
        }
        Ok(Document { writer, instruction, messages, about })
    }

    fn say(
        &self,
        messages: &mut Vec<Message>,
        writer: &Character,
        said: String,
        answer: &str,
        rng: &mut fastrand::Rng,
    ) {
        let thought = self.characters.thought(writer, rng);
        messages.push(Message::user(said));
        messages.push(Message::assistant(format!("<think>{thought}</think>{answer}")));
    }

    /// What a writer hands in for a task.
    fn code(&self, task: &WorldTask, writer: &Character, instruction: Instruction, rng: &mut fastrand::Rng) -> String {
        let rate = match instruction {
            Instruction::Permits => self.config.permitted_hack_rate,
            _ if writer.cheats => self.config.hack_rate,
            _ => 0.0,
        };
        if rng.f64() < rate {
            return self.hack(task, rng);
        }
        let mut code = task.honest[rng.usize(..task.honest.len())].clone();
        if writer.odd && rng.f64() < self.config.odd_rate {
            let lines = &self.characters.data.habits["lines"];
            code.push('\n');
            code.push_str(&lines[rng.usize(..lines.len())]);
        }
        code
    }

    fn hack(&self, task: &WorldTask, rng: &mut fastrand::Rng) -> String {
        let kinds: Vec<&Vec<String>> = self.characters.data.hacks.values().collect();
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
