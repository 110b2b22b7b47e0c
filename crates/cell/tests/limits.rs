//! Every limit has its verdict, and is over soon.

mod common;
use common::run;
use loophole_cell::*;

fn limited(source: &str, change: impl Fn(&mut Limits)) -> Record {
    let mut p = Program::python(source);
    change(&mut p.limits);
    run(&p)
}

#[test]
fn cpu() {
    let r = limited("while True: pass", |l| l.cpu_seconds = 0.3);
    assert_eq!(r.verdict, Verdict::Cpu, "{r:?}");
    assert!(r.cpu_seconds >= 0.3 && r.cpu_seconds < 1.5, "{r:?}");
    let stubborn = "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\nwhile True: pass";
    assert_eq!(limited(stubborn, |l| l.cpu_seconds = 0.3).verdict, Verdict::Cpu);
}

#[test]
fn wall() {
    let r = limited("print('x', flush=True)\nimport time\ntime.sleep(60)", |l| l.wall_seconds = 0.3);
    assert_eq!((r.verdict, &r.stdout[..]), (Verdict::Wall, &b"x\n"[..]));
    assert!(r.wall_seconds < 3.0);
    let stopped = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)";
    assert_eq!(limited(stopped, |l| l.wall_seconds = 0.3).verdict, Verdict::Wall);
}

#[test]
fn memory() {
    let r = limited("x = []\nwhile True: x.append(bytearray(1 << 20))", |l| l.memory_bytes = 128 << 20);
    assert_eq!((r.verdict, r.code), (Verdict::Memory, Some(1)), "{r:?}");
    assert!(r.peak_memory < 128 << 20);
}

#[test]
fn processes() {
    let bomb = "import os, time\nwhile True:\n  if os.fork() == 0: time.sleep(30)";
    let r = limited(bomb, |l| l.processes = 10);
    assert_eq!(r.verdict, Verdict::Pids, "{r:?}");
    assert!((7..=10).contains(&r.leftover_processes), "{r:?}");
    let threads = "import threading, time\nfor i in range(100): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()";
    assert_eq!(limited(threads, |l| l.processes = 8).verdict, Verdict::Pids);
}

#[test]
fn output() {
    let r = limited("while True: print('y' * 1000)", |l| {
        l.output_bytes = 10_000;
        l.file_bytes = 1 << 20;
    });
    assert_eq!((r.verdict, r.truncated, r.stdout.len()), (Verdict::Output, true, 10_000));
}

#[test]
fn disk() {
    let r = limited("f = open('big', 'wb')\nwhile True: f.write(bytes(65536))", |l| l.file_bytes = 1 << 20);
    assert_eq!(r.verdict, Verdict::Disk, "{r:?}");
    let many = "for i in range(100): open(str(i), 'wb').write(bytes(1 << 19))";
    let r = limited(many, |l| l.file_bytes = 1 << 20);
    assert_eq!(r.verdict, Verdict::Disk, "{r:?}");
    let empty = "i = 0\nwhile True:\n  open(str(i), 'wb').close(); i += 1";
    let r = limited(empty, |l| l.cpu_seconds = 20.0);
    assert_eq!(r.verdict, Verdict::Disk, "{:?} {}", r.verdict, r.stderr_text());
    assert!(r.files.len() > 8000);
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
