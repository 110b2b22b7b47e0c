//! From a run folder to what the page shows. Reads files, draws nothing.
//!
//! Of `recipe.toml` it reads, where they are there: `name`, `question`, `hypothesis`; of every `[[arm]]` its `name`,
//! `words` (the condition as the opening of a sentence) and `about`; of every `[[claim]]` its `id` and `text`. What
//! is missing in a run that was stopped is missing on the page; only a folder that is no run is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loophole_log::{Estimate, JumpAtOnset, LogError, ProbeReport, RunDir, RunState, StepMetrics, Summary};
use toml::{Table, Value};

use crate::choose::choose_samples;
use crate::data::*;
use crate::sections::words::CLAIMS;

/// Why no report could be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run, or the page itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A recipe that is no TOML; its hash matched, so it was written so.
    #[error("{path} is not TOML: {source}; the report reads the question and the arms from it")]
    Recipe {
        /// The recipe.
        path: PathBuf,
        /// What is wrong with it.
        source: toml::de::Error,
    },
}

impl ReportData {
    /// Reads the folder of a run, finished or not, if it is as it was written. That this cannot be told of a run of an
    /// earlier version stands among the warnings.
    ///
    /// # Errors
    /// If it is no run, one of its files is broken, or one was cut, edited, removed or put there
    /// ([`LogError::Damaged`]).
    pub fn from_run(root: &Path) -> Result<Self, ReportError> {
        let run = RunDir::open(root)?;
        let found = run.verify_read()?;
        let note = run.trust(found)?;
        Self::read(&run, note.into_iter().collect())
    }

    /// Reads the folder of a run as it is. What is not as it was written stands among the warnings.
    ///
    /// # Errors
    /// If it is no run, or one of its files is broken.
    pub fn from_run_unverified(root: &Path) -> Result<Self, ReportError> {
        let run = RunDir::open(root)?;
        let warnings = match run.verify_read().and_then(|found| run.trust(found)) {
            Ok(note) => note.into_iter().collect(),
            Err(error) => vec![error.to_string()],
        };
        Self::read(&run, warnings)
    }

    fn read(run: &RunDir, warnings: Vec<String>) -> Result<Self, ReportError> {
        let recipe_text = run.recipe()?;
        let recipe: Table =
            recipe_text.parse().map_err(|source| ReportError::Recipe { path: run.recipe_path(), source })?;
        let summary = if run.summary_path().exists() { Some(run.read_summary()?) } else { None };
        let status = run.read_status()?;
        let mut data = ReportData {
            title: text(&recipe, "name").or(summary.as_ref().map(|s| s.recipe.clone())).unwrap_or_default(),
            question: text(&recipe, "question").unwrap_or_default(),
            hypothesis: text(&recipe, "hypothesis").unwrap_or_default(),
            hash: run.hash().to_string(),
            warnings,
            unfinished: summary.is_none() || status.as_ref().is_some_and(|s| s.state != RunState::Finished),
            commands: vec![
                "loophole run recipe.toml --out again   # the recipe below, or RUN/recipe.toml".into(),
                "loophole report again --out report.html".into(),
            ],
            versions: vec![("loophole, which made this page".into(), env!("CARGO_PKG_VERSION").into())],
            ..ReportData::default()
        };
        if let Some(tier) = status.as_ref().and_then(|s| s.tier.clone()) {
            data.versions.push(("isolation of submissions".into(), tier));
        }
        data.arms = arms(run, &recipe, summary.as_ref())?;
        if let Some(summary) = &summary {
            data.comparisons = comparisons(summary);
            data.claims = claims(summary, &recipe);
            data.predictions = summary.predictions.as_ref().map(predictions);
            data.warnings.extend(summary.notes.iter().cloned());
        }
        data.warnings.extend(status.as_ref().and_then(|s| s.message.clone()));
        data.warnings.extend(few_seeds(&data.arms));
        data.timings = timings(run, summary.as_ref())?;
        data.excluded = invalid_samples(&data.arms);
        let chosen = choose_samples(run, &data.arms);
        data.created = chosen.date;
        data.samples = chosen.samples;
        data.excluded.extend(chosen.unreadable);
        data.recipe = recipe_text;
        Ok(data)
    }
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key)?.as_str().map(|s| s.trim().to_string())
}

fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn arms(run: &RunDir, recipe: &Table, summary: Option<&Summary>) -> Result<Vec<Arm>, ReportError> {
    let folders = run.seeds()?;
    // The recipe's order first, then whatever else left a folder or a summary.
    let mut names: Vec<String> = Vec::new();
    let from_recipe = tables(recipe, "arm").filter_map(|t| text(t, "name"));
    let from_summary = summary.into_iter().flat_map(|s| &s.arms).map(|a| a.name.clone());
    for name in from_recipe.chain(from_summary).chain(folders.iter().map(|f| f.0.clone())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let table = tables(recipe, "arm").find(|t| text(t, "name").as_ref() == Some(&name));
            let summed = summary.and_then(|s| s.arms.iter().find(|a| a.name == name));
            let mut numbers: Vec<u64> = folders.iter().filter(|f| f.0 == name).map(|f| f.1).collect();
            numbers.extend(summed.into_iter().flat_map(|a| &a.seeds).map(|s| s.seed));
            numbers.sort_unstable();
            numbers.dedup();
            let seeds: Result<_, ReportError> = numbers.into_iter().map(|n| seed(run, &name, n, summary)).collect();
            Ok(Arm {
                words: table.and_then(|t| text(t, "words")).unwrap_or_default(),
                about: table.map(about).unwrap_or_default(),
                seeds: seeds?,
                hack_rate: summed.and_then(|a| estimate(&a.hack_rate)),
                misalignment: summed.and_then(|a| estimate(&a.misalignment)),
                transfer: summed.and_then(|a| a.transfer.as_ref()).and_then(estimate),
                axes: summed.map(axes).unwrap_or_default(),
                name,
            })
        })
        .collect()
}

fn predictions(check: &loophole_log::PredictionCheck) -> Predictions {
    let finite = |value: f64| value.is_finite().then_some(value);
    let point = |point: &loophole_log::PredictionPoint| PredictionPoint {
        arm: point.arm.clone(),
        probe: point.probe.clone(),
        start: finite(point.start),
        predicted: point.predicted,
        observed: point.observed.mean,
        interval: finite(point.observed.low).zip(finite(point.observed.high)),
        departs: point.departs,
    };
    let kinds = [("the model", &check.groups), ("counting", &check.counted)];
    let fits = kinds.into_iter().flat_map(|(from, groups)| {
        groups.iter().map(move |(group, fit)| Fit {
            group: format!("group {group}"),
            from: from.into(),
            n: fit.n,
            predicted: finite(fit.predicted),
            observed: finite(fit.observed),
            slope: finite(fit.slope),
            scatter: finite(fit.scatter),
        })
    });
    // One group alone says nothing that the line above it does not.
    let several = check.groups.len() > 1;
    Predictions {
        fits: fits.filter(|_| several).collect(),
        points: check.points.iter().map(point).collect(),
        slope: finite(check.slope),
        scatter: finite(check.scatter),
    }
}

/// What was measured besides before and after, as means over the seeds.
fn axes(arm: &loophole_log::ArmSummary) -> Vec<(String, f64, f64)> {
    let mut kinds: BTreeMap<&String, Vec<(f64, f64)>> = BTreeMap::new();
    for (kind, rates) in arm.seeds.iter().flat_map(|seed| &seed.axes) {
        if rates.start.is_finite() && rates.end.is_finite() {
            kinds.entry(kind).or_default().push((rates.start, rates.end));
        }
    }
    let mean = |of: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| of.iter().map(which).sum::<f64>() / of.len() as f64;
    kinds.into_iter().map(|(kind, of)| (kind.clone(), mean(&of, |x| x.0), mean(&of, |x| x.1))).collect()
}

/// The arm's own words about itself, or its settings as they stand in the recipe.
fn about(table: &Table) -> String {
    if let Some(about) = text(table, "about").or_else(|| text(table, "description")) {
        return about;
    }
    let settings: Vec<String> = table
        .iter()
        .filter(|(key, _)| !["name", "words"].contains(&key.as_str()))
        .map(|(key, value)| match value {
            Value::String(s) => format!("{key}: {}", s.trim()),
            other => format!("{key}: {other}"),
        })
        .collect();
    crate::html::shorten(&settings.join("; "), 240)
}

fn estimate(value: &Estimate) -> Option<Interval> {
    value.mean.is_finite().then_some(Interval { mean: value.mean, low: value.low, high: value.high })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn seed(run: &RunDir, arm: &str, number: u64, summary: Option<&Summary>) -> Result<Seed, ReportError> {
    let dir = run.seed(arm, number)?;
    let summed = summary
        .and_then(|s| s.arms.iter().find(|a| a.name == arm))
        .and_then(|a| a.seeds.iter().find(|s| s.seed == number));
    let steps = if dir.metrics_path().exists() { dir.read_metrics()? } else { Vec::new() };
    let reports = dir.read_probe_reports()?;
    let probes = if reports.is_empty() {
        summed.map(|s| s.series.iter().map(bare_point).collect()).unwrap_or_default()
    } else {
        reports.into_iter().map(|(step, report)| point(step, report)).collect()
    };
    Ok(Seed {
        seed: number,
        steps: steps.into_iter().map(step).collect(),
        onset_step: summed.and_then(|s| s.onset_step),
        probes,
        jump: summed.and_then(|s| s.jump_at_onset.as_ref()).map(jump),
    })
}

fn step(m: StepMetrics) -> Step {
    Step {
        step: m.step,
        reward: m.reward,
        hack_rate: m.hack_rate,
        honest_rate: m.honest_rate,
        verdicts: m.verdicts,
        families: m.families,
        kl: finite(m.kl),
        bad_thought_rate: m.bad_thought_rate,
    }
}

fn point(step: u64, report: ProbeReport) -> ProbePoint {
    let misalignment = estimate(&report.misalignment);
    let probes = report
        .probes
        .into_iter()
        .map(|p| {
            let rate = ProbeRate {
                rate: finite(p.rate),
                low: p.low,
                high: p.high,
                n: p.n,
                n_valid: p.n_valid,
                outcomes: p.outcomes,
                thought_rate: p.thought_rate,
            };
            (p.name, rate)
        })
        .collect();
    ProbePoint { step, probes, misalignment }
}

/// A point of the summary alone: rates without counts.
fn bare_point(point: &loophole_log::ProbePoint) -> ProbePoint {
    let rate = |r: &f64| ProbeRate { rate: finite(*r), low: f64::NAN, high: f64::NAN, ..ProbeRate::default() };
    ProbePoint {
        step: point.step,
        probes: point.probes.iter().map(|(name, r)| (name.clone(), rate(r))).collect(),
        misalignment: estimate(&point.misalignment),
    }
}

fn jump(j: &JumpAtOnset) -> Jump {
    Jump {
        step: j.step,
        p: finite(j.p),
        smallest_p: finite(j.smallest_p),
        measures: j.measures.iter().map(|m| (m.name.clone(), m.jump)).collect(),
    }
}

fn comparisons(summary: &Summary) -> Vec<Comparison> {
    let row = |c: &loophole_log::Comparison| Comparison {
        a: c.a.clone(),
        b: c.b.clone(),
        measure: c.measure.clone(),
        difference: c.difference,
        low: c.low,
        high: c.high,
        p: finite(c.p),
        power: finite(c.power),
    };
    summary.comparisons.iter().map(row).collect()
}

fn claims(summary: &Summary, recipe: &Table) -> Vec<Claim> {
    let words = |id: &str| {
        let own = tables(recipe, "claim").find(|t| text(t, "id").as_deref() == Some(id)).and_then(|t| text(t, "text"));
        own.or_else(|| CLAIMS.iter().find(|c| c.0.eq_ignore_ascii_case(id)).map(|c| c.1.to_string()))
    };
    let claim = |c: &loophole_log::Claim| Claim {
        id: c.id.clone(),
        text: words(&c.id).unwrap_or_default(),
        answer: match c.answer {
            loophole_log::Answer::Supported => Answer::Supported,
            loophole_log::Answer::NotSupported => Answer::NotSupported,
            loophole_log::Answer::EquivalentToNone => Answer::EquivalentToNone,
            loophole_log::Answer::Undecided => Answer::Undecided,
        },
        why: c.why.clone(),
    };
    summary.claims.iter().map(claim).collect()
}

fn few_seeds(arms: &[Arm]) -> Option<String> {
    let fewest = arms.iter().map(|a| a.seeds.len()).min()?;
    match fewest {
        0 => Some("An arm has no seed yet: nothing can be compared with it.".into()),
        1 => Some("One seed an arm proves nothing: a difference between arms may be the luck of one draw.".into()),
        2 => Some("Two seeds an arm prove nothing: take five or more before believing a difference.".into()),
        3 | 4 => {
            Some(format!("Only {fewest} seeds an arm: the intervals are wide, and rest on the seeds being alike."))
        }
        _ => None,
    }
}

/// Samples of the batteries that failed a validity gate, over all seeds and steps of an arm.
fn invalid_samples(arms: &[Arm]) -> Vec<Excluded> {
    arms.iter()
        .filter_map(|arm| {
            let rates = || arm.seeds.iter().flat_map(|s| &s.probes).flat_map(|p| p.probes.values());
            let all: u64 = rates().map(|r| r.n).sum();
            let invalid: u64 = rates().map(|r| r.n.saturating_sub(r.n_valid)).sum();
            (invalid > 0).then(|| Excluded {
                what: format!("probe samples of arm {}", arm.name),
                why: "failed a validity gate (outcome invalid); counted in n, not in a rate".into(),
                count: invalid,
                of: Some(all),
            })
        })
        .collect()
}

fn timings(run: &RunDir, summary: Option<&Summary>) -> Result<Vec<Timing>, ReportError> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (arm, number) in run.seeds()? {
        for m in run.seed(&arm, number)?.read_metrics()? {
            for (what, seconds) in
                [("sampling", m.seconds_sample), ("grading", m.seconds_grade), ("updates", m.seconds_update)]
            {
                if seconds.is_finite() {
                    *sums.entry(what).or_default() += seconds;
                }
            }
        }
    }
    let total = summary.and_then(|s| finite(s.seconds)).map(|s| ("the whole run", s));
    Ok(total.into_iter().chain(sums).map(|(what, seconds)| Timing { what: what.into(), seconds }).collect())
}
