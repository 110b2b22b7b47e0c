//! The weaker tiers: what they hold, what they say of themselves, and when they are taken.

mod common;
use loophole_cell::*;

/// A pool of a tier, of an interpreter that any user can reach.
fn pool(tier: Tier) -> Pool {
    let python = std::path::Path::new("/usr/bin/python3");
    let python = python.exists().then(|| python.to_path_buf());
    Pool::start(PoolOptions { cells: 2, tier: Some(tier), python, ..PoolOptions::default() }).expect("a pool")
}

fn works(pool: &Pool, tier: Tier) {
    let mut p = Program::python(
        "import os, sys, json\nprint(sys.stdin.read(), open('data').read(), sys.argv[1:])\n\
         open('made', 'w').write('x'); open(os.environ['TMPDIR'] + '/t', 'w').write('y')\nsys.exit(3)",
    )
    .file("data", "given");
    p.stdin = b"typed".to_vec();
    p.args = vec!["a".into()];
    p.read_back.push("made".to_owned());
    for _ in 0..2 {
        let r = pool.run(&p).unwrap();
        assert_eq!((r.verdict, r.code, r.tier), (Verdict::Exit, Some(3), tier), "{r:?}");
        assert_eq!((r.stdout_text().as_str(), &r.contents["made"][..]), ("typed given ['a']\n", &b"x"[..]), "{r:?}");
        assert_eq!((r.files.len(), r.files[0].change), (1, Change::Created), "{:?}", r.files);
    }
    let r = pool.run(&Program::command(["bash", "-c", "sleep 50 & sleep 60 & echo hi; kill -9 $$"])).unwrap();
    assert_eq!((r.signal, &r.stdout[..], r.leftover_processes), (Some(9), &b"hi\n"[..], 2), "{r:?}");
    let mut busy = Program::python("while True: pass");
    busy.limits.cpu_seconds = 0.3;
    assert_eq!(pool.run(&busy).unwrap().verdict, Verdict::Cpu);
    let mut slow = Program::python("import os, time\nfor i in range(3): os.fork()\ntime.sleep(60)");
    slow.limits.wall_seconds = 0.4;
    let r = pool.run(&slow).unwrap();
    assert_eq!((r.verdict, r.leftover_processes), (Verdict::Wall, 7), "{r:?}");
    let mut full = Program::python(
        "f = open('f', 'wb')\nfor i in range(99): open(str(i), 'wb').write(bytes(1 << 20))\nimport time; time.sleep(9)",
    );
    full.limits.file_bytes = 1 << 20;
    assert_eq!(pool.run(&full).unwrap().verdict, Verdict::Disk);
    let mut s = pool.session(&SessionOptions::default()).unwrap();
    assert_eq!(s.run("echo a > f; cat f; sleep 99 & true").unwrap().background, 1);
    assert_eq!(s.read_file("f").unwrap().unwrap(), b"a\n");
    let r = s.finish().unwrap();
    assert_eq!((r.leftover_processes, r.files.len()), (1, 1), "{r:?}");
}

#[test]
fn landlock() {
    let pool = pool(Tier::Landlock);
    works(&pool, Tier::Landlock);
    let secret = std::env::temp_dir().join(format!("tier-{}", std::process::id()));
    std::fs::write(&secret, "secret").unwrap();
    let r = pool
        .run(&Program::python(format!(
            "import os, socket, signal\n\
             def t(f, *a):\n\
             \x20   try: return 'done ' + str(f(*a))\n\
             \x20   except OSError as e: return type(e).__name__\n\
             print(t(open, {secret:?}), t(open, '/etc/passwd'), t(open, '/proc/1/environ'), t(os.listdir, '/'))\n\
             print(t(socket.socket), t(os.kill, {}, 0), t(os.kill, os.getpid(), 0), t(open, {secret:?}, 'w'))",
            std::process::id()
        )))
        .unwrap();
    std::fs::remove_file(secret).unwrap();
    let no = "PermissionError";
    assert_eq!(r.stdout_text(), format!("{no} {no} {no} {no}\n{no} {no} done None {no}\n"), "{}", r.stderr_text());
    assert_eq!(r.refused.get("socket"), Some(&1), "{:?}", r.refused);
}

#[test]
fn no_isolation() {
    works(&pool(Tier::None), Tier::None);
}

#[test]
fn nothing_is_left_of_a_pool() {
    let pid = {
        let pool = pool(Tier::Landlock);
        assert!(pool.run(&Program::python("")).unwrap().success());
        pool.zygote_pids()
    };
    assert!(pid.iter().all(|p| !std::path::Path::new(&format!("/proc/{p}")).exists()));
}

#[test]
fn where_user_namespaces_are_forbidden_landlock_is_taken() {
    if std::env::var_os("CELL_TEST_FORBIDDEN").is_some() {
        let python = Some("/usr/bin/python3".into());
        let pool = Pool::start(PoolOptions { cells: 1, python, ..PoolOptions::default() }).unwrap();
        let r = pool.run(&Program::python("print(1)")).unwrap();
        assert_eq!((r.success(), r.tier), (true, Tier::Landlock), "{r:?}");
        return;
    }
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" --exact where_user_namespaces_are_forbidden_landlock_is_taken";
    let exe = std::env::current_exe().unwrap();
    let out = std::process::Command::new("unshare")
        .args(["-U", "-r", "sh", "-c", script])
        .arg(exe)
        .env("CELL_TEST_FORBIDDEN", "1")
        .output();
    match out {
        Ok(out) if out.status.success() => assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
