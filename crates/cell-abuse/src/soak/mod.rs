//! Very many programs of mixed kinds, some of them hostile: each must end as it must, and nothing may be used up.
//!
//! `kinds` are the programs and what must come of them, `gauge` reads what must stay flat. Programs run in legs; between
//! two legs nothing runs and the gauges are read. Which programs run follows from the seed alone.

mod gauge;
mod kinds;

use gauge::Gauge;
use kinds::Kind;
use loophole_cell::{Pool, PoolOptions, Program, SessionOptions};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Programs in all.
    pub programs: usize,
    /// Follows them.
    pub seed: u64,
    /// Zygotes, and so programs at a time.
    pub cells: usize,
    /// A zygote is killed after so many programs.
    pub kill_every: usize,
    /// Says how far it is on stderr.
    pub loud: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Programs and steps of sessions that were run.
    pub programs: usize,
    /// The seed.
    pub seed: u64,
    /// Zygotes.
    pub cells: usize,
    /// Share of hostile ones.
    pub hostile: f64,
    /// Seconds by the clock on the wall.
    pub seconds: f64,
    /// Programs a second.
    pub a_second: f64,
    /// How often each kind was run, and half of them and all but one in a hundred within so many milliseconds.
    pub kinds: BTreeMap<&'static str, Speed>,
    /// The same for all honest programs without sessions.
    pub honest: Speed,
    /// How often each verdict was given.
    pub verdicts: BTreeMap<String, usize>,
    /// Zygotes that were killed from outside.
    pub killed: usize,
    /// Zygotes that others stand in for now.
    pub replaced: usize,
    /// Readings between the legs.
    pub gauges: Vec<Gauge>,
    /// Programs that did not end as they must (at most twenty are told), and readings that are not flat.
    pub wrong: Vec<String>,
}

/// How long programs took.
#[derive(Debug, Serialize, Clone, Copy, Default, PartialEq)]
pub struct Speed {
    /// How many.
    pub count: usize,
    /// Milliseconds within which half of them were over.
    pub p50: f64,
    /// Milliseconds within which 99 % were.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Durations in steps of 2 %, which take the same room however many there are.
struct Times {
    counts: Vec<u32>,
    max: f64,
}

const STEP: f64 = 1.02;

impl Times {
    fn new() -> Times {
        Times { counts: vec![0; 1100], max: 0.0 }
    }

    fn add(&mut self, ms: f64) {
        // From a hundredth of a millisecond on.
        let at = (ms.max(0.01) / 0.01).ln() / STEP.ln();
        let last = self.counts.len() - 1;
        self.counts[(at as usize).min(last)] += 1;
        self.max = self.max.max(ms);
    }

    fn merge(&mut self, other: &Times) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.max = self.max.max(other.max);
    }

    fn speed(&self) -> Speed {
        let count: u32 = self.counts.iter().sum();
        let at = |q: f64| {
            let mut left = (f64::from(count) * q).ceil().max(1.0) as u32;
            let step = self.counts.iter().position(|n| {
                let found = *n >= left;
                left = left.saturating_sub(*n);
                found
            });
            (0.01 * STEP.powi(step.unwrap_or(0) as i32 + 1)).min(self.max)
        };
        Speed { count: count as usize, p50: at(0.5), p99: at(0.99), max: self.max }
    }
}

/// What threads write down together.
struct Notes {
    times: BTreeMap<&'static str, Times>,
    verdicts: BTreeMap<String, usize>,
    wrong: Vec<String>,
    killed: usize,
}

/// Runs the plan.
pub fn run(plan: &Plan, options: PoolOptions) -> Report {
    let began = Instant::now();
    let pool = Pool::start(PoolOptions { cells: plan.cells, ..options }).expect("a pool");
    let notes = Mutex::new(Notes { times: BTreeMap::new(), verdicts: BTreeMap::new(), wrong: Vec::new(), killed: 0 });
    use_all(&pool, plan.cells);
    let first = pool.zygote_pids();
    let legs = if plan.programs >= 100_000 { 20 } else { 4 };
    let mut gauges = Vec::new();
    for leg in 0..legs {
        let (from, to) = (plan.programs * leg / legs, plan.programs * (leg + 1) / legs);
        let next = AtomicUsize::new(from);
        std::thread::scope(|scope| {
            for _ in 0..plan.cells {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= to {
                            return;
                        }
                        one(&pool, plan, index, &notes);
                    }
                });
            }
        });
        use_all(&pool, plan.cells);
        gauges.push(Gauge::read(&pool, to));
        if plan.loud {
            let rate = to as f64 / began.elapsed().as_secs_f64();
            eprintln!("{to} of {} programs, {rate:.0} a second; {}", plan.programs, gauges[gauges.len() - 1]);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let replaced = pool.zygote_pids().iter().filter(|pid| !first.contains(pid)).count();
    let notes = notes.into_inner().expect("notes");
    let mut wrong = notes.wrong;
    let count = wrong.len();
    wrong.truncate(20);
    if count > 20 {
        wrong.push(format!("and {} more", count - 20));
    }
    if notes.killed > 0 && replaced == 0 {
        wrong.push("zygotes were killed and none was replaced".to_owned());
    }
    wrong.extend(gauge::not_flat(&gauges));
    let mut honest = Times::new();
    for (name, times) in &notes.times {
        if kinds::ALL.iter().any(|k| k.name == *name && !k.hostile && !k.name.starts_with("session")) {
            honest.merge(times);
        }
    }
    let kinds: BTreeMap<&'static str, Speed> = notes.times.iter().map(|(name, t)| (*name, t.speed())).collect();
    let hostile: usize = kinds::ALL.iter().filter(|k| k.hostile).filter_map(|k| Some(kinds.get(k.name)?.count)).sum();
    Report {
        programs: plan.programs,
        seed: plan.seed,
        cells: plan.cells,
        hostile: hostile as f64 / plan.programs as f64,
        seconds,
        a_second: plan.programs as f64 / seconds,
        kinds,
        honest: honest.speed(),
        verdicts: notes.verdicts,
        killed: notes.killed,
        replaced,
        gauges,
        wrong,
    }
}

/// Uses as many zygotes of each kind as can be in use at a time, so that all are there, and dead ones are replaced.
fn use_all(pool: &Pool, cells: usize) {
    let (bare, standard) = ("import time; time.sleep(0.3)", "import json, time; time.sleep(0.3)");
    for source in [standard, bare, bare] {
        std::thread::scope(|scope| {
            for _ in 0..cells {
                scope.spawn(|| pool.run(&Program::python(source)));
            }
            // A session runs beside the programs.
            std::thread::sleep(Duration::from_millis(100));
            drop(pool.session(&SessionOptions::default()));
        });
    }
}

fn one(pool: &Pool, plan: &Plan, index: usize, notes: &Mutex<Notes>) {
    let mut draw = fastrand::Rng::with_seed(plan.seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let kind: &Kind = kinds::draw(&mut draw);
    if index % plan.kill_every == plan.kill_every - 1 {
        let pids = pool.zygote_pids();
        if let Some(pid) = pids.get(draw.usize(..pids.len().max(1))) {
            let done = Command::new("kill").args(["-9", &pid.to_string()]).output().expect("kill");
            notes.lock().expect("notes").killed += usize::from(done.status.success());
        }
    }
    let began = Instant::now();
    let (verdict, right) = (kind.run)(pool, &mut draw);
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let mut notes = notes.lock().expect("notes");
    notes.times.entry(kind.name).or_insert_with(Times::new).add(ms);
    *notes.verdicts.entry(verdict).or_default() += 1;
    if let Err(why) = right {
        notes.wrong.push(format!("program {index} ({}): {why}", kind.name));
    }
}

impl Report {
    /// As a text of a few lines.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} programs, {:.1} % hostile, in {:.1} s: {:.0} a second on {} cells (seed {})\n",
            self.programs,
            self.hostile * 100.0,
            self.seconds,
            self.a_second,
            self.cells,
            self.seed
        );
        let row =
            |name: &str, s: &Speed| format!("{name:<28} {:>8} {:>9.2} {:>9.2} {:>9.1}\n", s.count, s.p50, s.p99, s.max);
        out += &format!("{:<28} {:>8} {:>9} {:>9} {:>9}\n", "kind", "count", "p50 ms", "p99 ms", "max ms");
        self.kinds.iter().for_each(|(name, speed)| out += &row(name, speed));
        out += &row("all honest, no sessions", &self.honest);
        out += &format!("verdicts: {:?}\n", self.verdicts);
        out += &format!("zygotes killed: {}; standing in for others: {}\n", self.killed, self.replaced);
        self.gauges.iter().for_each(|g| out += &format!("{g}\n"));
        match self.wrong.as_slice() {
            [] => out += "all as it must be, everything flat\n",
            wrong => wrong.iter().for_each(|w| out += &format!("WRONG: {w}\n")),
        }
        out
    }
}
