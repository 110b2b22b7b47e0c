//! `loophole bench`: speed, as ratios against a peer in the same run where one is installed.

mod cell;
mod cpu;
mod grade;
mod peers;
mod probe;
mod serve;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::output::{self, Error, Exit, Options, line};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Isolated programs beside plain forks, cold interpreters, bubblewrap and nsjail
    Cell,
    /// Labelled submissions a second, beside cold interpreters
    Grade,
    /// Submissions over HTTP from 64 clients, beside `loophole grade`; an endless program among them; a killed server
    Serve,
    /// Training steps of the organism's shape, beside PyTorch
    Train,
    /// Batched sampling of the organism's shape, beside PyTorch
    Sample,
    /// Episodes of an agent with a scripted model, beside Inspect with its local sandbox
    Probe,
    /// How often an audit is right: seeded holes and sound graders, and the time of one
    Audit,
    /// Reading and continuing a prompt with a random model of half a billion parameters in bf16, beside PyTorch
    Checkpoint,
}

/// Arguments of `loophole bench`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole bench cell --humaneval HumanEval.jsonl.gz\n  loophole bench train --python .venv/bin/python   (a Python with torch is the peer)\n  loophole bench probe --python .venv/bin/python   (a Python with inspect_ai)"
)]
pub struct BenchArguments {
    /// What to measure
    what: What,
    /// Python of the peer (audit: of the cells; with pytest, its graders are calibrated too)
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Threads of the engine; all cores unless told otherwise
    #[arg(long)]
    threads: Option<usize>,
    /// HumanEval's problems for `cell`; without them a problem of our own stands in
    #[arg(long, value_name = "FILE")]
    humaneval: Option<PathBuf>,
    /// Rounds of `cell` and `serve`; all that is compared is measured in each of them, and medians are reported
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// Cold interpreters of one measurement.
const COLD: usize = 60;

/// A file by a name that holds in every folder; a command stays as it is.
fn from_anywhere(python: &Path) -> PathBuf {
    std::path::absolute(python).ok().filter(|path| path.exists()).unwrap_or_else(|| python.to_path_buf())
}

/// Measures.
pub fn bench(arguments: &BenchArguments, output: &Options) -> Result<Exit, Error> {
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let result = match arguments.what {
        What::Cell => return cell::bench(arguments, threads, output),
        What::Grade => grade::measure(threads, &from_anywhere(&arguments.python))?,
        What::Audit => audit(arguments, output)?,
        What::Serve => serve::measure(arguments.rounds)?,
        What::Train | What::Sample => engine(arguments, threads),
        What::Probe => probe::bench(&arguments.python)?,
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

/// Recall on graders with seeded holes, false findings on sound ones, and the time of a whole audit.
fn audit(arguments: &BenchArguments, output: &Options) -> Result<Value, Error> {
    let python = (arguments.python != Path::new("python3")).then_some(arguments.python.as_path());
    let file = tempfile_of(
        "{\"id\": \"sum\", \"entry_point\": \"add\", \"reference\": \"def add(a, b):\\n    return a + b\", \
         \"visible\": [{\"args\": [1, 2], \"expected\": 3}, {\"args\": [10, -4], \"expected\": 6}], \
         \"hidden\": [{\"args\": [5, 5], \"expected\": 10}, {\"args\": [-1, -1], \"expected\": -2}]}\n",
    )?;
    let settings = loophole_env::Settings::default();
    let targets = loophole_env::open(&file.display().to_string(), &settings)?;
    let plan = loophole_audit::Options::default();
    let whole = targets.first().map(|t| loophole_audit::audit(t.as_ref(), &plan, &|_| {})).transpose()?;
    // A file in the temporary folder does no harm if it stays.
    let _ = std::fs::remove_file(&file);

    let bar = output.bar(0);
    let calibration = loophole_audit::calibrate(python, false, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let mut value = json!(calibration);
    value["recall"] = json!(calibration.found as f64 / calibration.seeded.max(1) as f64);
    value["weaknesses named"] = json!(calibration.named as f64 / calibration.holes.max(1) as f64);
    value["exploits"] = json!(loophole_audit::library()?.len());
    if let Some(report) = whole {
        value["seconds for a script task against the whole library"] = json!(report.seconds);
        value["exploits tried there"] = json!(report.exploits_tried);
    }
    Ok(value)
}

fn tempfile_of(text: &str) -> Result<PathBuf, Error> {
    let path = std::env::temp_dir().join(format!("loophole-bench-{}.jsonl", std::process::id()));
    std::fs::write(&path, text).map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(path)
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
