//! What counts as a right answer where it is more than the expected one.

use serde::{Deserialize, Serialize};

/// How answers are compared with expected values. The default: as Python's `==` compares plain copies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// Numbers may differ by so much, absolutely or as a share of the expected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The outermost list may stand in any order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_order: bool,
    /// Upper and lower case, and white space at the ends and in its amount, do not count in texts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub loose_text: bool,
    /// Each expected value is a list of those that are accepted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_of: bool,
    /// Types count: `1`, `1.0` and `True` are three values, and a tuple is no list.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict_types: bool,
    /// Source that defines `check(args, expected, answer)`, which says whether an answer is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checker: Option<String>,
}

impl Compare {
    /// Whether nothing is asked for but the default.
    pub fn is_default(&self) -> bool {
        *self == Compare::default()
    }
}
