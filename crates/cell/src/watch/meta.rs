//! Modes and times of a program's own files, changed on its behalf.
//!
//! Without a mount namespace nothing in the kernel keeps a program from changing the mode or the times of a file
//! outside that belongs to the same user: Landlock does not look at these calls. There the filter refuses them all and
//! tells the supervisor, which carries out what concerns the program's own folders. What is acted on is a descriptor
//! that was opened beneath them, so that nothing the program does meanwhile leads elsewhere.

use crate::sys;
use crate::watch::notify::Call;
use crate::watch::path::plain;
use libc::{c_int, c_long};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a program may change: `box` and `tmp` beneath this folder, and what is in them.
pub(crate) struct Own<'a> {
    pub(crate) work: &'a Path,
    /// The user programs run as.
    pub(crate) uid: u32,
}

enum Change {
    Mode(u32),
    /// Access and modification, as `utimensat` takes them; `None` for now.
    Times(Option<[libc::timespec; 2]>),
}

#[cfg(target_arch = "x86_64")]
const CHMOD: c_long = libc::SYS_chmod;
#[cfg(not(target_arch = "x86_64"))]
const CHMOD: c_long = -1;

impl Own<'_> {
    /// Does what a call asks for. An error is the number to answer with; `EPERM` where it is none of the program's.
    pub(crate) fn change(&self, call: &Call) -> Result<(), c_int> {
        let args = call.args;
        let at = args[0] as c_int;
        let mode = |word: u64| Change::Mode(word as u32 & 0o1777);
        let (folder, path, change, flags) = match call.nr {
            CHMOD => (libc::AT_FDCWD, args[0], mode(args[1]), 0),
            libc::SYS_fchmod => (at, 0, mode(args[1]), 0),
            libc::SYS_fchmodat => (at, args[1], mode(args[2]), 0),
            libc::SYS_fchmodat2 => (at, args[1], mode(args[2]), args[3] as c_int),
            libc::SYS_utimensat => {
                let times = if args[2] == 0 { None } else { Some(times(call.pid, args[2])?) };
                (at, args[1], Change::Times(times), args[3] as c_int)
            }
            _ => return Err(libc::EPERM),
        };
        let file = self.file(call.pid, folder, path, flags & libc::AT_SYMLINK_NOFOLLOW != 0)?;
        let error = |e: std::io::Error| e.raw_os_error().unwrap_or(libc::EPERM);
        if sys::stat_fd(&file).map_err(error)?.st_uid != self.uid {
            return Err(libc::EPERM);
        }
        match change {
            Change::Mode(mode) => sys::chmod_there(&file, mode),
            Change::Times(times) => sys::set_times(&file, times.as_ref()),
        }
        .map_err(error)
    }

    /// The file that a call names by a path, or by a descriptor alone.
    fn file(&self, pid: i32, folder: c_int, path: u64, link: bool) -> Result<OwnedFd, c_int> {
        let link_of = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).map_err(|_| libc::EBADF);
        let text = if path == 0 { String::new() } else { sys::read_text(pid, path).ok_or(libc::EFAULT)? };
        if text.is_empty() && path != 0 {
            return Err(libc::ENOENT);
        }
        let from = match folder {
            libc::AT_FDCWD => link_of("cwd")?,
            fd => link_of(&format!("fd/{fd}"))?,
        };
        let whole = plain(&from.join(text));
        let inside = whole.strip_prefix(self.work).map_err(|_| libc::EPERM)?;
        if !(inside.starts_with("box") || inside.starts_with("tmp")) {
            return Err(libc::EPERM);
        }
        let inside = CString::new(inside.as_os_str().as_bytes()).map_err(|_| libc::EPERM)?;
        let work = OwnedFd::from(std::fs::File::open(self.work).map_err(|_| libc::EPERM)?);
        sys::open_within(&work, &inside, link).map_err(|e| match e.raw_os_error() {
            Some(libc::EXDEV) | None => libc::EPERM,
            Some(number) => number,
        })
    }
}

fn times(pid: i32, pointer: u64) -> Result<[libc::timespec; 2], c_int> {
    let mut bytes = [0u8; 32];
    sys::read_memory(pid, pointer, &mut bytes).ok_or(libc::EFAULT)?;
    let word = |i: usize| i64::from_ne_bytes(std::array::from_fn(|k| bytes[8 * i + k]));
    let time = |i: usize| libc::timespec { tv_sec: word(i), tv_nsec: word(i + 1) };
    Ok([time(0), time(2)])
}
