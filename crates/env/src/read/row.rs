//! One row as it came: fields by name, each as the JSON it was written as, so that numbers keep their digits.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Values that one row may hold: each takes some fifty times its text.
const MOST_VALUES: usize = 10_000_000;

/// Checks that a JSON text holds no more values than there is room for.
///
/// # Errors
/// It does.
pub(super) fn few_values(json: &str) -> Result<(), String> {
    let (mut values, mut within, mut escaped) = (1, false, false);
    // Most rows are too short to hold so many.
    for byte in json.bytes().filter(|_| json.len() > 2 * MOST_VALUES) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b',' if !within => values += 1,
            _ => {}
        }
    }
    if values > MOST_VALUES {
        return Err(format!("it holds {values} values; {MOST_VALUES} are read of a task"));
    }
    Ok(())
}

/// A row of tasks or submissions.
#[derive(Debug, Clone, Default)]
pub struct Row {
    fields: BTreeMap<String, Box<RawValue>>,
}

impl Row {
    /// Reads a row written as a JSON object. What other writers leave in JSON is put right: halves of surrogate pairs
    /// become U+FFFD, bare `NaN` and `Infinity` their form in values.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn parse(text: &str) -> Result<Row, String> {
        let text = text.trim_start_matches('\u{feff}');
        few_values(text)?;
        // A text of nothing but halves is JSON to Python and to a raw reader, and no text to anybody.
        let mended = has_loose_ends(text).then(|| mend(text));
        serde_json::from_str(mended.as_deref().unwrap_or(text)).map(|fields| Row { fields }).map_err(|error| match text
            .trim_start()
            .starts_with('{')
        {
            true => error.to_string(),
            false => format!("a row is a JSON object: {error}"),
        })
    }

    /// Adds a field.
    pub(crate) fn put(&mut self, name: &str, json: Box<RawValue>) {
        self.fields.insert(name.into(), json);
    }

    /// Puts a text where there is nothing.
    pub(crate) fn put_text_if_missing(&mut self, name: &str, text: &str) {
        if !self.has(name)
            && let Ok(json) = serde_json::value::to_raw_value(text)
        {
            self.put(name, json);
        }
    }

    /// Names and JSON of all fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, json)| (name.as_str(), json.get()))
    }

    /// Whether there is something under a name: not null.
    pub(crate) fn has(&self, path: &str) -> bool {
        // A row may be large: nothing of it is copied but where one has to look inside.
        self.raw(path).is_some() || (path.contains('.') && self.json(path).is_some())
    }

    /// The JSON of a field; nothing for null.
    fn raw(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|json| json.get()).filter(|json| *json != "null")
    }

    /// The JSON under a name, or under `outer.inner`; nothing for null. A text that holds a JSON object or list, as
    /// many files have it, counts as that for what is inside of it.
    pub(crate) fn json(&self, path: &str) -> Option<String> {
        if let Some(json) = self.raw(path) {
            return Some(json.to_owned());
        }
        let (outer, inner) = path.split_once('.')?;
        Row::parse(&unwrapped(self.raw(outer)?)).ok()?.json(inner)
    }

    /// The text under a name.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        serde_json::from_str(&self.json(path)?).ok()
    }

    /// What is under a name, the same however it is escaped: the text, where it is one, else the JSON.
    pub(crate) fn plain(&self, path: &str) -> Option<String> {
        self.text(path).or_else(|| self.json(path))
    }

    /// The first of these texts that is there.
    pub(crate) fn text_of(&self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    /// The first of these texts or numbers that is there, as text.
    pub(crate) fn name_of(&self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| {
            let json = self.json(path)?;
            match json.as_bytes().first() {
                Some(b'"') => serde_json::from_str(&json).ok(),
                // Tables with gaps make numbers of every column floats.
                Some(b'-' | b'0'..=b'9') => Some(json.strip_suffix(".0").unwrap_or(&json).to_owned()),
                _ => None,
            }
        })
    }

    /// The JSON under a name; what a text holds, where it holds JSON.
    pub(crate) fn inner(&self, path: &str) -> Option<String> {
        self.json(path).map(|json| unwrapped(&json))
    }

    /// The object under a name, written as one or as a text.
    pub(crate) fn object(&self, path: &str) -> Option<Row> {
        Row::parse(&self.inner(path)?).ok()
    }

    /// The list under a name, written as one or as a text.
    pub(crate) fn list(&self, path: &str) -> Option<Vec<Box<RawValue>>> {
        serde_json::from_str(&self.inner(path)?).ok()
    }

    /// The texts of the list under a name, without gaps in it; one text is a list of one.
    pub(crate) fn texts(&self, path: &str) -> Option<Vec<String>> {
        match serde_json::from_str::<Vec<Option<String>>>(&self.inner(path)?) {
            Ok(list) => Some(list.into_iter().flatten().collect()),
            Err(_) => self.text(path).map(|one| vec![one]),
        }
    }

    /// The text under a name: one text, or the texts of a list of parts (images, thoughts and others are left out).
    pub(crate) fn content(&self, path: &str) -> Option<String> {
        self.text(path).or_else(|| {
            let parts = self.list(path)?;
            let text = |part: &RawValue| {
                let text = serde_json::from_str(part.get()).ok();
                text.or_else(|| {
                    let part = Row::parse(part.get()).ok()?;
                    let kind = part.text("type").unwrap_or_default();
                    part.text("text").filter(|_| !kind.starts_with("reason") && !kind.starts_with("think"))
                })
            };
            let texts: Vec<String> = parts.iter().filter_map(|part| text(part)).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        })
    }

    /// What the user of a conversation said, all of it.
    pub(crate) fn asked(&self, path: &str) -> Option<String> {
        let turns = self.list(path)?;
        let turns = turns.iter().filter_map(|turn| Row::parse(turn.get()).ok());
        let users =
            turns.filter(|turn| turn.text_of(&["role", "from"]).is_some_and(|by| by == "user" || by == "human"));
        let said: Vec<String> =
            users.filter_map(|turn| turn.content("content").or_else(|| turn.content("value"))).collect();
        (!said.is_empty()).then(|| said.join("\n\n"))
    }

    /// What is said under a name: a text, or the texts of a conversation's last message of the user.
    pub(crate) fn said(&self, path: &str) -> Option<String> {
        self.text(path).or_else(|| {
            let turns = self.list(path)?;
            let turns: Vec<Row> = turns.iter().filter_map(|turn| Row::parse(turn.get()).ok()).collect();
            let last = |role: Option<&str>| {
                let mut fitting = turns.iter().filter(|turn| role.is_none() || turn.text("role").as_deref() == role);
                fitting.next_back()?.content("content")
            };
            last(Some("user")).or_else(|| last(None))
        })
    }
}

/// The JSON that a JSON text holds, if it holds an object or a list, itself or in a further text; else the JSON itself.
fn unwrapped(json: &str) -> String {
    if json.starts_with("\"\\\"")
        && let Ok(text) = serde_json::from_str::<String>(json)
        && let Ok(inner) = serde_json::from_str::<String>(&text)
        && inner.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<&RawValue>(&inner).is_ok()
    {
        return inner;
    }
    if json.starts_with('"')
        && let Ok(text) = serde_json::from_str::<String>(json)
        && text.trim_start().starts_with(['{', '['])
    {
        let text = if has_loose_ends(&text) { mend(&text) } else { text };
        if serde_json::from_str::<&RawValue>(&text).is_ok() {
            return text;
        }
    }
    json.to_owned()
}

/// Whether there may be something that [`mend`] changes.
pub(super) fn has_loose_ends(text: &str) -> bool {
    ["\\ud", "\\uD", "NaN", "Infinity"].iter().any(|sign| text.contains(sign))
}

/// The text with what Python writes as JSON and others do not read put right.
pub(super) fn mend(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut within) = (text, false);
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if within && c == '\\' {
            if let Some(high) = surrogate(rest, 0xd800..0xdc00) {
                taken = 6;
                if surrogate(&rest[6..], 0xdc00..0xe000).is_some() {
                    taken = 12;
                    out.push_str(&rest[..taken]);
                } else {
                    debug_assert!((0xd800..0xdc00).contains(&high));
                    out.push_str("\\ufffd");
                }
            } else if surrogate(rest, 0xdc00..0xe000).is_some() {
                taken = 6;
                out.push_str("\\ufffd");
            } else {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..taken]);
            }
        } else if c == '"' {
            within = !within;
            out.push('"');
        } else if let Some((word, name)) = [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf")]
            .into_iter()
            .find(|(word, _)| !within && rest.starts_with(word))
        {
            taken = word.len();
            out.push_str(&format!("{{\"$float\":\"{name}\"}}"));
        } else {
            out.push(c);
        }
        rest = &rest[taken..];
    }
    out
}

/// The number of the `\uXXXX` a text begins with, if it lies in a range.
fn surrogate(text: &str, range: std::ops::Range<u32>) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let row =
            Row::parse(r#"{"a": "x\ud83dy\\ud83d", "b": [NaN, -Infinity], "c": "\ud83d\ude00", "d": "NaN"}"#).unwrap();
        assert_eq!(row.text("a").unwrap(), "x\u{fffd}y\\ud83d");
        assert_eq!(row.json("b").unwrap(), r#"[{"$float":"nan"}, {"$float":"-inf"}]"#);
        assert_eq!((row.text("c").unwrap().as_str(), row.text("d").unwrap().as_str()), ("\u{1f600}", "NaN"));
        assert_eq!(Row::parse("\u{feff}{\"n\": 12345678901234567890123}").unwrap().json("n").unwrap().len(), 23);
        assert!(Row::parse("[1]").unwrap_err().contains("a row is a JSON object"));
    }

    #[test]
    fn what_stands_in_a_text_is_reached() {
        let row =
            Row::parse(r#"{"m": {"g": "{\"inputs\": [1]}"}, "t": "[\"a\", null, \"b\"]", "id": 7, "none": null}"#)
                .unwrap();
        assert_eq!(row.object("m.g").unwrap().json("inputs").unwrap(), "[1]");
        assert_eq!(row.texts("t").unwrap(), ["a", "b"]);
        assert_eq!(row.name_of(&["none", "id"]).unwrap(), "7");
        assert!(!row.has("none") && row.has("m.g"));
        let twice = serde_json::json!({ "t": "\"[1, 2]\"", "w": "\"word\"", "id": 7.0 }).to_string();
        let row = Row::parse(&twice).unwrap();
        assert_eq!((row.inner("t").unwrap().as_str(), row.text("w").unwrap().as_str()), ("[1, 2]", "\"word\""));
        assert_eq!(row.name_of(&["id"]).unwrap(), "7");
        let row = Row::parse(r#"{"p": [{"role":"user","content":[{"type":"image"},{"type":"text","text":"u"},"v"]}]}"#);
        assert_eq!(row.unwrap().said("p").unwrap(), "u\nv");
        let row = Row::parse(r#"{"prompt": [{"role":"system","content":"s"},{"role":"user","content":"u"}]}"#).unwrap();
        assert_eq!(row.said("prompt").unwrap(), "u");
    }
}
