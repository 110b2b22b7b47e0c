//! Which answers are right: as Python's `==` compares plain copies, unless a task says otherwise.

use super::Value;
use crate::task::Compare;

impl Value {
    /// Whether this answer is right where `expected` is wanted. (A checker is asked elsewhere.)
    pub(crate) fn meets(&self, expected: &Value, compare: &Compare) -> bool {
        if let (true, Value::List(accepted)) = (compare.any_of, expected) {
            let one = Compare { any_of: false, ..compare.clone() };
            return accepted.iter().any(|value| self.meets(value, &one));
        }
        let (got, wanted) = match compare.loose_text {
            true => (&self.loose_text(), &expected.loose_text()),
            false => (self, expected),
        };
        let Some(tolerance) = compare.tolerance else {
            let text = |value: &Value| {
                let write = if compare.strict_types { Value::canonical } else { Value::as_python_compares };
                match value {
                    Value::List(items) if compare.any_order => {
                        let mut texts: Vec<String> = items.iter().map(write).collect();
                        texts.sort_unstable();
                        format!("[{}]", texts.join(","))
                    }
                    other => write(other),
                }
            };
            return !got.has_object() && text(got) == text(wanted);
        };
        match (got, wanted) {
            (Value::List(got), Value::List(wanted)) if compare.any_order => {
                let mut left: Vec<&Value> = wanted.iter().collect();
                got.len() == wanted.len()
                    && got.iter().all(|value| match left.iter().position(|w| value.near(w, tolerance)) {
                        Some(at) => {
                            left.swap_remove(at);
                            true
                        }
                        None => false,
                    })
            }
            _ => got.near(wanted, tolerance),
        }
    }

    /// Equal, but for numbers that differ by no more than a tolerance, absolutely or as a share.
    fn near(&self, other: &Value, tolerance: f64) -> bool {
        let all = |a: &[Value], b: &[Value]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.near(b, tolerance));
        match (self, other) {
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => all(a, b),
            (Value::Dict(a), Value::Dict(b)) => {
                let find = |key: &Value| {
                    let key = key.as_python_compares();
                    b.iter().find(|(other, _)| other.as_python_compares() == key)
                };
                a.len() == b.len() && a.iter().all(|(k, v)| find(k).is_some_and(|(_, w)| v.near(w, tolerance)))
            }
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) if a.is_finite() && b.is_finite() => (a - b).abs() <= tolerance * b.abs().max(1.0),
                _ => !self.has_object() && self.as_python_compares() == other.as_python_compares(),
            },
        }
    }

    /// A number, about.
    fn number(&self) -> Option<f64> {
        match self {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::Int(i) => Some(*i as f64),
            Value::Big(digits) => digits.parse().ok(),
            Value::Float(x) => Some(*x),
            Value::Ratio(text) => {
                let (over, under) = text.split_once('/')?;
                Some(over.parse::<f64>().ok()? / under.parse::<f64>().ok()?)
            }
            _ => None,
        }
    }

    /// Texts without their case and without white space that says nothing.
    fn loose_text(&self) -> Value {
        let all = |items: &[Value]| items.iter().map(Value::loose_text).collect();
        match self {
            Value::Str(text) => Value::Str(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()),
            Value::List(items) => Value::List(all(items)),
            Value::Tuple(items) => Value::Tuple(all(items)),
            Value::Set(items) => Value::Set(all(items)),
            Value::Dict(pairs) => Value::Dict(pairs.iter().map(|(k, v)| (k.loose_text(), v.loose_text())).collect()),
            other => other.clone(),
        }
    }

    /// Whether something in it is no plain value, and so equals nothing.
    pub(crate) fn has_object(&self) -> bool {
        match self {
            Value::Object(_) | Value::Iterator(_) => true,
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => items.iter().any(Value::has_object),
            Value::Dict(pairs) => pairs.iter().any(|(k, v)| k.has_object() || v.has_object()),
            _ => false,
        }
    }

    /// The one text of all values that Python's `==` holds for the same: `1`, `1.0` and `True` are one number.
    pub(crate) fn as_python_compares(&self) -> String {
        self.numbers_alike().canonical()
    }

    /// With every number that is whole as an `int`.
    pub(crate) fn numbers_alike(&self) -> Value {
        let all = |items: &[Value]| items.iter().map(Value::numbers_alike).collect();
        match self {
            Value::Bool(b) => Value::Int(i64::from(*b)),
            Value::Float(x) if x.is_finite() && x.fract() == 0.0 => {
                // All digits, as Python compares whole numbers exactly; there is no negative nought.
                let digits = format!("{:.0}", if *x == 0.0 { 0.0 } else { *x });
                digits.parse().map_or(Value::Big(digits), Value::Int)
            }
            Value::List(items) => Value::List(all(items)),
            Value::Tuple(items) => Value::Tuple(all(items)),
            Value::Set(items) => Value::Set(all(items)),
            Value::Dict(pairs) => {
                Value::Dict(pairs.iter().map(|(k, v)| (k.numbers_alike(), v.numbers_alike())).collect())
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::parse(text).unwrap()
    }

    fn meets(got: &str, expected: &str, compare: &Compare) -> bool {
        value(got).meets(&value(expected), compare)
    }

    #[test]
    fn plain_values_are_compared_as_python_compares_them() {
        let plain = Compare::default();
        for (a, b) in [
            ("1", "1.0"),
            ("true", "1"),
            ("false", "0.0"),
            ("[1,2.0]", "[true,2]"),
            (r#"{"$tuple":[1]}"#, r#"{"$tuple":[1.0]}"#),
            (r#"{"$set":[1,2]}"#, r#"{"$set":[2.0,true]}"#),
            (r#"{"$dict":[[1,"a"]]}"#, r#"{"$dict":[[1.0,"a"]]}"#),
            (r#"{"$int":"100000000000000000000"}"#, "1e20"),
            ("-0.0", "0"),
        ] {
            assert!(meets(a, b, &plain), "{a} {b}");
            assert!(!meets(a, b, &Compare { strict_types: true, ..Compare::default() }) || a == "-0.0", "{a} {b}");
        }
        for (a, b) in [
            ("1", "2"),
            ("\"1\"", "1"),
            ("[1]", r#"{"$tuple":[1]}"#),
            ("null", "0"),
            ("null", "false"),
            (r#"{"$ratio":"1/3"}"#, "0.3333333333333333"),
            (r#"{"$object":"solution.A"}"#, r#"{"$object":"solution.A"}"#),
            ("9007199254740993", "9007199254740992.0"),
        ] {
            assert!(!meets(a, b, &plain), "{a} {b}");
        }
        assert!(meets(r#"{"$ratio":"1/3"}"#, r#"{"$ratio":"1/3"}"#, &plain));
    }

    #[test]
    fn what_a_task_allows_is_right() {
        let near = Compare { tolerance: Some(1e-3), ..Compare::default() };
        assert!(meets("[0.3334, 1]", "[0.3333, 1.0]", &near) && !meets("[0.34]", "[0.3333]", &near));
        assert!(meets("1000000.5", "1000000.0", &near) && !meets("\"1\"", "1", &near));
        let order = Compare { any_order: true, ..Compare::default() };
        assert!(meets("[1,[2],3]", "[3,1,[2]]", &order) && !meets("[1,1,2]", "[1,2,2]", &order));
        let both = Compare { tolerance: Some(0.1), any_order: true, ..Compare::default() };
        assert!(meets("[1.01, 2]", "[2.01, 1]", &both) && !meets("[1, 1]", "[1, 2]", &both));
        let text = Compare { loose_text: true, ..Compare::default() };
        assert!(meets("\" Yes  sir\\n\"", "\"yes SIR\"", &text) && !meets("\"no\"", "\"yes\"", &text));
        let any = Compare { any_of: true, ..Compare::default() };
        assert!(meets("2", "[1, 2.0]", &any) && !meets("3", "[1, 2]", &any));
    }
}
