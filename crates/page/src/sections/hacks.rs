//! What the rollouts were and how they hacked: stacked shares over the steps, one panel an arm.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Part, arm_caption, heading};
use crate::chart::{Frame, domain};
use crate::data::{Arm, Step};
use crate::html::percent;
use crate::page::Context;
use crate::series::over_steps;

/// Verdicts in the order in which they are stacked, from the floor up.
const VERDICTS: [&str; 7] = ["hack", "tamper", "overfit", "attempted", "fail", "honest", "invalid"];

/// Families that get a colour of their own; the rarer ones share one.
const OWN_COLOUR: usize = 7;

/// Stacks of verdicts and of families.
pub fn part(context: &Context) -> Option<Part> {
    let steps = || context.data.arms.iter().flat_map(|a| &a.seeds).flat_map(|s| &s.steps);
    if !steps().any(|s| !s.families.is_empty() || !s.verdicts.is_empty()) {
        return None;
    }
    let verdicts: Vec<Layer> = VERDICTS
        .iter()
        .filter(|v| steps().any(|s| s.verdicts.get(**v).is_some_and(|x| *x > 0.0)))
        .map(|v| Layer { name: v.to_string(), class: format!("v-{v}"), members: vec![v.to_string()] })
        .collect();
    let families = family_layers(steps());
    let body = html! {
        (heading("hacks", "What the rollouts were, and how they hacked", html! {
            "Shares of all rollouts, mean over the seeds. Every verdict comes from running the submission, none from reading it."
        }))
        @if !verdicts.is_empty() {
            h3 { "Verdicts" }
            (legend(&verdicts))
            (stacks(context, "verdict", &verdicts, |step| &step.verdicts))
        }
        @if !families.is_empty() {
            h3 { "Families of hacks" }
            (legend(&families))
            (stacks(context, "family", &families, |step| &step.families))
            (table(context, &families))
        }
    };
    Some(Part { id: "hacks", nav: "Hacks", body })
}

/// One colour of a stack.
struct Layer {
    name: String,
    class: String,
    members: Vec<String>,
}

impl Layer {
    fn share(&self, shares: &BTreeMap<String, f64>) -> f64 {
        self.members.iter().filter_map(|m| shares.get(m)).filter(|v| v.is_finite()).sum()
    }
}

fn family_layers<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<Layer> {
    let mut totals: BTreeMap<String, f64> = BTreeMap::new();
    for (family, share) in steps.flat_map(|s| &s.families).filter(|(_, v)| v.is_finite() && **v > 0.0) {
        *totals.entry(family.clone()).or_default() += share;
    }
    let mut names: Vec<(String, f64)> = totals.into_iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let own = if names.len() > OWN_COLOUR { OWN_COLOUR - 1 } else { names.len() };
    let rest: Vec<String> = names.split_off(own).into_iter().map(|n| n.0).collect();
    let mut layers: Vec<Layer> = names
        .into_iter()
        .enumerate()
        .map(|(i, (name, _))| Layer { class: format!("f-{i}"), members: vec![name.clone()], name })
        .collect();
    if !rest.is_empty() {
        layers.push(Layer { name: format!("others ({})", rest.join(", ")), class: "f-rest".into(), members: rest });
    }
    layers
}

fn legend(layers: &[Layer]) -> Markup {
    html! {
        ul.legend aria-label="Legend" { @for layer in layers { li { span.key.area.(layer.class) {} (layer.name) } } }
    }
}

fn stacks(
    context: &Context,
    what: &str,
    layers: &[Layer],
    shares: impl Fn(&Step) -> &BTreeMap<String, f64> + Copy,
) -> Markup {
    let steps = context.data.arms.iter().flat_map(|a| &a.seeds).flat_map(|s| &s.steps);
    let (_, last) = domain(steps.map(|s| s.step as f64));
    let frame = Frame { height: 180.0, margin: [34.0, 12.0, 8.0, 34.0], ..Frame::panel((0.0, last)) };
    html! {
        div.panels {
            @for (index, arm) in context.data.arms.iter().enumerate() {
                figure {
                    (arm_caption(context, index))
                    svg.plot viewBox=(frame.view_box()) role="img" aria-label=(summary(arm, what, layers, shares)) {
                        @for (layer, points) in layers.iter().zip(stacked(arm, layers, shares)) {
                            path.layer.(layer.class) d=(frame.area(&points)) { title { (layer.name) } }
                        }
                        (frame.axes("training step", &[0.0, 0.5, 1.0]))
                    }
                }
            }
        }
    }
}

/// Lower and upper edge of every layer.
fn stacked(
    arm: &Arm,
    layers: &[Layer],
    shares: impl Fn(&Step) -> &BTreeMap<String, f64> + Copy,
) -> Vec<Vec<(f64, f64, f64)>> {
    let mut floor: BTreeMap<u64, f64> = BTreeMap::new();
    layers
        .iter()
        .map(|layer| {
            over_steps(arm, |s| Some(layer.share(shares(s))))
                .iter()
                .map(|p| {
                    let low = floor.get(&p.step).copied().unwrap_or(0.0);
                    floor.insert(p.step, low + p.mean);
                    (p.step as f64, low, low + p.mean)
                })
                .collect()
        })
        .collect()
}

fn summary(arm: &Arm, what: &str, layers: &[Layer], shares: impl Fn(&Step) -> &BTreeMap<String, f64> + Copy) -> String {
    let last: Vec<String> = layers
        .iter()
        .filter_map(|layer| {
            let end = over_steps(arm, |s| Some(layer.share(shares(s)))).last()?.mean;
            (end > 0.0).then(|| format!("{} {}", layer.name, percent(end)))
        })
        .collect();
    let end = if last.is_empty() { "none".into() } else { last.join(", ") };
    format!("Arm {}, rollouts by {what} at the last step: {end}", arm.name)
}

fn table(context: &Context, layers: &[Layer]) -> Markup {
    html! {
        details {
            summary { "Families at the last step, as a table" }
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "Family" } @for arm in &context.data.arms { th.num scope="col" { (arm.name) } } } }
                tbody { @for name in layers.iter().flat_map(|l| &l.members) { tr {
                    th scope="row" { (name) }
                    @for arm in &context.data.arms {
                        @let end = over_steps(arm, |s| Some(s.families.get(name).copied().unwrap_or(0.0)));
                        td.num { @match end.last() { Some(p) => { (percent(p.mean)) } None => { "–" } } }
                    }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_families_share_a_colour_and_none_is_lost() {
        let families = (0..12).map(|i| (format!("family-{i:02}"), 0.01 * f64::from(i + 1))).collect();
        let step = Step { families, ..Step::default() };
        let layers = family_layers([&step].into_iter());
        assert_eq!(layers.len(), OWN_COLOUR);
        assert_eq!(layers.iter().flat_map(|l| &l.members).count(), 12);
        let total: f64 = layers.iter().map(|l| l.share(&step.families)).sum();
        assert!((total - step.families.values().sum::<f64>()).abs() < 1e-12);
    }
}
