//! Values that pass between graders, submissions and the oracle: Python's plain data, written as JSON
//! with `$tuple`, `$set`, `$bytes`, `$float`, `$int` (beyond 64 bits) and `$dict` (keys that are no
//! strings) for what JSON lacks. Answers may also be a `$ratio` that is no float, an `$iterator`, or an `$object` of a class.
//!
//! Two values are the same when their Python types and contents are: `1`, `1.0` and `True` are three
//! different values. Dictionaries and sets ignore order; `nan` equals `nan`, `-0.0` equals `0.0`.

mod compare;
mod draw;
mod read;
mod write;
mod wrong;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;

pub(crate) use draw::Draw;
pub(crate) use write::quote;

/// How deeply a value may nest.
pub const MAX_DEPTH: usize = 64;
/// How many bytes of JSON one value may take.
pub const MAX_BYTES: usize = 8 << 20;

/// How many digits an integer may have: Python's own bound for one that is read from a text.
pub const MAX_DIGITS: usize = 4300;

/// One plain Python value.
#[derive(Debug, Clone)]
pub enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An `int` of at most 64 bits.
    Int(i64),
    /// An `int` beyond 64 bits, in decimal.
    Big(String),
    /// A `float`
    Float(f64),
    /// A `str`
    Str(String),
    /// A `bytes` or `bytearray`
    Bytes(Vec<u8>),
    /// A `list`
    List(Vec<Value>),
    /// A `tuple`
    Tuple(Vec<Value>),
    /// A `set` or `frozenset`, in no particular order
    Set(Vec<Value>),
    /// A `dict`, in insertion order
    Dict(Vec<(Value, Value)>),
    /// A `Fraction` or `Decimal` that is no whole number and no `float`, as `1/3`
    Ratio(String),
    /// What has no plain copy, by the name of its class: equal to nothing
    Object(String),
    /// A generator or another iterator, by what it gives: equal to nothing
    Iterator(Vec<Value>),
}

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a value, at byte {at}: {why}")]
pub struct ValueError {
    /// Where in the text.
    pub at: usize,
    /// What was wrong, and what to write instead.
    pub why: String,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}
impl Eq for Value {}

impl Value {
    /// The name of its class in Python.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Set(_) => "set",
            Value::Dict(_) => "dict",
            Value::Ratio(_) => "Fraction",
            Value::Object(_) => "object",
            Value::Iterator(_) => "iterator",
        }
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let own = std::mem::size_of::<Value>();
        own + match self {
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
            Value::Big(text) | Value::Str(text) | Value::Ratio(text) | Value::Object(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::Iterator(items) => {
                items.iter().map(Value::weight).sum()
            }
            Value::Dict(pairs) => pairs.iter().map(|(key, value)| key.weight() + value.weight()).sum(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_json()).map_err(S::Error::custom)?.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        Value::parse(raw.get()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::write::float_repr;
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::None),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            "[1-9][0-9]{20,40}".prop_map(Value::Big),
            any::<f64>().prop_map(Value::Float),
            ".{0,6}".prop_map(Value::Str),
            "\\$[a-z]{0,4}".prop_map(Value::Str),
            proptest::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let items = proptest::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                items.clone().prop_map(Value::List),
                items.clone().prop_map(Value::Tuple),
                items.clone().prop_map(Value::Set),
                proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn written_values_read_back(v in any_value()) {
            prop_assert_eq!(&Value::parse(&v.to_json()).unwrap(), &v);
            prop_assert_eq!(&Value::parse(&v.canonical()).unwrap(), &v);
            let through_serde: Value = serde_json::from_str(&serde_json::to_string(&v).unwrap()).unwrap();
            prop_assert_eq!(&through_serde, &v);
        }

        #[test]
        fn wrong_values_differ(v in any_value(), seed in any::<u64>()) {
            prop_assert_ne!(v.wrong(seed), v);
        }

        #[test]
        fn any_text_is_read_or_refused(s in "[\\[\\]{}:,\"\\\\$a-z0-9.eu-]{0,40}") {
            let _ = Value::parse(&s);
        }
    }

    #[test]
    fn types_count() {
        let p = |s| Value::parse(s).unwrap();
        assert_ne!(p("1"), p("1.0"));
        assert_ne!(p("1"), p("true"));
        assert_ne!(p("[1]"), p(r#"{"$tuple":[1]}"#));
        assert_eq!(p(r#"{"a":1,"b":2}"#), p(r#"{"b":2,"a":1}"#));
        assert_eq!(p(r#"{"$set":[1,2]}"#), p(r#"{"$set":[2,1,1]}"#));
        assert!(Value::parse("1e400").is_err());
    }

    #[test]
    fn floats_look_as_python_writes_them() {
        for (x, text) in [
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-2.5e300, "-2.5e+300"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float_repr(x), text);
        }
    }

    #[test]
    fn deep_and_broken_texts_are_refused() {
        for bad in [
            "[".repeat(100_000),
            "\"abc".into(),
            r#"{"$tuple":[1],"x":2}"#.into(),
            r#"{"$nope":1}"#.into(),
            r#""\ud800""#.into(),
            "01".into(),
            "1 2".into(),
        ] {
            assert!(Value::parse(&bad).is_err());
        }
    }
}
