//! Every probe over the steps: one small chart a probe, arms in colour; then the counts, invalid ones included.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{Part, heading};
use crate::chart::{Frame, domain, marker};
use crate::data::{ProbeRate, Seed};
use crate::html::{interval, percent, px};
use crate::page::{Context, arm_class};
use crate::series::over_probes;

/// Charts and counts of all probes.
pub fn part(context: &Context) -> Option<Part> {
    let seeds = || context.data.arms.iter().flat_map(|a| &a.seeds);
    let names: BTreeSet<&str> =
        seeds().flat_map(|s| &s.probes).flat_map(|p| p.probes.keys()).map(String::as_str).collect();
    if names.is_empty() {
        return None;
    }
    let (_, last) = domain(seeds().flat_map(|s| &s.probes).map(|p| p.step as f64));
    let frame = Frame { width: 300.0, height: 150.0, margin: [28.0, 10.0, 8.0, 34.0], x: (0.0, last), y: (0.0, 1.0) };
    let thoughts = seeds().flat_map(|s| &s.probes).flat_map(|p| p.probes.values()).any(|r| r.thought_rate.is_some());
    let body = html! {
        (heading("probes", "Probe by probe", html! {
            "The rate of the misaligned outcome among valid samples. "
            "Small marks are seeds, lines their mean"
            @if thoughts { "; dotted, the share of samples whose thought gives the act away" }
            "."
        }))
        ul.legend aria-label="Legend" {
            @for (index, arm) in context.data.arms.iter().enumerate() {
                li {
                    svg.keymark.(arm_class(index)) viewBox="0 0 12 12" aria-hidden="true" { (marker(index, 6.0, 6.0, 4.0)) }
                    (arm.name)
                }
            }
        }
        div.panels.small {
            @for name in &names { figure { figcaption { b { (name) } } (panel(context, name, &frame)) } }
        }
        (counts(context, &names))
    };
    Some(Part { id: "probes", nav: "Probes", body })
}

fn panel(context: &Context, name: &str, frame: &Frame) -> Markup {
    let kind = format!("probe:{name}");
    html! {
        svg.plot viewBox=(frame.view_box()) role="img" aria-label=(summary(context, name)) {
            (frame.axes("training step", &[0.0, 0.5, 1.0]))
            @for (index, arm) in context.data.arms.iter().enumerate() {
                @let points = over_probes(arm, |p| p.probes.get(name)?.rate);
                @let thoughts = over_probes(arm, |p| p.probes.get(name)?.thought_rate);
                g.(arm_class(index)) {
                    path.dotted d=(frame.line(thoughts.iter().map(|p| (p.step as f64, p.mean)))) {}
                    g.seeds {
                        @for (step, rate) in arm.seeds.iter().flat_map(|s| rates(s, name)).filter(|r| r.1.is_finite()) {
                            circle cx=(px(frame.px(step))) cy=(px(frame.py(rate))) r="1.6" {}
                        }
                    }
                    path.bold d=(frame.line(points.iter().map(|p| (p.step as f64, p.mean)))) {}
                    g.marks {
                        @for point in &points {
                            (context.linked(index, point.step, &kind,
                                &format!("{}, step {}: {}", arm.name, point.step, percent(point.mean)),
                                marker(index, frame.px(point.step as f64), frame.py(point.mean), 3.0)))
                        }
                    }
                }
            }
        }
    }
}

fn rates(seed: &Seed, name: &str) -> Vec<(f64, f64)> {
    seed.probes.iter().filter_map(|p| Some((p.step as f64, p.probes.get(name)?.rate?))).collect()
}

fn summary(context: &Context, name: &str) -> String {
    let ends: Vec<String> = context
        .data
        .arms
        .iter()
        .filter_map(|arm| {
            let points = over_probes(arm, |p| p.probes.get(name)?.rate);
            Some(format!("{} from {} to {}", arm.name, percent(points.first()?.mean), percent(points.last()?.mean)))
        })
        .collect();
    format!("Probe {name}: {}", if ends.is_empty() { "not measured".into() } else { ends.join("; ") })
}

/// What the samples turned out to be at the first and the last probed step of every seed.
fn counts(context: &Context, names: &BTreeSet<&str>) -> Markup {
    html! {
        details {
            summary { "Outcomes counted, at the first and the last probed step" }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th scope="col" { "Probe" } th scope="col" { "Arm" } th.num scope="col" { "Seed" } th.num scope="col" { "Step" }
                    th.num scope="col" { "Rate" } th.num scope="col" { "n valid of n" } th scope="col" { "Outcomes" }
                } }
                tbody {
                    @for name in names { @for arm in &context.data.arms { @for seed in &arm.seeds {
                        @for (step, rate) in first_and_last(seed, name) {
                            tr {
                                td { (name) } td { (arm.name) } td.num { (seed.seed) } td.num { (step) }
                                td.num { @match rate.rate {
                                    Some(value) => { (percent(value)) " " span.interval {
                                        (interval(rate.low, rate.high, percent))
                                    } }
                                    None => { "none valid" }
                                } }
                                td.num { (rate.n_valid) " of " (rate.n) }
                                td.outcomes { @for (outcome, count) in &rate.outcomes { span { (outcome) " " b { (count) } } } }
                            }
                        }
                    } } }
                }
            } }
        }
    }
}

fn first_and_last<'a>(seed: &'a Seed, name: &str) -> Vec<(u64, &'a ProbeRate)> {
    let mut found = seed.probes.iter().filter_map(|p| Some((p.step, p.probes.get(name)?)));
    let first = found.next();
    first.into_iter().chain(found.next_back()).collect()
}
