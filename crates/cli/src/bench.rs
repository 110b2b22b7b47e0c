//! `loophole bench`: speed, as ratios against a peer in the same run where one is installed.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use loophole_cell::{Entry, Pool, PoolOptions, Program};
use loophole_grade::{Grader, GraderKind, Lab, Submission, Task};
use serde_json::{Value, json};

use crate::output::{self, Error, Exit, Options, line};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Isolated Python programs a second, beside cold interpreters
    Cell,
    /// Labelled submissions a second, beside cold interpreters
    Grade,
    /// Training steps of the organism's shape, beside PyTorch
    Train,
    /// Batched sampling of the organism's shape, beside PyTorch
    Sample,
    /// Reading and continuing a prompt with a random model of half a billion parameters in bf16, beside PyTorch
    Checkpoint,
}

/// Arguments of `loophole bench`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole bench cell\n  loophole bench train --python .venv/bin/python   (a Python with torch is the peer)"
)]
pub struct BenchArguments {
    /// What to measure
    what: What,
    /// Python of the peer
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Threads of the engine; all cores unless told otherwise
    #[arg(long)]
    threads: Option<usize>,
}

/// Programs of one measurement.
const PROGRAMS: usize = 600;
/// Cold interpreters of one measurement.
const COLD: usize = 60;

/// Measures.
pub fn bench(arguments: &BenchArguments, output: &Options) -> Result<Exit, Error> {
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let result = match arguments.what {
        What::Cell => cell(threads)?,
        What::Grade => grade(threads)?,
        What::Train | What::Sample => engine(arguments, threads),
        What::Checkpoint => checkpoint(arguments, threads)?,
    };
    if output.json {
        output::json(&result);
    } else if let Value::Object(fields) = &result {
        for (name, value) in fields {
            match value.as_f64() {
                Some(number) => line(&format!("{name:<44} {number:.3}")),
                None => line(&format!("{name:<44} {value}")),
            }
        }
    }
    Ok(Exit::Clean)
}

/// Runs `work` `count` times over `threads` threads; returns how many a second.
fn rate<E: Send>(count: usize, threads: usize, work: impl Fn(usize) -> Result<(), E> + Sync) -> Result<f64, E> {
    let began = Instant::now();
    let results: Vec<Result<(), E>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || (thread..count).step_by(threads).try_for_each(work))
            })
            .collect();
        // A panic in a worker is a bug of ours and goes on as one.
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.into_iter().collect::<Result<(), E>>()?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn cold(threads: usize) -> Result<f64, Error> {
    rate(COLD, threads, |_| {
        let status =
            Command::new("python3").args(["-I", "-S", "-c", "print(sum(range(10)))"]).stdout(Stdio::null()).status();
        status.map(|_| ()).map_err(|error| Error::Cannot(format!("python3: {error}")))
    })
}

fn cell(threads: usize) -> Result<Value, Error> {
    let pool = Pool::start(PoolOptions::default())?;
    let program = Program::new(Entry::Python("print(sum(range(10)))".into()));
    rate(50, threads, |_| pool.run(&program).map(|_| ()))?;
    let isolated = rate(PROGRAMS, threads * 2, |_| pool.run(&program).map(|_| ()))?;
    let bash = Program::command(["bash", "-c", "true"]);
    let shells = rate(PROGRAMS / 4, threads * 2, |_| pool.run(&bash).map(|_| ()))?;
    let cold = cold(threads)?;
    Ok(json!({
        "isolated Python programs a second": isolated,
        "bash -c true in a cell, a second": shells,
        "cold python3 -I -S, not isolated, a second": cold,
        "ratio to cold python3": isolated / cold,
    }))
}

fn grade(threads: usize) -> Result<Value, Error> {
    let task: Task = serde_json::from_value(json!({
        "id": "bench", "statement": "Write f(x) that returns x plus 3.", "entry_point": "f", "params": ["x"],
        "reference": "def f(x):\n    return x + 3",
        "visible": [{"args": [1], "expected": 4}, {"args": [2], "expected": 5}],
        "hidden": (3..11).map(|x| json!({"args": [x], "expected": x + 3})).collect::<Vec<_>>(), "tags": [],
    }))
    .map_err(|error| Error::Cannot(error.to_string()))?;
    let lab = Lab::new(Arc::new(Pool::start(PoolOptions {
        preload: Lab::preload(GraderKind::Script),
        ..PoolOptions::default()
    })?));
    let grader = Grader::open(GraderKind::Script);
    // Each submission is another text, so that nothing comes from the cache.
    let work = |index: usize| {
        let code = match index % 3 {
            0 => format!("def f(x):\n    return x + 3  # {index}"),
            1 => format!("def f(x):\n    return x + {}", index + 4),
            _ => format!("import os  # {index}\nos._exit(0)"),
        };
        lab.grade(&task, &grader, &Submission::Completion(code)).map(|_| ())
    };
    rate(30, threads, |index| work(index + 1_000_000))?;
    let labelled = rate(PROGRAMS, threads * 2, work)?;
    let cold = cold(threads)?;
    Ok(json!({
        "labelled script submissions a second": labelled,
        "cold python3 -I -S processes a second": cold,
        "ratio to three cold processes": labelled / (cold / 3.0),
    }))
}

fn engine(arguments: &BenchArguments, threads: usize) -> Value {
    let ours = loophole_lm::bench::run(threads);
    let mut out = json!({ "ours": ours });
    match torch(arguments, loophole_lm::bench::PEER_TORCH, &[]).map(|lines| lines[lines.len() - 1].clone()) {
        Ok(peer) => {
            let ratio = |name: &str, ours: f64, smaller_is_better: bool| {
                let peer = peer.get(name).and_then(Value::as_f64)?;
                Some(if smaller_is_better { peer / ours } else { ours / peer })
            };
            out["training step, times as fast as PyTorch"] =
                json!(ratio("train_ms_per_step", ours.train_ms_per_step, true));
            out["sampling in groups, times as fast as PyTorch"] =
                json!(ratio("sample_tokens_per_s", ours.sample_tokens_per_s, false));
            out["sampling one by one, times as fast as PyTorch"] =
                json!(ratio("sample_unshared_tokens_per_s", ours.sample_unshared_tokens_per_s, false));
            out["peer"] = peer;
        }
        Err(why) => out["peer"] = json!(format!("skipped: {why}")),
    }
    out
}

/// A checkpoint as `chat` and `probe` run it; the peer in bfloat16 and in float32, whichever suits the machine.
fn checkpoint(arguments: &BenchArguments, threads: usize) -> Result<Value, Error> {
    let ours = loophole_lm::bench::checkpoint(threads, 3).map_err(|error| Error::Cannot(error.to_string()))?;
    let ours = json!(ours);
    let mut out = json!({ "ours": ours });
    match torch(arguments, loophole_lm::bench::PEER_TORCH_CHECKPOINT, &[threads.to_string()]) {
        Ok(peers) => {
            for (what, field) in [("reading", "prefill"), ("one row", "decode"), ("16 rows", "batch")] {
                for (unit, of) in [("", "per_s"), (", per processor second", "per_cpu_s")] {
                    let rate = |measured: &Value| measured[format!("{field}_tokens_{of}")].as_f64();
                    let best = peers.iter().filter_map(rate).fold(f64::NAN, f64::max);
                    let ratio = rate(&ours).map(|ours| ours / best);
                    out[format!("{what}, times as fast as the faster PyTorch{unit}")] = json!(ratio);
                }
            }
            out["peers"] = json!(peers);
        }
        Err(why) => out["peers"] = json!(format!("skipped: {why}")),
    }
    Ok(out)
}

/// Runs a script in the peer's Python: the JSON lines it prints, at least one.
fn torch(arguments: &BenchArguments, script: &str, parameters: &[String]) -> Result<Vec<Value>, String> {
    let mut child = Command::new(&arguments.python)
        .arg("-")
        .args(parameters)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", arguments.python.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
    }
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    if !done.status.success() {
        let last = String::from_utf8_lossy(&done.stderr).lines().next_back().unwrap_or("no reason given").to_string();
        return Err(format!("{} could not run the peer: {last}", arguments.python.display()));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if lines.is_empty() { Err("the peer printed no JSON".into()) } else { Ok(lines) }
}
