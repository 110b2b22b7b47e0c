//! The question and the answer, before anything else.

use maud::{Markup, html};

use super::Part;
use crate::chart::marker;
use crate::data::{Answer, Arm, Interval};
use crate::html::{capital, interval, percent, px, two};
use crate::page::{Context, arm_class};
use crate::series::{over_probes, over_steps};

/// Question, answer in words, warnings, claims, and the end of every arm.
pub fn part(context: &Context) -> Option<Part> {
    let data = context.data;
    let question = if data.question.is_empty() { &data.title } else { &data.question };
    let body = html! {
        p.kicker { "The question" }
        h1 id="h-answer" { (question) }
        @if data.unfinished {
            p.warning.strong role="note" { b { "This run is not finished. " } "Everything below is what has been measured so far." }
        }
        @if !data.arms.is_empty() {
            div.answer {
                @for (index, arm) in data.arms.iter().enumerate() { p { (sentence(arm, index)) } }
            }
        }
        @if !data.warnings.is_empty() {
            aside.warnings aria-label="Warnings" {
                h2 { "Before you believe this" }
                ul { @for warning in &data.warnings { li { (warning) } } }
            }
        }
        @if !data.claims.is_empty() { (claims(context)) }
        @if !data.arms.is_empty() { (ends(context)) }
    };
    Some(Part { id: "answer", nav: "Answer", body })
}

/// "Without instruction, the model ended at 97 % hacks and misalignment 0.62 [0.51, 0.71]."
fn sentence(arm: &Arm, index: usize) -> Markup {
    let opening = if arm.words.is_empty() { format!("In arm {}", arm.name) } else { capital(&arm.words) };
    let subject = if index == 0 { "the model" } else { "it" };
    html! {
        (opening) ", " (subject) " "
        @match (&arm.hack_rate, &arm.misalignment) {
            (Some(hacks), Some(bad)) => {
                "ended at " b.hack { (percent(hacks.mean)) " hacks" } " " span.interval { (bounds(hacks, percent)) }
                " and " b.bad { "misalignment " (two(bad.mean)) } " " span.interval { (bounds(bad, two)) } "."
            }
            (Some(hacks), None) => {
                "ended at " b.hack { (percent(hacks.mean)) " hacks" } " " span.interval { (bounds(hacks, percent)) }
                "; misalignment was not measured."
            }
            (None, Some(bad)) => {
                "ended at " b.bad { "misalignment " (two(bad.mean)) } " " span.interval { (bounds(bad, two)) }
                "; the hack rate was not measured."
            }
            (None, None) => { "has no result yet." }
        }
    }
}

fn bounds(value: &Interval, number: impl Fn(f64) -> String) -> String {
    interval(value.low, value.high, number)
}

fn claims(context: &Context) -> Markup {
    html! {
        ul.claims aria-label="Claims" {
            @for claim in &context.data.claims {
                @let (class, answer) = match claim.answer {
                    Answer::Supported => ("yes", "supported"),
                    Answer::NotSupported => ("no", "not supported"),
                    Answer::EquivalentToNone => ("no", "equivalent to none"),
                    Answer::Undecided => ("open", "undecided"),
                };
                li {
                    p { span.chip.(class) { (answer) } " " b { (claim.id) } " " (claim.text) }
                    @if !claim.why.is_empty() { p.soft { (claim.why) } }
                }
            }
        }
    }
}

/// Where every arm began and ended, drawn and in numbers.
fn ends(context: &Context) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table.ends {
                caption { "Beginning and end of every arm: mean over its seeds; brackets and bars are 95 % intervals over seeds." }
                thead { tr {
                    th scope="col" { "Arm" } th.num scope="col" { "Seeds" }
                    th scope="col" colspan="2" { "Hack rate" } th scope="col" colspan="2" { "Misalignment" }
                } }
                tbody {
                    @for (index, arm) in context.data.arms.iter().enumerate() {
                        @let hack_start = over_steps(arm, |s| Some(s.hack_rate)).first().map(|p| p.mean);
                        @let bad_start = over_probes(arm, |p| p.misalignment.map(|m| m.mean)).first().map(|p| p.mean);
                        tr {
                            th scope="row" {
                                span.swatch.(arm_class(index)) aria-hidden="true" {} (arm.name)
                                @if !arm.about.is_empty() { span.about { (arm.about) } }
                            }
                            td.num.seeds data-name="seeds" { (arm.seeds.len()) }
                            td.num data-name="hacks" { (cell(hack_start, arm.hack_rate, percent)) }
                            td.bar { (dumbbell("hack", hack_start, arm.hack_rate)) }
                            td.num data-name="misalignment" { (cell(bad_start, arm.misalignment, two)) }
                            td.bar { (dumbbell("bad", bad_start, arm.misalignment)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(start: Option<f64>, end: Option<Interval>, number: impl Fn(f64) -> String + Copy) -> Markup {
    html! {
        @match end {
            Some(end) => {
                @if let Some(start) = start { span.soft { (number(start)) " → " } }
                b { (number(end.mean)) } " " span.interval { (bounds(&end, number)) }
            }
            None => { span.soft { "not measured" } }
        }
    }
}

/// Start (open) and end (filled, with its interval) on a scale from 0 to 1.
fn dumbbell(class: &str, start: Option<f64>, end: Option<Interval>) -> Markup {
    let at = |share: f64| 6.0 + share.clamp(0.0, 1.0) * 148.0;
    html! {
        svg.dumbbell.(class) viewBox="0 0 160 20" role="img" aria-label="from start to end on a scale from 0 to 1" {
            line.grid x1="6" x2="154" y1="10" y2="10" {}
            @for edge in [0.0, 0.5, 1.0] { line.grid x1=(px(at(edge))) x2=(px(at(edge))) y1="6" y2="14" {} }
            @if let Some(end) = end.filter(|e| e.mean.is_finite()) {
                @if end.low.is_finite() && end.high.is_finite() {
                    line.range x1=(px(at(end.low))) x2=(px(at(end.high))) y1="10" y2="10" {}
                }
                @if let Some(start) = start { g.start { (marker(0, at(start), 10.0, 3.5)) } }
                g.dot { (marker(0, at(end.mean), 10.0, 4.5)) }
            }
        }
    }
}
