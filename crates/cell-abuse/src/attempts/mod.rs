//! The abuse suite: what hostile programs try, as data, and what must be seen from outside.
//!
//! `data/*.toml` hold the attempts, `attempt` reads them, `expect` is the language in which they say what must be seen,
//! `canary` is what stands outside and must stay untouched, `runner` runs one attempt after the other in the same
//! cell and looks at cell and canaries after each, `table` prints what came of it.

pub mod attempt;
pub mod canary;
pub mod expect;
pub mod memory;
pub mod runner;
pub mod table;

use attempt::Attempt;
use loophole_cell::{PoolOptions, Tier};
use runner::Worker;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{Outcome, Row};

/// Attempts run at a time, each worker in a cell of its own.
const WORKERS: usize = 5;
/// Says to a copy of this program that it is to run the attempts, and under which name of a user.
const COPY: &str = "LOOPHOLE_ABUSE_COPY";
/// A secret in the environment of the supervisor.
const SECRET: &str = "LOOPHOLE_ABUSE_SECRET";
/// Says to a copy which attempts to run, by a part of their names.
const ONLY: &str = "LOOPHOLE_ABUSE_ONLY";
/// Says to a copy that it is to run a part of the attempts only.
const PART: &str = "LOOPHOLE_ABUSE_PART";
/// In a part, every attempt is carried out in one of so many tiers and users.
const PARTS: usize = 4;
/// Says to a copy that it is to run harmless attempts without isolation.
const OPEN: &str = "LOOPHOLE_ABUSE_OPEN";
/// Says to a copy to run this tier only.
const TIER: &str = "LOOPHOLE_ABUSE_TIER";
/// Says to a copy to tell on stderr what it has carried out.
const LOUD: &str = "LOOPHOLE_ABUSE_LOUD";
/// Before every line of a copy that holds a row.
const MARK: &str = "ROW ";

/// Which attempts to carry out.
#[derive(Clone, Copy, PartialEq)]
pub enum Which<'a> {
    /// All whose name, or title, contains this, in every tier and as every user.
    Named(&'a str),
    /// Each in one tier as one user.
    Part,
    /// Those that are harmless and yet get through where there is no isolation; without isolation, as an ordinary user.
    Open,
}

/// Runs attempts as this user and, where that is root, as an ordinary one. Every run is made by a copy of this
/// program, started with `arguments`, which must call [`copy`] first.
pub fn run(arguments: &[&str], which: Which<'_>) -> Vec<Row> {
    let root = id("-u") == "0";
    if which == Which::Open {
        return started(arguments, which, "user", root);
    }
    let mut rows = started(arguments, which, if root { "root" } else { "user" }, false);
    if root {
        rows.extend(started(arguments, which, "user", true));
    }
    rows
}

fn id(what: &str) -> String {
    let out = Command::new("id").arg(what).output().expect("id");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn started(arguments: &[&str], which: Which<'_>, user: &str, demoted: bool) -> Vec<Row> {
    let exe = std::env::current_exe().expect("own path");
    let mut command = Command::new(&exe);
    command.args(arguments).env(COPY, user).env(SECRET, canary::secret("environment"));
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    match which {
        Which::Named(only) => command.env(ONLY, only),
        Which::Part => command.env(PART, "1"),
        Which::Open => command.env(OPEN, "1"),
    };
    // An interpreter below /root would be out of reach for programs that are not root's.
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    if demoted {
        command.env_remove("HOME").current_dir("/").uid(65534).gid(65534);
    }
    let skipped =
        |why: String| attempt::all().iter().map(|a| a.row("?", user, Outcome::Skipped(why.clone()))).collect();
    let out = match command.output() {
        Ok(out) => out,
        Err(e) => return skipped(format!("{} cannot be started as an ordinary user: {e}", exe.display())),
    };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let rows: Vec<Row> = text
        .lines()
        // The test harness puts its own words before the first line.
        .filter_map(|l| l.split_once(MARK).map(|(_, json)| serde_json::from_str(json).expect("a row")))
        .collect();
    assert!(out.status.success() && !rows.is_empty(), "the run as {user} broke off ({}):\n{text}", out.status);
    rows
}

/// In a copy made by [`run`]: runs the attempts, prints the rows and is true. Elsewhere it is false.
pub fn copy() -> bool {
    let Ok(user) = std::env::var(COPY) else { return false };
    let only = std::env::var(ONLY).unwrap_or_default();
    let part = std::env::var_os(PART).is_some();
    let open = std::env::var_os(OPEN).is_some();
    let tiers = if open { vec![runner::without()] } else { runner::tiers() };
    let named = std::env::var(TIER).ok();
    for (column, (tier, options)) in tiers.into_iter().enumerate() {
        if named.as_ref().is_some_and(|n| *n != tier.to_string()) {
            continue;
        }
        let turn = column + if user == "root" { 0 } else { 2 };
        let wanted = |(i, a): &(usize, Attempt)| {
            (a.name.contains(&only) || a.group.contains(&only)) && (a.open || !open) && (!part || i % PARTS == turn)
        };
        let attempts: Vec<Attempt> = attempt::all().into_iter().enumerate().filter(wanted).map(|(_, a)| a).collect();
        for row in in_tier(tier, &options, &user, &attempts) {
            println!("{MARK}{}", serde_json::to_string(&row).expect("JSON"));
        }
    }
    true
}

/// The row, told on stderr where that is wanted.
fn told(row: Row) -> Row {
    if std::env::var_os(LOUD).is_some() {
        eprintln!("{:7.2} s  {} ({}, {}): {}", row.seconds, row.name, row.tier, row.user, row.word());
    }
    row
}

fn in_tier(kind: Tier, options: &PoolOptions, user: &str, attempts: &[Attempt]) -> Vec<Row> {
    let tier = kind.to_string();
    let tier = tier.as_str();
    let neighbour = match runner::Neighbour::start(options) {
        Ok(n) => Mutex::new(n),
        Err(why) => {
            return attempts.iter().map(|a| a.row(tier, user, Outcome::Skipped(why.clone()))).collect();
        }
    };
    let start = || Worker::start(kind, user, options).expect("a worker");
    // What is about state that outlives a program has nothing beside it.
    let (alone, many): (Vec<&Attempt>, Vec<&Attempt>) = attempts.iter().partition(|a| a.remembers());
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut worker = None;
                while let Some(attempt) = many.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let worker = worker.get_or_insert_with(start);
                    let row = told(worker.carry_out(attempt, &neighbour));
                    rows.lock().expect("rows").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("rows");
    if !alone.is_empty() {
        let mut worker = start();
        rows.extend(alone.into_iter().map(|attempt| told(worker.carry_out(attempt, &neighbour))));
    }
    // Some wait for moments that the others may have taken: what failed is tried again with nothing beside it.
    let failed = rows.iter_mut().filter_map(|row| match &row.outcome {
        Outcome::Failed(why) => Some((why.clone(), row)),
        _ => None,
    });
    for (why, row) in failed {
        let attempt = attempts.iter().find(|a| a.name == row.name).expect("the row's attempt");
        *row = Row { at_first: Some(why), ..start().carry_out(attempt, &neighbour) };
    }
    rows.sort_by_key(|r| attempts.iter().position(|a| a.name == r.name));
    rows
}
