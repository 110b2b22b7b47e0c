//! How much there is of a value, and what the filters and methods that multiply would make.

use super::{DEEPEST, FUEL, LONGEST_VALUE, refuse, take};
use crate::python;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, State, Value, filters};

/// What an item takes besides its text.
const ITEM: usize = 24;

/// Gives an environment the looks that rebuilt templates contain, and its printer.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.set_fuel(Some(FUEL));
    environment.add_filter("__made", |value: Value| -> Result<Value, Error> {
        let value = flat(value)?;
        weigh(&value)?;
        Ok(value)
    });
    for (name, original) in [
        ("replace", Value::from_function(filters::replace)),
        ("join", Value::from_function(filters::join)),
        ("indent", Value::from_function(filters::indent)),
        ("format", Value::from_function(filters::format)),
        ("batch", Value::from_function(filters::batch)),
        ("slice", Value::from_function(filters::slice)),
    ] {
        environment.add_filter(name, move |state: &mut State, args: Rest<Value>| -> Result<Value, Error> {
            let args: Vec<Value> = args.0.into_iter().map(flat).collect::<Result<_, _>>()?;
            foresee(name, &args)?;
            counted(original.call(state, &args)?)
        });
    }
    environment.set_unknown_method_callback(|state, value, method, args| {
        let args: Vec<Value> = args.iter().cloned().map(flat).collect::<Result<_, _>>()?;
        match (method, args.first()) {
            // `sep.join(list)`; the filter has them the other way round.
            ("join", Some(list)) => foresee("join", &[list.clone(), value.clone()])?,
            ("replace" | "format", _) => {
                let whole: Vec<Value> = std::iter::once(value.clone()).chain(args.iter().cloned()).collect();
                foresee(method, &whole)?;
            }
            _ => {}
        }
        counted(minijinja_contrib::pycompat::unknown_method_callback(state, value, method, &args)?)
    });
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
            weigh(value)?;
            let text = python::repr(value)?;
            printed(text.len())?;
            out.write_str(&text).map_err(Error::from)
        }
        ValueKind::String => {
            printed(value.as_str().map_or(0, str::len))?;
            minijinja::escape_formatter(out, state, value)
        }
        ValueKind::Iterable => {
            printed(weigh(&flat(value.clone())?)?)?;
            minijinja::escape_formatter(out, state, value)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
}

fn printed(count: usize) -> Result<(), Error> {
    take(|left| &mut left.printed, count, "it prints more than 64 MiB")
}

/// Counts what a filter or method made.
fn counted(value: Value) -> Result<Value, Error> {
    let value = flat(value)?;
    take(|left| &mut left.made, weigh(&value)?, "it makes more than 1 GiB of texts")?;
    Ok(value)
}

/// A list instead of what would be worked out item by item, again and again.
fn flat(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    let (mut items, mut total) = (Vec::new(), 0);
    for item in value.try_iter()? {
        add(&item, 1, &mut total)?;
        items.push(item);
    }
    Ok(Value::from(items))
}

/// About how many bytes a value would take if it were printed, what occurs twice counted twice.
pub(super) fn weigh(value: &Value) -> Result<usize, Error> {
    let mut total = 0;
    add(value, 0, &mut total)?;
    Ok(total)
}

fn add(value: &Value, depth: usize, total: &mut usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refuse(format!("a value is nested deeper than {DEEPEST}")));
    }
    take(|left| &mut left.looks, 1, "it works through lists without end")?;
    *total += ITEM;
    match value.kind() {
        ValueKind::String => *total += value.as_str().map_or(0, str::len),
        ValueKind::Bytes => *total += value.as_bytes().map_or(0, <[u8]>::len),
        ValueKind::Seq => {
            for item in value.try_iter()? {
                add(&item, depth + 1, total)?;
            }
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                add(&key, depth + 1, total)?;
                add(&value.get_item(&key)?, depth + 1, total)?;
            }
        }
        _ => {}
    }
    if *total > LONGEST_VALUE {
        return Err(refuse(format!("it makes a value of more than {} MiB", LONGEST_VALUE >> 20)));
    }
    Ok(())
}

/// Refuses a call whose result would be too long, as far as that can be told from what it is given.
fn foresee(name: &str, args: &[Value]) -> Result<(), Error> {
    let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
    let length = |at: usize| text(at).len();
    let number = |value: &Value| value.as_i64().map_or(0, |n| usize::try_from(n).unwrap_or(0));
    // Numbers and texts that came by name are among these.
    let most = args.iter().map(|value| biggest(value, 0)).max().unwrap_or(0);
    let expected = match name {
        "replace" => {
            let found = if text(1).is_empty() { length(0) + 1 } else { text(0).matches(text(1)).count() };
            length(0).saturating_add(found.saturating_mul(length(2)))
        }
        "join" => {
            let count = args.first().and_then(Value::len).unwrap_or(0);
            args.first().map_or(Ok(0), weigh)?.saturating_add(count.saturating_mul(length(1)))
        }
        "indent" => length(0).saturating_add((text(0).matches('\n').count() + 1).saturating_mul(most)),
        "format" => {
            let places = text(0).matches(['%', '{']).count();
            length(0).saturating_add(places.saturating_mul(most.saturating_add(widest(text(0)))))
        }
        "batch" | "slice" => {
            let items = args.first().and_then(Value::len).unwrap_or(0).saturating_add(args.get(1).map_or(0, number));
            items.saturating_mul(ITEM.saturating_add(args.get(2).map_or(0, |fill| biggest(fill, 0))))
        }
        _ => 0,
    };
    if expected > LONGEST_VALUE {
        return Err(refuse(format!("`{name}` would make a value of more than {} MiB", LONGEST_VALUE >> 20)));
    }
    Ok(())
}

/// The length of a text, the size of a number, the most of what is in a list or a mapping.
fn biggest(value: &Value, depth: usize) -> usize {
    if depth > 3 {
        return LONGEST_VALUE;
    }
    let inner = |value: &Value| biggest(value, depth + 1);
    match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len),
        ValueKind::Number => value.as_i64().map_or(64, |n| usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX)),
        ValueKind::Map => value.try_iter().map_or(0, |keys| {
            keys.filter_map(|key| value.get_item(&key).ok()).map(|item| inner(&item)).max().unwrap_or(0)
        }),
        // A list may be printed whole.
        _ => weigh(value).unwrap_or(LONGEST_VALUE),
    }
}

/// The largest number written in a format.
fn widest(format: &str) -> usize {
    let numbers = format.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    numbers.map(|digits| digits.parse().unwrap_or(usize::MAX)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_foreseen() {
        assert_eq!(widest("%5d {:>2000} %99999999999999999999d"), usize::MAX);
        let text = |n: usize| Value::from("a".repeat(n));
        assert!(foresee("replace", &[text(1 << 20), text(1), text(32)]).is_err());
        assert!(foresee("replace", &[text(1 << 20), text(2), text(16)]).is_ok());
        assert!(foresee("join", &[Value::from(vec![1; 1 << 10]), text(1 << 15)]).is_err());
        assert!(foresee("indent", &[text(9), Value::from(1 << 30)]).is_err());
        assert!(foresee("format", &[Value::from("%9999999999d"), Value::from(1)]).is_err());
        assert!(foresee("format", &[Value::from("%*d"), Value::from(1 << 30), Value::from(1)]).is_err());
        assert!(weigh(&Value::from(vec![text(1 << 20); 17])).is_err());
    }
}
