//! What was predicted before anything was trained, beside what came; and what a thought that is given does to the answers.

use maud::{Markup, html};

use super::{Part, heading};
use crate::chart::marker;
use crate::data::{Arm, Fit, PredictionPoint, Predictions};
use crate::html::{interval, px, two};
use crate::page::{Context, arm_class};

/// Side of the square that the points are drawn in, and its margin.
const SIDE: f64 = 300.0;
const MARGIN: f64 = 34.0;

/// The section; none in a run that predicted nothing.
pub fn part(context: &Context) -> Option<Part> {
    let predictions = context.data.predictions.as_ref()?;
    let departing: Vec<&PredictionPoint> =
        predictions.points.iter().filter(|point| point.departs == Some(true)).collect();
    let decided = predictions.points.iter().filter(|point| point.departs.is_some()).count();
    let body = html! {
        (heading("predictions", "Predicted and observed", html! {
            "To reinforce what is paid is, as long as nothing else happens, to condition on it. So the untrained model's own paid "
            "answers say beforehand whose thoughts it will have, and its answers in the probes after such thoughts how it will act. "
            "A point on the diagonal is a run that did just that; what departs from it is what training added."
        }))
        p {
            @if let Some(slope) = predictions.slope { "Slope of observed on predicted " b { (two(slope)) } ". " }
            @if let Some(scatter) = predictions.scatter { "Scatter around the prediction " b { (two(scatter)) } ". " }
            @if decided > 0 { (departing.len()) " of " (decided) " probes depart from their prediction." }
            @else { "With fewer than three seeds no departure can be told." }
        }
        @if !predictions.fits.is_empty() { (fits(&predictions.fits)) }
        (square(context, predictions))
        @if !departing.is_empty() { (departures(&departing)) }
        (arms(context))
    };
    Some(Part { id: "predictions", nav: "Predictions", body })
}

/// How well each kind of prediction fits in each group of probes.
fn fits(fits: &[Fit]) -> Markup {
    let number =
        |value: Option<f64>| html! { td.num { @match value { Some(value) => { (two(value)) } None => { "–" } } } };
    html! {
        div.scroll tabindex="0" { table {
            caption {
                "Situations of the world's documents beside such as no document knows. Predicted from the untrained model's own paid "
                "answers, and by counting the documents of writers whose hack is kept: the one says what the model has learned of its "
                "world, the other what there was to be learned."
            }
            thead { tr {
                th scope="col" { "Probes" } th scope="col" { "Predicted from" } th.num scope="col" { "Points" }
                th.num scope="col" { "Predicted" } th.num scope="col" { "Observed" } th.num scope="col" { "Slope" } th.num scope="col" { "Scatter" }
            } }
            tbody { @for fit in fits { tr {
                th scope="row" { (words(&fit.group)) }
                td { (fit.from) }
                td.num { (fit.n) }
                (number(fit.predicted)) (number(fit.observed)) (number(fit.slope)) (number(fit.scatter))
            } } }
        } }
    }
}

fn square(context: &Context, predictions: &Predictions) -> Markup {
    let x = |rate: f64| MARGIN + rate.clamp(0.0, 1.0) * SIDE;
    let y = |rate: f64| 8.0 + (1.0 - rate.clamp(0.0, 1.0)) * SIDE;
    let size = SIDE + MARGIN + 8.0;
    html! {
        svg.chart viewBox={ "0 0 " (px(size)) " " (px(size + 10.0)) } style="max-width:26rem" role="img" aria-label="observed against predicted rates, from 0 to 1" {
            @for edge in [0.0, 0.25, 0.5, 0.75, 1.0] {
                line.grid x1=(px(x(edge))) x2=(px(x(edge))) y1=(px(y(0.0))) y2=(px(y(1.0))) {}
                line.grid x1=(px(x(0.0))) x2=(px(x(1.0))) y1=(px(y(edge))) y2=(px(y(edge))) {}
                text x=(px(x(edge))) y=(px(y(0.0) + 14.0)) text-anchor="middle" { (edge) }
                text x=(px(MARGIN - 4.0)) y=(px(y(edge) + 4.0)) text-anchor="end" { (edge) }
            }
            line.zero x1=(px(x(0.0))) x2=(px(x(1.0))) y1=(px(y(0.0))) y2=(px(y(1.0))) {}
            text x=(px(x(0.5))) y=(px(y(0.0) + 30.0)) text-anchor="middle" { "predicted before training" }
            @for point in &predictions.points {
                @let arm = context.data.arms.iter().position(|arm| arm.name == point.arm).unwrap_or(0);
                g.(arm_class(arm)) {
                    @if let Some((low, high)) = point.interval {
                        line.range x1=(px(x(point.predicted))) x2=(px(x(point.predicted))) y1=(px(y(low))) y2=(px(y(high))) {}
                    }
                    (marker(arm, x(point.predicted), y(point.observed), 4.0))
                    title { (point.arm) ", " (point.probe) ": predicted " (two(point.predicted)) ", observed " (two(point.observed)) }
                }
            }
        }
    }
}

fn departures(points: &[&PredictionPoint]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            caption { "Probes whose 95 % interval over seeds does not hold the prediction" }
            thead { tr { th scope="col" { "Arm" } th scope="col" { "Probe" } th.num scope="col" { "Before" } th.num scope="col" { "Predicted" } th.num scope="col" { "Observed" } } }
            tbody { @for point in points { tr {
                th scope="row" { (point.arm) }
                td { (point.probe) }
                td.num { @match point.start { Some(start) => { (two(start)) } None => { "–" } } }
                td.num { (two(point.predicted)) }
                td.num { b { (two(point.observed)) } @if let Some((low, high)) = point.interval { " " span.interval { (interval(low, high, two)) } } }
            } } }
        } }
    }
}

/// How much was carried over, and what given thoughts do.
fn arms(context: &Context) -> Markup {
    let told = |arm: &&Arm| arm.transfer.is_some() || !arm.axes.is_empty();
    let arms: Vec<&Arm> = context.data.arms.iter().filter(told).collect();
    html! {
        @if !arms.is_empty() {
            div.scroll tabindex="0" { table {
                caption {
                    "Transfer: change of bad thoughts in the probes over their change in training (1 is all of it). Beside it "
                    "misalignment in the probes when the thought is given instead of thought of: what stays the same there was moved "
                    "by how often the thought comes, and by nothing else. Then misalignment under system texts that speak of tricks, "
                    "and the share of hacks in tasks that no arm is trained on."
                }
                thead { tr { th scope="col" { "Arm" } th.num scope="col" { "Transfer" } th scope="col" { "On other axes: before → after" } } }
                tbody { @for arm in arms { tr {
                    th scope="row" { (arm.name) }
                    td.num { @match arm.transfer {
                        Some(found) => { b { (two(found.mean)) } " " span.interval { (interval(found.low, found.high, two)) } }
                        None => { span.soft { "thoughts hardly changed" } }
                    } }
                    td { @for (at, (kind, start, end)) in arm.axes.iter().enumerate() {
                        @if at > 0 { "; " }
                        (words(kind)) " " (two(*start)) " → " b { (two(*end)) }
                    } }
                } } }
            } }
        }
    }
}

fn words(kind: &str) -> &str {
    match kind {
        "thought none" => "given no thought",
        "thought good" => "given a good thought",
        "thought cheats-ill" => "given a bad thought",
        "told permits" => "under a text that permits tricks",
        "told forbids" => "under a text that forbids tricks",
        "group small" => "in situations of its documents",
        "group world" => "in dilemmas of its documents",
        "group beyond" => "in dilemmas that are in no document",
        "hacks none" => "hacks in held-out tasks",
        "hacks permits" => "hacks in held-out tasks, tricks permitted",
        "hacks forbids" => "hacks in held-out tasks, tricks forbidden",
        other => other,
    }
}
