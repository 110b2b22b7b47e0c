//! The report as one self-contained page: no script, nothing fetched.

use crate::plan::CONTROLS;
use crate::report::{Finding, Report, number};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// The page of one audit or several.
pub fn html(reports: &[Report]) -> String {
    let holes: usize = reports.iter().map(|r| r.findings.len()).sum();
    let title = reports.first().map_or("nothing", |r| r.target.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Audit of " (title) " · Loophole" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { b { "Loophole" } " audit" }
                main {
                    h1 {
                        @match holes {
                            0 => { span.good { "No hole found" } " in " (title) }
                            1 => { span.high { "1 proven hole" } " in " (title) }
                            n => { span.high { (n) " proven holes" } " in " (title) }
                        }
                    }
                    @for report in reports { (one(report)) }
                }
                footer { "Every finding was executed: a submission without a solution, and the grader paid it. This page fetches nothing." }
            }
        }
    };
    loophole_foreign::pictured(&page.into_string())
}

fn one(report: &Report) -> Markup {
    html! {
        p.lead {
            @if let Some(task) = &report.task { "Task " b { (task) } ". " }
            "Grader: " (report.grader) ". "
            @if !report.read.is_empty() { "Read as " (report.read) ". " }
            (report.exploits_tried) " exploits tried"
            @if report.combinations_tried > 0 { " and " (report.combinations_tried) " combinations" }
            ". Gameability gap " b { (number(report.gameability_gap)) } ": the best reward of a submission the oracle scores 0, less the best of the empty, constant and echo controls."
        }
        div.scroll { table {
            thead { tr { @for name in CONTROLS { @if report.controls.contains_key(name) { th.num { (name) } } } } }
            tbody { tr { @for name in CONTROLS { @if let Some(reward) = report.controls.get(name) { td.num { (reward.map_or("none".into(), number)) } } } } }
        } }
        @if let Some(why) = &report.not_audited { p.lead { b { "Not audited" } ", because " (why) "; what was found until then:" } }
        @if !report.unfair.is_empty() {
            h2 { "Unfair" }
            p { "The right answer in other forms, paid less:" }
            ul { @for u in &report.unfair { li { (u.form) ": " (u.reward.map_or("no reward".into(), number)) } } }
        }
        @if !report.findings.is_empty() {
            h2 { "Proven" }
            div.scroll { table {
                thead { tr { th { "id" } th { "family" } th { "severity" } th.num { "reward" } th { "what pays" } } }
                tbody { @for f in &report.findings {
                    tr { td { a href={ "#" (anchor(report, f)) } { (f.id) } } td { (f.family) } td class=(f.severity.name()) { (f.severity.name()) } td.num { (number(f.reward)) } td { (f.name) } }
                } }
            } }
            @for f in &report.findings { (finding(report, f)) }
        }
        @if !report.hints.is_empty() {
            h2 { "Seen, not proven" }
            p.lead { "Signs of weakness in the target's files. They are no findings." }
            ul { @for hint in &report.hints { li { (hint.message) " (" code { (hint.id) } ")" } } }
        }
        @if !report.invalid.is_empty() {
            h2 { "Unknown" }
            p.lead { "The machine failed while these were run: " (report.invalid.join(", ")) }
        }
    }
}

fn anchor(report: &Report, f: &Finding) -> String {
    format!("{}-{}", report.task.as_deref().unwrap_or("t"), f.id).replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn finding(report: &Report, f: &Finding) -> Markup {
    html! {
        article id=(anchor(report, f)) {
            h3 { span class=(f.severity.name()) { (f.id) } " " (f.name) }
            @for sentence in &f.evidence { p { (sentence) } }
            @for (path, text) in &f.proof.files {
                p { code { (path) } @if text.is_empty() { " (empty)" } }
                @if !text.is_empty() { pre { (shorten(text)) } }
            }
            dl {
                dt { "Proves" } dd { (f.proves) }
                dt { "Needs" } dd { (f.needs) }
                dt { "How to close it" } dd { (f.fix) }
                dt { "Run again" } dd { "paid " (f.repeated.paid) " of " (f.repeated.of) " times" }
                dt { "Known as" } dd { "BenchJack " (f.benchjack.join(", ")) "; OpenEnv " (f.openenv.join(", ")) @if !f.also.is_empty() { "; also " (f.also.join(", ")) } }
            }
            @if !f.transcript.trim().is_empty() { details { summary { "What the grader said" } pre { (shorten(&f.transcript)) } } }
        }
    }
}

fn shorten(text: &str) -> String {
    const LIMIT: usize = 6000;
    let count = text.chars().count();
    if count <= LIMIT {
        return text.to_string();
    }
    let head: String = text.chars().take(LIMIT).collect();
    format!("{head}\n[… {} characters more]", count - LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_proof_and_no_markup_of_the_targets() {
        let mut report = crate::report::tests::sample();
        report.findings[0].transcript = "<script>alert(1)</script>\u{1b}[31m".into();
        let page = html(&[report]);
        assert!(page.contains("1 proven hole") && page.contains("EQ-01") && page.contains("return Same()"));
        assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains("http://"));
    }
}
