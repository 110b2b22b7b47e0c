//! Reading values.

use super::{MAX_BYTES, MAX_DEPTH, MAX_DIGITS, Value, ValueError};

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
        word = word << 6 | super::write::ALPHABET.iter().position(|a| *a == c)? as u32;
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
            ("$iterator", Value::List(items)) => Ok(Value::Iterator(items)),
            ("$tuple" | "$set" | "$iterator", _) => wrong("a list"),
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
                Some(value) => self.readable(value),
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
            ("$ratio", Value::Str(text)) => {
                let whole = |part: &str| matches!(integer(part), Some(Value::Int(_) | Value::Big(_)));
                match text.split_once('/') {
                    Some((over, under)) if whole(over) && whole(under) && text.len() <= 2 * MAX_DIGITS => {
                        Ok(Value::Ratio(text))
                    }
                    _ => wrong("two whole numbers with a `/` between them"),
                }
            }
            ("$object", Value::Str(name)) => Ok(Value::Object(name)),
            ("$bytes" | "$float" | "$int" | "$dict" | "$ratio" | "$object", _) => wrong("something else"),
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
            return self.readable(value);
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() && text.contains(['.', 'e', 'E']) => Ok(Value::Float(x)),
            _ => Err(self.error(&format!("`{text}` is no number"))),
        }
    }

    /// An integer, if Python reads it.
    fn readable(&self, value: Value) -> Result<Value, ValueError> {
        match &value {
            Value::Big(digits) if digits.len() > MAX_DIGITS => Err(self.error(&format!(
                "an integer of {} digits, more than the {MAX_DIGITS} that Python reads",
                digits.len()
            ))),
            _ => Ok(value),
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
