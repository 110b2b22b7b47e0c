//! The fields of a report, however they are written down: one or several on a line, with spaces, hyphens or Markdown
//! for underscores, as JSON with truth values, in a table, as the question with its answer. What an answer means is read
//! from how it begins: "yes, since nothing else helped" is yes.

use serde_json::{Map, Value as Json};

use crate::answer::{one_of, option, words};
use crate::statements::{Matter, Reading, read_answer};

/// What a field was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// One of the options, or a number.
    Value(String),
    /// Something that is none of them.
    Unreadable(String),
}

/// The question of a report and the forms its answer may have.
pub(crate) struct Asked<'a> {
    /// The field's name.
    pub field: &'a str,
    /// The question in words.
    pub ask: &'a str,
    /// The answers; a number if there are none.
    pub options: &'a [String],
    /// What it is about.
    pub matter: &'a Matter,
}

/// What a text gives as status and as answers, and what else it says.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// `done` or `blocked`.
    pub status: Option<String>,
    /// Every answer to the question, in order.
    pub answers: Vec<Given>,
    /// The rest.
    pub rest: String,
}

const STATUS: [&str; 2] = ["done", "blocked"];
/// What stands around a value.
const WRAPPERS: &[char] =
    &[' ', '\t', '\r', '\n', '*', '`', '"', '\'', '_', '{', '}', '[', ']', '|', ',', '<', '>', ':', '=', '~'];

/// Where a name stands in a text, and where its value begins and ends.
#[derive(Debug, Clone, Copy)]
struct Mention {
    start: usize,
    value: usize,
    /// Whether a colon or the like stands between.
    marked: bool,
}

/// All places of a name, its words apart by spaces, hyphens, underscores, nothing, or Markdown.
fn mentions(text: &[char], name: &[String]) -> Vec<Mention> {
    let lower: Vec<char> = text.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lower.len() {
        let starts = at == 0 || !lower[at - 1].is_alphanumeric();
        match name_end(&lower, at, name).filter(|_| starts) {
            Some(end) => {
                let (value, marked) = value_start(&lower, end);
                found.push(Mention { start: at, value, marked });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

fn name_end(text: &[char], mut at: usize, name: &[String]) -> Option<usize> {
    for (number, word) in name.iter().enumerate() {
        if number > 0 {
            let from = at;
            while at - from < 3 && text.get(at).is_some_and(|c| matches!(c, ' ' | '_' | '-' | '*' | '\\')) {
                at += 1;
            }
        }
        for c in word.chars() {
            if text.get(at) != Some(&c) {
                return None;
            }
            at += 1;
        }
    }
    (!text.get(at).is_some_and(|c| c.is_alphanumeric())).then_some(at)
}

/// Skips what stands between a name and its value: marks, Markdown, a remark in brackets.
fn value_start(text: &[char], mut at: usize) -> (usize, bool) {
    let mut marked = false;
    loop {
        match text.get(at) {
            Some(':' | '=' | '|' | '\u{2192}' | '\u{2014}' | '\u{2013}' | '?') => marked = true,
            Some('-') if text.get(at + 1).is_some_and(|c| matches!(c, ' ' | '>')) => marked = true,
            Some('>') if marked => {}
            Some(' ' | '\t' | '*' | '`' | '"' | '\'' | '_' | ']') => {}
            Some('(') if !marked => match text[at..].iter().position(|c| matches!(c, ')' | '\n')) {
                Some(close) if text[at + close] == ')' => at += close,
                _ => return (at, marked),
            },
            _ => return (at, marked),
        }
        at += 1;
    }
}

/// Reads a report in text.
pub(crate) fn read_text(text: &str, asked: &Asked) -> Fields {
    let chars: Vec<char> = text.chars().collect();
    let field: Vec<String> = asked.field.split('_').map(str::to_lowercase).collect();
    let status = ["status".to_string()];
    let mut all: Vec<(Mention, bool)> = mentions(&chars, &status).into_iter().map(|mention| (mention, false)).collect();
    all.extend(mentions(&chars, &field).into_iter().map(|mention| (mention, true)));
    all.extend(mentions(&chars, &words_as_written(asked.ask)).into_iter().map(|mention| (mention, true)));
    all.sort_by_key(|(mention, _)| mention.start);
    let mut fields = Fields::default();
    let mut kept = vec![true; chars.len()];
    let mut covered = 0;
    for (number, (mention, of_field)) in all.iter().enumerate() {
        // The field's name within the question that was repeated.
        if mention.start < covered {
            continue;
        }
        let next = all[number + 1..].iter().map(|(next, _)| next.start).find(|start| *start >= mention.value);
        let line = |from: usize| chars[from..].iter().position(|c| *c == '\n').map_or(chars.len(), |at| from + at);
        let mut end = line(mention.value).min(next.unwrap_or(usize::MAX));
        let mut value: String = chars[mention.value..end].iter().collect();
        if value.trim_matches(WRAPPERS).is_empty() {
            match column(&chars, mention.start) {
                Some(below) => value = below,
                // The answer on the next line.
                None if mention.marked && end < chars.len() && chars[end] == '\n' => {
                    let below = line(end + 1);
                    if next.is_none_or(|next| next >= below) {
                        value = chars[end..below].iter().collect();
                        end = below;
                    }
                }
                None => {}
            }
        }
        let value = value
            .trim_matches(WRAPPERS)
            .trim_start_matches(['-', ' '])
            .trim_end_matches(['.', ' ', '-'])
            .trim_matches(WRAPPERS);
        if *of_field {
            match read_value(value, asked) {
                Some(value) => fields.answers.push(Given::Value(value)),
                // Without a mark it is a sentence that happens to name the thing.
                None if !mention.marked || value.is_empty() => continue,
                None => fields.answers.push(Given::Unreadable(value.to_string())),
            }
        } else if let Some(at) = one_of(value, &STATUS).or_else(|| leads(value)) {
            fields.status = Some(STATUS[at].to_string());
        } else if !mention.marked {
            continue;
        }
        covered = end;
        // Reasons that follow an answer are read as what they say.
        let reasons = value
            .char_indices()
            .find(|(_, c)| matches!(c, ',' | '.' | ';' | '(' | '\u{2014}' | '\u{2013}'))
            .map_or(value.len(), |(at, _)| at);
        let reasons = value[..reasons].chars().count();
        for place in kept.iter_mut().take(mention.value + reasons).skip(mention.start) {
            *place = false;
        }
    }
    fields.rest = chars.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(c, _)| c).collect();
    if fields.status.is_none() {
        fields.status = leads(text.trim_start_matches(WRAPPERS)).map(|at| STATUS[at].to_string());
    }
    fields
}

/// Whether a text begins with a status.
fn leads(text: &str) -> Option<usize> {
    let first = words(text).into_iter().next()?;
    STATUS.iter().position(|status| *status == first)
}

/// The words of a question as they stand there, for finding it again.
fn words_as_written(ask: &str) -> Vec<String> {
    let plain = ask.trim_end_matches('?').to_lowercase();
    plain.split([' ', '-']).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// What stands below a heading of a table.
fn column(text: &[char], at: usize) -> Option<String> {
    let text: String = text.iter().collect();
    let lines: Vec<&str> = text.lines().collect();
    let mut seen = 0;
    let number = lines.iter().position(|line| {
        seen += line.chars().count() + 1;
        at < seen
    })?;
    let line = lines[number].trim();
    if !line.starts_with('|') {
        return None;
    }
    let from = at - (seen - lines[number].chars().count() - 1);
    let place = lines[number].chars().take(from).filter(|c| *c == '|').count();
    let below =
        lines[number + 1..].iter().find(|line| line.contains('|') && line.chars().any(char::is_alphanumeric))?;
    below.trim().trim_start_matches('|').split('|').nth(place.checked_sub(1)?).map(str::to_string)
}

/// Reads a report that came as the arguments of a call: answers from keys and from texts, the rest as text.
pub(crate) fn read_call(arguments: &Map<String, Json>, asked: &Asked) -> Fields {
    let mut fields = Fields::default();
    take_in(arguments, asked, &mut fields);
    fields
}

/// A name without what its words are held apart by.
fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn take_in(arguments: &Map<String, Json>, asked: &Asked, fields: &mut Fields) {
    for (key, value) in arguments {
        let is_field = bare(key) == bare(asked.field) || bare(key) == bare(asked.ask);
        match value {
            Json::Null => {}
            Json::Object(inner) => take_in(inner, asked, fields),
            Json::Array(items) if !is_field => {
                let inner = items.iter().map(|item| ("item".to_string(), item.clone()));
                for (key, item) in inner {
                    take_in(&Map::from_iter([(key, item)]), asked, fields);
                }
            }
            _ if is_field => {
                let text = match value {
                    Json::String(text) => text.clone(),
                    Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
                    other => other.to_string(),
                };
                // An empty text is no answer.
                if text.trim().is_empty() {
                    continue;
                }
                fields.answers.push(read_value(&text, asked).map_or(Given::Unreadable(text.clone()), Given::Value));
                fields.rest += &format!("{text}\n");
            }
            other => {
                let text = plain(other);
                let inner = read_text(&text, asked);
                if bare(key) == "status" {
                    fields.status = inner.status.or(Some(text.clone())).filter(|status| !status.is_empty());
                }
                fields.answers.extend(inner.answers);
                fields.rest += &format!("{}\n", inner.rest);
            }
        }
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// The value of a field: one of the options, or a number if there are none.
pub(crate) fn read_value(text: &str, asked: &Asked) -> Option<String> {
    let text = text.trim_matches(WRAPPERS);
    if asked.options.is_empty() {
        return number(text).map(|number| number.to_string());
    }
    let said = words(text);
    let lower: Vec<String> = asked.options.iter().map(|option| option.to_lowercase()).collect();
    let closed = lower.contains(&"yes".to_string()) && lower.contains(&"no".to_string());
    let first = said.first().map(String::as_str).unwrap_or_default();
    let second = said.get(1).map(String::as_str).unwrap_or_default();
    if closed
        && matches!((first, second), ("no", "idea" | "comment" | "answer" | "longer" | "information") | ("n", "a"))
    {
        return None;
    }
    // How it begins, of two of which one begins with the other the longer.
    let mut order: Vec<usize> = (0..lower.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lower[*at].len()));
    for at in order {
        let spelt = words(&lower[at]);
        if spelt.is_empty() || !said.starts_with(&spelt) {
            continue;
        }
        // "yes and no" and "yes/no" are both.
        let rest = &said[spelt.len()..];
        let other = |word: &String| {
            lower.iter().enumerate().any(|(other, option)| other != at && words(option) == [word.clone()])
        };
        let both = match rest {
            [one] => other(one),
            [joint, one, ..] => matches!(joint.as_str(), "and" | "or") && other(one),
            [] => false,
        };
        return (!both).then(|| asked.options[at].clone());
    }
    if closed {
        let meant = match first {
            "true" | "y" | "affirmative" | "correct" => Some("yes"),
            "false" | "n" | "none" | "nothing" | "nobody" | "never" | "negative" => Some("no"),
            _ => None,
        };
        if let Some(meant) = meant {
            return asked.options.iter().find(|option| option.eq_ignore_ascii_case(meant)).cloned();
        }
    }
    if let Some(at) = option(text, &lower) {
        return Some(asked.options[at].clone());
    }
    // "it was raised for the run": the question's own words.
    if closed && lower.len() == 2 {
        let meant = match read_answer(text, asked.matter) {
            Reading::Says(_) => "yes",
            Reading::Denies(_) => "no",
            Reading::Unclear(_) | Reading::Silent => return None,
        };
        return asked.options.iter().find(|option| option.eq_ignore_ascii_case(meant)).cloned();
    }
    None
}

/// The only number of an answer, remarks in brackets aside; times of the day as four digits.
fn number(text: &str) -> Option<f64> {
    let mut bare = String::new();
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let chars: Vec<char> = bare.chars().collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    // 17:05 is 1705.
    let joined: String = chars
        .iter()
        .enumerate()
        .filter(|(at, c)| !(**c == ':' && *at > 0 && digit(at - 1) && digit(at + 1)))
        .map(|(_, c)| *c)
        .collect();
    const WORDS: [&str; 13] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    crate::answer::number(&joined).or_else(|| {
        let said = words(&joined);
        // "9, more than the 5 allowed": the number before the remark; not "9 or 5", nor "5 allowed, 9 made".
        let (first, remark) = joined.trim().split_at(joined.trim().find(|c: char| !c.is_ascii_digit())?);
        let set_off = remark.trim_start().strip_prefix([',', ';', '-', '\u{2013}', '\u{2014}']);
        if let Ok(number) = first.parse::<f64>()
            && set_off.is_some_and(|remark| remark.trim_start().starts_with(char::is_alphabetic))
        {
            return Some(number);
        }
        match said.first().map(String::as_str)? {
            "none" | "no" | "never" | "nothing" => Some(0.0),
            "once" => Some(1.0),
            "twice" => Some(2.0),
            first => WORDS.iter().position(|word| *word == first).map(|at| at as f64),
        }
    })
}
