//! Whole folders of `/box`, read back once every process of the program is dead.

use crate::types::FileKind;
use crate::watch::path;
use crate::watch::state::{kind, names};
use crate::{CellError, sys};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;

/// Bounds on what is read.
const ENTRIES: usize = 20_000;
const DEPTH: usize = 100;
const BYTES: usize = 256 << 20;

struct Reading<'a> {
    contents: &'a mut BTreeMap<String, Vec<u8>>,
    entries: usize,
    bytes: usize,
}

/// Adds the regular files below `asked`, if that is a folder, each under its path as it was asked for. Links are not
/// followed; what is beyond the bounds is left out.
pub(crate) fn read(root: &OwnedFd, asked: &str, contents: &mut BTreeMap<String, Vec<u8>>) -> Result<(), CellError> {
    let below = asked.strip_prefix("/box").map_or(asked, |rest| rest.trim_start_matches('/')).trim_end_matches('/');
    let below = if below.is_empty() { ".".into() } else { path::unescape(below) };
    let Ok(place) = CString::new(below) else { return Ok(()) };
    let folder = match sys::open_beneath(root, &place, libc::O_RDONLY | libc::O_DIRECTORY) {
        Ok(folder) => folder,
        // No folder, or closed even to us.
        Err(_) => return Ok(()),
    };
    let mut reading = Reading { contents, entries: 0, bytes: 0 };
    reading.folder(folder, asked.trim_end_matches('/'), 0).map_err(|e| CellError::machine(asked, &e))
}

impl Reading<'_> {
    fn folder(&mut self, folder: OwnedFd, path: &str, depth: usize) -> io::Result<()> {
        let (names, folder) = names(folder)?;
        for name in names {
            self.entries += 1;
            if self.entries > ENTRIES {
                break;
            }
            let path = format!("{path}/{}", path::escape(name.to_bytes()));
            let Ok(st) = sys::stat_at(&folder, &name) else { continue };
            match kind(st.st_mode) {
                FileKind::Folder if depth < DEPTH => {
                    if let Ok(inner) = sys::open_beneath(&folder, &name, libc::O_RDONLY | libc::O_DIRECTORY) {
                        self.folder(inner, &path, depth + 1)?;
                    }
                }
                FileKind::File => self.file(&folder, &name, st.st_size as usize, path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, name: &CStr, size: usize, path: String) -> io::Result<()> {
        if self.bytes.saturating_add(size) > BYTES {
            return Ok(());
        }
        self.bytes += size;
        if let Ok(file) = sys::open_beneath(folder, name, libc::O_RDONLY) {
            self.contents.insert(path, sys::read_at_most(&file, size)?);
        }
        Ok(())
    }
}
