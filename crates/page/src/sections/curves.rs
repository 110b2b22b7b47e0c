//! The main chart: hack rate and misalignment of every arm, one panel an arm, the same axes everywhere.

use maud::{Markup, html};

use super::{Part, arm_caption, heading};
use crate::chart::{Frame, domain, marker, spread};
use crate::html::{interval, p_value, percent, px, signed, two};
use crate::page::Context;
use crate::series::{Across, Point, over_probes, over_steps, thin};

/// Marks on a mean curve: enough to click, few enough to stay light.
const MARKS: usize = 40;

/// Both charts (over steps, over KL) with the switch between them.
pub fn part(context: &Context) -> Option<Part> {
    let arms = &context.data.arms;
    if arms.iter().all(|a| a.seeds.iter().all(|s| s.steps.is_empty() && s.probes.is_empty())) {
        return None;
    }
    let has_kl = arms.iter().any(|a| a.seeds.iter().any(|s| s.steps.iter().any(|t| t.kl.is_some())));
    let body = html! {
        (heading("curves", "Hacking, and everything else", html! {
            "Thin lines are seeds, thick lines their mean; the band reaches from the lowest to the highest seed. "
            "Whiskers are the 95 % interval of one seed's battery. "
            "Click a mark to read what the model wrote there."
        }))
        div.controls {
            ul.legend aria-label="Legend" {
                li { span.key.hack {} "hack rate: share of rollouts that are successful hacks" }
                li { span.key.bad {} "misalignment: mean rate of misaligned outcomes over the probes" }
                li { span.key.onset {} "onset: first step with more than 2 % hacks" }
            }
            @if has_kl {
                div.switch.js role="group" aria-label="Horizontal axis" {
                    button type="button" data-show="step" aria-pressed="true" { "by step" }
                    button type="button" data-show="kl" aria-pressed="false" { "by KL" }
                }
            }
        }
        (panels(context, Across::Step))
        @if has_kl { (panels(context, Across::Kl)) }
        (jumps(context))
        (table(context))
    };
    Some(Part { id: "curves", nav: "Curves", body })
}

fn panels(context: &Context, across: Across) -> Markup {
    let arms = &context.data.arms;
    let places = arms.iter().flat_map(|a| &a.seeds).flat_map(|s| {
        let probed = s.probes.iter().map(|p| p.step);
        s.steps.iter().map(|t| t.step).chain(probed).map(move |step| across.at(s, step))
    });
    let (_, high) = domain(places);
    let frame = Frame::panel((0.0, high));
    html! {
        div.panels data-axis=(axis_name(across)) hidden[across == Across::Kl] {
            @for arm in 0..arms.len() { figure { (arm_caption(context, arm)) (panel(context, arm, across, &frame)) } }
        }
    }
}

fn axis_name(across: Across) -> &'static str {
    match across {
        Across::Step => "step",
        Across::Kl => "kl",
    }
}

fn panel(context: &Context, arm: usize, across: Across, frame: &Frame) -> Markup {
    let data = &context.data.arms[arm];
    let hack = over_steps(data, |s| Some(s.hack_rate));
    let bad = over_probes(data, |p| p.misalignment.map(|m| m.mean));
    let x_label = match across {
        Across::Step => "training step",
        Across::Kl => "KL from the policy before RL (nats a rollout)",
    };
    html! {
        svg.plot viewBox=(frame.view_box()) role="img" aria-label=(summary(&data.name, &hack, &bad)) {
            (frame.axes(x_label, &[0.0, 0.25, 0.5, 0.75, 1.0]))
            (onsets(context, arm, across, frame))
            g.hack {
                path.band d=(frame.area(&hack.iter().map(|p| (across.of(p), p.low, p.high)).collect::<Vec<_>>())) {}
                @for seed in &data.seeds {
                    path.thin d=(frame.line(seed.steps.iter().map(|t| (across.at(seed, t.step), t.hack_rate)))) {}
                }
                path.bold d=(frame.line(hack.iter().map(|p| (across.of(p), p.mean)))) {}
            }
            g.bad {
                @for seed in &data.seeds {
                    @let points = seed.probes.iter().filter_map(|p| Some((across.at(seed, p.step), p.misalignment?)));
                    path.thin d=(frame.line(points.clone().map(|(x, m)| (x, m.mean)))) {}
                    @for (x, m) in points.filter(|(x, m)| x.is_finite() && m.low.is_finite() && m.high.is_finite()) {
                        line.whisker x1=(px(frame.px(x))) x2=(px(frame.px(x))) y1=(px(frame.py(m.low))) y2=(px(frame.py(m.high))) {}
                    }
                }
                path.bold d=(frame.line(bad.iter().map(|p| (across.of(p), p.mean)))) {}
            }
            g.hack.marks {
                @for point in marked(context, arm, &hack).iter().filter(|p| across.of(p).is_finite()) {
                    (context.linked(arm, point.step, "coding", &format!("step {}: hack rate {}", point.step, percent(point.mean)),
                        marker(0, frame.px(across.of(point)), frame.py(point.mean), 1.9)))
                }
            }
            g.bad.marks {
                @for point in bad.iter().filter(|p| across.of(p).is_finite()) {
                    (context.linked(arm, point.step, "", &format!("step {}: misalignment {}", point.step, two(point.mean)),
                        marker(3, frame.px(across.of(point)), frame.py(point.mean), 3.6)))
                }
            }
            (end_labels(frame, across, hack.last(), bad.last()))
        }
    }
}

/// The points of a curve that get a mark: those that lead to transcripts, and evenly spread ones between.
fn marked(context: &Context, arm: usize, points: &[Point]) -> Vec<Point> {
    let (linked, plain): (Vec<Point>, Vec<Point>) =
        points.iter().partition(|p| context.has_samples(arm, p.step, "coding"));
    let linked = thin(&linked, MARKS);
    let mut all = thin(&plain, MARKS - linked.len());
    all.extend(linked);
    all.sort_by_key(|p| p.step);
    all
}

/// The last value of each curve, written beside its end.
fn end_labels(frame: &Frame, across: Across, hack: Option<&Point>, bad: Option<&Point>) -> Markup {
    let mut labels: Vec<(&str, String, f64, f64)> = Vec::new();
    if let Some(point) = hack.filter(|p| across.of(p).is_finite()) {
        labels.push(("hack", percent(point.mean), frame.px(across.of(point)), frame.py(point.mean)));
    }
    if let Some(point) = bad.filter(|p| across.of(p).is_finite()) {
        labels.push(("bad", two(point.mean), frame.px(across.of(point)), frame.py(point.mean)));
    }
    let right = labels.iter().map(|l| l.2).fold(0.0, f64::max);
    let mut heights: Vec<f64> = labels.iter().map(|l| l.3).collect();
    spread(&mut heights, 13.0);
    // Two labels at zero would hang below the axis: lift them together.
    let lowest = heights.iter().copied().fold(0.0, f64::max);
    let lift = (lowest - (frame.py(0.0) - 4.0)).max(0.0);
    heights.iter_mut().for_each(|h| *h -= lift);
    html! {
        g.ends aria-hidden="true" {
            @for (label, height) in labels.iter().zip(heights) {
                text.(label.0) x=(px(right + 8.0)) y=(px(height + 4.0)) { (label.1) }
            }
        }
    }
}

fn onsets(context: &Context, arm: usize, across: Across, frame: &Frame) -> Markup {
    let seeds = &context.data.arms[arm].seeds;
    let mut steps: Vec<u64> = seeds.iter().filter_map(|s| s.onset_step).collect();
    steps.sort_unstable();
    let top = frame.margin[2];
    let floor = frame.height - frame.margin[3];
    let label = match (steps.first(), steps.last()) {
        (Some(first), Some(last)) => {
            let at = if first == last {
                format!("onset at step {first}")
            } else {
                format!("onset at steps {first} to {last}")
            };
            if steps.len() < seeds.len() { format!("{at} ({} of {} seeds)", steps.len(), seeds.len()) } else { at }
        }
        // Onset is known when the run is summed up, not before.
        _ if context.data.unfinished => String::new(),
        _ => String::from("no onset"),
    };
    let mut places: Vec<f64> = seeds.iter().filter_map(|s| Some(across.at(s, s.onset_step?))).collect();
    places.retain(|p| p.is_finite());
    places.sort_by(f64::total_cmp);
    // The label begins at the first onset unless it would run out of the picture there.
    let first = places.first().map_or(frame.margin[0], |p| frame.px(*p));
    let ends_early = first > frame.width * 0.55;
    html! {
        g.onset {
            @for place in &places {
                line x1=(px(frame.px(*place))) x2=(px(frame.px(*place))) y1=(px(top)) y2=(px(floor)) {}
            }
            text.end[ends_early] x=(px(if ends_early { first + 2.0 } else { first - 2.0 })) y=(px(top - 6.0)) { (label) }
        }
    }
}

fn summary(name: &str, hack: &[Point], bad: &[Point]) -> String {
    let ends = |points: &[Point], number: fn(f64) -> String| match (points.first(), points.last()) {
        (Some(first), Some(last)) => {
            format!("from {} to {}", number(first.mean), number(last.mean))
        }
        _ => "not measured".into(),
    };
    format!("Arm {name}: hack rate {}, misalignment {}", ends(hack, percent), ends(bad, two))
}

/// Whether the measures jumped at onset: one row a seed, tested and not eyeballed.
fn jumps(context: &Context) -> Markup {
    let rows =
        context.data.arms.iter().flat_map(|a| a.seeds.iter().filter_map(move |s| Some((a, s, s.jump.as_ref()?))));
    let rows: Vec<_> = rows.collect();
    html! {
        @if !rows.is_empty() {
            h3 { "Did the other measures jump at onset?" }
            p.soft {
                "Onset is found from the hack rate alone; the rise of the battery across it is then tested by comparing it with "
                "every other place of the same run. With few probed steps p cannot be small, whatever happened: the last column "
                "says how small it could have been."
            }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th scope="col" { "Arm" } th.num scope="col" { "Seed" } th.num scope="col" { "Onset" }
                    th scope="col" { "Rise of each measure" } th.num scope="col" { "p" } th.num scope="col" { "Smallest possible" }
                } }
                tbody { @for (arm, seed, jump) in rows { tr {
                    th scope="row" { (arm.name) } td.num { (seed.seed) } td.num { (jump.step) }
                    td.outcomes { @for (name, rise) in &jump.measures { span { (name) " " b { (signed(*rise)) } } } }
                    td.num { @match jump.p { Some(p) => { (p_value(p)) } None => { "–" } } }
                    td.num { @match jump.smallest_p { Some(p) => { (p_value(p)) } None => { "–" } } }
                } } }
            } }
        }
    }
}

fn table(context: &Context) -> Markup {
    html! {
        details {
            summary { "The same as a table" }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th scope="col" { "Arm" } th.num scope="col" { "Seed" } th.num scope="col" { "Onset" }
                    th.num scope="col" { "Step" } th.num scope="col" { "Hack rate" } th.num scope="col" { "Misalignment" }
                } }
                tbody {
                    @for arm in &context.data.arms { @for seed in &arm.seeds { @for probe in &seed.probes {
                        @let step = seed.steps.iter().rfind(|s| s.step <= probe.step);
                        tr {
                            td { (arm.name) } td.num { (seed.seed) }
                            td.num { @match seed.onset_step { Some(s) => { (s) } None => { "none" } } }
                            td.num { (probe.step) }
                            td.num { @match step { Some(s) => { (percent(s.hack_rate)) } None => { "–" } } }
                            td.num { @match &probe.misalignment {
                                Some(m) => { (two(m.mean)) " " span.interval { (interval(m.low, m.high, two)) } }
                                None => { "–" }
                            } }
                        }
                    } } }
                }
            } }
        }
    }
}
