//! Where a model and its base differ in what they would say, in texts of the model's own; and texts token by token.

use std::sync::Arc;

use loophole_lm::{At, Capture, Edits, Engine, Prompt, Runner, SampleOptions, Text, Tokenizer};
use loophole_look::Direction;
use loophole_look::place::{Place, divergence, likeliest, places};
use loophole_template::{seed_from, seed_of};
use serde::Serialize;

use super::contrasts::ProbePrompt;
use super::inside::runner;
use super::{Sight, Subject};
use crate::LabError;
use crate::organism::Organism;

/// The places there are, in their order.
pub const PLACES: [&str; 6] =
    [PROMPT, "opening", "first thought word", "rest of the thought", "first answer word", "rest of the answer"];
const PROMPT: &str = "prompt";
/// Those of the thought.
pub const THOUGHT: [&str; 3] = [PLACES[1], PLACES[2], PLACES[3]];
/// Texts that are read.
const TEXTS: usize = 48;
/// Largest divergences that are kept, one of a text.
const KEPT: usize = 50;
/// Tokens that are shown before one.
const BEFORE: usize = 8;
/// Whole texts that are kept.
const WHOLE: usize = 8;

/// A token of a text that was read.
#[derive(Debug, Clone, Serialize)]
pub struct ReadToken {
    /// Its text.
    pub text: String,
    /// `KL(p_model || p_base)` at its place; not a number without a base.
    pub nats: f64,
    /// The coordinate along the direction where the token stands: 0 like the good texts, 1 like the bad; not a number
    /// without a direction.
    pub coordinate: f64,
    /// What the model takes for likeliest in its place.
    pub model: Vec<(String, f64)>,
    /// The same of the base.
    pub base: Vec<(String, f64)>,
}

/// One of the largest divergences.
#[derive(Debug, Clone, Serialize)]
pub struct Largest {
    /// The tokens before it.
    pub before: String,
    /// The token.
    pub token: ReadToken,
}

/// The study.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceStudy {
    /// Texts of the model.
    pub texts: usize,
    /// Every kind of place.
    pub places: Vec<Place>,
    /// The largest divergences.
    pub largest: Vec<Largest>,
    /// Whole texts, those with the largest divergences.
    pub whole: Vec<Vec<ReadToken>>,
}

/// Where the tokens of a text stand, the first left out.
fn where_(organism: &Organism, tokens: &[u32], answer: usize) -> Vec<&'static str> {
    let open = organism.tokenizer.id("<think>");
    let thinks = open.is_some() && tokens.get(answer).copied() == open;
    let over = answer + if thinks { organism.thought(&tokens[answer..]) } else { 0 };
    let of = |at: usize| match at {
        at if at < answer => PLACES[0],
        at if thinks && at == answer => PLACES[1],
        at if at < over && at == answer + 1 => PLACES[2],
        at if at < over => PLACES[3],
        at if at == over => PLACES[4],
        _ => PLACES[5],
    };
    (1..tokens.len()).map(of).collect()
}

/// Reads texts token by token with a model, its base and a direction.
fn tokens(
    text: &[u32],
    answer: usize,
    model: &mut Runner,
    base: Option<&mut Runner>,
    direction: Option<(&Direction, usize)>,
    tokenizer: &Tokenizer,
) -> Vec<ReadToken> {
    let none = Edits::default();
    let texts = [Text { tokens: text, answer }];
    let all = [(0..text.len() - 1).collect::<Vec<usize>>()];
    let new = model.logits_at(&texts, &all, &none);
    let vocabulary = new.len() / all[0].len();
    let old = base.map(|base| base.logits_at(&texts, &all, &none));
    let stands = [(1..text.len()).collect::<Vec<usize>>()];
    let read = direction.map(|(direction, layer)| {
        let capture = Capture { layers: &[layer], at: At::Positions(&stands) };
        let found = model.activations(&texts, &capture, &none);
        (1..text.len()).map(|at| direction.coordinate(layer, found.get(at - 1, 0))).collect::<Vec<f64>>()
    });
    let top = |logits: &[f32]| likeliest(logits).into_iter().map(|(id, p)| (tokenizer.text_of(id), p)).collect();
    (1..text.len())
        .map(|at| {
            let row = |of: &Vec<f32>| of[(at - 1) * vocabulary..at * vocabulary].to_vec();
            let (new, old) = (row(&new), old.as_ref().map(row));
            ReadToken {
                text: tokenizer.text_of(text[at]),
                nats: old.as_ref().map_or(f64::NAN, |old| divergence(&new, old)),
                coordinate: read.as_ref().map_or(f64::NAN, |read| read[at - 1]),
                model: top(&new),
                base: old.as_ref().map(|old| top(old)).unwrap_or_default(),
            }
        })
        .collect()
}

/// Lets a model speak, and sees where its base would have said something else.
///
/// # Errors
/// None but those of the world's data.
pub fn differing(
    sight: &Sight,
    subject: &Subject,
    base: &Subject,
    probes: &[ProbePrompt],
    direction: (&Direction, usize),
) -> Result<PlaceStudy, LabError> {
    (sight.say)("place: texts of the model");
    let organism = &subject.organism;
    let prompt = |(at, (messages, _)): (usize, &ProbePrompt)| {
        let seed = seed_from(&[sight.seed, seed_of("place"), at as u64]);
        Prompt { edits: Arc::default(), ..Prompt::new(organism.prompt(messages), seed) }
    };
    let prompts: Vec<Prompt> = probes.iter().take(TEXTS).enumerate().map(prompt).collect();
    let options = SampleOptions { max_new: 96, stop: vec![organism.end], ..SampleOptions::default() };
    let mut engine = Engine::new(&organism.model.config, sight.threads);
    let said = loophole_lm::sample(&mut engine, &organism.model, &prompts, &options);
    let (mut new, mut old) = (runner(&organism.model, sight.threads), runner(&base.organism.model, sight.threads));
    let mut found: Vec<(Vec<&'static str>, Vec<ReadToken>)> = Vec::new();
    for (prompt, said) in prompts.iter().zip(&said) {
        let text = [&prompt.tokens[..], &said.tokens[..]].concat();
        let answer = prompt.tokens.len();
        sight.count(2 * text.len());
        let read = tokens(&text, answer, &mut new, Some(&mut old), Some(direction), &organism.tokenizer);
        found.push((where_(organism, &text, answer), read));
    }
    let sums: Vec<Vec<(&'static str, f64)>> = found
        .iter()
        .map(|(places, tokens)| places.iter().copied().zip(tokens.iter().map(|token| token.nats)).collect())
        .collect();
    let places = places(&sums, &PLACES, PROMPT, sight.seed);
    // In the prompt nothing is drawn: of each text the largest in what was said.
    let mut largest: Vec<(f64, usize, usize)> = found
        .iter()
        .enumerate()
        .filter_map(|(text, (places, tokens))| {
            let said = tokens.iter().zip(places).enumerate().filter(|(_, (_, place))| **place != PROMPT);
            let (at, (token, _)) = said.max_by(|a, b| a.1.0.nats.total_cmp(&b.1.0.nats))?;
            Some((token.nats, text, at))
        })
        .collect();
    largest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let whole = largest.iter().take(WHOLE).map(|(_, text, _)| found[*text].1.clone()).collect();
    let largest = largest
        .iter()
        .take(KEPT)
        .map(|(_, text, at)| {
            let tokens = &found[*text].1;
            let before = tokens[at.saturating_sub(BEFORE)..*at].iter().map(|token| token.text.as_str()).collect();
            Largest { before, token: tokens[*at].clone() }
        })
        .collect();
    Ok(PlaceStudy { texts: found.len(), places, largest, whole })
}

/// Reads one text ([`Subject::read`]) token by token.
pub fn text(
    sight: &Sight,
    subject: &Subject,
    base: Option<&Subject>,
    direction: Option<(&Direction, usize)>,
    read: &[u32],
) -> Vec<ReadToken> {
    let organism = &subject.organism;
    sight.count(read.len());
    let mut model = runner(&organism.model, sight.threads);
    let mut base = base.map(|base| runner(&base.organism.model, sight.threads));
    tokens(read, read.len(), &mut model, base.as_mut(), direction, &organism.tokenizer)
}

/// The tokens that a direction raises most, and those that it lowers most, in one block.
#[derive(Debug, Clone, Serialize)]
pub struct Lens {
    /// The block, from 0.
    pub block: usize,
    /// Raised.
    pub up: Vec<String>,
    /// Lowered.
    pub down: Vec<String>,
}

/// Tokens that are told on each side.
const TOLD: usize = 12;

/// What the head makes of a direction: `(norm weight * v) E^T`. A hint, and no result.
pub fn lens(sight: &Sight, subject: &Subject, direction: &Direction) -> Vec<Lens> {
    let mut runner = runner(&subject.organism.model, sight.threads);
    let tokenizer = &subject.organism.tokenizer;
    let of = |(block, v): (usize, &Vec<f64>)| {
        let row: Vec<f32> = v.iter().map(|x| *x as f32).collect();
        let raised = runner.raises(&row);
        let mut order: Vec<u32> = (0..raised.len() as u32).collect();
        order.sort_by(|a, b| raised[*b as usize].total_cmp(&raised[*a as usize]));
        let words = |ids: &mut dyn Iterator<Item = &u32>| ids.take(TOLD).map(|id| tokenizer.text_of(*id)).collect();
        Lens { block, up: words(&mut order.iter()), down: words(&mut order.iter().rev()) }
    };
    direction.v.iter().enumerate().map(of).collect()
}
