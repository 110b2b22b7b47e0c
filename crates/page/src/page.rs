//! The frame around the sections: head, order, foot.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::data::{ReportData, Sample};
use crate::html::csp_hash;
use crate::sections;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

/// A page stays below this many bytes, unless the measured numbers alone are more.
const PAGE_BYTES: usize = 1_450_000;

/// Transcripts may fill this many bytes of it.
const SAMPLE_BYTES: usize = 800_000;

/// Room kept for the links from the curves to the transcripts.
const LINK_BYTES: usize = 150_000;

/// What the sections share: the data, the transcripts that fit, and where they are.
pub(crate) struct Context<'a> {
    /// The data.
    pub data: &'a ReportData,
    /// Transcripts on the page with their arm's index, by arm, step, seed.
    pub samples: Vec<(usize, &'a Sample)>,
    /// Arm, step and kind of every transcript; the empty kind stands for any.
    places: BTreeSet<(usize, u64, &'a str)>,
}

impl<'a> Context<'a> {
    fn new(data: &'a ReportData, mut room: usize) -> Self {
        let mut samples = Vec::new();
        for sample in &data.samples {
            let Some(arm) = data.arms.iter().position(|a| a.name == sample.arm) else {
                continue;
            };
            let size = sections::samples::size(sample);
            if size <= room {
                room -= size;
                samples.push((arm, sample));
            }
        }
        samples.sort_by_key(|(arm, s)| (*arm, s.step, s.seed));
        let places = samples.iter().flat_map(|&(arm, s)| [(arm, s.step, s.kind.as_str()), (arm, s.step, "")]).collect();
        Context { data, samples, places }
    }

    /// Whether there are transcripts of this arm, step and kind on the page; the empty kind is any kind.
    pub fn has_samples(&self, arm: usize, step: u64, kind: &str) -> bool {
        self.places.contains(&(arm, step, kind))
    }

    /// Wraps a mark of a chart in a link to the transcripts of this arm, step and kind, where there are any.
    /// The empty kind is any kind.
    pub fn linked(&self, arm: usize, step: u64, kind: &str, title: &str, mark: Markup) -> Markup {
        html! {
            @if self.has_samples(arm, step, kind) {
                a.to-samples href={ "#" (sample_anchor(arm, step)) } data-kind=[(!kind.is_empty()).then_some(kind)] aria-label={ (title) ": open transcripts" } {
                    g { g.halo { (mark) } (mark) title { (title) " · open transcripts" } }
                }
            } @else {
                g { (mark) title { (title) } }
            }
        }
    }

    /// Transcripts that did not fit on the page.
    pub fn samples_left_out(&self) -> usize {
        self.data.samples.len() - self.samples.len()
    }
}

/// The id of the transcripts of an arm and step.
pub(crate) fn sample_anchor(arm: usize, step: u64) -> String {
    format!("t-{arm}-{step}")
}

/// The class that carries an arm's colour.
pub(crate) fn arm_class(arm: usize) -> String {
    format!("arm-{}", arm % 7)
}

/// The page, complete and self-contained.
pub fn render(data: &ReportData) -> String {
    let numbers = page(&Context::new(data, 0)).len() + LINK_BYTES;
    page(&Context::new(data, PAGE_BYTES.saturating_sub(numbers).min(SAMPLE_BYTES)))
}

fn page(context: &Context) -> String {
    let data = context.data;
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        csp_hash(SCRIPT)
    );
    let parts = sections::all(context);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (data.title) " · Loophole" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#answer" { "Skip to the answer" }
                header.top {
                    p.brand { b { "Loophole" } " report of a run" }
                    p.meta {
                        span { (data.title) }
                        @if !data.created.is_empty() { span { (data.created) } }
                        @if !data.hash.is_empty() { span { "recipe " code title=(data.hash) { (short_hash(&data.hash)) } } }
                    }
                }
                nav.contents aria-label="Sections" {
                    @for part in &parts { a href={ "#" (part.id) } { (part.nav) } }
                }
                main {
                    @for part in &parts {
                        section id=(part.id) aria-labelledby={ "h-" (part.id) } { (part.body) }
                    }
                }
                footer { p { "Made by Loophole from the run's own files. This page fetches nothing." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    // Once for the whole finished page, so that no section can forget it.
    loophole_foreign::pictured(&page.into_string())
}

fn short_hash(hash: &str) -> String {
    hash.trim_start_matches("sha256:").chars().take(12).collect()
}
