//! Values that pass between graders, submissions and the oracle: Python's plain data, written as JSON
//! with `$tuple`, `$set`, `$bytes`, `$float`, `$int` (beyond 64 bits) and `$dict` (keys that are no
//! strings) for what JSON lacks.
//!
//! Two values are equal when their Python types and contents are: `1`, `1.0` and `True` are three
//! different values. Dictionaries and sets ignore order; `nan` equals `nan`, `-0.0` equals `0.0`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;
use std::fmt::Write as _;

/// How deeply a value may nest.
pub const MAX_DEPTH: usize = 64;
/// How many bytes of JSON one value may take.
pub const MAX_BYTES: usize = 8 << 20;

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
    /// Reads the JSON form, at most [`MAX_BYTES`] long and [`MAX_DEPTH`] deep.
    pub fn parse(text: &str) -> Result<Value, ValueError> {
        if text.len() > MAX_BYTES {
            return Err(ValueError { at: MAX_BYTES, why: format!("longer than {MAX_BYTES} bytes") });
        }
        let mut p = Parser { text, bytes: text.as_bytes(), at: 0 };
        let value = p.value(0)?;
        p.space();
        if p.at < p.bytes.len() {
            return Err(p.error("something follows the value"));
        }
        Ok(value)
    }

    /// The one JSON text that all equal values share (sorted keys, no spaces).
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    /// JSON that keeps the order of dictionaries, as they matter in arguments.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        out
    }

    fn write(&self, out: &mut String, sorted: bool) {
        match self {
            Value::None => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(i) => {
                let _ = write!(out, "{i}");
            }
            Value::Big(digits) => {
                let _ = write!(out, "{{\"$int\":\"{digits}\"}}");
            }
            Value::Float(x) if x.is_nan() => out.push_str("{\"$float\":\"nan\"}"),
            Value::Float(x) if x.is_infinite() => {
                let sign = if *x < 0.0 { "-" } else { "" };
                {
                    let _ = write!(out, "{{\"$float\":\"{sign}inf\"}}");
                }
            }
            Value::Float(x) if sorted && *x == 0.0 => out.push_str("0.0"),
            Value::Float(x) => out.push_str(&float_repr(*x)),
            Value::Str(s) => quote(s, out),
            Value::Bytes(b) => {
                let _ = write!(out, "{{\"$bytes\":\"{}\"}}", base64(b));
            }
            Value::List(items) => write_list(items, out, sorted),
            Value::Tuple(items) => {
                out.push_str("{\"$tuple\":");
                write_list(items, out, sorted);
                out.push('}');
            }
            Value::Set(items) => {
                // Sorted in both forms: a set has no order to keep.
                let mut texts: Vec<String> = items.iter().map(Value::canonical).collect();
                texts.sort_unstable();
                texts.dedup();
                {
                    let _ = write!(out, "{{\"$set\":[{}]}}", texts.join(","));
                }
            }
            Value::Dict(pairs) => {
                let plain = |k: &Value| matches!(k, Value::Str(s) if !s.starts_with('$'));
                let tagged = !pairs.iter().all(|(k, _)| plain(k));
                let mut texts: Vec<(String, String)> = pairs
                    .iter()
                    .map(|(k, v)| {
                        let (mut a, mut b) = (String::new(), String::new());
                        k.write(&mut a, sorted);
                        v.write(&mut b, sorted);
                        (a, b)
                    })
                    .collect();
                if sorted {
                    texts.sort_unstable();
                }
                out.push_str(if tagged { "{\"$dict\":[" } else { "{" });
                for (i, (k, v)) in texts.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    let _ = if tagged { write!(out, "{comma}[{k},{v}]") } else { write!(out, "{comma}{k}:{v}") };
                }
                out.push_str(if tagged { "]}" } else { "}" });
            }
        }
    }

    /// A Python expression that makes this value.
    pub fn python(&self) -> String {
        let mut out = String::new();
        self.write_python(&mut out);
        out
    }

    pub(crate) fn write_python(&self, out: &mut String) {
        let list = |items: &[Value], out: &mut String| {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                item.write_python(out);
            }
        };
        match self {
            Value::None => out.push_str("None"),
            Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Value::Big(digits) => out.push_str(digits),
            Value::Float(x) if !x.is_finite() => {
                let sign = if *x < 0.0 { "-" } else { "" };
                let name = if x.is_nan() { "nan" } else { "inf" };
                {
                    let _ = write!(out, "float(\"{sign}{name}\")");
                }
            }
            Value::Bytes(bytes) => {
                out.push_str("b\"");
                for b in bytes {
                    {
                        let _ = write!(out, "\\x{b:02x}");
                    }
                }
                out.push('"');
            }
            Value::List(items) => {
                out.push('[');
                list(items, out);
                out.push(']');
            }
            Value::Tuple(items) => {
                out.push('(');
                list(items, out);
                out.push_str(if items.len() == 1 { ",)" } else { ")" });
            }
            Value::Set(items) if items.is_empty() => out.push_str("set()"),
            Value::Set(items) => {
                out.push('{');
                list(items, out);
                out.push('}');
            }
            Value::Dict(pairs) => {
                out.push('{');
                for (i, (k, v)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    k.write_python(out);
                    out.push_str(": ");
                    v.write_python(out);
                }
                out.push('}');
            }
            // JSON's numbers and strings are Python's.
            Value::Int(_) | Value::Float(_) | Value::Str(_) => self.write(out, false),
        }
    }

    /// Another value of the same type: what the mutation run expects in this one's place.
    pub fn wrong(&self) -> Value {
        match self {
            Value::None => Value::Int(0),
            Value::Bool(b) => Value::Bool(!b),
            Value::Int(i) => Value::Int(i.wrapping_add(1)),
            Value::Big(digits) => Value::Big(format!("{digits}1")),
            Value::Float(x) if x.is_finite() && x + 1.0 != *x => Value::Float(x + 1.0),
            Value::Float(_) => Value::Float(0.5),
            Value::Str(s) => Value::Str(format!("{s}x")),
            Value::Bytes(b) => Value::Bytes([b.as_slice(), b"x"].concat()),
            Value::List(items) => Value::List(wrong_first(items)),
            Value::Tuple(items) => Value::Tuple(wrong_first(items)),
            Value::Set(items) => {
                let mut more = items.clone();
                // A string: Python holds 0, 0.0 and False for the same element.
                let fresh = (0..).map(|k| Value::Str(format!("wrong{k}")));
                let fresh = { fresh }.find(|v| !items.contains(v));
                more.extend(fresh);
                Value::Set(more)
            }
            Value::Dict(pairs) => {
                let mut pairs = pairs.clone();
                match pairs.first_mut() {
                    Some((_, v)) => *v = v.wrong(),
                    None => pairs.push((Value::Str("wrong".into()), Value::Int(0))),
                }
                Value::Dict(pairs)
            }
        }
    }
}

fn wrong_first(items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    match items.first_mut() {
        Some(first) => *first = first.wrong(),
        None => items.push(Value::Int(0)),
    }
    items
}

fn write_list(items: &[Value], out: &mut String, sorted: bool) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item.write(out, sorted);
    }
    out.push(']');
}

/// Python's `repr` of a finite float: the shortest digits that read back, an exponent from 1e16 on.
fn float_repr(x: f64) -> String {
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        plain_repr(x)
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

fn plain_repr(x: f64) -> String {
    let text = format!("{x}");
    if text.contains('.') { text } else { text + ".0" }
}

/// A string literal that is both JSON and Python.
pub(crate) fn quote(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(ALPHABET[(word >> (18 - 6 * i) & 63) as usize] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let (mut out, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for c in body.bytes() {
        word = word << 6 | ALPHABET.iter().position(|a| *a == c)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn error(&self, why: &str) -> ValueError {
        ValueError { at: self.at, why: why.into() }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, c: u8) -> bool {
        self.space();
        let found = self.bytes.get(self.at) == Some(&c);
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, c: u8) -> Result<(), ValueError> {
        if self.eat(c) { Ok(()) } else { Err(self.error(&format!("expected `{}`", c as char))) }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ValueError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.error(&format!("expected `{word}`")))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, ValueError> {
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("nested deeper than {MAX_DEPTH}")));
        }
        self.space();
        match self.bytes.get(self.at) {
            Some(b'n') => self.word("null", Value::None),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => Ok(Value::Str(self.string()?)),
            Some(b'[') => Ok(Value::List(self.list(depth)?)),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("no JSON value begins like this")),
            None => Err(self.error("the text ends where a value should be")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, ValueError> {
        self.need(b'[')?;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.eat(b',') {
                self.need(b']')?;
                return Ok(items);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ValueError> {
        let start = self.at;
        self.need(b'{')?;
        let mut pairs: Vec<(String, Value)> = Vec::new();
        if self.eat(b'}') {
            return Ok(Value::Dict(Vec::new()));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.need(b':')?;
            let value = self.value(depth + 1)?;
            pairs.push((key, value));
            if !self.eat(b',') {
                self.need(b'}')?;
                break;
            }
        }
        if !pairs.iter().any(|(k, _)| k.starts_with('$')) {
            let pairs = pairs.into_iter().map(|(k, v)| (Value::Str(k), v));
            return Ok(Value::Dict(pairs.collect()));
        }
        let end = std::mem::replace(&mut self.at, start);
        if pairs.len() != 1 {
            return Err(self.error("a key beginning with `$` must stand alone (use `$dict`)"));
        }
        let (tag, inner) = pairs.swap_remove(0);
        let value = self.tagged(&tag, inner)?;
        self.at = end;
        Ok(value)
    }

    fn tagged(&self, tag: &str, inner: Value) -> Result<Value, ValueError> {
        let wrong = |what: &str| Err(self.error(&format!("`{tag}` holds {what}")));
        match (tag, inner) {
            ("$tuple", Value::List(items)) => Ok(Value::Tuple(items)),
            ("$set", Value::List(items)) => Ok(Value::Set(items)),
            ("$tuple" | "$set", _) => wrong("a list"),
            ("$bytes", Value::Str(text)) => match unbase64(&text) {
                Some(bytes) => Ok(Value::Bytes(bytes)),
                None => wrong("base64 with padding"),
            },
            ("$float", Value::Str(text)) => match text.as_str() {
                "nan" => Ok(Value::Float(f64::NAN)),
                "inf" => Ok(Value::Float(f64::INFINITY)),
                "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
                _ => wrong("\"nan\", \"inf\" or \"-inf\""),
            },
            ("$int", Value::Str(text)) => match integer(&text) {
                Some(value) => Ok(value),
                None => wrong("a whole number in decimal, as a string"),
            },
            ("$dict", Value::List(items)) => {
                let mut pairs = Vec::with_capacity(items.len());
                for item in items {
                    match item {
                        Value::List(mut kv) if kv.len() == 2 => {
                            let v = kv.remove(1);
                            pairs.push((kv.remove(0), v));
                        }
                        _ => return wrong("a list of [key, value]"),
                    }
                }
                Ok(Value::Dict(pairs))
            }
            ("$bytes" | "$float" | "$int" | "$dict", _) => wrong("something else"),
            _ => Err(self.error(&format!("unknown tag `{tag}`; known: $tuple $set $bytes $float $int $dict"))),
        }
    }

    fn number(&mut self) -> Result<Value, ValueError> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if let Some(value) = integer(text) {
            return Ok(value);
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() && text.contains(['.', 'e', 'E']) => Ok(Value::Float(x)),
            _ => Err(self.error(&format!("`{text}` is no number"))),
        }
    }

    fn string(&mut self) -> Result<String, ValueError> {
        self.need(b'"')?;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(['"', '\\']) else {
                return Err(self.error("the string does not end"));
            };
            out.push_str(&rest[..stop]);
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(out);
            }
            let escape = self.bytes.get(self.at).copied();
            self.at += 1;
            out.push(match escape {
                Some(c @ (b'"' | b'\\' | b'/')) => c as char,
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'u') => self.unicode()?,
                _ => return Err(self.error("unknown escape in a string")),
            });
        }
    }

    fn hex(&mut self) -> Result<u32, ValueError> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        self.at += 4;
        code.ok_or_else(|| self.error("`\\u` needs four hexadecimal digits"))
    }

    fn unicode(&mut self) -> Result<char, ValueError> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.bytes[self.at.min(self.bytes.len())..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
        }
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }
}

/// A decimal integer, without leading zeros, as JSON writes it.
fn integer(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !whole || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some(match text.parse::<i64>() {
        Ok(i) => Value::Int(i),
        Err(_) => Value::Big(text.into()),
    })
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
        fn wrong_values_differ(v in any_value()) {
            prop_assert_ne!(v.wrong(), v);
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
