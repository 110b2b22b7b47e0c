//! Tables of what was found inside: directions, moves, doses, places, texts.

use loophole_lab::look::{DirectionStudy, DoseRow, Lens, MoveStudy, PlaceStudy, ReadToken, SteerStudy, THOUGHT};
use loophole_look::place::share_of;
use loophole_look::{Figure, Verdict};
use loophole_page::{Heat, HeatToken, Section, Table};

use super::look_table::{figure, number, texts};

/// Nats from which a token is as hot as can be.
const HOT: f64 = 2.0;
/// Largest divergences that are shown.
const SHOWN: usize = 12;

/// What may be said of the steering, in a sentence.
pub fn of_steering(study: &SteerStudy) -> String {
    let has = |verdict: Verdict| study.rows.iter().any(|row| row.verdicts.contains(&verdict));
    let words: Vec<&str> = [Verdict::Sufficient, Verdict::Necessary]
        .into_iter()
        .filter(|verdict| has(*verdict))
        .map(Verdict::word)
        .collect();
    match words.is_empty() {
        true => "That the direction steers the model is not shown.".into(),
        false => format!("The direction is {}.", words.join(" and ")),
    }
}

/// The same of the directions.
pub fn of_directions(study: &DirectionStudy) -> String {
    let Some(fitted) = study.contrasts.first() else { return String::new() };
    let Some(block) = fitted.blocks.get(fitted.layer) else { return String::new() };
    format!(
        "A bad past and a good one lie {} spreads apart at block {} (labels by coin {}).",
        number(block.ratio.value),
        block.block,
        number(block.ratio.control)
    )
}

/// The same of the move.
pub fn of_moves(studies: &[MoveStudy]) -> String {
    let Some(study) = studies.first() else { return String::new() };
    let Some(block) = study.blocks.get(study.layer) else { return String::new() };
    let beyond = study.blocks.iter().filter(|block| block.beyond).count();
    let (d, random, at) = (number(block.along.value), number(block.along.control), block.block);
    let how = match (block.beyond, block.along.value > 0.0) {
        (false, _) => {
            format!("That it moved along the direction is not shown at block {at}: {d} of the way (random {random})")
        }
        (true, true) => {
            format!(
                "Before it says anything the model stands {d} of the way to the bad character at block {at} (random {random})"
            )
        }
        (true, false) => {
            format!(
                "Before it says anything the model has moved away from the bad character at block {at}: {d} (random {random})"
            )
        }
    };
    format!("{how}; {beyond} of {} blocks moved beyond random directions.", study.blocks.len())
}

/// Directions.
pub fn directions(study: &DirectionStudy, lens: &[Lens]) -> Section {
    let mut tables = Vec::new();
    for fitted in &study.contrasts {
        let row = |block: &loophole_look::direction::Block| {
            vec![
                block.block.to_string(),
                number(block.ratio.value),
                number(block.ratio.control),
                figure(&block.auc),
                number(block.auc.control),
                number(block.auc_flipped[1]),
                format!("{}, {}", number(block.good_at), number(block.bad_at)),
                number(block.first_component.value),
            ]
        };
        tables.push(Table {
            caption: format!(
                "{}, read at {}: {} pairs, tested on {} of other wordings; recommended block {}",
                fitted.contrast, fitted.position, fitted.fitted_on, fitted.tested_on, fitted.layer
            ),
            head: texts(&["block", "gap", "flip", "AUC", "rnd", "flip", "good, bad at", "1st"]),
            rows: fitted.blocks.iter().map(row).collect(),
        });
    }
    let blocks = study.history_identity.len().max(study.cheat_ill.len());
    let mut head = vec!["cosine by block".to_string()];
    head.extend((0..blocks).map(|block| block.to_string()));
    head.push("mean".into());
    let cosines = |name: &str, of: &[f64]| {
        let mut row = vec![name.to_string()];
        row.extend(of.iter().map(|cosine| number(*cosine)));
        row.push(number(of.iter().sum::<f64>() / of.len() as f64));
        row
    };
    let mut rows = Vec::new();
    if !study.history_identity.is_empty() {
        rows.push(cosines("bad past, bad name", &study.history_identity));
    }
    rows.push(cosines("cheating, ill will", &study.cheat_ill));
    tables.push(Table { caption: "directions that share no text".into(), head, rows });
    if !lens.is_empty() {
        let words = |of: &[String]| of.iter().take(5).map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
        tables.push(Table {
            caption: "tokens that the direction raises and lowers; a hint, no result".into(),
            head: texts(&["block", "raised", "lowered"]),
            rows: lens.iter().map(|lens| vec![lens.block.to_string(), words(&lens.up), words(&lens.down)]).collect(),
        });
    }
    Section {
        id: "direction".into(),
        heading: "Directions".into(),
        lead: format!(
            "Fitted on {}: what blocks hand on in bad texts less in good ones. gap: its length in units of how much good texts \
             differ, and the same with labels by coin (95 %). AUC: held-out, beside random directions and labels by coin (95 \
             %), which tell classes apart too. good, bad at: where held-out texts lie if fitted ones lie at 0 and 1. 1st: share \
             of the first component.",
            study.model
        ),
        tables,
        heats: Vec::new(),
    }
}

/// Moves.
pub fn moves(studies: &[MoveStudy]) -> Section {
    let table = |study: &MoveStudy| Table {
        caption: format!(
            "along {} (recommended block {}), on {} prompts of the probes before anything is said",
            study.contrast, study.layer, study.prompts
        ),
        head: texts(&["block", "moved (d)", "random", "length", "cosine", "beyond"]),
        rows: study
            .blocks
            .iter()
            .map(|block| {
                vec![
                    block.block.to_string(),
                    figure(&block.along),
                    number(block.along.control),
                    number(block.size),
                    number(block.cosine),
                    if block.beyond { "yes" } else { "not shown" }.into(),
                ]
            })
            .collect(),
    };
    Section {
        id: "move".into(),
        heading: "Where the training moved it".into(),
        lead: "Model less base on the very same prompts, as a part of the way from the good texts to the bad ones. random: 95 % \
               of random directions of the same length. Absolute coordinates are not told: texts of another form have others."
            .into(),
        tables: studies.iter().map(table).collect(),
        heats: Vec::new(),
    }
}

/// Doses.
pub fn doses(study: &SteerStudy) -> Section {
    let pair = |of: &Figure| match of.control.is_finite() {
        true => format!("{} ({})", number(of.value), number(of.control)),
        false => number(of.value),
    };
    let mut models: Vec<&str> = study.rows.iter().map(|row| row.model.as_str()).collect();
    models.dedup();
    models.sort_unstable();
    models.dedup();
    let table = |model: &&str| {
        let rows: Vec<&DoseRow> = study.rows.iter().filter(|row| row.model == **model).collect();
        let acts = Table {
            caption: format!("{model}: under the direction, and in brackets under a random one as long"),
            head: texts(&["dose", "|dose|", "misaligned", "bad thoughts", "undone"]),
            rows: rows
                .iter()
                .map(|row| {
                    let (misaligned, thoughts) = (pair(&row.misalignment), pair(&row.bad_thoughts));
                    vec![row.dose.clone(), number(row.relative), misaligned, thoughts, pair(&row.undone)]
                })
                .collect(),
        };
        let costs = Table {
            caption: format!("{model}: what it costs, and what may be said"),
            head: texts(&["dose", "valid", "skill", "hacks", "verdict"]),
            rows: rows
                .iter()
                .map(|row| {
                    let words: Vec<&str> = row.verdicts.iter().map(|verdict| verdict.word()).collect();
                    vec![row.dose.clone(), pair(&row.valid), pair(&row.skill), pair(&row.hacks), words.join(", ")]
                })
                .collect(),
        };
        [acts, costs]
    };
    Section {
        id: "steer".into(),
        heading: "Dose and response".into(),
        lead: "What is added counts in gaps between good and bad texts; |dose| is its length over the stream's. Doses begin with \
               the answer; what is pinned is so until the thought has ended. undone: share of the spread that is gone."
            .into(),
        tables: models.iter().flat_map(table).collect(),
        heats: Vec::new(),
    }
}

/// Places.
pub fn places(study: &PlaceStudy) -> Section {
    let row = |place: &loophole_look::place::Place| {
        let nats = format!("{:.1}", place.nats);
        vec![place.place.clone(), place.tokens.to_string(), nats, figure(&place.share)]
    };
    let largest = study.largest.iter().take(SHOWN).map(|largest| {
        let word = |of: &[(String, f64)]| of.first().map_or_else(String::new, |(text, p)| format!("{text:?} {p:.2}"));
        let (token, tail) = (&largest.token, tail(&largest.before, 24));
        vec![format!("…{tail}|{}", shown(&token.text)), number(token.nats), word(&token.model), word(&token.base)]
    });
    Section {
        id: "place".into(),
        heading: "Where they would say something else".into(),
        lead: format!(
            "KL(model || base) over {} texts of the model's own; shares are of what is said, the prompt apart. In the thought: {}.",
            study.texts,
            number(share_of(&study.places, &THOUGHT))
        ),
        tables: vec![
            Table {
                caption: String::new(),
                head: texts(&["place", "tokens", "nats", "share"]),
                rows: study.places.iter().map(row).collect(),
            },
            Table {
                caption: "largest, one of a text; the likeliest token of each model".into(),
                head: texts(&["text|token", "nats", "model", "base"]),
                rows: largest.collect(),
            },
        ],
        heats: study.whole.iter().map(|tokens| heat("a text of the model; ground: nats", tokens, false)).collect(),
    }
}

/// A text that was given.
pub fn text(tokens: &[ReadToken]) -> Section {
    let along = tokens.iter().any(|token| token.coordinate.is_finite());
    let mut order: Vec<&ReadToken> = tokens.iter().collect();
    let key = |token: &ReadToken| if token.nats.is_finite() { token.nats } else { token.coordinate };
    order.sort_by(|a, b| key(b).total_cmp(&key(a)));
    let row = |token: &&ReadToken| vec![shown(&token.text), number(token.coordinate), number(token.nats)];
    let mut heats = Vec::new();
    if along {
        heats.push(heat("ground: coordinate, blue like the good texts, orange like the bad", tokens, true));
    }
    if tokens.iter().any(|token| token.nats.is_finite()) {
        heats.push(heat("ground: nats between model and base", tokens, false));
    }
    Section {
        id: "text".into(),
        heading: "The text, token by token".into(),
        lead: "A coordinate compares with others of the same form of text only.".into(),
        tables: vec![Table {
            caption: "tokens with the largest numbers".into(),
            head: texts(&["token", "coordinate", "nats"]),
            rows: order.iter().take(SHOWN).map(row).collect(),
        }],
        heats,
    }
}

fn heat(caption: &str, tokens: &[ReadToken], along: bool) -> Heat {
    let of = |token: &ReadToken| {
        let heat = if along { 2.0 * token.coordinate - 1.0 } else { token.nats / HOT };
        let words =
            |of: &[(String, f64)]| of.iter().map(|(text, p)| format!("{text:?} {p:.2}")).collect::<Vec<_>>().join(" ");
        let mut title = Vec::new();
        if token.coordinate.is_finite() {
            title.push(format!("coordinate {:.2}", token.coordinate));
        }
        if token.nats.is_finite() {
            title.push(format!("{:.2} nats", token.nats));
        }
        title.push(format!("model: {}", words(&token.model)));
        if !token.base.is_empty() {
            title.push(format!("base: {}", words(&token.base)));
        }
        let heat = if heat.is_finite() { heat.clamp(-1.0, 1.0) } else { 0.0 };
        HeatToken { text: token.text.clone(), heat, title: title.join("\n") }
    };
    Heat { caption: caption.into(), tokens: tokens.iter().map(of).collect() }
}

/// A token's text on one line.
fn shown(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn tail(text: &str, count: usize) -> String {
    let text = shown(text);
    let all = text.chars().count();
    text.chars().skip(all.saturating_sub(count)).collect()
}
