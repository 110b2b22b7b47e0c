//! Hostile programs (`tests/abuse/*.toml`): what is tried, and what must be seen from outside. Each runs as root and as
//! an ordinary user, in each tier that the machine offers; after each, canaries outside are looked at, and the cell must
//! be as good as new. With `CELL_ABUSE_TABLE=FILE` the results are added to a file, for `examples/attempts.rs`.

#[path = "abuse/attempt.rs"]
mod attempt;
mod common;

use attempt::{Attempt, all};
use loophole_cell::*;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is outside and must stay as it is. Nothing but the cell keeps a program from any of it.
struct Canaries {
    process: Child,
    folder: tempfile::TempDir,
    port: TcpListener,
    named: UnixListener,
    unnamed: UnixListener,
    /// The name of `unnamed`, and a word that only we and earlier programs know.
    name: String,
    secret: String,
}

impl Canaries {
    fn new() -> Canaries {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("canary-{}-{:p}", std::process::id(), &raw const folder);
        let open = |path: &std::path::Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::write(folder.path().join("file"), "as it was").unwrap();
        open(folder.path());
        open(&folder.path().join("file"));
        let named = UnixListener::bind(folder.path().join("socket")).unwrap();
        open(&folder.path().join("socket"));
        let unnamed = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        port.set_nonblocking(true).unwrap();
        named.set_nonblocking(true).unwrap();
        unnamed.set_nonblocking(true).unwrap();
        let process = Command::new("sleep").arg("10000").spawn().unwrap();
        let secret = format!("s{:x}t", std::process::id() as usize * 0x9e37_79b9 + folder.path().as_os_str().len());
        Canaries { process, folder, port, named, unnamed, name, secret }
    }

    /// A program with the real names in it.
    fn fill(&self, text: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let port = self.port.local_addr().unwrap().port().to_string();
        let pid = self.process.id().to_string();
        [
            ("{FILE}", format!("{folder}/file").as_str()),
            ("{FOLDER}", &folder),
            ("{PORT}", &port),
            ("{ABSTRACT}", &self.name),
            ("{PID}", &pid),
            ("{SECRET}", &self.secret),
        ]
        .iter()
        .fold(text.to_owned(), |t, (from, to)| t.replace(from, to))
    }

    /// What is no longer as it was.
    fn touched(&self) -> Option<&'static str> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        if !stat.contains(") S ") && !stat.contains(") R ") {
            return Some("the canary process is stopped or gone");
        }
        let file = self.folder.path().join("file");
        if std::fs::read_to_string(&file).ok().as_deref() != Some("as it was") {
            return Some("the canary file is changed");
        }
        if std::fs::read_dir(&self.folder).unwrap().count() != 2 {
            return Some("something was made or removed beside the canary file");
        }
        let blocked = |e: Option<std::io::Error>| e.is_some_and(|e| e.kind() == ErrorKind::WouldBlock);
        if !blocked(self.port.accept().err())
            || !blocked(self.named.accept().err())
            || !blocked(self.unnamed.accept().err())
        {
            return Some("a canary socket was reached");
        }
        None
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Given to every Python attempt: raw system calls by name, answered with the error's name.
const PRELUDE: &str = r#"
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
BOX, TMP = os.getcwd(), os.environ.get('TMPDIR', '/tmp')
NR = {NUMBERS}
def call(name, *args):
    r = libc.syscall(NR.get(name, name), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return 'done' if r >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(f, *a, **k):
    try:
        f(*a, **k)
        return 'done'
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
"#;

fn program(canaries: &Canaries, attempt: &Attempt, python: Option<&str>) -> Program {
    let mut program = match (python, &attempt.bash) {
        (None, Some(script)) => Program::command(["bash", "-c", &canaries.fill(script)]),
        (source, _) => Program::python(PRELUDE.replace("{NUMBERS}", &numbers()) + &canaries.fill(source.unwrap_or(""))),
    };
    program.limits.cpu_seconds = attempt.cpu.unwrap_or(0.4);
    program.limits.wall_seconds = attempt.wall.unwrap_or(30.0);
    program
}

/// Runs one attempt; what was seen that must not be.
fn run(pool: &Pool, canaries: &Canaries, attempt: &Attempt) -> Result<(), String> {
    if let Some(before) = &attempt.before {
        let mut first = program(canaries, attempt, Some(before));
        first.limits.cpu_seconds = 3.0;
        let r = pool.run(&first).map_err(|e| e.to_string())?;
        if r.verdict == Verdict::Machine {
            return Err(format!("the first program: {:?}", r.detail));
        }
    }
    let record = pool.run(&program(canaries, attempt, attempt.program.as_deref())).map_err(|e| e.to_string())?;
    let told = |what: String| {
        let cut = |s: String| s.chars().take(600).collect::<String>();
        let (out, err) = (cut(record.stdout_text()), cut(record.stderr_text()));
        let (v, c, s) = (record.verdict, record.code, record.signal);
        Err(format!(
            "{what} ({v:?} {c:?} {s:?} {:.1} s, {} left)\n{out}\n{err}",
            record.wall_seconds, record.leftover_processes
        ))
    };
    let filled = |text: &String| canaries.fill(text);
    if let Some(what) = attempt.judge(&record, &filled) {
        return told(what);
    }
    if record.stdout_text().contains(&canaries.secret) && attempt.before.is_some() {
        return told("the secret of the program before came out".to_owned());
    }
    if let Some(what) = canaries.touched() {
        return told(what.to_owned());
    }
    let look = "import os; print(os.listdir('.'), os.listdir(os.environ.get('TMPDIR', '/tmp')))";
    let after = pool.run(&Program::python(look)).map_err(|e| e.to_string())?;
    if after.stdout != b"[] []\n" {
        return told(format!("the cell is not as new: {} {}", after.stdout_text(), after.stderr_text()));
    }
    Ok(())
}

fn in_tier(tier: Tier) {
    let me = common::user();
    let python = std::path::Path::new("/usr/bin/python3");
    let python = (tier != Tier::Namespaces && python.exists()).then(|| python.to_path_buf());
    let start =
        |cells| Pool::start(PoolOptions { cells, tier: Some(tier), python: python.clone(), ..PoolOptions::default() });
    let pool = match start(3) {
        Ok(pool) => pool,
        Err(e) => return eprintln!("SKIPPED: tier {tier} as {me}: {e}"),
    };
    let single = start(1).unwrap();
    let grouped = pool.describe().iter().any(|d| d.starts_with("cgroup"));
    let canaries = Canaries::new();
    let attempts = all();
    assert!(attempts.len() >= 110, "{}", attempts.len());
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(attempt) = attempts.get(next.fetch_add(1, Relaxed)) {
            let result = match attempt.in_tier(tier, grouped) {
                Err(reason) => format!("skipped: {reason}"),
                Ok(attempt) => {
                    static ONE: Mutex<()> = Mutex::new(());
                    let outcome = if attempt.before.is_some() {
                        let _guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        run(&single, &canaries, &attempt)
                    } else {
                        run(&pool, &canaries, &attempt)
                    };
                    outcome.map_or_else(|what| format!("FAILED: {what}"), |()| "held".to_owned())
                }
            };
            results.lock().unwrap().push((attempt.name.clone(), result));
        }
    };
    std::thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(work))));
    let mut results = results.into_inner().unwrap();
    results.sort();
    let count = |start: &str| results.iter().filter(|r| r.1.starts_with(start)).count();
    eprintln!("tier {tier} as {me}: {} held, {} failed, {} skipped", count("held"), count("FAILED"), count("skipped"));
    for (name, result) in results.iter().filter(|r| r.1.starts_with("skipped")) {
        eprintln!("  {name}: {result}");
    }
    if let Some(path) = std::env::var_os("CELL_ABUSE_TABLE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        for (name, result) in &results {
            writeln!(file, "{tier}\t{me}\t{name}\t{}", result.lines().next().unwrap_or("")).unwrap();
        }
    }
    let failed: Vec<String> =
        results.iter().filter(|r| r.1.starts_with("FAILED")).map(|(n, r)| format!("{n}: {r}")).collect();
    assert!(failed.is_empty(), "{} attempts:\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn nothing_gets_out_of_namespaces() {
    in_tier(Tier::Namespaces);
}

#[test]
fn nothing_gets_out_of_landlock() {
    in_tier(Tier::Landlock);
}

#[test]
fn two_programs_see_nothing_of_each_other() {
    let one = "import os, time\nopen('/box/mark', 'w').close(); open('/tmp/mark', 'w').close()\ntime.sleep(1.0)\nprint(os.listdir('/box'), os.listdir('/tmp'))";
    let other = "import os, time\ntime.sleep(0.3)\nprint(os.listdir('/box'), os.listdir('/tmp'))\nfor p in range(3, 100):\n  try: os.kill(p, 9); print('hit', p)\n  except OSError: pass";
    std::thread::scope(|s| {
        let a = s.spawn(|| common::python(one));
        let b = s.spawn(|| common::python(other));
        assert_eq!(a.join().unwrap().stdout_text(), "['mark'] ['mark']\n");
        assert_eq!(b.join().unwrap().stdout_text(), "[] []\n");
    });
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}

/// Numbers of the system calls that attempts name.
fn numbers() -> String {
    macro_rules! table {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), libc::$name)),*] };
    }
    let table = table![
        SYS_accept,
        SYS_acct,
        SYS_add_key,
        SYS_adjtimex,
        SYS_bpf,
        SYS_capget,
        SYS_capset,
        SYS_chroot,
        SYS_clock_adjtime,
        SYS_clock_settime,
        SYS_clone,
        SYS_clone3,
        SYS_delete_module,
        SYS_epoll_create1,
        SYS_fanotify_init,
        SYS_finit_module,
        SYS_fsopen,
        SYS_init_module,
        SYS_inotify_init1,
        SYS_io_uring_enter,
        SYS_io_uring_register,
        SYS_io_uring_setup,
        SYS_ioctl,
        SYS_ioprio_set,
        SYS_kcmp,
        SYS_kexec_load,
        SYS_keyctl,
        SYS_migrate_pages,
        SYS_mount,
        SYS_mount_setattr,
        SYS_move_mount,
        SYS_move_pages,
        SYS_mq_open,
        SYS_msgget,
        SYS_name_to_handle_at,
        SYS_open_by_handle_at,
        SYS_open_tree,
        SYS_perf_event_open,
        SYS_personality,
        SYS_pidfd_getfd,
        SYS_pidfd_send_signal,
        SYS_pivot_root,
        SYS_prlimit64,
        SYS_process_madvise,
        SYS_process_mrelease,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_ptrace,
        SYS_quotactl,
        SYS_reboot,
        SYS_request_key,
        SYS_rt_sigqueueinfo,
        SYS_sched_setaffinity,
        SYS_sched_setscheduler,
        SYS_seccomp,
        SYS_semget,
        SYS_setdomainname,
        SYS_sethostname,
        SYS_setns,
        SYS_setpriority,
        SYS_settimeofday,
        SYS_shmget,
        SYS_socket,
        SYS_swapoff,
        SYS_swapon,
        SYS_syslog,
        SYS_tgkill,
        SYS_timer_create,
        SYS_umount2,
        SYS_unshare,
        SYS_userfaultfd,
        SYS_vhangup,
    ];
    #[cfg(target_arch = "x86_64")]
    let more = table![SYS_iopl, SYS_ioperm, SYS_modify_ldt];
    #[cfg(not(target_arch = "x86_64"))]
    let more: [(&str, i64); 0] = [];
    let all: Vec<String> = table.iter().chain(&more).map(|(n, v)| format!("'{}': {v}", &n[4..])).collect();
    format!("{{{}}}", all.join(", "))
}
