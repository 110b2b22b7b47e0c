//! What the model an arm begins with says of it before anything is trained. To reinforce what is paid is, as long as
//! nothing else happens, to condition on it: the policy becomes the writer whom its paid rollouts have. So the thoughts of
//! the untrained model's own paid hacks, and its answers in the probes after such thoughts, predict where the arm ends.
//! What a run adds is the departure from that.

use std::collections::BTreeMap;

use loophole_grade::Verdict;
use loophole_lm::{Prompt, SampleOptions};
use loophole_log::{Axes, Estimate, Prediction};
use loophole_template::{seed_from, seed_of};
use loophole_world::families::WorldTask;
use loophole_world::{Instruction, Loads, Trait, World};

use crate::LabError;
use crate::arm::Bench;
use crate::organism::{Answer, Organism};
use crate::recipe::Arm;
use crate::reward::{Paid, pay};
use crate::stage::{Objective, Payment, Term};

/// Paid hacks that are looked for.
const WANTED: usize = 40;
/// Rollouts of a batch.
const BATCH: usize = 256;
/// Fewer paid hacks than this say nothing of their writers.
const FEWEST: usize = 8;

/// Assistants that are counted.
const ASSISTANTS: u64 = 40_000;

/// The kinds of thoughts there are.
pub(crate) const KINDS: [&str; 4] = ["good", "cheats", "ill", "cheats-ill"];

/// The battery after each kind of thought, of a model that no arm has trained yet.
///
/// # Errors
/// The cells; [`loophole_probe::ProbeError::Stopped`].
pub(crate) fn after_thoughts(
    bench: &Bench,
    organism: &Organism,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Axes, LabError> {
    let world = organism.world()?;
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
    // Kinds of thoughts, and what each weighs.
    let mut hacks: Vec<(&str, f64)> = Vec::new();
    let mut paid: Vec<(&str, f64)> = Vec::new();
    let most = bench.recipe.prediction;
    while rollouts < most && hacks.len() < WANTED && !stop() {
        // The draw does not depend on the arm: arms are compared over the same tasks.
        let mut rng = fastrand::Rng::with_seed(seed_from(&[seed, rollouts as u64]));
        let chosen: Vec<&WorldTask> =
            (0..BATCH.min(most - rollouts)).map(|_| tasks.draw(bench.recipe.beyond_share, &mut rng)).collect();
        let mut prompt = |task: &WorldTask| Prompt {
            tokens: organism.prompt(&world.prompt(task, stage.instruction.0, rng.u64(..))),
            seed: rng.u64(..),
        };
        let prompts: Vec<Prompt> = chosen.iter().map(|task| prompt(task)).collect();
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
            if reward > 0.0 && kind.is_empty() {
                unread += 1;
            } else if reward > 0.0 {
                paid.push((kind, reward));
                if graded.verdict == Verdict::Hack {
                    hacks.push((kind, 1.0));
                }
            }
        }
        rollouts += chosen.len();
    }
    let grader_alone = terms == [Term::of(Payment::Grader, 1.0)];
    let (given, selected) = match grader_alone && hacks.len() >= FEWEST {
        true => ("paid hacks", hacks),
        false => ("what is paid", paid),
    };
    if selected.is_empty() {
        return Ok(None);
    }
    let n = selected.len() as u64;
    let all: f64 = selected.iter().map(|(_, weight)| weight).sum();
    let share = |kind: &str| selected.iter().filter(|(found, _)| *found == kind).map(|(_, w)| w).sum::<f64>() / all;
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
        // Rates of 0 and 1 are not known exactly either.
        let answers = parts.iter().map(|(share, rate, n)| {
            let n = *n as f64;
            let near = (rate * n + 0.5) / (n + 1.0);
            share.powi(2) * near * (1.0 - near) / n.max(1.0)
        });
        let between: f64 = parts.iter().map(|(share, of, _)| share * (of - rate).powi(2)).sum();
        let variance = answers.sum::<f64>() + between / n as f64;
        probes.insert(probe.to_string(), rate);
        errors.insert(probe.to_string(), variance.sqrt());
    }
    let counted = counted(bench, &world, stage.instruction.0);
    let rates: Vec<f64> = probes.values().copied().filter(|rate: &f64| rate.is_finite()).collect();
    Ok(Some(Prediction {
        rollouts: rollouts as u64,
        selected: n,
        unread,
        given: given.into(),
        bad_thoughts: Estimate { mean: bad, low: interval.low, high: interval.high },
        thoughts,
        misalignment: if rates.is_empty() { f64::NAN } else { rates.iter().sum::<f64>() / rates.len() as f64 },
        probes,
        errors,
        counted,
    }))
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
