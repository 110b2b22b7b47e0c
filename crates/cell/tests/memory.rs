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
