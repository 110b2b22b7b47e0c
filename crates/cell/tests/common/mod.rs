//! One pool for all tests of a file.
#![allow(dead_code)]

use loophole_cell::{Pool, PoolOptions, Program, Record};
use std::sync::OnceLock;

pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::start(PoolOptions { cells: 3, ..PoolOptions::default() }).expect("a pool"))
}

pub fn run(program: &Program) -> Record {
    pool().run(program).expect("a record")
}

pub fn python(source: &str) -> Record {
    run(&Program::python(source))
}

pub fn bash(script: &str) -> Record {
    run(&Program::command(["bash", "-c", script]))
}

/// Runs all tests of this binary once more as an ordinary user, where this one is root.
pub fn again_as_an_ordinary_user() {
    use std::os::unix::process::CommandExt;
    // The marker keeps the second run from starting a third.
    if std::env::var_os("CELL_TEST_AGAIN").is_some() {
        return;
    }
    let me = std::process::Command::new("id").arg("-u").output().expect("id").stdout;
    if me != b"0\n" {
        eprintln!("not root: this suite already ran as an ordinary user");
        return;
    }
    let exe = std::env::current_exe().expect("own path");
    let out = std::process::Command::new(&exe)
        .args(["--test-threads", "2"])
        .env_clear()
        .env("CELL_TEST_AGAIN", "1")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output();
    match out {
        Err(e) => eprintln!("SKIPPED as an ordinary user: {} cannot be started: {e}", exe.display()),
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(out.status.success(), "as nobody:\n{text}\n{}", String::from_utf8_lossy(&out.stderr));
            assert!(text.contains(" 0 failed"), "{text}");
        }
    }
}
