//! CPU per program.
use loophole_cell::{Pool, PoolOptions, Program};
fn stat(pid: i32) -> f64 {
    let s = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let f: Vec<&str> = s[s.rfind(')').unwrap() + 2..].split(' ').collect();
    (11..15).map(|i| f[i].parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
fn faults(pid: i32) -> (u64, u64) {
    let s = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let f: Vec<&str> = s[s.rfind(')').unwrap() + 2..].split(' ').collect();
    (f[7].parse().unwrap(), f[8].parse().unwrap())
}
fn main() {
    let n: usize = std::env::args().nth(1).map_or(1000, |a| a.parse().unwrap());
    let pool = Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap();
    println!("{:?}", pool.describe());
    let total = || pool.zygote_pids().iter().map(|p| stat(*p)).sum::<f64>() + stat(std::process::id() as i32);
    let only = std::env::args().nth(2);
    for (name, p) in [
        ("light", Program::python("print(sum(range(10)))")),
        ("std", Program::python("import json\nprint(sum(range(10)))")),
        ("files", Program::python("print(sum(range(10)))").file("data.txt", "one\ntwo\n")),
        ("bash", Program::command(["bash", "-c", "true"])),
    ] {
        if only.as_deref().is_some_and(|o| o != name) {
            continue;
        }
        for _ in 0..20 {
            assert!(pool.run(&p).unwrap().success());
        }
        let (c, me) = (total(), stat(std::process::id() as i32));
        let f0: Vec<_> = pool.zygote_pids().iter().map(|p| (faults(*p), stat(*p))).collect();
        let t = std::time::Instant::now();
        for _ in 0..n {
            assert!(pool.run(&p).unwrap().success());
        }
        println!(
            "{name}: {:.0} us cpu ({:.0} supervisor), {:.0} us wall",
            (total() - c) / n as f64 * 1e6,
            (stat(std::process::id() as i32) - me) / n as f64 * 1e6,
            t.elapsed().as_secs_f64() / n as f64 * 1e6
        );
    }
}
