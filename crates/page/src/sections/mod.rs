//! The parts of the page, in reading order.

pub mod answer;
pub mod comparisons;
pub mod curves;
pub mod hacks;
pub mod method;
pub mod predictions;
pub mod probes;
pub mod samples;
pub mod training;
pub mod words;

use maud::{Markup, html};

use crate::page::Context;

/// One part of the page.
pub struct Part {
    /// Anchor.
    pub id: &'static str,
    /// Name in the contents.
    pub nav: &'static str,
    /// What it shows, its heading included.
    pub body: Markup,
}

/// All parts that have something to show.
pub fn all(context: &Context) -> Vec<Part> {
    [
        answer::part(context),
        predictions::part(context),
        curves::part(context),
        probes::part(context),
        hacks::part(context),
        training::part(context),
        comparisons::part(context),
        samples::part(context),
        method::part(context),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A section's heading with a sentence that says how to read what follows.
pub fn heading(id: &str, title: &str, lead: Markup) -> Markup {
    html! {
        h2 id={ "h-" (id) } { (title) }
        p.lead { (lead) }
    }
}

/// An arm's heading above its panel.
pub fn arm_caption(context: &Context, arm: usize) -> Markup {
    let arm_data = &context.data.arms[arm];
    html! {
        figcaption {
            span.swatch.(crate::page::arm_class(arm)) aria-hidden="true" {}
            b { (arm_data.name) }
            @if !arm_data.words.is_empty() { " " span.soft { (arm_data.words) } }
        }
    }
}
