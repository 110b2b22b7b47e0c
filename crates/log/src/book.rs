//! What a ledger says: which files belong to an output, how long they are, and what they hash to.
//!
//! A ledger is JSON, a line a change, written *before* the change is made. Every line carries a hash over itself and
//! the line before, so that none can be taken out or changed alone. After a kill the last change of each writer may
//! have been made or not: both are as it should be. All others have been made, for a writer begins none before the
//! last one is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::LogError;
use crate::run_dir::hex;

/// The files of a hardened grader.
pub(crate) const GRADER: [&str; 3] = ["tasks.jsonl", "grader.json", "grade.sh"];

/// What the results are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `loophole run` and `train`.
    Run,
    /// `loophole probe --out`.
    Probe,
    /// `loophole grade --out`.
    Grade,
    /// A file of `loophole audit`.
    Audit,
    /// `loophole audit --harden`.
    Grader,
    /// `loophole pretrain`.
    Organism,
}

impl Kind {
    /// Whether a file of this name would be read as a result, so that one which nobody wrote down must not be there.
    pub(crate) fn reads(self, path: &str) -> bool {
        match self {
            Kind::Run => path.starts_with("arms/") || ["recipe.toml", "summary.json"].contains(&path),
            Kind::Probe => {
                ["run.json", "samples.jsonl", "samples.parquet", "probes.eval", "probes.json"].contains(&path)
            }
            Kind::Grader => GRADER.contains(&path),
            Kind::Grade | Kind::Audit | Kind::Organism => true,
        }
    }
}

/// A file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Where it lies, from the folder of the output, with `/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it, in hex.
    pub sha256: String,
    /// Lines, of a file that grows by lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// One line of a ledger, its chain left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What the results are of; in the first line only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The writer, of those that write at the same time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Files that are written, or replaced, or grow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSum>,
    /// Files that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// The files of this line were there without a ledger: nobody can say whether they are as they were written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
    /// What is made from here on is made of files that were taken over, and no more certain than they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// All is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Known {
    /// As the last line says; none if it is to be gone.
    pub now: Option<FileSum>,
    /// What was there before the last change of its writer, which may not have been made.
    pub before: Option<Option<FileSum>>,
    /// Whether it was there without a ledger.
    pub taken_over: bool,
    /// Its earlier lengths and hashes, of a file that grows.
    pub grew: Vec<FileSum>,
}

/// All that a ledger says.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    pub(crate) kind: Kind,
    pub(crate) files: BTreeMap<String, Known>,
    pub(crate) closed: bool,
    /// Whether results are made of files that were taken over.
    pub(crate) unproven: bool,
    pub(crate) chain: String,
    /// Bytes of whole lines.
    pub(crate) bytes: u64,
    /// Paths of the last change of each writer.
    unsettled: BTreeMap<String, BTreeSet<String>>,
}

const CHAIN: &str = ",\"chain\":\"";

impl Book {
    pub(crate) fn new(kind: Kind) -> Self {
        Book {
            kind,
            files: BTreeMap::new(),
            closed: false,
            unproven: false,
            chain: String::new(),
            bytes: 0,
            unsettled: BTreeMap::new(),
        }
    }

    /// The line for an entry, and the chain after it.
    pub(crate) fn line(&self, entry: &Entry) -> Result<(String, String), serde_json::Error> {
        let mut text = serde_json::to_string(entry)?;
        // The closing brace comes after the chain; an empty entry has no comma to set.
        text.pop();
        let chain = link(&self.chain, &text);
        let comma = if text == "{" { &CHAIN[1..] } else { CHAIN };
        Ok((format!("{text}{comma}{chain}\"}}\n"), chain))
    }

    /// Takes an entry in.
    pub(crate) fn take_in(&mut self, entry: Entry, chain: String, bytes: u64) {
        (self.chain, self.bytes, self.closed) = (chain, self.bytes + bytes, entry.closed);
        self.kind = entry.kind.unwrap_or(self.kind);
        self.unproven |= entry.unproven;
        // Its last change is done: another has begun.
        self.settle(&entry.by);
        let changed: BTreeSet<String> =
            entry.files.iter().map(|file| file.path.clone()).chain(entry.gone.iter().cloned()).collect();
        for path in &changed {
            let known = self.files.entry(path.clone()).or_default();
            let before = known.now.take();
            known.taken_over = entry.taken_over;
            known.before = (!entry.taken_over).then_some(before);
        }
        for file in entry.files {
            if let Some(known) = self.files.get_mut(&file.path) {
                if file.rows.is_some() {
                    known.grew.retain(|earlier| earlier.bytes < file.bytes);
                    known.grew.push(file.clone());
                }
                known.now = Some(file);
            }
        }
        self.unsettled.insert(entry.by, changed);
        if entry.closed {
            for by in self.unsettled.keys().cloned().collect::<Vec<_>>() {
                self.settle(&by);
            }
        }
    }

    /// Writers whose last change may not have been made.
    pub(crate) fn writers(&self) -> Vec<String> {
        self.unsettled.iter().filter(|(_, paths)| !paths.is_empty()).map(|(by, _)| by.clone()).collect()
    }

    fn settle(&mut self, by: &str) {
        for path in self.unsettled.remove(by).unwrap_or_default() {
            if let Some(known) = self.files.get_mut(&path) {
                known.before = None;
                if known.now.is_none() {
                    self.files.remove(&path);
                }
            }
        }
    }

    /// Reads a ledger. A last line without its end was being written when its writer was killed, before the change it
    /// tells of: it is left out.
    ///
    /// # Errors
    /// [`LogError::Ledger`] for a line that does not follow from the one before.
    pub(crate) fn parse(place: &Path, text: &[u8]) -> Result<Self, LogError> {
        let mut book = Book::new(Kind::Run);
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for (number, line) in (1..).zip(text[..whole].split_inclusive(|&byte| byte == b'\n')) {
            let wrong = |why: &str| LogError::Ledger { path: place.to_path_buf(), line: number, why: why.to_string() };
            let text = std::str::from_utf8(line).map_err(|_| wrong("not UTF-8"))?;
            let parts = text.trim_end().strip_suffix("\"}").and_then(|text| text.rsplit_once(&CHAIN[1..]));
            let (body, chain) = parts.ok_or_else(|| wrong("it has no chain"))?;
            let body = body.strip_suffix(',').unwrap_or(body);
            if chain != link(&book.chain, body) {
                return Err(wrong("it does not follow from the line before"));
            }
            let entry: Entry = serde_json::from_str(&format!("{body}}}")).map_err(|error| wrong(&error.to_string()))?;
            if (number == 1) != entry.kind.is_some() {
                return Err(wrong("only the first line says what the results are of"));
            }
            book.take_in(entry, chain.to_string(), line.len() as u64);
        }
        if book.bytes == 0 {
            return Err(LogError::Ledger { path: place.into(), line: 1, why: "it has no whole line".into() });
        }
        Ok(book)
    }
}

/// The hash over a line and all before it.
fn link(before: &str, body: &str) -> String {
    hex(&Sha256::new().chain_update(before).chain_update("\n").chain_update(body).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(path: &str, bytes: u64) -> FileSum {
        FileSum { path: path.into(), bytes, sha256: format!("{bytes:064x}"), rows: None }
    }

    fn text(entries: &[Entry]) -> String {
        let mut book = Book::new(Kind::Run);
        let mut all = String::new();
        for entry in entries {
            let (line, chain) = book.line(entry).unwrap();
            book.take_in(entry.clone(), chain, line.len() as u64);
            all += &line;
        }
        assert_eq!(book, Book::parse(Path::new("ledger.jsonl"), all.as_bytes()).unwrap());
        all
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry { kind: Some(Kind::Probe), files: vec![sum("a", 1)], ..Entry::default() },
            Entry { by: "x".into(), files: vec![sum("x/b", 2), sum("x/c", 3)], ..Entry::default() },
            Entry { by: "x".into(), gone: vec!["x/b".into()], ..Entry::default() },
            Entry { by: "y".into(), files: vec![sum("y/d", 4)], ..Entry::default() },
        ]
    }

    #[test]
    fn only_the_last_change_of_each_writer_may_not_have_been_made() {
        let book = Book::parse(Path::new("l"), text(&entries()).as_bytes()).unwrap();
        let open: Vec<&str> =
            book.files.iter().filter(|(_, known)| known.before.is_some()).map(|(path, _)| path.as_str()).collect();
        // Of the writer without a name too: it may be at its first file.
        assert_eq!(open, ["a", "x/b", "y/d"]);
        assert_eq!((book.kind, book.closed), (Kind::Probe, false));
        let mut more = entries();
        more.push(Entry { closed: true, ..Entry::default() });
        let book = Book::parse(Path::new("l"), text(&more).as_bytes()).unwrap();
        assert!(book.closed && book.files.values().all(|known| known.before.is_none()));
        assert_eq!(book.files.keys().collect::<Vec<_>>(), ["a", "x/c", "y/d"]);
    }

    #[test]
    fn a_line_that_is_changed_taken_out_or_put_in_is_named() {
        let all = text(&entries());
        let lines: Vec<&str> = all.split_inclusive('\n').collect();
        let wrong = |text: &str| match Book::parse(Path::new("l"), text.as_bytes()) {
            Err(LogError::Ledger { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(&[lines[0], lines[2], lines[3]].concat()), 2);
        assert_eq!(wrong(&[lines[0], lines[1], lines[1], lines[2]].concat()), 3);
        assert_eq!(wrong(&all.replacen("x/c", "x/e", 1)), 2);
        assert_eq!(wrong(&[lines[0], "{}\n", lines[1]].concat()), 2);
        assert_eq!(wrong(""), 1);
        // A kill tears the last line only.
        let torn = &all[..all.len() - 3];
        assert_eq!(Book::parse(Path::new("l"), torn.as_bytes()).unwrap().files.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), at in 0usize..400) {
            let _ = Book::parse(Path::new("l"), &bytes);
            let mut text = text(&entries()).into_bytes();
            let at = at % text.len();
            text[at] ^= 1;
            let changed = Book::parse(Path::new("l"), &text);
            // Whatever byte of a line is changed shows, but for the newline at the end, which tears the last line.
            proptest::prop_assert!(changed.is_err() || at == text.len() - 1);
        }
    }
}
