//! Sockets within the cell's own network namespace: Unix and loopback, and no other family.
//!
//! The namespace lives longer than a program. Ports in `TIME_WAIT`, counters and abstract names could tell the next one
//! something, so calls that may leave such are told to the supervisor, which lets them pass and has the zygote move to
//! a fresh namespace before its next program. All that is judged here are numbers in registers: nothing the caller
//! could change between the judgement and the call.

use super::rule::{Fate, Rule, Test, when};
use libc::{c_int, c_long};

const KINDS: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_DGRAM as u32, libc::SOCK_SEQPACKET as u32];
/// The default of the kind, TCP, UDP: no ping, no MPTCP, no SCTP.
const PROTOCOLS: &[u32] = &[0, libc::IPPROTO_TCP as u32, libc::IPPROTO_UDP as u32];
const UNIX: &[u32] = &[libc::AF_UNIX as u32];
const INTERNET: &[u32] = &[libc::AF_INET as u32, libc::AF_INET6 as u32];
/// `SO_PASSCRED`, `SO_PASSSEC`, `SO_PASSPIDFD`: with them a Unix socket may be given an abstract name.
const NAMING: &[u32] = &[16, 34, 76];
/// `SO_COOKIE`, `SO_NETNS_COOKIE`: numbers that count the sockets and namespaces of the machine.
const COUNTING: &[u32] = &[57, 71];
/// Level and option: programs for filters, other protocols on top of a connection.
const STRANGE: [(c_int, c_int); 6] = [
    (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
    (libc::SOL_SOCKET, libc::SO_ATTACH_BPF),
    (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF),
    (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_EBPF),
    (libc::IPPROTO_TCP, 31 /* TCP_ULP */),
    (libc::IPPROTO_UDP, 100 /* UDP_ENCAP */),
];

/// What becomes of a call about sockets. `network` is whether the cell has one of its own, `notify` whether somebody
/// listens: where nobody does, nothing that may leave traces can be had.
pub(super) fn rules(nr: c_long, network: bool, notify: bool) -> Vec<Rule> {
    let traces = if notify { Fate::Tell } else { Fate::Refuse };
    match nr {
        libc::SYS_getsockopt => vec![when(2, Test::OneOf(COUNTING), Fate::Refuse)],
        libc::SYS_setsockopt if network => {
            let strange = STRANGE.iter().map(|(level, option)| {
                when(1, Test::Is(level.cast_unsigned()), Fate::Refuse).and(2, Test::Is(option.cast_unsigned()))
            });
            strange.chain([when(2, Test::OneOf(NAMING), traces)]).collect()
        }
        libc::SYS_setsockopt => Vec::new(),
        _ if !network => vec![Rule::always(Fate::Refuse)],
        libc::SYS_socket => vec![
            when(1, Test::NoneOf(0xf, KINDS), Fate::Refuse),
            when(2, Test::NoneOf(u32::MAX, PROTOCOLS), Fate::Refuse),
            when(0, Test::OneOf(UNIX), Fate::Allow),
            when(0, Test::OneOf(INTERNET), traces),
            Rule::always(Fate::Refuse),
        ],
        libc::SYS_bind => vec![Rule::always(traces)],
        _ => Vec::new(),
    }
}

/// Whether a call told to the supervisor is one that passes and leaves something in the network namespace, rather than
/// one that is refused.
pub(crate) fn leaves_traces(nr: c_long, args: &[u64; 6]) -> bool {
    let arg = |i: usize| args[i] as u32;
    match nr {
        libc::SYS_bind => true,
        libc::SYS_socket => {
            INTERNET.contains(&arg(0)) && KINDS.contains(&(arg(1) & 0xf)) && PROTOCOLS.contains(&arg(2))
        }
        libc::SYS_setsockopt => NAMING.contains(&arg(2)) && !STRANGE.contains(&(args[1] as c_int, args[2] as c_int)),
        _ => false,
    }
}
