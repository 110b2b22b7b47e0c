//! Sockets within the cell's own network namespace: Unix and loopback, and no other family.
//!
//! The namespace lives longer than a program. Ports in `TIME_WAIT`, counters and abstract names could tell the next one
//! something, so calls that may leave such are told to the supervisor, which lets them pass and has the zygote move to
//! a fresh namespace before its next program. All that is judged here are numbers in registers: nothing the caller
//! could change between the judgement and the call.

use super::{ARG0, ARG1, ARG2, Calls, Filter, NOTIFY, calls};
use libc::{c_int, c_long};

/// Refused in cells without a network namespace of their own.
pub(super) const ALL: Calls = calls![SYS_socket, SYS_connect, SYS_bind, SYS_listen];

const KINDS: [c_int; 3] = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET];
/// The default of the kind, TCP, UDP: no ping, no MPTCP, no SCTP.
const PROTOCOLS: [c_int; 3] = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];
const INTERNET: [c_int; 2] = [libc::AF_INET, libc::AF_INET6];
/// `SO_PASSCRED`, `SO_PASSSEC`, `SO_PASSPIDFD`: with them a Unix socket may be given an abstract name.
const NAMING: [c_int; 3] = [16, 34, 76];
/// `SO_COOKIE`, `SO_NETNS_COOKIE`: numbers that count the sockets and namespaces of the machine.
const COUNTING: [c_int; 2] = [57, 71];
/// Level and option: programs for filters, other protocols on top of a connection.
const STRANGE: [(c_int, c_int); 6] = [
    (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
    (libc::SOL_SOCKET, libc::SO_ATTACH_BPF),
    (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF),
    (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_EBPF),
    (libc::IPPROTO_TCP, 31 /* TCP_ULP */),
    (libc::IPPROTO_UDP, 100 /* UDP_ENCAP */),
];

/// Adds the rules; `notify` is whether somebody listens.
pub(super) fn rules(f: &mut Filter, refuse: u32, notify: bool) {
    let words = |list: &[c_int]| -> Vec<u32> { list.iter().map(|n| n.cast_unsigned()).collect() };
    let families = [&[libc::AF_UNIX][..], if notify { &INTERNET } else { &[] }].concat();
    f.only_args(refuse, libc::SYS_socket, ARG0, u32::MAX, &words(&families));
    f.only_args(refuse, libc::SYS_socket, ARG1, 0xf, &words(&KINDS));
    f.only_args(refuse, libc::SYS_socket, ARG2, u32::MAX, &words(&PROTOCOLS));
    for option in COUNTING {
        f.deny_arg(refuse, libc::SYS_getsockopt, ARG2, option.cast_unsigned(), false);
    }
    for (level, option) in STRANGE {
        f.deny_both(refuse, libc::SYS_setsockopt, (ARG1, level.cast_unsigned()), (ARG2, option.cast_unsigned()));
    }
    if notify {
        for family in INTERNET {
            f.deny_arg(NOTIFY, libc::SYS_socket, ARG0, family.cast_unsigned(), false);
        }
        f.deny(NOTIFY, calls![SYS_bind]);
        for option in NAMING {
            f.deny_arg(NOTIFY, libc::SYS_setsockopt, ARG2, option.cast_unsigned(), false);
        }
    } else {
        f.deny(refuse, calls![SYS_bind]);
        for option in NAMING {
            f.deny_arg(refuse, libc::SYS_setsockopt, ARG2, option.cast_unsigned(), false);
        }
    }
}

/// Whether a call told to the supervisor is one that passes and leaves something in the network namespace, rather than
/// one that is refused.
pub(crate) fn leaves_traces(nr: c_long, args: &[u64; 6]) -> bool {
    let arg = |i: usize| args[i] as c_int;
    match nr {
        libc::SYS_bind => true,
        libc::SYS_socket => {
            INTERNET.contains(&arg(0)) && KINDS.contains(&(arg(1) & 0xf)) && PROTOCOLS.contains(&arg(2))
        }
        libc::SYS_setsockopt => NAMING.contains(&arg(2)) && !STRANGE.contains(&(arg(1), arg(2))),
        _ => false,
    }
}
