//! Files of a session that lives: written, read, listed and removed from outside, through the descriptors of its folders.
//!
//! What a program does meanwhile leads nowhere else: every path is opened beneath `/box` or `/tmp`, no link is followed,
//! and nothing is done with more rights than the user has as whom the program runs.

use super::Session;
use crate::types::FileKind;
use crate::watch::path::unescape;
use crate::watch::state;
use crate::zygote::scratch::Place;
use crate::{CellError, sys};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;

/// At most this many entries of a folder are listed.
const ENTRIES: usize = 20_000;
/// At most this deep a folder is removed.
const DEPTH: usize = 200;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name, byte for byte.
    pub name: Vec<u8>,
    /// What it is; a link is told as a link.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes; for a link, the length of where it leads.
    pub size: u64,
}

/// A path of the caller: which folder it is in, and what leads there.
struct At<'a> {
    place: &'a Place,
    parents: Vec<CString>,
    /// None for the folder itself.
    name: Option<CString>,
    asked: &'a str,
}

impl At<'_> {
    fn error(&self, error: io::Error) -> CellError {
        CellError::File { path: self.asked.to_owned(), source: error }
    }

    fn number(&self, number: i32) -> CellError {
        self.error(io::Error::from_raw_os_error(number))
    }

    fn root(&self) -> Result<OwnedFd, CellError> {
        open(&self.place.root, c".", libc::O_RDONLY | libc::O_DIRECTORY).map_err(|e| self.error(e))
    }

    /// The folder that the last name is in; made, where asked for.
    fn parent(&self, make: bool) -> Result<OwnedFd, CellError> {
        let mut folder = self.root()?;
        for name in &self.parents {
            folder = enter(&folder, name, make).map_err(|e| self.error(e))?;
        }
        Ok(folder)
    }

    fn last(&self) -> Result<&CString, CellError> {
        self.name.as_ref().ok_or_else(|| self.number(libc::EISDIR))
    }
}

/// A link in the way is told as what it is not: a folder, or a file.
fn open(folder: &OwnedFd, name: &CStr, flags: i32) -> io::Result<OwnedFd> {
    sys::open_beneath(folder, name, flags)
}

fn enter(folder: &OwnedFd, name: &CStr, make: bool) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    match open(folder, name, flags) {
        Err(e) if make && e.kind() == io::ErrorKind::NotFound => {
            match sys::make_folder(folder, name, 0o755) {
                // Somebody inside was faster.
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            open(folder, name, flags)
        }
        other => other,
    }
}

fn is_file(file: &OwnedFd) -> io::Result<()> {
    match state::kind(sys::stat_fd(file)?.st_mode) {
        FileKind::File => Ok(()),
        FileKind::Folder => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

impl Session {
    /// Which of the two folders a path is in: `/tmp/..`, `/box/..`, or relative, which is below `/box`.
    fn at<'a>(&'a self, path: &'a str) -> Result<At<'a>, CellError> {
        let bad = |what: io::Error| CellError::File { path: path.to_owned(), source: what };
        let below = |top: &str| path.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let (number, rest) = match (below("/box"), below("/tmp")) {
            (Some(rest), _) => (0, rest),
            (_, Some(rest)) => (1, rest),
            _ if path.starts_with('/') => {
                return Err(bad(io::Error::new(io::ErrorKind::PermissionDenied, "only /box and /tmp can be reached")));
            }
            _ => (0, path),
        };
        let mut names = Vec::new();
        let rest = unescape(rest);
        for name in rest.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
            if name == b".." {
                return Err(bad(io::Error::new(io::ErrorKind::InvalidInput, "`..` is not followed")));
            }
            names.push(CString::new(name).map_err(|e| bad(e.into()))?);
        }
        let name = names.pop();
        Ok(At { place: self.zygote()?.place(number)?, parents: names, name, asked: path })
    }

    /// Writes a file below `/box` (relative, or beginning with `/box/`) or `/tmp`. Folders on the way are made; the file
    /// belongs to the user that the commands run as. One that is there keeps its mode and gets this content.
    ///
    /// # Errors
    /// [`CellError::File`] where a folder or a link is in the way, where the user may not write, and where nothing is left
    /// of the space; [`CellError::SessionEnded`] once bash is gone.
    pub fn write_file(&mut self, path: &str, content: &[u8], executable: bool) -> Result<(), CellError> {
        self.unseen(|session| session.write(path, content, executable))
    }

    fn write(&self, path: &str, content: &[u8], executable: bool) -> Result<(), CellError> {
        let at = self.at(path)?;
        let name = at.last()?;
        let _owner = at.place.as_owner();
        let parent = at.parent(true)?;
        let write = || -> io::Result<()> {
            let file = match open(&parent, name, libc::O_WRONLY) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return sys::make_file(&parent, name, content, if executable { 0o755 } else { 0o644 });
                }
                // A pipe that nobody reads.
                Err(e) if e.raw_os_error() == Some(libc::ENXIO) => {
                    return Err(io::Error::other("it is no regular file"));
                }
                other => other?,
            };
            is_file(&file)?;
            sys::truncate(&file)?;
            sys::fill(&file, content)?;
            if executable { sys::chmod_open(&file, 0o755) } else { Ok(()) }
        };
        write().map_err(|e| at.error(e))
    }

    /// Content of a file below `/box` or `/tmp`, as the user would get it that the commands run as.
    ///
    /// # Errors
    /// [`CellError::File`] if it is not there, no regular file, closed to the user, or larger than `limit` bytes.
    pub fn get_file(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, CellError> {
        self.unseen(|session| session.get(path, limit))
    }

    fn get(&self, path: &str, limit: u64) -> Result<Vec<u8>, CellError> {
        let at = self.at(path)?;
        let name = at.last()?;
        let _owner = at.place.as_owner();
        let parent = at.parent(false)?;
        let read = || -> io::Result<Vec<u8>> {
            // Looked at before it is opened: opening a pipe can have effects.
            is_file(&open(&parent, name, libc::O_PATH)?)?;
            let file = open(&parent, name, libc::O_RDONLY)?;
            is_file(&file)?;
            let size = sys::stat_fd(&file)?.st_size as u64;
            if size > limit {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it has {size} bytes, more than the {limit} asked for"),
                ));
            }
            sys::read_at_most(&file, limit as usize)
        };
        read().map_err(|e| at.error(e))
    }

    /// What is in a folder below `/box` or `/tmp` right now, sorted by name; whether that is all of it.
    ///
    /// # Errors
    /// [`CellError::File`] if there is no such folder, or it is closed to the user.
    pub fn list(&self, path: &str) -> Result<(Vec<FolderEntry>, bool), CellError> {
        let at = self.at(path)?;
        let _owner = at.place.as_owner();
        let mut folder = at.parent(false)?;
        if let Some(name) = &at.name {
            folder = enter(&folder, name, false).map_err(|e| at.error(e))?;
        }
        let (mut names, folder) = state::names(folder).map_err(|e| at.error(e))?;
        let whole = names.len() <= ENTRIES;
        names.truncate(ENTRIES);
        let mut entries = Vec::new();
        for name in names {
            // What is gone by now is left out.
            let Ok(st) = sys::stat_at(&folder, &name) else { continue };
            let kind = state::kind(st.st_mode);
            let size = if kind == FileKind::Folder { 0 } else { st.st_size as u64 };
            entries.push(FolderEntry { name: name.into_bytes(), kind, mode: st.st_mode & 0o7777, size });
        }
        Ok((entries, whole))
    }

    /// Makes a folder below `/box` or `/tmp`, and those on the way. One that is there is left as it is.
    ///
    /// # Errors
    /// [`CellError::File`] where something else is in the way or the user may not write.
    pub fn make_folder(&self, path: &str) -> Result<(), CellError> {
        let at = self.at(path)?;
        let _owner = at.place.as_owner();
        let parent = at.parent(true)?;
        at.name.as_ref().map_or(Ok(()), |name| enter(&parent, name, true).map(drop)).map_err(|e| at.error(e))
    }

    /// Removes a file or a link below `/box` or `/tmp`; a folder with all that is in it if `all`, else only an empty one.
    ///
    /// # Errors
    /// [`CellError::File`] if it is not there, not empty, closed to the user, or more than 200 folders deep.
    pub fn remove(&self, path: &str, all: bool) -> Result<(), CellError> {
        let at = self.at(path)?;
        let name = at.name.as_ref().ok_or_else(|| at.number(libc::EBUSY))?;
        let _owner = at.place.as_owner();
        let parent = at.parent(false)?;
        let gone = match sys::remove_at(&parent, name, 0) {
            Err(e) if e.raw_os_error() == Some(libc::EISDIR) && all => remove_folder(&parent, name, 0),
            Err(e) if e.raw_os_error() == Some(libc::EISDIR) => sys::remove_at(&parent, name, libc::AT_REMOVEDIR),
            other => other,
        };
        gone.map_err(|e| at.error(e))
    }
}

fn remove_folder(parent: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
    if depth > DEPTH {
        return Err(io::Error::other("its folders are too deep"));
    }
    let (names, folder) = state::names(enter(parent, name, false)?)?;
    for inner in names {
        match sys::remove_at(&folder, &inner, 0) {
            Err(e) if e.raw_os_error() == Some(libc::EISDIR) => remove_folder(&folder, &inner, depth + 1)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    sys::remove_at(parent, name, libc::AT_REMOVEDIR)
}
