//! Differences between arms, with what they can and cannot carry.

use maud::html;

use super::{Part, heading};
use crate::html::{interval, p_value, percent, px, signed};
use crate::page::Context;

/// The table of comparisons.
pub fn part(context: &Context) -> Option<Part> {
    let rows = &context.data.comparisons;
    if rows.is_empty() {
        return None;
    }
    let reach = rows.iter().flat_map(|c| [c.low, c.high, c.difference]).filter(|v| v.is_finite()).map(f64::abs);
    let reach = reach.fold(0.0, f64::max).max(1e-9);
    let at = |v: f64| 80.0 + (v / reach).clamp(-1.0, 1.0) * 74.0;
    let body = html! {
        (heading("comparisons", "Arm against arm", html! {
            "Seeds are the unit. Brackets are 95 % intervals, p is corrected for all comparisons together (Holm), and "
            "power is the chance this run had of finding the difference its recipe states. An interval that holds zero decides nothing."
        }))
        div.scroll tabindex="0" { table {
            thead { tr {
                th scope="col" { "First − second" } th scope="col" { "Measure" } th.num scope="col" { "Difference" }
                th scope="col" { span.quiet { "drawn" } } th.num scope="col" { "p (Holm)" } th.num scope="col" { "Power" }
            } }
            tbody { @for row in rows {
                tr {
                    th scope="row" { (row.a) " − " (row.b) }
                    td { (row.measure) }
                    td.num { b { (signed(row.difference)) } " " span.interval { (interval(row.low, row.high, signed)) } }
                    td.bar {
                        svg.dumbbell viewBox="0 0 160 20" role="img" aria-label="difference on a scale around zero" {
                            line.grid x1="6" x2="154" y1="10" y2="10" {}
                            line.zero x1="80" x2="80" y1="2" y2="18" {}
                            @if row.low.is_finite() && row.high.is_finite() {
                                line.range x1=(px(at(row.low))) x2=(px(at(row.high))) y1="10" y2="10" {}
                            }
                            @if row.difference.is_finite() { circle.dot cx=(px(at(row.difference))) cy="10" r="4.5" {} }
                        }
                    }
                    td.num { @match row.p { Some(p) => { (p_value(p)) } None => { "–" } } }
                    td.num { @match row.power { Some(p) => { (percent(p)) } None => { "–" } } }
                }
            } }
        } }
    };
    Some(Part { id: "comparisons", nav: "Comparisons", body })
}
