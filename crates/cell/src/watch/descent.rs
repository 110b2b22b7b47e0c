//! A walk through folders that a program made, held by a single descriptor: however deep they are and however long their
//! paths, neither descriptors nor the length of a path can run out.

use crate::sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;

/// Folders that a program closed to us and that we opened, with the modes they had.
pub(crate) struct Keys {
    /// The program will go on: each is closed again at the end, as it was before.
    lent: Option<RefCell<Vec<(OwnedFd, u32)>>>,
    modes: RefCell<HashMap<(u64, u64), u32>>,
}

impl Keys {
    /// So many folders are opened at most where they have to be closed again.
    const MOST: usize = 64;

    /// Nothing of the program is alive: what is opened stays so.
    pub(crate) fn kept() -> Keys {
        Keys { lent: None, modes: RefCell::default() }
    }

    pub(crate) fn lent() -> Keys {
        Keys { lent: Some(RefCell::default()), modes: RefCell::default() }
    }

    /// Lets us look for names in a folder, and make and remove them.
    pub(crate) fn open(&self, folder: &OwnedFd) -> io::Result<()> {
        let mode = sys::stat_fd(folder)?.st_mode & 0o7777;
        if mode & 0o700 == 0o700 {
            return Ok(());
        }
        self.note(folder, mode)?;
        sys::chmod_open(folder, mode | 0o700)
    }

    fn note(&self, folder: &OwnedFd, mode: u32) -> io::Result<()> {
        if let Some(lent) = &self.lent {
            if lent.borrow().len() >= Self::MOST {
                return Err(io::Error::from_raw_os_error(libc::EACCES));
            }
            lent.borrow_mut().push((folder.try_clone()?, mode));
        }
        self.modes.borrow_mut().entry(numbers(folder)?).or_insert(mode);
        Ok(())
    }

    /// What is said about a folder as the program left it.
    fn as_found(&self, mut st: libc::stat) -> libc::stat {
        if let Some(mode) = self.modes.borrow().get(&(st.st_dev, st.st_ino)) {
            st.st_mode = st.st_mode & !0o7777 | mode;
        }
        st
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for (folder, mode) in self.lent.iter_mut().flat_map(|lent| lent.get_mut().drain(..).rev()) {
            // Its owner could change it, and so can we.
            let _ = sys::chmod_open(&folder, mode);
        }
    }
}

/// A place in a tree of folders.
pub(crate) struct Descent<'a> {
    keys: &'a Keys,
    here: OwnedFd,
    /// How it was reached: the folder above by its numbers, and the name in it.
    way: Vec<((u64, u64), CString)>,
}

fn numbers(folder: &OwnedFd) -> io::Result<(u64, u64)> {
    sys::stat_fd(folder).map(|st| (st.st_dev, st.st_ino))
}

fn closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EACCES)
}

/// Opens an entry that was just seen not to be a link. Where its owner has closed it, it is opened to us first.
pub(crate) fn open(keys: &Keys, folder: &OwnedFd, name: &CStr, flags: i32) -> io::Result<OwnedFd> {
    match sys::open_beneath(folder, name, flags) {
        Err(e) if closed(&e) => {
            keys.open(folder)?;
            let mode = sys::stat_at(folder, name)?.st_mode & 0o7777;
            sys::chmod_at(folder, name, mode | 0o700)?;
            let opened = sys::open_beneath(folder, name, flags);
            match &opened {
                // What is in it is still to be opened.
                Ok(inner) if flags & libc::O_DIRECTORY != 0 => {
                    if let Err(e) = keys.note(inner, mode) {
                        sys::chmod_at(folder, name, mode)?;
                        return Err(e);
                    }
                }
                _ => sys::chmod_at(folder, name, mode)?,
            }
            opened
        }
        other => other,
    }
}

/// What is said about an entry, in a folder that may be closed to us.
pub(crate) fn stat(keys: &Keys, folder: &OwnedFd, name: &CStr) -> io::Result<libc::stat> {
    match sys::stat_at(folder, name) {
        Err(e) if closed(&e) => {
            keys.open(folder)?;
            sys::stat_at(folder, name)
        }
        other => other,
    }
    .map(|st| keys.as_found(st))
}

impl<'a> Descent<'a> {
    pub(crate) fn new(root: OwnedFd, keys: &'a Keys) -> Descent<'a> {
        Descent { keys, here: root, way: Vec::new() }
    }

    /// The folder at hand.
    pub(crate) fn here(&self) -> &OwnedFd {
        &self.here
    }

    /// Into a folder in it.
    pub(crate) fn down(&mut self, name: &CStr) -> io::Result<()> {
        let from = numbers(&self.here)?;
        self.here = open(self.keys, &self.here, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        self.way.push((from, name.to_owned()));
        Ok(())
    }

    /// Back to the folder above; the name that was left, or none at the top.
    ///
    /// # Errors
    /// `ESTALE` if somebody moved the folder meanwhile.
    pub(crate) fn up(&mut self) -> io::Result<Option<CString>> {
        let Some((from, name)) = self.way.pop() else { return Ok(None) };
        let above = match sys::open_parent(&self.here) {
            Err(e) if closed(&e) => {
                self.keys.open(&self.here)?;
                sys::open_parent(&self.here)
            }
            other => other,
        }?;
        if numbers(&above)? != from {
            return Err(io::Error::from_raw_os_error(libc::ESTALE));
        }
        self.here = above;
        Ok(Some(name))
    }
}

/// Removes all that is in a folder. Nothing runs there any more.
pub(crate) fn clear(root: OwnedFd) -> io::Result<()> {
    let keys = Keys::kept();
    let mut at = Descent::new(root, &keys);
    loop {
        keys.open(at.here())?;
        let mut deeper = None;
        let mut any = false;
        for name in sys::names(at.here(), 1000)? {
            any = true;
            match sys::remove_at(at.here(), &name, 0) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::EISDIR | libc::EPERM)) => {
                    // An empty one goes at once.
                    if sys::remove_at(at.here(), &name, libc::AT_REMOVEDIR).is_err() {
                        deeper = Some(name);
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        if let Some(name) = deeper {
            at.down(&name)?;
        } else if !any {
            let Some(name) = at.up()? else { return Ok(()) };
            sys::remove_at(at.here(), &name, libc::AT_REMOVEDIR)?;
        }
    }
}

/// Bytes that files below a folder take, as far as can be seen in a moment. Programs may be at work there.
pub(crate) fn used(root: OwnedFd) -> u64 {
    const ENTRIES: usize = 10_000;
    let keys = Keys::kept();
    let mut at = Descent::new(root, &keys);
    let mut linked = std::collections::HashSet::new();
    let (mut sum, mut seen) = (0, 0);
    let mut folders: Vec<Vec<CString>> = Vec::new();
    loop {
        let mut inner = Vec::new();
        for name in sys::names(at.here(), ENTRIES).unwrap_or_default() {
            let Ok(st) = sys::stat_at(at.here(), &name) else { continue };
            let folder = st.st_mode & libc::S_IFMT == libc::S_IFDIR;
            if folder || st.st_nlink < 2 || linked.insert(st.st_ino) {
                sum += st.st_blocks as u64 * 512;
            }
            seen += 1;
            if folder && seen < ENTRIES {
                inner.push(name);
            }
        }
        folders.push(inner);
        loop {
            let Some(waiting) = folders.last_mut() else { return sum };
            match waiting.pop() {
                // Gone, or closed: others are looked at.
                Some(name) => {
                    if at.down_as_is(&name).is_ok() {
                        break;
                    }
                }
                None => {
                    folders.pop();
                    if !matches!(at.up(), Ok(Some(_))) {
                        return sum;
                    }
                }
            }
        }
    }
}

impl Descent<'_> {
    /// Into a folder, if it is open to us.
    fn down_as_is(&mut self, name: &CStr) -> io::Result<()> {
        let from = numbers(&self.here)?;
        self.here = sys::open_beneath(&self.here, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        self.way.push((from, name.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &std::path::Path) -> OwnedFd {
        std::fs::File::open(path).unwrap().into()
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_measured_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let name = CString::new("d".repeat(200)).unwrap();
        let keys = Keys::kept();
        let mut at = Descent::new(folder(base.path()), &keys);
        for i in 0..3000 {
            sys::make_folder(at.here(), &name, 0o755).unwrap();
            at.down(&name).unwrap();
            if i % 100 == 0 {
                sys::make_file(at.here(), c"file", &[7; 5000], 0o600).unwrap();
            }
        }
        for i in 0..3000 {
            if i % 3 == 0 {
                sys::chmod_open(at.here(), 0).unwrap();
            }
            at.up().unwrap().unwrap();
        }
        assert_eq!(at.up().unwrap(), None);
        clear(folder(base.path())).unwrap();
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_lies_deep_is_counted() {
        let base = tempfile::tempdir().unwrap();
        let keys = Keys::kept();
        let mut at = Descent::new(folder(base.path()), &keys);
        for _ in 0..30 {
            sys::make_folder(at.here(), c"in", 0o755).unwrap();
            at.down(c"in").unwrap();
        }
        let empty = used(folder(base.path()));
        sys::make_file(at.here(), c"file", &[7; 100_000], 0o600).unwrap();
        assert!(used(folder(base.path())) >= empty + 100_000);
    }
}
