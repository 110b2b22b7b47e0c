//! Nothing in a program's memory or file system says how many were before it, or how old its cell is.

mod common;
use loophole_cell::*;
use std::collections::BTreeMap;

fn one_cell(tier: Tier) -> Pool {
    // In the weaker tiers the interpreter must be one that any user can reach.
    let python = Some("/usr/bin/python3".into()).filter(|_| tier != Tier::Namespaces);
    Pool::start(PoolOptions { cells: 1, tier: Some(tier), python, ..PoolOptions::default() }).unwrap()
}

fn run(pool: &Pool, source: &str) -> String {
    let record = pool.run(&Program::python(source)).unwrap();
    assert!(record.success(), "{record:?}");
    record.stdout_text()
}

/// Words of memory by address, but for the program's own number.
fn memory(pool: &Pool) -> BTreeMap<u64, u64> {
    let mut program = Program::python(include_str!("memory.py"));
    program.read_back = vec!["memory".to_owned(), "index".to_owned()];
    program.limits.file_bytes = 64 << 20;
    program.limits.cpu_seconds = 20.0;
    program.limits.wall_seconds = 60.0;
    let record = pool.run(&program).unwrap();
    assert!(record.success(), "{record:?}");
    let words = |name: &str| -> Vec<u64> {
        record.contents[name].chunks_exact(8).map(|b| u64::from_ne_bytes(b.try_into().unwrap())).collect()
    };
    let pages = words("index");
    assert!(pages.len() > 500, "only {} pages were found", pages.len());
    let all = words("memory");
    let own: u64 = record.stdout_text().trim().parse().unwrap();
    let words = pages.iter().zip(all.chunks_exact(512));
    let words = words.flat_map(|(page, words)| (0..512).map(move |i| (page * 4096 + 8 * i, words[i as usize])));
    // Without a namespace the number is the machine's.
    words.filter(|(_, word)| pool.tier() == Tier::Namespaces || *word != own).collect()
}

/// The whole memory of a program is the same whatever ran before it in its cell, and however much.
#[test]
fn memory_does_not_count() {
    for tier in [Tier::Namespaces, Tier::Landlock] {
        let pool = one_cell(tier);
        // The first program makes what later ones find made.
        run(&pool, "print(1)");
        let first = memory(&pool);
        for round in 1..3usize {
            for i in 0..13 * round {
                let others =
                    ["x = [i for i in range(9999)]", "raise SystemExit(0)", "import os; os.fork() or os._exit(3)"];
                run(&pool, others[i % 3]);
            }
            let now = memory(&pool);
            let moved: Vec<String> = first
                .iter()
                .filter(|(at, word)| now.get(*at).is_some_and(|w| w != *word))
                .map(|(at, word)| format!("{at:#x}: {word:#x} {:#x}", now[at]))
                .collect();
            assert!(moved.is_empty(), "{tier}, round {round}: {} words moved:\n{}", moved.len(), moved.join("\n"));
        }
    }
}

/// Of every file below these folders that is on a file system of the cell's own: has it changed before the start?
const OLD: &str = r#"
import os, time
now = time.time()
home, scratch = os.getcwd(), os.environ.get("TMPDIR", "/tmp")
if home == "/box":
    folders, listed = ["/", home, scratch], ["/", "/etc", "/dev"]
else:
    folders, listed = [os.path.dirname(os.path.dirname(home)), os.path.dirname(home), home, scratch], []
devices = {os.lstat(f).st_dev for f in folders}
paths = folders + [os.path.join(f, name) for f in listed for name in os.listdir(f)]
looks = [(path, os.lstat(path)) for path in paths]
assert len(looks) > 3
print([(path, now - st.st_ctime) for path, st in looks if st.st_dev in devices and now - st.st_ctime > 0.5])
"#;

#[test]
fn no_file_tells_the_age_of_a_cell() {
    for tier in [Tier::Namespaces, Tier::Landlock] {
        let pool = one_cell(tier);
        run(&pool, "print(1)");
        for _ in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(1200));
            assert_eq!(run(&pool, OLD), "[]\n", "{tier}");
        }
    }
}

/// What covers the entries of `/proc` is hidden from programs without one, and as new as the program for those with one.
#[test]
fn what_covers_proc_does_not_tell_the_age_of_a_cell() {
    let pool = one_cell(Tier::Namespaces);
    let covers = r#"
import os, time
now = time.time()
names = ["/etc/proc", "/etc"] + ["/proc/" + name for name in os.listdir("/proc") if not name.isdigit()]
looks = [(name, now - os.lstat(name).st_ctime) for name in names]
below = os.walk("/proc/sys")
looks += [(f"{at}/{name}", now - os.lstat(f"{at}/{name}").st_ctime) for at, _, files in below for name in files]
print(len(looks), [look for look in looks if look[1] > 0.5])
for path in ("/etc/proc/cpuinfo", "/etc/proc/sys", "/etc/proc/."):
    try: print(os.stat(path))
    except PermissionError: pass
try: print(os.listdir("/etc/proc"))
except PermissionError: pass
try: os.chmod("/etc/proc", 0o755)
except OSError: pass
try: print(os.listdir("/etc/proc"))
except PermissionError: pass
"#;
    let mut with = Program::python(covers);
    with.proc = true;
    for (program, least) in [(&with, 20), (&Program::python(covers), 2), (&with, 20)] {
        std::thread::sleep(std::time::Duration::from_millis(1200));
        let record = pool.run(program).unwrap();
        let text = record.stdout_text();
        if program.proc && !record.proc {
            eprintln!("SKIPPED: no /proc can be had here");
            continue;
        }
        let (count, old) = text.split_once(' ').unwrap_or_default();
        assert!(count.parse().is_ok_and(|n: usize| n >= least) && old == "[]\n", "{text} {}", record.stderr_text());
    }
}

/// Code that was moved to huge pages can be read and executed, and not written to.
#[test]
fn code_cannot_be_written_to() {
    let pool = one_cell(Tier::Namespaces);
    let mut program = Program::python(
        "import ctypes\n\
         at = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value\n\
         for line in open('/proc/self/maps'):\n\
         \x20   start, end = (int(n, 16) for n in line.split()[0].split('-'))\n\
         \x20   if start <= at < end: print(line.split()[1])\n\
         \x20   assert 'w' not in line.split()[1] or 'x' not in line.split()[1], line\n",
    );
    program.proc = true;
    let record = pool.run(&program).unwrap();
    if !record.proc {
        eprintln!("SKIPPED: no /proc can be had here");
        return;
    }
    assert_eq!(record.stdout_text(), "r-xp\n", "{}", record.stderr_text());
}

/// The numbers of files that a program is given are the same however many were given files before.
#[test]
fn numbers_of_files_do_not_count() {
    let pool = one_cell(Tier::Namespaces);
    let program =
        Program::python("import os\nprint([os.stat(p).st_ino for p in ('/', '/box', '/tmp', 'a/b')])").file("a/b", "x");
    let look = || pool.run(&program).unwrap().stdout_text();
    look();
    let first = look();
    for _ in 0..20 {
        assert_eq!(look(), first);
    }
    run(&pool, "open('new', 'w').write('x')");
    assert_eq!(look(), first);
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
