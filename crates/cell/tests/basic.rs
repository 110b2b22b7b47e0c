//! What an honest program sees, and what is known about it afterwards.

mod common;
use common::{bash, pool, python, run};
use loophole_cell::*;

#[test]
fn prints_and_exits() {
    let r = python("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)");
    assert_eq!((r.verdict, r.code, r.signal), (Verdict::Exit, Some(3), None), "{r:?}");
    assert_eq!((r.stdout_text().as_str(), r.stderr_text().as_str()), ("out\n", "err\n"));
    assert!(!r.success() && !r.truncated && r.files.is_empty() && r.leftover_processes == 0);
    assert!(r.peak_memory > 1 << 20 && r.wall_seconds > 0.0 && r.cpu_seconds > 0.0);
}

#[test]
fn output_is_bytes() {
    let r = python("import sys\nsys.stdout.buffer.write(bytes(range(256)))");
    assert_eq!(r.stdout, (0..=255u8).collect::<Vec<u8>>());
    assert!(serde_json::to_string(&r).unwrap().contains('\u{fffd}'));
}

#[test]
fn exit_codes_and_signals() {
    assert_eq!(python("exit()").code, Some(0));
    assert_eq!(python("raise SystemExit('text')").stderr, b"text\n");
    assert_eq!(python("import os; os._exit(77)").code, Some(77));
    assert_eq!(bash("exit 42").code, Some(42));
    for (signal, text) in [(15, "SIGTERM"), (9, "SIGKILL"), (6, "SIGABRT"), (14, "SIGALRM")] {
        let r = python(&format!("import os, signal; os.kill(os.getpid(), signal.{text})"));
        assert_eq!((r.verdict, r.signal, r.code), (Verdict::Signal, Some(signal), None), "{r:?}");
    }
    assert_eq!(run(&Program::command(["no-such-command"])).code, Some(127));
    assert_eq!(bash("yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}").stdout, b"141\n");
}

#[test]
fn tracebacks_show_the_program_only() {
    let r = python("def f():\n    return 1 / 0\n\nf()\n");
    assert_eq!(r.code, Some(1));
    let text = r.stderr_text();
    assert!(text.starts_with("Traceback (most recent call last):\n  File \"<program>\", line 4"), "{text}");
    assert!(text.contains("    return 1 / 0") && text.ends_with("ZeroDivisionError: division by zero\n"));
    let r = python("def f(:\n");
    assert!(r.code == Some(1) && r.stderr_text().contains("SyntaxError"), "{r:?}");
}

/// A program that fails is told of as Python tells of it, whether or not its zygote knows `traceback`.
#[test]
fn tracebacks_are_the_same_with_and_without_imports() {
    let body = "def f(x):\n    raise KeyError(x)\n\ndef g():\n    f('é')\n\ng()\n";
    let bare = python(body).stderr_text();
    let warm = python(&format!("import json\n{body}")).stderr_text();
    let lines = |text: &str| -> Vec<String> {
        // Python marks the part of a line that failed.
        text.lines().filter(|l| !l.trim().starts_with('^')).map(str::to_owned).collect()
    };
    let later: Vec<String> = lines(&bare).iter().map(|l| l.replace("line 2,", "line 3,")).collect();
    let later: Vec<String> =
        later.iter().map(|l| l.replace("line 5,", "line 6,").replace("line 7,", "line 8,")).collect();
    assert_eq!(later, lines(&warm));
    for chained in ["try:\n    1 / 0\nexcept ZeroDivisionError:\n    [][1]\n", "raise ValueError from KeyError()\n"] {
        assert!(python(chained).stderr_text().matches("Traceback").count() >= 1, "{chained}");
    }
    let odd = python("class E(Exception):\n    def __str__(self): raise ValueError\nraise E\n");
    assert_eq!(odd.code, Some(1));
}

#[test]
fn prepared_texts_change_nothing_but_the_time() {
    let texts = ["def twice(x):\n    return 2 * x\n", "import binascii\ndef boom():\n    raise OSError\n"];
    let prepared: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
    let pool = Pool::start(PoolOptions { prepared, ..PoolOptions::default() }).unwrap();
    let [twice, boom] = texts;
    for (source, out) in [
        (format!("{twice}print(twice(4), __name__)\n"), "8 __main__\n"),
        (format!("{boom}{twice}print(twice(5), binascii.crc32(b''))\n"), "10 0\n"),
        (format!("x = 1\n{twice}print(twice(x))\n"), "2\n"),
        (twice.to_string(), ""),
    ] {
        let r = pool.run(&Program::python(source)).unwrap();
        assert_eq!((r.code, r.stdout_text().as_str()), (Some(0), out), "{r:?}");
    }
    // Lines are counted from the very beginning.
    let r = pool.run(&Program::python(format!("{twice}{boom}\nboom()\n"))).unwrap();
    assert_eq!(r.code, Some(1));
    assert!(r.stderr_text().contains("\"<program>\", line 7, in <module>\n    boom()"), "{}", r.stderr_text());
}

#[test]
fn a_program_goes_on_from_a_checkpoint() {
    let pool = pool();
    let text: std::sync::Arc<str> = "import os, tempfile\nmade = os.getpid()\nfile = open('/dev/null')\n\
                def outer():\n    try:\n        checkpoint()\n        print(word, os.getcwd(), made == os.getpid())\n    \
                finally:\n        print('after', file.read(3) == '')\nouter()\nprint(n)\nraise SystemExit(n)\n"
        .into();
    let run = |source: &str| {
        pool.run(&Program { checkpoint: Some(text.clone()), ..Program::python(source) }.file("given.txt", "7")).unwrap()
    };
    for word in ["one", "two"] {
        let r = run(&format!("word = '{word}'\nn = int(open('given.txt').read())\n"));
        let wanted = format!("{word} /box False\nafter True\n7\n");
        assert_eq!((r.stdout_text(), r.stderr_text(), r.code), (wanted, String::new(), Some(7)), "{r:?}");
    }
    let r = run("def f():\n    return 1 / 0\nf()\n");
    assert_eq!((r.code, r.stdout_text().as_str()), (Some(1), "after True\n"), "{r:?}");
    assert!(r.stderr_text().contains("File \"<program>\", line 2, in f"), "{}", r.stderr_text());
    let r = pool.run(&Program { checkpoint: Some("1 / 0".into()), ..Program::python("") });
    assert!(matches!(&r, Err(CellError::Machine(why)) if why.contains("ZeroDivisionError")), "{r:?}");
    let r = pool.run(&Program { checkpoint: Some(text), ..Program::command(["true"]) });
    assert!(matches!(r, Err(CellError::BadProgram(_))), "{r:?}");
}

#[test]
fn input_files_arguments_and_folders() {
    let mut p = Program::python(
        "import sys, os, helper, pkg.mod\n\
         print(sys.stdin.read(), sys.argv[1:], helper.X, pkg.mod.Y, os.getcwd(), sys.path[0], __name__)\n\
         print(open('data.bin', 'rb').read(), os.access('tool.sh', os.X_OK), input.__name__)",
    )
    .file("helper.py", "X = 1\n")
    .file("pkg/mod.py", "Y = 2\n")
    .file("data.bin", vec![0u8, 255, 10]);
    p.files.push(InputFile { path: "tool.sh".into(), content: b"#!/bin/sh\n".to_vec(), executable: true });
    p.stdin = b"typed".to_vec();
    p.args = vec!["a".into(), "b c".into()];
    let r = run(&p);
    assert_eq!(
        r.stdout_text(),
        "typed ['a', 'b c'] 1 2 /box /box __main__\nb'\\x00\\xff\\n' True input\n",
        "{}",
        r.stderr_text()
    );
    assert!(r.files.is_empty(), "{:?}", r.files);
    let mut p = Program::new(Entry::PythonFile("main.py".into()))
        .file("main.py", "import other, sys\nprint(__file__, __name__, other.Z, sys.argv)")
        .file("other.py", "Z = 9");
    p.args = vec!["x".into()];
    assert_eq!(run(&p).stdout_text(), "/box/main.py __main__ 9 ['/box/main.py', 'x']\n");
    assert_eq!(run(&Program::new(Entry::PythonFile("none.py".into()))).code, Some(2));
}

#[test]
fn arguments_variables_and_names_are_bytes() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let odd = || OsString::from_vec(b"a\xff\x80 \\\xc3\xbc".to_vec());
    let say = "import sys, os\nprint(os.fsencode(sys.argv[-1]), os.environb[b'\\xfe'])\n\
               print(sorted(os.walk(b'.')), open(b'd/n\\xff').read(), open(b'back\\\\slash').read())";
    for entry in [Entry::Python(say.into()), Entry::Command(["python3", "-c", say].map(Into::into).to_vec())] {
        let mut p = Program::new(entry).file("d/n\\xff", "odd").file("back\\\\slash", "one");
        p.args = vec![odd()];
        p.env = vec![(OsString::from_vec(vec![0xfe]), odd())];
        p.folders = vec!["empty/e\\xfe".into(), "d".into()];
        p.read_back = vec!["d/n\\xff".into()];
        let r = run(&p);
        let bytes = "b'a\\xff\\x80 \\\\\\xc3\\xbc'";
        let tree = "[(b'.', [b'd', b'empty'], [b'back\\\\slash']), (b'./d', [], [b'n\\xff']), \
                    (b'./empty', [b'e\\xfe'], []), (b'./empty/e\\xfe', [], [])]";
        assert_eq!(r.stdout_text(), format!("{bytes} {bytes}\n{tree} odd one\n"), "{}", r.stderr_text());
        assert!(r.files.is_empty(), "{:?}", r.files);
        assert_eq!(r.contents["d/n\\xff"], b"odd");
    }
    // A folder that was given is missed and looked at as a file is.
    let changed = run(&Program { folders: vec!["e".into()], ..Program::python("import os; os.chmod('e', 0o700)") });
    assert_eq!((changed.files.len(), &changed.files[0].path[..]), (1, &b"e"[..]), "{:?}", changed.files);
}

#[test]
fn the_standard_library_is_there() {
    let r = python(
        "import unittest, json, math, re, collections, random, itertools, functools, string, typing\n\
         import heapq, bisect, copy, datetime, tempfile, subprocess, threading, asyncio, hashlib, decimal\n\
         t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
         print(subprocess.run(['echo', 'sub'], capture_output=True, text=True).stdout, end='')\n\
         async def f(): return 'async'\n\
         print(asyncio.run(f()))\n\
         with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('y')\n",
    );
    assert_eq!(r.stdout_text(), "thread\nsub\nasync\n", "{}", r.stderr_text());
    let cold =
        run(&Program::command(["python3", "-c", "import sys, json; print(json.dumps([1]), sys.version_info[:3])"]));
    let (a, b, c) = pool().python_version();
    assert_eq!(cold.stdout_text(), format!("[1] ({a}, {b}, {c})\n"), "{}", cold.stderr_text());
}

#[test]
fn every_change_of_a_file_is_told() {
    let mut p = Program::python(
        "import os\n\
         open('new.txt', 'w').write('hello')\n\
         open('edit.txt', 'a').write('!')\n\
         os.remove('gone.txt'); os.chmod('mode.txt', 0o600)\n\
         os.makedirs('d/e'); os.symlink('/etc/shadow', 'd/link'); os.mkfifo('pipe')\n\
         unflushed = open('late.txt', 'w'); unflushed.write('late')\n\
         os.chmod('new.txt', 0)\n",
    );
    for name in ["edit.txt", "gone.txt", "mode.txt", "same.txt"] {
        p = p.file(name, "given");
    }
    p.read_back = ["new.txt", "/box/same.txt", "late.txt", "d/link", "absent"].map(String::from).to_vec();
    let r = run(&p);
    assert!(r.success(), "{}", r.stderr_text());
    let seen: Vec<_> = r
        .files
        .iter()
        .map(|f| (String::from_utf8_lossy(&f.path).into_owned(), f.change, f.kind, f.mode, f.size))
        .collect();
    use {Change::*, FileKind::*};
    let want = [
        ("d", Created, Folder, 0o755, 0),
        ("d/e", Created, Folder, 0o755, 0),
        ("d/link", Created, Link, 0o777, 11),
        ("edit.txt", Changed, File, 0o644, 6),
        ("gone.txt", Removed, File, 0o644, 5),
        ("late.txt", Created, File, 0o644, 4),
        ("mode.txt", Changed, File, 0o600, 5),
        ("new.txt", Created, File, 0, 5),
        ("pipe", Created, Fifo, 0o644, 0),
    ];
    let want: Vec<_> = want.map(|(p, c, k, m, s)| (p.to_owned(), c, k, m, s)).to_vec();
    assert_eq!(seen, want);
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(r.files[7].sha256.as_deref(), Some(hello));
    assert_eq!(r.contents.len(), 3);
    assert_eq!((&r.contents["new.txt"][..], &r.contents["/box/same.txt"][..]), (&b"hello"[..], &b"given"[..]));
}

#[test]
fn the_record_is_the_documented_one() {
    let json = serde_json::to_value(python("open('f', 'w').write('x')")).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut want = vec![
        "verdict",
        "code",
        "signal",
        "stdout",
        "stderr",
        "truncated",
        "cpu_seconds",
        "wall_seconds",
        "peak_memory",
        "proc",
        "files",
        "leftover_processes",
        "refused",
        "tier",
    ];
    want.sort_unstable();
    assert_eq!(keys, want);
    assert_eq!((&json["verdict"], &json["code"], &json["tier"]), (&"exit".into(), &0.into(), &"namespaces".into()));
    let file = &json["files"][0];
    assert_eq!((&file["path"], &file["change"], &file["kind"]), (&"f".into(), &"created".into(), &"file".into()));
    assert_eq!(file.as_object().unwrap().len(), 6);
}

#[test]
fn runs_are_repeatable() {
    let p = "import random, os\nprint(hash('a'), random.random(), id(object()), os.getpid(), sorted(os.environ))";
    assert_eq!(python(p).stdout, python(p).stdout);
}

#[test]
fn bad_programs_are_refused() {
    for path in ["/abs", "../up", "a/../b", "", "a//b", "a/", "./a", "nul\0", r"\x2e./a", r"a\x2f.", r"\x00"] {
        let r = pool().run(&Program::python("").file(path, ""));
        assert!(matches!(r, Err(CellError::BadProgram(_))), "{path:?}");
    }
    assert!(pool().run(&Program::python("").file("a", "").file("a", "")).is_err());
    assert!(pool().run(&Program::command(Vec::<String>::new())).is_err());
}

#[test]
fn a_dead_zygote_is_replaced() {
    let pool = Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap();
    assert!(pool.run(&Program::python("")).unwrap().success());
    let before = pool.zygote_pids();
    let kill = |pid: i32| {
        let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    };
    before.iter().for_each(|z| kill(*z));
    assert!(pool.run(&Program::python("")).unwrap().success());
    assert_ne!(pool.zygote_pids(), before);
    // In the middle of a run: retried once, not charged to the program.
    std::thread::scope(|s| {
        let run = s.spawn(|| pool.run(&Program::python("import time; time.sleep(1); print('done')")).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(400));
        pool.zygote_pids().into_iter().for_each(kill);
        assert_eq!(run.join().unwrap().stdout, b"done\n");
    });
}

#[test]
fn a_missing_python_is_an_error() {
    let with = |p: &str| Pool::start(PoolOptions { python: Some(p.into()), ..PoolOptions::default() });
    assert!(matches!(with("/no/such/python3"), Err(CellError::NoPython { .. })));
    assert!(matches!(with("/bin/true"), Err(CellError::NoPython { .. })));
}

#[test]
fn doctor_finds_what_the_tests_need() {
    let checks = doctor();
    for name in ["python3", "namespaces", "bash"] {
        let c = checks.iter().find(|c| c.name == name).unwrap();
        assert!(c.ok, "{c:?}");
    }
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}

#[test]
fn roots_lead_into_the_box() {
    let start = |roots: &[&str]| {
        Pool::start(PoolOptions {
            cells: 1,
            roots: roots.iter().map(|r| r.to_string()).collect(),
            ..PoolOptions::default()
        })
    };
    let program = Program::command(["bash", "-c", "cd /app && cat in && mkdir -p /logs/x && echo 1 >/logs/x/y"])
        .file("app/in", "hello\n");
    let mut program = program.file("logs/keep", "");
    program.read_back.push("logs/x/y".into());
    let record = start(&["app", "logs"]).unwrap().run(&program).unwrap();
    assert_eq!(
        (record.stdout_text().as_str(), record.contents["logs/x/y"].as_slice()),
        ("hello\n", b"1\n".as_slice()),
        "{record:?}"
    );
    for taken in ["usr", "tmp", "box", "proc", "a/b", "..", ""] {
        assert!(matches!(start(&[taken]), Err(CellError::BadProgram(_))), "{taken}");
    }
}

/// A cell that takes back what it gave must not be handed on with anything else in it.
#[test]
fn nothing_of_a_program_with_files_is_left_for_the_next() {
    let pool = Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap();
    let given = || vec![InputFile::new("a.py", "x = 1\n"), InputFile::new("deep/er/b.txt", "b")];
    let look = "import os\n\
                def say(p):\n    s = os.lstat(p)\n    print(p, oct(s.st_mode), s.st_size, s.st_nlink, os.listxattr(p))\n\
                for top in ('/box', '/tmp'):\n    for d, _, files in os.walk(top):\n        say(d)\n        \
                for f in files: say(d + '/' + f)\n";
    let run = |source: &str| pool.run(&Program { files: given(), ..Program::python(source) }).unwrap();
    let clean = run(look);
    assert!(clean.files.is_empty());
    for leaves in [
        "",
        "open('/box/a.py', 'a').write('y = 2\\n' * 100000)",
        "open('/box/deep/er/b.txt', 'w')",
        "os.unlink('/box/a.py')",
        "os.unlink('/box/deep/er/b.txt')",
        "os.unlink('/box/a.py'); open('/box/a.py', 'w').write('x = 1\\n')",
        "open('/box/new', 'w')",
        "open('/box/deep/new', 'w')",
        "os.mkdir('/box/deep/er/more'); os.rmdir('/box/deep/er/more')",
        "os.chmod('/box', 0o700)",
        "os.chmod('/box/deep', 0)",
        "os.chmod('/box/a.py', 0)",
        "os.setxattr('/box', 'user.note', b'1')",
        "os.setxattr('/box/deep', 'user.note', b'1')",
        "os.link('/box/a.py', '/box/deep/c')",
        "os.rename('/box/deep', '/box/deeper')",
        "os.rename('/box/a.py', '/box/deep/er/b.txt')",
        "os.symlink('/', '/box/deep/er/l')",
        "os.utime('/box', (5, 5))",
        "open('/tmp/x', 'w')",
        "os.open('/box', os.O_TMPFILE | os.O_RDWR)",
    ] {
        run(&format!(
            "import os\ntry:\n    {leaves}\nexcept OSError as e:\n    pass\n",
            leaves = if leaves.is_empty() { "pass" } else { leaves }
        ));
        let after = run(look);
        assert_eq!(String::from_utf8_lossy(&after.stdout), String::from_utf8_lossy(&clean.stdout), "after {leaves}");
        assert!(after.files.is_empty(), "after {leaves}: {:?}", after.files);
        let bare = pool
            .run(&Program::python("import os; print(os.listdir('/box'), os.listdir('/tmp'), os.stat('/box').st_mtime)"))
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&bare.stdout), "[] [] 1.0\n", "after {leaves}");
    }
}
