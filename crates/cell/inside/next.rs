//! In the zygote, before the fork: the next job, its folders and its namespace.

use crate::calls::*;
use crate::head::*;
use crate::init::init;
use crate::state::*;
use crate::watch::watch;
use crate::wire::*;
use core::mem::size_of;
use core::sync::atomic::Ordering::SeqCst;

/// Takes the paths that `fresh` shows again.
#[unsafe(no_mangle)]
pub extern "C" fn cell_again(address: usize, length: usize) {
    state().again = [address, length];
}

/// Puts what lies below the machine's `/tmp` to its place in the cell's own.
fn show_again() -> isize {
    const BIND: usize = 4096 | 16384; // and what is mounted below
    let [address, length] = state().again;
    if length == 0 {
        return 0;
    }
    // SAFETY: the interpreter keeps the buffer as long as it lives.
    let mut rest = unsafe { core::slice::from_raw_parts(address as *const u8, length) };
    while let Some((kept, more)) = word(rest) {
        let Some((place, more)) = word(more) else { break };
        rest = more;
        let mut path = [0u8; 4096];
        if place.len() > path.len() {
            return -36;
        }
        for end in 1..place.len() {
            if matches!(place[end], b'/' | 0) {
                path[..end].copy_from_slice(&place[..end]);
                path[end] = 0;
                sys(nr::MKDIRAT, (-100isize) as usize, path.as_ptr() as usize, 0o755, 0);
            }
        }
        let r = call(nr::MOUNT, [kept.as_ptr() as usize, place.as_ptr() as usize, 0, BIND, 0, state().secret]);
        if r < 0 {
            return r;
        }
    }
    0
}

/// The first string of several, its NUL included, and the others.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some(bytes.split_at(end + 1))
}

/// Replaces `/box` or `/tmp` by an empty one of `size` bytes.
fn fresh(path: &[u8], size: u64) -> isize {
    const DETACH: usize = 2;
    const FLAGS: usize = 2 | 4 | 1024; // nosuid, nodev, noatime
    let mut options = *b"nr_inodes=8192,mode=755,size=\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let (mut digits, mut n, mut rest) = ([0u8; 20], 0, size);
    while n == 0 || rest > 0 {
        digits[n] = b'0' + (rest % 10) as u8;
        rest /= 10;
        n += 1;
    }
    for i in 0..n {
        options[29 + i] = digits[n - 1 - i];
    }
    let (place, secret) = (path.as_ptr() as usize, state().secret);
    call(nr::UMOUNT2, [place, DETACH, 0, 0, 0, secret]);
    let kind = c"tmpfs".as_ptr() as usize;
    let r = call(nr::MOUNT, [place, place, kind, FLAGS, options.as_ptr() as usize, secret]);
    if r < 0 {
        return r;
    }
    if path == b"/tmp\0" {
        let r = show_again();
        if r < 0 {
            return r;
        }
    }
    // A time that no program's change leaves standing.
    let times = [[1i64, 0], [1, 0]];
    sys(nr::UTIMENSAT, (-100isize) as usize, place, times.as_ptr() as usize, 0);
    const DIRECTORY: usize = if cfg!(target_arch = "aarch64") { 0o40000 } else { 0o200000 };
    const CLOEXEC: usize = 0o2000000;
    sys(nr::OPENAT, (-100isize) as usize, place, DIRECTORY | CLOEXEC, 0)
}

/// Remembers which processors programs may use: the supervisor keeps the zygote and its process 1 on one of them, so
/// that what is woken there finds its caches warm. Programs start there too, and may then go anywhere.
fn remember_processors() {
    let mut mask = [0u64; 16];
    if sys(nr::SCHED_GETAFFINITY, 0, size_of::<[u64; 16]>(), mask.as_mut_ptr() as usize, 0) > 0 {
        state().processors = mask;
    }
}

/// Tells this library what it needs to know. `filter` is a `struct sock_fprog` that stays where it is.
#[unsafe(no_mangle)]
pub extern "C" fn cell_setup(secret: u64, length: usize, filter: usize) -> i32 {
    remember_processors();
    let s = state();
    s.secret = secret as usize;
    s.filter = [length, filter];
    // It opens itself, to come back to its own namespace.
    let fd = sys(nr::PIDFD_OPEN, sys(nr::GETPID, 0, 0, 0, 0) as usize, 0, 0, 0);
    s.me = fd as usize;
    sys(nr::PRCTL, 4, 0, 0, 0); // not dumpable
    if fd < 0 { fd as i32 } else { 0 }
}

/// Brings up the one interface of a new network namespace. Where that fails, programs have Unix sockets alone.
fn loopback() {
    const UNIX: usize = 1;
    const DATAGRAM: usize = 2;
    const SIOCSIFFLAGS: usize = 0x8914;
    let socket = sys(nr::SOCKET, UNIX, DATAGRAM, 0, 0);
    if socket >= 0 {
        // `struct ifreq`: a name, then flags, here `IFF_UP`.
        let mut request = [0u8; 40];
        request[..2].copy_from_slice(b"lo");
        request[16] = 1;
        sys(nr::IOCTL, socket as usize, SIOCSIFFLAGS, (&raw const request) as usize, 0);
        sys(nr::CLOSE, socket as usize, 0, 0, 0);
    }
}

/// Makes the folders anew that a message asks for, and the network namespace.
fn renew(message: &[u8; 32]) {
    let mut word = [0u8; 8];
    word.copy_from_slice(&message[8..16]);
    let size = u64::from_le_bytes(word);
    let mut made = [0i32; 2];
    let mut count = 0;
    if message[1] & 4 != 0 {
        let r = call(nr::UNSHARE, [NEWNET, 0, 0, 0, 0, state().secret]);
        if r < 0 {
            fail(b'n', r);
            exit(77);
        }
        loopback();
    }
    for (bit, path) in [(1, &b"/box\0"[..]), (2, &b"/tmp\0"[..])] {
        if message[1] & bit != 0 {
            let fd = fresh(path, size);
            if fd < 0 {
                fail(b'm', fd);
                exit(71);
            }
            made[count] = fd as i32;
            count += 1;
        }
    }
    send(b"M", &made[..count]);
    made[..count].iter().for_each(|fd| {
        sys(nr::CLOSE, *fd as usize, 0, 0, 0);
    });
}

/// Waits for the first folders.
#[unsafe(no_mangle)]
pub extern "C" fn cell_folders() {
    loopback();
    let mut message = [0u8; 32];
    if receive(&mut message, &mut [-1; 5]) <= 0 {
        exit(0);
    }
    if message[0] == b'W' {
        renew(&message);
    }
}

/// Functions of the interpreter and of its C library: what has to be done around a fork, and the fork.
#[repr(C)]
pub struct Hooks {
    before: extern "C" fn(),
    in_child: extern "C" fn(),
    in_parent: extern "C" fn(),
    fork: extern "C" fn() -> i32,
    errno: extern "C" fn() -> *const i32,
}

/// Serves jobs for ever; comes back in forks alone, which are the programs. Returns the descriptor of the job, below
/// 1024, and times 1024 the length of what follows its head.
///
/// The interpreter takes no part in it, so that nothing in its memory differs from one program to the next.
#[unsafe(no_mangle)]
pub extern "C" fn cell_serve(hooks: &Hooks) -> i64 {
    loop {
        next();
        (hooks.before)();
        let pid = (hooks.fork)();
        if pid == 0 {
            forget_stack();
            (hooks.in_child)();
            return state().fds[0] as i64 | (state().head.length as i64) << 10;
        }
        // SAFETY: the C library's own variable.
        let error = unsafe { *(hooks.errno)() };
        (hooks.in_parent)();
        watch(if pid < 0 { -error } else { pid });
    }
}

/// Waits for the next job and makes the namespace of its program; what is forked next is the program.
#[inline(never)]
fn next() {
    let s = state();
    loop {
        let mut message = [0u8; 32];
        let mut fds = [-1; 5];
        let n = receive(&mut message, &mut fds);
        if n <= 0 {
            exit(0);
        }
        if message[0] == b'W' {
            renew(&message);
            continue;
        }
        if message[0] != b'J' {
            // A kill that came too late.
            continue;
        }
        s.fds = fds;
        let head = (&raw mut s.head) as usize;
        if sys(nr::PREAD, fds[0] as usize, head, size_of::<Head>(), 0) != size_of::<Head>() as isize {
            fail(b'h', 0);
            exit(72);
        }
        if s.head.flags & BARE == 0 {
            let r = call(nr::UNSHARE, [NEWPID, 0, 0, 0, 0, s.secret]);
            if r < 0 {
                fail(b'u', r);
                exit(73);
            }
            shared().finish.store(0, SeqCst);
            crate::proc::want(s.head.flags & PROC != 0);
            shared().left.store(0, SeqCst);
            shared().micros.store(0, SeqCst);
            shared().peak.store(0, SeqCst);
            // Signals are blocked across the clone, so that process 1 starts with all blocked.
            let (all, none) = (u64::MAX, 0u64);
            sys(nr::RT_SIGPROCMASK, 2, (&raw const all) as usize, 0, 8);
            s.init = clone_onto(CLONE_VM | SIGCHLD as usize, top(init_stack()), init);
            sys(nr::RT_SIGPROCMASK, 2, (&raw const none) as usize, 0, 8);
            if s.init < 0 {
                fail(b'c', s.init);
                exit(74);
            }
            let r = crate::proc::wait();
            if r < 0 {
                fail(b'p', r);
                exit(78);
            }
        }
        return;
    }
}
