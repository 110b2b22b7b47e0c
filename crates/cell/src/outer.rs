//! The outer cell: namespaces and a tiny read-only root around one zygote.
//!
//! The process is cloned straight into its namespaces. As it is a clone of a program with
//! threads, everything it needs is prepared beforehand; between clone and exec it only makes
//! system calls, allocates nothing and takes no lock.

use crate::group::Group;
use crate::python::Python;
use crate::types::PoolOptions;
use crate::{CellError, filter, sys};
use libc::{c_char, c_int, c_long};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const NAMESPACES: c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The user a program sees itself as.
const INSIDE: u32 = 1000;
const SYS_ADMIN: u32 = 1 << 21;

/// Where the interpreter finds `inside/lib.rs`.
pub(crate) const LIBRARY: &str = "/etc/inside.so";
const INSIDE_SO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inside.so"));

struct Bind {
    source: CString,
    target: CString,
    device: bool,
    optional: bool,
}

/// All that the child needs, as C strings with stable addresses.
pub(crate) struct Plan {
    folders: Vec<CString>,
    links: Vec<(CString, CString)>,
    files: Vec<(CString, Vec<u8>)>,
    binds: Vec<Bind>,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

fn c(path: impl AsRef<OsStr>) -> Result<CString, CellError> {
    CString::new(path.as_ref().as_bytes())
        .map_err(|_| CellError::Machine(format!("NUL byte in {}", path.as_ref().display())))
}

/// Environment of every program.
pub(crate) fn environment(python: &Python) -> Vec<(String, String)> {
    let mut path: Vec<String> = Vec::new();
    for bin in python.bins.iter().map(|b| b.display().to_string()) {
        if !path.contains(&bin) && bin != "/usr/bin" && bin != "/bin" {
            path.push(bin);
        }
    }
    path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
    [
        ("PATH", path.join(":").as_str()),
        ("HOME", "/box"),
        ("USER", "cell"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("MALLOC_ARENA_MAX", "1"),
        ("OMP_NUM_THREADS", "1"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec()
}

impl Plan {
    pub(crate) fn new(python: &Python, options: &PoolOptions) -> Result<Plan, CellError> {
        let mut plan = Plan {
            folders: Vec::new(),
            links: Vec::new(),
            files: vec![
                (c("etc/passwd")?, b"root:x:0:0::/:/bin/false\ncell:x:1000:1000::/box:/bin/bash\n".to_vec()),
                (c("etc/group")?, b"root:x:0:\ncell:x:1000:\n".to_vec()),
                (c("etc/hostname")?, b"cell\n".to_vec()),
                (c(&LIBRARY[1..])?, INSIDE_SO.to_vec()),
            ],
            binds: Vec::new(),
            argv: Vec::new(),
            envp: Vec::new(),
        };
        for folder in ["box", "tmp", "dev", "etc", "usr"] {
            plan.folder(Path::new(folder))?;
        }
        plan.bind(Path::new("/usr"), false)?;
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let path = Path::new("/").join(name);
            match std::fs::symlink_metadata(&path) {
                Ok(m) if m.is_symlink() => {
                    let to = std::fs::read_link(&path).map_err(|e| CellError::machine("reading a link of /", &e))?;
                    plan.links.push((c(to)?, c(name)?));
                }
                Ok(m) if m.is_dir() => plan.bind(&path, false)?,
                _ => {}
            }
        }
        for extra in ["/nix/store", "/gnu/store", "/etc/alternatives"] {
            if Path::new(extra).is_dir() {
                plan.bind(Path::new(extra), true)?;
            }
        }
        for folder in &python.folders {
            plan.bind(folder, false)?;
        }
        for file in ["/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
            if Path::new(file).exists() {
                plan.files.push((c(&file[1..])?, Vec::new()));
                plan.binds.push(Bind {
                    source: c(file)?,
                    target: c(&file[1..])?,
                    device: file.starts_with("/dev/"),
                    optional: false,
                });
            }
        }
        for runtime in &options.runtimes {
            plan.runtime(runtime)?;
        }
        plan.links.push((c("/tmp")?, c("dev/shm")?));
        for name in &options.roots {
            let taken = |path: &CString| path.as_bytes() == name.as_bytes();
            let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
            if !plain || name == "proc" || plan.folders.iter().chain(plan.links.iter().map(|(_, n)| n)).any(taken) {
                return Err(CellError::BadProgram(format!("a cell cannot have a `/{name}` of its own")));
            }
            plan.links.push((c(format!("/box/{name}"))?, c(name)?));
        }
        plan.argv.push(c(&python.executable)?);
        plan.argv.extend([c("-s")?, c("-S")?, c("-X")?, c("utf8")?]);
        if python.version >= (3, 11, 0) {
            plan.argv.push(c("-P")?);
        }
        plan.argv.extend([c("-c")?, c(include_str!("zygote.py"))?]);
        // Symbols are bound once, not anew in every fork; the zygote forgets the variable.
        plan.envp.push(c("LD_BIND_NOW=1")?);
        for (k, v) in environment(python) {
            plan.envp.push(c(format!("{k}={v}"))?);
        }
        Ok(plan)
    }

    fn folder(&mut self, relative: &Path) -> Result<(), CellError> {
        let mut so_far = PathBuf::new();
        for part in relative.components() {
            so_far.push(part);
            let folder = c(&so_far)?;
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        Ok(())
    }

    /// Shows one program of the machine at the place where it is there.
    fn runtime(&mut self, program: &Path) -> Result<(), CellError> {
        let real = program
            .canonicalize()
            .map_err(|e| CellError::BadProgram(format!("the runtime {} is not there: {e}", program.display())))?;
        let there = ["/usr", "/bin", "/sbin", "/lib", "/lib64"].iter().any(|f| program.starts_with(f));
        let hidden = ["/tmp", "/box", "/dev", "/proc", "/sys", "/etc"].iter().find(|f| program.starts_with(f));
        if let Some(folder) = hidden {
            return Err(CellError::BadProgram(format!(
                "the runtime {} is in {folder}, of which cells have their own; copy it elsewhere",
                program.display()
            )));
        }
        let relative = program.strip_prefix("/").unwrap_or(program);
        if !there && let Some(folder) = relative.parent() {
            self.folder(folder)?;
            self.files.push((c(relative)?, Vec::new()));
            self.binds.push(Bind { source: c(&real)?, target: c(relative)?, device: false, optional: false });
        }
        Ok(())
    }

    fn bind(&mut self, folder: &Path, optional: bool) -> Result<(), CellError> {
        let relative = folder
            .strip_prefix("/")
            .map_err(|_| CellError::Machine(format!("{} is not an absolute path", folder.display())))?;
        self.folder(relative)?;
        self.binds.push(Bind { source: c(folder)?, target: c(relative)?, device: false, optional });
        Ok(())
    }
}

/// A started zygote, not yet told what to preload.
pub(crate) struct Started {
    pub(crate) pid: libc::pid_t,
    pub(crate) pidfd: OwnedFd,
    pub(crate) ctl: OwnedFd,
    pub(crate) errors: OwnedFd,
    /// Tells of refused calls, where the kernel can.
    pub(crate) listener: Option<OwnedFd>,
    /// The number that lets the zygote through its filter.
    pub(crate) secret: u64,
    /// Whether user namespaces are forbidden in the cell by a limit of zero.
    pub(crate) no_user_namespaces: bool,
}

/// The filter in two forms: one that tells of what it refuses, and one for kernels that cannot.
struct Filters {
    telling: Vec<libc::sock_filter>,
    silent: Vec<libc::sock_filter>,
}

/// What of the machine the child's uid is mapped to.
struct Mapping {
    uid: u32,
    gid: u32,
    privileged: bool,
}

static SLOT: AtomicU32 = AtomicU32::new(0);

fn mapping() -> Mapping {
    // SAFETY: these cannot fail and touch no memory.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    if uid != 0 {
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

fn no_namespaces(what: &str, err: &io::Error) -> CellError {
    CellError::NoNamespaces { what: format!("{what}: {err}"), hint: hint() }
}

/// What to do on a machine that refuses namespaces, as far as it can be seen from here.
pub(crate) fn hint() -> String {
    let read = |p: &str| std::fs::read_to_string(p).map(|s| s.trim().to_owned()).ok();
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "AppArmor restricts user namespaces here: run \
                `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run as root"
            .to_owned();
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "Run `sudo sysctl kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "Run `sudo sysctl user.max_user_namespaces=15000`".to_owned();
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        return "This is a container: start it with `--security-opt seccomp=unconfined \
                --security-opt apparmor=unconfined --security-opt systempaths=unconfined`"
            .to_owned();
    }
    "Linux 5.12 or newer with user namespaces is needed".to_owned()
}

/// Clones the zygote's process into new namespaces and starts the interpreter there.
pub(crate) fn start(plan: &Plan, watch: bool, group: Option<&Group>) -> Result<Started, CellError> {
    let secret = sys::random().map_err(|e| CellError::machine("getrandom", &e))? | 1;
    let filter = |notify| filter::outer(filter::Kind { secret, notify, watch, namespaces: true });
    let filters = Filters { telling: filter(true), silent: filter(false) };
    let (ctl, theirs) = sys::socket_pair().map_err(|e| CellError::machine("socketpair", &e))?;
    let errors = sys::memfd(true).map_err(|e| CellError::machine("memfd_create", &e))?;
    let map = mapping();
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&plan.argv), pointers(&plan.envp));
    // Room for the sources opened in the child, which must not allocate.
    let mut opened: Vec<RawFd> = vec![-1; plan.binds.len()];
    let flags = (NAMESPACES | libc::SIGCHLD) as c_long;
    // SAFETY: without CLONE_VM the child has its own copy of memory, and no stack is given, so it
    // goes on here like after fork. `child` keeps to system calls and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid == 0 {
        let fds = [theirs.as_raw_fd(), ctl.as_raw_fd(), errors.as_raw_fd()];
        child(plan, &filters, fds, &map, &mut opened, &argv, &envp);
    }
    let pid = sys::check(pid).map_err(|e| no_namespaces("creating namespaces failed", &e))? as libc::pid_t;
    drop(theirs);
    let fail = |e: CellError| {
        // SAFETY: our own child, not yet reaped.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        sys::reap(pid);
        Err(e)
    };
    if let Err(e) = write_maps(pid, &map) {
        return fail(no_namespaces("writing the user map failed", &e));
    }
    let pidfd = match sys::pidfd_open(pid) {
        Ok(fd) => fd,
        Err(e) => return fail(no_namespaces("pidfd_open failed", &e)),
    };
    if let Some(group) = group {
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
                let (listener, no_user_namespaces) = (fds.pop(), n(4) != 0);
                return Ok(Started { pid, pidfd, ctl, errors, listener, secret, no_user_namespaces });
            }
            let err = io::Error::from_raw_os_error(n(4));
            fail(no_namespaces(&format!("{} failed", step_name(n(0), plan)), &err))
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

const STEPS: [&str; 14] = [
    "",
    "opening",
    "changing the user",
    "making mounts private",
    "mounting the root",
    "making a folder",
    "making a file",
    "placing",
    "pivot_root",
    "making the root read-only",
    "dropping privileges",
    "installing the seccomp filter",
    "starting the interpreter",
    "arranging descriptors",
];

fn step_name(step: i32, plan: &Plan) -> String {
    let name = STEPS.get((step & 0xff) as usize).copied().unwrap_or("set-up");
    let of = plan.binds.get((step >> 8) as usize).map(|b| b.source.to_string_lossy());
    match (step & 0xff, of) {
        (1 | 7, Some(path)) => format!("{name} {path}"),
        _ => name.to_owned(),
    }
}

/// Runs in the child; see the head of this file for what it may do.
fn child(
    plan: &Plan,
    filters: &Filters,
    [sock, parents, errors]: [RawFd; 3],
    map: &Mapping,
    opened: &mut [RawFd],
    argv: &[*const c_char],
    envp: &[*const c_char],
) -> ! {
    // SAFETY: only system calls on memory prepared by the parent, of which this process has its
    // own copy; every pointer is to a NUL-terminated string or a value alive in this frame.
    unsafe {
        libc::close(parents);
        let mut byte = 0u8;
        if libc::recv(sock, (&raw mut byte).cast(), 1, 0) != 1 {
            libc::_exit(1);
        }
        let step = match steps(plan, filters, sock, errors, map, opened) {
            Ok((listener, limited)) => {
                report(3, 0, limited.into(), listener);
                libc::execve(argv[0], argv.as_ptr(), envp.as_ptr());
                libc::_exit(2)
            }
            Err(step) => step,
        };
        let to = if matches!(step, 10 | 11) { 3 } else { sock };
        report(to, step, io::Error::last_os_error().raw_os_error().unwrap_or(0), -1);
        libc::_exit(1)
    }
}

/// Sends two numbers, and a descriptor if there is one.
unsafe fn report(sock: RawFd, step: i32, number: i32, fd: RawFd) {
    let mut message = [step, number];
    let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: 8 };
    let mut control = [0u64; 4];
    // SAFETY: all that is pointed to lives in this frame; the control buffer has room for one descriptor.
    unsafe {
        let mut whole: libc::msghdr = std::mem::zeroed();
        whole.msg_iov = &raw mut part;
        whole.msg_iovlen = 1;
        if fd >= 0 {
            whole.msg_control = control.as_mut_ptr().cast();
            whole.msg_controllen = libc::CMSG_SPACE(4) as usize;
            let head = libc::CMSG_FIRSTHDR(&raw const whole);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(head).cast::<c_int>().write_unaligned(fd);
        }
        libc::sendmsg(sock, &raw const whole, libc::MSG_NOSIGNAL);
        if fd >= 0 {
            libc::close(fd);
        }
    }
}

/// The set-up inside the namespaces; an error is the number of the step (see [`STEPS`]).
///
/// # Safety
/// Only for the freshly cloned child.
unsafe fn steps(
    plan: &Plan,
    filters: &Filters,
    sock: RawFd,
    errors: RawFd,
    map: &Mapping,
    opened: &mut [RawFd],
) -> Result<(RawFd, bool), i32> {
    let step = |n: i32, ret: c_long| if ret < 0 { Err(n) } else { Ok(ret) };
    // SAFETY: as for `child`.
    unsafe {
        // Sources are opened while this is still the user who may see them.
        for (i, bind) in plan.binds.iter().enumerate() {
            let n = 1 | (i as i32) << 8;
            let flags = 1 /* OPEN_TREE_CLONE */ | libc::O_CLOEXEC | libc::AT_RECURSIVE;
            let fd = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, bind.source.as_ptr(), flags);
            if fd < 0 && bind.optional {
                continue;
            }
            opened[i] = step(n, fd)? as RawFd;
            let mut attr: libc::mount_attr = std::mem::zeroed();
            attr.attr_set = libc::MOUNT_ATTR_NOSUID
                | if bind.device { libc::MOUNT_ATTR_NOEXEC } else { libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV };
            attr.propagation = libc::MS_PRIVATE;
            let at = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
            step(
                n,
                libc::syscall(
                    libc::SYS_mount_setattr,
                    opened[i],
                    c"".as_ptr(),
                    at,
                    &raw const attr,
                    size_of::<libc::mount_attr>(),
                ),
            )?;
        }
        // Raw calls: libc's versions would look for the threads of the parent.
        if map.privileged {
            step(2, libc::syscall(libc::SYS_setgroups, 0, 0))?;
        }
        step(2, libc::syscall(libc::SYS_setresgid, INSIDE, INSIDE, INSIDE))?;
        step(2, libc::syscall(libc::SYS_setresuid, INSIDE, INSIDE, INSIDE))?;
        libc::umask(0o022);
        let none = std::ptr::null();
        let private = libc::MS_REC | libc::MS_PRIVATE;
        step(3, libc::mount(none, c"/".as_ptr(), none, private, none.cast()).into())?;
        // Where possible, no user namespace can be made inside; the filter refuses them as well.
        let mut limited = false;
        let limit = libc::open(c"/proc/sys/user/max_user_namespaces".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if limit >= 0 {
            limited = libc::write(limit, c"0".as_ptr().cast(), 1) == 1;
            libc::close(limit);
        }
        let fixed = libc::MS_NOSUID | libc::MS_NODEV;
        step(
            4,
            libc::mount(
                c"root".as_ptr(),
                c"/tmp".as_ptr(),
                c"tmpfs".as_ptr(),
                fixed,
                c"size=1m,mode=755".as_ptr().cast(),
            )
            .into(),
        )?;
        step(4, libc::chdir(c"/tmp".as_ptr()).into())?;
        for folder in &plan.folders {
            step(5, libc::mkdir(folder.as_ptr(), 0o755).into())?;
        }
        for (to, name) in &plan.links {
            step(6, libc::symlink(to.as_ptr(), name.as_ptr()).into())?;
        }
        for (name, content) in &plan.files {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL | libc::O_CLOEXEC;
            let fd = step(6, libc::open(name.as_ptr(), flags, 0o644).into())? as RawFd;
            step(6, libc::write(fd, content.as_ptr().cast(), content.len()) as c_long)?;
            libc::close(fd);
        }
        for (i, bind) in plan.binds.iter().enumerate() {
            if opened[i] >= 0 {
                step(
                    7 | (i as i32) << 8,
                    libc::syscall(
                        libc::SYS_move_mount,
                        opened[i],
                        c"".as_ptr(),
                        libc::AT_FDCWD,
                        bind.target.as_ptr(),
                        4, /* MOVE_MOUNT_F_EMPTY_PATH */
                    ),
                )?;
            }
        }
        step(8, libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        step(8, libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        step(8, libc::chdir(c"/".as_ptr()).into())?;
        let again = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | fixed;
        step(9, libc::mount(none, c"/".as_ptr(), none, again, none.cast()).into())?;
        libc::sethostname(c"cell".as_ptr(), 4);

        // Descriptors: 0 and 1 are /dev/null, 2 is the error file, 3 the socket, and no other.
        let null = step(13, libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC).into())? as RawFd;
        let mut high = [null, null, errors, sock];
        for fd in &mut high {
            *fd = step(13, libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, 64).into())? as RawFd;
        }
        for (to, from) in high.iter().enumerate() {
            step(13, libc::dup2(*from, to as c_int).into())?;
        }
        step(13, libc::syscall(libc::SYS_close_range, 4u32, u32::MAX, 0u32))?;
        let files = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
        step(13, libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files).into())?;
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
        libc::syscall(libc::SYS_setsid);
        // Same addresses, so the same id(), in every run.
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
        privileges(&step)?;
        let program = |f: &[libc::sock_filter]| libc::sock_fprog { len: f.len() as u16, filter: f.as_ptr().cast_mut() };
        let telling = program(&filters.telling);
        let flag = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let listener = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flag, &raw const telling);
        if listener < 0 {
            let silent = program(&filters.silent);
            step(11, libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const silent).into())?;
        }
        Ok((listener as RawFd, limited))
    }
}

/// Leaves the zygote `CAP_SYS_ADMIN` in its own user namespace, and no way to gain more.
///
/// # Safety
/// Only for the freshly cloned child.
unsafe fn privileges(step: &dyn Fn(i32, c_long) -> Result<c_long, i32>) -> Result<(), i32> {
    let header: [u32; 2] = [0x2008_0522, 0];
    // SAFETY: capset reads a header of two and data of six words; prctl takes plain numbers.
    unsafe {
        let capset = |data: &[u32; 6]| libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr());
        let mut now = [0u32; 6];
        step(10, libc::syscall(libc::SYS_capget, header.as_ptr(), now.as_mut_ptr()))?;
        now[2] = SYS_ADMIN;
        now[5] = 0;
        step(10, capset(&now))?;
        step(10, libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 21, 0, 0).into())?;
        // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked.
        step(10, libc::prctl(libc::PR_SET_SECUREBITS, 0b1100_1111, 0, 0, 0).into())?;
        for cap in 0..64 {
            libc::prctl(libc::PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
        step(10, capset(&[SYS_ADMIN, SYS_ADMIN, SYS_ADMIN, 0, 0, 0]))?;
        step(10, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
    }
    Ok(())
}
