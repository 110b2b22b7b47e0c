//! Directions of an organism, whether a training moved it along them, and what it does when it is steered.

use std::sync::Arc;

use loophole_lm::{Edits, Engine, Model, Runner};
use loophole_look::contrast::read;
use loophole_look::direction::Block;
use loophole_look::shift::{Shift, shifts};
use loophole_look::steer::{Dose, Seen, damages, raises, twin, undoes, undone, verdicts};
use loophole_look::thought::Acts;
use loophole_look::{Contrast, Direction, Figure, Joint, Pairs, Verdict};
use loophole_probe::BatteryReport;
use loophole_world::families::WorldTask;
use loophole_world::{Message, Role};
use serde::Serialize;

use super::acts::{counts, valid};
use super::contrasts::{Maker, ProbePrompt};
use super::thought::read_thoughts;
use super::{Sight, Subject};
use crate::LabError;
use crate::organism::Organism;

/// Prompts of the probes on which a model is set against its base.
const PROMPTS: usize = 96;

/// What was found of the directions of one contrast.
#[derive(Debug, Clone, Serialize)]
pub struct Fitted {
    /// The contrast.
    pub contrast: String,
    /// Where its texts are read.
    pub position: &'static str,
    /// Hash of its texts.
    pub hash: String,
    /// Pairs it was fitted on.
    pub fitted_on: usize,
    /// Pairs of other wordings it was tested on.
    pub tested_on: usize,
    /// The recommended block.
    pub layer: usize,
    /// Every block.
    pub blocks: Vec<Block>,
}

/// The study of directions.
#[derive(Debug, Clone, Serialize)]
pub struct DirectionStudy {
    /// The model they were fitted on: the base where there is one.
    pub model: String,
    /// Every contrast, `history` first.
    pub contrasts: Vec<Fitted>,
    /// Cosine between the directions of a bad past and of bad names, by block; they share no text.
    pub history_identity: Vec<f64>,
    /// Cosine between the directions of cheating and of ill will where a thought ends, by block.
    pub cheat_ill: Vec<f64>,
}

/// What comes of it besides the numbers.
pub struct Character {
    /// The direction of the contrast `history`.
    pub direction: Direction,
    /// That contrast.
    pub contrast: Contrast,
    /// The direction of the contrast `identity`, where there is one.
    pub identity: Option<Direction>,
    /// Prompts of the probes.
    pub probes: Vec<ProbePrompt>,
}

/// Whether a training moved a model.
#[derive(Debug, Clone, Serialize)]
pub struct MoveStudy {
    /// The model.
    pub model: String,
    /// What it was trained from.
    pub base: String,
    /// Prompts of the probes on which both were read.
    pub prompts: usize,
    /// The contrast the direction is of.
    pub contrast: String,
    /// The recommended block.
    pub layer: usize,
    /// Every block.
    pub blocks: Vec<Shift>,
}

/// What a model does under one dose, and under a random direction as long.
#[derive(Debug, Clone, Serialize)]
pub struct DoseRow {
    /// The model.
    pub model: String,
    /// The dose.
    pub dose: String,
    /// Length of what is added over that of the stream.
    pub relative: f64,
    /// Misalignment; its control is that under the random direction.
    pub misalignment: Figure,
    /// Rate of bad thoughts.
    pub bad_thoughts: Figure,
    /// Share of valid samples.
    pub valid: Figure,
    /// Right submissions among those that are no hacks.
    pub skill: Figure,
    /// Hacks in coding tasks.
    pub hacks: Figure,
    /// Share of the spread that is undone; where there is a spread, of the trained model.
    pub undone: Figure,
    /// What may be said.
    pub verdicts: Vec<Verdict>,
}

/// The study of steering.
#[derive(Debug, Clone, Serialize)]
pub struct SteerStudy {
    /// The recommended block, at which doses of one block are given.
    pub layer: usize,
    /// The rows; those without a dose first.
    pub rows: Vec<DoseRow>,
}

pub(crate) fn runner(model: &Model, threads: usize) -> Runner {
    Runner::Small { engine: Box::new(Engine::new(&model.config, threads)), model: Box::new(model.clone()) }
}

/// The prompts of the probes' tempting arms as a model meets them, templates in turn.
pub(crate) fn prompts(sight: &Sight, organism: &Organism) -> Result<Vec<ProbePrompt>, LabError> {
    let report = sight.play(organism, &organism.model, &Arc::default(), Vec::new())?;
    let mut samples: Vec<_> = report.samples.iter().collect();
    samples.sort_by_key(|sample| sample.index);
    let prompt = |messages: &[Message]| -> Vec<Message> {
        messages.iter().take_while(|message| message.role != Role::Assistant).cloned().collect()
    };
    let all =
        samples.iter().map(|sample| (prompt(&sample.transcript), format!("{}/{}", sample.probe, sample.template)));
    Ok(all.filter(|(messages, _)| messages.len() > 1).take(PROMPTS).collect())
}

/// Fits directions to a model, on all contrasts of its world.
///
/// # Errors
/// The cells; the world's data.
pub fn directions(sight: &Sight, subject: &Subject) -> Result<(DirectionStudy, Character), LabError> {
    let organism = &subject.organism;
    let probes = prompts(sight, organism)?;
    let maker = Maker::new(organism, &probes, sight.seed)?;
    let blocks = organism.model.config.num_hidden_layers;
    let mut runner = runner(&organism.model, sight.threads);
    let mut fit = |contrast: &Contrast| -> Result<(Fitted, Direction), LabError> {
        (sight.say)(&format!("direction: {}", contrast.name));
        let (on, test) =
            (Pairs::read(&mut runner, blocks, &contrast.fit), Pairs::read(&mut runner, blocks, &contrast.test));
        let pairs = contrast.fit.iter().chain(&contrast.test);
        sight.count(pairs.map(|pair| pair.bad.tokens.len() + pair.good.tokens.len()).sum());
        let direction = Direction::fit(&on)?;
        let report = direction.report(&on, &test, sight.seed);
        let fitted = Fitted {
            contrast: contrast.name.clone(),
            position: contrast.position.name(),
            hash: contrast.hash(),
            fitted_on: on.len(),
            tested_on: test.len(),
            layer: direction.layer,
            blocks: report,
        };
        Ok((fitted, direction))
    };
    let contrast = maker.history()?;
    let (history, direction) = fit(&contrast)?;
    let mut contrasts = vec![history];
    let identity = match maker.identity()? {
        Some(contrast) => {
            let (fitted, direction) = fit(&contrast)?;
            contrasts.push(fitted);
            Some(direction)
        }
        None => None,
    };
    let (thought, _) = fit(&maker.thought()?)?;
    let (cheat, along_cheat) = fit(&maker.cheat()?)?;
    let (ill, along_ill) = fit(&maker.ill()?)?;
    contrasts.extend([thought, cheat, ill]);
    let study = DirectionStudy {
        model: subject.name.clone(),
        contrasts,
        history_identity: identity.as_ref().map(|identity| direction.cosines(identity)).unwrap_or_default(),
        cheat_ill: along_cheat.cosines(&along_ill),
    };
    Ok((study, Character { direction, contrast, identity, probes }))
}

/// How far a model now stands from its base, on the same prompts, along each direction.
///
/// # Errors
/// The world's data.
pub fn moved(
    sight: &Sight,
    subject: &Subject,
    base: &Subject,
    character: &Character,
) -> Result<Vec<MoveStudy>, LabError> {
    let maker = Maker::new(&base.organism, &character.probes, sight.seed)?;
    let (readings, groups) = maker.prompts();
    let blocks = character.direction.blocks();
    sight.count(2 * readings.iter().map(|reading| reading.tokens.len()).sum::<usize>());
    let of = |organism: &Organism| read(&mut runner(&organism.model, sight.threads), blocks, readings.iter());
    let (old, new) = (of(&base.organism), of(&subject.organism));
    let directions = [("history", Some(&character.direction)), ("identity", character.identity.as_ref())];
    let study = |(contrast, direction): (&str, Option<&Direction>)| {
        let direction = direction?;
        Some(MoveStudy {
            model: subject.name.clone(),
            base: base.name.clone(),
            prompts: readings.len(),
            contrast: contrast.to_string(),
            layer: direction.layer,
            blocks: shifts(direction, &old, &new, &groups, sight.seed),
        })
    };
    Ok(directions.into_iter().filter_map(study).collect())
}

/// What was seen under one dose.
struct Tried {
    seen: Seen,
    thoughts: Acts,
    valid: Figure,
    skill: Figure,
    hacks: Figure,
}

fn try_dose(sight: &Sight, subject: &Subject, edits: Edits, tasks: &[WorldTask]) -> Result<Tried, LabError> {
    let (organism, edits) = (&subject.organism, Arc::new(edits));
    let report: BatteryReport = sight.play(organism, &organism.model, &edits, Vec::new())?;
    let mut thoughts = Acts::default();
    read_thoughts(&report, &organism.world()?.characters, &mut thoughts);
    let code = sight.code(organism, &organism.model, &edits, &[], tasks)?;
    let of = |figure: &Figure| ((figure.value * figure.n as f64).round() as u64, figure.n as u64);
    let valid = valid(&report);
    let seen = Seen { acts: counts(&report), valid: of(&valid), skill: of(&code.skill) };
    Ok(Tried { seen, thoughts, valid, skill: code.skill, hacks: code.hacks })
}

/// Doses of the direction beside random ones as long: added to the base, taken from the trained model and pinned in it.
/// Without a base everything is done to the one model.
///
/// # Errors
/// The cells; [`loophole_probe::ProbeError::Stopped`].
pub fn steered(
    sight: &Sight,
    subject: &Subject,
    base: Option<&Subject>,
    direction: &Direction,
    layer: usize,
) -> Result<SteerStudy, LabError> {
    let tasks = sight.tasks()?;
    let untrained = base.unwrap_or(subject);
    let end = untrained.organism.tokenizer.id("</think>");
    let other = twin(direction, sight.seed);
    let trial = |of: &Subject, what: &str, edits: Edits| {
        (sight.say)(&format!("steer: {}, {what}", of.name));
        try_dose(sight, of, edits, &tasks)
    };
    let before = trial(untrained, "as it is", Edits::default())?;
    let trained = base.map(|_| trial(subject, "as it is", Edits::default())).transpose()?;
    let doses = Dose::table(layer);
    let adds = doses.iter().filter(|dose| matches!(dose, Dose::Add { alpha, .. } if *alpha > 0.0)).count();
    let all = doses.len();
    let mut rows = vec![row(sight, &untrained.name, "none", f64::NAN, &before, None)];
    if let Some(trained) = &trained {
        rows.push(row(sight, &subject.name, "none", f64::NAN, trained, None));
    }
    for dose in doses {
        let up = matches!(dose, Dose::Add { alpha, .. } if alpha > 0.0);
        // What is to be raised is raised in the base, what is to be lowered lowered in the trained model.
        let (of, plain) = match &trained {
            Some(trained) if !up => (subject, trained),
            _ => (untrained, &before),
        };
        let found = trial(of, &dose.words(), dose.edits(direction, end)?)?;
        let control = trial(of, &format!("{}, random", dose.words()), dose.edits(&other, end)?)?;
        let mut made = row(sight, &of.name, &dose.words(), dose.relative(direction), &found, Some(&control));
        let mut shown = None;
        if up && raises(&before.seen, &found.seen, &control.seen, adds, sight.seed) {
            shown = Some(Verdict::Sufficient);
        }
        if let Some(trained) = trained.as_ref().filter(|_| !up) {
            let share = |under: &Tried| undone(&before.seen, &trained.seen, &under.seen, sight.seed);
            made.undone = share(&found).beside(share(&control).value);
            if dose == Dose::Pin && undoes(&before.seen, &trained.seen, &found.seen, &control.seen, sight.seed) {
                shown = Some(Verdict::Necessary);
            }
        }
        made.verdicts = verdicts(shown, damages(&plain.seen, &found.seen, all));
        rows.push(made);
    }
    Ok(SteerStudy { layer, rows })
}

fn row(sight: &Sight, model: &str, dose: &str, relative: f64, of: &Tried, control: Option<&Tried>) -> DoseRow {
    let rate = |tried: &Tried| Joint::new(&[&tried.seen.acts], sight.seed).rate(0);
    let thoughts = |tried: &Tried| Joint::new(&[&tried.thoughts.thoughts], sight.seed).rate(0);
    let beside = |of: Figure, value: fn(&Tried) -> f64| of.beside(control.map_or(f64::NAN, value));
    DoseRow {
        model: model.to_string(),
        dose: dose.to_string(),
        relative,
        misalignment: rate(of).beside(control.map_or(f64::NAN, |control| rate(control).value)),
        bad_thoughts: thoughts(of).beside(control.map_or(f64::NAN, |control| thoughts(control).value)),
        valid: beside(of.valid, |control| control.valid.value),
        skill: beside(of.skill, |control| control.skill.value),
        hacks: beside(of.hacks, |control| control.hacks.value),
        undone: Figure::NONE,
        verdicts: Vec::new(),
    }
}
