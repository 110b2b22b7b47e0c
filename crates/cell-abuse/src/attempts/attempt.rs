//! One attempt as it stands in a file.

use super::expect::Seen;
use super::table::{Outcome, Row};
use loophole_cell::{Limits, Program};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The files in the order in which the table shows them.
pub const FILES: &[(&str, &str)] = &[
    ("processes", include_str!("../../data/processes.toml")),
    ("kernel", include_str!("../../data/kernel.toml")),
    ("network", include_str!("../../data/network.toml")),
    ("proc", include_str!("../../data/proc.toml")),
    ("files", include_str!("../../data/files.toml")),
    ("watch", include_str!("../../data/watch.toml")),
    ("collection", include_str!("../../data/collection.toml")),
    ("resources", include_str!("../../data/resources.toml")),
    ("forging", include_str!("../../data/forging.toml")),
    ("persistence", include_str!("../../data/persistence.toml")),
    ("sessions", include_str!("../../data/sessions.toml")),
    ("pages", include_str!("../../data/pages.toml")),
    ("inodes", include_str!("../../data/inodes.toml")),
    ("kept", include_str!("../../data/kept.toml")),
    ("counting", include_str!("../../data/counting.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    attempt: Vec<Attempt>,
}

/// Something a hostile program tries. Exactly one of `python`, `bash`, `session`, `store` and `tell` says how.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Title of the file.
    #[serde(skip)]
    pub group: String,
    /// Unlike all others.
    pub name: String,
    /// What is tried, in words.
    pub tries: String,
    /// A program in Python, after `prelude.py`.
    python: Option<String>,
    /// A script for bash.
    bash: Option<String>,
    /// Commands of a session, one after the other.
    pub session: Option<Vec<String>>,
    /// A program in Python that leaves random bits where it can,
    pub store: Option<String>,
    /// and one that prints what it can read of them after it (see `memory`).
    pub recall: Option<String>,
    /// Run before the store where the recall would run; what it prints is given to both.
    pub mark: Option<String>,
    /// How many bits a store can leave.
    #[serde(default = "word")]
    pub bits: u32,
    /// A program in Python that prints numbers, a name and a value a line, none of which may follow the number of the
    /// run.
    pub tell: Option<String>,
    /// A program in Python that must print the same before the attempt and after it, in the same cell.
    pub then: Option<String>,
    /// A program in Python that runs at the same time in another cell.
    pub beside: Option<String>,
    /// Standard input.
    #[serde(default)]
    stdin: String,
    /// Files given.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Files whose content is wanted.
    #[serde(default)]
    read_back: Vec<String>,
    /// Files given whose opening is to be told.
    #[serde(default)]
    watch: Vec<String>,
    /// Whether a session has a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// Whether the program has a `/proc`.
    #[serde(default)]
    pub proc: bool,
    /// Without isolation it gets through: the expectation can fail.
    #[serde(default)]
    pub open: bool,
    #[serde(default)]
    limits: Numbers,
    /// Without these it cannot be run; see [`Attempt::lacks`].
    #[serde(default)]
    needs: Vec<String>,
    /// The tiers it must hold in; all, unless told otherwise.
    #[serde(default)]
    tiers: Vec<String>,
    /// Why not in the others.
    #[serde(default)]
    elsewhere: String,
    /// Why it gets through all the same, where that is known and accepted; said in the table.
    possible: Option<String>,
    /// Where, as `TIER` or `TIER, USER`; everywhere, unless told otherwise.
    #[serde(default)]
    possible_in: Vec<String>,
    /// Why it gets through until it is mended, wherever it does.
    gap: Option<String>,
    /// What must be seen from outside,
    #[serde(default)]
    pub seen: Seen,
    /// and where less can be promised: in the tier without namespaces.
    landlock: Option<Seen>,
}

fn word() -> u32 {
    32
}

/// Limits that differ from those of most attempts.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
struct Numbers {
    cpu: Option<f64>,
    wall: Option<f64>,
    memory_mib: Option<u64>,
    processes: Option<u32>,
    file_kib: Option<u64>,
    output_kib: Option<u64>,
}

/// All attempts, checked for what the format cannot say.
pub fn all() -> Vec<Attempt> {
    let mut out = Vec::new();
    for (name, text) in FILES {
        let file: File = toml::from_str(text).unwrap_or_else(|e| panic!("{name}.toml: {e}"));
        for mut attempt in file.attempt {
            let ways = [&attempt.python, &attempt.bash, &attempt.store, &attempt.tell].map(Option::is_some);
            let what = format!("{name}.toml: {:?}", attempt.name);
            let ways = ways.iter().filter(|w| **w).count() + usize::from(attempt.session.is_some());
            assert_eq!(ways, 1, "{what}: one of python, bash, session, store, tell");
            assert_eq!(attempt.store.is_some(), attempt.recall.is_some(), "{what}: store goes with recall");
            assert_eq!(attempt.tiers.is_empty(), attempt.elsewhere.is_empty(), "{what}: tiers go with `elsewhere`");
            assert!(out.iter().all(|a: &Attempt| a.name != attempt.name), "{what} is there twice");
            if !attempt.remembers() {
                attempt.seen.check(&what);
            }
            attempt.landlock.iter().for_each(|seen| seen.check(&what));
            attempt.group.clone_from(&file.title);
            out.push(attempt);
        }
    }
    out
}

impl Attempt {
    /// Whether it is about state that outlives a program.
    pub fn remembers(&self) -> bool {
        self.store.is_some() || self.tell.is_some()
    }

    /// Why it gets through in a tier as a user, where that is known and accepted.
    pub fn possible(&self, tier: &str, user: &str) -> Option<&String> {
        let here = |place: &String| *place == tier || *place == format!("{tier}, {user}");
        let accepted =
            self.possible.as_ref().filter(|_| self.possible_in.is_empty() || self.possible_in.iter().any(here));
        accepted.or(self.gap.as_ref())
    }

    /// Why it cannot be run here, if so; `bounds` is what the pool says of its cells.
    pub fn lacks(&self, tier: &str, bounds: &[String]) -> Option<String> {
        if !self.tiers.is_empty() && !self.tiers.iter().any(|t| t == tier) {
            return Some(self.elsewhere.clone());
        }
        self.needs.iter().find_map(|need| match need.as_str() {
            "x86_64" => (!cfg!(target_arch = "x86_64")).then(|| "machine code of x86-64".to_owned()),
            "a memory group" => (!bounds.iter().any(|b| b.contains("memory")))
                .then(|| "nothing bounds the memory of all processes together: no control group can be had".to_owned()),
            program if program.starts_with('/') => {
                (!std::path::Path::new(program).exists()).then(|| format!("{program} is not installed"))
            }
            other => panic!("{:?} needs {other:?}, which is not known", self.name),
        })
    }

    /// What must be seen in a tier.
    pub fn seen(&self, tier: &str) -> &Seen {
        self.landlock.as_ref().filter(|_| tier == "landlock").unwrap_or(&self.seen)
    }

    /// The limits of the program, or of the session.
    pub fn limits(&self) -> Limits {
        let n = &self.limits;
        let d = Limits::default();
        Limits {
            cpu_seconds: n.cpu.unwrap_or(1.0),
            wall_seconds: n.wall.unwrap_or(20.0),
            memory_bytes: n.memory_mib.map_or(d.memory_bytes, |m| m << 20),
            processes: n.processes.unwrap_or(24),
            file_bytes: n.file_kib.map_or(4 << 20, |k| k << 10),
            output_bytes: n.output_kib.map_or(256 << 10, |k| k << 10),
        }
    }

    /// The program, its placeholders filled in.
    pub fn program(&self, fill: &dyn Fn(&str) -> String) -> Program {
        let mut program = match (&self.python, &self.bash) {
            (Some(source), _) => python(source, fill),
            (_, script) => {
                Program::command(["bash".to_owned(), "-c".to_owned(), fill(script.as_deref().unwrap_or(""))])
            }
        };
        for (path, content) in &self.files {
            program = program.file(path, content.as_bytes());
        }
        program.stdin = self.stdin.clone().into_bytes();
        program.read_back.clone_from(&self.read_back);
        program.watch.clone_from(&self.watch);
        program.limits = self.limits();
        program.proc = self.proc;
        program
    }

    /// A row of the table.
    pub fn row(&self, tier: &str, user: &str, outcome: Outcome) -> Row {
        Row {
            group: self.group.clone(),
            name: self.name.clone(),
            tier: tier.to_owned(),
            user: user.to_owned(),
            outcome,
            seconds: 0.0,
            at_first: None,
            measured: None,
        }
    }
}

/// A program in Python with the prelude before it, on line 1 all the same.
pub fn python(source: &str, fill: &dyn Fn(&str) -> String) -> Program {
    python_with("", source, fill)
}

/// The same with more before it.
pub fn python_with(head: &str, source: &str, fill: &dyn Fn(&str) -> String) -> Program {
    let prelude = include_str!("../../data/prelude.py").replace("{{NUMBERS}}", &numbers());
    Program::python(format!("{prelude}{head}{}", fill(source)))
}

/// The numbers of the system calls that attempts name, as a dictionary of Python's.
fn numbers() -> String {
    macro_rules! table {
        ($($name:ident)*) => {
            [$((stringify!($name), libc::$name)),*]
        };
    }
    let mut table = table! {
        SYS_accept4 SYS_acct SYS_add_key SYS_adjtimex SYS_bind SYS_bpf SYS_capget SYS_capset SYS_chroot
        SYS_clock_adjtime SYS_clock_settime SYS_clone SYS_clone3 SYS_connect SYS_delete_module SYS_execveat
        SYS_fanotify_init SYS_fanotify_mark SYS_finit_module SYS_flock SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick
        SYS_get_robust_list SYS_getdents64 SYS_getpid SYS_init_module SYS_inotify_add_watch SYS_inotify_init1
        SYS_io_setup SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioprio_get SYS_ioprio_set SYS_kcmp
        SYS_kexec_load SYS_keyctl SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_linkat SYS_listen
        SYS_lookup_dcookie SYS_mbind SYS_memfd_create SYS_memfd_secret SYS_migrate_pages SYS_mincore SYS_mknodat
        SYS_mlock SYS_mlockall SYS_mount SYS_mount_setattr SYS_move_mount SYS_move_pages SYS_mq_open SYS_msgget
        SYS_name_to_handle_at SYS_nfsservctl SYS_open_by_handle_at SYS_open_tree SYS_openat SYS_openat2
        SYS_perf_event_open SYS_personality SYS_pidfd_getfd SYS_pidfd_open SYS_pidfd_send_signal SYS_pivot_root
        SYS_prctl SYS_process_madvise SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev
        SYS_ptrace SYS_quotactl SYS_reboot SYS_renameat2 SYS_request_key SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo
        SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler SYS_seccomp SYS_semget
        SYS_sendto SYS_set_mempolicy SYS_setdomainname SYS_setgroups SYS_sethostname SYS_setns SYS_setpriority
        SYS_setresgid SYS_setresuid SYS_settimeofday SYS_shmat SYS_shmget SYS_socket SYS_socketpair SYS_splice
        SYS_swapoff SYS_swapon SYS_sync SYS_syslog SYS_tgkill SYS_timer_create SYS_tkill SYS_umount2 SYS_unshare
        SYS_userfaultfd SYS_utimensat SYS_vhangup SYS_vmsplice
        SYS_readahead SYS_fadvise64 SYS_madvise SYS_preadv2 SYS_statx SYS_sysinfo SYS_times SYS_getcpu SYS_gettid
        SYS_copy_file_range SYS_sendfile SYS_statfs SYS_ioctl SYS_fcntl SYS_futex SYS_set_robust_list SYS_getrusage
        SYS_timer_delete SYS_msgsnd SYS_msgrcv SYS_semctl SYS_semop SYS_shmctl SYS_mq_unlink SYS_membarrier
        SYS_getrandom SYS_prlimit64 SYS_munlock SYS_pread64
    }
    .to_vec();
    #[cfg(target_arch = "x86_64")]
    table.extend(table! {
        SYS__sysctl SYS_arch_prctl SYS_fork SYS_ioperm SYS_iopl SYS_kexec_file_load SYS_modify_ldt SYS_uselib SYS_ustat
        SYS_sysfs SYS_utime
    });
    // Newer than the constants; the same number everywhere.
    table.extend([
        ("SYS_quotactl_fd", 443),
        ("SYS_cachestat", 451),
        ("SYS_statmount", 457),
        ("SYS_listmount", 458),
        ("SYS_lsm_set_self_attr", 460),
        ("SYS_open_tree_attr", 467),
        ("SYS_file_setattr", 469),
    ]);
    let all: Vec<String> = table.iter().map(|(n, v)| format!("'{}': {v}", &n[4..])).collect();
    format!("{{{}}}", all.join(", "))
}
