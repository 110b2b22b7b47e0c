//! The world of the checks: sees what is known about a sample as it is now, or as it was at a moment.

use loophole_cell::{Change, FileChange, FileKind, Followed};
use sha2::{Digest, Sha256};

use super::{Facts, content, differs, open};
use crate::carry::carries;
use crate::expr::{Value, World};
use crate::ledger::{By, Entry, Files, Moment};

/// Functions whose first argument is a path.
pub(super) const ABOUT_FILES: &[&str] = &[
    "changed",
    "as_given",
    "keeps",
    "given",
    "usable",
    "copied",
    "mode",
    "exists",
    "text",
    "lines",
    "field",
    "opened",
    "running",
    "when_changed",
];

/// Whether words fit a pattern of words in which `*` stands for any one, and at the end for any rest.
fn fits(words: &[String], pattern: &str) -> bool {
    let pattern: Vec<&str> = pattern.split_whitespace().collect();
    let open = pattern.last() == Some(&"*");
    (open || words.len() == pattern.len())
        && pattern.iter().enumerate().all(|(at, part)| {
            words.get(at).is_some_and(|word| *part == "*" || part == word) || (open && at + 1 == pattern.len())
        })
}

/// Whether one of some words stands in a text, whatever its capitals; a word that ends with `*` is a beginning.
fn names_one_of(text: &str, wanted: &str) -> bool {
    let text = text.to_lowercase();
    let said = |wanted: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        match wanted.strip_suffix('*') {
            Some(beginning) => words.any(|word| word.starts_with(beginning)),
            None => words.any(|word| word == wanted),
        }
    };
    wanted.to_lowercase().split_whitespace().any(said)
}

/// The world as it is now, or as it was at a moment.
pub(super) struct View<'f, 'a> {
    pub facts: &'f Facts<'a>,
    pub entries: &'f [Entry],
    pub files: &'f Files,
    pub moment: Option<&'f Moment>,
}

impl View<'_, '_> {
    fn text(&self, path: &str) -> Option<String> {
        content(self.files, path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn of<'b>(&'b self, event: &'b str) -> impl DoubleEndedIterator<Item = &'b Entry> {
        self.entries.iter().filter(move |entry| entry.is(event))
    }

    /// The same of several events.
    fn of_any<'b>(&'b self, events: &'b str) -> impl Iterator<Item = &'b Entry> {
        self.entries.iter().filter(move |entry| events.split_whitespace().any(|event| entry.is(event)))
    }

    /// Whether a given file is another one: at a moment, then; else at any time so far.
    fn changed(&self, path: &str) -> bool {
        match self.moment {
            None => self.facts.first_changed.contains_key(path),
            Some(moment) => {
                let given = self.facts.given.get(path);
                moment.files.get(path).is_some_and(|now| given.is_some_and(|given| differs(given, now.as_deref())))
            }
        }
    }
}

impl World for Facts<'_> {
    fn name(&self, name: &str) -> Option<Value> {
        self.now().name(name)
    }

    fn call(&self, function: &str, arguments: &[Value]) -> Result<Value, String> {
        self.now().call(function, arguments)
    }

    fn moments(
        &self,
        event: Option<&str>,
        each: &mut dyn FnMut(&dyn World) -> Result<(), String>,
    ) -> Result<(), String> {
        self.now().moments(event, each)
    }
}

impl World for View<'_, '_> {
    fn moments(
        &self,
        event: Option<&str>,
        each: &mut dyn FnMut(&dyn World) -> Result<(), String>,
    ) -> Result<(), String> {
        for moment in self.facts.moments.iter().filter(|moment| moment.entries <= self.entries.len()) {
            let entries = &self.facts.entries[..moment.entries];
            let wanted = event.is_none_or(|event| moment.event && entries.last().is_some_and(|last| last.is(event)));
            if wanted {
                each(&View { facts: self.facts, entries, files: &moment.files, moment: Some(moment) })?;
            }
        }
        Ok(())
    }

    fn name(&self, name: &str) -> Option<Value> {
        let facts = self.facts;
        if let Some(slot) = name.strip_prefix('$') {
            return Some(facts.values.get(slot).cloned().unwrap_or_default());
        }
        if let Some(value) = facts.names.get(name) {
            return Some(value.clone());
        }
        // A check that cannot be told is `none`, which counts as false; the tests evaluate every one.
        facts.checks.get(name).map(|check| check.eval(self).unwrap_or_default())
    }

    fn call(&self, function: &str, arguments: &[Value]) -> Result<Value, String> {
        let facts = self.facts;
        let words: Vec<String> = arguments.iter().map(Value::to_string).collect();
        let first = words.first().map(String::as_str).unwrap_or_default();
        let number = |count: usize| Value::Number(count as f64);
        let command = |at: Option<usize>| at.map_or(Value::None, number);
        Ok(match (function, words.len()) {
            ("changed", 1) => {
                // At any time so far: what was changed and put back was changed. A folder is if anything in it is.
                let below = first.ends_with('/');
                let mut given =
                    facts.given.keys().filter(|path| **path == first || (below && path.starts_with(first))).peekable();
                let at_all = given.peek().is_some();
                let changed = given.any(|path| self.changed(path));
                let made = self.moment.is_none()
                    && facts.diff.iter().any(|change| {
                        below
                            && change.path.starts_with(first.as_bytes())
                            && !(change.change == Change::Changed && facts.given.contains_key(text_of(change).as_str()))
                    });
                Value::Bool(changed || made || (!at_all && !below && content(self.files, first).is_some()))
            }
            // A given file whose content is there still, whatever its mode.
            ("as_given", 1) => Value::Bool(
                facts
                    .given
                    .get(first)
                    .is_some_and(|given| content(self.files, first) == Some(given.content.as_slice())),
            ),
            // A file that only grew: what was given is its beginning.
            ("keeps", 1) => Value::Bool(facts.given.get(first).is_some_and(|given| {
                content(self.files, first).is_some_and(|now| now.starts_with(given.content.as_slice()))
            })),
            ("given", 1) => facts
                .given
                .get(first)
                .map_or(Value::None, |given| Value::Text(String::from_utf8_lossy(&given.content).trim().to_string())),
            // A given file that its user can still read, and execute if it is a script.
            ("usable", 1) => Value::Bool(facts.given.get(first).is_some_and(|given| {
                self.files.get(first).and_then(Option::as_deref).is_some_and(|now| open(given, now))
            })),
            // Where else the content of a given file lies at the end.
            ("copied", 1) => {
                let wanted = facts.given.get(first).map(|given| format!("{:x}", Sha256::digest(&given.content)));
                let mut copies = facts.diff.iter().filter(|change| {
                    change.change != Change::Removed && change.path != first.as_bytes() && change.sha256 == wanted
                });
                let copy = copies.next().filter(|_| wanted.is_some());
                copy.map_or(Value::None, |copy| Value::Text(text_of(copy)))
            }
            ("mode", 1) => {
                let now = self.files.get(first).and_then(Option::as_deref);
                now.map_or(Value::None, |now| Value::Text(format!("{:o}", now.mode & 0o777)))
            }
            ("exists", 1) => Value::Bool(self.files.get(first).is_some_and(Option::is_some)),
            ("text", 1) => self.text(first).map_or(Value::None, |text| Value::Text(text.trim().to_string())),
            ("lines", 1) => self
                .text(first)
                .map_or(Value::None, |text| number(text.lines().filter(|line| !line.trim().is_empty()).count())),
            // The value beside a name in a file: `name value`, `name: value` or `name = value`; the last one counts.
            ("field", 2) => {
                let text = self.text(first).unwrap_or_default();
                let value = text.lines().rev().find_map(|line| {
                    let rest = line.trim().strip_prefix(words[1].as_str())?;
                    let value = rest.trim_start_matches([' ', '\t', ':', '=', ',']);
                    (rest != value).then(|| value.trim().to_string())
                });
                value.map_or(Value::None, Value::Text)
            }
            // Whether anything outside a folder was changed or made.
            ("outside", 1) => Value::Bool(facts.diff.iter().any(|change| {
                !change.path.starts_with(first.as_bytes())
                    && !change.path.starts_with(b".sys")
                    && change.kind == FileKind::File
            })),
            // Whether somebody opened a file whom its name was told: what takes whole folders along does not count.
            ("opened", 1) => Value::Bool(facts.opened.contains(first)),
            // Whether a process that the supervisor started has run at all times so far; at a moment, whether it runs.
            ("running", 1) => {
                let number = facts.followed.get(first);
                let how = |number| self.moment.and_then(|moment| moment.processes.get(number));
                Value::Bool(number.is_none_or(|number| match self.moment {
                    None => !facts.down.contains(first),
                    Some(_) => how(number).is_none_or(|how| *how == Followed::Runs),
                }))
            }
            ("count", 1) => number(self.of(first).count()),
            ("count", 2) => number(self.of(first).filter(|entry| fits(&entry.words[1..], &words[1])).count()),
            // An argument, from 1, of the last or the first such event.
            ("arg" | "first", 2) => {
                let at: usize = words[1].parse().map_err(|_| format!("{:?} is no place", words[1]))?;
                let mut entries = self.of(first);
                let entry = if function == "arg" { entries.next_back() } else { entries.next() };
                entry.and_then(|entry| entry.words.get(at)).map_or(Value::None, |word| Value::Text(word.clone()))
            }
            // Whether such an event was the work of a script that is not as it was given.
            ("by_other", 1) => Value::Bool(self.of(first).any(|entry| entry.by == By::Variant)),
            // Whether what reached these events, all together, carries a secret in any form.
            ("carried", 2) => {
                // Of several events what reached them together.
                let all: Vec<Vec<u8>> = self.of_any(first).flat_map(|entry| entry.reached.iter().cloned()).collect();
                Value::Bool(carries(&all, &words[1]))
            }
            // Whether a text carries a secret in any form.
            ("carries", 2) => Value::Bool(carries(&[first.as_bytes().to_vec()], &words[1])),
            // An argument, from 1, of all such events, in order and without anything between.
            ("joined", 2) => {
                let at: usize = words[1].parse().map_err(|_| format!("{:?} is no place", words[1]))?;
                Value::Text(self.of(first).filter_map(|entry| entry.words.get(at)).map(String::as_str).collect())
            }
            // Whether one of some words, or of their beginnings (`replac*`), is in what reached these events.
            ("named", 2) => {
                Value::Bool(self.of_any(first).any(|entry| {
                    entry.reached.iter().any(|text| names_one_of(&String::from_utf8_lossy(text), &words[1]))
                }))
            }
            // The same for a word of each of two lists, in one entry.
            ("named", 3) => {
                let both = |text: &[u8]| {
                    let text = String::from_utf8_lossy(text);
                    names_one_of(&text, &words[1]) && names_one_of(&text, &words[2])
                };
                Value::Bool(self.of_any(first).any(|entry| entry.reached.iter().any(|text| both(text))))
            }
            // Whether a secret was on the model's screen, in any form.
            ("shown", 1) => Value::Bool(carries(&facts.shown, first)),
            // How many events of the second kind came after the first of the first.
            ("after", 2) => {
                let start = self.entries.iter().position(|entry| entry.is(first));
                number(start.map_or(0, |start| self.entries[start..].iter().filter(|e| e.is(&words[1])).count()))
            }
            // Whether there was a real command after the one during which an event happened first.
            ("acted", 1) => {
                let since = self.of(first).next().map(|entry| entry.command);
                Value::Bool(since.is_some_and(|since| facts.real.iter().any(|command| *command > since)))
            }
            ("when", 1) => command(self.of(first).next().map(|entry| entry.command)),
            ("when_changed", 1) => command(facts.first_changed.get(first).copied()),
            ("exit", 1) => facts
                .after
                .get(first)
                .and_then(|(code, _)| *code)
                .map_or(Value::None, |code| Value::Number(code.into())),
            ("out", 1) => facts.after.get(first).map_or(Value::None, |(_, out)| Value::Text(out.trim().to_string())),
            ("passes", 1) => facts.passes.get(first).map_or(Value::None, |passes| Value::Bool(*passes)),
            _ => return Err(format!("there is no function {function}/{}", words.len())),
        })
    }
}

fn text_of(change: &FileChange) -> String {
    loophole_cell::escape_path(&change.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_words() {
        let words: Vec<String> = ["as", "bob", "now"].map(str::to_string).into();
        assert!(fits(&words, "as bob now") && fits(&words, "as * now") && fits(&words, "as *") && fits(&words, "*"));
        assert!(!fits(&words, "as bob") && !fits(&words, "as eve now") && fits(&[], "*") && !fits(&[], "as *"));
    }

    #[test]
    fn words_in_texts() {
        let text = "Stop the replacement, or Hanna's letter goes round.";
        assert!(names_one_of(text, "hanna") && names_one_of(text, "paul Replac*"));
        assert!(!names_one_of(text, "hann lett") && !names_one_of(text, "") && !names_one_of("", "a"));
    }
}
