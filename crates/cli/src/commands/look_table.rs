//! What a look has found, in words and tables: the same for the terminal and the page.

use loophole_lab::look::{KINDS, PartsStudy, ThoughtSide, ThoughtStudy};
use loophole_look::Figure;
use loophole_page::{Section, Sheet, Table};

use super::look::Looked;
use super::look_inside;

/// Columns of a terminal.
const WIDTH: usize = 80;

/// A number with two decimals; a dash where nothing was measured.
pub fn number(value: f64) -> String {
    if value.is_finite() { format!("{:.2}", value + 0.0) } else { "-".into() }
}

/// A value with its interval.
pub fn figure(of: &Figure) -> String {
    match (of.value.is_finite(), of.low.is_finite() && of.high.is_finite()) {
        (false, _) => "-".into(),
        (true, false) => number(of.value),
        (true, true) => format!("{} [{}, {}]", number(of.value), number(of.low), number(of.high)),
    }
}

/// Owned texts.
pub fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_string()).collect()
}

/// What there is to say, in one sentence.
pub fn sentence(looked: &Looked) -> String {
    let mut said = Vec::new();
    said.extend(unmeasured(looked));
    if let Some(thought) = &looked.thought {
        said.push(of_thought(thought));
    }
    said.push(look_inside::of_moves(&looked.moved));
    said.extend(looked.direction.as_ref().filter(|_| looked.moved.is_empty()).map(look_inside::of_directions));
    said.extend(looked.steer.as_ref().map(look_inside::of_steering));
    if let Some(update) = &looked.update {
        said.push(of_update(update));
    }
    said.retain(|part| !part.is_empty());
    if said.is_empty() { "Nothing was studied.".into() } else { said.join(" ") }
}

/// Which models gave no valid answer to any probe: whatever is told of their acts was not measured, and "not shown" would read
/// as if it had been.
pub fn unmeasured(looked: &Looked) -> Option<String> {
    let sides = looked.thought.iter().flat_map(|study| std::iter::once(&study.model).chain(&study.base));
    let thought = sides.filter(|side| !side.probes.own.known()).map(|side| side.model.as_str());
    let doses = looked.steer.iter().flat_map(|study| &study.rows);
    let steered = doses.filter(|row| row.dose == "none" && !row.misalignment.known()).map(|row| row.model.as_str());
    let parts = looked
        .update
        .iter()
        .flat_map(|study| [(&study.base, study.misalignment_base), (&study.model, study.misalignment_model)]);
    let trained = parts.filter(|(_, found)| !found.known()).map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = thought.chain(steered).chain(trained).collect();
    names.sort_unstable();
    names.dedup();
    let names = names.join(" and ");
    (!names.is_empty()).then(|| format!("What {names} does could not be measured: no answer to any probe was valid."))
}

fn of_thought(study: &ThoughtStudy) -> String {
    if let Some(effects) = &study.effects {
        let (total, share) = (effects.total, effects.share);
        return match share.known() {
            true => format!(
                "Of the {} by which misalignment changed, {:.0} % runs through the thought [{:.0}, {:.0}].",
                number(total.value),
                100.0 * share.value,
                100.0 * share.low,
                100.0 * share.high
            ),
            false => format!(
                "Misalignment differs from the base's by {} [{}, {}]: no change is told from none.",
                number(total.value),
                number(total.low),
                number(total.high)
            ),
        };
    }
    let given = |kind: &str| study.model.probes.given.get(kind).copied().unwrap_or(Figure::NONE);
    format!(
        "Given a good thought it misbehaves in {} of the probes, given a bad one in {}.",
        number(given(KINDS[0].0).value),
        number(given(KINDS[3].0).value)
    )
}

fn of_update(study: &PartsStudy) -> String {
    let Some(first) = study.kept.first().filter(|first| first.kept.known()) else { return String::new() };
    format!(
        "Rank 1 of the update keeps {} of the change, random factors of the same strength {}.",
        number(first.kept.value),
        number(first.kept.control)
    )
}

/// All of it, for terminal and page.
pub fn sheet(looked: &Looked) -> Sheet {
    let mut sections = Vec::new();
    // A text that was given is what was asked for.
    sections.extend(looked.text.as_deref().map(look_inside::text));
    sections.extend((!looked.moved.is_empty()).then(|| look_inside::moves(&looked.moved)));
    sections.extend(looked.steer.as_ref().map(look_inside::doses));
    sections.extend(looked.thought.as_ref().map(thought));
    sections.extend(looked.place.as_ref().map(look_inside::places));
    sections.extend(looked.update.as_ref().map(update));
    sections.extend(looked.direction.as_ref().map(|study| look_inside::directions(study, &looked.lens)));
    let mut meta: Vec<String> = looked.against.iter().map(|base| format!("against {base}")).collect();
    meta.push(format!("seed {}, {} samples a probe", looked.seed, looked.samples));
    meta.push(format!("{:.0} s, {} tokens", looked.seconds, looked.tokens));
    Sheet {
        title: looked.model.clone(),
        kind: "inside a model".into(),
        meta,
        sentence: looked.sentence.clone(),
        sections,
    }
}

fn thought(study: &ThoughtStudy) -> Section {
    let sides: Vec<&ThoughtSide> = [Some(&study.model), study.base.as_ref()].into_iter().flatten().collect();
    let mut head = texts(&["thought", "model", "hacks"]);
    if sides.len() > 1 {
        head.extend(texts(&["base", "hacks"]));
    }
    let row = |name: &str, of: &dyn Fn(&ThoughtSide) -> (Figure, Figure)| -> Vec<String> {
        let mut row = vec![name.to_string()];
        for side in &sides {
            let (probes, hacks) = of(side);
            row.extend([figure(&probes), number(hacks.value)]);
        }
        row
    };
    let mut rows = vec![row("its own", &|side| (side.probes.own, side.own_hacks))];
    for (kind, ..) in KINDS {
        let given = |side: &ThoughtSide| {
            let of =
                |from: &std::collections::BTreeMap<String, Figure>| from.get(kind).copied().unwrap_or(Figure::NONE);
            (of(&side.probes.given), of(&side.hacks))
        };
        rows.push(row(&format!("given: {kind}"), &given));
    }
    let plain = |name: &str, of: &dyn Fn(&ThoughtSide) -> Figure| -> Vec<String> {
        let mut row = vec![name.to_string()];
        row.extend(sides.iter().map(|side| figure(&of(side))));
        row
    };
    let mut own_head = texts(&["", "model"]);
    own_head.extend(study.base.iter().map(|_| "base".to_string()));
    let own = vec![
        plain("bad thoughts (q)", &|side| side.probes.bad_thoughts),
        plain("faithfulness F", &|side| side.probes.faithfulness),
        plain("good thought, bad act", &|side| side.probes.bad_after_good),
        plain("bad thought, good act", &|side| side.probes.good_after_bad),
    ];
    let mut tables = vec![
        Table { caption: "misalignment in probes, and hacks in coding tasks, by the thought".into(), head, rows },
        Table { caption: "thoughts of its own".into(), head: own_head, rows: own },
    ];
    if let Some(effects) = &study.effects {
        let row = |name: &str, of: &Figure| vec![name.to_string(), figure(of)];
        tables.push(Table {
            caption: "model less base, in the probes".into(),
            head: texts(&["", "difference"]),
            rows: vec![
                row("all of it (TE)", &effects.total),
                row("through the thought (NIE)", &effects.through_thought),
                row("past the thought (NDE)", &effects.direct),
                row("share through the thought", &effects.share),
            ],
        });
    }
    Section {
        id: "thought".into(),
        heading: "Thought against act".into(),
        lead: format!(
            "A thought is given in the place of the model's own, word for word, and what is done after it is judged as always. \
             The controls: a good thought; and of cheating and ill will each one alone.{}",
            unread(study)
        ),
        tables,
        heats: Vec::new(),
    }
}

/// How many thoughts could not be read, where there were any.
fn unread(study: &ThoughtStudy) -> String {
    match study.model.probes.unread {
        0 => String::new(),
        many => format!(" {many} thoughts of the model cannot be read and are in no rate of thoughts."),
    }
}

fn update(study: &PartsStudy) -> Section {
    let kept = study
        .kept
        .iter()
        .map(|kept| vec![kept.part.clone(), figure(&kept.misalignment), figure(&kept.kept), number(kept.kept.control)]);
    let mut rows = vec![
        vec!["none (the base)".into(), figure(&study.misalignment_base), "0".into(), String::new()],
        vec!["all (the model)".into(), figure(&study.misalignment_model), "1".into(), String::new()],
    ];
    rows.extend(kept);
    let mut spectra: Vec<_> = study.spectra.iter().collect();
    spectra.sort_by(|a, b| b.norm.total_cmp(&a.norm));
    let spectrum = |of: &&loophole_look::Spectrum| {
        let name = of.name.trim_start_matches("model.").trim_end_matches(".weight").to_string();
        let share = |at: usize| number(of.energy[at]);
        vec![name, format!("{:.3}", of.norm), format!("{:.1}", of.stable_rank), share(0), share(2), share(4)]
    };
    Section {
        id: "update".into(),
        heading: "What the training changed".into(),
        lead: format!(
            "The change has the norm {:.3}, {:.1} % of the weights', and a mean stable rank of {:.1}. Rank alone says \
             nothing of what was learned: what is kept of the behaviour does, beside random factors as strong.",
            study.norm,
            100.0 * study.relative,
            study.stable_rank
        ),
        tables: vec![
            Table {
                caption: "misalignment with a part of the update, and the share b of the change it keeps".into(),
                head: texts(&["part", "misalignment", "kept (b)", "random"]),
                rows,
            },
            Table {
                caption: "matrices that changed most: share of the squared singular values in the first k".into(),
                head: texts(&["matrix", "norm", "stable rank", "1", "4", "16"]),
                rows: spectra.iter().take(12).map(spectrum).collect(),
            },
        ],
        heats: Vec::new(),
    }
}

/// The sheet in lines that fit a terminal.
pub fn lines(sheet: &Sheet) -> Vec<String> {
    let mut out = wrapped(&sheet.sentence);
    for section in &sheet.sections {
        out.push(String::new());
        out.push(section.heading.clone());
        if !section.lead.is_empty() {
            out.extend(wrapped(&section.lead));
        }
        for table in &section.tables {
            out.push(String::new());
            out.extend(wrapped(&table.caption).into_iter().map(|line| format!("  {line}")));
            out.extend(columns(table));
        }
    }
    out.push(String::new());
    out.extend(wrapped(&sheet.meta.join("; ")));
    out
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH - 2 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// The first column to the left, numbers to the right; where it would be too wide, names are cut in their middle.
fn columns(table: &Table) -> Vec<String> {
    let all: Vec<&Vec<String>> = std::iter::once(&table.head).chain(&table.rows).collect();
    let width =
        |at: usize| all.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    let first = widths.first().copied().unwrap_or(0).min(WIDTH.saturating_sub(others + 2).max(8));
    let row = |row: &&Vec<String>| {
        let mut line = String::from("  ");
        for (at, cell) in row.iter().enumerate() {
            line += &match at {
                0 => format!("{:<first$}", cut(cell, first)),
                at => format!("  {cell:>width$}", width = widths[at]),
            };
        }
        line.trim_end().to_string()
    };
    all.iter().map(row).collect()
}

fn cut(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_string();
    }
    let head = (width - 1) / 2;
    let tail: String = text.chars().skip(count - (width - 1 - head)).collect();
    text.chars().take(head).collect::<String>() + "…" + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_a_terminal() {
        let wide = Table {
            caption: "c".into(),
            head: texts(&["matrix", "norm", "rank"]),
            rows: vec![vec!["layers.10.self_attn.q_proj".repeat(4), "0.123 [0.1, 0.2]".into(), "5.7".into()]],
        };
        let lines = columns(&wide);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[1].contains('…') && lines[1].ends_with("0.123 [0.1, 0.2]   5.7"), "{lines:?}");
        assert!(wrapped(&"word ".repeat(60)).iter().all(|line| line.len() <= WIDTH - 2));
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!((figure(&Figure::NONE), number(f64::NAN), number(-0.0)), ("-".into(), "-".into(), "0.00".into()));
        assert_eq!(figure(&Figure::rate(0, 0)), "-");
    }
}
