//! What runs inside a cell beside the interpreter: the zygote's half of the wire, process 1 of each program's
//! namespace, and the last steps of a fork before it becomes the program.
//!
//! Plain system calls on static memory: no C library, no allocation, no thread-local storage. Process 1 shares
//! the zygote's memory (it is a clone with `CLONE_VM` on a stack of its own), so starting it costs no page tables.
//! The program is a fork and has copies of what is here.

#![no_std]

use core::arch::asm;
use core::mem::{size_of, zeroed};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(70)
}

/// The precompiled `core` names it; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const CLOSE: usize = 3;
    pub const PREAD: usize = 17;
    pub const GETPID: usize = 39;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const CLONE: usize = 56;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const SETSID: usize = 112;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const SCHED_GETAFFINITY: usize = 204;
    pub const CAPSET: usize = 126;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SYSLOG: usize = 103;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;
    pub const UTIMENSAT: usize = 280;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const SECCOMP: usize = 317;
    pub const PIDFD_OPEN: usize = 434;
    pub const CLOSE_RANGE: usize = 436;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const CLOSE: usize = 57;
    pub const PREAD: usize = 67;
    pub const GETPID: usize = 172;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SENDMSG: usize = 211;
    pub const RECVMSG: usize = 212;
    pub const CLONE: usize = 220;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const SETSID: usize = 157;
    pub const SCHED_SETAFFINITY: usize = 122;
    pub const SCHED_GETAFFINITY: usize = 123;
    pub const CAPSET: usize = 91;
    pub const PRCTL: usize = 167;
    pub const MOUNT: usize = 40;
    pub const UMOUNT2: usize = 39;
    pub const SYSLOG: usize = 116;
    pub const EXIT_GROUP: usize = 94;
    pub const OPENAT: usize = 56;
    pub const PPOLL: usize = 73;
    pub const UNSHARE: usize = 97;
    pub const UTIMENSAT: usize = 88;
    pub const DUP3: usize = 24;
    pub const PRLIMIT64: usize = 261;
    pub const SETNS: usize = 268;
    pub const SECCOMP: usize = 277;
    pub const PIDFD_OPEN: usize = 434;
    pub const CLOSE_RANGE: usize = 436;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}

const EINTR: isize = -4;
const SIGKILL: usize = 9;
const SIGUSR1: u64 = 10;
const SIGCHLD: u64 = 17;
const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;
const NEWPID: usize = 0x2000_0000;

#[cfg(target_arch = "x86_64")]
fn call(n: usize, a: [usize; 6]) -> isize {
    let ret;
    // SAFETY: the callers pass pointers to live memory of the right size.
    unsafe {
        asm!("syscall", inlateout("rax") n as isize => ret, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}
#[cfg(target_arch = "aarch64")]
fn call(n: usize, a: [usize; 6]) -> isize {
    let ret;
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") a[0] as isize => ret, in("x1") a[1], in("x2") a[2],
            in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    ret
}

fn sys(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    call(n, [a, b, c, d, 0, 0])
}

fn exit(code: usize) -> ! {
    sys(nr::EXIT_GROUP, code, 0, 0, 0);
    loop {}
}

/// Clones with a stack of its own; the child runs `main` and never returns.
fn clone_onto(flags: usize, stack: *mut u8, main: extern "C" fn() -> !) -> isize {
    let ret;
    // SAFETY: the child shares memory but not the stack; `main` does not return.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "call r12", "ud2", "2:",
            inlateout("rax") nr::CLONE as isize => ret, in("rdi") flags, in("rsi") stack, in("rdx") 0, in("r10") 0,
            in("r8") 0, in("r12") main, lateout("rcx") _, lateout("r11") _);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "blr x9", "brk 1", "2:",
            in("x8") nr::CLONE, inlateout("x0") flags as isize => ret, in("x1") stack, in("x2") 0, in("x3") 0,
            in("x4") 0, in("x9") main, lateout("x30") _);
    }
    ret
}

#[repr(C, align(4096))]
struct Stack([u8; 8192]);
static mut INIT_STACK: Stack = Stack([0; 8192]);
static mut SPARE_STACK: Stack = Stack([0; 8192]);

fn top(stack: *mut Stack) -> *mut u8 {
    // SAFETY: one past the end of the array, aligned to 16.
    unsafe { stack.cast::<u8>().add(size_of::<Stack>()) }
}

/// The numbers at the head of a job, written by the supervisor (`wire.rs`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    memory: u64,
    processes: u64,
    file: u64,
    seconds: u64,
    flags: u64,
    /// Bytes of what follows.
    length: u64,
}
/// The filter for programs is to be installed: user namespaces could not be forbidden otherwise.
const INNER_FILTER: u64 = 1;
/// The supervisor waits for [`ready`] before the program starts.
const WATCHED: u64 = 2;
/// No namespace of its own: the weaker tiers.
const BARE: u64 = 4;
/// Signals are kept within the program by Landlock, whose rule waits in this descriptor.
const SCOPED: u64 = 8;
const SCOPE: usize = 5;
/// Standard input is the cell's own `/dev/null`.
const NO_INPUT: u64 = 16;

struct State {
    ctl: usize,
    me: usize,
    secret: usize,
    filter: [usize; 2],
    head: Head,
    fds: [i32; 5],
    init: isize,
    /// The processors a program may use; empty if they are not known.
    processors: [u64; 16],
}
static mut STATE: State = State {
    ctl: 3,
    me: 0,
    secret: 0,
    filter: [0; 2],
    head: Head { memory: 0, processes: 0, file: 0, seconds: 0, flags: 0, length: 0 },
    fds: [-1; 5],
    init: 0,
    processors: [0; 16],
};

fn state() -> &'static mut State {
    // SAFETY: the zygote has one thread; process 1 does not use it.
    unsafe { &mut *(&raw mut STATE) }
}

// Between the zygote and process 1.
static FINISH: AtomicU32 = AtomicU32::new(0);
static LEFT: AtomicU32 = AtomicU32::new(0);
static MICROS: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

#[repr(C)]
struct Usage {
    utime: [i64; 2],
    stime: [i64; 2],
    peak: i64,
    rest: [i64; 13],
}

impl Usage {
    fn micros(&self) -> u64 {
        ((self.utime[0] + self.stime[0]) * 1_000_000 + self.utime[1] + self.stime[1]) as u64
    }
}

fn wait(pid: isize, flags: usize, status: &mut i32, usage: &mut Usage) -> isize {
    loop {
        let r = sys(nr::WAIT4, pid as usize, (&raw mut *status) as usize, flags, (&raw mut *usage) as usize);
        if r != EINTR {
            return r;
        }
    }
}

/// Process 1 of a program's namespace: takes in orphans, and at the end kills and counts what is left. It hears
/// of the end by a signal, but believes only the zygote's word in the memory the two share.
extern "C" fn init() -> ! {
    const NOHANG: usize = 1;
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    let set: u64 = 1 << (SIGCHLD - 1) | 1 << (SIGUSR1 - 1);
    let (mut counted, mut killing) = (0, false);
    loop {
        sys(nr::RT_SIGTIMEDWAIT, (&raw const set) as usize, 0, 0, 8);
        let finish = FINISH.load(SeqCst) != 0;
        loop {
            let r = wait(-1, if killing { 0 } else { NOHANG }, &mut status, &mut usage);
            if r <= 0 {
                if r == 0 && finish {
                    // Somebody is still alive.
                    killing = true;
                    sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
                    continue;
                }
                break;
            }
            MICROS.fetch_add(usage.micros(), SeqCst);
            PEAK.fetch_max(usage.peak as u64, SeqCst);
            counted += u32::from(killing);
            if killing {
                sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
            }
        }
        if finish {
            LEFT.store(counted, SeqCst);
            exit(0);
        }
    }
}

extern "C" fn nothing() -> ! {
    exit(0)
}

#[repr(C)]
struct Message {
    name: usize,
    name_len: u32,
    parts: *mut [usize; 2],
    part_count: usize,
    control: *mut u8,
    control_len: usize,
    flags: i32,
}

#[repr(C, align(8))]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; 6],
}
const HEADER: usize = 16;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_NOSIGNAL: usize = 0x4000;

fn send(bytes: &[u8], fds: &[i32]) -> isize {
    let mut part = [bytes.as_ptr() as usize, bytes.len()];
    let mut control =
        Control { len: HEADER + 4 * fds.len(), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [0; 6] };
    for (to, from) in control.fds.iter_mut().zip(fds) {
        *to = *from;
    }
    let some = !fds.is_empty();
    let message = Message {
        name: 0,
        name_len: 0,
        parts: &raw mut part,
        part_count: 1,
        control: if some { (&raw mut control).cast() } else { null_mut() },
        control_len: if some { (control.len + 7) & !7 } else { 0 },
        flags: 0,
    };
    loop {
        let r = sys(nr::SENDMSG, state().ctl, (&raw const message) as usize, MSG_NOSIGNAL, 0);
        if r != EINTR {
            return r;
        }
    }
}

fn receive(bytes: &mut [u8], fds: &mut [i32; 5]) -> isize {
    let mut part = [bytes.as_mut_ptr() as usize, bytes.len()];
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; 6] };
    let mut message = Message {
        name: 0,
        name_len: 0,
        parts: &raw mut part,
        part_count: 1,
        control: (&raw mut control).cast(),
        control_len: size_of::<Control>(),
        flags: 0,
    };
    let n = loop {
        let n = sys(nr::RECVMSG, state().ctl, (&raw mut message) as usize, MSG_CMSG_CLOEXEC, 0);
        if n != EINTR {
            break n;
        }
    };
    *fds = [-1; 5];
    if message.control_len >= HEADER && (control.level, control.kind) == (SOL_SOCKET, SCM_RIGHTS) {
        let count = (control.len - HEADER) / 4;
        for (to, from) in fds.iter_mut().zip(&control.fds[..count.min(5)]) {
            *to = *from;
        }
    }
    n
}

fn fail(step: u8, error: isize) {
    send(&[b'E', step, (-error) as u8], &[]);
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

/// Makes the folders anew that a message asks for.
fn renew(message: &[u8; 32]) {
    let mut word = [0u8; 8];
    word.copy_from_slice(&message[8..16]);
    let size = u64::from_le_bytes(word);
    let mut made = [0i32; 2];
    let mut count = 0;
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
    let mut message = [0u8; 32];
    if receive(&mut message, &mut [-1; 5]) <= 0 {
        exit(0);
    }
    if message[0] == b'W' {
        renew(&message);
    }
}

/// Waits for the next job and makes the namespace of its program; what the caller forks next is the program. Returns
/// the descriptor of the job, below 1024, and times 1024 the length of what follows its head.
#[unsafe(no_mangle)]
pub extern "C" fn cell_next() -> i64 {
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
            FINISH.store(0, SeqCst);
            LEFT.store(0, SeqCst);
            MICROS.store(0, SeqCst);
            PEAK.store(0, SeqCst);
            // Signals are blocked across the clone, so that process 1 starts with all blocked.
            let (all, none) = (u64::MAX, 0u64);
            sys(nr::RT_SIGPROCMASK, 2, (&raw const all) as usize, 0, 8);
            s.init = clone_onto(CLONE_VM | SIGCHLD as usize, top(&raw mut INIT_STACK), init);
            sys(nr::RT_SIGPROCMASK, 2, (&raw const none) as usize, 0, 8);
            if s.init < 0 {
                fail(b'c', s.init);
                exit(74);
            }
        }
        return s.fds[0] as i64 | (s.head.length as i64) << 10;
    }
}

/// In the zygote, after the fork: waits for the program's end, ends its namespace, and tells the supervisor.
/// `pid` below zero: the fork failed with that error.
#[unsafe(no_mangle)]
pub extern "C" fn cell_watch(pid: i32) -> i32 {
    let s = state();
    let bare = s.head.flags & BARE != 0;
    if !bare {
        let r = call(nr::SETNS, [s.me, NEWPID, 0, 0, 0, s.secret]);
        if r < 0 {
            fail(b's', r);
            exit(75);
        }
    }
    s.fds.iter().filter(|fd| **fd >= 0).for_each(|fd| {
        sys(nr::CLOSE, *fd as usize, 0, 0, 0);
    });
    if pid < 0 {
        fail(b'f', pid as isize);
        exit(76);
    }
    let pid = pid as isize;
    let pidfd = sys(nr::PIDFD_OPEN, pid as usize, 0, 0, 0);
    let (mut killed, mut crowded) = (0u64, false);
    while killed == 0 {
        #[repr(C)]
        struct Poll {
            fd: i32,
            events: i16,
            revents: i16,
        }
        let mut polls =
            [Poll { fd: pidfd as i32, events: 1, revents: 0 }, Poll { fd: s.ctl as i32, events: 1, revents: 0 }];
        let r = call(nr::PPOLL, [polls.as_mut_ptr() as usize, 2, 0, 0, 8, 0]);
        if polls[0].revents != 0 || (r < 0 && r != EINTR) {
            break;
        }
        if polls[1].revents != 0 {
            let mut message = [0u8; 32];
            let mut fds = [-1; 5];
            if receive(&mut message, &mut fds) <= 0 {
                orphaned();
            }
            killed = u64::from(message[1].max(1));
            crowded = is_crowded();
            sys(nr::KILL, pid as usize, SIGKILL, 0, 0);
        }
    }
    sys(nr::CLOSE, pidfd as usize, 0, 0, 0);
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    wait(pid, 0, &mut status, &mut usage);
    crowded |= status != 0 && killed == 0 && is_crowded();
    let (mut left, mut micros, mut peak) = (0, usage.micros(), usage.peak as u64);
    if bare {
        left = reap(&mut micros, &mut peak);
    } else {
        FINISH.store(1, SeqCst);
        sys(nr::KILL, s.init as usize, SIGUSR1 as usize, 0, 0);
        let mut end = 0;
        wait(s.init, 0x4000_0000, &mut end, &mut usage);
        left += u64::from(LEFT.load(SeqCst));
        micros += MICROS.load(SeqCst);
        peak = peak.max(PEAK.load(SeqCst));
    }
    let words = [status as u32 as u64, killed, micros, peak, left, u64::from(crowded)];
    let mut message = [0u8; 56];
    message[0] = b'D';
    for (i, word) in words.iter().enumerate() {
        message[8 + 8 * i..16 + 8 * i].copy_from_slice(&word.to_le_bytes());
    }
    send(&message, &[]);
    0
}

/// The supervisor is gone. Process 1 of a namespace takes everything along; elsewhere all is killed that this process
/// may send signals to, if that is kept to the program and itself.
fn orphaned() -> ! {
    if state().head.flags & SCOPED != 0 {
        sys(nr::KILL, usize::MAX, SIGKILL, 0, 0);
    }
    exit(0)
}

/// Without a namespace: this process takes in orphans, and the supervisor kills them (it can see them) until
/// none is left.
fn reap(micros: &mut u64, peak: &mut u64) -> u64 {
    const NOHANG: usize = 1;
    // SAFETY: plain data.
    let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
    let (mut left, mut asked) = (0, false);
    loop {
        let r = wait(-1, if asked { 0 } else { NOHANG }, &mut status, &mut usage);
        if r < 0 {
            return left;
        }
        if r == 0 {
            if send(b"L", &[]) < 0 {
                orphaned();
            }
            asked = true;
            continue;
        }
        *micros += usage.micros();
        *peak = (*peak).max(usage.peak as u64);
        left += u64::from(asked);
    }
}

const NPROC: usize = 6;

fn limit(which: usize, soft: u64, hard: u64) -> isize {
    let pair = [soft, hard];
    sys(nr::PRLIMIT64, 0, which, pair.as_ptr() as usize, 0)
}

/// Whether one more process would be refused right now.
fn is_crowded() -> bool {
    if state().head.processes == 0 {
        return false;
    }
    let mut before = [0u64; 2];
    sys(nr::PRLIMIT64, 0, NPROC, 0, before.as_mut_ptr() as usize);
    limit(NPROC, state().head.processes, before[1]);
    let pid = clone_onto(CLONE_VM | CLONE_VFORK | SIGCHLD as usize, top(&raw mut SPARE_STACK), nothing);
    limit(NPROC, before[0], before[1]);
    if pid > 0 {
        // SAFETY: plain data.
        let (mut status, mut usage): (i32, Usage) = unsafe { zeroed() };
        wait(pid, 0, &mut status, &mut usage);
    }
    pid < 0
}

/// In the fork: gives up everything a program must not have. Zero, or below zero what failed.
#[unsafe(no_mangle)]
pub extern "C" fn cell_enter() -> i32 {
    const CPU: usize = 0;
    const FSIZE: usize = 1;
    const CORE: usize = 4;
    const NOFILE: usize = 7;
    const MEMLOCK: usize = 8;
    const AS: usize = 9;
    const SIGPENDING: usize = 11;
    const MSGQUEUE: usize = 12;
    let s = state();
    let (head, secret) = (s.head, core::mem::take(&mut s.secret));
    sys(nr::SETSID, 0, 0, 0, 0);
    if s.processors != [0; 16] {
        sys(nr::SCHED_SETAFFINITY, 0, size_of::<[u64; 16]>(), s.processors.as_ptr() as usize, 0);
    }
    if head.flags & NO_INPUT != 0 {
        let null = sys(nr::OPENAT, (-100isize) as usize, c"/dev/null".as_ptr() as usize, 0, 0);
        if null < 0 {
            return -7;
        }
        s.fds[1] = null as i32;
    }
    for i in 0..3 {
        if sys(nr::DUP3, s.fds[i + 1] as usize, i, 0, 0) < 0 {
            return -1;
        }
    }
    limit(CPU, head.seconds, head.seconds + 1);
    limit(FSIZE, head.file, head.file);
    limit(NOFILE, 256, 256);
    // 1, not 0: with a piped core pattern only 1 stops the dump.
    limit(CORE, 1, 1);
    limit(MEMLOCK, 0, 0);
    limit(MSGQUEUE, 0, 0);
    limit(SIGPENDING, 256, 256);
    if head.processes != 0 && limit(NPROC, head.processes, head.processes) < 0 {
        return -2;
    }
    let (header, none) = ([0x2008_0522u32, 0], [0u32; 6]);
    if sys(nr::CAPSET, header.as_ptr() as usize, none.as_ptr() as usize, 0, 0) < 0 {
        return -3;
    }
    if head.flags & BARE != 0 {
        // The supervisor, which may be no more than the same user, must be able to look at what the program asks for.
        sys(nr::PRCTL, 4, 1, 0, 0);
    }
    if head.flags & SCOPED != 0 && sys(nr::LANDLOCK_RESTRICT_SELF, SCOPE, 0, 0, 0) < 0 {
        return -6;
    }
    if head.flags & WATCHED != 0 {
        // The supervisor answers once it watches the files; see `watch.rs`.
        call(nr::SYSLOG, [0, 0, 0, 0, 0, secret]);
    }
    if head.flags & INNER_FILTER != 0 && sys(nr::SECCOMP, 1, 0, (&raw const s.filter) as usize, 0) < 0 {
        return -4;
    }
    if s.fds[4] >= 0 {
        // The command channel of a session's bash.
        sys(nr::DUP3, s.fds[4] as usize, 250, 0, 0);
        sys(nr::CLOSE_RANGE, 3, 249, 0, 0);
        sys(nr::CLOSE_RANGE, 251, u32::MAX as usize, 0, 0);
    } else {
        sys(nr::CLOSE_RANGE, 3, u32::MAX as usize, 0, 0);
    }
    if head.memory != 0 && limit(AS, head.memory, head.memory) < 0 {
        return -5;
    }
    0
}
