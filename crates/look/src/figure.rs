//! One number as it is told: with its interval, what it stands on, and its control.

use loophole_stats::{Mean, jeffreys};
use serde::Serialize;

/// A value with its 95 % interval. What was not measured is not a number, and `null` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The estimate.
    pub value: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What it stands on: samples, or pairs, or prompts, as the table says.
    pub n: usize,
    /// The same measured with what should show nothing: a random direction of equal length, random factors of equal
    /// strength, labels by coin. Not a number where there is none.
    pub control: f64,
}

impl Figure {
    /// Nothing was measured.
    pub const NONE: Figure = Figure { value: f64::NAN, low: f64::NAN, high: f64::NAN, n: 0, control: f64::NAN };

    /// A value without an interval.
    pub fn bare(value: f64, n: usize) -> Self {
        Figure { value, n, ..Figure::NONE }
    }

    /// A rate of events among trials that are independent of each other.
    pub fn rate(events: u64, trials: u64) -> Self {
        if trials == 0 {
            return Figure::NONE;
        }
        let held = jeffreys(events, trials);
        let value = events as f64 / trials as f64;
        Figure { value, low: held.low, high: held.high, n: trials as usize, control: f64::NAN }
    }

    /// The same with this control beside it.
    #[must_use]
    pub fn beside(self, control: f64) -> Self {
        Figure { control, ..self }
    }

    /// Whether it was measured.
    pub fn known(&self) -> bool {
        self.value.is_finite()
    }
}

impl From<Mean> for Figure {
    fn from(mean: Mean) -> Self {
        Figure { value: mean.mean, low: mean.low, high: mean.high, n: mean.n, control: f64::NAN }
    }
}
