//! Files and folders, through descriptors.

use super::{check, owned};
use libc::c_int;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

pub(crate) fn stat_fd(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: an all-zero stat is a valid value; the kernel fills it.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `st` is valid for writing.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut st) }.into())?;
    Ok(st)
}

/// Blocks and inodes of the file system that `fd` is on.
pub(crate) fn stat_system(fd: &OwnedFd) -> io::Result<libc::statfs> {
    // SAFETY: an all-zero statfs is a valid value; the kernel fills it.
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `fs` is valid for writing.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut fs) }.into())?;
    Ok(fs)
}

pub(crate) fn stat_at(dir: &OwnedFd, name: &CStr) -> io::Result<libc::stat> {
    // SAFETY: an all-zero stat is a valid value; the kernel fills it.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is NUL-terminated, `st` valid for writing.
    check(unsafe { libc::fstatat(dir.as_raw_fd(), name.as_ptr(), &raw mut st, libc::AT_SYMLINK_NOFOLLOW) }.into())?;
    Ok(st)
}

/// Opens below `dir` without following a link, leaving the folder or crossing a mount.
pub(crate) fn open_beneath(dir: &OwnedFd, path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain data; zero is its default.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    let mut flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    if flags & libc::O_PATH == 0 {
        flags |= libc::O_NONBLOCK | libc::O_NOCTTY;
    }
    how.flags = flags as u64;
    how.resolve =
        libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV;
    loop {
        // SAFETY: `path` is NUL-terminated, `how` lives through the call.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match owned(ret) {
            // EAGAIN: a rename raced with a BENEATH lookup; asking again is the documented way.
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            other => return other,
        }
    }
}

/// The folder above an open one.
pub(crate) fn open_parent(dir: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name is a constant.
    owned(unsafe { libc::openat(dir.as_raw_fd(), c"..".as_ptr(), flags) }.into())
}

/// At most this many names in a folder, without `.` and `..`, in the folder's own order.
pub(crate) fn names(dir: &OwnedFd, most: usize) -> io::Result<Vec<CString>> {
    // A descriptor with an offset of its own: whoever asks again begins anew.
    let again = open_beneath(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY)?.into_raw_fd();
    // SAFETY: an open descriptor of a folder; fdopendir takes it over.
    let stream = unsafe { libc::fdopendir(again) };
    if stream.is_null() {
        let e = io::Error::last_os_error();
        // SAFETY: fdopendir failed, so it is still ours.
        unsafe { libc::close(again) };
        return Err(e);
    }
    let mut out = Vec::new();
    while out.len() < most {
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
    Ok(out)
}

/// A descriptor for looking at what a path leads to for somebody whose root is `root`.
pub(crate) fn open_in_root(root: &OwnedFd, path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain data; zero is its default.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: `path` is NUL-terminated, `how` lives through the call.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    })
}

/// A descriptor for what is at a path beneath `dir`; links that do not lead out of it are followed, the last one unless
/// it is asked for itself.
pub(crate) fn open_within(dir: &OwnedFd, path: &CStr, link: bool) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain data; zero is its default.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | if link { libc::O_NOFOLLOW } else { 0 }) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: `path` is NUL-terminated, `how` lives through the call.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    })
}

/// Changes the mode of what a descriptor stands for, be it only for looking; not of a link.
pub(crate) fn chmod_there(file: &OwnedFd, mode: u32) -> io::Result<()> {
    let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // SAFETY: the path is NUL-terminated.
    check(unsafe { libc::chmod(path.as_ptr(), mode) }.into()).map(|_| ())
}

/// Changes the times of what a descriptor stands for, be it only for looking; `None` for now.
pub(crate) fn set_times(file: &OwnedFd, times: Option<&[libc::timespec; 2]>) -> io::Result<()> {
    let times = times.map_or(std::ptr::null(), |t| t.as_ptr());
    // SAFETY: an empty path means the descriptor itself; the times live through the call.
    check(unsafe { libc::utimensat(file.as_raw_fd(), c"".as_ptr(), times, libc::AT_EMPTY_PATH) }.into()).map(|_| ())
}

/// Changes the times of an entry, or of the folder itself where the name is empty; no link is followed.
pub(crate) fn set_times_at(dir: &OwnedFd, name: &CStr, times: &[libc::timespec; 2]) -> io::Result<()> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // SAFETY: `name` is NUL-terminated; the times live through the call.
    check(unsafe { libc::utimensat(dir.as_raw_fd(), name.as_ptr(), times.as_ptr(), flags) }.into()).map(|_| ())
}

/// Sets a mode; only called when nothing of a program runs.
pub(crate) fn chmod_open(dir: &OwnedFd, mode: u32) -> io::Result<()> {
    // SAFETY: plain fchmod on a descriptor we own.
    check(unsafe { libc::fchmod(dir.as_raw_fd(), mode) }.into()).map(|_| ())
}

/// The same for an entry that was just seen not to be a link.
pub(crate) fn chmod_at(dir: &OwnedFd, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `name` is NUL-terminated.
    check(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }.into()).map(|_| ())
}

/// As long as it lives, this thread makes files for another user. Without the right to do so it makes its own.
pub(crate) struct MakingAs(Option<(libc::uid_t, libc::gid_t)>);

impl MakingAs {
    pub(crate) fn user((uid, gid): (libc::uid_t, libc::gid_t)) -> MakingAs {
        // SAFETY: these touch no memory, and change the calling thread alone.
        let own = unsafe { (libc::geteuid(), libc::getegid()) };
        if own == (uid, gid) {
            return MakingAs(None);
        }
        // SAFETY: as above. The group first: without the user's rights it could not be changed.
        unsafe {
            libc::setfsgid(gid);
            libc::setfsuid(uid);
        }
        MakingAs(Some(own))
    }
}

impl Drop for MakingAs {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.0 {
            // SAFETY: as above.
            unsafe {
                libc::setfsuid(uid);
                libc::setfsgid(gid);
            }
        }
    }
}

/// A new file with this content, whatever the umask.
pub(crate) fn make_file(dir: &OwnedFd, path: &CStr, content: &[u8], mode: u32) -> io::Result<()> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: `path` is NUL-terminated; the descriptor is fresh.
    let mut file = unsafe {
        let fd = check(libc::openat(dir.as_raw_fd(), path.as_ptr(), flags, 0o600).into())?;
        std::fs::File::from(OwnedFd::from_raw_fd(fd as RawFd))
    };
    io::Write::write_all(&mut file, content)?;
    chmod_open(&OwnedFd::from(file), mode)
}

/// A new folder, whatever the umask.
pub(crate) fn make_folder(dir: &OwnedFd, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), path.as_ptr(), 0o700) }.into())?;
    chmod_at(dir, path, mode)
}

/// Removes a file, or with `AT_REMOVEDIR` an empty folder.
pub(crate) fn remove_at(dir: &OwnedFd, path: &CStr, flags: c_int) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::unlinkat(dir.as_raw_fd(), path.as_ptr(), flags) }.into()).map(|_| ())
}

/// A descriptor of the link itself at the end of a path, for looking at it.
pub(crate) fn open_link(dir: &OwnedFd, path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain data; zero is its default.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV;
    // SAFETY: `path` is NUL-terminated, `how` lives through the call.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    })
}
