//! The system calls of the supervisor, wrapped.

use libc::{c_int, c_void};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub(crate) fn check(ret: i64) -> io::Result<i64> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

fn owned(ret: i64) -> io::Result<OwnedFd> {
    let fd = check(ret)? as c_int;
    // SAFETY: the kernel just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A connected pair of sockets that keep message boundaries.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(libc::SOCK_SEQPACKET)
}

/// A connected pair of sockets for a stream of bytes.
pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(libc::SOCK_STREAM)
}

fn pair(kind: c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0 as c_int; 2];
    // SAFETY: `fds` has room for the two descriptors.
    let ret = unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
    check(ret.into())?;
    // SAFETY: both were just returned to us.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// An anonymous file; `append` makes every write go to its end.
pub(crate) fn memfd(append: bool) -> io::Result<OwnedFd> {
    // SAFETY: the name is a NUL-terminated constant.
    let fd = owned(i64::from(unsafe { libc::memfd_create(c"cell".as_ptr(), libc::MFD_CLOEXEC) }))?;
    if append {
        // SAFETY: plain fcntl on a descriptor we own.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) }.into())?;
    }
    Ok(fd)
}

/// Writes all bytes at the start of an anonymous file; its offset stays 0.
pub(crate) fn fill(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        // SAFETY: the pointer and length describe `bytes[done..]`.
        let n = check(unsafe {
            libc::pwrite(fd.as_raw_fd(), bytes[done..].as_ptr().cast(), bytes.len() - done, done as i64)
        } as i64)?;
        done += n as usize;
    }
    Ok(())
}

/// Reads at most `limit` bytes from the start; never trusts the size the file claims.
pub(crate) fn read_at_most(fd: &OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    let size = (stat_fd(fd)?.st_size as usize).min(limit);
    let mut out = vec![0u8; size];
    let mut done = 0;
    while done < size {
        // SAFETY: the pointer and length describe `out[done..]`.
        let ret = unsafe { libc::pread(fd.as_raw_fd(), out[done..].as_mut_ptr().cast(), size - done, done as i64) };
        match check(ret as i64) {
            Ok(0) => break,
            Ok(n) => done += n as usize,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    out.truncate(done);
    Ok(out)
}

pub(crate) fn truncate(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain ftruncate on a descriptor we own.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), 0) }.into()).map(|_| ())
}

pub(crate) fn stat_fd(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: an all-zero stat is a valid value; the kernel fills it.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `st` is valid for writing.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut st) }.into())?;
    Ok(st)
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

/// Gives the owner the missing permission to read; only called when nothing runs any more.
pub(crate) fn chmod_open(dir: &OwnedFd, mode: u32) -> io::Result<()> {
    // SAFETY: plain fchmod on a descriptor we own.
    check(unsafe { libc::fchmod(dir.as_raw_fd(), mode) }.into()).map(|_| ())
}

/// The same for an entry that was just seen not to be a link.
pub(crate) fn chmod_at(dir: &OwnedFd, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `name` is NUL-terminated.
    check(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }.into()).map(|_| ())
}

/// Sends one message with descriptors; never raises SIGPIPE.
pub(crate) fn send(sock: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut control = [0u64; 8];
    let raw: Vec<c_int> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut iov = libc::iovec { iov_base: bytes.as_ptr() as *mut c_void, iov_len: bytes.len() };
    // SAFETY: msghdr is plain data.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    if !raw.is_empty() {
        let len = size_of_val(raw.as_slice());
        msg.msg_control = control.as_mut_ptr().cast();
        // SAFETY: pure arithmetic; eight words hold a header and up to eight descriptors.
        msg.msg_controllen = unsafe { libc::CMSG_SPACE(len as u32) } as usize;
        assert!(msg.msg_controllen <= size_of_val(&control));
        // SAFETY: msg_control points to a buffer of msg_controllen bytes, aligned for cmsghdr.
        unsafe {
            let head = libc::CMSG_FIRSTHDR(&raw const msg);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(len as u32) as usize;
            std::ptr::copy_nonoverlapping(raw.as_ptr().cast::<u8>(), libc::CMSG_DATA(head), len);
        }
    }
    // SAFETY: `msg` and all it points to live through the call.
    let ret = unsafe { libc::sendmsg(sock.as_raw_fd(), &raw const msg, libc::MSG_NOSIGNAL) };
    check(ret as i64).map(|_| ())
}

/// Receives one message and at most a few descriptors; an empty message is end of file.
pub(crate) fn receive(sock: &OwnedFd, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = [0u64; 8];
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: msghdr is plain data.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of_val(&control);
    let n = loop {
        // SAFETY: `msg` and all it points to live through the call.
        let ret = unsafe { libc::recvmsg(sock.as_raw_fd(), &raw mut msg, libc::MSG_CMSG_CLOEXEC) };
        match check(ret as i64) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other? as usize,
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `control`; the CMSG macros walk it within msg_controllen, and
    // every descriptor in an SCM_RIGHTS message is now ours.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(&raw const msg);
        while !head.is_null() {
            if (*head).cmsg_level == libc::SOL_SOCKET && (*head).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*head).cmsg_len - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(head).cast::<c_int>();
                for i in 0..bytes / size_of::<c_int>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            head = libc::CMSG_NXTHDR(&raw const msg, head);
        }
    }
    Ok((n, fds))
}

/// Waits until `fd` can be read (or is closed at the other end) or the time is up.
pub(crate) fn wait_readable(fd: &OwnedFd, seconds: f64) -> io::Result<bool> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        let ms = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as c_int;
        let mut p = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        match check(unsafe { libc::poll(&raw mut p, 1, ms) }.into()) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) => {}
            Ok(_) => return Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Waits until one of two descriptors can be read, and tells which; the first wins.
pub(crate) fn wait_either(a: &OwnedFd, b: &OwnedFd, seconds: f64) -> io::Result<Option<usize>> {
    let ms = (seconds.clamp(0.0, 1e6) * 1000.0).ceil() as c_int;
    let entry = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut p = [entry(a), entry(b)];
    // SAFETY: two valid pollfds.
    match check(unsafe { libc::poll(p.as_mut_ptr(), 2, ms) }.into()) {
        Ok(_) => Ok(p.iter().position(|p| p.revents != 0)),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: plain system call.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

pub(crate) fn pidfd_kill(pidfd: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain system call; a null siginfo means the default one.
    check(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, std::ptr::null::<c_void>(), 0)
    })
    .map(|_| ())
}

/// Waits for a child of ours to end, so that it leaves no zombie.
pub(crate) fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
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

/// Sends what fits into a stream right now.
pub(crate) fn send_some(sock: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length describe `bytes`.
    let ret = unsafe { libc::send(sock.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    check(ret as i64).map(|n| n as usize)
}

/// Ends the sending side of a stream.
pub(crate) fn shutdown(sock: &OwnedFd) {
    // SAFETY: plain system call; that the other end is gone already does not matter.
    unsafe { libc::shutdown(sock.as_raw_fd(), libc::SHUT_WR) };
}
