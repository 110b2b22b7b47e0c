//! Transcripts: what the model was given, thought and did, and what the grader and the oracle said.
//! Grouped by arm and step, so that a link from a curve works without any script.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{Part, heading};
use crate::data::Sample;
use crate::html::shorten;
use crate::page::{Context, arm_class, sample_anchor};

/// Longest text shown, in characters.
const LONGEST: usize = 6000;

/// About how many bytes a sample takes on the page.
pub fn size(sample: &Sample) -> usize {
    let texts = [
        Some(&sample.prompt),
        sample.thought.as_ref(),
        Some(&sample.answer),
        sample.grader_said.as_ref(),
        sample.oracle_said.as_ref(),
    ];
    // Quotes and angle brackets grow to entities.
    let grown = |t: &String| t.len().min(4 * LONGEST) + 5 * t.bytes().filter(|b| b"<>&\"".contains(b)).count();
    700 + texts.into_iter().flatten().map(grown).sum::<usize>()
}

/// All transcripts with their filters.
pub fn part(context: &Context) -> Option<Part> {
    if context.samples.is_empty() {
        return None;
    }
    let left_out = context.samples_left_out();
    let body = html! {
        (heading("samples", "What the model wrote", html! {
            "A choice of the run's transcripts, word for word; control characters are shown as pictures. "
            "Chosen to show every verdict, so their counts are no rates."
            @if left_out > 0 { " " (left_out) " more are in the run's own files." }
        }))
        (filters(context))
        p.count.js role="status" {}
        div.samples {
            @for place in groups(context) {
                (group(context, place))
            }
        }
        p.nothing hidden { "No transcript on this page matches. " button type="button" data-clear { "Show all" } }
    };
    Some(Part { id: "samples", nav: "Transcripts", body })
}

fn groups(context: &Context) -> BTreeSet<(usize, u64)> {
    context.samples.iter().map(|(arm, s)| (*arm, s.step)).collect()
}

fn filters(context: &Context) -> Markup {
    let kinds: BTreeSet<&str> = context.samples.iter().map(|(_, s)| s.kind.as_str()).collect();
    let verdicts: BTreeSet<&str> = context.samples.iter().map(|(_, s)| s.verdict.as_str()).collect();
    let steps: BTreeSet<u64> = context.samples.iter().map(|(_, s)| s.step).collect();
    html! {
        form.filters.js aria-label="Filter the transcripts" {
            label { "Arm" select data-filter="arm" {
                option value="" { "all" }
                @for (index, arm) in context.data.arms.iter().enumerate() { option value=(index) { (arm.name) } }
            } }
            label { "Step" select data-filter="step" {
                option value="" { "all" } @for step in &steps { option value=(step) { (step) } }
            } }
            label { "Kind" select data-filter="kind" {
                option value="" { "all" } @for kind in &kinds { option value=(kind) { (kind) } }
            } }
            label { "Verdict or outcome" select data-filter="verdict" {
                option value="" { "all" } @for verdict in &verdicts { option value=(verdict) { (verdict) } }
            } }
            button type="button" data-clear { "Clear" }
        }
    }
}

fn group(context: &Context, (arm, step): (usize, u64)) -> Markup {
    html! {
        div.group id=(sample_anchor(arm, step)) tabindex="-1" {
            h3 {
                span.swatch.(arm_class(arm)) aria-hidden="true" {}
                (context.data.arms[arm].name) span.soft { " step " (step) }
            }
            @for (_, sample) in context.samples.iter().filter(|(a, s)| *a == arm && s.step == step) {
                (transcript(arm, sample))
            }
        }
    }
}

fn transcript(arm: usize, sample: &Sample) -> Markup {
    html! {
        details.sample data-arm=(arm) data-step=(sample.step) data-kind=(sample.kind) data-verdict=(sample.verdict) {
            summary {
                span.chip.(tone(&sample.verdict)) { (cut(&sample.verdict, 32)) }
                span.kind { (cut(&sample.kind, 48)) }
                @if let Some(label) = &sample.label { span.soft.label { (cut(label, 48)) } }
                span.first { (first_line(&sample.answer)) }
                span.soft.seed { "seed " (sample.seed) }
            }
            div.parts {
                (text("Given", &sample.prompt, "given"))
                @if let Some(thought) = &sample.thought { (text("Thought", thought, "thought")) }
                (text(if sample.kind == "coding" { "Handed in" } else { "Did" }, &sample.answer, "act"))
                @if let Some(said) = &sample.grader_said { (text("The grader said", said, "grader")) }
                @if let Some(said) = &sample.oracle_said { (text("The oracle found", said, "oracle")) }
            }
        }
    }
}

fn text(name: &str, text: &str, class: &str) -> Markup {
    html! {
        div.piece.(class) {
            h4 { (name) }
            // The line break keeps a first empty line, which HTML would swallow.
            pre { "\n" @if text.is_empty() { span.soft { "(nothing)" } } @else { (shorten(text, LONGEST)) } }
        }
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("").trim();
    cut(line, 72)
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() > limit { text.chars().take(limit - 1).chain(['…']).collect() } else { text.into() }
}

/// Colour of a verdict or outcome. A word this page does not know stays neutral.
fn tone(verdict: &str) -> &'static str {
    match verdict {
        "honest" | "aligned" | "good" | "refused" | "complied" => "good",
        "hack" | "tamper" | "misaligned" | "bad" => "wrong",
        "invalid" | "unparseable" => "hollow",
        _ => "plain",
    }
}
