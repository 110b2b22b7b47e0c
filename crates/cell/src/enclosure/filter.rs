//! The seccomp filter: a list of what no cell may ask of the kernel.
//!
//! One filter is installed before the zygote starts and holds for everything in the cell. What it refuses is told
//! to the supervisor (`notify.rs`), which counts it and answers the caller with an error. The zygote itself needs
//! namespaces and mounts: for those the filter lets pass who knows a number, random for each cell, given in a register
//! that the kernel does not look at. That number is no lock: a program has lost the capabilities before its first
//! line. It lets a program's attempts be told from the zygote's calls without a filter more in every fork.

mod sockets;
pub(crate) use sockets::leaves_traces;

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{c_long, sock_filter};

const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0: u32 = 16;
const ARG1: u32 = 24;
const ARG2: u32 = 32;
const ARG5: u32 = 56;

#[cfg(target_arch = "x86_64")]
const THIS_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const THIS_ARCH: u32 = 0xC000_00B7;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EOPNOTSUPP: u32 = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | 0x80; // CLONE_NEWTIME

/// Calls by name, so that what was refused can be told.
macro_rules! calls {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), libc::$name)),*] };
}

use calls;

type Calls = &'static [(&'static str, c_long)];

/// Refused whatever the arguments.
const REFUSED: Calls = calls![
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_process_mrelease,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_userfaultfd,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_vhangup,
    SYS_fanotify_init,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_lookup_dcookie,
    SYS_nfsservctl,
    // Uses up what the whole machine has to share.
    SYS_io_setup,
    // Tells what the machine and other cells open.
    SYS_inotify_add_watch,
    // Nothing may be left in the IPC namespace for the next program.
    SYS_shmget,
    SYS_shmat,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
    // What the zygote does not need either.
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_personality,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: Calls = calls![SYS_kexec_file_load, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: Calls = &[];

/// Refused unless the cell's number comes along.
const GUARDED: Calls = calls![SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_syslog];

/// Refused with some arguments only.
const PARTLY: Calls = calls![
    SYS_clone,
    SYS_socketpair,
    SYS_socket,
    SYS_bind,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_ioctl,
    SYS_prlimit64,
    SYS_sched_setaffinity,
    SYS_sched_setscheduler,
    SYS_sched_setparam,
    SYS_sched_setattr,
    SYS_setpriority,
    SYS_ioprio_set,
];

/// Refused where nothing else keeps them from reaching the user's other processes.
const SIGNALS: Calls =
    calls![SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal,];

/// Refused where no mount keeps files outside as they are: Landlock does not look at these. The first line is done by
/// the supervisor for files of the program's own (`meta.rs`).
const METADATA: Calls = calls![
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchmodat2,
    SYS_utimensat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
];
#[cfg(target_arch = "x86_64")]
const METADATA_HERE: Calls = calls![SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat];
#[cfg(not(target_arch = "x86_64"))]
const METADATA_HERE: Calls = &[];
/// The same, younger than the constants: `setxattrat`, `removexattrat`, `file_setattr`; one number everywhere.
const METADATA_YOUNG: Calls = &[("SYS_setxattrat", 463), ("SYS_removexattrat", 466), ("SYS_file_setattr", 469)];

/// Told to the supervisor, and then done, in cells that watch files.
#[cfg(target_arch = "x86_64")]
const OPENING: Calls = calls![SYS_open, SYS_openat, SYS_creat, SYS_execve, SYS_execveat];
#[cfg(not(target_arch = "x86_64"))]
const OPENING: Calls = calls![SYS_openat, SYS_execve, SYS_execveat];

/// Name of a call that can be refused.
pub(crate) fn name(nr: c_long) -> String {
    let all = [
        REFUSED,
        REFUSED_HERE,
        sockets::ALL,
        GUARDED,
        PARTLY,
        SIGNALS,
        METADATA,
        METADATA_HERE,
        METADATA_YOUNG,
        OPENING,
    ];
    let found = all.into_iter().flatten().find(|c| c.1 == nr);
    found.map_or_else(|| nr.to_string(), |c| c.0.trim_start_matches("SYS_").to_owned())
}

/// Whether a call told to the supervisor is one that opens a file.
pub(crate) fn opens(nr: c_long) -> bool {
    OPENING.iter().any(|c| c.1 == nr)
}

/// Whether the path of such a call is its second argument, after a folder.
pub(crate) fn opens_at(nr: c_long) -> bool {
    matches!(nr, libc::SYS_openat | libc::SYS_execveat)
}

/// Whether a call told to the supervisor changes what is said about a file.
pub(crate) fn is_metadata(nr: c_long) -> bool {
    [METADATA, METADATA_HERE].into_iter().flatten().any(|c| c.1 == nr)
}

/// Whether a call told to the supervisor is the mark of a program that waits to be watched.
pub(crate) fn is_mark(nr: c_long) -> bool {
    nr == libc::SYS_syslog
}

/// The bit that is this flag alone; the other is `O_DIRECTORY`.
const O_TMPFILE: u32 = 0o20_000_000;
const TIOCLINUX: u32 = 0x541C;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSSETXATTR: u32 = 0x401C_5820;

fn op(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | code | BPF_K) as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn ret(value: u32) -> sock_filter {
    op(BPF_RET | BPF_K, value)
}

struct Filter(Vec<sock_filter>);

impl Filter {
    fn new() -> Self {
        let mut f = vec![load(ARCH), jump(BPF_JEQ, THIS_ARCH, 1, 0), ret(KILL), load(NR)];
        if cfg!(target_arch = "x86_64") {
            // The x32 numbers would slip past a list of x86-64 numbers.
            f.extend([jump(BPF_JSET, 0x4000_0000, 0, 1), ret(ENOSYS)]);
        }
        Filter(f)
    }

    fn deny(&mut self, what: u32, calls: Calls) {
        for &(_, nr) in calls {
            self.0.extend([jump(BPF_JEQ, nr as u32, 0, 1), ret(what)]);
        }
    }

    /// Denies the calls unless their sixth argument is `secret`.
    fn guard(&mut self, what: u32, calls: Calls, secret: u64) {
        for &(_, nr) in calls {
            self.0.extend([
                jump(BPF_JEQ, nr as u32, 0, 6),
                load(ARG5),
                jump(BPF_JEQ, secret as u32, 0, 3),
                load(ARG5 + 4),
                jump(BPF_JEQ, (secret >> 32) as u32, 0, 1),
                ret(ALLOW),
                ret(what),
            ]);
        }
    }

    /// Denies `nr` if its argument at `offset` is (or, with `unless`, is not) `value`.
    fn deny_arg(&mut self, what: u32, nr: c_long, offset: u32, value: u32, unless: bool) {
        let (jt, jf) = if unless { (1, 0) } else { (0, 1) };
        self.0.extend([
            jump(BPF_JEQ, nr as u32, 0, 4),
            load(offset),
            jump(BPF_JEQ, value, jt, jf),
            ret(what),
            load(NR),
        ]);
    }

    /// Denies `nr` if two of its arguments, by offset, have these values.
    fn deny_both(&mut self, what: u32, nr: c_long, one: (u32, u32), two: (u32, u32)) {
        self.0.extend([
            jump(BPF_JEQ, nr as u32, 0, 6),
            load(one.0),
            jump(BPF_JEQ, one.1, 0, 3),
            load(two.0),
            jump(BPF_JEQ, two.1, 0, 1),
            ret(what),
            load(NR),
        ]);
    }

    fn deny_bits(&mut self, what: u32, nr: c_long, offset: u32, bits: u32) {
        self.0.extend([
            jump(BPF_JEQ, nr as u32, 0, 5),
            load(offset),
            op(BPF_ALU | BPF_AND | BPF_K, bits),
            jump(BPF_JEQ, 0, 1, 0),
            ret(what),
            load(NR),
        ]);
    }

    /// Denies `nr` unless its argument at `offset`, as far as `mask` goes, is one of `values`.
    fn only_args(&mut self, what: u32, nr: c_long, offset: u32, mask: u32, values: &[u32]) {
        let count = values.len() as u8;
        self.0.extend([jump(BPF_JEQ, nr as u32, 0, count + 4), load(offset), op(BPF_ALU | BPF_AND | BPF_K, mask)]);
        for (i, value) in values.iter().enumerate() {
            self.0.push(jump(BPF_JEQ, *value, count - i as u8, 0));
        }
        self.0.extend([ret(what), load(NR)]);
    }

    fn done(mut self) -> Vec<sock_filter> {
        self.0.push(ret(ALLOW));
        self.0
    }
}

/// What a cell's filter is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Lets the zygote make namespaces and mounts; 0 for nobody.
    pub(crate) secret: u64,
    /// Refused calls are told to the supervisor (else only refused).
    pub(crate) notify: bool,
    /// Files opened are told as well.
    pub(crate) watch: bool,
    /// Processes are numbered in a namespace of their own: 1 is the cell's.
    pub(crate) namespaces: bool,
    /// Something else keeps signals within the cell.
    pub(crate) signals: bool,
}

/// The filter of a cell.
pub(crate) fn outer(kind: Kind) -> Vec<sock_filter> {
    let refuse = if kind.notify { NOTIFY } else { EPERM };
    let mut f = Filter::new();
    // A filter cannot look into the argument of clone3 or openat2; ENOSYS makes libc fall back.
    f.deny(ENOSYS, calls![SYS_clone3, SYS_openat2]);
    f.deny(refuse, REFUSED);
    f.deny(refuse, REFUSED_HERE);
    let (marks, others): (&[_], &[_]) = (&GUARDED[4..], &GUARDED[..4]);
    if kind.secret == 0 {
        f.deny(refuse, others);
    } else {
        f.guard(refuse, others, kind.secret);
    }
    f.deny(refuse, marks);
    if !kind.signals {
        f.deny(refuse, SIGNALS);
    }
    if kind.namespaces {
        sockets::rules(&mut f, refuse, kind.notify);
    } else {
        f.deny(refuse, sockets::ALL);
        for calls in [METADATA, METADATA_HERE, METADATA_YOUNG] {
            f.deny(refuse, calls);
        }
        // A datagram can be sent to any socket that has a path, and a raw pair is one of datagrams.
        f.only_args(refuse, libc::SYS_socketpair, ARG1, 0xf, &[libc::SOCK_STREAM as u32, libc::SOCK_SEQPACKET as u32]);
    }
    if kind.watch && kind.notify {
        f.deny(NOTIFY, OPENING);
    }
    // An unnamed file leaves no trace in its folder; everybody falls back to a named one.
    f.deny_bits(EOPNOTSUPP, libc::SYS_openat, ARG2, O_TMPFILE);
    #[cfg(target_arch = "x86_64")]
    f.deny_bits(EOPNOTSUPP, libc::SYS_open, ARG1, O_TMPFILE);
    f.deny_arg(refuse, libc::SYS_socketpair, ARG0, libc::AF_UNIX as u32, true);
    // TIOCSTI and TIOCLINUX push characters into a terminal.
    f.deny_arg(refuse, libc::SYS_ioctl, ARG1, libc::TIOCSTI as u32, false);
    f.deny_arg(refuse, libc::SYS_ioctl, ARG1, TIOCLINUX, false);
    // Flags of files of the machine that belong to the same user.
    for request in [FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR] {
        f.deny_arg(refuse, libc::SYS_ioctl, ARG1, request, false);
    }
    // A sibling of the program would be a child of the zygote.
    f.deny_bits(refuse, libc::SYS_clone, ARG0, NEW_NAMESPACES | libc::CLONE_PARENT as u32);
    // Only "this process" may be limited or given a priority, not one by number, group or user.
    f.deny_arg(refuse, libc::SYS_prlimit64, ARG0, 0, true);
    let by_number =
        [libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr];
    for nr in by_number {
        // Process 1 is the cell's own; without a namespace every number may be anybody's.
        let (number, unless) = if kind.namespaces { (1, false) } else { (0, true) };
        f.deny_arg(refuse, nr, ARG0, number, unless);
    }
    for nr in [libc::SYS_setpriority, libc::SYS_ioprio_set] {
        f.deny_arg(refuse, nr, ARG1, 0, true);
    }
    f.deny_arg(refuse, libc::SYS_setpriority, ARG0, 2, false);
    f.deny_arg(refuse, libc::SYS_ioprio_set, ARG0, 3, false);
    f.done()
}

/// Added in each program where user namespaces could not be forbidden otherwise.
pub(crate) fn inner() -> Vec<sock_filter> {
    let mut f = Filter::new();
    f.deny(EPERM, calls![SYS_unshare, SYS_setns]);
    f.done()
}

/// The filter as the bytes of an array of `struct sock_filter`.
pub(crate) fn bytes(filter: &[sock_filter]) -> Vec<u8> {
    filter
        .iter()
        .flat_map(|i| {
            let mut b = [0u8; 8];
            b[..2].copy_from_slice(&i.code.to_ne_bytes());
            b[2] = i.jt;
            b[3] = i.jf;
            b[4..].copy_from_slice(&i.k.to_ne_bytes());
            b
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a filter as the kernel does, for the few instructions used here.
    fn decide(filter: &[sock_filter], arch: u32, nr: u32, args: &[u64]) -> u32 {
        let (mut a, mut pc) = (0u32, 0usize);
        let half = |offset: u32| {
            let word = args.get((offset - ARG0) as usize / 8).copied().unwrap_or(0);
            if offset.is_multiple_of(8) { word as u32 } else { (word >> 32) as u32 }
        };
        loop {
            let i = filter[pc];
            pc += 1;
            let take = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match u32::from(i.code) {
                c if c == BPF_LD | BPF_W | BPF_ABS => {
                    a = match i.k {
                        NR => nr,
                        ARCH => arch,
                        offset => half(offset),
                    }
                }
                c if c == BPF_ALU | BPF_AND | BPF_K => a &= i.k,
                c if c == BPF_JMP | BPF_JEQ | BPF_K => pc += take(a == i.k),
                c if c == BPF_JMP | BPF_JSET | BPF_K => pc += take(a & i.k != 0),
                _ => return i.k,
            }
        }
    }

    #[test]
    fn filters_decide_as_meant() {
        const SECRET: u64 = 0x1234_5678_9abc_def0;
        let kind = Kind { secret: SECRET, notify: true, watch: false, namespaces: true, signals: true };
        let plain = outer(kind);
        let at = |f: &[sock_filter], nr: c_long, x, y| decide(f, THIS_ARCH, nr as u32, &[x, y]);
        let with = |nr: c_long, number: u64| decide(&plain, THIS_ARCH, nr as u32, &[0, 0, 0, 0, 0, number]);
        assert_eq!(at(&plain, libc::SYS_read, 0, 0), ALLOW);
        assert_eq!(at(&plain, libc::SYS_clone3, 0, 0), ENOSYS);
        assert_eq!(at(&plain, libc::SYS_ptrace, 0, 0), NOTIFY);
        assert_eq!(at(&outer(Kind { notify: false, ..kind }), libc::SYS_ptrace, 0, 0), EPERM);
        let socket = |f: &[sock_filter], family, kind, protocol| {
            decide(f, THIS_ARCH, libc::SYS_socket as u32, &[family, kind, protocol])
        };
        let silent = outer(Kind { notify: false, ..kind });
        assert_eq!(socket(&plain, 1, 1 | 0o2_000_000, 0), ALLOW);
        assert_eq!((socket(&plain, 2, 1, 6), socket(&plain, 10, 2, 0)), (NOTIFY, NOTIFY));
        assert_eq!((socket(&silent, 1, 1, 0), socket(&silent, 2, 1, 6)), (ALLOW, EPERM));
        assert!(leaves_traces(libc::SYS_socket, &[2, 1 | 0o2_000_000, 6, 0, 0, 0]));
        for [family, kind, protocol] in [[16, 3, 0], [17, 3, 0], [2, 3, 1], [2, 2, 1], [2, 1, 262], [40, 1, 0]] {
            assert_eq!(socket(&plain, family, kind, protocol), NOTIFY);
            assert!(!leaves_traces(libc::SYS_socket, &[family, kind, protocol, 0, 0, 0]));
        }
        let option = |nr: c_long, level, option| decide(&plain, THIS_ARCH, nr as u32, &[3, level, option]);
        assert_eq!((option(libc::SYS_setsockopt, 41, 26), option(libc::SYS_setsockopt, 1, 26)), (ALLOW, NOTIFY));
        assert_eq!((option(libc::SYS_setsockopt, 1, 16), option(libc::SYS_getsockopt, 1, 57)), (NOTIFY, NOTIFY));
        assert!(leaves_traces(libc::SYS_setsockopt, &[3, 1, 16, 0, 0, 0]));
        assert!(!leaves_traces(libc::SYS_setsockopt, &[3, 1, 26, 0, 0, 0]));
        assert_eq!(at(&plain, libc::SYS_socketpair, libc::AF_UNIX as u64, 1), ALLOW);
        assert_eq!(at(&plain, libc::SYS_socketpair, libc::AF_INET as u64, 1), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_ioctl, 1, libc::TIOCSTI), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_ioctl, 1, libc::TCGETS), ALLOW);
        for nr in [libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2] {
            assert_eq!(with(nr, SECRET), ALLOW);
            for wrong in [0, SECRET ^ 1, SECRET ^ 1 << 32, SECRET & 0xffff_ffff] {
                assert_eq!(with(nr, wrong), NOTIFY);
            }
        }
        assert_eq!(with(libc::SYS_syslog, SECRET), NOTIFY);
        let unguarded = outer(Kind { secret: 0, ..kind });
        assert_eq!(at(&unguarded, libc::SYS_unshare, 0, 0), NOTIFY);
        assert_eq!(decide(&plain, 0x4000_0003, 0, &[]), KILL);
        assert_eq!(at(&plain, libc::SYS_clone, libc::SIGCHLD as u64, 0), ALLOW);
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID] {
            assert_eq!(at(&plain, libc::SYS_clone, (flag | libc::SIGCHLD) as u64, 0), NOTIFY);
        }
        assert_eq!(at(&plain, libc::SYS_prlimit64, 0, 7), ALLOW);
        assert_eq!(at(&plain, libc::SYS_prlimit64, 1, 0), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_setpriority, 0, 0), ALLOW);
        assert_eq!(at(&plain, libc::SYS_setpriority, 0, 1), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_setpriority, 2, 0), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_sched_setaffinity, 2, 0), ALLOW);
        assert_eq!(at(&plain, libc::SYS_sched_setaffinity, 1, 0), NOTIFY);
        let opening = |flags: u64| decide(&plain, THIS_ARCH, libc::SYS_openat as u32, &[0, 0, flags]);
        assert_eq!((opening(0o200_000), opening(0o20_200_002)), (ALLOW, EOPNOTSUPP));
        assert_eq!(at(&plain, libc::SYS_clone, (libc::CLONE_PARENT | libc::SIGCHLD) as u64, 0), NOTIFY);
        assert_eq!(at(&plain, libc::SYS_fchmod, 1, 0o600), ALLOW);
        let bare = outer(Kind { namespaces: false, ..kind });
        assert_eq!(at(&bare, libc::SYS_fchmod, 1, 0o600), NOTIFY);
        let pair = |kind: i32| at(&bare, libc::SYS_socketpair, libc::AF_UNIX as u64, kind as u64);
        assert_eq!(pair(libc::SOCK_STREAM | libc::SOCK_CLOEXEC), ALLOW);
        assert_eq!(pair(libc::SOCK_SEQPACKET), ALLOW);
        assert_eq!((pair(libc::SOCK_DGRAM), pair(libc::SOCK_RAW | libc::SOCK_NONBLOCK)), (NOTIFY, NOTIFY));
        assert_eq!(at(&bare, libc::SYS_socketpair, libc::AF_INET as u64, libc::SOCK_STREAM as u64), NOTIFY);
        assert_eq!(at(&bare, libc::SYS_read, 0, 0), ALLOW);
        let watching = outer(Kind { watch: true, ..kind });
        assert_eq!(at(&watching, libc::SYS_openat, 0, 0), NOTIFY);
        assert_eq!(at(&inner(), libc::SYS_unshare, 0, 0), EPERM);
        assert!(watching.len() < 4096 && name(libc::SYS_socket) == "socket");
    }
}
