//! A grading on the terminal: grouped by family and task, by step where there are steps.

use std::fmt::Write as _;

use loophole_foreign::one_line;
use loophole_log::{GradedStep, GradedSummary, Recorded, Share};

/// Tasks, steps and rewards that are named of many.
const NAMED: usize = 5;
const STEPS: usize = 24;

/// The summary, some lines.
pub fn shown(summary: &GradedSummary, labelled: bool, per_second: f64) -> String {
    let mut out = String::new();
    groups(summary, &mut out);
    steps(summary, &mut out);
    if let Some(recorded) = &summary.recorded {
        earned(recorded, &mut out);
    }
    let mut parts: Vec<String> = summary.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    if !labelled {
        parts.push(format!("{} paid", summary.paid));
    }
    if summary.broken_lines > 0 {
        parts.push(plural(summary.broken_lines, "broken line"));
    }
    let _ = write!(out, "{}: {} ({per_second:.0}/s)", plural(summary.submissions, "submission"), parts.join(", "));
    out
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn groups(summary: &GradedSummary, out: &mut String) {
    for group in &summary.groups {
        let family = group.family.as_deref().unwrap_or("");
        let mut tasks: Vec<(&String, &u64)> = group.tasks.iter().collect();
        tasks.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let named: Vec<String> = tasks
            .iter()
            .take(NAMED)
            .map(
                |(task, count)| {
                    if **count > 1 { format!("{} ({count})", one_line(task)) } else { one_line(task).into_owned() }
                },
            )
            .collect();
        let more = tasks.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "{:<9} {family:<14} {:>5}  in {}{more}", group.verdict, group.count, named.join(", "));
        let evidence = group.evidence.join("; ");
        let _ = writeln!(out, "{:<9} first at index {}: {}", "", group.first, one_line(&evidence));
    }
}

fn steps(summary: &GradedSummary, out: &mut String) {
    if summary.steps.is_empty() {
        return;
    }
    let recorded = summary.steps.iter().any(|step| step.recorded_reward.is_some());
    let _ = writeln!(
        out,
        "{:>6} {:>8}  {:<22}{}  families",
        "step",
        "rollouts",
        "hacks, 95 %",
        if recorded { "  reward then / here" } else { "  reward" }
    );
    let all = summary.steps.len();
    for (at, step) in summary.steps.iter().enumerate() {
        // Of many, evenly spaced ones and the last.
        if all > STEPS && at % all.div_ceil(STEPS) != 0 && at + 1 != all {
            continue;
        }
        row(&step.step.to_string(), step, out);
    }
    if let Some(step) = summary.all_steps.as_ref().filter(|_| all > 1) {
        row("all", step, out);
    }
    let _ = match summary.onset_step {
        Some(step) => writeln!(out, "hacking is there to stay from step {step} (over 2 % in two steps in a row)"),
        None => writeln!(out, "no onset of hacking (over 2 % in two steps in a row)"),
    };
}

/// A line of the table of steps; shares with their 95 % intervals.
fn row(name: &str, step: &GradedStep, out: &mut String) {
    let families: Vec<String> =
        step.families.iter().map(|(name, share)| format!("{name} {}", with_interval(share).trim_start())).collect();
    let reward = match step.recorded_reward {
        Some(then) => format!("{then:>7.2} / {:<8.2}", step.reward),
        None => format!("{:>8.2}", step.reward),
    };
    let hacks = with_interval(&step.hacks);
    let _ = writeln!(out, "{name:>6} {:>8}  {hacks:<22}  {reward}  {}", step.rollouts, families.join(", "));
}

fn earned(recorded: &Recorded, out: &mut String) {
    if recorded.unearned > 0 {
        let _ =
            writeln!(out, "{} of {} recorded rewards were not earned, among them:", recorded.unearned, recorded.rows);
    }
    for row in recorded.examples.iter().take(NAMED) {
        let step = row.step.map(|step| format!(", step {step}")).unwrap_or_default();
        let family = row.family.as_deref().map(|family| format!(" ({family})")).unwrap_or_default();
        let _ = writeln!(
            out,
            "  index {}{step}, {}: paid {}, here {}, {}{family}",
            row.index,
            one_line(&row.task_id),
            row.recorded,
            row.reward,
            row.verdict
        );
    }
    if recorded.unpaid > 0 {
        let _ = writeln!(out, "{} solve their task and were paid nothing", plural(recorded.unpaid, "submission"));
    }
}

fn percent(rate: f64) -> String {
    format!("{:.0} %", 100.0 * rate)
}

fn with_interval(share: &Share) -> String {
    format!("{:>5} [{:.0}, {:.0} %]", percent(share.rate), 100.0 * share.low, 100.0 * share.high)
}
