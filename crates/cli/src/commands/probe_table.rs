//! What a battery has found, as a table: while it runs, and at the end.

use std::collections::BTreeMap;

use loophole_log::{Measured, ProbeReport, ProbeResult};
use loophole_probe::{Answer, Battery, Comparison, KnownAnswer, Pooled, SampleRecord};

use crate::output::line;

/// Lines of the live table at most.
const LINES: usize = 16;

/// Shares that were asked for, and what they are called.
const COLUMNS: &[(&str, &str)] = &[
    (loophole_probe::JUDGED, "judged misaligned by the other model"),
    (loophole_probe::SAYS_TEST, "says afterwards that it was a test"),
    (loophole_probe::AS_INTENDED, "did what it had said, just before, that it meant to"),
];

/// Where all agree, an interval that is made of their spread is none.
const ALIKE: &str = "(all alike)";

#[derive(Default)]
struct Row {
    n: u64,
    valid: u64,
    bad: u64,
    outcomes: BTreeMap<&'static str, u64>,
    /// When it was last added to.
    at: u64,
}

/// Counts the tempting arms as they come in.
pub struct Live {
    order: Vec<String>,
    rows: BTreeMap<String, Row>,
    added: u64,
}

impl Live {
    /// A table of these probes with what is there already.
    pub fn new(battery: &Battery, earlier: &[SampleRecord]) -> Self {
        let order = battery.names().into_iter().map(str::to_string).collect();
        let mut live = Live { order, rows: BTreeMap::new(), added: 0 };
        earlier.iter().for_each(|sample| live.add(sample));
        live
    }

    /// One more sample.
    pub fn add(&mut self, sample: &SampleRecord) {
        if sample.arm != "tempting" {
            return;
        }
        self.added += 1;
        let row = self.rows.entry(sample.probe.clone()).or_default();
        row.n += 1;
        row.valid += u64::from(sample.valid);
        row.bad += u64::from(sample.misaligned == Some(true));
        *row.outcomes.entry(sample.outcome.name()).or_default() += 1;
        row.at = self.added;
    }

    /// The probes that were added to last, below the bar.
    pub fn short(&self) -> String {
        let mut latest: Vec<u64> = self.rows.values().map(|row| row.at).collect();
        latest.sort_unstable_by(|a, b| b.cmp(a));
        let since = latest.get(LINES - 1).copied().unwrap_or(0);
        let shown = self.order.iter().filter_map(|name| Some((name, self.rows.get(name)?)));
        let lines = shown.filter(|(_, row)| row.at >= since).map(|(name, row)| {
            let interval = loophole_probe::interval(row.bad, row.valid);
            let rate = if row.valid > 0 { row.bad as f64 / row.valid as f64 } else { f64::NAN };
            row_line(name, rate, interval, None, (row.valid, row.n), &row.outcomes)
        });
        std::iter::once(String::new()).chain(lines).collect::<Vec<_>>().join("\n")
    }
}

fn row_line<K: std::fmt::Display>(
    name: &str,
    rate: f64,
    (low, high): (f64, f64),
    bounds: Option<[f64; 2]>,
    (valid, n): (u64, u64),
    outcomes: &BTreeMap<K, u64>,
) -> String {
    let mut outcomes: Vec<_> = outcomes.iter().collect();
    outcomes.sort_by(|a, b| b.1.cmp(a.1));
    let outcomes: Vec<String> = outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let rate = if rate.is_nan() { "-".to_string() } else { format!("{rate:.2}") };
    let bounds = bounds.map_or(String::new(), |[low, high]| format!("{low:.2} to {high:.2}"));
    format!("{name:<20} {rate:>6}  {low:.2} to {high:.2}  {bounds:<12}  {valid:>4}/{n:<4} {}", outcomes.join(", "))
}

fn named(probe: &ProbeResult) -> String {
    let valid = (probe.n_valid, probe.n);
    row_line(&probe.name, probe.rate, (probe.low, probe.high), probe.bounds, valid, &probe.outcomes)
}

/// What a reader has to know of a scenario's rate: why there is none, and what was found beside it.
fn print_gate(probe: &ProbeResult) {
    let Some(gate) = probe.gate.as_ref().filter(|_| probe.n > 0) else { return };
    if !gate.why.is_empty() {
        line(&format!("  no rate: {}", gate.why.join("; ")));
    }
    gate.notes.iter().for_each(|note| line(&format!("  {note}")));
}

/// The whole table.
pub fn print(report: &ProbeReport) {
    line(&format!("{:<20} {:>6}  {:<12}  {:<12}  {:>9} outcomes", "probe", "rate", "95 %", "bounds", "valid"));
    let mut group = None;
    for probe in &report.probes {
        if probe.group != group {
            group.clone_from(&probe.group);
            if let Some(name) = &group {
                let mean = report.groups.get(name).filter(|mean| mean.mean.is_finite());
                let mean =
                    mean.map_or(String::new(), |m| format!(": mean {:.3} [{:.3}, {:.3}]", m.mean, m.low, m.high));
                line(&format!("-- {name}{mean}"));
            }
        }
        line(&named(probe));
        print_gate(probe);
        for (arm, found) in probe.arms.iter().filter(|(arm, _)| *arm != "tempting") {
            line(&row_line(
                &format!("  {arm}"),
                found.rate,
                (found.low, found.high),
                found.bounds,
                (found.n_valid, found.n),
                &found.outcomes,
            ));
        }
        for (name, found) in &probe.differences {
            let interval = if found.low < found.high {
                format!("[{:+.2}, {:+.2}]", found.low, found.high)
            } else {
                ALIKE.to_string()
            };
            line(&format!("  {name}: {:+.2} {interval}", found.mean));
        }
        for (name, column) in COLUMNS {
            if let Some(share) = probe.shares.get(*name) {
                line(&format!("  {column}: {:.2} [{:.2}, {:.2}]", share.mean, share.low, share.high));
            }
        }
    }
    let (valid, n) = report.probes.iter().fold((0, 0), |(valid, n), probe| (valid + probe.n_valid, n + probe.n));
    let all = report.misalignment;
    let mean = if all.mean.is_finite() {
        format!("misalignment {:.3} [{:.3}, {:.3}]", all.mean, all.low, all.high)
    } else {
        "misalignment unknown".to_string()
    };
    let bounds = report.bounds.map_or(String::new(), |[low, high]| format!(", bounds {low:.3} to {high:.3}"));
    line(&format!("{mean}{bounds}, {valid} of {n} tempting samples valid ({:.1} s)", report.seconds));
    if let Some(measured) = &report.measured {
        print_measured(measured);
    }
}

/// Whether the rates may be read as this model's.
fn print_measured(measured: &Measured) {
    let Measured { scenarios, of, needed, ungated, .. } = measured;
    if *ungated > 0 {
        line(&format!(
            "the controls were not played in {ungated} of {scenarios} scenarios with a rate: whether the model is able to do \
             what is asked there is not known (leave --arm out, or add instructed and honest_path)"
        ));
    }
    if !measured.measured {
        line(&format!(
            "this model cannot be measured with this battery: {scenarios} of {of} scenarios have a rate, a mean needs {needed}"
        ));
    } else if *scenarios < *needed && *of > 0 {
        line(&format!("no mean: {scenarios} of {of} scenarios have a rate, a mean needs {needed}"));
    }
}

/// Published differences beside those found.
pub fn print_known(known: &[KnownAnswer]) {
    line("known answers: shares of samples in which the rule was broken, one arm less the other");
    for found in known {
        let here = match (found.difference, found.interval) {
            (Some(difference), Some([low, high])) => format!("{difference:+.2} [{low:+.2}, {high:+.2}]"),
            _ => "-".to_string(),
        };
        let answer = match found.answer {
            Answer::AsPublished => "as published",
            Answer::Contrary => "CONTRARY to what is published",
            Answer::Undecided => "undecided: more samples are needed",
            Answer::NotKnown => {
                "not known: the rule was broken in neither arm, or too few scenarios were played in both"
            }
        };
        line(&format!(
            "  {} ({} less {}): published {:+.2}, here {here} over {} pairs in {} scenarios: {answer} ({})",
            found.name, found.more, found.less, found.published, found.pairs, found.scenarios, found.source
        ));
    }
}

/// A p value that may be none.
fn p_value(p: f64) -> String {
    if p.is_finite() { format!("{p:.4}") } else { "-".into() }
}

fn span(ends: Option<[f64; 2]>) -> String {
    ends.map_or("-".to_string(), |[low, high]| format!("{low:+.2} to {high:+.2}"))
}

/// Two models on the same samples.
pub fn print_comparison(found: &Comparison) {
    line(&format!(
        "{:<22} {:>6} {:>6} {:>7}  {:<14} {:<14} {:<14} {:>7} {:>7} {:>7}  {:>11} {:>11}  could find",
        "probe",
        "before",
        "after",
        "diff",
        "95 % pairs",
        "95 % wordings",
        "bounds",
        "p pairs",
        "p word.",
        "Holm",
        "pairs",
        "valid"
    ));
    for probe in &found.probes {
        let least = probe.detectable.map_or("nothing".to_string(), |least| format!("{least:.2}"));
        let total = probe.pairs + probe.invalid;
        let valid = format!("{}, {}", probe.valid[0], probe.valid[1]);
        let (pairs, few) =
            (format!("{} of {total}", probe.pairs), if probe.pooled { "" } else { "; too few for the mean" });
        if probe.pairs == 0 {
            line(&format!(
                "{:<22} no pair is valid; bounds {}; valid {valid} of {total}",
                probe.probe,
                span(Some(probe.bounds))
            ));
            continue;
        }
        line(&format!(
            "{:<22} {:>6.2} {:>6.2} {:>+7.2}  {:<14} {:<14} {:<14} {:>7} {:>7} {:>7}  {pairs:>11} {valid:>11}  {least}{few}",
            probe.probe,
            probe.first,
            probe.second,
            probe.difference,
            span(Some([probe.low, probe.high])),
            span(probe.templates),
            span(Some(probe.bounds)),
            p_value(probe.p),
            p_value(probe.p_templates),
            p_value(probe.p_holm),
        ));
    }
    for group in &found.groups {
        line(&format!("group {}: {}, Holm {}", group.name, pooled(group), p_value(group.p_holm)));
    }
    if let Some(all) = &found.pooled {
        line(&format!("all pairs together: {}", pooled(all)));
    }
    match found.mean {
        Some([mean, low, high]) => {
            let interval =
                if low < high { format!("[{low:+.3}, {high:+.3}] (drawing whole probes)") } else { ALIKE.into() };
            line(&format!("mean over probes {mean:+.3} {interval}, bounds {}", span(Some(found.bounds))));
        }
        None => line(&format!("no mean over so few probes; bounds {}", span(Some(found.bounds)))),
    }
    if found.unpaired > 0 {
        line(&format!("{} samples have no partner and were left out", found.unpaired));
    }
    if !found.differences.is_empty() {
        line("differences within samples, and how they differ:");
    }
    for of in &found.differences {
        let interval = if of.low < of.high { format!("{:+.2} to {:+.2}", of.low, of.high) } else { ALIKE.to_string() };
        line(&format!(
            "  {}, {}: {}: {:+.2} before, {:+.2} after, {:+.2} {interval} p {:.4}, Holm {}, {} pairs",
            of.probe,
            of.arm,
            of.name,
            of.first,
            of.second,
            of.difference,
            of.p,
            p_value(of.p_holm),
            of.pairs
        ));
    }
}

fn pooled(group: &Pooled) -> String {
    let interval = group.templates.map_or(ALIKE.to_string(), |[low, high]| format!("[{low:+.3}, {high:+.3}]"));
    format!(
        "{:+.3} {interval} over {} pairs of {} probes, p {}",
        group.difference,
        group.pairs,
        group.probes,
        p_value(group.p)
    )
}
