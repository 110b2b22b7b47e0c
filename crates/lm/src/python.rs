//! How Python writes values: chat templates were made for it, and a prompt must be the same to the character.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use std::fmt::Write as _;

/// Options of `json.dumps`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Json {
    pub indent: Option<usize>,
    pub ensure_ascii: bool,
    pub sort_keys: bool,
}

/// Longest text that is written, in bytes.
const LONGEST: usize = 64 << 20;

/// What `json.dumps` writes.
pub(crate) fn json(value: &Value, style: Json) -> Result<String, Error> {
    let mut out = String::new();
    write_json(value, style, 0, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, style: Json, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > 200 || out.len() > LONGEST {
        let what = if depth > 200 { "nested too deeply" } else { "longer than 64 MiB" };
        return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}")));
    }
    // One item of a list or an object, with what stands before it.
    let item = |out: &mut String, first: bool| {
        match (first, style.indent) {
            (true, None) => {}
            (false, None) => out.push_str(", "),
            (_, Some(_)) if !first => out.push_str(",\n"),
            _ => out.push('\n'),
        }
        if let Some(indent) = style.indent {
            out.push_str(&" ".repeat(indent * (depth + 1)));
        }
    };
    let close = |out: &mut String, empty: bool| {
        if let (false, Some(indent)) = (empty, style.indent) {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value, ["NaN", "Infinity", "-Infinity"])),
        ValueKind::String => text(value.as_str().unwrap_or_default(), style.ensure_ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for element in value.try_iter()? {
                item(out, empty);
                write_json(&element, style, depth + 1, out)?;
                empty = false;
            }
            close(out, empty);
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            out.push('{');
            let mut empty = true;
            for key in keys {
                item(out, empty);
                match key.as_str() {
                    Some(key) => text(key, style.ensure_ascii, out),
                    // Python turns numbers, true, false and null into texts.
                    None => {
                        out.push('"');
                        write_json(&key, style, depth + 1, out)?;
                        out.push('"');
                    }
                }
                out.push_str(": ");
                write_json(&value.get_item(&key)?, style, depth + 1, out)?;
                empty = false;
            }
            close(out, empty);
            out.push('}');
        }
        other => {
            let what = format!("tojson: a value of kind {other} has no JSON form");
            return Err(Error::new(ErrorKind::InvalidOperation, what));
        }
    }
    Ok(())
}

fn text(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ensure_ascii && !(' '..='~').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What `repr` makes of a value. Texts, true, false and none are written by the template engine as Python writes them.
pub(crate) fn repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(value, 0, &mut out)?;
    Ok(out)
}

fn write_repr(value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > 200 {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply to be printed"));
    }
    match value.kind() {
        ValueKind::Number => out.push_str(&number(value, ["nan", "inf", "-inf"])),
        ValueKind::Seq => {
            let [open, close] = if value.is_tuple() { ["(", ")"] } else { ["[", "]"] };
            out.push_str(open);
            let mut count = 0;
            for element in value.try_iter()? {
                out.push_str(if count > 0 { ", " } else { "" });
                write_repr(&element, depth + 1, out)?;
                count += 1;
            }
            out.push_str(if count == 1 && value.is_tuple() { "," } else { "" });
            out.push_str(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_repr(&key, depth + 1, out)?;
                out.push_str(": ");
                write_repr(&value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        // Writing to a text cannot fail.
        _ => drop(write!(out, "{value:?}")),
    }
    Ok(())
}

/// What `str` makes of a number; the names are for what is not finite.
pub(crate) fn number(value: &Value, [nan, inf, minus_inf]: [&str; 3]) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(x) if x.is_nan() => nan.into(),
        Ok(f64::INFINITY) => inf.into(),
        Ok(f64::NEG_INFINITY) => minus_inf.into(),
        Ok(x) => float(x),
        Err(_) => value.to_string(),
    }
}

/// `repr` of a finite float: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16 on.
fn float(x: f64) -> String {
    let digits = format!("{x:e}");
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = x.to_string();
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `strftime` of a moment, given in seconds since 1970, in UTC and English.
pub(crate) fn strftime(format: &str, seconds: i64) -> Result<String, Error> {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // Howard Hinnant's days-to-civil: years begin in March, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let day_of_year = before + day + i64::from(leap && month > 2);
    let month_name = MONTHS[month as usize - 1];
    let day_name = DAYS[(days + 3).rem_euclid(7) as usize];
    let twelve = (hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut code = chars.next();
        // `%-d`: without the zero, as the C library of Linux has it.
        let bare = code == Some('-');
        if bare {
            code = chars.next();
        }
        let padded = |x: i64, width: usize| if bare { x.to_string() } else { format!("{x:0width$}") };
        let part = match code {
            Some('Y') => year.to_string(),
            Some('y') => padded(year.rem_euclid(100), 2),
            Some('m') => padded(month, 2),
            Some('d') => padded(day, 2),
            Some('e') => {
                if bare {
                    day.to_string()
                } else {
                    format!("{day:2}")
                }
            }
            Some('H') => padded(hour, 2),
            Some('I') => padded(twelve, 2),
            Some('M') => padded(minute, 2),
            Some('S') => padded(second, 2),
            Some('j') => padded(day_of_year, 3),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.into(),
            Some('B') => month_name.into(),
            Some('b' | 'h') => month_name[..3].into(),
            Some('A') => day_name.into(),
            Some('a') => day_name[..3].into(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Z' | 'z') => String::new(),
            Some('%') => "%".into(),
            other => {
                let code = other.map(String::from).unwrap_or_default();
                let what = format!("strftime_now: the code %{code} is not supported");
                return Err(Error::new(ErrorKind::InvalidOperation, what));
            }
        };
        out.push_str(&part);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_as_python_writes_them() {
        for (x, want) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5e-5, "-2.5e-05"),
            (1e-4, "0.0001"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (123_456_789.125, "123456789.125"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(float(x), want);
        }
        assert_eq!(json(&Value::from(f64::NAN), Json::default()).unwrap(), "NaN");
    }

    #[test]
    fn moments_are_as_python_writes_them() {
        for (seconds, want) in [
            (0, "1970-01-01 Thu Thursday 00 12 AM 001"),
            (951_827_696, "2000-02-29 Tue Tuesday 12 12 PM 060"),
            (1_735_689_599, "2024-12-31 Tue Tuesday 23 11 PM 366"),
            (4_102_444_800, "2100-01-01 Fri Friday 00 12 AM 001"),
            (-1, "1969-12-31 Wed Wednesday 23 11 PM 365"),
        ] {
            assert_eq!(strftime("%Y-%m-%d %a %A %H %I %p %j", seconds).unwrap(), want);
        }
        assert_eq!(strftime("%d %b %Y, %-d %B %y 100%%", 951_827_696).unwrap(), "29 Feb 2000, 29 February 00 100%");
        assert!(strftime("%Q", 0).is_err());
    }
}
