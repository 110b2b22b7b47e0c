//! What is in `/box`: read by the supervisor through the folder's descriptor, never through a path of the machine, never
//! following a link, and within bounds. What the caller gave or asked for is looked at first, whatever else a program has
//! made; what does not fit the bounds is counted.

use super::descent::{self, Descent, Keys};
use super::path;
use crate::types::{Change, FileChange, FileKind, FileState, Program};
use crate::{CellError, sys};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;

/// At most this many entries are listed beside those of the caller,
const ENTRIES: usize = 20_000;
/// their paths together are this long,
const PATHS: usize = 4 << 20;
/// and this many bytes are read; as many again of the caller's files.
const BYTES: usize = 256 << 20;
/// At most this many entries are visited to be counted.
const VISITS: usize = 200_000;

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) changes: Vec<FileChange>,
    pub(crate) contents: BTreeMap<String, Vec<u8>>,
    /// Size of the largest regular file that was made or changed.
    pub(crate) largest: u64,
    /// Entries that are not listed, at least.
    pub(crate) missed: u64,
}

struct Walk<'a> {
    keys: &'a Keys,
    root: &'a OwnedFd,
    given: HashMap<Vec<u8>, (&'a [u8], u32)>,
    /// Folders that were given, or that given files made necessary.
    folders: BTreeSet<Vec<u8>>,
    /// Looked at already.
    seen: BTreeSet<Vec<u8>>,
    found: Found,
    /// Sums of files that have several names.
    sums: HashMap<u64, Option<String>>,
    entries: usize,
    paths: usize,
    bytes: usize,
}

pub(crate) fn kind(mode: u32) -> FileKind {
    match mode & libc::S_IFMT {
        libc::S_IFREG => FileKind::File,
        libc::S_IFDIR => FileKind::Folder,
        libc::S_IFLNK => FileKind::Link,
        libc::S_IFIFO => FileKind::Fifo,
        libc::S_IFSOCK => FileKind::Socket,
        _ => FileKind::Device,
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut s, b| {
        // Writing to a String cannot fail.
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Compares `/box` with what the program was given. Only once all its processes are dead, or stopped and the keys lent.
pub(crate) fn look(root: &OwnedFd, program: &Program, keys: &Keys) -> Result<Found, CellError> {
    let again = sys::open_beneath(root, c".", libc::O_RDONLY | libc::O_DIRECTORY)
        .or_else(|_| {
            keys.open(root)?;
            sys::open_beneath(root, c".", libc::O_RDONLY | libc::O_DIRECTORY)
        })
        .map_err(|e| CellError::machine("opening /box", &e))?;
    let mut walk = Walk {
        keys,
        root: &again,
        given: HashMap::new(),
        folders: BTreeSet::new(),
        seen: BTreeSet::new(),
        found: Found::default(),
        sums: HashMap::new(),
        entries: 0,
        paths: 0,
        bytes: 0,
    };
    for file in &program.files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let path = file.place();
        walk.through(&path);
        walk.given.insert(path, (&file.content, mode));
    }
    for folder in &program.folders {
        walk.through(&[&path::unescape(folder)[..], b"/"].concat());
    }
    let reading = |e: io::Error| CellError::machine("reading /box", &e);
    walk.callers(program).map_err(reading)?;
    walk.bytes = 0;
    walk.all().map_err(reading)?;
    let mut found = walk.found;
    found.changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Names in a folder, sorted, and the folder again; one more than [`ENTRIES`] where there are more.
pub(crate) fn names(dir: OwnedFd) -> io::Result<(Vec<CString>, OwnedFd)> {
    let mut out = sys::names(&dir, ENTRIES + 1)?;
    out.sort();
    Ok((out, dir))
}

/// Whether the machine is at fault, and not what a program has made.
fn is_machine(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EIO))
}

impl Walk<'_> {
    fn full(&self) -> bool {
        self.entries >= ENTRIES || self.paths >= PATHS
    }

    /// Knows the folders that a path leads through for the caller's.
    fn through(&mut self, path: &[u8]) {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        self.folders.extend(ends.map(|(end, _)| path[..end].to_vec()));
    }

    /// The files that the caller gave, watches or wants back.
    fn callers(&mut self, program: &Program) -> io::Result<()> {
        let below = |path: &str| path.strip_prefix("/box/").unwrap_or(path).to_owned();
        let mut wanted: BTreeMap<Vec<u8>, Option<&str>> = BTreeMap::new();
        for file in &program.files {
            wanted.insert(file.place(), None);
        }
        for path in &program.watch {
            wanted.entry(path::unescape(&below(path))).or_default();
        }
        for path in &program.read_back {
            wanted.insert(path::unescape(&below(path)), Some(path));
        }
        for (path, asked) in wanted {
            let place = self.find(&path)?;
            if let Some((folder, name, st)) = place {
                self.seen.insert(path.clone());
                let content = self.file(&folder, &name, &st, &path)?;
                if let (Some(asked), Some(content)) = (asked, content) {
                    self.found.contents.insert(asked.to_owned(), content);
                }
            } else if let Some((content, mode)) = self.given.get(path.as_slice()) {
                self.found.changes.push(FileChange {
                    change: Change::Removed,
                    kind: FileKind::File,
                    mode: *mode,
                    size: content.len() as u64,
                    sha256: None,
                    path,
                });
            }
        }
        Ok(())
    }

    /// The folder and name of what is at a path, if anything is; no link is followed.
    fn find(&self, path: &[u8]) -> io::Result<Option<(OwnedFd, CString, libc::stat)>> {
        let mut folder = self.root.try_clone()?;
        let mut parts = path.split(|b| *b == b'/').peekable();
        while let Some(part) = parts.next() {
            let Ok(name) = CString::new(part) else { return Ok(None) };
            let st = match descent::stat(self.keys, &folder, &name) {
                Err(e) if is_machine(&e) => return Err(e),
                Err(_) => return Ok(None),
                Ok(st) => st,
            };
            if parts.peek().is_none() {
                return Ok(Some((folder, name, st)));
            }
            if kind(st.st_mode) != FileKind::Folder {
                return Ok(None);
            }
            folder = match descent::open(self.keys, &folder, &name, libc::O_RDONLY | libc::O_DIRECTORY) {
                Err(e) if is_machine(&e) => return Err(e),
                Err(_) => return Ok(None),
                Ok(next) => next,
            };
        }
        Ok(None)
    }

    /// Everything. Of each folder first its entries, then what is in the folders among them.
    fn all(&mut self) -> io::Result<()> {
        let mut at = Descent::new(self.root.try_clone()?, self.keys);
        let mut path: Vec<u8> = Vec::new();
        let mut lengths: Vec<usize> = Vec::new();
        let mut waiting: Vec<std::vec::IntoIter<CString>> = vec![self.folder(&at, &mut path)?.into_iter()];
        while let Some(folders) = waiting.last_mut() {
            let Some(name) = folders.next() else {
                waiting.pop();
                path.truncate(lengths.pop().unwrap_or(0));
                at.up()?;
                continue;
            };
            match at.down(&name) {
                Err(e) if is_machine(&e) => return Err(e),
                Err(_) => self.found.missed += 1,
                Ok(()) => {
                    lengths.push(path.len());
                    // Past the bound nothing is listed, and the path of no use.
                    if !self.full() {
                        join(&mut path, &name);
                    }
                    waiting.push(self.folder(&at, &mut path)?.into_iter());
                }
            }
        }
        Ok(())
    }

    /// The entries of one folder; returns those that are folders themselves.
    fn folder(&mut self, at: &Descent<'_>, path: &mut Vec<u8>) -> io::Result<Vec<CString>> {
        let mut folders = Vec::new();
        let list = match sys::names(at.here(), ENTRIES + 1) {
            // Closed by its owner.
            Err(e) if !is_machine(&e) => self.keys.open(at.here()).and_then(|()| sys::names(at.here(), ENTRIES + 1)),
            other => other,
        };
        let mut list = match list {
            Err(e) if !is_machine(&e) => {
                self.found.missed += 1;
                return Ok(folders);
            }
            other => other?,
        };
        list.sort();
        for name in list {
            self.entries += 1;
            if self.entries > VISITS {
                self.found.missed += 1;
                continue;
            }
            let st = match descent::stat(self.keys, at.here(), &name) {
                Err(e) if is_machine(&e) => return Err(e),
                Err(_) => {
                    self.found.missed += 1;
                    continue;
                }
                Ok(st) => st,
            };
            let length = path.len();
            if self.full() {
                self.miss(&st);
            } else {
                self.paths += path.len() + name.to_bytes().len();
                join(path, &name);
                if !self.seen.contains(path.as_slice()) {
                    self.entry(at.here(), &name, &st, path)?;
                }
                path.truncate(length);
            }
            if kind(st.st_mode) == FileKind::Folder {
                folders.push(name);
            }
        }
        Ok(folders)
    }

    /// An entry that is counted and not listed.
    fn miss(&mut self, st: &libc::stat) {
        self.found.missed += 1;
        if kind(st.st_mode) == FileKind::File {
            self.found.largest = self.found.largest.max(st.st_size as u64);
        }
    }

    /// An entry that the caller does not know.
    fn entry(&mut self, dir: &OwnedFd, name: &CStr, st: &libc::stat, path: &[u8]) -> io::Result<()> {
        match kind(st.st_mode) {
            FileKind::File => self.file(dir, name, st, path).map(drop),
            FileKind::Folder => {
                let needed = self.folders.contains(path);
                if !needed || st.st_mode & 0o7777 != 0o755 {
                    let change = if needed { Change::Changed } else { Change::Created };
                    self.found.changes.push(FileChange { change, size: 0, ..described(path, st) });
                }
                Ok(())
            }
            _ => {
                self.found.changes.push(described(path, st));
                Ok(())
            }
        }
    }

    /// Compares what is at a path with what was given there, and returns what a regular file holds.
    fn file(&mut self, dir: &OwnedFd, name: &CStr, st: &libc::stat, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let given = self.given.get(path).copied();
        let mut change = described(path, st);
        if given.is_some() {
            change.change = Change::Changed;
        }
        if change.kind != FileKind::File {
            if given.is_some() || !self.folders.contains(path) {
                self.found.changes.push(change);
            }
            return Ok(None);
        }
        let linked = st.st_nlink > 1 && given.is_none();
        if let (true, Some(sum)) = (linked, self.sums.get(&st.st_ino)) {
            change.sha256.clone_from(sum);
            self.found.changes.push(change);
            return Ok(None);
        }
        let content = match self.content(dir, name, st) {
            Err(e) if is_machine(&e) => return Err(e),
            other => other.unwrap_or(None),
        };
        if let (Some(content), Some((original, original_mode))) = (&content, given)
            && content == original
            && change.mode == original_mode
        {
            return Ok(Some(content.clone()));
        }
        self.found.largest = self.found.largest.max(change.size);
        change.sha256 = content.as_deref().map(hex);
        if linked {
            self.sums.insert(st.st_ino, change.sha256.clone());
        }
        self.found.changes.push(change);
        Ok(content)
    }

    fn content(&mut self, dir: &OwnedFd, name: &CStr, st: &libc::stat) -> io::Result<Option<Vec<u8>>> {
        let size = st.st_size as usize;
        if self.bytes.saturating_add(size) > BYTES {
            return Ok(None);
        }
        self.bytes += size;
        sys::read_at_most(&descent::open(self.keys, dir, name, libc::O_RDONLY)?, size).map(Some)
    }
}

fn join(path: &mut Vec<u8>, name: &CStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name.to_bytes());
}

fn described(path: &[u8], st: &libc::stat) -> FileChange {
    FileChange {
        path: path.to_vec(),
        change: Change::Created,
        kind: kind(st.st_mode),
        mode: st.st_mode & 0o7777,
        size: st.st_size as u64,
        sha256: None,
    }
}

/// A path of the caller below `/box`, as a C string.
fn below(path: &str) -> Result<CString, CellError> {
    let path = path.strip_prefix("/box/").unwrap_or(path);
    CString::new(path::unescape(path)).map_err(|_| CellError::BadProgram(format!("NUL byte in path {path:?}")))
}

/// What is at a path right now; `None` if nothing can be there.
pub(crate) fn stat(root: &OwnedFd, path: &str) -> Result<Option<FileState>, CellError> {
    let place = below(path)?;
    let absent = |e: &io::Error| {
        matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV | libc::ENAMETOOLONG))
    };
    let fd = match sys::open_beneath(root, &place, libc::O_PATH) {
        Ok(fd) => fd,
        // The last part may be a link: it is looked at, not followed.
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => match sys::open_link(root, &place) {
            Ok(fd) => fd,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(CellError::machine(path, &e)),
        },
        Err(e) if absent(&e) => return Ok(None),
        Err(e) => return Err(CellError::machine(path, &e)),
    };
    let st = sys::stat_fd(&fd).map_err(|e| CellError::machine(path, &e))?;
    let kind = kind(st.st_mode);
    let sha256 = if kind == FileKind::File { read(root, path)?.as_deref().map(hex) } else { None };
    Ok(Some(FileState { mode: st.st_mode & 0o7777, size: st.st_size as u64, sha256, kind }))
}

/// What is at a path right now, and its permission bits; `None` if that cannot be told.
pub(crate) fn kind_at(root: &OwnedFd, path: &str) -> Option<(FileKind, u32)> {
    let place = below(path).ok()?;
    let fd = sys::open_beneath(root, &place, libc::O_PATH).or_else(|_| sys::open_link(root, &place)).ok()?;
    let st = sys::stat_fd(&fd).ok()?;
    Some((kind(st.st_mode), st.st_mode & 0o7777))
}

/// Content of a regular file right now; `None` if there is none at that path.
pub(crate) fn read(root: &OwnedFd, path: &str) -> Result<Option<Vec<u8>>, CellError> {
    let place = below(path)?;
    // Looked at before it is opened: opening a device or a pipe can have effects.
    let is_file = |fd: &OwnedFd| sys::stat_fd(fd).map(|st| kind(st.st_mode) == FileKind::File).unwrap_or(false);
    match sys::open_beneath(root, &place, libc::O_PATH) {
        Ok(fd) if is_file(&fd) => {}
        _ => return Ok(None),
    }
    let fd = match sys::open_beneath(root, &place, libc::O_RDONLY) {
        Ok(fd) if is_file(&fd) => fd,
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(CellError::machine(path, &e)),
    };
    sys::read_at_most(&fd, BYTES).map(Some).map_err(|e| CellError::machine(path, &e))
}
