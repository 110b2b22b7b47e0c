//! `/box` and `/tmp` of a cell, seen through descriptors of their roots.
//!
//! Both are file systems of their own. A program that leaves them as they were costs the next one nothing; otherwise
//! they are made anew, unless all it had there is what it was given. Whether they are as they were is read off the
//! root: every entry made or removed and every change of mode or attributes leaves its mark there, and what hides
//! elsewhere takes blocks or inodes.

use crate::types::InputFile;
use crate::{CellError, sys};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// One of the two.
pub(crate) struct Place {
    pub(crate) root: OwnedFd,
    base: Mark,
    given: Given,
}

/// What a program was given.
#[derive(Default)]
struct Given {
    files: Vec<CString>,
    /// Parents before children.
    folders: Vec<CString>,
    /// Of the root and of these folders, before the program started.
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
    free: (u64, u64),
}

impl Mark {
    fn of(root: &OwnedFd) -> std::io::Result<Mark> {
        let st = sys::stat_fd(root)?;
        let fs = sys::stat_system(root)?;
        Ok(Mark {
            mode: st.st_mode,
            owner: (st.st_uid, st.st_gid),
            links: st.st_nlink,
            size: st.st_size,
            modified: (st.st_mtime, st.st_mtime_nsec),
            changed: (st.st_ctime, st.st_ctime_nsec),
            free: (fs.f_bfree, fs.f_ffree),
        })
    }

    /// Equal but for the contents of files below.
    fn same_entries(&self, other: &Mark) -> bool {
        Mark { free: other.free, ..*self } == *other
    }
}

impl Place {
    /// A place that was just made.
    pub(crate) fn new(root: OwnedFd) -> Result<Place, CellError> {
        let base = Mark::of(&root).map_err(|e| CellError::machine("looking at a new folder", &e))?;
        Ok(Place { root, base, given: Given::default() })
    }

    /// Puts files here, for their owner the root's. Nothing of a program may be here or alive.
    pub(crate) fn give(&mut self, files: &[InputFile]) -> io::Result<()> {
        self.given = Given::default();
        if files.is_empty() {
            return Ok(());
        }
        let _owner = self.as_owner();
        let mut known = BTreeSet::new();
        for file in files {
            for (end, _) in file.path.match_indices('/') {
                if known.insert(&file.path[..end]) {
                    let folder = CString::new(&file.path[..end])?;
                    sys::make_folder(&self.root, &folder, 0o755)?;
                    self.given.folders.push(folder);
                }
            }
            let path = CString::new(file.path.as_str())?;
            sys::make_file(&self.root, &path, &file.content, if file.executable { 0o755 } else { 0o644 })?;
            self.given.files.push(path);
        }
        self.given.marks = self.marks(&self.given.folders)?;
        Ok(())
    }

    fn marks(&self, folders: &[CString]) -> io::Result<Vec<Mark>> {
        let folder =
            |path: &CString| Mark::of(&sys::open_beneath(&self.root, path, libc::O_RDONLY | libc::O_DIRECTORY)?);
        std::iter::once(Mark::of(&self.root)).chain(folders.iter().map(folder)).collect()
    }

    /// Takes away what was given, if the program has made, removed and renamed nothing beside it. Whether the place is
    /// then as good as new.
    pub(crate) fn take_back(&mut self) -> bool {
        let given = std::mem::take(&mut self.given);
        // Where times are coarse, a change in the tick of the giving would not show.
        !given.files.is_empty() && fine_times() && self.take(&given).unwrap_or(false)
    }

    fn take(&mut self, given: &Given) -> io::Result<bool> {
        let now = self.marks(&given.folders)?;
        if !now.iter().zip(&given.marks).all(|(now, before)| now.same_entries(before)) {
            return Ok(false);
        }
        given.files.iter().try_for_each(|file| sys::remove_at(&self.root, file, 0))?;
        let mut folders = given.folders.iter().rev();
        folders.try_for_each(|folder| sys::remove_at(&self.root, folder, libc::AT_REMOVEDIR))?;
        let long_ago = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        sys::set_times(&self.root, Some(&[long_ago, long_ago]))?;
        let now = Mark::of(&self.root)?;
        let clean = now.free == self.base.free && now.links == self.base.links;
        self.base = now;
        Ok(clean)
    }

    /// Whether nothing was done here since it was made, by a program that started at `started` (seconds of the
    /// machine's clock).
    pub(crate) fn is_pristine(&self, started: f64) -> bool {
        // Where the kernel's file times are coarse, a change in the very tick of the making would not show.
        let tick = if fine_times() { 0.0 } else { 0.02 };
        let made = self.base.changed.0 as f64 + self.base.changed.1 as f64 * 1e-9;
        started >= made + tick && Mark::of(&self.root).is_ok_and(|now| now == self.base)
    }

    /// As long as it lives, this thread acts on files as the user that programs run as.
    pub(crate) fn as_owner(&self) -> sys::MakingAs {
        sys::MakingAs::user(self.base.owner)
    }

    /// Whether no block or no inode is left.
    pub(crate) fn is_full(&self) -> bool {
        sys::stat_system(&self.root).is_ok_and(|fs| fs.f_bfree == 0 || fs.f_ffree == 0)
    }
}

/// Whether a file time that was looked at is never given to a later change (Linux 6.13, "multigrain timestamps").
fn fine_times() -> bool {
    static FINE: OnceLock<bool> = OnceLock::new();
    *FINE.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 13)
    })
}
