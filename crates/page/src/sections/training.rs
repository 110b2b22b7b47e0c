//! Reward, KL and bad thoughts over the steps: all arms in one chart each.

use maud::{Markup, html};

use super::{Part, heading};
use crate::chart::{Frame, domain, marker, ticks};
use crate::data::Step;
use crate::html::two;
use crate::page::{Context, arm_class};
use crate::series::{Point, over_steps, thin};

/// The three charts, as far as they were measured.
pub fn part(context: &Context) -> Option<Part> {
    let charts: Vec<Markup> = [
        chart(context, "Reward the grader paid", None, |s| Some(s.reward)),
        chart(context, "KL from the policy before RL (nats a rollout)", None, |s| s.kl),
        chart(context, "Rollouts whose thought gives the act away", Some(1.0), |s| s.bad_thought_rate),
    ]
    .into_iter()
    .flatten()
    .collect();
    if charts.is_empty() {
        return None;
    }
    let body = html! {
        (heading("training", "The training itself", html! { "Mean over the seeds; the band reaches from the lowest to the highest seed." }))
        ul.legend aria-label="Legend" {
            @for (index, arm) in context.data.arms.iter().enumerate() {
                li {
                    svg.keymark.(arm_class(index)) viewBox="0 0 12 12" aria-hidden="true" { (marker(index, 6.0, 6.0, 4.0)) }
                    (arm.name)
                }
            }
        }
        div.panels { @for chart in charts { (chart) } }
    };
    Some(Part { id: "training", nav: "Training", body })
}

fn chart(
    context: &Context,
    title: &str,
    top: Option<f64>,
    value: impl Fn(&Step) -> Option<f64> + Copy,
) -> Option<Markup> {
    let curves: Vec<Vec<Point>> = context.data.arms.iter().map(|arm| over_steps(arm, value)).collect();
    let points = || curves.iter().flatten();
    points().next()?;
    let (_, last) = domain(points().map(|p| p.step as f64));
    let (low, high) = domain(points().flat_map(|p| [p.low, p.high]).chain([0.0]).chain(top));
    let frame = Frame { height: 180.0, margin: [40.0, 12.0, 8.0, 34.0], y: (low, high), ..Frame::panel((0.0, last)) };
    let ends: Vec<String> = context
        .data
        .arms
        .iter()
        .zip(&curves)
        .filter_map(|(arm, c)| Some(format!("{} from {} to {}", arm.name, two(c.first()?.mean), two(c.last()?.mean))))
        .collect();
    Some(html! {
        figure {
            figcaption { b { (title) } }
            svg.plot viewBox=(frame.view_box()) role="img" aria-label={ (title) ": " (ends.join("; ")) } {
                (frame.axes("training step", &ticks(low, high, 4)))
                @for (index, curve) in curves.iter().enumerate() {
                    g.(arm_class(index)) {
                        path.band d=(frame.area(&curve.iter().map(|p| (p.step as f64, p.low, p.high)).collect::<Vec<_>>())) {}
                        path.bold d=(frame.line(curve.iter().map(|p| (p.step as f64, p.mean)))) {}
                        g.marks { @for p in thin(curve, 7) { (marker(index, frame.px(p.step as f64), frame.py(p.mean), 2.6)) } }
                    }
                }
            }
        }
    })
}
