//! What a program would hide of what it did: changed files behind a crowd, refused calls behind a filter of its own, and
//! names that only look alike.

mod common;
use common::{pool, python, run};
use loophole_cell::*;

/// Fills `/box` with names as long as they can be, more than are ever listed.
const CROWD: &str = r#"
import os
deep = "a" * 250
os.mkdir(deep)
try:
    for i in range(40):
        inner = deep + "/" + ("b%03d" % i).ljust(250, "b")
        os.mkdir(inner)
        inner += "/" + "c" * 250
        os.mkdir(inner)
        for k in range(190):
            open(inner + "/" + ("f%05d" % k).ljust(250, "f"), "w").close()
except OSError:
    pass
"#;

#[test]
fn the_callers_files_are_looked_at_however_many_others_there_are() {
    let source = format!(
        "{CROWD}\nopen('zz/test.py', 'w').write('pass')\nimport os\nos.remove('zz/gone.py')\nopen('zz/out', 'w').write('7')"
    );
    let mut program =
        Program::python(source).file("zz/test.py", "assert False").file("zz/gone.py", "").file("zz/same", "x");
    program.read_back = vec!["zz/out".to_owned()];
    let record = run(&program);
    assert!(record.success(), "{record:?}");
    let change = |path: &str| record.files.iter().find(|f| f.path == path.as_bytes()).map(|f| f.change);
    assert_eq!(change("zz/test.py"), Some(Change::Changed));
    assert_eq!(change("zz/gone.py"), Some(Change::Removed));
    assert_eq!((change("zz/same"), change("zz/out")), (None, Some(Change::Created)));
    assert_eq!(record.contents["zz/out"], b"7");
    assert!(record.changes_truncated > 1000, "{}", record.changes_truncated);
    let listed = record.files.len() as u64 + record.changes_truncated;
    assert!((7600..8200).contains(&listed), "{listed}");
    assert!(serde_json::to_string(&record).unwrap().contains("\"changes_truncated\""));
    assert_eq!(python("open('one', 'w')").changes_truncated, 0);
}

#[test]
fn folders_deeper_than_any_path_are_walked() {
    let deep = "import os\nfor i in range(3000):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n";
    let record = python(deep);
    assert_eq!((record.verdict, record.code), (Verdict::Exit, Some(0)), "{record:?}");
    assert_eq!(record.files.len() as u64 + record.changes_truncated, 3000);
}

#[test]
fn folders_closed_by_their_owner_are_walked() {
    let closed = "import os\nos.makedirs('a/b/c')\nopen('a/b/c/file', 'w').write('x')\n[os.chmod(p, 0) for p in ('a/b/c/file', 'a/b/c', 'a/b', 'a', '.')]";
    let record = run(&Program::python(closed).file("a/b/given", "x"));
    let paths: Vec<String> = record.files.iter().map(|f| escape_path(&f.path)).collect();
    assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b/c/file"], "{record:?}");
}

#[test]
fn names_that_are_no_text_stay_apart() {
    let source = r"
import os
for name in (b'\xff', b'\xfe', b'\\xff', '\ufffd'.encode(), b'plain'):
    open(name, 'wb').write(name)
";
    let mut program = Program::python(source);
    program.read_back = vec![r"\xff".to_owned(), r"\\xff".to_owned(), "plain".to_owned()];
    let record = run(&program);
    let json = serde_json::to_value(&record).unwrap();
    let mut paths: Vec<&str> = json["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [r"\\xff", r"\xfe", r"\xff", "plain", "\u{fffd}"]);
    assert_eq!(record.contents[r"\xff"], b"\xff");
    assert_eq!(record.contents[r"\\xff"], br"\xff");
    assert_eq!(record.contents["plain"], b"plain");
}

#[test]
fn a_filter_of_its_own_is_noticed() {
    // One that refuses `ptrace` before ours sees it.
    let source = r#"
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = struct.pack("<" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, 101, 0x06, 0, 0, 0x00050001, 0x06, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = struct.pack("<HxxxxxxQ", 4, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()
assert libc.ptrace(0, 0, 0, 0) == -1
print("done")
"#;
    let record = python(source);
    assert_eq!(record.stdout_text(), "done\n", "{record:?}");
    assert!(record.refused_incomplete && !record.refused.contains_key("ptrace"), "{record:?}");
    let honest = python("import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)");
    assert!(!honest.refused_incomplete && honest.refused["ptrace"] == 1, "{honest:?}");
}

#[test]
fn the_page_cache_is_no_store() {
    let source = r#"
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/usr/bin/bash", os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
libc.readahead(fd, ctypes.c_long(0), 4096)
def refused(call, *arguments):
    try:
        call(*arguments)
    except BlockingIOError:
        return "told"
    except OSError as e:
        return e.errno
    return "done"
print(refused(os.preadv, fd, [bytearray(1)], 0, os.RWF_NOWAIT), refused(os.preadv, fd, [bytearray(1)], 0, 0))
print(refused(os.open, "/usr/bin/bash", os.O_RDONLY | os.O_DIRECT))
where = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
print(refused(where.madvise, mmap.MADV_WILLNEED), refused(where.madvise, 22), refused(where.madvise, mmap.MADV_DONTNEED))
address = ctypes.c_void_p.from_buffer_copy(b"\0" * 8)
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0))
print(libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(4096), ctypes.create_string_buffer(1)), ctypes.get_errno())
print(libc.syscall(451, fd, None, None, 0), ctypes.get_errno())
"#;
    let record = python(source);
    assert_eq!(record.stdout_text(), "95 done\n22\ndone 22 done\n-1 1\n-1 38\n", "{record:?}");
    let refused: Vec<(&str, u64)> = record.refused.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(refused, [("cachestat", 1), ("mincore", 1), ("preadv2", 1)]);
}

#[test]
fn calls_that_nobody_knows_do_not_exist() {
    let record =
        python("import ctypes\nl = ctypes.CDLL(None, use_errno=True)\nprint(l.syscall(4000), ctypes.get_errno())");
    assert_eq!(record.stdout_text(), "-1 38\n", "{record:?}");
    assert_eq!(record.refused.get("4000"), Some(&1), "{record:?}");
}

/// The deep and the crowded in the tier that works in a folder of the machine.
#[test]
fn landlock_leaves_nothing_whatever_was_made() {
    let temporary = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    // Whoever may not write there as an ordinary user has a folder of his own.
    std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let out = std::process::Command::new(exe)
        .args(["--exact", "landlock_alone", "--ignored", "--nocapture"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A supervisor that is killed removes nothing; the next one does.
#[test]
fn landlock_sweeps_after_a_killed_supervisor() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let left = || std::fs::read_dir(temporary.path()).unwrap().count();
    for (test, leaves) in [("landlock_killed", true), ("landlock_alone", false)] {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored"]).env("TMPDIR", temporary.path());
        let out = command.output().unwrap();
        assert_eq!(left() > 0, leaves, "{test}: {}{}", out.status, String::from_utf8_lossy(&out.stdout));
    }
}

#[test]
#[ignore = "run by the test above with a folder for temporary files of its own"]
fn landlock_killed() {
    let python = Some("/usr/bin/python3".into());
    let pool =
        Pool::start(PoolOptions { cells: 1, tier: Some(Tier::Landlock), python, ..PoolOptions::default() }).unwrap();
    assert!(pool.run(&Program::python("import os\nos.makedirs('a/b')\nos.chmod('a', 0)")).unwrap().success());
    std::process::abort();
}

#[test]
#[ignore = "run by the test above with a folder for temporary files of its own"]
fn landlock_alone() {
    let python = Some("/usr/bin/python3".into());
    let pool =
        Pool::start(PoolOptions { cells: 1, tier: Some(Tier::Landlock), python, ..PoolOptions::default() }).unwrap();
    let started = std::time::Instant::now();
    let deep = "import os\nfor i in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n    if i % 7 == 0: os.chmod('.', 0o500 if i % 2 else 0o700)\n";
    for source in [deep, CROWD, "import os\nos.makedirs('x/y')\nos.chmod('x/y', 0)\nos.chmod('x', 0)", "print(1)"] {
        let record = pool.run(&Program::python(source)).unwrap();
        assert_ne!(record.verdict, Verdict::Machine, "{record:?}");
    }
    drop(pool);
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn all_this_as_an_ordinary_user() {
    let _ = pool();
    common::again_as_an_ordinary_user();
}
