//! `/proc` and `/dev/fd`, where a program asks for them.

mod common;
use common::{pool, run};
use loophole_cell::*;

fn python(source: &str) -> Record {
    run(&Program { proc: true, ..Program::python(source) })
}

fn bash(script: &str) -> Record {
    run(&Program { proc: true, ..Program::command(["bash", "-c", script]) })
}

fn prints(record: &Record, text: &str) {
    assert!(record.proc, "{record:?}");
    assert_eq!(record.stdout_text(), text, "{}", record.stderr_text());
}

#[test]
fn a_program_sees_its_own_processes_and_no_other() {
    prints(
        &python("import os; print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()), os.getpid())"),
        "[2] 2\n",
    );
    let family = "import os, time\n\
        pids = []\n\
        for _ in range(2):\n\
        \x20   pids.append(os.fork())\n\
        \x20   if pids[-1] == 0: time.sleep(5)\n\
        print([n for n in os.listdir('/proc') if n.isdigit()], [open(f'/proc/{p}/stat').read().split()[3] for p in pids])\n\
        [os.kill(p, 9) for p in pids]\n";
    prints(&python(family), "['2', '3', '4'] ['2', '2']\n");
    prints(
        &bash("ls -d /proc/1 2>/dev/null; cat /proc/self/comm; readlink /proc/self/exe; readlink /proc/$$/cwd"),
        "cat\n/usr/bin/readlink\n/box\n",
    );
}

#[test]
fn descriptors_by_name() {
    prints(
        &bash("cat <(echo a) <(echo b); echo x | cat /dev/stdin; echo e > /dev/stderr; exec 5<<<five; cat /dev/fd/5"),
        "a\nb\nx\nfive\n",
    );
    prints(
        &python("import os; print(sorted(os.listdir('/proc/self/fd')), os.path.exists('/dev/stdout'))"),
        "['0', '1', '2', '3'] True\n",
    );
    let record = common::bash("cat <(echo a)");
    assert!(!record.success() && !record.proc);
}

#[test]
fn nothing_of_the_machine_is_told() {
    // All there is, and its like in another program.
    let all = "import os\n\
        for top, folders, names in os.walk('/proc'):\n\
        \x20   if top == '/proc': folders[:] = [f for f in folders if not f.isdigit() and f not in ('self', 'thread-self', 'net')]\n\
        \x20   for n in sorted(names):\n\
        \x20       p = os.path.join(top, n)\n\
        \x20       if not os.path.islink(p): print(p, open(p).read() if 'cpuinfo' not in p else '')\n";
    let first = python(all);
    assert!(first.success(), "{}", first.stderr_text());
    let text = first.stdout_text();
    assert_eq!(python(all).stdout_text(), text);
    let filled: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("/proc/"))
        .filter_map(|l| l.split_once(' '))
        .filter(|l| !l.1.is_empty())
        .map(|l| l.0)
        .collect();
    for told in &filled {
        let known = ["stat", "uptime", "version", "loadavg", "meminfo", "vmstat", "swaps", "filesystems"];
        assert!(told.starts_with("/proc/sys/") || known.iter().any(|k| *told == format!("/proc/{k}")), "{told}");
    }
    let mine = std::fs::read_to_string("/proc/stat").unwrap();
    assert!(!text.contains(mine.lines().find(|l| l.starts_with("processes ")).unwrap()));
}

#[test]
fn nothing_can_be_written_and_no_memory_but_its_own_read() {
    let tries = "import os, errno\n\
        def attempt(path, flags):\n\
        \x20   try: os.close(os.open(path, flags)); return 'opened'\n\
        \x20   except OSError as e: return errno.errorcode[e.errno]\n\
        R, W = os.O_RDONLY, os.O_WRONLY\n\
        print(*(attempt('/proc/1/' + n, R) for n in ('mem', 'maps', 'environ', 'cmdline', 'root', 'cwd', 'fd', 'ns/pid', 'status')))\n\
        print(*(attempt(p, W) for p in ('/proc/sysrq-trigger', '/proc/self/mem', '/proc/self/oom_score_adj', '/proc/self/uid_map',\n\
        \x20   '/proc/sys/kernel/hostname', '/proc/sys/kernel/core_pattern', '/proc/self/comm', '/proc/self/attr/current')))\n\
        print(*(attempt(p, R) for p in ('/proc/kcore', '/proc/kmsg', '/proc/keys')), open('/proc/kallsyms').read() == '')\n\
        print(*(attempt('/proc/self/root/' + p, R) for p in ('etc/shadow', 'boot', '../etc/shadow')), attempt('/proc/self/cwd/../../../etc/shadow', R))\n\
        print(os.listdir('/proc/self/root/'), os.listdir('/usr/proc') if os.path.exists('/usr/proc') else '')\n";
    let record = python(tries);
    let text = record.stdout_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], ["EPERM"; 9].join(" "), "{}", record.stderr_text());
    assert!(lines[1].split(' ').all(|w| ["EROFS", "ENOENT", "EACCES"].contains(&w)), "{}", lines[1]);
    assert!(lines[2].split(' ').all(|w| ["ENOENT", "opened", "True"].contains(&w)), "{}", lines[2]);
    assert!(lines[3].split(' ').all(|w| w == "ENOENT"), "{}", lines[3]);
    // Taking the mounts apart needs what a program has not.
    let record = python(
        "import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.umount2(b'/proc', 2), libc.umount2(b'/usr', 2), libc.mount(b'proc', b'/box', b'proc', 0, None))",
    );
    prints(&record, "-1 -1 -1\n");
}

#[test]
fn the_next_program_has_one_only_if_it_asks() {
    let pool = Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap();
    pool.run(&Program::python("import os")).unwrap();
    let pids = pool.zygote_pids();
    for proc in [true, false, true, true, false] {
        let record = pool.run(&Program { proc, ..Program::python("import os; print(os.listdir('/proc'))") }).unwrap();
        assert_eq!((record.proc, record.stdout_text() != "[]\n"), (proc, proc), "{record:?}");
    }
    let crash = Program {
        proc: true,
        ..Program::python(
            "import os\nif os.fork() == 0:\n  os.setsid()\n  while True: pass\nos.chdir('/proc/self'); os.kill(2, 9)",
        )
    };
    assert_eq!(pool.run(&crash).unwrap().signal, Some(9));
    assert_eq!(pool.run(&Program::python("import os; print(os.listdir('/proc'))")).unwrap().stdout_text(), "[]\n");
    assert_eq!(pool.zygote_pids(), pids);
}

#[test]
fn sessions_have_one() {
    let mut s = pool().session(&SessionOptions::default()).unwrap();
    let step = s.run("cat <(echo ok); ls /proc/self/fd | wc -l").unwrap();
    assert_eq!(step.stdout, b"ok\n4\n", "{step:?}");
    let step =
        s.exec(&ExecRequest { stdin: b"in".to_vec(), ..ExecRequest::new(["cat", "/dev/stdin", "/proc/self/comm"]) });
    assert_eq!(step.unwrap().stdout, b"incat\n");
    let mut s = pool().session(&SessionOptions { proc: false, ..SessionOptions::default() }).unwrap();
    assert_eq!(s.run("ls -A /proc").unwrap().stdout, b"");
}

#[test]
fn psutil_works_where_it_is_installed() {
    let text = "import psutil\n\
        p = psutil.Process()\n\
        assert p.pid == 2 and p.memory_info().rss > 0 and p.create_time() > 1e9 and p.status() == 'running'\n\
        assert p.cpu_percent() == 0.0 and p.num_threads() == 1 and p.open_files() == [] and p.children() == []\n\
        assert psutil.virtual_memory().total == 1 << 30 and psutil.swap_memory().total == 0\n\
        psutil.cpu_percent(); psutil.cpu_times(); psutil.cpu_count(); psutil.boot_time(); psutil.pids(); p.as_dict()\n\
        print('fine')\n";
    let record = python(text);
    if record.stderr_text().contains("No module named") {
        eprintln!("SKIPPED: psutil is not installed");
        return;
    }
    prints(&record, "fine\n");
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
