//! Who opened which of the watched files, and when.
//!
//! Two witnesses. The kernel's inotify tells of every opening of the very file, by whatever name; it does not tell by
//! whom. The filter tells of every call that is about to open something; the path is then looked at as the caller sees
//! it. An opening that only the first has seen, or that several may have made, is told without a name: a program can hide
//! who, but not that.

use crate::enclosure::filter;
use crate::sys;
use crate::types::Opened;
use crate::watch::notify::Call;
use crate::watch::trace::Tracer;

pub(crate) mod descent;
pub(crate) mod folder;
pub(crate) mod meta;
pub(crate) mod notify;
pub(crate) mod path;
pub(crate) mod state;
pub(crate) mod trace;
pub(crate) mod tree;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// The watch over one program's files.
pub(crate) struct Watch {
    queue: OwnedFd,
    wanted: Vec<String>,
    /// By number of the kernel's watch.
    paths: HashMap<i32, String>,
    /// Device and inode of each.
    files: HashMap<(u64, u64), String>,
    /// What is about to be opened, by our number for the process.
    announced: Vec<(i32, Opened)>,
    opened: Vec<Opened>,
    started: Instant,
    /// Who hears of everything else that is told.
    pub(crate) tracer: Option<Tracer>,
}

impl Watch {
    pub(crate) fn new(wanted: &[String]) -> std::io::Result<Watch> {
        Ok(Watch {
            queue: sys::inotify()?,
            wanted: wanted.to_vec(),
            paths: HashMap::new(),
            files: HashMap::new(),
            announced: Vec::new(),
            opened: Vec::new(),
            started: Instant::now(),
            tracer: None,
        })
    }

    /// Begins, once the files are in place and before the program's first instruction.
    pub(crate) fn begin(&mut self, folder: &OwnedFd) {
        self.started = Instant::now();
        for path in &self.wanted {
            let below = path.strip_prefix("/box/").unwrap_or(path);
            let Ok(name) = CString::new(path::unescape(below)) else { continue };
            let Ok(file) = sys::open_beneath(folder, &name, libc::O_PATH) else { continue };
            let (Ok(st), Ok(number)) = (sys::stat_fd(&file), sys::inotify_open(&self.queue, &file)) else { continue };
            self.paths.insert(number, path.clone());
            self.files.insert((st.st_dev, st.st_ino), path.clone());
        }
    }

    /// Whether the openings of any file are to be told.
    pub(crate) fn has_files(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// A process is about to open something.
    pub(crate) fn announce(&mut self, opening: &Call) {
        if self.files.is_empty() || !filter::opens(opening.nr) {
            return;
        }
        let Some(path) = self.target(opening) else { return };
        // Whoever asks anew, or is gone, is no longer about to open what it asked for before.
        let gone = |pid: i32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
        self.announced.retain(|(pid, _)| *pid != opening.pid && !gone(*pid));
        let (process, command) = tree::who(opening.pid);
        let seconds = self.started.elapsed().as_secs_f64();
        self.announced.push((opening.pid, Opened { path, seconds, process, command }));
    }

    /// Which of the watched files a call is about to open, if any.
    fn target(&self, opening: &Call) -> Option<String> {
        let at = filter::opens_at(opening.nr);
        let pointer = opening.args[usize::from(at)];
        let path = sys::read_text(opening.pid, pointer)?;
        let from = match (path.starts_with('/'), at, opening.args[0] as i32) {
            (true, ..) => None,
            (false, true, fd) if fd != libc::AT_FDCWD => Some(format!("/proc/{}/fd/{fd}", opening.pid)),
            _ => Some(format!("/proc/{}/cwd", opening.pid)),
        };
        let from = from.map_or(Some("/".into()), |link| std::fs::read_link(link).ok())?;
        let whole = CString::new(from.join(path).as_os_str().as_bytes()).ok()?;
        // Looked at as the caller sees it: links lead to where they lead in the cell.
        let root = OwnedFd::from(std::fs::File::open(format!("/proc/{}/root", opening.pid)).ok()?);
        let st = sys::open_in_root(&root, &whole).and_then(|fd| sys::stat_fd(&fd)).ok()?;
        self.files.get(&(st.st_dev, st.st_ino)).cloned()
    }

    /// Takes what the kernel has seen so far.
    pub(crate) fn collect(&mut self) {
        if self.paths.is_empty() {
            return;
        }
        for number in sys::inotify_read(&self.queue) {
            let Some(path) = self.paths.get(&number) else { continue };
            let seconds = self.started.elapsed().as_secs_f64();
            let mut askers: Vec<Opened> =
                self.announced.extract_if(.., |(_, a)| a.path == *path).map(|(_, a)| a).collect();
            // Of several that asked, one may have been refused by the kernel: then nobody is named.
            let alone = askers.len() == 1;
            let unknown = || Opened { path: path.clone(), seconds, process: None, command: None };
            self.opened.push(askers.pop().filter(|_| alone).unwrap_or_else(unknown));
        }
    }

    /// All openings so far, in order.
    pub(crate) fn so_far(&mut self) -> Vec<Opened> {
        self.collect();
        self.opened.clone()
    }

    /// What the kernel has seen since [`collect`](Watch::collect) was our own doing.
    pub(crate) fn was_us(&mut self) {
        sys::inotify_read(&self.queue);
    }

    pub(crate) fn queue(&self) -> i32 {
        self.queue.as_raw_fd()
    }

    /// All openings, in order.
    pub(crate) fn finish(mut self) -> Vec<Opened> {
        self.collect();
        self.opened
    }
}
