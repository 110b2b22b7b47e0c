//! Interpreters and virtual environments wherever they lie, and what a program is given beside its files.

mod common;
use common::{bash, python, run};
use loophole_cell::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A virtual environment with a module of its own.
fn environment(folder: &Path) -> PathBuf {
    let made = Command::new("/usr/bin/python3").args(["-m", "venv", "--without-pip"]).arg(folder).status().unwrap();
    assert!(made.success());
    let lib = std::fs::read_dir(folder.join("lib")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(lib.join("site-packages/only_here.py"), "WORD = 'found'\n").unwrap();
    folder.join("bin/python3")
}

const LOOK: &str = "import os, sys, only_here\nprint(only_here.WORD, sys.executable != '')\nopen('/tmp/left', 'x').close()\nprint(len(os.listdir('/tmp')), 'TOP' in os.listdir('/tmp'))\n";

fn works(pool: &Pool, top: &str) {
    for _ in 0..3 {
        let record = pool.run(&Program::python(LOOK.replace("TOP", top))).unwrap();
        assert_eq!(record.stdout_text(), "found True\n2 True\n", "{}", record.stderr_text());
        let words = ["python3", "-c", "import only_here; print(only_here.WORD)"];
        let record = pool.run(&Program::command(words)).unwrap();
        assert_eq!(record.stdout_text(), "found\n", "{}", record.stderr_text());
        let closed = "import only_here, os\ntry: open(only_here.__file__, 'a')\nexcept OSError as e: print(e.errno)\n";
        assert!(["13\n", "30\n"].contains(&&*pool.run(&Program::python(closed)).unwrap().stdout_text()));
    }
}

#[test]
fn an_environment_below_tmp() {
    let folder = tempfile::Builder::new().prefix("env").tempdir_in("/tmp").unwrap();
    let python = environment(&folder.path().join("deep/venv"));
    let top = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let pool = Pool::start(PoolOptions { python: Some(python), cells: 1, ..PoolOptions::default() }).unwrap();
    works(&pool, &top);
    let mut s = pool.session(&SessionOptions::default()).unwrap();
    let step = s.exec(&ExecRequest::new(["python3", "-c", "import only_here; print(only_here.WORD)"])).unwrap();
    assert_eq!(step.stdout, b"found\n", "{step:?}");
}

#[test]
fn the_active_environment_is_taken() {
    if std::env::var_os("VIRTUAL_ENV").is_some_and(|v| v.to_string_lossy().contains("loophole-active")) {
        let pool = Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap();
        let record = pool.run(&Program::python("import only_here; print(only_here.WORD)")).unwrap();
        assert_eq!(record.stdout_text(), "found\n", "{}", record.stderr_text());
        return;
    }
    let folder = tempfile::Builder::new().prefix("loophole-active").tempdir_in("/tmp").unwrap();
    environment(folder.path());
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_active_environment_is_taken"])
        .env("VIRTUAL_ENV", folder.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"));
}

#[test]
fn an_error_names_the_flag() {
    let options = PoolOptions { python: Some("/no/such/python3".into()), ..PoolOptions::default() };
    let error = Pool::start(options).err().unwrap().to_string();
    assert!(error.contains("--python") && error.contains("/no/such/python3"), "{error}");
}

#[test]
fn variables_and_a_folder() {
    let given = |entry: Entry, cwd: &str| {
        let env = vec![("A".into(), "b\nc=d".into()), ("HOME".into(), "/tmp".into())];
        run(&Program { env, cwd: Some(cwd.to_owned()), ..Program::new(entry) }.file("sub/x", ""))
    };
    let source = "import os; print(os.getcwd(), repr(os.environ['A']), os.environ['HOME'], os.environ['USER'])";
    let record = given(Entry::Python(source.to_owned()), "sub");
    assert_eq!(record.stdout_text(), "/box/sub 'b\\nc=d' /tmp cell\n", "{}", record.stderr_text());
    let words = ["python3", "-c", source].map(Into::into).to_vec();
    assert_eq!(given(Entry::Command(words), "/box/sub").stdout_text(), "/box/sub 'b\\nc=d' /tmp cell\n");
    let record = given(Entry::Python(source.to_owned()), "nowhere");
    assert_eq!((record.code, &*record.stderr_text()), (Some(126), "/box/nowhere: No such file or directory\n"));
    assert_eq!(python("import os; print(os.environ.get('A'))").stdout_text(), "None\n");
}

#[test]
fn objects_find_their_modules_at_the_end() {
    if common::pool().tier() == Tier::Landlock {
        println!("SKIPPED: there are no sockets without user namespaces");
        return;
    }
    let record = run(&Program {
        limits: Limits { wall_seconds: 30.0, cpu_seconds: 20.0, memory_bytes: 1 << 30, ..Limits::default() },
        ..Program::python(
            "import multiprocessing\nmanager = multiprocessing.Manager()\nitems = manager.list([1, 2])\nprint(sum(items))",
        )
    });
    assert_eq!((&*record.stdout_text(), &*record.stderr_text()), ("3\n", ""), "{:?}", record.verdict);
}

#[test]
fn a_failure_names_the_call_that_was_refused() {
    let record = python(
        "import ctypes, sys\nctypes.CDLL(None).keyctl(0, 0) if 0 else ctypes.CDLL(None).ptrace(0, 0, 0, 0)\nsys.exit('cannot go on')",
    );
    assert_eq!(record.explain().as_deref(), Some("refused: ptrace"));
    assert_eq!(record.last_words(), "cannot go on [refused: ptrace]");
    let record = python("import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)");
    assert_eq!((record.explain(), record.last_words()), (None, String::new()));
    let record = bash("cat <(echo a)");
    assert!(record.last_words().contains("--proc"), "{}", record.last_words());
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
