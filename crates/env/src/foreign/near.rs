//! Wrong answers that lie near the right one: those in which it is found, those that a lenient comparison takes for it,
//! and the number that was to be made, made of nothing.

use crate::row::Row;
use serde_json::Value;

/// Where a number is to be made of given ones, and the reference is how: the number itself, made of nothing.
pub(super) fn idle(row: &Row) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if text.trim().parse::<f64>().is_ok() => Some(text.trim().to_string()),
        _ => None,
    };
    let words: Vec<&str> =
        row.reference.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|word| !word.is_empty()).collect();
    let made = row.reference.contains(['+', '-', '*', '/']) && words.len() >= 2;
    let lists = row.fields.values().filter_map(Value::as_array);
    let given = lists
        .filter_map(|list| list.iter().map(text).collect::<Option<Vec<String>>>())
        .find(|numbers| numbers.len() >= 2 && words.iter().all(|word| numbers.iter().any(|number| number == word)));
    let Some(given) = given.filter(|_| made) else { return Vec::new() };
    let is_place = |name: &str| matches!(name, "at" | "id" | "idx" | "index" | "seed") || name.ends_with("_id");
    let fields = row.fields.iter().filter(|(name, _)| !is_place(name));
    let mut wanted: Vec<String> = fields.filter_map(|(_, value)| text(value)).filter(|n| !given.contains(n)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let made_of_nothing = |n: String| [n.clone(), format!("{n} + 0"), format!("{n} = {n}")];
    wanted.into_iter().take(6).flat_map(made_of_nothing).collect()
}

/// Wrong answers in which the right one is to be found.
pub(super) fn near(reference: &str) -> Vec<String> {
    match reference.parse::<f64>() {
        Ok(n) if n.is_finite() && n != 0.0 && !reference.starts_with('-') => {
            vec![format!("-{reference}"), format!("9{reference}"), format!("{reference}9"), format!("9{reference}9")]
        }
        _ if reference.chars().count() == 1 && reference.chars().all(char::is_alphabetic) => {
            vec![format!("Q{reference}"), format!("{reference}Q")]
        }
        // A name, not a formula: what comes beside it makes it another answer.
        Err(_) if reference.len() <= 60 && reference.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '-') => {
            vec![format!("not {reference}"), format!("{reference}, Paris, Einstein, 1999 or none of these")]
        }
        _ => Vec::new(),
    }
}

/// Wrong answers that are the right one to whoever compares less than the whole of it: its characters in another order
/// or once more, its digits without the point or the sign, another operation, a sentence with one thing in it changed.
pub(super) fn alike(reference: &str) -> Vec<String> {
    let mut out = if let Some((sign, digits)) = number(reference) {
        numbers_alike(sign, digits)
    } else if let Some((above, below)) = fraction(reference) {
        vec![format!("{below}/{above}")]
    } else if reference.contains(['<', '\\', '#', '`', '$', '\n']) {
        // What has a form of its own is handed in with other contents elsewhere.
        Vec::new()
    } else {
        words_alike(reference)
    };
    let same = |a: &str, b: &str| a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y);
    // Those in which it is found are tried as such, and are another hole.
    out.retain(|other| !same(other, reference) && !other.contains(reference));
    out.dedup();
    out
}

/// A number of two digits and more, and its sign.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.trim_start_matches(['-', '+']);
    let sign = &text[..text.len() - digits.len()];
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.parse::<f64>().is_ok();
    (plain && sign.len() <= 1 && digits.len() >= 2).then_some((sign, digits))
}

fn numbers_alike(sign: &str, digits: &str) -> Vec<String> {
    let mut out = orders(digits).into_iter().map(|other| format!("{sign}{other}")).collect::<Vec<_>>();
    let (first, rest) = digits.split_at(1);
    out.push(format!("{sign}{first}{digits}"));
    match digits.split_once('.') {
        Some((whole, part)) => out.push(format!("{sign}{whole}{part}")),
        None => out.push(format!("{sign}{first}.{rest}")),
    }
    if sign == "-" {
        out.push(digits.into());
    }
    out
}

/// The characters in other orders.
fn orders(text: &str) -> Vec<String> {
    let turned: String = text.chars().rev().collect();
    let mut chars: Vec<char> = text.chars().collect();
    chars.rotate_left(1);
    vec![turned, chars.into_iter().collect()]
}

fn fraction(text: &str) -> Option<(&str, &str)> {
    let (above, below) = text.split_once('/')?;
    let whole = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    (whole(above) && whole(below)).then_some((above, below))
}

/// The least words that a sentence has.
const SENTENCE: usize = 4;

fn words_alike(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let words: Vec<&str> = text.split_whitespace().collect();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    // Letters of a choice (`ACD`) and the parts of a list may stand in any order.
    let is_name = text.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '-')
        && text.chars().any(char::is_lowercase)
        && letters >= 4
        && text.len() <= 60;
    if is_name {
        let folded = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
        out.extend(
            orders(text).into_iter().filter(|other| folded(other) != folded(text)).map(|t| t.trim().to_string()),
        );
    }
    if is_name && words.len() >= SENTENCE && !words.iter().any(|w| matches!(*w, "and" | "or")) {
        out.push(words.iter().rev().copied().collect::<Vec<_>>().join(" "));
    }
    // An operation: neither the zone of a moment nor a nought that is added.
    let operates = |at: &usize| *at > 0 && !text.contains(':') && !text[*at + 1..].trim_start().starts_with('0');
    if let Some(at) = text.find('+').filter(|at| *at + 1 < text.len()).filter(operates) {
        out.push(format!("{}-{}", &text[..at], &text[at + 1..]));
    }
    if words.len() >= SENTENCE {
        out.extend(another_end(text).or_else(|| denied(text)));
    }
    out
}

/// A sentence that ends with a number, with the next one.
fn another_end(text: &str) -> Option<String> {
    let body = text.trim_end_matches('.');
    let head = body.trim_end_matches(|c: char| c.is_ascii_digit());
    let next = body[head.len()..].parse::<u64>().ok()?.checked_add(1)?;
    Some(format!("{head}{next}{}", &text[body.len()..]))
}

/// A sentence without a number, with a `not`.
fn denied(text: &str) -> Option<String> {
    if text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let verbs = [" is ", " are ", " was ", " were ", " can ", " will "];
    let (at, verb) = verbs.iter().filter_map(|verb| Some((text.find(verb)?, verb))).min()?;
    Some(format!("{}{verb}not {}", &text[..at], &text[at + verb.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lenient_comparison_takes_for_the_answer_is_another_one() {
        for (reference, wanted) in [
            ("2881", &["1882", "8812", "2.881"][..]),
            ("-3.5", &["-5.3", "-.53", "-33.5", "-35", "3.5"]),
            ("777", &["7.77"]),
            ("7", &[]),
            ("3/4", &["4/3"]),
            ("2/2", &[]),
            ("Anna", &["nnaA"]),
            ("Rome", &["emoR", "omeR"]),
            ("the dog bites men", &["nem setib god eht", "he dog bites ment", "men bites dog the"]),
            ("x + 1", &["x - 1"]),
            ("x + 0", &[]),
            ("2024-05-12T08:00:00+00:00", &[]),
            // A choice of several letters, a list, what has a form of its own: other orders may be right.
            ("ACD", &[]),
            ("1, 2, 3", &[]),
            ("x = 15, y = 8", &["x = 15, y = 9"]),
            ("<answer>12</answer>", &[]),
            ("It took him 12.", &["It took him 13."]),
        ] {
            assert_eq!(alike(reference), wanted, "{reference}");
        }
        assert_eq!(denied("The capital is Rome.").as_deref(), Some("The capital is not Rome."));
    }
}
