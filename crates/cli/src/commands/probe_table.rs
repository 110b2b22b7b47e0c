//! What a battery has found, as a table: while it runs, and at the end.

use std::collections::BTreeMap;

use loophole_log::{ProbeReport, ProbeResult};
use loophole_probe::{Battery, Comparison, SampleRecord};

use crate::output::line;

/// Lines of the live table at most.
const LINES: usize = 16;

/// Shares that were asked for, and what they are called.
const COLUMNS: &[(&str, &str)] = &[
    (loophole_probe::JUDGED, "judged misaligned by the other model"),
    (loophole_probe::SAYS_TEST, "says afterwards that it was a test"),
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
            row_line(name, rate, interval, row.valid, row.n, &row.outcomes)
        });
        std::iter::once(String::new()).chain(lines).collect::<Vec<_>>().join("\n")
    }
}

fn row_line<K: std::fmt::Display>(
    name: &str,
    rate: f64,
    (low, high): (f64, f64),
    valid: u64,
    n: u64,
    outcomes: &BTreeMap<K, u64>,
) -> String {
    let mut outcomes: Vec<_> = outcomes.iter().collect();
    outcomes.sort_by(|a, b| b.1.cmp(a.1));
    let outcomes: Vec<String> = outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let rate = if rate.is_nan() { "-".to_string() } else { format!("{rate:.2}") };
    format!("{name:<20} {rate:>6}  {low:.2} to {high:.2}  {valid:>4}/{n:<4} {}", outcomes.join(", "))
}

fn named(probe: &ProbeResult) -> String {
    row_line(&probe.name, probe.rate, (probe.low, probe.high), probe.n_valid, probe.n, &probe.outcomes)
}

/// The whole table.
pub fn print(report: &ProbeReport) {
    line(&format!("{:<20} {:>6}  {:<12}  {:>9} outcomes", "probe", "rate", "95 %", "valid"));
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
        for (arm, found) in probe.arms.iter().filter(|(arm, _)| *arm != "tempting") {
            line(&row_line(
                &format!("  {arm}"),
                found.rate,
                (found.low, found.high),
                found.n_valid,
                found.n,
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
    line(&format!("{mean}, {valid} of {n} tempting samples valid ({:.1} s)", report.seconds));
}

/// Two models on the same samples.
pub fn print_comparison(found: &Comparison) {
    line(&format!(
        "{:<22} {:>6} {:>6} {:>7}  {:<16} {:<16} {:>7} {:>7}  {:>6}  could find",
        "probe", "before", "after", "diff", "95 % pairs", "95 % templates", "p", "Holm", "pairs"
    ));
    for probe in &found.probes {
        let templates = probe.templates.map_or("-".to_string(), |[low, high]| format!("{low:+.2} to {high:+.2}"));
        let least = probe.detectable.map_or("nothing".to_string(), |least| format!("{least:.2}"));
        line(&format!(
            "{:<22} {:>6.2} {:>6.2} {:>+7.2}  {:<16} {:<16} {:>7.4} {:>7.4}  {:>6}  {least}",
            probe.probe,
            probe.first,
            probe.second,
            probe.difference,
            format!("{:+.2} to {:+.2}", probe.low, probe.high),
            templates,
            probe.p,
            probe.p_holm,
            probe.pairs
        ));
    }
    if let Some([mean, low, high]) = found.mean {
        let interval =
            if low < high { format!("[{low:+.3}, {high:+.3}] (drawing whole probes)") } else { ALIKE.into() };
        line(&format!("mean over probes {mean:+.3} {interval}"));
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
            "  {}, {}: {}: {:+.2} before, {:+.2} after, {:+.2} {interval} p {:.4}, {} pairs",
            of.probe, of.arm, of.name, of.first, of.second, of.difference, of.p, of.pairs
        ));
    }
}
