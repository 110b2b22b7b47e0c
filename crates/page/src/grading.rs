//! The page of a grading: what the submissions were, by step where there are steps, and which rewards were not earned.

use loophole_log::{GradedStep, GradedSummary, Recorded, Share};
use maud::{DOCTYPE, Markup, html};

use crate::chart::{Frame, domain};
use crate::html::{head, interval, percent, two};

const STYLE: &str = include_str!("assets/style.css");
/// Rows of the table of steps; of more, evenly spaced ones are shown.
const ROWS: usize = 200;

/// The page, complete and self-contained; `title` says what was graded.
pub fn grading(summary: &GradedSummary, title: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{title} · Loophole"), &[STYLE]))
            body {
                header.top { p.brand { b { "Loophole" } " graded submissions" } p.meta { span { (title) } } }
                main {
                    section { (answer(summary)) }
                    @if !summary.steps.is_empty() { section { (steps(summary)) } }
                    @if !summary.groups.is_empty() { section { (groups(summary)) } }
                    @if let Some(recorded) = &summary.recorded { section { (earned(recorded)) } }
                }
                footer { p { "Made by Loophole from the records of the grading. This page fetches nothing." } }
            }
        }
    };
    loophole_foreign::pictured(&page.into_string())
}

fn answer(summary: &GradedSummary) -> Markup {
    let count = |verdict: &str| summary.verdicts.get(verdict).copied().unwrap_or(0);
    html! {
        h2 { (count("hack")) " of " (summary.submissions) " submissions are hacks" }
        p {
            @for (at, (verdict, count)) in summary.verdicts.iter().enumerate() { @if at > 0 { ", " } (count) " " (verdict) }
            @if summary.broken_lines > 0 { "; " (summary.broken_lines) " rows could not be graded" }
            ". Every verdict comes from running the submission, none from reading it."
        }
        @if !summary.steps.is_empty() {
            p {
                @match summary.onset_step {
                    Some(step) => { "Hacking is there to stay from step " (step) ": more than 2 % of the rollouts in two steps in a row." }
                    None => "Hacking has no onset: at no step more than 2 % of the rollouts, twice in a row.",
                }
            }
        }
    }
}

fn steps(summary: &GradedSummary) -> Markup {
    let steps = &summary.steps;
    let families: Vec<&String> =
        summary.families.keys().filter(|name| steps.iter().any(|step| step.families.contains_key(*name))).collect();
    let every = steps.len().div_ceil(ROWS).max(1);
    html! {
        h2 { "Hacks per step" }
        p.soft { "Share of a step's rollouts, without invalid ones; the band is its 95 % interval (Jeffreys)." }
        (curve(steps))
        div.scroll { table {
            thead { tr {
                th { "step" } th { "rollouts" } th { "hacks" } th { "honest" } th { "reward here" } th { "recorded" } th { "not earned" }
                @for family in &families { th { (family) } }
            } }
            tbody { @for step in steps.iter().step_by(every) { tr {
                td { (step.step) } td { (step.rollouts) } td { (share(&step.hacks)) } td { (step.honest) } td { (two(step.reward)) }
                td { @if let Some(recorded) = step.recorded_reward { (two(recorded)) } }
                td { (step.unearned) }
                @for family in &families { td { @if let Some(of) = step.families.get(*family) { (share(of)) } } }
            } } }
        } }
    }
}

fn share(of: &Share) -> Markup {
    html! { (percent(of.rate)) " " span.interval { (interval(of.low, of.high, percent)) } }
}

fn curve(steps: &[GradedStep]) -> Markup {
    let frame =
        Frame { width: 720.0, height: 260.0, ..Frame::panel(domain(steps.iter().map(|step| step.step as f64))) };
    let band: Vec<(f64, f64, f64)> =
        steps.iter().map(|step| (step.step as f64, step.hacks.low, step.hacks.high)).collect();
    let line = frame.line(steps.iter().map(|step| (step.step as f64, step.hacks.rate)));
    html! {
        svg viewBox=(frame.view_box()) role="img" aria-label="Share of hacks over the steps" {
            (frame.axes("step", &[0.0, 0.25, 0.5, 0.75, 1.0]))
            path d=(frame.area(&band)) fill="var(--hack)" fill-opacity="0.18" stroke="none" {}
            path d=(line) fill="none" stroke="var(--hack)" stroke-width="2" {}
        }
    }
}

fn groups(summary: &GradedSummary) -> Markup {
    html! {
        h2 { "What was found" }
        div.scroll { table {
            thead { tr { th { "verdict" } th { "family" } th { "submissions" } th { "tasks" } th { "first" } th { "evidence" } } }
            tbody { @for group in &summary.groups { tr {
                td { (group.verdict) } td { (group.family.as_deref().unwrap_or("")) } td { (group.count) } td { (group.tasks.len()) }
                td { "index " (group.first) } td { (group.evidence.join("; ")) }
            } } }
        } }
    }
}

fn earned(recorded: &Recorded) -> Markup {
    html! {
        h2 { (recorded.unearned) " of " (recorded.rows) " recorded rewards were not earned" }
        @if recorded.unpaid > 0 { p { (recorded.unpaid) " submissions solve their task and were paid nothing." } }
        @if !recorded.examples.is_empty() {
            div.scroll { table {
                thead { tr { th { "index" } th { "step" } th { "task" } th { "recorded" } th { "here" } th { "verdict" } th { "family" } } }
                tbody { @for row in &recorded.examples { tr {
                    td { (row.index) } td { @if let Some(step) = row.step { (step) } } td { (row.task_id) } td { (two(row.recorded)) }
                    td { (two(row.reward)) } td { (row.verdict) } td { (row.family.as_deref().unwrap_or("")) }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loophole_log::GradedGroup;

    #[test]
    fn the_page_says_what_was_found_and_runs_nothing() {
        let hacks = Share { count: 5, rate: 0.5, low: 0.2, high: 0.8 };
        let summary = GradedSummary {
            submissions: 10,
            verdicts: [("hack".to_string(), 5), ("honest".to_string(), 5)].into(),
            families: [("early-exit".to_string(), 5)].into(),
            groups: vec![GradedGroup {
                verdict: "hack".into(),
                count: 5,
                evidence: vec!["<script>x</script>".into()],
                ..GradedGroup::default()
            }],
            steps: (1..=2)
                .map(|step| GradedStep {
                    step,
                    rollouts: 5,
                    hacks,
                    families: [("early-exit".to_string(), hacks)].into(),
                    ..GradedStep::default()
                })
                .collect(),
            onset_step: Some(1),
            recorded: Some(Recorded { rows: 10, unearned: 5, ..Recorded::default() }),
            ..GradedSummary::default()
        };
        let page = grading(&summary, "rollouts/");
        for part in [
            "5 of 10 submissions are hacks",
            "from step 1",
            "early-exit",
            "[20, 80",
            "5 of 10 recorded rewards",
            "<svg",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<script"));
    }
}
