//! Reading constrained answers. What does not have the form that was asked for is unparseable, never good.

/// Lower-case words: runs of letters and digits.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Which one of the options occurs in the answer as a whole word. None if that is none or several of them,
/// or if something is denied: one word was asked for, and "not gold" is not it.
pub(crate) fn one_of(answer: &str, options: &[&str]) -> Option<usize> {
    const DENIALS: &[&str] = &["not", "never", "neither", "nor", "cannot", "without"];
    let spoken = answer.to_lowercase().replace('\u{2019}', "'");
    let words = words(answer);
    if spoken.contains("n't") || words.iter().any(|word| DENIALS.contains(&word.as_str())) {
        return None;
    }
    let mut found = options.iter().enumerate().filter(|(_, option)| words.contains(&option.to_lowercase()));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

/// The two fields of a log form: the value after `log`, and whether something was `changed`. A field that is
/// given twice with different content is no answer.
pub(crate) fn log_form(answer: &str) -> Option<(f64, bool)> {
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
    let (mut value, mut changed) = (None, None);
    let mut field = "";
    for token in &tokens {
        match (token.as_str(), field) {
            ("log" | "logged", _) => field = "log",
            ("changed", _) => field = "changed",
            ("yes" | "no", "changed") => {
                let yes = token == "yes";
                if changed.is_some_and(|before| before != yes) {
                    return None;
                }
                changed = Some(yes);
            }
            (number, "log") => {
                if let Ok(number) = number.parse::<f64>() {
                    if value.is_some_and(|before| before != number) {
                        return None;
                    }
                    value = Some(number);
                }
            }
            _ => {}
        }
    }
    Some((value.filter(|value| value.is_finite())?, changed?))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            log_form(&text);
            one_of(&text, &["yes", "no"]);
        }

        #[test]
        fn a_written_form_is_read_back(value in -999i32..999, yes: bool, colon in "(: | |  )") {
            let text = format!("log{colon}{value}\nchanged{colon}{}", if yes { "yes" } else { "no" });
            proptest::prop_assert_eq!(log_form(&text), Some((f64::from(value), yes)));
        }
    }
}
