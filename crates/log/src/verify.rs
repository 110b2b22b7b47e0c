//! Whether results are whole and as they were written: the files against their ledger.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::book::{Book, FileSum, Kind, Known};
use crate::lock::{LOCK, beside, holder};
use crate::run_dir::hex;
use crate::{LogError, read_json};

/// The ledger's name in a folder.
pub(crate) const LEDGER: &str = "ledger.jsonl";

/// Where results lie, and where their ledger does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(crate) kind: Kind,
    /// What the user named.
    pub(crate) output: PathBuf,
    /// The folder that paths count from.
    pub(crate) base: PathBuf,
    pub(crate) ledger: PathBuf,
    pub(crate) lock: PathBuf,
    /// The name of the file, where the output is one.
    pub(crate) name: Option<String>,
}

impl Place {
    /// An output that is a folder.
    pub fn folder(kind: Kind, folder: &Path) -> Self {
        // These are replaced as a whole, or made where other things may lie.
        let outside = matches!(kind, Kind::Organism | Kind::Grader);
        Place {
            kind,
            output: folder.into(),
            base: folder.into(),
            ledger: folder.join(LEDGER),
            lock: if outside { beside(folder) } else { folder.join(LOCK) },
            name: None,
        }
    }

    /// An output that is a file, with its ledger beside it in `FILE.ledger`.
    pub fn file(kind: Kind, file: &Path) -> Self {
        let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Place {
            kind,
            output: file.into(),
            base: base.into(),
            ledger: file.with_added_extension("ledger"),
            lock: beside(file),
            name: file.file_name().map(|name| name.to_string_lossy().into_owned()),
        }
    }

    /// The place of results that are there, by what lies in it.
    ///
    /// # Errors
    /// [`LogError::NotResults`] if nothing of ours does.
    pub fn of(path: &Path) -> Result<Self, LogError> {
        let ledger = |place: &Place| {
            let text = fs::read(&place.ledger).ok()?;
            Some(Book::parse(&place.ledger, &text).map_or(place.kind, |book| book.kind))
        };
        if path.is_dir() {
            let place = Place::folder(Kind::Run, path);
            let there = |name: &str| path.join(name).exists();
            let kind = match ledger(&place) {
                Some(kind) => kind,
                None if there("recipe.toml") || there("arms") => Kind::Run,
                None if there("run.json") || there("samples.jsonl") => Kind::Probe,
                None if there("MODEL_CARD.md") && there("config.json") => Kind::Organism,
                None if there("grader.json") && there("tasks.jsonl") => Kind::Grader,
                None => return Err(LogError::NotResults(path.into())),
            };
            return Ok(Place::folder(kind, path));
        }
        let place = Place::file(Kind::Grade, path);
        match ledger(&place) {
            Some(kind) => Ok(Place { kind, ..place }),
            None if path.is_file() => Ok(place),
            None => Err(LogError::NotResults(path.into())),
        }
    }

    /// The process that writes there, if one does: `Some(None)` if its number is not known.
    pub fn holder(&self) -> Option<Option<u32>> {
        holder(&self.lock)
    }

    pub(crate) fn read(&self) -> Result<Book, LogError> {
        let text = fs::read(&self.ledger).map_err(LogError::io("read", &self.ledger))?;
        Book::parse(&self.ledger, &text)
    }

    /// Files that lie where they would be read.
    pub(crate) fn results(&self) -> Result<Vec<String>, LogError> {
        Ok(self.files()?.into_iter().filter(|path| self.kind.reads(path)).collect())
    }

    /// All files of the output, but for those that are no part of it by their name.
    pub(crate) fn files(&self) -> Result<BTreeSet<String>, LogError> {
        let mut found = BTreeSet::new();
        match &self.name {
            None => walk(&self.base, "", &mut found)?,
            Some(name) => {
                for name in [name.clone(), format!("{name}.partial")] {
                    if self.base.join(&name).exists() {
                        found.insert(name);
                    }
                }
                let evidence = format!("{name}.evidence");
                if self.base.join(&evidence).is_dir() {
                    walk(&self.base.join(&evidence), &evidence, &mut found)?;
                }
            }
        }
        found.retain(|path| !unfinished(path) && path != LEDGER);
        Ok(found)
    }
}

/// Whether a name is that of a file which is being written, a lock, or what tells how far something has come.
fn unfinished(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| part.starts_with('.') && part.ends_with(".tmp"))
        || (name.starts_with('.') && name.ends_with(".lock"))
        || ["status.json", "state.partial", "samples.jsonl.new"].contains(&name)
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) -> Result<(), LogError> {
    for entry in fs::read_dir(folder).map_err(LogError::io("list", folder))? {
        let entry = entry.map_err(LogError::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        // Links are looked at, not followed: they could lead in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// It ends too early.
    Cut,
    /// Its content is another one.
    Edited,
    /// Nobody wrote it down, and it would be read.
    Extra,
}

/// A file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, from the folder of the output.
    pub path: String,
    /// What is wrong.
    pub what: Wrong,
    /// The same in words, where there is more to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = match self.what {
            Wrong::Missing => "is missing",
            Wrong::Cut => "is cut",
            Wrong::Edited => "is edited",
            Wrong::Extra => "does not belong there",
        };
        write!(f, "{} {what}", self.path)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

/// How far the results have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Progress {
    /// All is written.
    #[serde(rename = "complete")]
    Complete,
    /// A living process writes on.
    #[serde(rename = "in progress")]
    Going,
    /// It was ended before its end.
    #[serde(rename = "unfinished")]
    Unfinished,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// What the results are of.
    pub kind: Kind,
    /// How far they have come.
    pub progress: Progress,
    /// The process that writes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Whether there is a ledger, and it covers all that was written.
    pub verifiable: bool,
    /// Files that were compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The hash at the end of the ledger: whoever notes it elsewhere can tell later that no line was changed.
    pub root: String,
    /// Files that are not as they were written.
    pub problems: Vec<Problem>,
    /// What a reader should know and what is no problem.
    pub notes: Vec<String>,
}

impl Verified {
    /// What is known before anything was compared.
    pub fn nothing(place: &Place) -> Self {
        let holder = place.holder();
        Verified {
            kind: place.kind,
            progress: if holder.is_some() { Progress::Going } else { Progress::Unfinished },
            pid: holder.flatten(),
            verifiable: false,
            files: 0,
            bytes: 0,
            root: String::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether everything was compared and is as it was written.
    pub fn whole(&self) -> bool {
        self.verifiable && self.problems.is_empty()
    }
}

/// How often results that are being written are looked at again before a difference is believed.
const LOOKS: usize = 20;

/// Compares results with their ledger; `of` says which files, by their paths.
///
/// # Errors
/// A ledger that is missing where there must be one, or broken; what the file system refuses.
pub fn verify_some(place: &Place, of: &dyn Fn(&str) -> bool) -> Result<Verified, LogError> {
    let mut look = 0;
    loop {
        // Asked before and after: a writer that ended meanwhile has written its last lines.
        let holder = place.holder();
        let found = once(place, of, holder)?;
        look += 1;
        if found.problems.is_empty() || (holder.is_none() && place.holder().is_none()) || look == LOOKS {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Compares all files of some results with their ledger.
///
/// # Errors
/// As [`verify_some`].
pub fn verify(place: &Place) -> Result<Verified, LogError> {
    verify_some(place, &|_| true)
}

/// As [`verify`], by the process that holds the results.
pub(crate) fn verify_held(place: &Place) -> Result<Verified, LogError> {
    once(place, &|_| true, None)
}

fn once(place: &Place, of: &dyn Fn(&str) -> bool, holder: Option<Option<u32>>) -> Result<Verified, LogError> {
    let progress = if holder.is_some() { Progress::Going } else { Progress::Unfinished };
    let mut out = Verified { progress, pid: holder.flatten(), ..Verified::nothing(place) };
    if !place.ledger.exists() {
        if place.must_have_ledger() {
            let path = place.ledger.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            out.problems.push(Problem {
                path,
                what: Wrong::Missing,
                detail: "without it nothing here can be told from what was edited".into(),
            });
        } else {
            out.notes.push("there is no ledger: written by an earlier version, or the ledger was removed".into());
        }
        return Ok(out);
    }
    let book = place.read()?;
    (out.verifiable, out.root) = (true, book.chain.clone());
    if book.closed && holder.is_none() {
        out.progress = Progress::Complete;
    }
    let taken = book.files.values().filter(|known| known.taken_over).count();
    if taken > 0 {
        out.verifiable = false;
        out.notes.push(format!("{taken} files were there before the ledger was begun: nobody can say how they were"));
    } else if book.unproven {
        out.verifiable = false;
        out.notes.push(
            "these results go on from some that were there before the ledger: nobody can say how those were".into(),
        );
    }
    for (path, known) in book.files.iter().filter(|(path, _)| of(path)) {
        match judge(&place.base, path, known)? {
            Judged::Right(bytes) => {
                out.files += 1;
                out.bytes += bytes;
            }
            Judged::Undone => out.notes.push(format!("the last change of {path} was not made any more")),
            Judged::Wrong(problem) => out.problems.push(problem),
        }
    }
    for path in place.files()? {
        if of(&path) && !book.files.contains_key(&path) {
            if book.kind.reads(&path) {
                out.problems.push(Problem { path, what: Wrong::Extra, detail: String::new() });
            } else {
                out.notes.push(format!("{path} is no part of the results and was not looked at"));
            }
        }
    }
    out.problems.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

impl Place {
    /// Whether something else than the ledger says that there is one.
    pub(crate) fn must_have_ledger(&self) -> bool {
        let marker = match self.kind {
            Kind::Run => "status.json",
            Kind::Probe => "run.json",
            _ => return false,
        };
        let text: Option<serde_json::Value> = read_json(&self.base.join(marker)).ok();
        text.is_some_and(|text| text["ledger"] == true)
    }
}

pub(crate) enum Judged {
    /// As it is to be; its length.
    Right(u64),
    /// As it was before the last change.
    Undone,
    Wrong(Problem),
}

/// Looks at one file.
pub(crate) fn judge(base: &Path, path: &str, known: &Known) -> Result<Judged, LogError> {
    let problem = match compare(base, path, known.now.as_ref(), &known.grew)? {
        None => return Ok(Judged::Right(known.now.as_ref().map_or(0, |sum| sum.bytes))),
        Some(problem) => problem,
    };
    let Some(before) = &known.before else { return Ok(Judged::Wrong(problem)) };
    let old = compare(base, path, before.as_ref(), &[])?;
    // A line that was being added may be there in part.
    let torn = |old: &Problem| {
        let rows = known.now.as_ref().is_some_and(|now| now.rows.is_some());
        rows && old.what == Wrong::Edited && old.detail == TAIL && problem.what == Wrong::Cut
    };
    let begun = before.is_none() && known.now.as_ref().is_some_and(|now| now.rows.is_some());
    Ok(match old {
        None => Judged::Undone,
        Some(old) if torn(&old) => Judged::Undone,
        // The first line of all.
        Some(_) if begun && problem.what == Wrong::Cut => Judged::Undone,
        Some(_) => Judged::Wrong(problem),
    })
}

/// What is said of a file that goes on after what was written.
const TAIL: &str = "more was added than was written";

fn compare(base: &Path, path: &str, sum: Option<&FileSum>, grew: &[FileSum]) -> Result<Option<Problem>, LogError> {
    let problem = |what, detail: String| Ok(Some(Problem { path: path.into(), what, detail }));
    let place = base.join(path);
    let Some(sum) = sum else {
        return if place.symlink_metadata().is_ok() { problem(Wrong::Extra, String::new()) } else { Ok(None) };
    };
    let mut file = match File::open(&place) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return problem(Wrong::Missing, String::new());
        }
        Err(error) => return Err(LogError::io("read", &place)(error)),
    };
    let size = file.metadata().map_err(LogError::io("read", &place))?;
    if !size.is_file() {
        return problem(Wrong::Edited, "it is no file".into());
    }
    if size.len() < sum.bytes {
        return problem(Wrong::Cut, format!("{} of {} bytes are there", size.len(), sum.bytes));
    }
    let hash = hash_of(&mut file, sum.bytes).map_err(LogError::io("read", &place))?;
    if hash != sum.sha256 {
        return problem(Wrong::Edited, first_wrong(&place, grew)?);
    }
    if size.len() > sum.bytes {
        return problem(Wrong::Edited, TAIL.into());
    }
    Ok(None)
}

/// The first lines that are not what they were, as narrowly as the ledger knows; nothing if that is all of them.
fn first_wrong(place: &Path, grew: &[FileSum]) -> Result<String, LogError> {
    let mut file = File::open(place).map_err(LogError::io("read", place))?;
    let (mut hash, mut at, mut right) = (Sha256::new(), 0, 0);
    for earlier in grew {
        let mut piece = Vec::new();
        let read = file.by_ref().take(earlier.bytes - at).read_to_end(&mut piece);
        read.map_err(LogError::io("read", place))?;
        hash.update(&piece);
        at = earlier.bytes;
        let rows = earlier.rows.unwrap_or(right);
        if hex(&hash.clone().finalize()) != earlier.sha256 {
            return Ok(match rows - right.min(rows) {
                0 | 1 => format!("line {rows}"),
                _ if right == 0 => String::new(),
                _ => format!("in lines {} to {rows}", right + 1),
            });
        }
        right = rows;
    }
    Ok(String::new())
}

/// SHA-256 of the first bytes of a file, in hex.
///
/// # Errors
/// The file cannot be read.
pub fn hash_beginning(path: &Path, bytes: u64) -> Result<String, LogError> {
    let failed = LogError::io("read", path);
    File::open(path).and_then(|mut file| hash_of(&mut file, bytes)).map_err(failed)
}

/// The same of an open file.
pub(crate) fn hash_of(file: &mut File, bytes: u64) -> std::io::Result<String> {
    let (mut hash, mut rest) = (Sha256::new(), file.take(bytes));
    std::io::copy(&mut rest, &mut hash)?;
    Ok(hex(&hash.finalize()))
}
