//! The drawing board: scales, axes, lines, bands, markers, as SVG. Colours come from classes in the style sheet.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::html::px;
use crate::series::thin;

/// Points of a line: about one in two pixels; more can hardly be seen, and weighs.
const FINEST: usize = 160;

/// A plot: its size in user units, its margins and its domain.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Width of the drawing.
    pub width: f64,
    /// Height of the drawing.
    pub height: f64,
    /// Left, right, top, bottom margin.
    pub margin: [f64; 4],
    /// Domain of the horizontal axis.
    pub x: (f64, f64),
    /// Domain of the vertical axis.
    pub y: (f64, f64),
}

impl Frame {
    /// A panel of small multiples with the domain `x` and shares from 0 to 1.
    pub fn panel(x: (f64, f64)) -> Frame {
        Frame { width: 360.0, height: 220.0, margin: [34.0, 44.0, 18.0, 34.0], x, y: (0.0, 1.0) }
    }

    /// Horizontal position of `value`.
    pub fn px(&self, value: f64) -> f64 {
        let [left, right, ..] = self.margin;
        left + share(self.x, value) * (self.width - left - right)
    }

    /// Vertical position of `value`.
    pub fn py(&self, value: f64) -> f64 {
        let [.., top, bottom] = self.margin;
        self.height - bottom - share(self.y, value) * (self.height - top - bottom)
    }

    /// `d` of a line through the points; a point that is not finite breaks it. Long lines are thinned.
    pub fn line(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let points: Vec<_> = points.into_iter().collect();
        self.path(&thin(&points, FINEST))
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut d = String::new();
        let mut pen_down = false;
        for &(x, y) in points {
            if x.is_finite() && y.is_finite() {
                let command = if pen_down { 'L' } else { 'M' };
                let _ = write!(d, "{command}{} {}", px(self.px(x)), px(self.py(y)));
            }
            pen_down = x.is_finite() && y.is_finite();
        }
        d
    }

    /// `d` of the area between two lines over the same places: `(x, low, high)`.
    pub fn area(&self, points: &[(f64, f64, f64)]) -> String {
        let good: Vec<_> =
            points.iter().filter(|p| p.0.is_finite() && p.1.is_finite() && p.2.is_finite()).copied().collect();
        let good = thin(&good, FINEST);
        if good.is_empty() {
            return String::new();
        }
        let there = self.line(good.iter().map(|p| (p.0, p.2)));
        let back = self.line(good.iter().rev().map(|p| (p.0, p.1)));
        format!("{there}L{}Z", &back[1..])
    }

    /// Axes with ticks: hairlines behind the data, labels outside.
    pub fn axes(&self, x_label: &str, y_ticks: &[f64]) -> Markup {
        let [left, right, _, bottom] = self.margin;
        let floor = self.height - bottom;
        html! {
            g.axis aria-hidden="true" {
                @for &tick in y_ticks {
                    line.grid x1=(px(left)) x2=(px(self.width - right)) y1=(px(self.py(tick))) y2=(px(self.py(tick))) {}
                    text.end x=(px(left - 6.0)) y=(px(self.py(tick) + 3.5)) { (tidy(tick)) }
                }
                @for tick in ticks(self.x.0, self.x.1, 5) {
                    line.tick x1=(px(self.px(tick))) x2=(px(self.px(tick))) y1=(px(floor)) y2=(px(floor + 4.0)) {}
                    text.mid x=(px(self.px(tick))) y=(px(floor + 15.0)) { (tidy(tick)) }
                }
                line.base x1=(px(left)) x2=(px(self.width - right)) y1=(px(floor)) y2=(px(floor)) {}
                text.mid.name x=(px((left + self.width - right) / 2.0)) y=(px(self.height - 4.0)) { (x_label) }
            }
        }
    }

    /// `viewBox` of the drawing.
    pub fn view_box(&self) -> String {
        format!("0 0 {} {}", px(self.width), px(self.height))
    }
}

fn share(domain: (f64, f64), value: f64) -> f64 {
    let span = domain.1 - domain.0;
    if span > 0.0 { ((value - domain.0) / span).clamp(0.0, 1.0) } else { 0.5 }
}

/// About `count` round numbers inside a domain.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) || count == 0 {
        return vec![low];
    }
    let raw = span / count as f64;
    let size = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * size).find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A tick's label: no more digits than it needs.
pub fn tidy(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "\u{2212}")
}

/// Lowest and highest finite value, widened where they coincide; `(0, 1)` of nothing.
pub fn domain(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        (0.0, 1.0)
    } else if low == high {
        (low, low + 1.0)
    } else {
        (low, high)
    }
}

/// A marker whose shape tells series apart where colour does not.
pub fn marker(shape: usize, x: f64, y: f64, r: f64) -> Markup {
    let d = match shape % 5 {
        0 => return html! { circle cx=(px(x)) cy=(px(y)) r=(px(r)) {} },
        1 => {
            let a = r * 0.9;
            format!("M{} {}h{}v{}h{}Z", px(x - a), px(y - a), px(2.0 * a), px(2.0 * a), px(-2.0 * a))
        }
        2 => format!(
            "M{} {}L{} {}L{} {}Z",
            px(x),
            px(y - 1.25 * r),
            px(x + 1.15 * r),
            px(y + 0.85 * r),
            px(x - 1.15 * r),
            px(y + 0.85 * r)
        ),
        3 => format!(
            "M{} {}L{} {}L{} {}L{} {}Z",
            px(x),
            px(y - 1.3 * r),
            px(x + 1.3 * r),
            px(y),
            px(x),
            px(y + 1.3 * r),
            px(x - 1.3 * r),
            px(y)
        ),
        _ => format!(
            "M{} {}L{} {}L{} {}Z",
            px(x),
            px(y + 1.25 * r),
            px(x + 1.15 * r),
            px(y - 0.85 * r),
            px(x - 1.15 * r),
            px(y - 0.85 * r)
        ),
    };
    html! { path d=(d) {} }
}

/// Moves labels apart until they are `gap` from each other; keeps their order. In and out: vertical positions.
pub fn spread(positions: &mut [f64], gap: f64) {
    let mut order: Vec<usize> = (0..positions.len()).collect();
    order.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]));
    for pair in 1..order.len() {
        let (above, below) = (order[pair - 1], order[pair]);
        let overlap = gap - (positions[below] - positions[above]);
        if overlap > 0.0 {
            positions[above] -= overlap / 2.0;
            positions[below] += overlap / 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 40.0, 5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(3.0, 3.0, 5), [3.0]);
        for (low, high) in [(0.0, 0.37), (12.0, 9000.0), (-1.0, 1.0), (0.0, f64::INFINITY)] {
            let ticks = ticks(low, high, 5);
            assert!(ticks.len() <= 7 && ticks.iter().all(|t| *t >= low - 1e-9 && *t <= high + 1e-9));
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_nothing_leaves_the_frame() {
        let frame = Frame::panel((0.0, 2.0));
        let d = frame.line([(0.0, 0.0), (1.0, f64::NAN), (2.0, 7.0)]);
        assert_eq!(d.matches('M').count(), 2);
        assert!(!d.contains("NaN"));
        assert_eq!(frame.py(7.0), frame.py(1.0));
    }

    #[test]
    fn labels_are_spread() {
        let mut at = [10.0, 12.0];
        spread(&mut at, 12.0);
        assert_eq!(at[1] - at[0], 12.0);
    }
}
