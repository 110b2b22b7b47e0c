//! A supervisor that is killed takes everything along that runs in its cells.

mod common;
use loophole_cell::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the tier to the copy of this program that is to be killed.
const TIER: &str = "CELL_TEST_KILLED";

/// Everything below a process.
fn below(root: i32) -> Vec<i32> {
    let list = |pid: i32| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let text: String = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok()).collect();
        text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<i32>>()
    };
    let (mut found, mut next) = (Vec::new(), list(root));
    while let Some(pid) = next.pop() {
        found.push(pid);
        next.extend(list(pid));
    }
    found
}

/// In the copy: a program that wants to live on, in a cell of the tier.
fn supervise(tier: &str) {
    let tier = if tier == "namespaces" { Tier::Namespaces } else { Tier::Landlock };
    let python = Some("/usr/bin/python3".into());
    let pool = match Pool::start(PoolOptions { cells: 1, tier: Some(tier), python, ..PoolOptions::default() }) {
        Ok(pool) => pool,
        Err(e) => return println!("ABSENT {e}"),
    };
    let stubborn = "import os, signal, time\n\
        for s in range(1, 65):\n\
        \x20   try: signal.signal(s, signal.SIG_IGN)\n\
        \x20   except (OSError, ValueError): pass\n\
        for i in range(2):\n\
        \x20   if os.fork() == 0:\n\
        \x20       os.setsid()\n\
        \x20       os.fork()\n\
        time.sleep(50)";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pool.run(&Program {
                limits: Limits { wall_seconds: 40.0, ..Limits::default() },
                ..Program::python(stubborn)
            })
        });
        // The zygote, process 1 where there is a namespace, and five processes of the program.
        let me = std::process::id() as i32;
        while below(me).len() < 6 {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        println!("READY {:?}", below(me));
    });
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    if let Ok(tier) = std::env::var(TIER) {
        return supervise(&tier);
    }
    for tier in ["namespaces", "landlock"] {
        let mut copy = Command::new(std::env::current_exe().unwrap())
            .args(["nothing_outlives_a_killed_supervisor", "--exact", "--nocapture"])
            .env(TIER, tier)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(copy.stdout.take().unwrap()).lines();
        let line = lines.map(|l| l.unwrap()).find(|l| l.contains("READY ") || l.contains("ABSENT ")).unwrap();
        let pids: Vec<i32> = match line.split_once("READY ") {
            Some((_, list)) => list.trim_matches(['[', ']']).split(", ").map(|n| n.parse().unwrap()).collect(),
            None => {
                println!("SKIPPED {tier}: {line}");
                copy.wait().unwrap();
                continue;
            }
        };
        assert!(pids.len() >= 6, "{line}");
        copy.kill().unwrap();
        copy.wait().unwrap();
        let alive = || {
            let is =
                |pid: &&i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
            pids.iter().filter(is).copied().collect::<Vec<i32>>()
        };
        let end = Instant::now() + Duration::from_secs(5);
        while !alive().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let left = alive();
        for pid in &left {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        assert!(left.is_empty(), "{tier}: {} of {} processes outlived their supervisor", left.len(), pids.len());
    }
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
