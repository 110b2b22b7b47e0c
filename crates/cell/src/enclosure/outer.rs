//! The outer cell: namespaces and a tiny read-only root around one zygote.
//!
//! The process is cloned straight into its namespaces. As it is a clone of a program with
//! threads, everything it needs is prepared beforehand; between clone and exec it only makes
//! system calls, allocates nothing and takes no lock.

use crate::enclosure::filter;
use crate::enclosure::ground::{self, Ground};
use crate::enclosure::group::Group;
use crate::enclosure::plan::{self, Plan, hint};
use crate::enclosure::root::{self, Built};
use crate::enclosure::step::{Failed, Step, step, step_name};
use crate::types::Tier;
use crate::{CellError, sys};
use libc::{c_char, c_int, c_long};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

const NAMESPACES: c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The user a program sees itself as.
pub(crate) const INSIDE: u32 = 1000;
const SYS_ADMIN: u32 = 1 << 21;
/// For the loopback interface of new network namespaces.
const NET_ADMIN: u32 = 1 << 12;
/// For what covers the entries of a `/proc`, which programs cannot read where it lies.
const DAC_READ_SEARCH: u32 = 1 << 2;
/// What a zygote may do within its namespaces.
const ZYGOTE: u32 = SYS_ADMIN | NET_ADMIN | DAC_READ_SEARCH;

/// The child's descriptors as the interpreter finds them, beside the three standard ones.
const SOCKET: RawFd = 3;
const RULES: RawFd = 4;

/// A started zygote, not yet told what to preload.
pub(crate) struct Started {
    pub(crate) pid: libc::pid_t,
    pub(crate) pidfd: OwnedFd,
    pub(crate) ctl: OwnedFd,
    pub(crate) errors: OwnedFd,
    /// Tells of refused calls, where the kernel can.
    pub(crate) listener: Option<OwnedFd>,
    /// A mount of its root that can be written to, where it has a root of its own.
    pub(crate) root: Option<OwnedFd>,
    /// The number that lets the zygote through its filter.
    pub(crate) secret: u64,
    pub(crate) built: Built,
}

/// The filter in two forms: one that tells of what it refuses, and one for kernels that cannot.
struct Filters {
    telling: Vec<libc::sock_filter>,
    silent: Vec<libc::sock_filter>,
}

/// What of the machine the child's uid is mapped to.
pub(crate) struct Mapping {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) privileged: bool,
}

static SLOT: AtomicU32 = AtomicU32::new(0);

impl Mapping {
    pub(crate) fn new() -> Mapping {
        // SAFETY: these cannot fail and touch no memory.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        // Root of a namespace in which there is nobody else to become is an ordinary user to us.
        let alone = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
            let counts = map.lines().filter_map(|l| l.split_whitespace().nth(2)?.parse::<u64>().ok());
            counts.sum::<u64>() <= 1
        });
        if uid != 0 || alone {
            return Mapping { uid, gid, privileged: false };
        }
        let slot = SLOT.fetch_add(1, Ordering::Relaxed) % 64;
        let pick = |file: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let ranges = text.lines().filter_map(|l| {
                let n: Vec<u64> = l.split_whitespace().filter_map(|w| w.parse().ok()).collect();
                (n.len() == 3).then(|| (n[0], n[2]))
            });
            // An id nobody has: high up, and another one for every cell of every supervisor.
            let (start, count) = ranges.max_by_key(|r| r.1).unwrap_or((0, 1));
            let high = 2_000_000_000 + u64::from(std::process::id() % 1_000_000) * 64 + u64::from(slot);
            if start <= high && high < start + count {
                high as u32
            } else if count > 128 {
                (start + count - 1 - u64::from(slot)) as u32
            } else {
                0
            }
        };
        Mapping { uid: pick("/proc/self/uid_map"), gid: pick("/proc/self/gid_map"), privileged: true }
    }
}

fn no_namespaces(what: &str, err: &io::Error) -> CellError {
    CellError::NoNamespaces { what: format!("{what}: {err}"), hint: hint() }
}

/// What a zygote is started with.
pub(crate) struct Start<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) env: &'a [(String, String)],
    pub(crate) tier: Tier,
    pub(crate) map: Mapping,
    /// Where programs work, in the weaker tiers.
    pub(crate) ground: Option<&'a Ground>,
    pub(crate) watch: bool,
    pub(crate) group: Option<&'a Group>,
}

/// All that the child needs, prepared so that it need not allocate.
struct Orders<'a> {
    plan: &'a Plan,
    tier: Tier,
    filters: Filters,
    map: &'a Mapping,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    sock: RawFd,
    errors: RawFd,
    /// Landlock's rules, and the one about signals that each program takes.
    rules: RawFd,
    scope: RawFd,
}

/// Clones the zygote's process, into new namespaces where the tier has them, and starts the interpreter there.
pub(crate) fn start(start: &Start<'_>) -> Result<Started, CellError> {
    let namespaces = start.tier == Tier::Namespaces;
    let secret = sys::random().map_err(|e| CellError::machine("getrandom", &e))? | 1;
    let signals = namespaces || start.map.privileged || ground::scopes_signals();
    let kind = filter::Kind {
        secret: if namespaces { secret } else { 0 },
        notify: true,
        watch: start.watch,
        namespaces,
        signals,
    };
    let filters =
        Filters { telling: filter::outer(kind), silent: filter::outer(filter::Kind { notify: false, ..kind }) };
    let (ctl, theirs) = sys::socket_pair().map_err(|e| CellError::machine("socketpair", &e))?;
    let errors = sys::memfd(true).map_err(|e| CellError::machine("memfd_create", &e))?;
    let variables = plan::variables(start.env)?;
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let rules = match start.ground {
        Some(ground) if start.tier == Tier::Landlock => Some(ground.rules(start.plan)?),
        _ => None,
    };
    let scope = if start.tier == Tier::Landlock { ground::scope()? } else { None };
    let orders = Orders {
        plan: start.plan,
        tier: start.tier,
        filters,
        map: &start.map,
        argv: pointers(&start.plan.argv),
        envp: pointers(&variables),
        sock: theirs.as_raw_fd(),
        errors: errors.as_raw_fd(),
        rules: rules.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        scope: scope.as_ref().map_or(-1, AsRawFd::as_raw_fd),
    };
    // Room for the sources opened in the child.
    let mut opened: Vec<RawFd> = vec![-1; start.plan.binds.len()];
    let flags = (if namespaces { NAMESPACES } else { 0 } | libc::SIGCHLD) as c_long;
    // SAFETY: without CLONE_VM the child has its own copy of memory, and no stack is given, so it
    // goes on here like after fork. `child` keeps to system calls and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid == 0 {
        child(&orders, &mut opened);
    }
    let pid = sys::check(pid).map_err(|e| no_namespaces("creating namespaces failed", &e))? as libc::pid_t;
    drop(theirs);
    let fail = |e: CellError| {
        // SAFETY: our own child, not yet reaped.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        sys::reap(pid);
        Err(e)
    };
    if namespaces && let Err(e) = write_maps(pid, orders.map) {
        return fail(no_namespaces("writing the user map failed", &e));
    }
    let pidfd = match sys::pidfd_open(pid) {
        Ok(fd) => fd,
        Err(e) => return fail(no_namespaces("pidfd_open failed", &e)),
    };
    if let Some(group) = start.group {
        group.add(pid);
    }
    if let Err(e) = sys::send(&ctl, b"G", &[]) {
        return fail(CellError::machine("telling a new cell to go on", &e));
    }
    // The child answers once when it is about to execute the interpreter.
    let mut buf = [0u8; 16];
    match sys::receive(&ctl, &mut buf) {
        Ok((8, mut fds)) => {
            let n = |i: usize| i32::from_ne_bytes([buf[i], buf[i + 1], buf[i + 2], buf[i + 3]]);
            if n(0) == 0 {
                let built = Built::from_number(n(4));
                // The root comes first, the listener after it; each may be missing.
                let root = (namespaces && !fds.is_empty()).then(|| fds.remove(0));
                let listener = fds.pop();
                return Ok(Started { pid, pidfd, ctl, errors, listener, root, secret, built });
            }
            let err = io::Error::from_raw_os_error(n(4));
            let (step, name) = step_name(n(0), start.plan);
            let what = format!("{name} failed");
            fail(match (namespaces, step) {
                (true, _) => no_namespaces(&what, &err),
                (false, Some(Step::StartInterpreter)) => CellError::NoPython {
                    what: format!("the user that programs run as cannot reach {:?} ({err})", start.plan.argv[0]),
                },
                (false, _) => CellError::Machine(format!("{what}: {err}")),
            })
        }
        Ok(_) => fail(CellError::Machine("a new cell died while being set up".to_owned())),
        Err(e) => fail(CellError::machine("waiting for a new cell", &e)),
    }
}

fn write_maps(pid: libc::pid_t, map: &Mapping) -> io::Result<()> {
    let file = |name: &str| format!("/proc/{pid}/{name}");
    if !map.privileged {
        std::fs::write(file("setgroups"), "deny")?;
    }
    std::fs::write(file("uid_map"), format!("{INSIDE} {} 1", map.uid))?;
    std::fs::write(file("gid_map"), format!("{INSIDE} {} 1", map.gid))
}

/// Closes all descriptors but the standard ones and these. What the supervisor has open besides is nobody's in a cell:
/// its locks on files would outlive it, and its ends of other cells' sockets would keep those waiting for it.
///
/// # Safety
/// Only for the freshly cloned child.
unsafe fn close_others(mut keep: [RawFd; 4]) {
    keep.sort_unstable();
    let mut next = 3u32;
    for fd in keep.into_iter().filter_map(|fd| u32::try_from(fd).ok()) {
        if fd > next {
            // SAFETY: a plain system call.
            unsafe { libc::syscall(libc::SYS_close_range, next, fd - 1, 0u32) };
        }
        next = next.max(fd + 1);
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, next, u32::MAX, 0u32) };
}

/// Runs in the child; see the head of this file for what it may do.
fn child(orders: &Orders<'_>, opened: &mut [RawFd]) -> ! {
    // SAFETY: only system calls on memory prepared by the parent, of which this process has its
    // own copy; every pointer is to a NUL-terminated string or a value alive in this frame.
    unsafe {
        close_others([orders.sock, orders.errors, orders.rules, orders.scope]);
        let mut byte = 0u8;
        if libc::recv(orders.sock, (&raw mut byte).cast(), 1, 0) != 1 {
            libc::_exit(1);
        }
        let failed = match steps(orders, opened) {
            Ok((listener, built)) => {
                report(SOCKET, 0, built.number(), [built.tree.unwrap_or(-1), listener]);
                libc::execve(orders.argv[0], orders.argv.as_ptr(), orders.envp.as_ptr());
                libc::_exit(2)
            }
            Err(failed) => failed,
        };
        let to = if failed.step.is_late() { SOCKET } else { orders.sock };
        report(to, failed.number(), io::Error::last_os_error().raw_os_error().unwrap_or(0), [-1; 2]);
        libc::_exit(1)
    }
}

/// Becomes a user for good.
///
/// # Safety
/// Only for the freshly cloned child.
pub(crate) unsafe fn become_user(privileged: bool, uid: u32, gid: u32) -> Result<(), Failed> {
    // SAFETY: plain system calls; libc's versions would look for the threads of the parent.
    unsafe {
        if privileged {
            step(Step::ChangeUser, libc::syscall(libc::SYS_setgroups, 0, 0))?;
        }
        step(Step::ChangeUser, libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        step(Step::ChangeUser, libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
        libc::umask(0o022);
    }
    Ok(())
}

/// Sends two numbers, and the descriptors there are.
unsafe fn report(sock: RawFd, step: i32, number: i32, fds: [RawFd; 2]) {
    let mut message = [step, number];
    let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: 8 };
    let mut control = [0u64; 4];
    let mut sent = [-1; 2];
    let mut count = 0;
    for fd in fds {
        if fd >= 0 {
            sent[count] = fd;
            count += 1;
        }
    }
    let bytes = 4 * count as u32;
    // SAFETY: all that is pointed to lives in this frame; the control buffer has room for two descriptors.
    unsafe {
        let mut whole: libc::msghdr = std::mem::zeroed();
        whole.msg_iov = &raw mut part;
        whole.msg_iovlen = 1;
        if count > 0 {
            whole.msg_control = control.as_mut_ptr().cast();
            whole.msg_controllen = libc::CMSG_SPACE(bytes) as usize;
            let head = libc::CMSG_FIRSTHDR(&raw const whole);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(bytes) as usize;
            std::ptr::copy_nonoverlapping(sent.as_ptr().cast::<u8>(), libc::CMSG_DATA(head), bytes as usize);
        }
        libc::sendmsg(sock, &raw const whole, libc::MSG_NOSIGNAL);
        for fd in &sent[..count] {
            libc::close(*fd);
        }
    }
}

/// The set-up of the child: the listener of its filter, and what could be had.
///
/// # Safety
/// Only for the freshly cloned child.
unsafe fn steps(orders: &Orders<'_>, opened: &mut [RawFd]) -> Result<(RawFd, Built), Failed> {
    // SAFETY: as for `child`.
    unsafe {
        let mut built = if orders.tier == Tier::Namespaces {
            root::build(orders.plan, orders.map.privileged, opened)?
        } else {
            if orders.map.privileged {
                become_user(true, orders.map.uid, orders.map.gid)?;
            }
            libc::umask(0o022);
            // Without a namespace to end, orphans come to the zygote.
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            Built::default()
        };
        // Descriptors: 0 and 1 are /dev/null, 2 is the error file, 3 the socket, and no other.
        let null =
            step(Step::ArrangeDescriptors, libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC).into())?
                as RawFd;
        let mut high = [null, null, orders.errors, orders.sock, orders.rules, orders.scope];
        let count = high.iter().position(|fd| *fd < 0).unwrap_or(high.len());
        for fd in &mut high[..count] {
            *fd = step(Step::ArrangeDescriptors, libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, 64).into())? as RawFd;
        }
        if let Some(tree) = &mut built.tree {
            *tree = step(Step::ArrangeDescriptors, libc::fcntl(*tree, libc::F_DUPFD_CLOEXEC, 64).into())? as RawFd;
        }
        for (to, from) in high[..count].iter().enumerate() {
            step(Step::ArrangeDescriptors, libc::dup2(*from, to as c_int).into())?;
        }
        if let Some(tree) = built.tree {
            let (below, above) = (tree as u32 - 1, tree as u32 + 1);
            step(Step::ArrangeDescriptors, libc::syscall(libc::SYS_close_range, above, u32::MAX, 0u32))?;
            step(Step::ArrangeDescriptors, libc::syscall(libc::SYS_close_range, count as u32, below, 0u32))?;
        } else {
            step(Step::ArrangeDescriptors, libc::syscall(libc::SYS_close_range, count as u32, u32::MAX, 0u32))?;
        }
        let files = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
        step(Step::ArrangeDescriptors, libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files).into())?;
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
        libc::syscall(libc::SYS_setsid);
        // Same addresses, so the same id(), in every run.
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
        privileges(if orders.tier == Tier::Namespaces { ZYGOTE } else { 0 })?;
        if orders.rules >= 0 {
            step(Step::RestrictFiles, libc::syscall(libc::SYS_landlock_restrict_self, RULES, 0))?;
            libc::close(RULES);
        }
        step(Step::StartInterpreter, libc::access(orders.argv[0], libc::X_OK).into())?;
        if orders.tier == Tier::None {
            return Ok((-1, built));
        }
        let program = |f: &[libc::sock_filter]| libc::sock_fprog { len: f.len() as u16, filter: f.as_ptr().cast_mut() };
        let telling = program(&orders.filters.telling);
        let flag = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let listener = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flag, &raw const telling);
        if listener < 0 {
            let silent = program(&orders.filters.silent);
            step(
                Step::InstallFilter,
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const silent).into(),
            )?;
        }
        Ok((listener as RawFd, built))
    }
}

/// Leaves the zygote these capabilities (in its own user namespace, or none), and no way to gain more.
///
/// # Safety
/// Only for the freshly cloned child.
unsafe fn privileges(keep: u32) -> Result<(), Failed> {
    let header: [u32; 2] = [0x2008_0522, 0];
    // SAFETY: capset reads a header of two and data of six words; prctl takes plain numbers.
    unsafe {
        let capset = |data: &[u32; 6]| libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr());
        let mut now = [0u32; 6];
        step(Step::DropPrivileges, libc::syscall(libc::SYS_capget, header.as_ptr(), now.as_mut_ptr()))?;
        now[2] = keep;
        now[5] = 0;
        step(Step::DropPrivileges, capset(&now))?;
        if keep != 0 {
            for cap in (0..32).filter(|cap| keep & 1 << cap != 0) {
                let raised = libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, cap, 0, 0);
                step(Step::DropPrivileges, raised.into())?;
            }
            // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked.
            step(Step::DropPrivileges, libc::prctl(libc::PR_SET_SECUREBITS, 0b1100_1111, 0, 0, 0).into())?;
        }
        for cap in 0..64 {
            libc::prctl(libc::PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
        step(Step::DropPrivileges, capset(&[keep, keep, keep, 0, 0, 0]))?;
        step(Step::DropPrivileges, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
    }
    Ok(())
}
