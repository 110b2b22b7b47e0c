//! Programs per second: `cargo run --release -p loophole-cell --example throughput [SECONDS] [THREADS]`.

use loophole_cell::{Pool, PoolOptions, Program};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let seconds: f64 = args.next().map_or(Ok(5.0), |a| a.parse())?;
    let cores = std::thread::available_parallelism()?.get();
    let threads: usize = args.next().map_or(Ok(cores), |a| a.parse())?;
    let start = Instant::now();
    let pool = Pool::start(PoolOptions::default())?;
    println!("pool ready after {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let program = Program::python("print(sum(range(10)))")
        .file("data.txt", "one\ntwo\n")
        .file("helper.py", "def f():\n    return 1\n");
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let mut times: Vec<f64> = std::thread::scope(|s| {
        let work = || {
            let mut times = Vec::new();
            while Instant::now() < end {
                let t = Instant::now();
                let record = pool.run(&program).expect("a cell");
                assert!(record.success() && record.stdout == b"45\n", "{record:?}");
                times.push(t.elapsed().as_secs_f64());
            }
            times
        };
        let all: Vec<_> = (0..threads).map(|_| s.spawn(work)).collect();
        all.into_iter().flat_map(|t| t.join().expect("a worker")).collect()
    });
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize] * 1e3;
    println!(
        "{rate:.0} programs/s with {threads} threads; p10 {:.2} p50 {:.2} p99 {:.2} ms",
        at(0.1),
        at(0.5),
        at(0.99)
    );
    Ok(())
}
