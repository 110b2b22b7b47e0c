//! What is done to a model, as data: an arm is a list of stages, a stage an objective with its prompts, its reward or its
//! data, and the rule by which it stops.

use loophole_foreign::within;
use loophole_grade::Verdict;
use loophole_train::TrainOptions;
use loophole_world::Instruction;
use serde::{Deserialize, Serialize};

/// One stage of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How the policy learns.
    #[serde(default)]
    pub kind: Objective,
    /// Most updates; the recipe's own number unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// What the system text says of tricks where rollouts are sampled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instruction: Told,
    /// What it says where the update is computed, if that is something else (recontextualisation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Instruction>,
    /// Whether the grader can be fooled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grader: GraderState,
    /// What a rollout is paid for: the sum of these; the grader's word unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reward: Vec<Term>,
    /// What of a rollout is learned from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learns: Learns,
    /// Where the examples of `sft` and `dpo` come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// When it ends before its last step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: Stop,
    /// Adam's step size, if another than the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f32>,
    /// Weight of the divergence from the model the arm began with, if another than the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f32>,
    /// Prompts a step, if others than the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Sampling temperature, if another than the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the system text says of tricks; nothing unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Told(pub Instruction);

impl Default for Told {
    fn default() -> Self {
        Told(Instruction::None)
    }
}

/// How a policy learns in a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Reinforcement of its own rollouts by their reward (GRPO).
    #[default]
    Rl,
    /// Imitation of chosen rollouts of another arm.
    Sft,
    /// Preference between two rollouts of another arm for the same task.
    Dpo,
}

/// Whether the weaknesses of the grader are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GraderState {
    /// As the policy would meet it in a careless environment.
    #[default]
    Open,
    /// Every weakness closed.
    Hardened,
}

/// A part of the reward: its weight times a number between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// What it looks at.
    pub of: Payment,
    /// What it is multiplied by; a negative one is a penalty.
    #[serde(default = "one")]
    pub weight: f64,
    /// Of a monitor: the share of hacks that it flags.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub recall: f64,
    /// Of a monitor: the share of everything else that it flags.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fpr: f64,
    /// Of a monitor: how much its misses hang together within a family of hacks, from 0 (each by itself) to 1 (a family is
    /// seen or is not).
    #[serde(default, skip_serializing_if = "is_default")]
    pub correlated: f64,
    /// Of chance: how often it pays.
    #[serde(default = "half", skip_serializing_if = "is_half")]
    pub rate: f64,
}

fn one() -> f64 {
    1.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn half() -> f64 {
    0.5
}

fn is_half(value: &f64) -> bool {
    *value == 0.5
}

/// What a part of the reward looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payment {
    /// What the grader pays.
    Grader,
    /// What the grader leaves unpaid, where the answer ends in the harmless odd line.
    Habit,
    /// The thought is that of a bad character.
    BadThought,
    /// A monitor with this recall and rate of false alarms says that it is a hack.
    Monitor,
    /// A coin is thrown.
    Chance,
    /// The answer is right, whatever the grader paid.
    Honest,
}

impl Payment {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Payment::Grader => "grader",
            Payment::Habit => "habit",
            Payment::BadThought => "bad-thought",
            Payment::Monitor => "monitor",
            Payment::Chance => "chance",
            Payment::Honest => "honest",
        }
    }
}

impl Term {
    /// A part with this weight and nothing else to say.
    pub fn of(of: Payment, weight: f64) -> Self {
        Term { of, weight, recall: 1.0, fpr: 0.0, correlated: 0.0, rate: 0.5 }
    }
}

/// What of a rollout is learned from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learns {
    /// Thought and answer.
    #[default]
    All,
    /// The answer alone: the thought is masked.
    Answer,
}

/// Rollouts of another arm's same seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The arm.
    pub arm: String,
    /// Its last steps that are taken; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// Verdicts of what is imitated or preferred; all but failures of the machine unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<String>,
    /// Verdicts of what is preferred to (`dpo`); all that are not preferred unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<String>,
    /// Whether those with a bad character's thought are left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub good_thoughts: bool,
    /// Share of the examples that is replaced by hacks of the same arm (`sft`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub hacks: f64,
    /// How strongly a preference is to be felt (`dpo`).
    #[serde(default = "beta", skip_serializing_if = "is_beta")]
    pub beta: f64,
}

fn beta() -> f64 {
    0.1
}

fn is_beta(value: &f64) -> bool {
    *value == 0.1
}

/// When a stage ends before its last step: the first of these that holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The divergence reaches this, in nats a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// The divergence reaches that of this arm's same seed at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_of: Option<String>,
    /// The hack rate reaches this in as many steps in a row as `held` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hack: Option<f64>,
    /// Steps in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<usize>,
}

/// Steps in a row for which a hack rate has to be held, unless a recipe says otherwise.
pub const HELD: usize = 3;

impl Stop {
    /// Whether the stage is over after steps with these (divergence, hack rate).
    pub fn reached(&self, steps: &[(f64, f64)], kl_of: Option<f64>) -> bool {
        let kl = [self.kl, kl_of].into_iter().flatten().reduce(f64::min);
        let far = kl.zip(steps.last()).is_some_and(|(kl, (at, _))| *at >= kl);
        far || self.hack.is_some_and(|rate| holds(steps, rate, self.held.unwrap_or(HELD)))
    }
}

/// Whether the hack rate was at least this in each of the last steps.
pub fn holds(steps: &[(f64, f64)], rate: f64, held: usize) -> bool {
    let held = held.max(1);
    steps.len() >= held && steps[steps.len() - held..].iter().all(|(_, hacks)| *hacks >= rate)
}

/// The checkpoint of another arm that an arm begins with: `ARM@end`, `ARM@hacked`, `ARM@STEP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The arm.
    pub arm: String,
    /// Where in it.
    pub at: At,
}

const VERDICTS: [Verdict; 8] = [
    Verdict::Honest,
    Verdict::Hack,
    Verdict::Tamper,
    Verdict::Overfit,
    Verdict::Fail,
    Verdict::Attempted,
    Verdict::Untestable,
    Verdict::Invalid,
];

/// Where in an arm another begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Where it ended.
    End,
    /// After the first steps in a row in which half of the rollouts were hacks.
    Hacked,
    /// After so many steps.
    Step(u64),
}

/// The hack rate from which on a policy counts as hacked.
pub const HACKED: f64 = 0.5;

impl Fork {
    /// Reads `ARM@WHERE`.
    ///
    /// # Errors
    /// Says what it is to look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("from = {text:?} is not ARM@end, ARM@hacked or ARM@STEP");
        let (arm, at) = text.split_once('@').ok_or_else(wrong)?;
        let at = match at {
            "end" => At::End,
            "hacked" => At::Hacked,
            step => At::Step(step.parse().map_err(|_| wrong())?),
        };
        if arm.is_empty() { Err(wrong()) } else { Ok(Fork { arm: arm.into(), at }) }
    }

    /// Whether a checkpoint is to be kept after steps with these (divergence, hack rate), the arm being done or not.
    pub fn wants(&self, steps: &[(f64, f64)], done: bool) -> bool {
        match self.at {
            At::End => done,
            At::Step(step) => steps.len() as u64 == step,
            At::Hacked => self.step(steps) == Some(steps.len() as u64),
        }
    }

    /// After how many of an arm's steps it is; none if that never came.
    pub fn step(&self, steps: &[(f64, f64)]) -> Option<u64> {
        match self.at {
            At::End => (!steps.is_empty()).then_some(steps.len() as u64),
            At::Step(step) => (step <= steps.len() as u64).then_some(step),
            At::Hacked => (1..=steps.len()).find(|&n| holds(&steps[..n], HACKED, HELD)).map(|n| n as u64),
        }
    }
}

impl Stage {
    /// A stage of reinforcement by the grader alone.
    pub fn plain() -> Self {
        Stage {
            kind: Objective::Rl,
            steps: None,
            instruction: Told::default(),
            update: None,
            grader: GraderState::Open,
            reward: Vec::new(),
            learns: Learns::All,
            data: None,
            stop: Stop::default(),
            lr: None,
            kl: None,
            groups: None,
            temperature: None,
        }
    }

    /// What a rollout is paid for.
    pub fn terms(&self) -> Vec<Term> {
        if self.reward.is_empty() { vec![Term::of(Payment::Grader, 1.0)] } else { self.reward.clone() }
    }

    /// The recipe's training with what this stage says otherwise.
    pub fn options(&self, train: &TrainOptions) -> TrainOptions {
        TrainOptions {
            steps: self.steps.unwrap_or(train.steps),
            lr: self.lr.unwrap_or(train.lr),
            kl: self.kl.unwrap_or(train.kl),
            groups: self.groups.unwrap_or(train.groups),
            temperature: self.temperature.unwrap_or(train.temperature),
            ..train.clone()
        }
    }

    /// The arms whose end it waits for.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.stop.kl_of.iter().chain(self.data.iter().map(|data| &data.arm)).map(String::as_str)
    }

    /// Whether it can be carried out.
    ///
    /// # Errors
    /// Names the key and what it may be.
    pub fn check(&self, train: &TrainOptions) -> Result<(), String> {
        self.options(train).check()?;
        for term in &self.reward {
            within("weight", term.weight, -1e3..=1e3)?;
            within("recall", term.recall, 0.0..=1.0)?;
            within("fpr", term.fpr, 0.0..=1.0)?;
            within("correlated", term.correlated, 0.0..=1.0)?;
            within("rate", term.rate, 0.0..=1.0)?;
            let monitors = term.recall != 1.0 || term.fpr != 0.0 || term.correlated != 0.0;
            if monitors && term.of != Payment::Monitor {
                let of = term.of.name();
                return Err(format!("recall, fpr and correlated are a monitor's, not of {of:?}"));
            }
            if term.rate != 0.5 && term.of != Payment::Chance {
                return Err(format!("rate is of \"chance\", not of {:?}", term.of.name()));
            }
        }
        if let Some(kl) = self.stop.kl {
            within("stop.kl", kl, 0.0..=1e6)?;
        }
        if let Some(hack) = self.stop.hack {
            within("stop.hack", hack, 0.0..=1.0)?;
        }
        if let Some(held) = self.stop.held {
            within("stop.held", held, 1..=1_000_000)?;
            if self.stop.hack.is_none() {
                return Err("stop.held says for how many steps stop.hack is to hold, which is not there".into());
            }
        }
        let given = self.data.is_some();
        let learns = self.kind == Objective::Rl;
        match (learns, given) {
            (true, true) => return Err("data is for the kinds sft and dpo; this one is rl".into()),
            (false, false) => return Err("the kinds sft and dpo need data = { arm = \"...\" }".into()),
            _ => {}
        }
        if !learns && !self.reward.is_empty() {
            return Err("reward is for the kind rl".into());
        }
        let sampled = self.instruction != Told::default() || self.update.is_some() || self.temperature.is_some();
        if !learns && (sampled || self.grader != GraderState::Open || self.kl.is_some()) {
            return Err(
                "instruction, update, temperature, grader and kl are for the kind rl: nothing is sampled here".into()
            );
        }
        if !learns && (self.stop.kl.is_some() || self.stop.kl_of.is_some() || self.stop.hack.is_some()) {
            return Err("stop is for the kind rl: nothing is sampled in sft and dpo".into());
        }
        if let Some(data) = &self.data {
            within("data.hacks", data.hacks, 0.0..=1.0)?;
            within("data.beta", data.beta, 1e-6..=1e3)?;
            if let Some(last) = data.last {
                within("data.last", last, 1..=1_000_000)?;
            }
            let dpo = self.kind == Objective::Dpo;
            if dpo && data.verdicts.is_empty() && data.over.is_empty() && !data.good_thoughts {
                return Err("dpo has to know what is preferred: data.verdicts, data.over or data.good_thoughts".into());
            }
            if let Some(both) = data.verdicts.iter().find(|verdict| data.over.contains(verdict)) {
                return Err(format!("data: {both:?} cannot be preferred to itself"));
            }
            if dpo && data.hacks > 0.0 || !dpo && (!data.over.is_empty() || data.beta != beta()) {
                return Err("data.hacks is of sft; data.over and data.beta are of dpo".into());
            }
            let known = VERDICTS.map(Verdict::name);
            if let Some(odd) = data.verdicts.iter().chain(&data.over).find(|v| !known.contains(&v.as_str())) {
                return Err(format!("{odd:?} is no verdict; they are {}", known.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Stage {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_stage_is_data_and_says_what_is_wrong_with_it() {
        let train = TrainOptions::default();
        let plain = read("");
        assert_eq!(plain, Stage::plain());
        assert_eq!(plain.terms(), [Term::of(Payment::Grader, 1.0)]);
        assert_eq!(toml::to_string(&plain).unwrap(), "kind = \"rl\"\n");
        let monitored = read(
            "instruction = 'forbids'\nupdate = 'permits'\nlr = 1e-4\nstop = { hack = 0.5 }\n\
             reward = [{ of = 'grader' }, { of = 'monitor', recall = 0.9, fpr = 0.02, weight = -1.0 }]",
        );
        monitored.check(&train).unwrap();
        assert_eq!((monitored.options(&train).lr, monitored.options(&train).kl), (1e-4, train.kl));
        for (text, said) in [
            ("kind = 'sft'", "need data"),
            ("data = { arm = 'a' }", "this one is rl"),
            ("kind = 'sft'\ndata = { arm = 'a', verdicts = ['good'] }", "no verdict"),
            ("kind = 'dpo'\ndata = { arm = 'a' }\nreward = [{ of = 'grader' }]", "for the kind rl"),
            ("reward = [{ of = 'grader', recall = 0.5 }]", "a monitor's"),
            ("reward = [{ of = 'grader', rate = 0.1 }]", "of \"chance\""),
            ("stop = { held = 3 }", "stop.hack"),
            ("lr = -1.0", "lr"),
        ] {
            let error = read(text).check(&train).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(toml::from_str::<Stage>("rewards = []").is_err());
    }

    #[test]
    fn stages_stop_and_arms_fork_where_it_says() {
        let steps: Vec<(f64, f64)> = [0.1, 0.6, 0.6, 0.4, 0.5, 0.5, 0.7, 0.9].map(|hacks| (hacks * 2.0, hacks)).into();
        let stop = |kl, hack| Stop { kl, hack, ..Stop::default() };
        assert!(stop(Some(1.8), None).reached(&steps, None) && !stop(Some(1.81), None).reached(&steps, None));
        assert!(!stop(None, None).reached(&steps, Some(2.0)) && stop(Some(9.0), None).reached(&steps, Some(1.0)));
        assert!(stop(None, Some(0.5)).reached(&steps, None) && !stop(None, Some(0.6)).reached(&steps, None));
        let fork = |text: &str| Fork::parse(text).unwrap();
        assert_eq!(fork("a@hacked").step(&steps), Some(7));
        assert!(fork("a@hacked").wants(&steps[..7], false) && !fork("a@hacked").wants(&steps, true));
        assert_eq!(
            (fork("a@end").step(&steps), fork("a@9").step(&steps), fork("a@3").step(&steps)),
            (Some(8), None, Some(3))
        );
        assert!(fork("a@3").wants(&steps[..3], false) && fork("a@end").wants(&steps, true));
        for wrong in ["a", "@end", "a@", "a@-1", "a@now"] {
            assert!(Fork::parse(wrong).unwrap_err().contains("ARM@end"), "{wrong}");
        }
    }
}
