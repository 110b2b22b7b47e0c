//! `/box` and `/tmp` of a cell, seen through descriptors of their roots.
//!
//! Both are file systems of their own. A program that leaves them as they were costs the next one nothing; otherwise
//! they are made anew, and so they are after a program that was given files: the numbers of its files would tell the
//! next how many there were before. Whether they are as they were is read off the root: every entry made or removed and
//! every change of mode or attributes leaves its mark there, and what hides elsewhere takes blocks or inodes.

use crate::types::InputFile;
use crate::watch::path::unescape;
use crate::{CellError, sys};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// The times of whatever is renewed: that of its last change is left to the kernel.
pub(crate) const LONG_AGO: [libc::timespec; 2] = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];

/// One of the two.
pub(crate) struct Place {
    pub(crate) root: OwnedFd,
    base: Mark,
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
}

impl Place {
    /// A place that was just made.
    pub(crate) fn new(root: OwnedFd) -> Result<Place, CellError> {
        let base = Mark::of(&root).map_err(|e| CellError::machine("looking at a new folder", &e))?;
        Ok(Place { root, base })
    }

    /// Puts files here, for their owner the root's. Nothing of a program may be here or alive.
    pub(crate) fn give(&self, files: &[InputFile], folders: &[String]) -> io::Result<()> {
        if files.is_empty() && folders.is_empty() {
            return Ok(());
        }
        let _owner = self.as_owner();
        let mut known = BTreeSet::new();
        for folder in folders {
            self.folders(&mut known, &[&unescape(folder)[..], b"/"].concat())?;
        }
        for file in files {
            let path = file.place();
            self.folders(&mut known, &path)?;
            let path = CString::new(path)?;
            sys::make_file(&self.root, &path, &file.content, if file.executable { 0o755 } else { 0o644 })?;
        }
        Ok(())
    }

    /// Makes the folders that a path leads through, but for those that are known.
    fn folders(&self, known: &mut BTreeSet<Vec<u8>>, path: &[u8]) -> io::Result<()> {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if known.insert(path[..end].to_vec()) {
                sys::make_folder(&self.root, &CString::new(&path[..end])?, 0o755)?;
            }
        }
        Ok(())
    }

    /// A program is about to start: when its folder was made, and so whether others were here before, is not for it to
    /// know.
    pub(crate) fn renew_times(&mut self) -> io::Result<()> {
        sys::set_times(&self.root, Some(&LONG_AGO))?;
        let now = sys::stat_fd(&self.root)?;
        // But for its times it is as it was made, or as files were given to it.
        let (modified, changed) = ((now.st_mtime, now.st_mtime_nsec), (now.st_ctime, now.st_ctime_nsec));
        self.base = Mark { modified, changed, ..self.base };
        Ok(())
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
