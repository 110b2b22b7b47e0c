//! The machine fails: zygotes die at every moment. No program is charged for it, and nothing hangs.

mod common;
use loophole_cell::*;
use std::time::{Duration, Instant};

fn kill(pid: i32) {
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
}

#[test]
fn a_zygote_killed_at_any_step_is_replaced() {
    let pool = Pool::start(PoolOptions { cells: 2, ..PoolOptions::default() }).unwrap();
    let program =
        || Program::python("import json\nopen('f', 'w').write('x')\nprint(json.dumps([1, 2]))").file("g", "y");
    assert!(pool.run(&program()).unwrap().success());
    let (mut whole, mut machine) = (0, 0);
    for i in 0..40u64 {
        std::thread::scope(|s| {
            let run = s.spawn(|| pool.run(&program()));
            // From before the job is handed over until after the record is made.
            std::thread::sleep(Duration::from_micros(i * 150));
            pool.zygote_pids().into_iter().for_each(kill);
            let start = Instant::now();
            let r = run.join().unwrap().unwrap();
            assert!(start.elapsed() < Duration::from_secs(20), "step {i}: {:?}", start.elapsed());
            match r.verdict {
                Verdict::Exit => {
                    assert_eq!((r.code, r.stdout_text().as_str()), (Some(0), "[1, 2]\n"), "step {i}: {r:?}");
                    assert_eq!(r.files.len(), 1, "step {i}: {:?}", r.files);
                    whole += 1;
                }
                Verdict::Machine => machine += 1,
                other => panic!("step {i}: {other:?} {r:?}"),
            }
        });
    }
    assert!(whole > 0, "{whole} whole, {machine} failed by the machine");
    assert!(pool.run(&program()).unwrap().success());
}

#[test]
fn a_session_whose_cell_dies_says_so() {
    let pool = Pool::start(PoolOptions { cells: 1, shell_only: true, ..PoolOptions::default() }).unwrap();
    let mut session = pool.session(&SessionOptions::default()).unwrap();
    assert_eq!(session.run("echo 1").unwrap().stdout, b"1\n");
    pool.zygote_pids().into_iter().for_each(kill);
    // The kernel takes a moment to end all that is in the cell.
    let dead = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        session.run("echo 2").is_err()
    });
    assert!(dead && session.run("echo 3").is_err());
    drop(session);
    assert_eq!(pool.session(&SessionOptions::default()).unwrap().run("echo 4").unwrap().stdout, b"4\n");
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
