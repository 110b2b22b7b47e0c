//! Writing values, as JSON and as Python.

use super::Value;
use std::fmt::Write as _;

impl Value {
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
            Value::Ratio(text) => {
                let _ = write!(out, "{{\"$ratio\":\"{text}\"}}");
            }
            Value::Object(name) => {
                out.push_str("{\"$object\":");
                quote(name, out);
                out.push('}');
            }
            Value::Iterator(items) => {
                out.push_str("{\"$iterator\":");
                write_list(items, out, sorted);
                out.push('}');
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
            Value::Ratio(text) => {
                let _ = write!(out, "__import__(\"fractions\").Fraction(\"{text}\")");
            }
            // It is equal to nothing all the same.
            Value::Object(_) => out.push_str("object()"),
            Value::Iterator(items) => {
                out.push_str("iter([");
                list(items, out);
                out.push_str("])");
            }
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
pub(super) fn float_repr(x: f64) -> String {
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

pub(super) const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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

impl Value {
    /// What Python's `print` shows.
    pub fn shown(&self) -> String {
        match self {
            Value::Str(s) => s.clone(),
            other => {
                let mut out = String::new();
                other.repr(&mut out);
                out
            }
        }
    }

    fn repr(&self, out: &mut String) {
        let list = |items: &[Value], out: &mut String| {
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                item.repr(out);
            }
        };
        match self {
            Value::Str(s) => {
                let mark = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
                let inner = s.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
                let inner = if mark == '\'' { inner.replace('\'', "\\'") } else { inner };
                let _ = write!(out, "{mark}{inner}{mark}");
            }
            Value::Float(x) if !x.is_finite() => {
                out.push_str(if x.is_nan() {
                    "nan"
                } else if *x < 0.0 {
                    "-inf"
                } else {
                    "inf"
                });
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
            Value::Set(items) if !items.is_empty() => {
                out.push('{');
                list(items, out);
                out.push('}');
            }
            Value::Dict(pairs) => {
                out.push('{');
                for (i, (k, v)) in pairs.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    k.repr(out);
                    out.push_str(": ");
                    v.repr(out);
                }
                out.push('}');
            }
            other => other.write_python(out),
        }
    }
}
