//! The system calls of the supervisor, wrapped.

use libc::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

mod files;
pub(crate) use files::*;

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
        always_append(&fd)?;
    }
    Ok(fd)
}

/// Makes every write to an open file go to its end, by whatever descriptor.
pub(crate) fn always_append(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain fcntl on a descriptor we own.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) }.into()).map(|_| ())
}

/// Seconds of the clock that files are stamped with.
pub(crate) fn clock() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |d| d.as_secs_f64())
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

/// Waits until one of the descriptors can be read or is closed at its other end, and tells of each what `poll` says;
/// nothing when the time is up or a signal came.
pub(crate) fn wait_any<const N: usize>(fds: [RawFd; N], seconds: f64) -> io::Result<[i16; N]> {
    let ms = (seconds.clamp(0.0, 1e6) * 1000.0).ceil() as c_int;
    let mut polls = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: valid entries, as many as told.
    match check(unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, ms) }.into()) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
        Err(e) => return Err(e),
    }
    Ok(polls.map(|p| p.revents))
}

/// A queue of events on files, never blocking.
pub(crate) fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: plain system call.
    owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) }.into())
}

/// Has the queue told of every opening of a file; gives the number by which it tells.
pub(crate) fn inotify_open(queue: &OwnedFd, file: &OwnedFd) -> io::Result<i32> {
    let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // SAFETY: the path is NUL-terminated.
    check(unsafe { libc::inotify_add_watch(queue.as_raw_fd(), path.as_ptr(), libc::IN_OPEN) }.into()).map(|n| n as i32)
}

/// Numbers of the files opened since last asked, in order.
pub(crate) fn inotify_read(queue: &OwnedFd) -> Vec<i32> {
    let mut out = Vec::new();
    let mut buf = [0u8; 4096];
    loop {
        // SAFETY: the pointer and length describe `buf`.
        let n = unsafe { libc::read(queue.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
        if n <= 0 {
            return out;
        }
        let mut at = 0;
        while at + 16 <= n as usize {
            let word = |i: usize| u32::from_ne_bytes([buf[at + i], buf[at + i + 1], buf[at + i + 2], buf[at + i + 3]]);
            // A watch also tells of its own end.
            if word(4) & libc::IN_OPEN != 0 {
                out.push(word(0).cast_signed());
            }
            at += 16 + word(12) as usize;
        }
    }
}

/// Fills a buffer from another process' memory, if we may read it.
pub(crate) fn read_memory(pid: i32, pointer: u64, buf: &mut [u8]) -> Option<()> {
    let ours = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let theirs = libc::iovec { iov_base: pointer as *mut c_void, iov_len: buf.len() };
    // SAFETY: `ours` describes `buf`; the kernel checks `theirs`.
    let n = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    (usize::try_from(n) == Ok(buf.len())).then_some(())
}

/// A NUL-terminated text in another process' memory, if we may read it.
pub(crate) fn read_text(pid: i32, pointer: u64) -> Option<String> {
    let mut out = Vec::new();
    while out.len() < 4096 {
        let mut buf = [0u8; 256];
        let at = pointer + out.len() as u64;
        // Not beyond the page: the next one may not be there.
        let length = (256 - at as usize % 256).min(256);
        let got = &mut buf[..length];
        read_memory(pid, at, got)?;
        match got.iter().position(|b| *b == 0) {
            Some(end) => {
                out.extend(&got[..end]);
                return String::from_utf8(out).ok();
            }
            None => out.extend(&*got),
        }
    }
    None
}

/// The processors this process may use, as it was started.
pub(crate) fn processors() -> &'static [usize] {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    ALL.get_or_init(|| {
        // SAFETY: a set of bits; the call fills no more than it.
        let set = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
            set
        };
        // SAFETY: the bit is within the set.
        let found: Vec<usize> = (0..1024).filter(|i| unsafe { libc::CPU_ISSET(*i, &set) }).collect();
        if found.is_empty() { vec![0] } else { found }
    })
}

/// Keeps a process on the one of [`processors`] with this number.
pub(crate) fn keep_on(pid: libc::pid_t, number: usize) -> io::Result<()> {
    // SAFETY: a set of bits, of which one within it is set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processors()[number], &mut set);
        check(libc::sched_setaffinity(pid, size_of::<libc::cpu_set_t>(), &raw const set).into()).map(|_| ())
    }
}

/// A number nobody can guess.
pub(crate) fn random() -> io::Result<u64> {
    let mut out = 0u64;
    // SAFETY: eight bytes of a local.
    check(unsafe { libc::getrandom((&raw mut out).cast(), 8, 0) } as i64).map(|_| out)
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

/// Has the kernel say with everything that comes over a socket which process sent it.
pub(crate) fn tell_senders(sock: &OwnedFd) -> io::Result<()> {
    let yes: c_int = 1;
    let (level, name, length) = (libc::SOL_SOCKET, libc::SO_PASSCRED, size_of::<c_int>() as u32);
    // SAFETY: the value is a live integer of the length given.
    check(unsafe { libc::setsockopt(sock.as_raw_fd(), level, name, (&raw const yes).cast(), length) }.into())
        .map(|_| ())
}

/// Bytes from a socket that tells senders, and our number for the one process they are from; none is end of file.
pub(crate) fn receive_from(sock: &OwnedFd, buf: &mut [u8]) -> io::Result<(usize, i32)> {
    // Just what the sender's name takes: descriptors sent along find no room, and never become ours.
    let mut control = [0u64; 4];
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: msghdr is plain data.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of_val(&control);
    // SAFETY: `msg` and all it points to live through the call.
    let n = check(unsafe { libc::recvmsg(sock.as_raw_fd(), &raw mut msg, libc::MSG_CMSG_CLOEXEC) } as i64)?;
    // SAFETY: the kernel filled `control`; the header is looked at before its data.
    let sender = unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const msg);
        if !head.is_null() && ((*head).cmsg_level, (*head).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
            libc::CMSG_DATA(head).cast::<libc::ucred>().read_unaligned().pid
        } else {
            0
        }
    };
    Ok((n as usize, sender))
}

/// Whether the other end of a stream has read all that was sent.
pub(crate) fn all_read(sock: &OwnedFd) -> bool {
    let mut left: c_int = 0;
    // SAFETY: one integer is written.
    unsafe { libc::ioctl(sock.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) == 0 && left == 0 }
}

/// Sends what fits into a stream right now.
pub(crate) fn send_some(sock: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length describe `bytes`.
    let ret = unsafe { libc::send(sock.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    check(ret as i64).map(|n| n as usize)
}

/// A pseudo-terminal of 24 lines of 80 columns: our end, which never blocks, and the programs'.
pub(crate) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: two descriptors are written; no name and no settings are asked for.
    check(
        unsafe { libc::openpty(&raw mut ours, &raw mut theirs, none, none.cast(), (&raw const size).cast_mut()) }
            .into(),
    )?;
    // SAFETY: both were just returned to us.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    for fd in [&ours, &theirs] {
        // SAFETY: plain fcntl on a descriptor we own.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    }
    // SAFETY: as above.
    check(unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into())?;
    Ok((ours, theirs))
}

/// What can be read right now, if anything.
pub(crate) fn read_some(fd: &OwnedFd) -> Option<Vec<u8>> {
    let mut buf = vec![0u8; 65536];
    // SAFETY: the pointer and length describe `buf`.
    let n = unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
    buf.truncate(usize::try_from(n).ok().filter(|n| *n > 0)?);
    Some(buf)
}

/// Ends the sending side of a stream.
pub(crate) fn shutdown(sock: &OwnedFd) {
    // SAFETY: plain system call; that the other end is gone already does not matter.
    unsafe { libc::shutdown(sock.as_raw_fd(), libc::SHUT_WR) };
}
