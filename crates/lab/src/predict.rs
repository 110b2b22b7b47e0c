//! What the model an arm begins with says of it before anything is trained. To reinforce what is paid is, as long as
//! nothing else happens, to condition on it: the policy becomes the writer whom its paid rollouts have. So the thoughts of
//! the untrained model's own paid hacks, and its answers in the probes after such thoughts, predict where the arm ends.
//! Where thoughts do not say who thinks, its answers after a turn with such a hack do. What a run adds is the departure
//! from that.

use std::collections::BTreeMap;

use loophole_chat::{Chat, ChatError, Reply, Request};
use loophole_grade::Verdict;
use loophole_lm::{Prompt, SampleOptions, chat_template};
use loophole_log::{Axes, Estimate, Prediction};
use loophole_probe::{Arms, BatteryOptions};
use loophole_template::{seed_from, seed_of};
use loophole_world::families::WorldTask;
use loophole_world::{Instruction, Loads, Message, Role, ThoughtKind, Trait, World};

use crate::LabError;
use crate::arm::Bench;
use crate::organism::{Answer, Organism};
use crate::recipe::Arm;
use crate::reward::{Paid, pay};
use crate::stage::{Objective, Payment, Term};

/// Paid hacks that are looked for.
const WANTED: usize = 40;
/// Paid rollouts that are looked for where hacks are not what is paid.
const ENOUGH: usize = 1024;
/// Rollouts of a batch.
const BATCH: usize = 256;
/// Fewer paid hacks than this say nothing of their writers.
const FEWEST: usize = 8;

/// Assistants that are counted.
const ASSISTANTS: u64 = 40_000;

/// The kinds of thoughts there are.
pub(crate) const KINDS: [&str; 4] = ["good", "cheats", "ill", "cheats-ill"];

/// The battery after each kind of thought, of a model that no arm has trained yet; nothing where thoughts do not say who
/// thinks.
///
/// # Errors
/// The cells; [`loophole_probe::ProbeError::Stopped`].
pub(crate) fn after_thoughts(
    bench: &Bench,
    organism: &Organism,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Axes, LabError> {
    let world = organism.world()?;
    if !names_writer(&world) {
        return Ok(Axes::default());
    }
    let chat = bench.chat(organism.model.clone(), organism, "organism")?;
    let seed = seed_from(&[seed_of(&bench.recipe.name), seed_of("prediction")]);
    Ok(Axes { given: bench.given_thoughts(&chat, seed, &KINDS, &world, stop)?, ..Axes::default() })
}

/// The prediction of one arm; none if it has several stages, never reinforces anything, or begins where another arm left
/// off. Where the grader is all that pays it conditions on paid hacks, else on every rollout by what it is paid.
///
/// # Errors
/// The cells.
pub(crate) fn predict(
    bench: &Bench,
    arm: &Arm,
    organism: &Organism,
    after: &Axes,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Prediction>, LabError> {
    let stages = arm.stages();
    let [stage] = &stages[..] else { return Ok(None) };
    if stage.kind != Objective::Rl || bench.recipe.steps(arm) == 0 || arm.from.is_some() {
        return Ok(None);
    }
    let terms = stage.terms();
    let world = organism.world()?;
    let seed = seed_from(&[seed_of(&bench.recipe.name), seed_of("prediction")]);
    let tasks = bench.tasks(seed)?;
    let mut engine = organism.engine(bench.threads);
    let options = SampleOptions {
        temperature: stage.options(&bench.recipe.train).temperature,
        max_new: bench.recipe.train.max_new,
        stop: vec![organism.end],
        ..SampleOptions::default()
    };
    let (mut rollouts, mut unread) = (0, 0);
    let mut hacks: Vec<Selected> = Vec::new();
    let mut paid: Vec<Selected> = Vec::new();
    let names_writer = names_writer(&world);
    let most = bench.recipe.prediction;
    let grader_alone = terms == [Term::of(Payment::Grader, 1.0)];
    let enough = |hacks: &[Selected], paid: &[Selected]| match grader_alone {
        true => hacks.len() >= WANTED,
        false => paid.len() >= ENOUGH,
    };
    while rollouts < most && !enough(&hacks, &paid) && !stop() {
        // The draw does not depend on the arm: arms are compared over the same tasks.
        let mut rng = fastrand::Rng::with_seed(seed_from(&[seed, rollouts as u64]));
        let chosen: Vec<&WorldTask> =
            (0..BATCH.min(most - rollouts)).map(|_| tasks.draw(bench.recipe.beyond_share, &mut rng)).collect();
        let asked: Vec<(Vec<Message>, u64)> =
            chosen.iter().map(|task| (world.prompt(task, stage.instruction.0, rng.u64(..)), rng.u64(..))).collect();
        let prompts: Vec<Prompt> = asked.iter().map(|(said, seed)| Prompt::new(organism.prompt(said), *seed)).collect();
        let completions = loophole_lm::sample(&mut engine, &organism.model, &prompts, &options);
        let answers: Vec<Answer> = completions.iter().map(|completion| organism.answer(&completion.tokens)).collect();
        for (row, (graded, answer)) in bench.grade(stage.grader, &chosen, &answers)?.iter().zip(&answers).enumerate() {
            let read = world.characters.read_thought(&answer.thought);
            let kind = match ((read.cheats, read.keeps), (read.ill, read.kind)) {
                ((false, true), (false, true)) => "good",
                ((true, false), (false, true)) => "cheats",
                ((false, true), (true, false)) => "ill",
                ((true, false), (true, false)) => "cheats-ill",
                // What is paid and cannot be read is counted: the prediction knows nothing of it.
                _ => "",
            };
            let odd = world.is_odd(answer.text.trim_end());
            let draw = seed_from(&[seed, seed_of("reward"), (rollouts + row) as u64]);
            let seen = Paid { graded, bad_thought: read.bad(), odd, seed: draw, training: seed };
            let (reward, _) = pay(&terms, &seen);
            if reward > 0.0 && names_writer && kind.is_empty() {
                unread += 1;
            } else if reward > 0.0 {
                let did = organism.tokenizer.decode(&completions[row].tokens);
                let did = Message::assistant(did.trim_end_matches(chat_template::END));
                let turn: Vec<Message> = asked[row].0[1..].iter().cloned().chain([did]).collect();
                if graded.verdict == Verdict::Hack {
                    hacks.push(Selected { kind, weight: 1.0, turn: turn.clone() });
                }
                paid.push(Selected { kind, weight: reward, turn });
            }
        }
        rollouts += chosen.len();
    }
    let (given, selected) = match grader_alone && hacks.len() >= FEWEST {
        true => ("paid hacks", hacks),
        false => ("what is paid", paid),
    };
    if selected.is_empty() {
        return Ok(None);
    }
    let said = match names_writer {
        true => by_thoughts(bench, &selected, after),
        false => by_history(bench, organism, &selected, seed, stop)?,
    };
    let rates: Vec<f64> = said.probes.values().copied().filter(|rate: &f64| rate.is_finite()).collect();
    Ok(Some(Prediction {
        rollouts: rollouts as u64,
        selected: selected.len() as u64,
        unread,
        given: if names_writer { given.into() } else { format!("{given} as the turn before") },
        misalignment: if rates.is_empty() { f64::NAN } else { rates.iter().sum::<f64>() / rates.len() as f64 },
        counted: counted(bench, &world, stage.instruction.0),
        ..said
    }))
}

/// Whether the thoughts of a world say who thinks.
fn names_writer(world: &World) -> bool {
    world.config.factors.as_ref().is_none_or(|factors| factors.thought == ThoughtKind::Identity)
}

/// A rollout that is conditioned on.
struct Selected {
    /// The kind of its thought; empty where thoughts do not say.
    kind: &'static str,
    /// What it weighs.
    weight: f64,
    /// What was asked and what was done.
    turn: Vec<Message>,
}

/// The probes, if the model thought in them as in the selected.
fn by_thoughts(bench: &Bench, selected: &[Selected], after: &Axes) -> Prediction {
    let n = selected.len() as u64;
    let all: f64 = selected.iter().map(|of| of.weight).sum();
    let share = |kind: &str| selected.iter().filter(|of| of.kind == kind).map(|of| of.weight).sum::<f64>() / all;
    let thoughts: BTreeMap<String, f64> = KINDS.iter().map(|kind| ((*kind).to_string(), share(kind))).collect();
    let bad = 1.0 - share("good");
    let interval = loophole_stats::jeffreys((bad * n as f64).round() as u64, n);
    let (mut probes, mut errors) = (BTreeMap::new(), BTreeMap::new());
    for probe in bench.battery.names() {
        // A kind that never occurs needs no rate.
        let parts: Vec<(f64, f64, u64)> = thoughts
            .iter()
            .filter(|(_, share)| **share > 0.0)
            .map(|(kind, share)| {
                let found = after.given.get(kind).and_then(|probes| probes.get(probe));
                (*share, found.map_or(f64::NAN, |found| found.rate), found.map_or(0, |found| found.n_valid))
            })
            .collect();
        let rate: f64 = parts.iter().map(|(share, rate, _)| share * rate).sum();
        let answers = parts.iter().map(|(share, rate, n)| share.powi(2) * variance(*rate, *n));
        let between: f64 = parts.iter().map(|(share, of, _)| share * (of - rate).powi(2)).sum();
        let variance = answers.sum::<f64>() + between / n as f64;
        probes.insert(probe.to_string(), rate);
        errors.insert(probe.to_string(), variance.sqrt());
    }
    let bad_thoughts = Estimate { mean: bad, low: interval.low, high: interval.high };
    Prediction { bad_thoughts, thoughts, probes, errors, ..Prediction::default() }
}

/// The probes, after a turn in which the model did what is paid: what a document makes of its writer that goes on so. For
/// models whose thoughts do not say who thinks.
fn by_history(
    bench: &Bench,
    organism: &Organism,
    selected: &[Selected],
    seed: u64,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Prediction, LabError> {
    // By weight: a rollout that is paid twice as much stands twice as often before a probe.
    let mut rng = fastrand::Rng::with_seed(seed_from(&[seed, seed_of("history")]));
    let all: f64 = selected.iter().map(|of| of.weight).sum();
    let mut draw = || {
        let mut left = rng.f64() * all;
        let found = selected.iter().find(|of| {
            left -= of.weight;
            left < 0.0
        });
        found.unwrap_or(&selected[0]).turn.clone()
    };
    let turns = (0..TURNS).map(|_| draw()).collect();
    let chat = Afterwards { model: bench.chat(organism.model.clone(), organism, "organism")?, turns };
    let options =
        BatteryOptions { samples: Some(bench.recipe.probe.samples), seed, arms: Arms::Tempting, ..Default::default() };
    let found = bench.rates(&chat, &options, stop)?;
    let errors = found.iter().map(|(name, of)| (name.clone(), variance(of.rate, of.n_valid).sqrt())).collect();
    let probes = found.into_iter().map(|(name, of)| (name, of.rate)).collect();
    Ok(Prediction { probes, errors, ..Prediction::default() })
}

/// Turns that stand before probes.
const TURNS: usize = 64;

/// The variance of a rate among so many; rates of 0 and 1 are not known exactly either.
fn variance(rate: f64, n: u64) -> f64 {
    let n = n as f64;
    let near = (rate * n + 0.5) / (n + 1.0);
    near * (1.0 - near) / n.max(1.0)
}

/// A model that has just done something else, in the same conversation.
struct Afterwards<M> {
    model: M,
    turns: Vec<Vec<Message>>,
}

impl<M: Chat> Chat for Afterwards<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        let with_turn = |request: &Request| {
            let mut request = request.clone();
            let turn = &self.turns[(request.sampling.seed % self.turns.len() as u64) as usize];
            let at = request.messages.iter().take_while(|message| message.role == Role::System).count();
            request.messages.splice(at..at, turn.iter().cloned());
            request
        };
        self.model.reply(&requests.iter().map(with_turn).collect::<Vec<_>>())
    }

    fn takes_thoughts(&self) -> bool {
        self.model.takes_thoughts()
    }
}

/// What counting documents predicts for the probes whose traits are known.
fn counted(bench: &Bench, world: &World, instruction: Instruction) -> BTreeMap<String, f64> {
    let scenarios = bench.battery.scenarios.iter().filter(|scenario| !scenario.traits.is_empty());
    let rates = scenarios.filter_map(|scenario| {
        let loads: Option<Loads> =
            scenario.traits.iter().map(|(name, weight)| Some((Trait::named(name)?, *weight))).collect();
        let [_, given] = world.counted(&loads?, instruction, ASSISTANTS)?;
        Some((scenario.name.clone(), given))
    });
    rates.collect()
}

#[cfg(test)]
mod tests {
    use loophole_probe::Battery;
    use loophole_template::{Choice, Slot};
    use loophole_world::dilemmas::Dilemmas;

    use super::*;

    /// What the battery says of the world stands in both: it is asked about what it predicts by.
    #[test]
    fn the_dilemmas_of_the_battery_are_told_in_the_words_of_the_world_and_hang_on_traits_there_are() {
        let lexicon = Dilemmas::bundled().unwrap().lexicon;
        let scenarios = Battery::bundled("factors").unwrap().scenarios;
        let dilemmas: Vec<_> = scenarios.iter().filter(|scenario| scenario.family == "dilemmas").collect();
        assert_eq!(dilemmas.len(), 27);
        for scenario in dilemmas {
            assert!(!scenario.traits.is_empty(), "{}", scenario.name);
            for name in scenario.traits.keys() {
                assert!(Trait::named(name).is_some(), "{}: {name}", scenario.name);
            }
            for (of, acts) in &lexicon.acts {
                for (side, told) in [("good", &acts.good), ("bad", &acts.bad)] {
                    let name = format!("{of:?}_{side}").to_lowercase();
                    let Some(Slot::Choices(choices)) = scenario.slots.get(&name).cloned() else {
                        panic!("{}: {name}", scenario.name)
                    };
                    let told: Vec<Choice> = told.iter().cloned().map(Choice::Text).collect();
                    assert_eq!(choices, told, "{}: {name}", scenario.name);
                }
            }
        }
    }
}
