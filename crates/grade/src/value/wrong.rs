//! Wrong values: what the mutation run expects in place of the right ones.
//!
//! They have the right one's type and shape, and are drawn, so that a submission that reads them cannot tell that
//! they are wrong. No comparison of Python's holds between a value and its wrong one.

use super::{Draw, Value};
use crate::task::Compare;

impl Value {
    /// Another value of the same type.
    pub fn wrong(&self, seed: u64) -> Value {
        self.wrong_drawn(&mut Draw::new(seed))
    }

    /// Another value that the task does not accept in this one's place.
    pub(crate) fn not_accepted(&self, compare: &Compare, seed: u64) -> Value {
        let one = Compare { any_of: false, ..compare.clone() };
        for more in 0..20 {
            let seed = seed.wrapping_add(more << 32);
            let wrong = match self {
                Value::List(accepted) if compare.any_of => {
                    Value::List(accepted.iter().map(|value| value.wrong(seed)).collect())
                }
                other => other.wrong(seed),
            };
            let accepted = match &wrong {
                Value::List(values) if compare.any_of => values.iter().any(|value| value.meets(self, compare)),
                other => other.meets(self, &one),
            };
            if !accepted {
                return wrong;
            }
        }
        let never = Value::Str("\u{0}none".into());
        if compare.any_of { Value::List(vec![never]) } else { never }
    }

    fn wrong_drawn(&self, draw: &mut Draw) -> Value {
        match self {
            Value::None => Value::Int(draw.below(3) as i64),
            Value::Bool(b) => Value::Bool(!b),
            Value::Int(i) => Value::Int(i.wrapping_add(1 + draw.below(9) as i64)),
            Value::Big(digits) => Value::Big(format!("{digits}{}", draw.below(10))),
            Value::Float(x) => {
                let other = x + 1.0 + draw.below(9) as f64;
                Value::Float(if x.is_finite() && other != *x { other } else { 0.5 })
            }
            Value::Ratio(_) => Value::Int(draw.below(9) as i64),
            Value::Object(_) | Value::Iterator(_) => Value::None,
            Value::Str(s) => Value::Str(wrong_text(s, draw)),
            Value::Bytes(b) => {
                let mut b = b.clone();
                match b.len() {
                    0 => b.push(draw.below(256) as u8),
                    n => {
                        let at = draw.below(n as u64) as usize;
                        b[at] = b[at].wrapping_add(1 + draw.below(200) as u8);
                    }
                }
                Value::Bytes(b)
            }
            Value::List(items) => Value::List(wrong_item(items, draw)),
            Value::Tuple(items) => Value::Tuple(wrong_item(items, draw)),
            Value::Set(items) => {
                let mut more = items.clone();
                let numbers: Option<Vec<i64>> =
                    items.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect();
                // Of mixed sets a string: Python holds 0, 0.0 and False for the same element.
                more.push(match numbers.and_then(|n| n.into_iter().max()).and_then(|n| n.checked_add(1)) {
                    Some(next) => Value::Int(next),
                    None => fresh_text(draw, |s| items.contains(&Value::Str(s.into()))),
                });
                Value::Set(more)
            }
            Value::Dict(pairs) => {
                let mut pairs = pairs.clone();
                match pairs.len() {
                    0 => pairs.push((Value::Str(letter(draw).into()), Value::Int(draw.below(9) as i64))),
                    n => {
                        let at = draw.below(n as u64) as usize;
                        pairs[at].1 = pairs[at].1.wrong_drawn(draw);
                    }
                }
                Value::Dict(pairs)
            }
        }
    }
}

fn letter(draw: &mut Draw) -> char {
    char::from(b'a' + draw.below(26) as u8)
}

fn fresh_text(draw: &mut Draw, taken: impl Fn(&str) -> bool) -> Value {
    let mut text = letter(draw).to_string();
    while taken(&text) {
        text.push(letter(draw));
    }
    Value::Str(text)
}

fn wrong_item(items: &[Value], draw: &mut Draw) -> Vec<Value> {
    let mut items = items.to_vec();
    match items.len() {
        0 => items.push(Value::Int(draw.below(9) as i64)),
        n => {
            let at = draw.below(n as u64) as usize;
            items[at] = items[at].wrong_drawn(draw);
        }
    }
    items
}

/// One character changed for another of its kind.
fn wrong_text(text: &str, draw: &mut Draw) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let visible: Vec<usize> = (0..chars.len()).filter(|i| !chars[*i].is_whitespace()).collect();
    if visible.is_empty() {
        chars.push(letter(draw));
        return chars.into_iter().collect();
    }
    let at = visible[draw.below(visible.len() as u64) as usize];
    let old = chars[at];
    let turn = |first: char, n: u64, by: u64| {
        let place = (old as u64 - first as u64 + by) % n;
        char::from(first as u8 + place as u8)
    };
    chars[at] = match old {
        'a'..='z' => turn('a', 26, 1 + draw.below(25)),
        'A'..='Z' => turn('A', 26, 1 + draw.below(25)),
        '0'..='9' => turn('0', 10, 1 + draw.below(9)),
        _ => letter(draw),
    };
    chars.into_iter().collect()
}
