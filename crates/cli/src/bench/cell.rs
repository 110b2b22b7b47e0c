//! `loophole bench cell`: what isolation costs, as ratios against peers in the same run.
//!
//! Every round measures everything once, and what is compared stands side by side in it; reported are medians over
//! the rounds. Programs run one after the other where CPU time is compared, and on all threads where programs a
//! second are.

use std::path::Path;
use std::time::Instant;

use loophole_cell::{Pool, PoolOptions, Program, Record};
use serde_json::{Value, json};

use super::cpu::{Clock, proportional_mib};
use super::peers::{Fork, Fresh, Python, TRIVIAL};
use super::{BenchArguments, rate};
use crate::output::{self, Error, Exit, Options, line};

/// The trivial program that also writes into scratch.
const WRITES: &str = "open('scratch', 'w').write('x' * 4096)\nprint(sum(range(10)))";
/// One that imports what a zygote for such programs has at hand.
const IMPORTS: &str = "import json, re\nprint(json.dumps(re.findall('[0-9]', 'a1b2')))";
const TRIVIAL_NAMES: [&str; 3] = ["CPU of a program", "CPU of a plain fork", "CPU of a program / plain fork"];
const WRITES_NAMES: [&str; 3] =
    ["CPU of a program that writes", "CPU of a plain fork that writes", "CPU of a program that writes / plain fork"];
const IMPORTS_NAMES: [&str; 3] =
    ["CPU of a program that imports", "CPU of a plain fork that imports", "CPU of a program that imports / plain fork"];
/// Programs of one round of each kind.
const FORKS: usize = 200;
const THROUGHPUT: usize = 600;
const SHELLS: usize = 150;
const FRESH: usize = 24;
/// Standard modules at hand for HumanEval's problems, besides those every zygote has.
const MODULES: [&str; 8] =
    ["array", "cmath", "decimal", "fractions", "hashlib", "statistics", "unicodedata", "unittest"];

/// One line of the table.
struct Measure {
    name: &'static str,
    values: Vec<f64>,
    unit: &'static str,
    /// What is wanted on two cores.
    wanted: Option<(Bound, f64)>,
}

#[derive(Clone, Copy)]
enum Bound {
    Most,
    Least,
}

impl Measure {
    fn median(&self) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then(|| sorted[sorted.len() / 2])
    }

    fn met(&self) -> Option<bool> {
        let (bound, limit) = self.wanted?;
        let value = self.median()?;
        Some(match bound {
            Bound::Most => value <= limit,
            Bound::Least => value >= limit,
        })
    }

    fn wanted_text(&self) -> String {
        match self.wanted {
            Some((Bound::Most, limit)) => format!("<= {limit}"),
            Some((Bound::Least, limit)) => format!(">= {limit}"),
            None => String::new(),
        }
    }
}

/// All measures, by name, in the order in which they were first seen.
#[derive(Default)]
struct Table(Vec<Measure>);

impl Table {
    fn add(&mut self, name: &'static str, unit: &'static str, wanted: Option<(Bound, f64)>, value: f64) {
        match self.0.iter_mut().find(|m| m.name == name) {
            Some(measure) => measure.values.push(value),
            None => self.0.push(Measure { name, values: vec![value], unit, wanted }),
        }
    }
}

/// Measures and prints.
pub fn bench(arguments: &BenchArguments, threads: usize, output: &Options) -> Result<Exit, Error> {
    let clock = Clock::new();
    let python = Python::ask(Path::new("python3"))?;
    let (fresh, missing) = Fresh::all(&python);
    missing.iter().for_each(|why| output.warn(&format!("SKIPPED {why}")));
    let problems = problems(arguments.humaneval.as_deref())?;
    let mut table = Table::default();
    let bar = output.bar(u64::from(arguments.rounds));
    for _ in 0..arguments.rounds {
        round(&clock, &python, &fresh, &problems, threads, &mut table, output)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    print(&table, &clock, &python, &fresh, &missing, &problems, arguments.rounds, threads, output);
    Ok(Exit::Clean)
}

/// Programs with their tests, and where they come from.
struct Problems {
    programs: Vec<Program>,
    sources: Vec<String>,
    source: String,
}

impl Problems {
    fn new(sources: Vec<String>, source: String) -> Problems {
        Problems { programs: sources.iter().map(Program::python).collect(), sources, source }
    }
}

fn problems(file: Option<&Path>) -> Result<Problems, Error> {
    let Some(file) = file else {
        let sources = vec![include_str!("stand_in.py").to_owned(); 150];
        let source = "a problem of our own that stands in for HumanEval (--humaneval FILE names it)".to_owned();
        return Ok(Problems::new(sources, source));
    };
    let tasks = loophole_env::read_tasks(file)?.tasks;
    let sources: Vec<String> = tasks
        .iter()
        .filter_map(|task| {
            let check = task.humaneval()?;
            Some(format!("{}\n{}\ncheck({})\n", task.reference, check.test, check.entry_point))
        })
        .collect();
    if sources.is_empty() {
        return Err(Error::Input(format!("{} holds no problem in HumanEval's form", file.display())));
    }
    let source = format!("{} problems of {}", sources.len(), file.file_name().unwrap_or_default().display());
    Ok(Problems::new(sources, source))
}

fn done(record: &Record) -> Result<(), Error> {
    if record.success() {
        return Ok(());
    }
    let last = record.stderr_text().lines().next_back().unwrap_or("").to_owned();
    Err(Error::Cannot(format!(
        "a program of the measurement ended with {:?} {:?}: {last}",
        record.verdict, record.code
    )))
}

fn runs(pool: &Pool, program: &Program) -> Result<(), Error> {
    done(&pool.run(program)?)
}

fn round(
    clock: &Clock,
    python: &Python,
    fresh: &[Fresh],
    problems: &Problems,
    threads: usize,
    table: &mut Table,
    output: &Options,
) -> Result<(), Error> {
    use Bound::{Least, Most};
    let began = Instant::now();
    let pool = Pool::start(PoolOptions::default())?;
    runs(&pool, &Program::python(TRIVIAL))?;
    table.add("first program after start", "ms", Some((Most, 150.0)), began.elapsed().as_secs_f64() * 1e3);

    let preload = PoolOptions::default().preload;
    for (source, preload, [cell, plain, ratio], wanted) in [
        (TRIVIAL, &[][..], TRIVIAL_NAMES, Some((Most, 1.3))),
        (WRITES, &[][..], WRITES_NAMES, Some((Most, 1.6))),
        (IMPORTS, &preload[..], IMPORTS_NAMES, None),
    ] {
        let mut fork = Fork::start(&python.path, preload)?;
        let program = Program::python(source);
        for _ in 0..20 {
            runs(&pool, &program)?;
        }
        fork.run(20, source)?;
        let zygotes = pool.zygote_pids();
        let before = clock.seconds(&zygotes);
        for _ in 0..FORKS {
            runs(&pool, &program)?;
        }
        let isolated = (clock.seconds(&zygotes) - before) / FORKS as f64;
        let before = clock.seconds(&[fork.pid()]);
        fork.run(FORKS, source)?;
        let forked = (clock.seconds(&[fork.pid()]) - before) / FORKS as f64;
        table.add(cell, "ms", None, isolated * 1e3);
        table.add(plain, "ms", None, forked * 1e3);
        table.add(ratio, "x", wanted, isolated / forked);
    }

    let program = Program::python(TRIVIAL);
    // Until every thread has a cell: what is measured is the use of cells, not their start.
    rate(threads * 20, threads * 2, |_| runs(&pool, &program))?;
    let isolated = rate(THROUGHPUT, threads * 2, |_| runs(&pool, &program))?;
    table.add("programs a second", "/s", None, isolated);
    for peer in fresh {
        let began = clock.seconds(&[]);
        let speed = rate(FRESH, threads, |_| peer.run())?;
        let cpu = (clock.seconds(&[]) - began) / FRESH as f64 * 1e3;
        let (a_second, times, spent, wanted) = match peer.name {
            "bubblewrap" => ("bubblewrap a second", "programs / bubblewrap", "CPU of bubblewrap", Some((Least, 12.0))),
            "nsjail" => ("nsjail a second", "programs / nsjail", "CPU of nsjail", None),
            _ => ("python3 -I -S -E a second", "programs / python3 -I -S -E", "CPU of python3 -I -S -E", None),
        };
        table.add(a_second, "/s", None, speed);
        if clock.is_complete() {
            table.add(spent, "ms", None, cpu);
        }
        table.add(times, "x", wanted, isolated / speed);
    }

    let shell = Program::command(["bash", "-c", "true"]);
    let shells = rate(SHELLS, threads * 2, |_| runs(&pool, &shell))?;
    table.add("bash -c true a second", "/s", Some((Least, 300.0)), shells);

    // The cells have been used and are idle now.
    let zygotes = pool.zygote_pids();
    let held: Option<Vec<f64>> = zygotes.iter().map(|z| proportional_mib(*z)).collect();
    match held {
        Some(held) => {
            let mean = held.iter().sum::<f64>() / held.len() as f64;
            table.add("memory of an idle cell", "MiB", Some((Most, 15.0)), mean);
        }
        None => output.warn("SKIPPED memory of an idle cell: this user may not read /proc/PID/smaps_rollup of a cell"),
    }
    drop(pool);

    let mut options = PoolOptions::default();
    options.preload.extend(MODULES.map(str::to_owned));
    let mut fork = Fork::start(&python.path, &options.preload)?;
    let pool = Pool::start(options)?;
    let all = &problems.programs;
    rate(all.len(), threads * 2, |i| runs(&pool, &all[i]))?;
    let solved = rate(all.len() * 2, threads * 2, |i| runs(&pool, &all[i % all.len()]))?;
    table.add("problems with their tests a second", "/s", Some((Least, 500.0)), solved);
    // What the problems themselves take is most of it.
    let (zygotes, alone) = (pool.zygote_pids(), fork.pid());
    let before = clock.seconds(&zygotes);
    all.iter().try_for_each(|program| runs(&pool, program))?;
    let isolated = clock.seconds(&zygotes) - before;
    let before = clock.seconds(&[alone]);
    for source in &problems.sources {
        fork.run(1, source)?;
    }
    let forked = clock.seconds(&[alone]) - before;
    table.add("CPU of a problem", "ms", None, isolated / all.len() as f64 * 1e3);
    table.add("CPU of a problem in a plain fork", "ms", None, forked / all.len() as f64 * 1e3);
    table.add("CPU of a problem / plain fork", "x", None, isolated / forked);
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "all that a reader needs to judge the numbers")]
fn print(
    table: &Table,
    clock: &Clock,
    python: &Python,
    fresh: &[Fresh],
    missing: &[String],
    problems: &Problems,
    rounds: u32,
    threads: usize,
    output: &Options,
) {
    let peers: serde_json::Map<String, Value> = fresh.iter().map(|p| (p.name.to_owned(), json!(p.version))).collect();
    if output.json {
        let measures: Vec<Value> = table
            .0
            .iter()
            .map(|m| {
                let bound = m.wanted.map(|_| m.wanted_text());
                json!({
                    "name": m.name, "median": m.median(), "unit": m.unit, "wanted": bound, "met": m.met(),
                    "rounds": m.values,
                })
            })
            .collect();
        output::json(&json!({
            "measures": measures, "python": python.version, "peers": peers, "skipped": missing,
            "problems": problems.source, "cpu_covers": clock.covers(), "rounds": rounds, "threads": threads,
        }));
        return;
    }
    line(&format!("{:<44} {:>10} {:<4} {:>8}", "measure (median)", "here", "", "wanted"));
    for m in &table.0 {
        let value = m.median().unwrap_or(f64::NAN);
        let places = if value < 10.0 {
            2
        } else if value < 100.0 {
            1
        } else {
            0
        };
        let verdict = match m.met() {
            Some(true) => "  yes",
            Some(false) => "  no",
            None => "",
        };
        line(&format!("{:<44} {value:>10.places$} {:<4} {:>8}{verdict}", m.name, m.unit, m.wanted_text()));
    }
    line(&format!("rounds: {rounds}; threads: {threads}; Python {}; problems: {}", python.version, problems.source));
    let peers: Vec<String> = fresh.iter().skip(1).map(|p| format!("{} {}", p.name, p.version)).collect();
    line(&format!("peers: {}", if peers.is_empty() { "none installed".to_owned() } else { peers.join(", ") }));
    line(&format!("CPU time: {}", clock.covers()));
}
