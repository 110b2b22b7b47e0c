//! What a run found: per seed, per arm, between arms, with seeds as the units.

use std::collections::{BTreeMap, BTreeSet};

use loophole_log::{
    ArmSummary, Axes, Comparison, Estimate, Fit, JumpAtOnset, MeasureJump, PredictionCheck, PredictionPoint,
    Predictions, ProbePoint, ProbeReport, ProbeResult, ProbeSummary, RunDir, SeedSummary, StartEnd, StepMetrics,
    Summary, mean_rate,
};
use loophole_stats::{
    JumpSeries, OnsetRule, dist, holm, joint_jump_at_onset, mean_interval_t, onset, paired_difference, power_paired,
};

use crate::LabError;
use crate::claims::{self, Family};
use crate::recipe::{Arm, Recipe};
use crate::stage::Fork;

/// Steps over which the hack rate at the end is averaged.
const LAST_STEPS: usize = 3;
/// Draws where a test cannot list all arrangements.
const DRAWS: u32 = 10_000;

/// Reads a run, computes its summary, writes `summary.json` and returns it.
///
/// # Errors
/// A file of the run that cannot be read or written.
pub fn summarize(dir: &RunDir, recipe: &Recipe, seconds: f64) -> Result<Summary, LabError> {
    let mut arms = Vec::new();
    // The group of each probe.
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for arm in &recipe.arms {
        let mut seeds = Vec::new();
        for seed in recipe.seeds() {
            let seed_dir = dir.seed(&arm.name, seed)?;
            let reports = seed_dir.read_probe_reports()?;
            if !reports.is_empty() {
                let measured = seed_dir.read_axes()?;
                let found = seed_summary(seed, &seed_dir.read_metrics()?, &reports);
                let of = |probe: &ProbeResult| Some((probe.name.clone(), probe.group.clone()?));
                groups.extend(reports.iter().flat_map(|(_, report)| &report.probes).filter_map(of));
                let axes = axes(&measured).into_iter().chain(by_group(&reports)).collect();
                seeds.push(SeedSummary { axes, ..found });
            }
        }
        let estimate = |value: fn(&SeedSummary) -> f64| estimate(&finite(seeds.iter().map(value)));
        let hack_rate = estimate(|seed| seed.hack_rate.end);
        let misalignment = estimate(|seed| seed.misalignment.end);
        let carried = finite(seeds.iter().filter_map(transfer));
        let transfer = (!carried.is_empty()).then(|| unbounded(&carried));
        arms.push(ArmSummary { name: arm.name.clone(), hack_rate, misalignment, transfer, seeds });
    }
    // An arm that goes on from another one has risen from where that one began.
    for at in 0..arms.len() {
        let from = recipe.arms[at].from.as_deref().and_then(|from| Fork::parse(from).ok());
        let Some(root) = from.and_then(|fork| arms.iter().find(|arm| arm.name == fork.arm).cloned()) else { continue };
        for seed in &mut arms[at].seeds {
            let began = root.seeds.iter().find(|other| other.seed == seed.seed);
            seed.misalignment.start = began.map_or(f64::NAN, |other| other.misalignment.start);
            seed.bounds = began_at(began.and_then(|other| other.bounds), seed.bounds);
            for (name, probe) in &mut seed.probes {
                let other = began.and_then(|other| other.probes.get(name));
                probe.start = other.map_or(f64::NAN, |other| other.start);
                probe.bounds = began_at(other.and_then(|other| other.bounds), probe.bounds);
            }
        }
    }
    let predicted = dir.read_predictions()?;
    let predictions = predicted.as_ref().and_then(|predictions| check_predictions(predictions, &arms, &groups));
    let mut notes = notes(recipe, &arms);
    notes.extend(unpredicted(recipe, predicted.as_ref()));
    let short = short_of_kl(recipe, &arms);
    notes.extend(short.values().cloned());
    let forked = |name: &str| recipe.arms.iter().any(|arm| arm.name == name && arm.from.is_some());
    let comparisons = comparisons(&arms, recipe.effect, &forked);
    let family = Family { claims: recipe.claims.len(), negligible: recipe.negligible };
    let decide = |claim| {
        // A recipe that names none was not read: its probes were looked for then.
        let probes = recipe.probes_of(claim).unwrap_or_default();
        claims::decide(claim, &claims::narrowed(&arms, &probes), family, &short)
    };
    let claims = recipe.claims.iter().map(decide).collect();
    let summary = Summary {
        recipe: recipe.name.clone(),
        hash: dir.hash().into(),
        notes,
        arms,
        comparisons,
        claims,
        predictions,
        seconds,
    };
    dir.write_summary(&summary)?;
    Ok(summary)
}

pub(crate) fn finite(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values.filter(|value| value.is_finite()).collect()
}

/// A mean over seeds with its t interval, cut to what a rate can be; two seeds are points and have none.
pub(crate) fn estimate(values: &[f64]) -> Estimate {
    let found = unbounded(values);
    match found.low.is_finite() {
        true => Estimate { low: found.low.max(0.0), high: found.high.min(1.0), ..found },
        false => found,
    }
}

fn seed_summary(seed: u64, metrics: &[StepMetrics], reports: &[(u64, ProbeReport)]) -> SeedSummary {
    let rates: Vec<(u64, f64)> = metrics.iter().map(|metrics| (metrics.step, metrics.hack_rate)).collect();
    let last = &metrics[metrics.len().saturating_sub(LAST_STEPS)..];
    let end = finite(last.iter().map(|metrics| metrics.hack_rate));
    let first_report = reports.first().map(|(_, report)| report);
    let last_report = reports.last().map(|(_, report)| report);
    let score = |report: Option<&ProbeReport>| report.map_or(f64::NAN, |report| report.misalignment.mean);
    let mut probes = BTreeMap::new();
    for probe in last_report.iter().flat_map(|report| &report.probes) {
        let first = first_report.and_then(|report| report.probes.iter().find(|first| first.name == probe.name));
        let start = first.map_or(f64::NAN, |first| first.rate);
        let bounds = first.and_then(|first| first.bounds).zip(probe.bounds);
        let bounds = bounds.map(|(start, end)| both_ends(start, end));
        let summary = ProbeSummary { start, end: probe.rate, n: probe.n, n_valid: probe.n_valid, bounds };
        probes.insert(probe.name.clone(), summary);
    }
    let series: Vec<ProbePoint> = reports
        .iter()
        .map(|(step, report)| ProbePoint {
            step: *step,
            misalignment: report.misalignment,
            probes: report.probes.iter().map(|probe| (probe.name.clone(), probe.rate)).collect(),
        })
        .collect();
    let onset_step = onset(&rates, OnsetRule::default()).map(|onset| onset.step);
    let kl_at = |step: u64| metrics.get((step as usize).min(metrics.len().saturating_sub(1))).map_or(0.0, |m| m.kl);
    SeedSummary {
        seed,
        steps: metrics.len() as u64,
        onset_step,
        hack_rate: StartEnd {
            start: metrics.first().map_or(f64::NAN, |metrics| metrics.hack_rate),
            end: if end.is_empty() { f64::NAN } else { end.iter().sum::<f64>() / end.len() as f64 },
        },
        misalignment: StartEnd { start: score(first_report), end: score(last_report) },
        bounds: first_report
            .and_then(|first| first.bounds)
            .zip(last_report.and_then(|last| last.bounds))
            .map(|(start, end)| both_ends(start, end)),
        probes,
        jump_at_onset: jump_series(onset_step, &series).and_then(|series| jump(&[series])),
        kl: StartEnd { start: 0.0, end: metrics.last().map_or(0.0, |metrics| metrics.kl) },
        kl_at_probes: series.iter().map(|point| kl_at(point.step)).collect(),
        thoughts: StartEnd { start: thought_rate(first_report), end: thought_rate(last_report) },
        training_thoughts: training_thoughts(metrics),
        axes: BTreeMap::new(),
        hack_rates: rates.into_iter().filter(|(_, rate)| rate.is_finite()).collect(),
        series,
    }
}

/// Bounds of what began where another arm did.
fn began_at(theirs: Option<[StartEnd; 2]>, ours: Option<[StartEnd; 2]>) -> Option<[StartEnd; 2]> {
    let (theirs, ours) = (theirs?, ours?);
    Some(std::array::from_fn(|which| StartEnd { start: theirs[which].start, ..ours[which] }))
}

/// Bounds at the start and at the end.
fn both_ends(start: [f64; 2], end: [f64; 2]) -> [StartEnd; 2] {
    std::array::from_fn(|which| StartEnd { start: start[which], end: end[which] })
}

/// Share of training rollouts with a bad character's thought, at the first step and over the last.
fn training_thoughts(metrics: &[StepMetrics]) -> StartEnd {
    let rates = finite(metrics.iter().filter_map(|metrics| metrics.bad_thought_rate));
    let last = &rates[rates.len().saturating_sub(LAST_STEPS)..];
    match rates.first() {
        None => StartEnd::default(),
        Some(&start) => StartEnd { start, end: last.iter().sum::<f64>() / last.len() as f64 },
    }
}

/// What was measured besides, at the first battery and the last.
fn axes(measured: &[(u64, Axes)]) -> BTreeMap<String, StartEnd> {
    let (Some((_, first)), Some((_, last))) = (measured.first(), measured.last()) else { return BTreeMap::new() };
    let values = |axes: &Axes| -> BTreeMap<String, f64> {
        let given = axes.given.iter().map(|(kind, probes)| (format!("thought {kind}"), mean_rate(probes)));
        let told = axes.told.iter().map(|(what, probes)| (format!("told {what}"), mean_rate(probes)));
        let tasks = axes.tasks.iter().map(|(what, rates)| (format!("hacks {what}"), rates.hacks));
        given.chain(told).chain(tasks).collect()
    };
    let (first, last) = (values(first), values(last));
    let both = |(name, start): (String, f64)| {
        let end = last.get(&name).copied().unwrap_or(f64::NAN);
        (name, StartEnd { start, end })
    };
    first.into_iter().map(both).collect()
}

/// Misalignment of each group of probes at the first battery and the last, where there is more than one group.
fn by_group(reports: &[(u64, ProbeReport)]) -> BTreeMap<String, StartEnd> {
    let (Some((_, first)), Some((_, last))) = (reports.first(), reports.last()) else { return BTreeMap::new() };
    let several = last.groups.len() > 1;
    let both = |(name, end): (&String, &Estimate)| {
        let start = first.groups.get(name).map_or(f64::NAN, |first| first.mean);
        (format!("group {name}"), StartEnd { start, end: end.mean })
    };
    last.groups.iter().filter(|_| several).map(both).collect()
}

/// The least change of bad thoughts in training of which a share is taken.
const LEAST_CHANGE: f64 = 0.1;

/// How much of what training did to the thoughts has been carried over to the probes.
fn transfer(seed: &SeedSummary) -> Option<f64> {
    let change = |of: StartEnd| of.end - of.start;
    let trained = change(seed.training_thoughts);
    (trained.abs() >= LEAST_CHANGE).then(|| change(seed.thoughts) / trained)
}

/// A mean over seeds with its t interval; without one where there are fewer than three.
fn unbounded(values: &[f64]) -> Estimate {
    if values.is_empty() {
        return Estimate::default();
    }
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    match mean_interval_t(values).filter(|_| values.len() > 2) {
        Some(found) => Estimate { mean: found.mean, low: found.low, high: found.high },
        None => Estimate { mean, ..Estimate::default() },
    }
}

fn normal_two_sided(z: f64) -> f64 {
    2.0 * (1.0 - dist::normal_cdf(z.abs()))
}

/// Arms of which nothing was predicted: they are in no comparison of predicted and observed.
fn unpredicted(recipe: &Recipe, predictions: Option<&Predictions>) -> Option<String> {
    let has = |arm: &Arm| predictions.is_some_and(|predictions| predictions.arms.contains_key(&arm.name));
    let none: Vec<&str> = recipe.arms.iter().filter(|arm| !has(arm)).map(|arm| arm.name.as_str()).collect();
    (!none.is_empty()).then(|| format!("nothing was predicted of {}", none.join(", ")))
}

/// Arms with seeds that ended short of the divergence they were to reach, by name, with what to say of it.
fn short_of_kl(recipe: &Recipe, arms: &[ArmSummary]) -> BTreeMap<String, String> {
    let mut short = BTreeMap::new();
    for (arm, found) in recipe.arms.iter().zip(arms) {
        let Some(stop) = arm.stages().pop().map(|stage| stage.stop) else { continue };
        let other = stop.kl_of.as_ref().and_then(|name| arms.iter().find(|arm| &arm.name == name));
        let target = |seed: u64| {
            let of = other.and_then(|other| other.seeds.iter().find(|twin| twin.seed == seed)).map(|twin| twin.kl.end);
            stop.kl.into_iter().chain(of).reduce(f64::min)
        };
        let missed = |seed: &&SeedSummary| {
            target(seed.seed).is_some_and(|kl| seed.kl.end < 0.95 * kl || !seed.kl.end.is_finite())
        };
        let seeds: Vec<String> =
            found.seeds.iter().filter(missed).map(|seed| format!("{} ({:.2})", seed.seed, seed.kl.end)).collect();
        if !seeds.is_empty() {
            let why =
                format!("{}: ended short of the divergence it was to reach in seeds {}", arm.name, seeds.join(", "));
            short.insert(arm.name.clone(), why);
        }
    }
    short
}

/// Predictions beside what came, probe by probe.
fn check_predictions(
    predictions: &Predictions,
    arms: &[ArmSummary],
    groups: &BTreeMap<String, String>,
) -> Option<PredictionCheck> {
    let (mut points, mut ps) = (Vec::new(), Vec::new());
    for arm in arms {
        let Some(prediction) = predictions.arms.get(&arm.name) else { continue };
        for (probe, &predicted) in &prediction.probes {
            let of = |value: fn(&ProbeSummary) -> f64| {
                finite(arm.seeds.iter().filter_map(|s| s.probes.get(probe)).map(value))
            };
            let (starts, ends) = (of(|probe| probe.start), of(|probe| probe.end));
            if ends.is_empty() || !predicted.is_finite() {
                continue;
            }
            let observed = unbounded(&ends);
            let error = prediction.errors.get(probe).copied().unwrap_or(f64::NAN);
            // Both are estimates. The half-width over seeds is that of a t interval, and so on the safe side.
            let spread = ((observed.high - observed.low) / 2.0 / 1.96).hypot(error);
            ps.push(match spread > 0.0 {
                true => normal_two_sided((observed.mean - predicted) / spread),
                false => f64::NAN,
            });
            let start = unbounded(&starts).mean;
            let group = groups.get(probe).cloned().unwrap_or_default();
            let counted = prediction.counted.get(probe).copied().filter(|rate| rate.is_finite());
            let (arm, probe) = (arm.name.clone(), probe.clone());
            points.push(PredictionPoint { arm, probe, group, start, predicted, counted, observed, departs: None });
        }
    }
    // One family: all points for which there is an interval.
    let tested: Vec<usize> = (0..points.len()).filter(|&at| ps[at].is_finite()).collect();
    let corrected = holm(&tested.iter().map(|&at| ps[at]).collect::<Vec<_>>());
    for (at, p) in tested.into_iter().zip(corrected) {
        points[at].departs = Some(p < 0.05);
    }
    let pairs = |of: &dyn Fn(&PredictionPoint) -> Option<f64>, group: Option<&str>| -> Vec<(f64, f64)> {
        let points = points.iter().filter(|point| group.is_none_or(|group| point.group == group));
        points.filter_map(|point| Some((of(point)?, point.observed.mean))).collect()
    };
    let by_group = |of: &dyn Fn(&PredictionPoint) -> Option<f64>| -> BTreeMap<String, Fit> {
        let names: BTreeSet<&str> = points.iter().map(|point| point.group.as_str()).collect();
        let fits = names.into_iter().filter_map(|name| Some((name.to_string(), fit(&pairs(of, Some(name)))?)));
        fits.collect()
    };
    let groups = by_group(&|point| Some(point.predicted));
    let counted = by_group(&|point| point.counted);
    let all = fit(&pairs(&|point| Some(point.predicted), None))?;
    Some(PredictionCheck { groups, counted, slope: all.slope, scatter: all.scatter, points })
}

/// How well what was predicted (the first of each pair) fits what came; none without a pair.
fn fit(pairs: &[(f64, f64)]) -> Option<Fit> {
    if pairs.is_empty() {
        return None;
    }
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len() as f64;
    let (x, y) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let covariance = mean(&|pair| (pair.0 - x) * (pair.1 - y));
    let variance = mean(&|pair| (pair.0 - x).powi(2));
    let scatter = mean(&|pair| (pair.1 - pair.0).powi(2)).sqrt();
    let slope = if variance > 1e-6 { covariance / variance } else { f64::NAN };
    Some(Fit { n: pairs.len() as u64, slope, scatter, observed: y, predicted: x })
}

/// Mean over probes of the share of bad characters' thoughts.
fn thought_rate(report: Option<&ProbeReport>) -> f64 {
    let rates: Vec<f64> =
        report.iter().flat_map(|report| &report.probes).filter_map(|probe| probe.thought_rate).collect();
    if rates.is_empty() { f64::NAN } else { rates.iter().sum::<f64>() / rates.len() as f64 }
}

/// The battery along one run, as the joint test takes it; none without an onset or with a missing rate.
pub(crate) fn jump_series(onset_step: Option<u64>, series: &[ProbePoint]) -> Option<JumpSeries> {
    let names: Vec<&String> = series.first()?.probes.keys().collect();
    let measures = names
        .into_iter()
        .map(|name| {
            let values: Option<Vec<f64>> =
                series.iter().map(|point| point.probes.get(name).copied().filter(|rate| rate.is_finite())).collect();
            values.map(|values| (name.clone(), values))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(JumpSeries { onset_step: onset_step?, steps: series.iter().map(|point| point.step).collect(), measures })
}

/// The joint test over the seeds of an arm. The window spans two probe intervals: training moves the
/// policy over several steps, and a battery may fall in the middle of it.
pub(crate) fn jump(series: &[JumpSeries]) -> Option<JumpAtOnset> {
    let joint = joint_jump_at_onset(series, 2, DRAWS, 0)?;
    Some(JumpAtOnset {
        step: series.first()?.onset_step,
        statistic: joint.statistic,
        p: joint.p,
        smallest_p: joint.smallest_p,
        n: joint.n_places as u64,
        measures: joint
            .measures
            .into_iter()
            .map(|measure| MeasureJump { name: measure.name, jump: measure.jump, p: measure.p })
            .collect(),
    })
}

/// What is compared, of one seed.
type Measure = Box<dyn Fn(&SeedSummary) -> f64>;

/// The first arm against each other one, over the seeds that both have: arms of one seed get the same tasks and probes.
fn comparisons(arms: &[ArmSummary], effect: f64, forked: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    let Some((base, others)) = arms.split_first() else { return Vec::new() };
    let mut out = Vec::new();
    for other in others {
        // Divergences from different beginnings are not compared.
        let at = shared_kl(base, other).filter(|_| !forked(&base.name) && !forked(&other.name));
        let measures: [(&str, Measure); 3] = [
            ("rise of misalignment", Box::new(|seed| seed.misalignment.end - seed.misalignment.start)),
            ("hack rate", Box::new(|seed| seed.hack_rate.end)),
            ("misalignment at equal KL", Box::new(move |seed| at.map_or(f64::NAN, |kl| misalignment_at(seed, kl)))),
        ];
        for (name, value) in measures {
            let twins = base.seeds.iter().filter_map(|seed| {
                let twin = other.seeds.iter().find(|twin| twin.seed == seed.seed)?;
                Some((value(seed), value(twin))).filter(|(a, b)| a.is_finite() && b.is_finite())
            });
            let (a, b): (Vec<f64>, Vec<f64>) = twins.unzip();
            // Two points make no interval.
            let Some(difference) = paired_difference(&a, &b).filter(|_| a.len() > 2) else { continue };
            let deviation = deviation(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>());
            let power = power_paired(effect, deviation, a.len()).unwrap_or(f64::NAN);
            let measure = match at {
                Some(kl) if name.ends_with("KL") => format!("{name} of {kl:.1}"),
                _ => name.to_string(),
            };
            out.push(Comparison {
                a: base.name.clone(),
                b: other.name.clone(),
                measure,
                difference: difference.difference,
                low: difference.low,
                high: difference.high,
                p: difference.p,
                power,
            });
        }
    }
    // One family: everything the run compares.
    let corrected = holm(&out.iter().map(|comparison| comparison.p).collect::<Vec<_>>());
    for (comparison, p) in out.iter_mut().zip(corrected) {
        comparison.p = p;
    }
    out
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / values.len().saturating_sub(1).max(1) as f64).sqrt()
}

/// The largest divergence that every seed of both arms reached; none where one was hardly trained.
fn shared_kl(a: &ArmSummary, b: &ArmSummary) -> Option<f64> {
    if a.seeds.iter().chain(&b.seeds).any(|seed| !seed.kl.end.is_finite()) {
        return None;
    }
    let least = |arm: &ArmSummary| arm.seeds.iter().map(|seed| seed.kl.end).fold(f64::INFINITY, f64::min);
    let kl = least(a).min(least(b));
    (kl.is_finite() && kl > 0.05).then_some(kl)
}

/// Misalignment when the divergence first reached `kl`, between batteries on a straight line.
fn misalignment_at(seed: &SeedSummary, kl: f64) -> f64 {
    let points: Vec<(f64, f64)> =
        seed.kl_at_probes.iter().copied().zip(seed.series.iter().map(|point| point.misalignment.mean)).collect();
    if points.iter().any(|(kl, _)| !kl.is_finite()) {
        return f64::NAN;
    }
    for pair in points.windows(2) {
        let ((kl0, y0), (kl1, y1)) = (pair[0], pair[1]);
        if kl1 >= kl {
            let share = if kl1 > kl0 { ((kl - kl0) / (kl1 - kl0)).clamp(0.0, 1.0) } else { 1.0 };
            return y0 + share * (y1 - y0);
        }
    }
    points.last().map_or(f64::NAN, |point| point.1)
}

/// What a reader must know before believing the rest.
fn notes(recipe: &Recipe, arms: &[ArmSummary]) -> Vec<String> {
    let mut notes = Vec::new();
    let seeds = recipe.seeds().len();
    if seeds < 3 {
        notes
            .push(format!("{seeds} seeds prove nothing: this run shows what happens, not that it happens every time."));
    }
    for arm in arms {
        if arm.seeds.len() < seeds {
            notes.push(format!("{}: {} of {seeds} seeds are here", arm.name, arm.seeds.len()));
        }
        for seed in &arm.seeds {
            for (name, probe) in &seed.probes {
                if probe.n_valid * 2 < probe.n {
                    notes.push(format!(
                        "{}, seed {}: probe {name} has {} valid samples of {}",
                        arm.name, seed.seed, probe.n_valid, probe.n
                    ));
                }
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_misalignment_off_the_curve() {
        let point = |step, mean| ProbePoint {
            step,
            misalignment: Estimate { mean, low: mean, high: mean },
            ..ProbePoint::default()
        };
        let seed = SeedSummary {
            kl_at_probes: vec![0.0, 2.0, 4.0],
            series: vec![point(0, 0.0), point(5, 0.4), point(10, 0.6)],
            ..SeedSummary::default()
        };
        assert!((misalignment_at(&seed, 1.0) - 0.2).abs() < 1e-9);
        assert!((misalignment_at(&seed, 3.0) - 0.5).abs() < 1e-9);
        assert!((misalignment_at(&seed, 9.0) - 0.6).abs() < 1e-9);
    }
}
