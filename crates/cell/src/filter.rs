//! The seccomp filters: a list of what no cell may ask of the kernel.
//!
//! Two layers. The *outer* one is installed before the zygote starts and holds for everything;
//! the *inner* one adds what the zygote itself still needs (namespaces and mounts) and is
//! installed in each program just before its first instruction.

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{c_long, sock_filter};

const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0: u32 = 16;
const ARG1: u32 = 24;

#[cfg(target_arch = "x86_64")]
const THIS_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const THIS_ARCH: u32 = 0xC000_00B7;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | 0x80; // CLONE_NEWTIME

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

    fn deny(&mut self, what: u32, calls: &[c_long]) {
        for &nr in calls {
            self.0.extend([jump(BPF_JEQ, nr as u32, 0, 1), ret(what)]);
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

    fn done(mut self) -> Vec<sock_filter> {
        self.0.push(ret(ALLOW));
        self.0
    }
}

/// What holds for the zygote and all programs.
pub(crate) fn outer() -> Vec<sock_filter> {
    let mut f = Filter::new();
    // A filter cannot look into clone3's argument; ENOSYS makes libc fall back to clone.
    f.deny(ENOSYS, &[libc::SYS_clone3]);
    f.deny(
        EPERM,
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_process_madvise,
            libc::SYS_process_mrelease,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
            libc::SYS_migrate_pages,
            libc::SYS_move_pages,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_userfaultfd,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_acct,
            libc::SYS_quotactl,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_clock_adjtime,
            libc::SYS_adjtimex,
            libc::SYS_syslog,
            libc::SYS_vhangup,
            libc::SYS_fanotify_init,
            libc::SYS_open_by_handle_at,
            libc::SYS_name_to_handle_at,
            libc::SYS_lookup_dcookie,
            libc::SYS_nfsservctl,
            // Nothing may be left in the IPC namespace for the next program.
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_semget,
            libc::SYS_msgget,
            libc::SYS_mq_open,
            // No socket of any family; connected AF_UNIX pairs are allowed below.
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
        ],
    );
    #[cfg(target_arch = "x86_64")]
    f.deny(
        EPERM,
        &[
            libc::SYS_kexec_file_load,
            libc::SYS_iopl,
            libc::SYS_ioperm,
            libc::SYS_modify_ldt,
            libc::SYS_uselib,
            libc::SYS__sysctl,
        ],
    );
    f.deny_arg(EPERM, libc::SYS_socketpair, ARG0, libc::AF_UNIX as u32, true);
    // TIOCSTI and TIOCLINUX push characters into a terminal.
    f.deny_arg(EPERM, libc::SYS_ioctl, ARG1, libc::TIOCSTI as u32, false);
    f.deny_arg(EPERM, libc::SYS_ioctl, ARG1, 0x541C, false);
    f.done()
}

/// What holds for programs in addition.
pub(crate) fn inner() -> Vec<sock_filter> {
    let mut f = Filter::new();
    f.deny_bits(EPERM, libc::SYS_clone, ARG0, NEW_NAMESPACES);
    f.deny(
        EPERM,
        &[
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
        ],
    );
    // The init of the cell is process 1 and has the program's uid: limits or priorities set on
    // it from inside would make it fail instead of the program.
    f.deny_arg(EPERM, libc::SYS_prlimit64, ARG0, 0, true);
    for nr in
        [libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr]
    {
        f.deny_arg(EPERM, nr, ARG0, 1, false);
    }
    // Only "this process" may be given a priority, not one by number, group or user.
    f.deny_arg(EPERM, libc::SYS_setpriority, ARG1, 0, true);
    f.deny_arg(EPERM, libc::SYS_setpriority, ARG0, 2, false);
    f.deny_arg(EPERM, libc::SYS_ioprio_set, ARG1, 0, true);
    f.deny_arg(EPERM, libc::SYS_ioprio_set, ARG0, 3, false);
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
    fn decide(filter: &[sock_filter], arch: u32, nr: u32, args: [u32; 2]) -> u32 {
        let (mut a, mut pc) = (0u32, 0usize);
        loop {
            let i = filter[pc];
            pc += 1;
            let take = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match u32::from(i.code) {
                c if c == BPF_LD | BPF_W | BPF_ABS => {
                    a = match i.k {
                        NR => nr,
                        ARCH => arch,
                        ARG0 => args[0],
                        _ => args[1],
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
        let (outer, inner) = (outer(), inner());
        let at = |f: &[sock_filter], nr: c_long, x, y| decide(f, THIS_ARCH, nr as u32, [x, y]);
        assert_eq!(at(&outer, libc::SYS_read, 0, 0), ALLOW);
        assert_eq!(at(&outer, libc::SYS_clone3, 0, 0), ENOSYS);
        assert_eq!(at(&outer, libc::SYS_ptrace, 0, 0), EPERM);
        assert_eq!(at(&outer, libc::SYS_socket, libc::AF_UNIX as u32, 1), EPERM);
        assert_eq!(at(&outer, libc::SYS_socketpair, libc::AF_UNIX as u32, 1), ALLOW);
        assert_eq!(at(&outer, libc::SYS_socketpair, libc::AF_INET as u32, 1), EPERM);
        assert_eq!(at(&outer, libc::SYS_ioctl, 1, libc::TIOCSTI as u32), EPERM);
        assert_eq!(at(&outer, libc::SYS_ioctl, 1, libc::TCGETS as u32), ALLOW);
        assert_eq!(at(&outer, libc::SYS_unshare, 0, 0), ALLOW);
        assert_eq!(decide(&outer, 0x4000_0003, 0, [0, 0]), KILL);
        assert_eq!(at(&inner, libc::SYS_unshare, 0, 0), EPERM);
        assert_eq!(at(&inner, libc::SYS_clone, libc::SIGCHLD as u32, 0), ALLOW);
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID] {
            assert_eq!(at(&inner, libc::SYS_clone, (flag | libc::SIGCHLD) as u32, 0), EPERM);
        }
        assert_eq!(at(&inner, libc::SYS_prlimit64, 0, 7), ALLOW);
        assert_eq!(at(&inner, libc::SYS_prlimit64, 1, 0), EPERM);
        assert_eq!(at(&inner, libc::SYS_setpriority, 0, 0), ALLOW);
        assert_eq!(at(&inner, libc::SYS_setpriority, 0, 1), EPERM);
        assert_eq!(at(&inner, libc::SYS_setpriority, 2, 0), EPERM);
        assert_eq!(at(&inner, libc::SYS_sched_setaffinity, 2, 0), ALLOW);
    }
}
