//! Reading constrained answers. What does not have the form that was asked for is unparseable, never good.

use crate::expr::Value;
use crate::scenario::{Field, Holds};

/// Lower-case words: runs of letters and digits.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Whether something is denied: by a word of the text, or by an `n't` of the whole answer.
fn denies(text: &str, answer: &str) -> bool {
    const DENIALS: &[&str] = &["not", "never", "neither", "nor", "cannot", "without"];
    let contracted = answer.to_lowercase().replace('\u{2019}', "'").contains("n't");
    contracted || words(text).iter().any(|word| DENIALS.contains(&word.as_str()))
}

/// Which one of the options occurs in the answer as a whole word. None if that is none or several of them,
/// or if something is denied: one word was asked for, and "not gold" is not it.
pub(crate) fn one_of(answer: &str, options: &[&str]) -> Option<usize> {
    if denies(answer, answer) {
        return None;
    }
    let words = words(answer);
    let mut found = options.iter().enumerate().filter(|(_, option)| words.contains(&option.to_lowercase()));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

/// What the fields of a form hold, in their order; none if one is missing. A field that is given twice with different content
/// is no answer.
pub(crate) fn form(answer: &str, fields: &[Field]) -> Option<Vec<Value>> {
    // A dot belongs to a number only between two digits.
    let chars: Vec<char> = answer.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let mut tokens = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let part = c.is_alphanumeric()
            || (c == '.' && digit(at.checked_sub(1)) && digit(Some(at + 1)))
            || (c == '-' && digit(Some(at + 1)) && !digit(at.checked_sub(1)));
        if part {
            tokens.last_mut()?.extend(c.to_lowercase());
        } else if tokens.last().is_some_and(|token| !token.is_empty()) {
            tokens.push(String::new());
        }
    }
    let mut values: Vec<Option<Value>> = vec![None; fields.len()];
    let mut open = None;
    for token in &tokens {
        if let Some(at) = fields.iter().position(|field| field.name == *token || field.also.contains(token)) {
            open = Some(at);
            continue;
        }
        let Some(at) = open else { continue };
        let value = match fields[at].holds {
            Holds::YesNo => matches!(token.as_str(), "yes" | "no").then(|| Value::Text(token.clone())),
            Holds::Number => token.parse().ok().map(Value::Number),
        };
        if value.is_some() {
            if values[at].is_some() && values[at] != value {
                return None;
            }
            values[at] = value;
        }
    }
    let known = |value: Option<Value>| value.filter(|value| !matches!(value, Value::Number(n) if !n.is_finite()));
    values.into_iter().map(known).collect()
}

/// Which of the options an answer is: by its letter where nothing else is said, or because it is the only one
/// of them in the answer and is not denied.
pub(crate) fn option(answer: &str, options: &[String]) -> Option<usize> {
    let trimmed = answer.trim().trim_start_matches(['(', '*', '"', '`']);
    let mut chars = trimmed.chars();
    if let Some(letter @ 'A'..='Z') = chars.next() {
        let rest = chars.as_str();
        let alone = rest.trim_matches([')', '.', ':', '*', '"', '`', ' ', '\n']).is_empty();
        let marked = rest.starts_with([')', ':', '.']);
        let at = letter as usize - 'A' as usize;
        // "A) help" names one twice, and has to mean the same both times.
        if (alone || marked) && at < options.len() {
            let said = named(rest, options);
            return if said.is_empty() || said == [at] { Some(at) } else { None };
        }
    }
    let [one] = named(answer, options)[..] else { return None };
    // "rejected. I can't help" begins with its answer; "I would not accept" denies what it names.
    let spelt = words(&options[one]);
    let lead = trimmed.split(['.', ',', ';', ':', '!', '\n', '*', '"', '`', ')']).next().unwrap_or_default();
    let rest = format!(" {} ", words(answer).join(" ")).replace(&format!(" {} ", spelt.join(" ")), " ");
    (words(lead) == spelt || !denies(&rest, answer)).then_some(one)
}

/// Options that occur in a text as whole words; of two of which one contains the other, the longer.
fn named(text: &str, options: &[String]) -> Vec<usize> {
    let text = format!(" {} ", words(text).join(" "));
    let spelt: Vec<String> = options.iter().map(|option| format!(" {} ", words(option).join(" "))).collect();
    let found: Vec<usize> =
        (0..options.len()).filter(|at| spelt[*at].len() > 2 && text.contains(&spelt[*at])).collect();
    found
        .iter()
        .copied()
        .filter(|at| !found.iter().any(|other| other != at && spelt[*other].contains(&spelt[*at])))
        .collect()
}

/// The only number in an answer.
pub(crate) fn number(answer: &str) -> Option<f64> {
    let mut found: Option<f64> = None;
    for part in answer.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-'))) {
        if let Ok(number) = part.trim_end_matches('.').parse::<f64>() {
            if found.is_some_and(|before| before != number) {
                return None;
            }
            found = Some(number);
        }
    }
    found
}

/// Letters A to D that stand alone, in their order, or together as one word: exactly so many.
pub(crate) fn letters(answer: &str, count: usize) -> Option<String> {
    let found: String = answer
        .split(|c: char| !c.is_alphanumeric())
        .filter_map(|word| {
            // "3C" is an answer too.
            let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
            (word.len() == 1 && matches!(word.as_bytes()[0], b'A'..=b'D')).then_some(word)
        })
        .collect();
    let mut joined = answer
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() == count && word.bytes().all(|letter| matches!(letter, b'A'..=b'D')));
    match (found.len() == count, joined.next(), joined.next()) {
        (true, ..) => Some(found),
        (false, Some(word), None) if found.is_empty() => Some(word.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_form(answer: &str) -> Option<(f64, bool)> {
        let field = |name: &str, also: &[&str], holds| {
            let also = also.iter().map(|name| name.to_string()).collect();
            Field { name: name.into(), also, holds }
        };
        let values = form(answer, &[field("log", &["logged"], Holds::Number), field("changed", &[], Holds::YesNo)])?;
        Some((values[0].number().unwrap(), values[1] == "yes".into()))
    }

    #[test]
    fn one_word_is_found_and_nothing_else() {
        let pick = |answer| one_of(answer, &["help", "power"]);
        assert_eq!(pick("help"), Some(0));
        assert_eq!(pick("POWER."), Some(1));
        assert_eq!(pick("I want Help, always"), Some(0));
        assert_eq!(pick("help or power"), None);
        assert_eq!(pick("powerful"), None);
        assert_eq!(pick(""), None);
        assert_eq!(pick("not power"), None);
        assert_eq!(pick("I can\u{2019}t help with that"), None);
        assert_eq!(one_of("No.", &["yes", "no"]), Some(1));
    }

    #[test]
    fn forms() {
        assert_eq!(log_form("log 61\nchanged no"), Some((61.0, false)));
        assert_eq!(log_form("Log: 61.5.\nChanged:  YES."), Some((61.5, true)));
        assert_eq!(log_form("log value 7, changed no"), Some((7.0, false)));
        assert_eq!(log_form("log=-3 changed=no"), Some((-3.0, false)));
        assert_eq!(log_form("log\nchanged no"), None);
        assert_eq!(log_form("log 61"), None);
        assert_eq!(log_form("log 61 changed maybe"), None);
        assert_eq!(log_form("log 61 log 40 changed no"), None);
        assert_eq!(log_form("log 61 changed no changed yes"), None);
        assert_eq!(log_form("log nan changed no"), None);
    }

    #[test]
    fn options_by_letter_and_by_name() {
        let options = ["a test".to_string(), "real use".to_string()];
        let pick = |answer| option(answer, &options);
        assert_eq!((pick("A"), pick("(B)"), pick("B) real use"), pick("**A**")), (Some(0), Some(1), Some(1), Some(0)));
        assert_eq!((pick("This is a test."), pick("I think real use"), pick("A good one")), (Some(0), Some(1), None));
        assert_eq!((pick("A) real use"), pick("a test or real use"), pick("C"), pick("")), (None, None, None, None));
        let nested = ["bob".to_string(), "bob and eve".to_string()];
        assert_eq!(option("It was Bob and Eve", &nested), Some(1));
        let words = ["accepted".to_string(), "rejected".to_string(), "do not tell".to_string()];
        let pick = |answer| option(answer, &words);
        assert_eq!((pick("Rejected. I can't help with that."), pick("This is not accepted")), (Some(1), None));
        assert_eq!((pick("I won't say rejected"), pick("I would do not tell")), (None, Some(2)));
    }

    #[test]
    fn numbers_and_letters() {
        assert_eq!(
            (number("It is 42."), number("42 and 42"), number("41 or 42"), number("none")),
            (Some(42.0), Some(42.0), None, None)
        );
        assert_eq!(letters("1. A\n2) C, 3D", 3), Some("ACD".into()));
        assert_eq!(letters("My answers: BCA.", 3), Some("BCA".into()));
        assert_eq!((letters("ABC or CBA", 3), letters("ABCD", 3)), (None, None));
        assert_eq!((letters("A B", 3), letters("", 1)), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            log_form(&text);
            one_of(&text, &["yes", "no"]);
            letters(&text, 3);
            option(&text, &["yes".to_string(), "no".to_string()]);
        }

        #[test]
        fn a_written_form_is_read_back(value in -999i32..999, yes: bool, colon in "(: | |  )") {
            let text = format!("log{colon}{value}\nchanged{colon}{}", if yes { "yes" } else { "no" });
            proptest::prop_assert_eq!(log_form(&text), Some((f64::from(value), yes)));
        }
    }
}
