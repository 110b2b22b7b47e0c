//! What is in `/box`: read by the supervisor through the folder's descriptor, never through a
//! path of the machine, never following a link, and within bounds.

use crate::types::{Change, FileChange, FileKind, FileState, Program};
use crate::{CellError, sys};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// At most this many entries are listed,
const ENTRIES: usize = 20_000;
/// this deep,
const DEPTH: usize = 200;
/// their paths together are this long,
const PATHS: usize = 4 << 20;
/// and this many bytes are read.
const BYTES: usize = 256 << 20;

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) changes: Vec<FileChange>,
    pub(crate) contents: BTreeMap<String, Vec<u8>>,
    /// Size of the largest regular file that was made or changed.
    pub(crate) largest: u64,
}

struct Walk<'a> {
    given: HashMap<&'a [u8], (&'a [u8], u32)>,
    folders: BTreeSet<&'a [u8]>,
    seen: BTreeSet<Vec<u8>>,
    wanted: HashMap<&'a [u8], &'a str>,
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

/// Compares `/box` with what the program was given. Only once all its processes are dead.
pub(crate) fn look(root: &OwnedFd, program: &Program) -> Result<Found, CellError> {
    let mut walk = Walk {
        given: HashMap::new(),
        folders: BTreeSet::new(),
        seen: BTreeSet::new(),
        wanted: program
            .read_back
            .iter()
            .map(|p| (p.strip_prefix("/box/").unwrap_or(p).as_bytes(), p.as_str()))
            .collect(),
        found: Found::default(),
        sums: HashMap::new(),
        entries: 0,
        paths: 0,
        bytes: 0,
    };
    for file in &program.files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let path = file.path.as_bytes();
        walk.given.insert(path, (&file.content, mode));
        for (i, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            walk.folders.insert(&path[..i]);
        }
    }
    let again = sys::open_beneath(root, c".", libc::O_RDONLY | libc::O_DIRECTORY)
        .or_else(|_| {
            sys::chmod_open(root, 0o755)?;
            sys::open_beneath(root, c".", libc::O_RDONLY | libc::O_DIRECTORY)
        })
        .map_err(|e| CellError::machine("opening /box", &e))?;
    walk.folder(again, &mut Vec::new(), 0).map_err(|e| CellError::machine("reading /box", &e))?;
    for (path, (content, mode)) in &walk.given {
        if !walk.seen.contains(*path) && !walk.full() {
            walk.found.changes.push(FileChange {
                path: path.to_vec(),
                change: Change::Removed,
                kind: FileKind::File,
                mode: *mode,
                size: content.len() as u64,
                sha256: None,
            });
        }
    }
    walk.found.changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

/// Names in a folder, without `.` and `..`, sorted.
pub(crate) fn names(dir: OwnedFd) -> io::Result<(Vec<CString>, OwnedFd)> {
    let copy = dir.try_clone()?.into_raw_fd();
    // SAFETY: `copy` is an open descriptor of a folder; fdopendir takes it over.
    let stream = unsafe { libc::fdopendir(copy) };
    if stream.is_null() {
        let e = io::Error::last_os_error();
        // SAFETY: fdopendir failed, so `copy` is still ours.
        unsafe { libc::close(copy) };
        return Err(e);
    }
    let mut out = Vec::new();
    while out.len() <= ENTRIES {
        // SAFETY: `stream` is open; the entry is used before the next call.
        let entry = unsafe { libc::readdir(stream) };
        if entry.is_null() {
            break;
        }
        // SAFETY: d_name is NUL-terminated.
        let name = unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) };
        if name != c"." && name != c".." {
            out.push(name.to_owned());
        }
    }
    // SAFETY: opened above, closed once.
    unsafe { libc::closedir(stream) };
    out.sort();
    Ok((out, dir))
}

impl Walk<'_> {
    fn full(&self) -> bool {
        self.entries >= ENTRIES || self.paths >= PATHS
    }

    fn folder(&mut self, dir: OwnedFd, path: &mut Vec<u8>, depth: usize) -> io::Result<()> {
        let (list, dir) = names(dir)?;
        for name in list {
            if self.full() {
                return Ok(());
            }
            self.entries += 1;
            self.paths += path.len() + name.to_bytes().len();
            let st = match sys::stat_at(&dir, &name) {
                Err(e) if e.raw_os_error() == Some(libc::EACCES) => {
                    // A folder without search permission.
                    sys::chmod_open(&dir, 0o755)?;
                    sys::stat_at(&dir, &name)?
                }
                other => other?,
            };
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend(name.to_bytes());
            self.entry(&dir, &name, &st, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        st: &libc::stat,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> io::Result<()> {
        let kind = kind(st.st_mode);
        let mode = st.st_mode & 0o7777;
        let given = self.given.get(path.as_slice()).copied();
        let mut change = FileChange {
            path: path.clone(),
            change: if given.is_some() { Change::Changed } else { Change::Created },
            kind,
            mode,
            size: st.st_size as u64,
            sha256: None,
        };
        if given.is_some() {
            self.seen.insert(path.clone());
        }
        match kind {
            FileKind::File => {
                let wanted = self.wanted.get(path.as_slice()).copied();
                let linked = st.st_nlink > 1 && given.is_none() && wanted.is_none();
                if let (true, Some(sum)) = (linked, self.sums.get(&st.st_ino)) {
                    change.sha256.clone_from(sum);
                    self.found.changes.push(change);
                    return Ok(());
                }
                let content = self.content(dir, name, st)?;
                if let (Some(content), Some((original, original_mode))) = (&content, given)
                    && content == original
                    && mode == original_mode
                {
                    if let Some(key) = wanted {
                        self.found.contents.insert(key.to_owned(), content.clone());
                    }
                    return Ok(());
                }
                self.found.largest = self.found.largest.max(change.size);
                change.sha256 = content.as_deref().map(hex);
                if st.st_nlink > 1 {
                    self.sums.insert(st.st_ino, change.sha256.clone());
                }
                if let (Some(key), Some(content)) = (wanted, content) {
                    self.found.contents.insert(key.to_owned(), content);
                }
                self.found.changes.push(change);
            }
            FileKind::Folder => {
                if given.is_some() || !self.folders.contains(path.as_slice()) || mode != 0o755 {
                    if self.folders.contains(path.as_slice()) {
                        change.change = Change::Changed;
                    }
                    change.size = 0;
                    self.found.changes.push(change);
                }
                if depth < DEPTH {
                    let next = self.open(dir, name, mode, libc::O_RDONLY | libc::O_DIRECTORY)?;
                    self.folder(next, path, depth + 1)?;
                }
            }
            _ => self.found.changes.push(change),
        }
        Ok(())
    }

    /// Opens what was just seen not to be a link; nothing runs that could have changed it.
    fn open(&self, dir: &OwnedFd, name: &CStr, mode: u32, flags: i32) -> io::Result<OwnedFd> {
        match sys::open_beneath(dir, name, flags) {
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => {
                sys::chmod_at(dir, name, mode | 0o700)?;
                sys::open_beneath(dir, name, flags)
            }
            other => other,
        }
    }

    fn content(&mut self, dir: &OwnedFd, name: &CStr, st: &libc::stat) -> io::Result<Option<Vec<u8>>> {
        let size = st.st_size as usize;
        if self.bytes.saturating_add(size) > BYTES {
            return Ok(None);
        }
        self.bytes += size;
        let file = self.open(dir, name, st.st_mode & 0o7777, libc::O_RDONLY)?;
        sys::read_at_most(&file, size).map(Some)
    }
}

/// A path of the caller below `/box`, as a C string.
fn below(path: &str) -> Result<CString, CellError> {
    let path = path.strip_prefix("/box/").unwrap_or(path);
    CString::new(path).map_err(|_| CellError::BadProgram(format!("NUL byte in path {path:?}")))
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
