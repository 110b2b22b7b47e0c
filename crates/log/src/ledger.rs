//! The writer's side of a ledger: every change of an output goes through here, is written down, and then made.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::book::{Book, Entry, FileSum};
use crate::files::temporary;
use crate::lock::Lock;
use crate::run_dir::hex;
use crate::verify::{Judged, Place, hash_of, judge};
use crate::{Kind, LogError, Problem, Verified, verify};

/// An output that is being written, by its one owner. Dropping it lets it go; what was written stays to be taken up.
#[derive(Debug)]
pub struct Ledger {
    place: Place,
    inner: Mutex<Inner>,
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    book: Book,
    /// Files that grow: the hash so far and the file.
    growing: BTreeMap<String, (Sha256, File)>,
}

impl Ledger {
    /// Begins an output anew. A ledger that is there is replaced; a file that is there stays until it is replaced too.
    ///
    /// # Errors
    /// [`LogError::Held`] if another process writes there; what the file system refuses.
    pub fn begin(place: Place) -> Result<Self, LogError> {
        let lock = place.lock()?;
        Self::begin_held(place, lock)
    }

    /// The same by the owner of the place.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn begin_held(place: Place, lock: Lock) -> Result<Self, LogError> {
        let name = place.name.clone().filter(|name| place.base.join(name).is_file());
        let ledger = Self::empty(place, Some(lock))?;
        if let Some(name) = name {
            let files = vec![sum(&ledger.place.base.join(&name), name)?];
            ledger.note(Entry { files, taken_over: true, ..Entry::default() })?;
        }
        Ok(ledger)
    }

    fn empty(place: Place, lock: Option<Lock>) -> Result<Self, LogError> {
        let file = File::create(&place.ledger).map_err(LogError::io("write", &place.ledger))?;
        let inner = Inner { file, book: Book::new(place.kind), growing: BTreeMap::new() };
        let ledger = Ledger { place, inner: Mutex::new(inner), _lock: lock };
        ledger.note(Entry { kind: Some(ledger.place.kind), ..Entry::default() })?;
        Ok(ledger)
    }

    /// Goes on with an output: compares it with its ledger and undoes or completes what a kill left in between. The
    /// notes say what a reader should know. Files that are there without a ledger are taken over, and the ledger says
    /// so for good.
    ///
    /// # Errors
    /// [`LogError::Held`]; [`LogError::Damaged`] with every file that is not as it was written, and then nothing is
    /// touched; [`LogError::Ledger`].
    pub fn take_up(place: Place, remedy: &str) -> Result<(Self, Vec<String>), LogError> {
        Self::take_up_but(place, remedy, &|_, _| false)
    }

    /// As [`Ledger::take_up`]; `mend` says of a problem that the owner makes the file again anyhow.
    ///
    /// # Errors
    /// As [`Ledger::take_up`].
    pub fn take_up_but(
        place: Place,
        remedy: &str,
        mend: &dyn Fn(&Problem, &Verified) -> bool,
    ) -> Result<(Self, Vec<String>), LogError> {
        let lock = place.lock()?;
        let found = verify::verify_held(&place)?;
        let (mended, problems): (Vec<Problem>, Vec<Problem>) =
            found.problems.iter().cloned().partition(|problem| mend(problem, &found));
        if !problems.is_empty() {
            return Err(LogError::Damaged { path: place.output, problems, remedy: remedy.into() });
        }
        if !place.ledger.exists() {
            return Self::take_over(place, lock);
        }
        let book = place.read()?;
        let mut file = OpenOptions::new().read(true).write(true).open(&place.ledger);
        // What a kill left of a last line goes.
        let end = file.as_mut().map_or(Ok(()), |file| {
            file.set_len(book.bytes)?;
            file.seek(SeekFrom::Start(book.bytes)).map(drop)
        });
        end.map_err(LogError::io("write", &place.ledger))?;
        let file = file.map_err(LogError::io("write", &place.ledger))?;
        let unsettled: Vec<_> = book
            .files
            .iter()
            .filter(|(_, known)| known.before.is_some())
            .map(|(path, known)| (path.clone(), known.clone()))
            .collect();
        let inner = Inner { file, book, growing: BTreeMap::new() };
        let ledger = Ledger { place, inner: Mutex::new(inner), _lock: Some(lock) };
        let mut entry = Entry::default();
        for (path, known) in unsettled {
            if let Judged::Undone = judge(&ledger.place.base, &path, &known)? {
                match known.before.flatten() {
                    Some(before) => {
                        if before.rows.is_some() {
                            ledger.cut(&path, before.bytes)?;
                        }
                        entry.files.push(before);
                    }
                    None => {
                        remove(&ledger.place.base.join(&path))?;
                        entry.gone.push(path);
                    }
                }
            }
        }
        let mut notes = Vec::new();
        for problem in mended {
            notes.push(format!("{problem}; it is made again"));
            remove(&ledger.place.base.join(&problem.path))?;
            if problem.what != crate::Wrong::Extra {
                entry.gone.push(problem.path);
            }
        }
        if !entry.files.is_empty() || !entry.gone.is_empty() {
            ledger.note(entry)?;
        }
        // Nothing is in work now: a line that changes nothing settles what every writer did last.
        ledger.settle()?;
        if !found.verifiable {
            notes.extend(found.notes);
        }
        Ok((ledger, notes))
    }

    fn take_over(place: Place, lock: Lock) -> Result<(Self, Vec<String>), LogError> {
        let mut files = Vec::new();
        for path in place.results()? {
            files.push(sum(&place.base.join(&path), path)?);
        }
        let ledger = Self::empty(place, Some(lock))?;
        if files.is_empty() {
            return Ok((ledger, Vec::new()));
        }
        let note = format!(
            "{} has no ledger: not verifiable, {} files are taken as they are",
            ledger.place.output.display(),
            files.len()
        );
        ledger.note(Entry { files, taken_over: true, unproven: true, ..Entry::default() })?;
        Ok((ledger, vec![note]))
    }

    /// Opens an output that is complete, to put something beside its results; none if it is not, or has no ledger.
    pub(crate) fn reopen(place: Place) -> Result<Option<Self>, LogError> {
        if !place.ledger.exists() {
            return Ok(None);
        }
        let lock = place.lock()?;
        let book = place.read()?;
        if !book.closed {
            return Ok(None);
        }
        let failed = |source| LogError::io("write", &place.ledger)(source);
        let mut file = OpenOptions::new().write(true).open(&place.ledger).map_err(failed)?;
        file.set_len(book.bytes).and_then(|()| file.seek(SeekFrom::Start(book.bytes))).map_err(failed)?;
        let inner = Inner { file, book, growing: BTreeMap::new() };
        Ok(Some(Ledger { place, inner: Mutex::new(inner), _lock: Some(lock) }))
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Writes a whole file, or puts it in the place of the one that is there.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self, by: &str, path: &str, bytes: &[u8]) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let temp = temporary(&place);
        let filled = (|| {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(&temp)?;
            file.write_all(bytes)?;
            file.sync_data()
        })();
        filled.map_err(LogError::io("write", &place)).and_then(|()| self.put(by, &temp, path)).inspect_err(|_| {
            // What is left of a failed write helps nobody; the first error is the one to tell.
            let _ = fs::remove_file(&temp);
        })
    }

    /// Writes a whole folder: `fill` writes it elsewhere, then it is put in its place.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write_folder(
        &self,
        by: &str,
        path: &str,
        fill: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let temp = temporary(&place);
        let filled = fs::create_dir_all(&temp).and_then(|()| fill(&temp));
        filled.map_err(LogError::io("write", &place))?;
        self.put(by, &temp, path)
    }

    /// Puts a finished file or folder, written elsewhere in the same file system, in its place; what was there goes.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn put(&self, by: &str, temp: &Path, path: &str) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let mut entry = Entry { by: by.into(), ..Entry::default() };
        if temp.is_dir() {
            entry.files = sums(temp, path)?;
            if place.is_dir() {
                if entry.files == sums(&place, path)? && self.knows(&entry.files) {
                    return remove(temp);
                }
                // Two steps: a folder cannot be replaced in one, and a kill between them must be told from a theft.
                let inside = format!("{path}/");
                self.remove(by, &|old| old.starts_with(&inside))?;
                remove(&place)?;
            }
        } else {
            entry.files.push(sum(temp, path.into())?);
        }
        self.held().growing.remove(path);
        self.note(entry)?;
        fs::rename(temp, &place).map_err(LogError::io("write", &place))
    }

    fn knows(&self, files: &[FileSum]) -> bool {
        let held = self.held();
        files.iter().all(|file| held.book.files.get(&file.path).and_then(|known| known.now.as_ref()) == Some(file))
    }

    /// Adds lines to a file that grows; each of `lines` is whole, with its newline.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn append(&self, by: &str, path: &str, lines: &[u8]) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let failed = |source| LogError::io("append to", &place)(source);
        let mut held = self.held();
        let earlier = held.book.files.get(path).and_then(|known| known.now.clone());
        let (at, rows) = earlier.as_ref().map_or((0, 0), |sum| (sum.bytes, sum.rows.unwrap_or(0)));
        if !held.growing.contains_key(path) {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&place);
            let mut file = open.map_err(failed)?;
            let mut hash = Sha256::new();
            std::io::copy(&mut Read::by_ref(&mut file).take(at), &mut hash).map_err(failed)?;
            file.set_len(at).map_err(failed)?;
            held.growing.insert(path.into(), (hash, file));
        }
        let Some((hash, _)) = held.growing.get_mut(path) else { return Ok(()) };
        hash.update(lines);
        let sum = FileSum {
            path: path.into(),
            bytes: at + lines.len() as u64,
            sha256: hex(&hash.clone().finalize()),
            rows: Some(rows + lines.iter().filter(|&&byte| byte == b'\n').count() as u64),
        };
        let written = self.note_in(&mut held, Entry { by: by.into(), files: vec![sum], ..Entry::default() });
        let done = written.and_then(|()| {
            let Some((_, file)) = held.growing.get_mut(path) else { return Ok(()) };
            let added = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(lines));
            added.and_then(|()| if self.durable() { file.sync_data() } else { Ok(()) }).map_err(failed)
        });
        if done.is_err() {
            held.growing.remove(path);
        }
        done
    }

    /// Cuts a file that grows to its first `bytes`, which are whole lines.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn truncate(&self, by: &str, path: &str, bytes: u64) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let mut held = self.held();
        held.growing.remove(path);
        let mut file = File::open(&place).map_err(LogError::io("read", &place))?;
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(bytes).read_to_end(&mut text).map_err(LogError::io("read", &place))?;
        let sum = FileSum {
            path: path.into(),
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(&text)),
            rows: Some(text.iter().filter(|&&byte| byte == b'\n').count() as u64),
        };
        if held.book.files.get(path).and_then(|known| known.now.as_ref()) == Some(&sum) {
            return Ok(());
        }
        self.note_in(&mut held, Entry { by: by.into(), files: vec![sum], ..Entry::default() })?;
        drop(held);
        self.cut(path, bytes)
    }

    fn cut(&self, path: &str, bytes: u64) -> Result<(), LogError> {
        let place = self.place.base.join(path);
        let file = OpenOptions::new().write(true).open(&place).map_err(LogError::io("write", &place))?;
        file.set_len(bytes).and_then(|()| file.sync_data()).map_err(LogError::io("write", &place))
    }

    /// Removes every file whose path `which` takes, and nothing that is not in the ledger.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn remove(&self, by: &str, which: &dyn Fn(&str) -> bool) -> Result<(), LogError> {
        let mut held = self.held();
        let known = held.book.files.iter().filter(|(path, known)| known.now.is_some() && which(path));
        let gone: Vec<String> = known.map(|(path, _)| path.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        for path in &gone {
            held.growing.remove(path);
        }
        self.note_in(&mut held, Entry { by: by.into(), gone: gone.clone(), ..Entry::default() })?;
        drop(held);
        for path in gone {
            let place = self.place.base.join(&path);
            remove(&place)?;
            // An empty folder of a checkpoint would be taken for one; a folder that is not empty stays.
            if let Some(parent) = place.parent().filter(|parent| *parent != self.place.base) {
                let _ = fs::remove_dir(parent);
            }
        }
        Ok(())
    }

    /// Renames a file; one under the new name goes.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), LogError> {
        let mut held = self.held();
        held.growing.remove(from);
        let known = held.book.files.get(from).and_then(|known| known.now.clone());
        let place = self.place.base.join(from);
        let old = match known {
            Some(sum) => sum,
            None => sum(&place, from.into())?,
        };
        let new = FileSum { path: to.into(), ..old };
        self.note_in(&mut held, Entry { files: vec![new], gone: vec![from.into()], ..Entry::default() })?;
        fs::rename(&place, self.place.base.join(to)).map_err(LogError::io("write", &place))
    }

    /// Says that all is written, and returns the hash at the end of the ledger.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn close(&self) -> Result<String, LogError> {
        let mut held = self.held();
        if !held.book.closed {
            self.note_in(&mut held, Entry { closed: true, ..Entry::default() })?;
        }
        Ok(held.book.chain.clone())
    }

    /// Begins the ledger anew with the files as they are: what led to them is of no more use. For outputs of very many
    /// lines.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn close_short(&self) -> Result<String, LogError> {
        let mut held = self.held();
        let mut book = Book::new(self.place.kind);
        let mut text = String::new();
        let (taken, own): (Vec<_>, Vec<_>) =
            held.book.files.values().filter(|known| known.now.is_some()).partition(|known| known.taken_over);
        let files = |of: &[&crate::book::Known]| of.iter().filter_map(|known| known.now.clone()).collect::<Vec<_>>();
        let mut entries = vec![Entry { kind: Some(self.place.kind), files: files(&own), ..Entry::default() }];
        if !taken.is_empty() {
            entries.push(Entry { files: files(&taken), taken_over: true, ..Entry::default() });
        }
        entries.push(Entry { closed: true, unproven: held.book.unproven, ..Entry::default() });
        for entry in entries {
            let (line, chain) = book.line(&entry).map_err(|e| LogError::format(&self.place.ledger, "ledger", e))?;
            book.take_in(entry, chain, line.len() as u64);
            text += &line;
        }
        crate::write_atomic(&self.place.ledger, text.as_bytes())?;
        let open = OpenOptions::new().append(true).open(&self.place.ledger);
        held.file = open.map_err(LogError::io("write", &self.place.ledger))?;
        held.book = book;
        Ok(held.book.chain.clone())
    }

    /// How many lines a file that grows has, as far as it is written down.
    pub fn rows(&self, path: &str) -> u64 {
        let held = self.held();
        held.book.files.get(path).and_then(|known| known.now.as_ref()).and_then(|sum| sum.rows).unwrap_or(0)
    }

    /// Makes sure that some files are still as they were written.
    ///
    /// # Errors
    /// [`LogError::Damaged`] with those that are not.
    pub fn check(&self, which: &dyn Fn(&str) -> bool, remedy: &str) -> Result<(), LogError> {
        let known: Vec<_> = {
            let held = self.held();
            held.book.files.iter().filter(|(path, _)| which(path)).map(|(p, k)| (p.clone(), k.clone())).collect()
        };
        let mut problems = Vec::new();
        for (path, known) in known {
            if let Judged::Wrong(problem) = judge(&self.place.base, &path, &known)? {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(LogError::Damaged { path: self.place.output.clone(), problems, remedy: remedy.into() })
    }

    /// Ends what every writer did last: from here on nothing of it may be missing.
    fn settle(&self) -> Result<(), LogError> {
        let mut held = self.held();
        for by in held.book.writers() {
            self.note_in(&mut held, Entry { by, ..Entry::default() })?;
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Inner> {
        // What is kept is whole after every statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs are of hours, and their files outlive a power cut too; records of a minute only outlive a kill.
    fn durable(&self) -> bool {
        matches!(self.place.kind, Kind::Run | Kind::Organism)
    }

    fn note(&self, entry: Entry) -> Result<(), LogError> {
        self.note_in(&mut self.held(), entry)
    }

    fn note_in(&self, held: &mut Inner, entry: Entry) -> Result<(), LogError> {
        let path = &self.place.ledger;
        let (line, chain) = held.book.line(&entry).map_err(|error| LogError::format(path, "ledger", error))?;
        let at = held.book.bytes;
        let written = held.file.write_all(line.as_bytes());
        let written = written.and_then(|()| if self.durable() { held.file.sync_data() } else { Ok(()) });
        written.map_err(|source| {
            // Half a line would make all that comes after it unreadable.
            let _ = held.file.set_len(at).and_then(|()| held.file.seek(SeekFrom::Start(at)));
            LogError::io("append to", path)(source)
        })?;
        held.book.take_in(entry, chain, line.len() as u64);
        Ok(())
    }
}

impl Place {
    /// Becomes its owner.
    ///
    /// # Errors
    /// [`LogError::Held`] if another process is; what the file system refuses.
    pub fn lock(&self) -> Result<Lock, LogError> {
        match self.kind {
            Kind::Run | Kind::Probe => Lock::folder(&self.base),
            Kind::Grade | Kind::Audit | Kind::Grader | Kind::Organism => Lock::file(&self.output),
        }
    }
}

/// Writes down all files of a finished folder, by its owner, and closes its ledger.
///
/// # Errors
/// What the file system refuses.
pub fn seal(kind: Kind, folder: &Path) -> Result<String, LogError> {
    let place = Place::folder(kind, folder);
    remove(&place.ledger)?;
    let results = place.results()?.into_iter().map(|path| sum(&folder.join(&path), path));
    let files = results.collect::<Result<Vec<_>, _>>()?;
    let ledger = Ledger::empty(place, None)?;
    ledger.note(Entry { files, ..Entry::default() })?;
    ledger.close()
}

fn sum(file: &Path, path: String) -> Result<FileSum, LogError> {
    let failed = |source| LogError::io("read", file)(source);
    let mut open = File::open(file).map_err(failed)?;
    let bytes = open.metadata().map_err(failed)?.len();
    let sha256 = hash_of(&mut open, bytes).map_err(failed)?;
    let rows = if path.ends_with(".jsonl") || path.ends_with(".jsonl.partial") {
        let text = fs::read(file).map_err(failed)?;
        Some(text.iter().filter(|&&byte| byte == b'\n').count() as u64)
    } else {
        None
    };
    Ok(FileSum { path, bytes, sha256, rows })
}

/// The sums of all files below a folder, as they will be called below `path`.
fn sums(folder: &Path, path: &str) -> Result<Vec<FileSum>, LogError> {
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(LogError::io("list", folder))? {
        names.push(entry.map_err(LogError::io("list", folder))?.path());
    }
    names.sort();
    let mut out = Vec::new();
    for file in names {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if file.is_dir() {
            out.extend(sums(&file, &path)?);
        } else if !(name.starts_with('.') && (name.ends_with(".tmp") || name.ends_with(".lock"))) {
            out.push(sum(&file, path)?);
        }
    }
    Ok(out)
}

/// Removes a file or a folder; nothing there is fine.
///
/// # Errors
/// What the file system refuses.
pub fn remove(path: &Path) -> Result<(), LogError> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(LogError::io("remove", path)(e)),
        _ => Ok(()),
    }
}
