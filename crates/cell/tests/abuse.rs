//! Hostile programs, one entry each: what is tried, and what must be seen from outside.

mod common;
use common::{pool, run};
use loophole_cell::*;

enum Seen {
    /// This on standard output, status 0, nothing left over.
    Out(&'static str),
    /// This verdict, within three seconds.
    Verdict(Verdict),
    /// A program ended by this signal.
    Signal(i32),
    /// Something about the whole record.
    That(fn(&Record) -> bool),
}
use Seen::{Out, Signal, That};

struct Attempt(&'static str, &'static str, Seen);

/// Given to every Python attempt: raw system calls by name, answered with the error's name.
const PRELUDE: &str = r#"
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
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

const ATTEMPTS: &[Attempt] = &[
    // Processes and signals
    Attempt("fork bomb", "while True:\n  try: os.fork()\n  except OSError: pass", Seen::Verdict(Verdict::Pids)),
    Attempt("bash fork bomb", "!bash :(){ :|:& };: ; sleep 1", That(|r| r.verdict != Verdict::Machine)),
    Attempt(
        "thread bomb",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        That(|r| matches!(r.verdict, Verdict::Pids | Verdict::Memory)),
    ),
    Attempt(
        "daemon outliving its parent, holding the output",
        "import time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    time.sleep(60)\n    print('late')\n  os._exit(0)\nos.wait()\nprint('main')",
        That(|r| r.stdout == b"main\n" && r.leftover_processes == 1 && r.wall_seconds < 2.0),
    ),
    Attempt("kill its own group", "os.kill(0, 9)", Signal(9)),
    Attempt("kill everything", "print(attempt(os.kill, -1, 9))", Out("ESRCH\n")),
    Attempt(
        "kill the parent",
        "print(os.getppid())\nfor s in (9, 15, 2, 19, 11, 6, 1): os.kill(1, s)\nimport time; time.sleep(0.1); print('alive')",
        Out("0\nalive\n"),
    ),
    Attempt("kill by guessing", "print({attempt(os.kill, p, 9) for p in range(3, 5000)})", Out("{'ESRCH'}\n")),
    Attempt("stop itself", "os.kill(os.getpid(), 19)", Seen::Verdict(Verdict::Wall)),
    Attempt(
        "trace the init, itself, its parent",
        "print([call('ptrace', q, p, 0, 0) for q, p in ((16, 1), (0x4206, 1), (0, 0))])",
        Out("['EPERM', 'EPERM', 'EPERM']\n"),
    ),
    Attempt(
        "read and write the memory of the init",
        "b = ctypes.create_string_buffer(16)\nv = (ctypes.c_ulong * 2)(ctypes.addressof(b), 16)\nprint(call('process_vm_readv', 1, v, 1, v, 1, 0), call('process_vm_writev', 1, v, 1, v, 1, 0))",
        Out("EPERM EPERM\n"),
    ),
    Attempt(
        "take a descriptor of the init",
        "fd = os.pidfd_open(1)\nprint([call('pidfd_getfd', fd, n, 0) for n in (0, 3, 5)])",
        Out("['EPERM', 'EPERM', 'EPERM']\n"),
    ),
    Attempt(
        "limits and priority of the init",
        "b = (ctypes.c_ulong * 2)(0, 0)\nprint(call('prlimit64', 1, 0, b, 0), call('setpriority', 0, 1, 19), call('setpriority', 2, 0, 19), call('sched_setaffinity', 1, 8, b), call('sched_setscheduler', 1, 5, b))",
        Out("EPERM EPERM EPERM EPERM EPERM\n"),
    ),
    Attempt(
        "raise its own limits",
        "import resource as R\nd = []\nfor n in (R.RLIMIT_CPU, R.RLIMIT_AS, R.RLIMIT_NPROC, R.RLIMIT_FSIZE, R.RLIMIT_NOFILE):\n  try: R.setrlimit(n, (R.RLIM_INFINITY,) * 2); d.append('done')\n  except (ValueError, OSError): d.append('no')\nprint(*d)",
        Out("no no no no no\n"),
    ),
    Attempt(
        "real-time scheduling, negative nice",
        "print(attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)), attempt(os.nice, -5))",
        Out("EPERM EPERM\n"),
    ),
    Attempt(
        "handler for SIGXCPU",
        "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\nwhile True: pass",
        Seen::Verdict(Verdict::Cpu),
    ),
    // Namespaces, privileges, the kernel's surface
    Attempt(
        "new namespaces by unshare",
        "print({call('unshare', f) for f in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x80)})",
        Out("{'EPERM'}\n"),
    ),
    Attempt(
        "new namespaces by clone",
        "print({call('clone', f | 17, 0, 0, 0, 0) for f in (0x10000000, 0x20000, 0x20000000, 0x40000000)})",
        Out("{'EPERM'}\n"),
    ),
    Attempt("clone3", "b = ctypes.create_string_buffer(88)\nprint(call('clone3', b, 88))", Out("ENOSYS\n")),
    Attempt(
        "mounts",
        "z = b'/box\\0'\nprint({call('mount', z, z, z, 4096, 0), call('umount2', z, 2), call('pivot_root', z, z), call('chroot', z), call('open_tree', -100, z, 1), call('fsopen', b'tmpfs\\0', 0), call('move_mount', -100, z, -100, z, 0), call('mount_setattr', -100, z, 0, z, 32)})",
        Out("{'EPERM'}\n"),
    ),
    Attempt(
        "setns",
        "fd = os.pidfd_open(1)\nprint({call('setns', fd, f) for f in (0x20000, 0x20000000, 0x10000000)})",
        Out("{'EPERM'}\n"),
    ),
    Attempt(
        "setuid programs",
        "!bash for p in su sudo mount; do command -v $p >/dev/null && $p --version >/dev/null 2>&1; done; id -u; chmod 4755 /box/x 2>/dev/null; cp /usr/bin/id x; chmod 4755 x; ./x -u",
        That(|r| r.stdout == b"1000\n1000\n"),
    ),
    Attempt(
        "become another user",
        "print({attempt(os.setuid, 0), attempt(os.setgid, 0), attempt(os.setgroups, [0])} <= {'EPERM', 'EINVAL'})",
        Out("True\n"),
    ),
    Attempt(
        "device nodes",
        "import stat\nprint(attempt(os.mknod, '/box/d', stat.S_IFBLK | 0o666, os.makedev(8, 0)), attempt(os.mknod, '/box/c', stat.S_IFCHR | 0o666, os.makedev(1, 1)))",
        Out("EPERM EPERM\n"),
    ),
    Attempt(
        "capabilities",
        "h = (ctypes.c_uint32 * 2)(0x20080522, 0); d = (ctypes.c_uint32 * 6)()\ncall('capget', h, d)\nprint(list(d), {libc.prctl(23, c, 0, 0, 0) for c in range(41)}, libc.prctl(39, 0, 0, 0, 0), libc.prctl(3, 0, 0, 0, 0))\nd[0] = d[1] = 1 << 21; print(call('capset', h, d))",
        Out("[0, 0, 0, 0, 0, 0] {0} 1 0\nEPERM\n"),
    ),
    Attempt("io_uring", "b = ctypes.create_string_buffer(120)\nprint(call('io_uring_setup', 8, b))", Out("EPERM\n")),
    Attempt(
        "userfaultfd, bpf, perf",
        "b = ctypes.create_string_buffer(120)\nprint(call('userfaultfd', 0), call('bpf', 0, b, 120), call('perf_event_open', b, 0, -1, -1, 0))",
        Out("EPERM EPERM EPERM\n"),
    ),
    Attempt(
        "keyrings",
        "print(call('add_key', b'user\\0', b'x\\0', b'y', 1, -5), call('keyctl', 0, -5, 0), call('request_key', b'user\\0', b'x\\0', 0, -5))",
        Out("EPERM EPERM EPERM\n"),
    ),
    Attempt(
        "reboot, modules, swap, clock, accounting",
        "b = ctypes.create_string_buffer(64)\nprint({call(n, b, b, b, b) for n in ('reboot', 'init_module', 'finit_module', 'delete_module', 'swapon', 'swapoff', 'acct', 'settimeofday', 'clock_settime', 'kexec_load', 'syslog', 'quotactl')})",
        Out("{'EPERM'}\n"),
    ),
    Attempt(
        "x32 numbers",
        "print(call(0x40000000 + 101, 0, 0, 0, 0) if os.uname().machine == 'x86_64' else 'ENOSYS')",
        Out("ENOSYS\n"),
    ),
    Attempt("host name", "print(call('sethostname', b'evil', 4), os.uname().nodename)", Out("EPERM cell\n")),
    Attempt(
        "a program from memory stays inside",
        "fd = os.memfd_create('x')\nos.write(fd, open('/usr/bin/id', 'rb').read())\nprint(flush=True)\nif os.fork() == 0: os.execve(fd, ['id', '-u'], {})\nos.wait()",
        Out("\n1000\n"),
    ),
    // Network and IPC
    Attempt(
        "sockets of all families",
        "import socket\nprint({attempt(socket.socket, f, t) for f in (1, 2, 10, 16, 17, 31, 38, 40) for t in (1, 2, 3, 5)})",
        Out("{'EPERM'}\n"),
    ),
    Attempt(
        "names are not looked up, fast",
        "import socket, time\nt = time.time()\ntry: socket.getaddrinfo('example.com', 80)\nexcept OSError as e: print(type(e).__name__, time.time() - t < 2)",
        Out("gaierror True\n"),
    ),
    Attempt(
        "bash network files",
        "!bash (echo x > /dev/tcp/127.0.0.1/22) 2>/dev/null || echo refused",
        Out("refused\n"),
    ),
    Attempt(
        "shared memory for the next program",
        "print(call('shmget', 7, 4096, 0o1666), call('msgget', 7, 0o1666), call('semget', 7, 1, 0o1666), call('mq_open', b'x\\0', 0o102, 0o666, 0))",
        Out("EPERM EPERM EPERM EPERM\n"),
    ),
    // Files
    Attempt(
        "files of the machine",
        "print({attempt(open, p) for p in ('/etc/shadow', '/root/.bashrc', '/home', '/proc/1/environ', '/proc/self/mem', '/sys/kernel', '/var', '/work', '/run', '/dev/sda', '/dev/mem', '/dev/kmsg')})",
        Out("{'ENOENT'}\n"),
    ),
    Attempt(
        "users of the machine",
        "print(open('/etc/passwd').read().count('\\n'), os.listdir('/box'), os.listdir('/tmp'))",
        Out("2 [] []\n"),
    ),
    Attempt(
        "writing outside",
        "print({attempt(open, p, 'w') for p in ('/x', '/usr/x', '/usr/bin/id', '/etc/passwd', '/dev/x', '/lib/x')} <= {'EROFS', 'EACCES'})",
        Out("True\n"),
    ),
    Attempt(
        "a sparse petabyte",
        "f = open('big', 'wb')\nprint(attempt(f.truncate, 1 << 50), attempt(os.posix_fallocate, f.fileno(), 0, 1 << 40))",
        Out("EFBIG EFBIG\n"),
    ),
    Attempt(
        "a link out, a pipe and a socket as output",
        "import socket\nos.symlink('/etc/shadow', 'a'); os.mkfifo('b'); os.symlink('.', 'c'); os.link('a', 'd')",
        That(|r| {
            r.files.iter().map(|f| f.kind).collect::<Vec<_>>()
                == [FileKind::Link, FileKind::Fifo, FileKind::Link, FileKind::Link]
                && r.files.iter().all(|f| f.sha256.is_none())
        }),
    ),
    Attempt(
        "a hard link to a file outside",
        "print({attempt(os.link, p, '/box/x') for p in ('/etc/passwd', '/usr/bin/id')} <= {'EXDEV', 'EPERM'})",
        Out("True\n"),
    ),
    Attempt(
        "a thousand folders deep",
        "for i in range(1000):\n  os.mkdir('d'); os.chdir('d')\nopen('x', 'w').close()",
        That(|r| r.success() && (200..=202).contains(&r.files.len())),
    ),
    Attempt(
        "odd names",
        "for n in (b'a\\nb', b'\\xc3', b'x' * 255, b' '): open(n, 'w').close()",
        That(|r| {
            let names: Vec<&[u8]> = r.files.iter().map(|f| &f.path[..]).collect();
            names == [&b" "[..], b"a\nb", &[b'x'; 255], b"\xc3"]
        }),
    ),
    Attempt(
        "files without permissions",
        "os.mkdir('d'); open('d/f', 'w').write('x'); os.chmod('d/f', 0); os.chmod('d', 0); os.chmod('/box', 0)",
        That(|r| r.files.len() == 2 && r.files[0].mode == 0 && r.files[1].mode == 0 && r.files[1].sha256.is_some()),
    ),
    Attempt(
        "descriptors left open",
        "def is_open(fd):\n  try: os.fstat(fd); return True\n  except OSError: return False\nprint([fd for fd in range(65536) if is_open(fd)])",
        Out("[0, 1, 2]\n"),
    ),
    Attempt(
        "traps for a later stage",
        "open('sitecustomize.py', 'w').write('evil'); open('conftest.py', 'w').write('evil'); os.mkdir('.git')",
        That(|r| r.files.len() == 3 && r.success()),
    ),
    // Resources and output
    Attempt("memory bomb", "x = []\nwhile True: x.append(b'x' * (1 << 20))", Seen::Verdict(Verdict::Memory)),
    Attempt(
        "memory bomb by mmap",
        "import mmap\nx = []\ntry:\n  while True: x.append(mmap.mmap(-1, 1 << 24))\nexcept OSError as e: print(len(x) < 16)",
        Out("True\n"),
    ),
    Attempt(
        "memory hidden in /tmp",
        "i = 0\nwhile True:\n  open('/tmp/%d' % i, 'wb').write(bytes(1 << 20)); i += 1",
        Seen::Verdict(Verdict::Disk),
    ),
    Attempt("flood", "while True: os.write(1, b'y' * 65536)", Seen::Verdict(Verdict::Output)),
    Attempt(
        "rewinding the output",
        "os.write(1, b'abc')\ntry: os.lseek(1, 1 << 40, 0)\nexcept OSError: pass\nos.write(1, b'd'); os.ftruncate(1, 3); os.write(1, b'e')",
        Out("abce"),
    ),
    Attempt("busy loop", "while True: pass", Seen::Verdict(Verdict::Cpu)),
    Attempt("sleep", "import time; time.sleep(100)", Seen::Verdict(Verdict::Wall)),
    Attempt("waiting for input", "try: input()\nexcept EOFError: print('end')", Out("end\n")),
    Attempt(
        "recursion",
        "def f(n): return f(n + 1) + 1\nsys.setrecursionlimit(10 ** 8)\nf(0)",
        That(|r| r.signal == Some(11) || r.code == Some(1) || r.verdict == Verdict::Cpu),
    ),
    // Forging the result
    Attempt(
        "an early end",
        "print('never flushed', end=''); os._exit(0)",
        That(|r| r.code == Some(0) && r.stdout.is_empty()),
    ),
    Attempt(
        "late hooks",
        "import atexit\natexit.register(lambda: os._exit(5))\nsys.exit(0)",
        That(|r| r.code == Some(5)),
    ),
    Attempt(
        "replaced builtins",
        "import builtins\nbuiltins.print = builtins.compile = builtins.exec = None\nos.fork = os.wait4 = os._exit = None\nsys.exit(4)",
        That(|r| r.code != Some(0) && r.verdict == Verdict::Exit || r.code == Some(1)),
    ),
    Attempt(
        "writing to every descriptor",
        "for fd in range(3, 1024):\n  assert attempt(os.write, fd, b'D' + bytes(56)) == 'EBADF'\nsys.exit(6)",
        That(|r| r.code == Some(6)),
    ),
    Attempt(
        "looking into the frames below",
        "f = sys._getframe(); t = ''\nwhile f:\n  t += repr({k: v for k, v in f.f_globals.items() if k != '__builtins__'}) + repr(f.f_locals); f = f.f_back\nprint('posix_fall' + 'ocate' in t)",
        Out("False\n"),
    ),
];

fn numbers() -> String {
    macro_rules! table {
        ($($name:ident),* $(,)?) => {
            [$((stringify!($name), libc::$name)),*]
        };
    }
    let table = table![
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_pidfd_getfd,
        SYS_prlimit64,
        SYS_setpriority,
        SYS_sched_setaffinity,
        SYS_sched_setscheduler,
        SYS_unshare,
        SYS_clone,
        SYS_clone3,
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_chroot,
        SYS_open_tree,
        SYS_fsopen,
        SYS_move_mount,
        SYS_mount_setattr,
        SYS_setns,
        SYS_capget,
        SYS_capset,
        SYS_io_uring_setup,
        SYS_userfaultfd,
        SYS_bpf,
        SYS_perf_event_open,
        SYS_add_key,
        SYS_keyctl,
        SYS_request_key,
        SYS_reboot,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_swapon,
        SYS_swapoff,
        SYS_acct,
        SYS_settimeofday,
        SYS_clock_settime,
        SYS_kexec_load,
        SYS_syslog,
        SYS_quotactl,
        SYS_sethostname,
        SYS_shmget,
        SYS_msgget,
        SYS_semget,
        SYS_mq_open,
    ];
    let all: Vec<String> = table.iter().map(|(n, v)| format!("'{}': {v}", &n[4..])).collect();
    format!("{{{}}}", all.join(", "))
}

#[test]
fn nothing_gets_out() {
    assert!(ATTEMPTS.len() >= 35);
    let prelude = PRELUDE.replace("{NUMBERS}", &numbers());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some(Attempt(name, source, seen)) =
            ATTEMPTS.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            let mut program = match source.strip_prefix("!bash ") {
                Some(script) => Program::command(["bash", "-c", script]),
                None => Program::python(format!("{prelude}{source}")),
            };
            program.limits.cpu_seconds = 0.3;
            program.limits.wall_seconds = if matches!(seen, Seen::Verdict(Verdict::Wall)) { 0.5 } else { 60.0 };
            if source.starts_with("!bash") {
                program.limits.wall_seconds = 3.0;
            }
            let r = run(&program);
            if r.wall_seconds > 5.0 {
                eprintln!("slow: {name} {:.1} s", r.wall_seconds);
            }
            let ok = match seen {
                Out(text) => r.success() && r.stdout == text.as_bytes() && r.leftover_processes == 0,
                Seen::Verdict(v) => r.verdict == *v,
                Signal(s) => r.verdict == Verdict::Signal && r.signal == Some(*s),
                That(f) => f(&r),
            };
            if !ok {
                let mut r = r;
                r.files.truncate(5);
                r.stdout.truncate(500);
                r.stderr.truncate(700);
                failures.lock().unwrap().push(format!(
                    "{name}: {:?} {:?} {:?}\n{}{}\n{:?}",
                    r.verdict,
                    r.code,
                    r.signal,
                    r.stdout_text(),
                    r.stderr_text(),
                    r.files
                ));
            }
            // The cell is as good as new.
            let after = run(&Program::python("import os; print(os.getpid(), os.listdir('/box'), os.listdir('/tmp'))"));
            assert_eq!(after.stdout_text(), "2 [] []\n", "after {name}: {}", after.stderr_text());
        }
    };
    std::thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} attempts:\n\n{}", failures.len(), failures.join("\n"));
    assert_eq!(pool().zygote_pids().len(), 3);
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
