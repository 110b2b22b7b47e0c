use super::program::{ALLOW, ARCH, ARG0, KILL, NOTIFY, NR, THIS_ARCH, error};
use super::*;
use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_W};
use std::collections::BTreeSet;

const SECRET: u64 = 0x1234_5678_9abc_def0;
const KIND: Kind = Kind { secret: SECRET, notify: true, watch: false, namespaces: true, signals: true };
const EPERM: u32 = error(libc::EPERM);
const ENOSYS: u32 = error(libc::ENOSYS);

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
            c if c == BPF_JMP | BPF_JA => pc += i.k as usize,
            c if c == BPF_JMP | BPF_JEQ | BPF_K => pc += take(a == i.k),
            c if c == BPF_JMP | BPF_JGE | BPF_K => pc += take(a >= i.k),
            c if c == BPF_JMP | BPF_JSET | BPF_K => pc += take(a & i.k != 0),
            _ => return i.k,
        }
    }
}

fn at(filter: &[sock_filter], nr: c_long, args: &[u64]) -> u32 {
    decide(filter, THIS_ARCH, nr as u32, args)
}

#[test]
fn filters_decide_as_meant() {
    let plain = outer(KIND);
    let at2 = |f: &[sock_filter], nr, x, y| at(f, nr, &[x, y]);
    let with = |nr: c_long, number: u64| at(&plain, nr, &[0, 0, 0, 0, 0, number]);
    assert_eq!(at2(&plain, libc::SYS_read, 0, 0), ALLOW);
    assert_eq!(at2(&plain, libc::SYS_clone3, 0, 0), ENOSYS);
    assert_eq!(at2(&plain, libc::SYS_ptrace, 0, 0), NOTIFY);
    assert_eq!(at2(&outer(Kind { notify: false, ..KIND }), libc::SYS_ptrace, 0, 0), EPERM);
    assert_eq!(at2(&outer(Kind { notify: false, ..KIND }), 4000, 0, 0), ENOSYS);
    assert_eq!(at2(&plain, libc::SYS_socketpair, libc::AF_UNIX as u64, 1), ALLOW);
    assert_eq!(at2(&plain, libc::SYS_socketpair, libc::AF_INET as u64, 1), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_ioctl, 1, libc::TIOCSTI), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_ioctl, 1, libc::TCGETS), ALLOW);
    for nr in [libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2] {
        assert_eq!(with(nr, SECRET), ALLOW);
        for wrong in [0, SECRET ^ 1, SECRET ^ 1 << 32, SECRET & 0xffff_ffff] {
            assert_eq!(with(nr, wrong), NOTIFY);
        }
    }
    assert_eq!(with(libc::SYS_syslog, SECRET), NOTIFY);
    let unguarded = outer(Kind { secret: 0, ..KIND });
    assert_eq!(at2(&unguarded, libc::SYS_unshare, 0, 0), NOTIFY);
    assert_eq!(decide(&plain, 0x4000_0003, 0, &[]), KILL);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(at(&plain, 0x4000_0000, &[]), ENOSYS);
    assert_eq!(at2(&plain, libc::SYS_clone, libc::SIGCHLD as u64, 0), ALLOW);
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_PARENT] {
        assert_eq!(at2(&plain, libc::SYS_clone, (flag | libc::SIGCHLD) as u64, 0), NOTIFY);
    }
    assert_eq!(at2(&plain, libc::SYS_prlimit64, 0, 7), ALLOW);
    assert_eq!(at2(&plain, libc::SYS_prlimit64, 1, 0), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_setpriority, 0, 0), ALLOW);
    assert_eq!(at2(&plain, libc::SYS_setpriority, 0, 1), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_setpriority, 2, 0), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_sched_setaffinity, 2, 0), ALLOW);
    assert_eq!(at2(&plain, libc::SYS_sched_setaffinity, 1, 0), NOTIFY);
    assert_eq!(at2(&plain, libc::SYS_fchmod, 1, 0o600), ALLOW);
    let bare = outer(Kind { namespaces: false, ..KIND });
    assert_eq!(at2(&bare, libc::SYS_sched_setaffinity, 2, 0), NOTIFY);
    assert_eq!(at2(&bare, libc::SYS_fchmod, 1, 0o600), NOTIFY);
    let pair = |kind: i32| at2(&bare, libc::SYS_socketpair, libc::AF_UNIX as u64, kind as u64);
    assert_eq!(pair(libc::SOCK_STREAM | libc::SOCK_CLOEXEC), ALLOW);
    assert_eq!(pair(libc::SOCK_SEQPACKET), ALLOW);
    assert_eq!((pair(libc::SOCK_DGRAM), pair(libc::SOCK_RAW | libc::SOCK_NONBLOCK)), (NOTIFY, NOTIFY));
    assert_eq!(at2(&bare, libc::SYS_socketpair, libc::AF_INET as u64, libc::SOCK_STREAM as u64), NOTIFY);
    assert_eq!(at2(&bare, libc::SYS_read, 0, 0), ALLOW);
    assert_eq!(at2(&inner(), libc::SYS_unshare, 0, 0), EPERM);
    assert_eq!(at2(&inner(), libc::SYS_read, 0, 0), ALLOW);
    assert!(name(libc::SYS_socket) == "socket" && name(4000) == "4000");
}

#[test]
fn sockets_stay_within_the_cell() {
    let (plain, silent) = (outer(KIND), outer(Kind { notify: false, ..KIND }));
    let bare = outer(Kind { namespaces: false, ..KIND });
    let socket = |f: &[sock_filter], family, kind, protocol| at(f, libc::SYS_socket, &[family, kind, protocol]);
    assert_eq!(socket(&plain, 1, 1 | 0o2_000_000, 0), ALLOW);
    assert_eq!((socket(&plain, 2, 1, 6), socket(&plain, 10, 2, 0)), (NOTIFY, NOTIFY));
    assert_eq!((socket(&silent, 1, 1, 0), socket(&silent, 2, 1, 6)), (ALLOW, EPERM));
    assert_eq!((socket(&bare, 1, 1, 0), at(&bare, libc::SYS_connect, &[])), (NOTIFY, NOTIFY));
    assert!(leaves_traces(libc::SYS_socket, &[2, 1 | 0o2_000_000, 6, 0, 0, 0]));
    for [family, kind, protocol] in [[16, 3, 0], [17, 3, 0], [2, 3, 1], [2, 2, 1], [2, 1, 262], [40, 1, 0]] {
        assert_eq!(socket(&plain, family, kind, protocol), NOTIFY);
        assert!(!leaves_traces(libc::SYS_socket, &[family, kind, protocol, 0, 0, 0]));
    }
    let option = |nr: c_long, level, option| at(&plain, nr, &[3, level, option]);
    assert_eq!((option(libc::SYS_setsockopt, 41, 26), option(libc::SYS_setsockopt, 1, 26)), (ALLOW, NOTIFY));
    assert_eq!((option(libc::SYS_setsockopt, 1, 16), option(libc::SYS_getsockopt, 1, 57)), (NOTIFY, NOTIFY));
    assert!(leaves_traces(libc::SYS_setsockopt, &[3, 1, 16, 0, 0, 0]));
    assert!(!leaves_traces(libc::SYS_setsockopt, &[3, 1, 26, 0, 0, 0]));
    assert_eq!((at(&plain, libc::SYS_bind, &[]), at(&plain, libc::SYS_listen, &[])), (NOTIFY, ALLOW));
}

#[test]
fn the_page_cache_is_neither_read_nor_set() {
    let plain = outer(KIND);
    let opening = |flags: i32| at(&plain, libc::SYS_openat, &[0, 0, flags as u64]);
    assert_eq!((opening(libc::O_DIRECTORY), opening(libc::O_TMPFILE)), (ALLOW, error(libc::EOPNOTSUPP)));
    assert_eq!(opening(libc::O_DIRECT), error(libc::EINVAL));
    let read = |flags: u64| at(&plain, libc::SYS_preadv2, &[0, 0, 0, 0, 0, flags]);
    assert_eq!((read(0), read(8), refusal(libc::SYS_preadv2)), (ALLOW, NOTIFY, libc::EOPNOTSUPP));
    assert_eq!(at(&plain, libc::SYS_mincore, &[]), NOTIFY);
    for hint in [libc::SYS_fadvise64, libc::SYS_readahead] {
        assert_eq!(at(&plain, hint, &[3, 0, 4096, 4]), error(0));
    }
    let advice = |advice: i32| at(&plain, libc::SYS_madvise, &[0, 4096, advice as u64]);
    assert_eq!(advice(libc::MADV_DONTNEED), ALLOW);
    assert_eq!((advice(libc::MADV_WILLNEED), advice(libc::MADV_PAGEOUT)), (error(0), error(0)));
    assert_eq!(advice(libc::MADV_POPULATE_READ), error(libc::EINVAL));
    let control = |what: i32, value: i32| at(&plain, libc::SYS_fcntl, &[3, what as u64, value as u64]);
    assert_eq!(control(libc::F_SETFL, libc::O_DIRECT | libc::O_APPEND), error(libc::EINVAL));
    assert_eq!((control(libc::F_SETFL, libc::O_APPEND), control(libc::F_SETLK, libc::O_DIRECT)), (ALLOW, ALLOW));
    assert_eq!(control(1036, 0), error(libc::EINVAL));
}

#[test]
fn openings_are_told_where_they_are_watched() {
    let watching = outer(Kind { watch: true, ..KIND });
    assert_eq!(at(&watching, libc::SYS_openat, &[0, 0, 0]), NOTIFY);
    assert_eq!(at(&watching, libc::SYS_execve, &[]), NOTIFY);
    // Those that leave no trace are refused all the same.
    assert_eq!(at(&watching, libc::SYS_openat, &[0, 0, libc::O_TMPFILE as u64]), error(libc::EOPNOTSUPP));
}

#[test]
fn a_filter_of_the_programs_own_is_told() {
    let plain = outer(KIND);
    assert_eq!(at(&plain, libc::SYS_prctl, &[libc::PR_SET_SECCOMP as u64, 2]), NOTIFY);
    assert_eq!(at(&plain, libc::SYS_prctl, &[libc::PR_SET_NAME as u64]), ALLOW);
    assert_eq!(at(&plain, libc::SYS_seccomp, &[1, 0]), NOTIFY);
    assert_eq!(at(&plain, libc::SYS_seccomp, &[2, 0]), ALLOW);
    assert_eq!(at(&plain, libc::SYS_seccomp, &[1, 0, 0, 0, 0, SECRET]), ALLOW);
}

/// A call that no table knows is one that nobody has decided about.
#[test]
fn every_call_of_the_kernel_is_decided() {
    let mut decided: BTreeSet<c_long> = BTreeSet::new();
    for (name, nr) in ALL.iter().copied().flatten() {
        assert!(decided.insert(*nr), "{name} is in two tables");
    }
    #[cfg(target_arch = "x86_64")]
    for nr in (0..=336).chain(424..=NEWEST) {
        assert!(decided.contains(&nr), "system call {nr} is in no table");
    }
    let headers = ["/usr/include/asm-generic/unistd.h", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"];
    for header in headers.iter().filter(|_| cfg!(target_arch = "x86_64")) {
        for line in std::fs::read_to_string(header).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["#define", name, number] = words[..]
                && let (Some(name), Ok(nr)) = (name.strip_prefix("__NR_"), number.parse::<c_long>())
                && nr > 423
                && !matches!(name, "syscalls" | "arch_specific_syscall")
            {
                assert!(decided.contains(&nr), "this machine's kernel knows {name} ({nr}): decide about it");
            }
        }
    }
    // Nothing but what a table allows is allowed.
    let plain = outer(KIND);
    let allowed = [
        ALLOWED,
        ALLOWED_HERE,
        ALLOWED_YOUNG,
        SIGNALS,
        METADATA,
        METADATA_HERE,
        PARTLY,
        PARTLY_HERE,
        SOCKETS,
        SOCKET_OPTIONS,
    ];
    let allowed: BTreeSet<c_long> = allowed.into_iter().flatten().map(|c| c.1).collect();
    for nr in 0..2000 {
        assert!(at(&plain, nr, &[0, 0, 0]) != ALLOW || allowed.contains(&nr), "{} is allowed", name(nr));
        let told = at(&plain, nr, &[0, 0, 0]) == NOTIFY;
        assert!(told || decided.contains(&nr), "{nr} is not told");
    }
    assert!(plain.len() < 4096);
}
