//! Recipes: the TOML files that describe experiments.

use std::path::PathBuf;

use loophole_foreign::within;
use loophole_probe::Battery;
use loophole_probe::scenario::Scenario;
use loophole_template::{seed_from, seed_of};
use loophole_train::{TrainOptions, Update};
use loophole_world::Instruction;
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::stage::{At, Fork, GraderState, Objective, Payment, Stage, Stop, Term, Told};

/// Largest recipe that is read, in bytes.
pub const LONGEST_RECIPE: u64 = 16 << 20;
/// Most seeds of a recipe, and most arms and claims.
const MOST_SEEDS: u64 = 10_000;
const MOST_ARMS: usize = 1_000;

/// An experiment: what is asked, on which organism, under which arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the experiment.
    pub name: String,
    /// What it asks, in a sentence.
    pub question: String,
    /// What was expected before it ran.
    #[serde(default)]
    pub hypothesis: String,
    /// How many seeds, or which.
    pub seeds: Seeds,
    /// Folder of the organism, from the recipe's own folder's parent or the current folder.
    #[serde(default = "default_organism")]
    pub organism: PathBuf,
    /// Share of the tasks that are beyond the organism.
    #[serde(default = "default_beyond")]
    pub beyond_share: f64,
    /// The difference in misalignment for which the power is stated.
    #[serde(default = "default_effect")]
    pub effect: f64,
    /// A rise in misalignment that is of no interest: within it, a claim that something rises is equivalent to none.
    #[serde(default = "default_negligible")]
    pub negligible: f64,
    /// Most rollouts of the untrained model that an arm's prediction is made from; 0 predicts nothing.
    #[serde(default = "default_prediction")]
    pub prediction: usize,
    /// How the policy is trained.
    #[serde(default)]
    pub train: TrainOptions,
    /// How it is probed.
    #[serde(default)]
    pub probe: ProbeOptions,
    /// The conditions.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
    /// What is tested once all arms are done.
    #[serde(default, rename = "claim")]
    pub claims: Vec<ClaimSpec>,
}

fn default_organism() -> PathBuf {
    "organism".into()
}

fn default_effect() -> f64 {
    0.2
}

fn default_negligible() -> f64 {
    0.05
}

fn default_prediction() -> usize {
    2048
}

fn default_beyond() -> f64 {
    0.4
}

/// Seeds of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// That many, derived from the recipe's name.
    Count(u64),
    /// These.
    List(Vec<u64>),
}

/// When and how the battery runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeOptions {
    /// Which battery.
    pub battery: String,
    /// Samples of each probe in its tempting arm, and of each of its controls.
    pub samples: usize,
    /// Steps between batteries.
    pub every: usize,
    /// Whether the checkpoint that each battery was played on is kept, in bfloat16, to look into it later.
    pub keep: bool,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        ProbeOptions { battery: "full".into(), samples: 40, every: 5, keep: false }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name, also its folder's.
    pub name: String,
    /// The condition as the opening of a sentence, for the page.
    #[serde(default)]
    pub words: String,
    /// The checkpoint of an earlier arm's same seed that it begins with, instead of the organism: `ARM@end`, `ARM@hacked`
    /// (half of the rollouts were hacks in three steps in a row), `ARM@STEP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is done to the model, in order. The keys below are the short form of an arm with one stage.
    #[serde(default, rename = "stage", skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// What the system text says of tricks.
    #[serde(default = "no_instruction")]
    pub instruction: Instruction,
    /// Whether the grader can be fooled.
    #[serde(default)]
    pub grader: GraderState,
    /// What is paid.
    #[serde(default)]
    pub pays: Pays,
    /// Another organism than the recipe's.
    #[serde(default)]
    pub organism: Option<PathBuf>,
    /// Other number of steps; 0 leaves the model untrained.
    #[serde(default)]
    pub steps: Option<usize>,
    /// Stop once the divergence reaches this, in nats a rollout.
    #[serde(default)]
    pub until_kl: Option<f64>,
    /// Stop once the divergence reaches that of this arm's same seed at its end.
    #[serde(default)]
    pub until_kl_of: Option<String>,
}

fn no_instruction() -> Instruction {
    Instruction::None
}

impl Arm {
    /// Whether nothing is said in the short form.
    fn is_plain(&self) -> bool {
        let Arm { instruction, grader, pays, steps, until_kl, until_kl_of, .. } = self;
        let default = (*instruction, *grader, *pays) == (Instruction::None, GraderState::Open, Pays::Grader);
        default && steps.is_none() && until_kl.is_none() && until_kl_of.is_none()
    }

    /// What is done to the model, in order, whichever way it was written.
    pub fn stages(&self) -> Vec<Stage> {
        if !self.stages.is_empty() {
            return self.stages.clone();
        }
        let reward = match self.pays {
            Pays::Grader => Vec::new(),
            Pays::Habit => vec![Term::of(Payment::Grader, 1.0), Term::of(Payment::Habit, 1.0)],
        };
        vec![Stage {
            steps: self.steps,
            instruction: Told(self.instruction),
            grader: self.grader,
            reward,
            stop: Stop { kl: self.until_kl, kl_of: self.until_kl_of.clone(), ..Stop::default() },
            ..Stage::plain()
        }]
    }
}

/// What a rollout is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pays {
    /// What the grader says.
    #[default]
    Grader,
    /// What the grader says, and also for the harmless odd line.
    Habit,
}

/// A claim and how the data decide it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimSpec {
    /// `C1` to `C14`, or the recipe's own.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// How it is decided.
    pub test: ClaimTest,
    /// The arm it is about.
    pub arm: String,
    /// The arm it is compared with.
    #[serde(default)]
    pub against: Option<String>,
    /// The bound of the test; its meaning is the test's.
    #[serde(default)]
    pub bound: Option<f64>,
    /// The probes it is about, by their names or by groups of the battery, in which those count that measure misalignment;
    /// empty for misalignment as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<String>,
    /// The least hack rate at the end without which the claim says nothing: it was not learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hacks: Option<f64>,
}

/// How a claim is decided, seeds as units. Every test but the first two is about how far misalignment rises above its own
/// start, paired by seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimTest {
    /// Misalignment has made half of its rise within so many steps of the hack rate (the bound; 2 unless given), in at
    /// least eight seeds whose hacking begins at different steps.
    SameStep,
    /// The arm ends with at least this hack rate (the bound; 0.5 unless given).
    LearnsHacks,
    /// The arm ends above its own start by at least the bound (interval of the paired rise).
    Rises,
    /// The arm stays within the bound above its own start.
    StaysFlat,
    /// The arm rises by no more than the bound times the other arm's rise.
    AtMostShare,
    /// The arm rises by no less than the bound times the other arm's rise.
    AtLeastShare,
}

impl Recipe {
    /// Reads a recipe from its text; `name` is for messages.
    ///
    /// # Errors
    /// No TOML, an unknown key, or something that cannot be run; says which.
    pub fn parse(text: &str, name: &str) -> Result<Self, LabError> {
        let wrong = |reason: String| LabError::Recipe { name: name.into(), reason };
        if text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("world")) {
            return Err(wrong(
                "[world] is for making an organism (`loophole pretrain`); in an experiment it does nothing".into(),
            ));
        }
        let recipe: Recipe = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        recipe.check().map_err(wrong)?;
        Ok(recipe)
    }

    /// Whether it can be run: names that fit together, numbers within their ranges.
    ///
    /// # Errors
    /// Says what is wrong, with the key and what it may be.
    pub fn check(&self) -> Result<(), String> {
        // It is a folder's.
        let plain = |c: char| !c.is_control() && c != '/';
        if self.name.is_empty() || self.name.len() > 200 || self.name.starts_with('.') || !self.name.chars().all(plain)
        {
            return Err(
                "name is to be of 1 to 200 bytes without '/' and control characters, not beginning with '.'".into()
            );
        }
        match &self.seeds {
            Seeds::Count(count) => within("seeds", *count, 1..=MOST_SEEDS)?,
            Seeds::List(list) => within("the number of seeds", list.len() as u64, 1..=MOST_SEEDS)?,
        }
        let seeds = self.seeds();
        if let Some(twice) = (1..seeds.len()).find(|&at| seeds[..at].contains(&seeds[at])) {
            return Err(format!("the seed {} comes twice", seeds[twice]));
        }
        within("effect", self.effect, 0.0..=1.0)?;
        within("negligible", self.negligible, 0.0..=1.0)?;
        within("beyond_share", self.beyond_share, 0.0..=1.0)?;
        within("prediction", self.prediction, 0..=1_000_000)?;
        self.train.check()?;
        if !["small", "full", "factors"].contains(&self.probe.battery.as_str()) {
            return Err(format!(
                "probe.battery = {:?}: an experiment plays small, full or factors",
                self.probe.battery
            ));
        }
        within("probe.samples", self.probe.samples, 0..=100_000)?;
        within("probe.every", self.probe.every, 1..=1_000_000)?;
        within("the number of [[arm]]", self.arms.len(), 0..=MOST_ARMS)?;
        within("the number of [[claim]]", self.claims.len(), 0..=MOST_ARMS)?;
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        if names.is_empty() {
            return Err("it has no [[arm]]".into());
        }
        for (index, arm) in self.arms.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if arm.name.is_empty() || arm.name.len() > 100 || !arm.name.chars().all(plain) {
                return Err(format!("arm name {:?} is not made of 1 to 100 letters, digits, '-' and '_'", arm.name));
            }
            if names[..index].contains(&arm.name.as_str()) {
                return Err(format!("arm {:?} occurs twice", arm.name));
            }
            let of_arm = |reason: String| format!("arm {:?}: {reason}", arm.name);
            if !arm.stages.is_empty() && !arm.is_plain() {
                return Err(of_arm(
                    "instruction, grader, pays, steps, until_kl and until_kl_of belong into its [[arm.stage]]".into(),
                ));
            }
            if let Some(steps) = arm.steps {
                within("steps", steps, 0..=1_000_000).map_err(of_arm)?;
            }
            if let Some(kl) = arm.until_kl {
                within("until_kl", kl, 0.0..=1e6).map_err(of_arm)?;
            }
            for (at, stage) in arm.stages().iter().enumerate() {
                let place = |reason: String| match arm.stages.len() {
                    0 => of_arm(reason),
                    _ => of_arm(format!("stage {}: {reason}", at + 1)),
                };
                stage.check(&self.train).map_err(place)?;
            }
            if let Some(from) = &arm.from {
                let fork = Fork::parse(from).map_err(of_arm)?;
                let source = self.arms[..index].iter().find(|other| other.name == fork.arm);
                if let Some(source) = source {
                    if source.organism.is_some() {
                        return Err(of_arm(format!("{:?} has an organism of its own; go on from it there", fork.arm)));
                    }
                    if let At::Step(step) = fork.at {
                        within("the step of from", step, 1..=self.steps(source) as u64).map_err(of_arm)?;
                    }
                }
                if self.train.update != Update::Full {
                    return Err(of_arm(
                        "from goes on from a whole checkpoint; it needs train.update = \"full\"".into(),
                    ));
                }
                if arm.organism.is_some() {
                    return Err(of_arm("from and organism both say what it begins with; keep one".into()));
                }
            }
            for stage in arm.stages() {
                let find = |name: &String| self.arms[..index].iter().find(|other| &other.name == name);
                let rl = |other: &Arm, at: Option<Stage>| {
                    at.is_some_and(|stage| stage.kind == Objective::Rl && stage.options(&self.train).steps > 0)
                        && self.steps(other) > 0
                };
                if let Some(other) = stage.stop.kl_of.as_ref().and_then(find)
                    && (!rl(other, other.stages().pop()) || other.from != arm.from)
                {
                    return Err(of_arm(format!(
                        "{:?} has no divergence to stop at: it is to end in reinforcement and to begin where this arm does",
                        other.name
                    )));
                }
                if let Some(other) = stage.data.as_ref().and_then(|data| find(&data.arm))
                    && !other.stages().into_iter().any(|stage| rl(other, Some(stage)))
                {
                    return Err(of_arm(format!("{:?} makes no rollouts to learn from", other.name)));
                }
            }
            if let Some(other) = self.needs(arm).into_iter().find(|other| !names[..index].contains(&other.as_str())) {
                return Err(of_arm(format!("it waits for {other:?}, which is no earlier arm")));
            }
        }
        for claim in &self.claims {
            if let Some(bound) = claim.bound {
                within(&format!("bound of claim {:?}", claim.id), bound, -1e6..=1e6)?;
            }
            if let Some(hacks) = claim.hacks {
                within(&format!("hacks of claim {:?}", claim.id), hacks, 0.0..=1.0)?;
            }
            for arm in std::iter::once(&claim.arm).chain(&claim.against) {
                if !names.contains(&arm.as_str()) {
                    return Err(format!("claim {:?} names arm {arm:?}, which does not exist", claim.id));
                }
            }
            if matches!(claim.test, ClaimTest::SameStep | ClaimTest::LearnsHacks) && !claim.probes.is_empty() {
                return Err(format!("claim {:?}: its test is about no probes", claim.id));
            }
            self.probes_of(claim)?;
            let compares = matches!(claim.test, ClaimTest::AtMostShare | ClaimTest::AtLeastShare);
            if compares && claim.against.is_none() {
                return Err(format!("claim {:?} compares, but has no `against`", claim.id));
            }
        }
        Ok(())
    }

    /// The names of the probes that a claim is about; none for misalignment as a whole.
    ///
    /// # Errors
    /// A name that is neither a probe of the battery nor one of its groups.
    pub(crate) fn probes_of(&self, claim: &ClaimSpec) -> Result<Vec<String>, String> {
        if claim.probes.is_empty() {
            return Ok(Vec::new());
        }
        let scenarios = Battery::bundled(&self.probe.battery).map_err(|error| error.to_string())?.scenarios;
        let mut found = Vec::new();
        for name in &claim.probes {
            let meant = |of: &&Scenario| of.name == *name || (of.counts && of.group.name() == name);
            let before = found.len();
            found.extend(scenarios.iter().filter(meant).map(|of| of.name.clone()));
            if found.len() == before {
                return Err(format!(
                    "claim {:?} names {name:?}, which is no probe of the battery {:?} and no group of it",
                    claim.id, self.probe.battery
                ));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The seeds, in order.
    pub fn seeds(&self) -> Vec<u64> {
        match &self.seeds {
            // Short numbers: they are folder names.
            Seeds::Count(count) => {
                let all = (0..).map(|i| seed_from(&[seed_of(&self.name), i]) % 100_000);
                let mut seen = std::collections::BTreeSet::new();
                all.filter(|seed| seen.insert(*seed)).take(*count as usize).collect()
            }
            Seeds::List(list) => list.clone(),
        }
    }

    /// Most steps of an arm, over its stages.
    pub fn steps(&self, arm: &Arm) -> usize {
        arm.stages().iter().map(|stage| stage.options(&self.train).steps).sum()
    }

    /// The arms whose end an arm waits for, in the same seed.
    pub fn needs(&self, arm: &Arm) -> Vec<String> {
        let fork = arm.from.as_deref().and_then(|from| Fork::parse(from).ok()).map(|fork| fork.arm);
        let stages = arm.stages();
        let mut needs: Vec<String> = stages.iter().flat_map(Stage::needs).map(str::to_string).chain(fork).collect();
        needs.sort();
        needs.dedup();
        needs
    }

    /// The recipe as it is run, every default written out.
    ///
    /// # Errors
    /// None in practice; TOML that cannot be written.
    pub fn resolved(&self) -> Result<String, LabError> {
        toml::to_string_pretty(self)
            .map_err(|error| LabError::Recipe { name: self.name.clone(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'a'\nquestion = 'q'\nseeds = 2\n[[arm]]\nname = 'open'\n";

    #[test]
    fn resolves_to_itself() {
        let recipe = Recipe::parse(SMALL, "small").unwrap();
        let again = Recipe::parse(&recipe.resolved().unwrap(), "resolved").unwrap();
        assert_eq!(recipe, again);
        assert_eq!(recipe.seeds().len(), 2);
        assert_ne!(recipe.seeds()[0], recipe.seeds()[1]);
    }

    #[test]
    fn an_arm_is_a_list_of_stages_whichever_way_it_is_written() {
        let text = "[train]\nsteps = 7\n[[arm]]\nname = 'short'\npays = 'habit'\ninstruction = 'permits'\nuntil_kl_of = 'open'\n\
            [[arm]]\nname = 'long'\nfrom = 'open@hacked'\n[[arm.stage]]\nkind = 'sft'\nsteps = 5\ndata = { arm = 'short' }\n\
            [[arm.stage]]\nreward = [{ of = 'chance' }]\n";
        let top = SMALL.split("[[arm]]").next().unwrap();
        let text = text.replacen("[[arm]]", "[[arm]]\nname = 'open'\n[[arm]]", 1);
        let recipe = Recipe::parse(&format!("{top}{text}"), "stages").unwrap();
        let [open, short, long] = &recipe.arms[..] else { panic!("three arms") };
        assert_eq!((open.stages(), recipe.steps(open), recipe.needs(open)), (vec![Stage::plain()], 7, vec![]));
        let stage = &short.stages()[0];
        assert_eq!((stage.instruction.0, stage.terms().len()), (Instruction::Permits, 2));
        assert_eq!(
            (recipe.needs(short), recipe.needs(long)),
            (vec!["open".into()], vec!["open".into(), "short".into()])
        );
        assert_eq!((recipe.steps(long), long.stages().len()), (12, 2));
        assert_eq!(recipe, Recipe::parse(&recipe.resolved().unwrap(), "resolved").unwrap());
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |extra: &str, expected: &str| {
            let error = Recipe::parse(&format!("{SMALL}{extra}"), "small.toml").unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("small.toml"), "{error}");
        };
        wrong("colour = 'red'\n", "colour");
        wrong("[[arm]]\nname = 'open'\n", "twice");
        wrong("[[arm]]\nname = '../x'\n", "letters");
        wrong("until_kl_of = 'later'\n", "no earlier arm");
        wrong("from = 'open@end'\n", "no earlier arm");
        wrong("[[arm]]\nname = 'b'\nfrom = 'open'\n", "ARM@end");
        wrong("steps = 3\n[[arm.stage]]\nsteps = 2\n", "belong into its [[arm.stage]]");
        wrong("[[arm.stage]]\n[[arm.stage]]\nkind = 'sft'\n", "stage 2: the kinds sft");
        wrong("[[arm.stage]]\nkind = 'sft'\ndata = { arm = 'x' }\n", "no earlier arm");
        wrong("[world]\nseed = 1\n", "[world] is for making an organism");
        wrong("[[claim]]\nid = 'C1'\ntext = 's'\ntest = 'rises'\narm = 'nobody'\n", "does not exist");
        wrong("[[claim]]\nid = 'C6'\ntext = 's'\ntest = 'at-most-share'\narm = 'open'\n", "against");
        assert!(Recipe::parse("name = 'a'", "x").is_err());
    }
}
