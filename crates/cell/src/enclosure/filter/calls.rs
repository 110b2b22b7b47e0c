//! Every system call there is, and what becomes of it. What stands in no table is younger than this list: it does not
//! exist for a program (`ENOSYS`), and that it was asked for is counted.

use super::rule::{Fate, Rule, Test, when};
use libc::c_long;

/// Calls by name, so that what was refused can be told.
pub(super) type Calls = &'static [(&'static str, c_long)];

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// The newest call that was looked at for these tables. The kernel numbers new ones alike on all machines.
#[cfg(test)]
pub(super) const NEWEST: c_long = 470;

/// Allowed whatever the arguments.
pub(super) const ALLOWED: Calls = calls![
    // Files by descriptor.
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_close SYS_close_range
    SYS_lseek SYS_fstat SYS_fstatfs SYS_ftruncate SYS_fallocate SYS_fsync SYS_fdatasync SYS_flock SYS_dup SYS_dup3
    SYS_getdents64 SYS_sendfile SYS_splice SYS_tee SYS_vmsplice SYS_copy_file_range SYS_fgetxattr SYS_flistxattr
    SYS_fchdir SYS_pipe2 SYS_eventfd2 SYS_signalfd4 SYS_memfd_create
    SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_ppoll SYS_pselect6
    SYS_inotify_init1 SYS_inotify_rm_watch
    // Files by name.
    SYS_execve SYS_execveat SYS_newfstatat SYS_statfs SYS_faccessat SYS_faccessat2 SYS_readlinkat
    SYS_mkdirat SYS_mknodat SYS_unlinkat SYS_renameat2 SYS_linkat SYS_symlinkat SYS_truncate
    SYS_getxattr SYS_lgetxattr SYS_listxattr SYS_llistxattr SYS_chdir SYS_getcwd SYS_umask
    // Memory.
    SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_brk SYS_msync SYS_mseal
    SYS_mlock SYS_mlock2 SYS_munlock SYS_mlockall SYS_munlockall SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect
    SYS_mbind SYS_get_mempolicy SYS_set_mempolicy
    // Processes and threads.
    SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_getpid SYS_getppid SYS_gettid SYS_set_tid_address
    SYS_getpgid SYS_setpgid SYS_getsid SYS_setsid SYS_pidfd_open SYS_futex SYS_futex_waitv
    SYS_set_robust_list SYS_rseq SYS_membarrier SYS_restart_syscall SYS_getcpu SYS_times SYS_getrusage
    SYS_sched_yield SYS_sched_getaffinity SYS_sched_getparam SYS_sched_getscheduler SYS_sched_getattr
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_rr_get_interval
    SYS_getpriority SYS_ioprio_get
    // Users and capabilities: the kernel refuses whatever would gain anything.
    SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups SYS_setgroups
    SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid SYS_setfsgid
    SYS_capget SYS_capset SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
    // Signals within, time, and what the machine is.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigsuspend SYS_rt_sigtimedwait
    SYS_sigaltstack SYS_nanosleep SYS_clock_nanosleep SYS_clock_gettime SYS_clock_getres SYS_gettimeofday
    SYS_getitimer SYS_setitimer SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun
    SYS_timer_delete SYS_uname SYS_sysinfo SYS_getrandom
    // What a connected pair of sockets needs.
    SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg SYS_shutdown
    SYS_getsockname SYS_getpeername
];
#[cfg(target_arch = "x86_64")]
pub(super) const ALLOWED_HERE: Calls = calls![
    SYS_stat SYS_lstat SYS_access SYS_pipe SYS_select SYS_poll SYS_dup2 SYS_pause SYS_alarm SYS_fork SYS_vfork
    SYS_getdents SYS_rename SYS_mkdir SYS_rmdir SYS_link SYS_unlink SYS_symlink SYS_readlink SYS_creat
    SYS_getrlimit SYS_setrlimit SYS_getpgrp SYS_mknod SYS_arch_prctl SYS_time SYS_epoll_create SYS_epoll_wait
    SYS_inotify_init SYS_signalfd SYS_eventfd SYS_renameat
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const ALLOWED_HERE: Calls = &[("SYS_renameat", 38)];
/// The same, younger than the constants: `futex_wake`, `futex_wait`, `futex_requeue`.
pub(super) const ALLOWED_YOUNG: Calls = &[("SYS_futex_wake", 454), ("SYS_futex_wait", 455), ("SYS_futex_requeue", 456)];

/// Hints about the page cache, which all programs share, and orders to write it out. A program goes on as if it had been
/// heard; nothing is done.
pub(super) const VOID: Calls = calls![SYS_fadvise64 SYS_readahead SYS_sync SYS_syncfs];
#[cfg(target_arch = "x86_64")]
pub(super) const VOID_HERE: Calls = calls![SYS_sync_file_range];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const VOID_HERE: Calls = &[("SYS_sync_file_range", 84)];

/// Not there, which every C library is prepared for, and not worth counting. No filter can look into the arguments of
/// `clone3` and `openat2`; `statx` gives numbers of mounts, which count all there ever were on the machine.
pub(super) const SILENT: Calls = calls![SYS_clone3 SYS_openat2 SYS_statx];

/// Refused whatever the arguments.
pub(super) const REFUSED: Calls = calls![
    // Others' memory, descriptors and descent.
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_process_mrelease SYS_pidfd_getfd
    SYS_kcmp SYS_migrate_pages SYS_move_pages
    // What is in the page cache, which all programs share.
    SYS_mincore SYS_remap_file_pages
    // The kernel's own means.
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_keyctl SYS_add_key SYS_request_key
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_kexec_load SYS_init_module SYS_finit_module SYS_delete_module SYS_reboot SYS_swapon SYS_swapoff SYS_acct
    SYS_quotactl SYS_quotactl_fd SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex SYS_vhangup
    SYS_fanotify_init SYS_fanotify_mark SYS_open_by_handle_at SYS_name_to_handle_at SYS_lookup_dcookie SYS_nfsservctl
    // Uses up what the whole machine has to share.
    SYS_io_setup
    // Tells what the machine and other cells open.
    SYS_inotify_add_watch
    // Nothing may be left in the IPC namespace for the next program.
    SYS_shmget SYS_shmat SYS_shmdt SYS_shmctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl
    SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl
    SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive SYS_mq_notify SYS_mq_getsetattr
    // What the zygote does not need either.
    SYS_pivot_root SYS_chroot SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick
    SYS_mount_setattr SYS_sethostname SYS_setdomainname SYS_personality
];
#[cfg(target_arch = "x86_64")]
pub(super) const REFUSED_HERE: Calls =
    calls![SYS_kexec_file_load SYS_iopl SYS_ioperm SYS_modify_ldt SYS_uselib SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const REFUSED_HERE: Calls = &[];
/// The same, younger than the constants.
pub(super) const REFUSED_YOUNG: Calls =
    &[("SYS_statmount", 457), ("SYS_listmount", 458), ("SYS_open_tree_attr", 467), ("SYS_listns", 470)];

/// Looked at and found needless: as if the kernel did not have them.
pub(super) const ABSENT: Calls = calls![
    SYS_io_submit SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_memfd_secret
    SYS_set_mempolicy_home_node
];
#[cfg(target_arch = "x86_64")]
pub(super) const ABSENT_HERE: Calls = calls![
    SYS_sysfs SYS_ustat SYS_get_thread_area SYS_set_thread_area SYS_getpmsg SYS_putpmsg SYS_afs_syscall SYS_tuxcall
    SYS_security SYS_vserver SYS_epoll_ctl_old
    SYS_epoll_wait_old
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const ABSENT_HERE: Calls = &[];
/// The same, without constants.
#[cfg(target_arch = "x86_64")]
pub(super) const ABSENT_OLD: Calls = &[
    ("SYS_create_module", 174),
    ("SYS_get_kernel_syms", 177),
    ("SYS_query_module", 178),
    ("SYS_io_pgetevents", 333),
    ("SYS_uretprobe", 335),
    ("SYS_uprobe", 336),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const ABSENT_OLD: Calls = &[("SYS_io_pgetevents", 292)];
/// The same, younger than the constants.
pub(super) const ABSENT_YOUNG: Calls = &[
    ("SYS_cachestat", 451),
    ("SYS_map_shadow_stack", 453),
    ("SYS_lsm_get_self_attr", 459),
    ("SYS_lsm_set_self_attr", 460),
    ("SYS_lsm_list_modules", 461),
    ("SYS_setxattrat", 463),
    ("SYS_getxattrat", 464),
    ("SYS_listxattrat", 465),
    ("SYS_removexattrat", 466),
    ("SYS_file_getattr", 468),
    ("SYS_file_setattr", 469),
];

/// Sockets that are no connected pair: what a cell that has a network of its own may use; see `sockets.rs`.
pub(super) const SOCKETS: Calls = calls![SYS_socket SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4];
/// What is said of sockets of either kind.
pub(super) const SOCKET_OPTIONS: Calls = calls![SYS_getsockopt SYS_setsockopt];

/// Refused unless the cell's number comes along, which the zygote alone knows.
pub(super) const GUARDED: Calls = calls![SYS_unshare SYS_setns SYS_mount SYS_umount2];
/// The mark of a program that waits to be watched; see [`is_mark`].
pub(super) const MARK: Calls = calls![SYS_syslog];

/// Refused where nothing else keeps them from reaching the user's other processes.
pub(super) const SIGNALS: Calls = calls![
    SYS_kill SYS_tkill SYS_tgkill SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo SYS_pidfd_send_signal
];

/// Refused where no mount keeps files outside as they are: Landlock does not look at these. The first line is done by
/// the supervisor for files of the program's own (`meta.rs`).
pub(super) const METADATA: Calls = calls![
    SYS_fchmod SYS_fchmodat SYS_fchmodat2 SYS_utimensat
    SYS_fchown SYS_fchownat SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
];
#[cfg(target_arch = "x86_64")]
pub(super) const METADATA_HERE: Calls = calls![SYS_chmod SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const METADATA_HERE: Calls = &[];

/// Told to the supervisor, and then done, in cells that watch files.
#[cfg(target_arch = "x86_64")]
pub(super) const OPENING: Calls = calls![SYS_open SYS_openat SYS_creat SYS_execve SYS_execveat];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OPENING: Calls = calls![SYS_openat SYS_execve SYS_execveat];

/// Told as well there: what moves, makes and removes names, and what sends signals.
#[cfg(target_arch = "x86_64")]
pub(super) const CHANGING: Calls = calls![
    SYS_rename SYS_renameat SYS_renameat2 SYS_unlink SYS_unlinkat SYS_link SYS_linkat SYS_symlink SYS_symlinkat
    SYS_truncate
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const CHANGING: Calls =
    calls![SYS_renameat SYS_renameat2 SYS_unlinkat SYS_linkat SYS_symlinkat SYS_truncate];
/// Told there too, in a namespace of processes: there no signal is refused.
pub(super) const SIGNALLING: Calls = calls![SYS_kill SYS_tkill SYS_tgkill];

/// Allowed but for some arguments; see [`partly`].
pub(super) const PARTLY: Calls = calls![
    SYS_openat SYS_fcntl SYS_ioctl SYS_madvise SYS_preadv2 SYS_pwritev2 SYS_clone SYS_socketpair
    SYS_prlimit64 SYS_sched_setaffinity SYS_sched_setscheduler SYS_sched_setparam SYS_sched_setattr SYS_setpriority
    SYS_ioprio_set SYS_get_robust_list SYS_prctl SYS_seccomp
];
#[cfg(target_arch = "x86_64")]
pub(super) const PARTLY_HERE: Calls = calls![SYS_open];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const PARTLY_HERE: Calls = &[];

/// All tables, for names.
pub(super) const ALL: &[Calls] = &[
    ALLOWED,
    ALLOWED_HERE,
    ALLOWED_YOUNG,
    VOID,
    VOID_HERE,
    SILENT,
    REFUSED,
    REFUSED_HERE,
    REFUSED_YOUNG,
    ABSENT,
    ABSENT_HERE,
    ABSENT_OLD,
    ABSENT_YOUNG,
    SOCKETS,
    SOCKET_OPTIONS,
    GUARDED,
    MARK,
    SIGNALS,
    METADATA,
    METADATA_HERE,
    PARTLY,
    PARTLY_HERE,
];

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32
    | 0x80; // CLONE_NEWTIME

/// The bit that is this flag alone; the other is `O_DIRECTORY`.
const O_TMPFILE: u32 = 0o20_000_000;
const TIOCLINUX: u32 = 0x541C;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSSETXATTR: u32 = 0x401C_5820;
/// `F_SET_RW_HINT` and `F_SET_FILE_RW_HINT`: the first stays with the inode.
const WRITE_HINTS: &[u32] = &[1036, 1038];
/// `PR_SCHED_CORE`.
const PR_SCHED_CORE: u32 = 62;

/// Advice about memory of one's own: `NORMAL`, `DONTNEED`, `FREE`, `REMOVE`, what forks get, huge pages, dumps, guards.
const OWN_ADVICE: &[u32] = &[0, 4, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 24, 102, 103];
/// Hints about pages that others share: `RANDOM`, `SEQUENTIAL`, `WILLNEED`, `MERGEABLE`, `COLD`, `PAGEOUT`.
const SHARED_ADVICE: &[u32] = &[1, 2, 3, 12, 20, 21];

/// What becomes of a call of [`PARTLY`], the first rule that fits; allowed if none does.
pub(super) fn partly(nr: c_long, namespaces: bool) -> Vec<Rule> {
    let refuse = Fate::Refuse;
    let opening = |flags: u8| {
        vec![
            // An unnamed file leaves no trace in its folder; everybody falls back to a named one.
            when(flags, Test::Bits(O_TMPFILE), Fate::Answer(libc::EOPNOTSUPP)),
            // Past the page cache one could tell what is in it.
            when(flags, Test::Bits(libc::O_DIRECT as u32), Fate::Answer(libc::EINVAL)),
        ]
    };
    match nr {
        libc::SYS_openat => opening(2),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => opening(1),
        libc::SYS_fcntl => vec![
            when(1, Test::OneOf(WRITE_HINTS), Fate::Answer(libc::EINVAL)),
            when(1, Test::Is(libc::F_SETFL as u32), Fate::Answer(libc::EINVAL))
                .and(2, Test::Bits(libc::O_DIRECT as u32)),
        ],
        libc::SYS_ioctl => {
            // TIOCSTI and TIOCLINUX push characters into a terminal; the others set flags of files of the machine that
            // belong to the same user.
            const REQUESTS: &[u32] = &[libc::TIOCSTI as u32, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR];
            vec![when(1, Test::OneOf(REQUESTS), refuse)]
        }
        libc::SYS_madvise => vec![
            when(2, Test::OneOf(OWN_ADVICE), Fate::Allow),
            when(2, Test::OneOf(SHARED_ADVICE), Fate::Answer(0)),
            Rule::always(Fate::Answer(libc::EINVAL)),
        ],
        // RWF_NOWAIT and RWF_DONTCACHE read and set the page cache.
        libc::SYS_preadv2 | libc::SYS_pwritev2 => vec![when(5, Test::IsNot(0), refuse)],
        // A sibling of the program would be a child of the zygote.
        libc::SYS_clone => vec![when(0, Test::Bits(NEW_NAMESPACES | libc::CLONE_PARENT as u32), refuse)],
        libc::SYS_socketpair => {
            let mut rules = vec![when(0, Test::IsNot(libc::AF_UNIX as u32), refuse)];
            if !namespaces {
                // A datagram can be sent to any socket that has a path, and a raw pair is one of datagrams.
                const KINDS: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_SEQPACKET as u32];
                rules.push(when(1, Test::NoneOf(0xf, KINDS), refuse));
            }
            rules
        }
        // Only "this process" may be limited or given a priority, not one by number, group or user.
        libc::SYS_prlimit64 | libc::SYS_get_robust_list => vec![when(0, Test::IsNot(0), refuse)],
        // Process 1 is the cell's own; without a namespace every number may be anybody's.
        libc::SYS_sched_setaffinity
        | libc::SYS_sched_setscheduler
        | libc::SYS_sched_setparam
        | libc::SYS_sched_setattr => {
            vec![when(0, if namespaces { Test::Is(1) } else { Test::IsNot(0) }, refuse)]
        }
        libc::SYS_setpriority => vec![when(1, Test::IsNot(0), refuse), when(0, Test::Is(2), refuse)],
        libc::SYS_ioprio_set => vec![when(1, Test::IsNot(0), refuse), when(0, Test::Is(3), refuse)],
        // A filter of the program's own comes before this one: what it refuses is not seen here.
        libc::SYS_prctl => vec![
            when(0, Test::Is(libc::PR_SET_SECCOMP as u32), Fate::Tell),
            when(0, Test::Is(PR_SCHED_CORE), Fate::Answer(libc::EINVAL)),
        ],
        libc::SYS_seccomp => vec![when(0, Test::OneOf(&[0, 1]), Fate::Tell)],
        _ => Vec::new(),
    }
}
