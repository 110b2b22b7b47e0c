//! The language in which an attempt says what must be seen from outside.
//!
//! A *pattern* is text in which `{a|b}` stands for one of the alternatives and `{*}` for anything up to the end of the
//! line.

use loophole_cell::{Change, FileKind, Record};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// One or several of the same.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum Some_<T> {
    /// Just this.
    One(T),
    /// Any of these.
    Any(Vec<T>),
}

impl<T: PartialEq> Some_<T> {
    fn has(&self, found: &T) -> bool {
        match self {
            Some_::One(x) => x == found,
            Some_::Any(list) => list.contains(found),
        }
    }
}

/// What must be seen. Everything named must hold. Where `stdout` or `only` is named and no verdict, code or signal,
/// the program must have ended with status 0 and left nothing running.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// A pattern for the whole of standard output.
    stdout: Option<String>,
    /// Standard output is made of these words alone, and of one at least.
    only: Option<Vec<String>>,
    /// Standard output has so many words.
    words: Option<usize>,
    /// Standard error has this in it.
    stderr_has: Option<String>,
    /// The verdict, as it is written in a record.
    verdict: Option<Some_<String>>,
    /// Exit status.
    code: Option<Some_<i32>>,
    /// The signal that ended it.
    signal: Option<Some_<i32>>,
    /// Refused system calls that the record counts, and at least how often.
    #[serde(default)]
    refused: BTreeMap<String, u64>,
    /// The record's files, each as `change kind path`, sorted; a path is a pattern.
    files: Option<Vec<String>>,
    /// Openings of watched files, each as `path process` (`-` for an unknown process); patterns.
    opened: Option<Vec<String>>,
    /// At least so many of them.
    opened_at_least: Option<usize>,
    /// At most so many files in the record.
    files_at_most: Option<usize>,
    /// So many processes were left.
    leftover: Option<Some_<u32>>,
    /// At least so many CPU seconds were counted.
    cpu_at_least: Option<f64>,
    /// Over within so many seconds; a few more than the wall limit unless told.
    wall_below: Option<f64>,
    /// Looked at within so many seconds after it was over; ten unless told.
    collected_below: Option<f64>,
    /// The record takes no more memory than this.
    record_below_mib: Option<usize>,
    /// A pattern for what the program beside it printed.
    pub beside: Option<String>,
    /// Patterns for what the steps of a session printed.
    pub outputs: Option<Vec<String>>,
    /// Exit status of each step, -1 for none.
    pub codes: Option<Vec<Some_<i32>>>,
    /// Verdict of each step.
    pub verdicts: Option<Vec<Some_<String>>>,
    /// The session is over before its last step, and so no honest command can be run.
    #[serde(default)]
    pub ends: bool,
}

impl Seen {
    /// Fails where nothing is said.
    pub fn check(&self, what: &str) {
        let says = self.stdout.is_some() || self.only.is_some() || self.verdict.is_some() || self.signal.is_some();
        let says = says || self.code.is_some() || self.files.is_some() || self.files_at_most.is_some();
        let says = says || self.outputs.is_some() || self.codes.is_some() || self.ends || self.verdicts.is_some();
        assert!(says || self.leftover.is_some() || !self.refused.is_empty(), "{what} expects nothing");
    }

    /// What is not as it must be. `took` is the time of the whole call, `counts` says whether refusals are counted.
    pub fn judge(&self, r: &Record, took: f64, wall_limit: f64) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut must = |ok: bool, what: String| {
            if !ok {
                wrong.push(what);
            }
        };
        let stdout = r.stdout_text();
        let verdict = word(r.verdict);
        if let Some(p) = &self.stdout {
            must(matches(p, &stdout), format!("standard output is {:?}, not {p:?}", short(&stdout)));
        }
        if let Some(only) = &self.only {
            let words: BTreeSet<&str> = stdout.split_whitespace().collect();
            let good = !words.is_empty() && words.iter().all(|w| only.iter().any(|o| o == w));
            must(good, format!("standard output is {:?}, not only {only:?}", short(&stdout)));
        }
        if let Some(n) = self.words {
            let found = stdout.split_whitespace().count();
            must(found == n, format!("{found} words, not {n}: {:?}", short(&stdout)));
        }
        let said = self.verdict.is_some() || self.code.is_some() || self.signal.is_some();
        if !said && (self.stdout.is_some() || self.only.is_some()) {
            must(r.success(), format!("verdict {verdict}, code {:?}, signal {:?}", r.code, r.signal));
            if self.leftover.is_none() {
                must(r.leftover_processes == 0, format!("{} processes left over", r.leftover_processes));
            }
        }
        if let Some(v) = &self.verdict {
            must(v.has(&verdict), format!("verdict {verdict} (code {:?}, signal {:?})", r.code, r.signal));
        }
        if let Some(c) = &self.code {
            must(c.has(&r.code.unwrap_or(-1)), format!("code {:?} (verdict {verdict})", r.code));
        }
        if let Some(s) = &self.signal {
            must(
                s.has(&r.signal.unwrap_or(-1)),
                format!("signal {:?} (verdict {verdict}, code {:?})", r.signal, r.code),
            );
        }
        if let Some(n) = &self.leftover {
            must(n.has(&r.leftover_processes), format!("{} processes left over", r.leftover_processes));
        }
        if let Some(text) = &self.stderr_has {
            must(r.stderr_text().contains(text), format!("standard error lacks {text:?}"));
        }
        for (name, least) in &self.refused {
            let found = r.refused.get(name).copied().unwrap_or(0);
            must(found >= *least, format!("{name} was refused {found} times by the record, not {least}"));
        }
        if let Some(want) = &self.files {
            let found: Vec<String> = r.files.iter().map(|f| describe(f.change, f.kind, &f.path)).collect();
            let good = found.len() == want.len() && found.iter().zip(want).all(|(f, w)| matches(w, f));
            must(good, format!("files {:?}", &found[..found.len().min(12)]));
        }
        if let Some(want) = &self.opened {
            let process = |p: Option<i32>| p.map_or("-".to_owned(), |p| p.to_string());
            let found: Vec<String> = r.opened.iter().map(|o| format!("{} {}", o.path, process(o.process))).collect();
            let good = found.len() == want.len() && found.iter().zip(want).all(|(f, w)| matches(w, f));
            must(good, format!("openings {:?}", &found[..found.len().min(12)]));
        }
        if let Some(least) = self.opened_at_least {
            must(r.opened.len() >= least, format!("{} openings told", r.opened.len()));
        }
        if let Some(n) = self.files_at_most {
            must(r.files.len() <= n, format!("{} files", r.files.len()));
        }
        if let Some(least) = self.cpu_at_least {
            must(r.cpu_seconds >= least, format!("{:.2} CPU seconds counted, not {least}", r.cpu_seconds));
        }
        let most = self.wall_below.unwrap_or(wall_limit + 5.0);
        must(r.wall_seconds < most, format!("over after {:.1} s, not {most}", r.wall_seconds));
        let after = took - r.wall_seconds;
        let most = self.collected_below.unwrap_or(10.0);
        must(after < most, format!("{after:.1} s until its record was there, not {most}"));
        let size = r.stdout.len()
            + r.stderr.len()
            + r.files.iter().map(|f| f.path.len() + 200).sum::<usize>()
            + r.opened.len() * 300;
        let most = self.record_below_mib.unwrap_or(16);
        must(size < most << 20, format!("a record of {} MiB", size >> 20));
        // Whatever it does, the program must not make its failure look like ours.
        must(verdict != "machine", format!("verdict machine: {}", r.detail.as_deref().unwrap_or("")));
        must(r.wall_seconds >= 0.0 && r.cpu_seconds >= 0.0, "negative time".to_owned());
        if !wrong.is_empty() && !r.stderr.is_empty() {
            let text = r.stderr_text();
            let tail: Vec<&str> = text.lines().rev().take(2).collect();
            wrong.push(format!("standard error ends {:?}", short(&tail.join(" / "))));
        }
        wrong
    }
}

/// One of a list of steps of a session.
pub fn step_is<T: PartialEq>(list: &[Some_<T>], index: usize, found: &T) -> bool {
    list.get(index).is_none_or(|want| want.has(found))
}

/// A verdict as it is written in a record.
pub fn word(verdict: loophole_cell::Verdict) -> String {
    let text = serde_json::to_string(&verdict).expect("JSON");
    text.trim_matches('"').to_owned()
}

fn describe(change: Change, kind: FileKind, path: &[u8]) -> String {
    format!("{change:?} {kind:?} {}", path.escape_ascii()).to_lowercase()
}

fn short(text: &str) -> String {
    if text.len() <= 300 { text.to_owned() } else { format!("{}...", text.chars().take(300).collect::<String>()) }
}

/// Whether a text is what a pattern describes.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some(open) = pattern.find('{') else { return pattern == text };
    let close = open + pattern[open..].find('}').expect("a pattern with every { closed");
    let (before, inside, after) = (&pattern[..open], &pattern[open + 1..close], &pattern[close + 1..]);
    let Some(rest) = text.strip_prefix(before) else { return false };
    if inside == "*" {
        let end = rest.find('\n').unwrap_or(rest.len());
        return (0..=end).filter(|i| rest.is_char_boundary(*i)).any(|i| matches(after, &rest[i..]));
    }
    inside.split('|').any(|word| rest.strip_prefix(word).is_some_and(|rest| matches(after, rest)))
}
