//! System calls, by number and by hand.

use core::arch::asm;
use core::mem::size_of;

#[cfg(target_arch = "x86_64")]
pub(crate) mod nr {
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const MREMAP: usize = 25;
    pub const GETRUSAGE: usize = 98;
    pub const PREAD: usize = 17;
    pub const GETPID: usize = 39;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const MADVISE: usize = 28;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const SOCKET: usize = 41;
    pub const MKDIRAT: usize = 258;
    pub const FUTEX: usize = 202;
    pub const GETDENTS64: usize = 217;
    pub const IOCTL: usize = 16;
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
pub(crate) mod nr {
    pub const CLOSE: usize = 57;
    pub const MMAP: usize = 222;
    pub const MPROTECT: usize = 226;
    pub const MUNMAP: usize = 215;
    pub const MREMAP: usize = 216;
    pub const GETRUSAGE: usize = 165;
    pub const PREAD: usize = 67;
    pub const GETPID: usize = 172;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const MADVISE: usize = 233;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SOCKET: usize = 198;
    pub const MKDIRAT: usize = 34;
    pub const FUTEX: usize = 98;
    pub const GETDENTS64: usize = 61;
    pub const IOCTL: usize = 29;
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

pub(crate) const EINTR: isize = -4;
pub(crate) const SIGKILL: usize = 9;
pub(crate) const SIGUSR1: u64 = 10;
pub(crate) const SIGCHLD: u64 = 17;
pub(crate) const CLONE_VM: usize = 0x100;
pub(crate) const CLONE_VFORK: usize = 0x4000;
pub(crate) const NEWPID: usize = 0x2000_0000;
pub(crate) const NEWNET: usize = 0x4000_0000;

#[cfg(target_arch = "x86_64")]
pub(crate) fn call(n: usize, a: [usize; 6]) -> isize {
    let ret;
    // SAFETY: the callers pass pointers to live memory of the right size.
    unsafe {
        asm!("syscall", inlateout("rax") n as isize => ret, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}
#[cfg(target_arch = "aarch64")]
pub(crate) fn call(n: usize, a: [usize; 6]) -> isize {
    let ret;
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") a[0] as isize => ret, in("x1") a[1], in("x2") a[2],
            in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    ret
}

pub(crate) fn sys(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    call(n, [a, b, c, d, 0, 0])
}

pub(crate) fn exit(code: usize) -> ! {
    sys(nr::EXIT_GROUP, code, 0, 0, 0);
    loop {}
}

/// Clones with a stack of its own; the child runs `main` and never returns.
pub(crate) fn clone_onto(flags: usize, stack: *mut u8, main: extern "C" fn() -> !) -> isize {
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
pub(crate) struct Stack([u8; 8192]);

pub(crate) fn top(stack: *mut Stack) -> *mut u8 {
    // SAFETY: one past the end of the array, aligned to 16.
    unsafe { stack.cast::<u8>().add(size_of::<Stack>()) }
}

#[repr(C)]
pub(crate) struct Usage {
    pub(crate) utime: [i64; 2],
    pub(crate) stime: [i64; 2],
    pub(crate) peak: i64,
    pub(crate) rest: [i64; 13],
}

impl Usage {
    pub(crate) fn micros(&self) -> u64 {
        ((self.utime[0] + self.stime[0]) * 1_000_000 + self.utime[1] + self.stime[1]) as u64
    }
}

pub(crate) fn wait(pid: isize, flags: usize, status: &mut i32, usage: &mut Usage) -> isize {
    loop {
        let r = sys(nr::WAIT4, pid as usize, (&raw mut *status) as usize, flags, (&raw mut *usage) as usize);
        if r != EINTR {
            return r;
        }
    }
}

pub(crate) const NPROC: usize = 6;

pub(crate) fn limit(which: usize, soft: u64, hard: u64) -> isize {
    let pair = [soft, hard];
    sys(nr::PRLIMIT64, 0, which, pair.as_ptr() as usize, 0)
}
