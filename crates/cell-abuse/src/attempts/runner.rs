//! Carries out one attempt after the other in the same cell, and looks at everything around it after each.

use super::attempt::{Attempt, python};
use super::canary::{self, Canaries};
use super::expect::{matches, step_is, word};
use super::table::{Outcome, Row};
use loophole_cell::{CellError, Pool, PoolOptions, Program, Record, SessionOptions, SessionStep, Tier};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// The tiers an attempt may be run in, with the options that ask for them. Zygotes with heavier modules would only
/// scatter the programs, which are to run in one cell.
pub fn tiers() -> Vec<(Tier, PoolOptions)> {
    let options = |tier| PoolOptions { cells: 1, warm: Vec::new(), tier: Some(tier), ..PoolOptions::default() };
    [Tier::Namespaces, Tier::Landlock].map(|tier| (tier, options(tier))).to_vec()
}

/// No isolation at all, to see that the attempts are more than words.
pub fn without() -> (Tier, PoolOptions) {
    (Tier::None, PoolOptions { cells: 1, warm: Vec::new(), tier: Some(Tier::None), ..PoolOptions::default() })
}

/// Seconds beyond the wall limit after which the supervisor is held to hang.
const PATIENCE: f64 = 25.0;
/// What an honest command of a session prints.
const HONEST: &str = "printf 'honest\\n'; (exit 9)";

/// The cell beside, for what two programs could do together.
pub struct Neighbour(pub(super) Arc<Pool>);

impl Neighbour {
    /// Starts it, or tells why this tier cannot be had.
    pub fn start(options: &PoolOptions) -> Result<Neighbour, String> {
        Pool::start(options.clone()).map(|p| Neighbour(Arc::new(p))).map_err(|e| e.to_string())
    }
}

/// One cell and the canaries around it.
pub struct Worker {
    tier: Tier,
    user: String,
    options: PoolOptions,
    pub(super) cell: Cell,
    pub(super) canaries: Canaries,
    predecessor: String,
}

/// A pool that runs one program at a time, and how its cells looked when they were new: one for programs that import
/// nothing and for commands, one for the others.
pub(super) struct Cell {
    pool: Arc<Pool>,
    tier: Tier,
    zygotes: Vec<i32>,
    views: [BTreeMap<String, serde_json::Value>; 2],
    processes: usize,
    mounts: Option<usize>,
}

impl Worker {
    /// Starts a cell and its canaries.
    pub fn start(tier: Tier, user: &str, options: &PoolOptions) -> Result<Worker, CellError> {
        let cell = Cell::start(tier, options)?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", cell.zygotes[0])).unwrap_or_default();
        let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
        let canaries = Canaries::start(uid.unwrap_or(0)).expect("canaries");
        let user = user.to_owned();
        Ok(Worker { tier, user, options: options.clone(), cell, canaries, predecessor: String::new() })
    }

    /// Carries out an attempt; afterwards the cell is one that can be used.
    pub fn carry_out(&mut self, attempt: &Attempt, neighbour: &Mutex<Neighbour>) -> Row {
        let began = Instant::now();
        let mut measured = None;
        let outcome = self.outcome(attempt, neighbour, &mut measured);
        let mut row = attempt.row(&self.tier.to_string(), &self.user, outcome);
        row.seconds = began.elapsed().as_secs_f64();
        row.measured = measured;
        row
    }

    fn outcome(&mut self, attempt: &Attempt, around: &Mutex<Neighbour>, measured: &mut Option<String>) -> Outcome {
        let tier = self.tier.to_string();
        if let Some(reason) = attempt.lacks(&tier, &self.cell.pool.describe()) {
            return Outcome::Skipped(reason);
        }
        let mut broke = false;
        let mut wrong = self.predecessors().err().into_iter().collect::<Vec<_>>();
        if wrong.is_empty() {
            wrong = match &attempt.session {
                Some(commands) => self.session(attempt, commands),
                None if attempt.remembers() => {
                    let found = self.memory(attempt, around);
                    (*measured, broke) = (found.measured, found.broke);
                    found.wrong
                }
                None => self.program(attempt, around),
            };
            wrong.extend(self.cell.changed());
            wrong.extend(self.canaries.touched());
        }
        // Sessions and watched files bring zygotes of their own, which are not to stand beside the next attempt.
        if wrong.is_empty() && self.cell.pool.zygote_pids() == self.cell.zygotes {
            return Outcome::Held;
        }
        match Cell::start(self.tier, &self.options) {
            Ok(cell) => self.cell = cell,
            Err(e) => wrong.push(format!("no other cell could be started: {e}")),
        }
        if wrong.is_empty() {
            return Outcome::Held;
        }
        // What is accepted is that it gets through, not that it cannot be tried.
        if let Some(why) = attempt.possible(&tier, &self.user).filter(|_| !broke) {
            return Outcome::Possible(why.clone());
        }
        match Canaries::start(0) {
            Ok(canaries) => self.canaries = canaries,
            Err(e) => wrong.push(format!("no other canaries could be started: {e}")),
        }
        Outcome::Failed(wrong.join("; "))
    }

    /// Two programs with a secret: one leaves all that it can, the other leaves the scratch folders as they were.
    fn predecessors(&mut self) -> Result<(), String> {
        self.predecessor = canary::secret("predecessor");
        let dirty = "import os, sys, time\ns = sys.stdin.read() * 1000\nfor p in (os.getcwd(), os.environ.get('TMPDIR', '/tmp')):\n  \
                     open(p + '/' + s[:60], 'w').write(s); os.mkdir(p + '/folder')\nkept = [s + str(i) for i in range(20)]\n\
                     if os.fork() == 0: time.sleep(100)\n";
        let clean = "import sys\ns = sys.stdin.read() * 1000; kept = [s + str(i) for i in range(20)]\n";
        for zygote in ["", "import json\n"] {
            for (source, leftover) in [(dirty, 1), (clean, 0)] {
                let mut program = Program::python(format!("{zygote}{source}# {}", self.predecessor));
                program.stdin = self.predecessor.clone().into_bytes();
                program.args.push(self.predecessor.as_str().into());
                let (r, _) = self.cell.run(&program)?;
                if !r.success() || r.leftover_processes != leftover {
                    let what = (r.verdict, r.leftover_processes, r.stderr_text());
                    return Err(format!("an honest program before it failed: {what:?}"));
                }
            }
        }
        Ok(())
    }

    fn program(&mut self, attempt: &Attempt, neighbour: &Mutex<Neighbour>) -> Vec<String> {
        let seen = attempt.seen(&self.tier.to_string());
        let fill = |text: &str| self.canaries.fill(text);
        let then = |when: &str| -> Result<Option<Record>, String> {
            let Some(source) = &attempt.then else { return Ok(None) };
            let record = self.cell.run(&python(source, &fill))?.0;
            if record.success() {
                return Ok(Some(record));
            }
            Err(format!("the program {when} it failed: {}", record.stderr_text()))
        };
        let before = match then("before") {
            Ok(before) => before,
            Err(e) => return vec![e],
        };
        let program = attempt.program(&fill);
        let limits = program.limits;
        let (result, beside) = match &attempt.beside {
            None => (self.cell.run(&program), None),
            Some(source) => {
                let neighbour = neighbour.lock().expect("a neighbour");
                let mut other = python(source, &fill);
                other.limits = limits;
                std::thread::scope(|s| {
                    let other = s.spawn(|| guarded(&neighbour.0, &other));
                    let result = self.cell.run(&program);
                    (result, Some(other.join().expect("a thread")))
                })
            }
        };
        let (record, took) = match result {
            Ok(r) => r,
            Err(e) => return vec![e],
        };
        let mut wrong = seen.judge(&record, took, limits.wall_seconds);
        wrong.extend(self.leaks(&record));
        match (beside, &seen.beside) {
            (Some(Ok((r, _))), Some(want)) => {
                let found = r.stdout_text();
                if !matches(want, &found) || !r.success() {
                    wrong.push(format!("the program beside it: {:?} {found:?} {}", r.verdict, r.stderr_text()));
                }
                wrong.extend(self.leaks(&r));
            }
            (Some(Err(e)), _) => wrong.push(format!("the program beside it: {e}")),
            _ => {}
        }
        match (before, then("after")) {
            (_, Err(e)) => wrong.push(e),
            (Some(before), Ok(Some(after))) => {
                if before.stdout != after.stdout {
                    let (before, after) = (before.stdout_text(), after.stdout_text());
                    wrong.push(format!("the next program sees {after:?}, without it {before:?}"));
                }
                wrong.extend(self.leaks(&after));
            }
            _ => {}
        }
        wrong
    }

    /// Secrets in what a program gave.
    fn leaks(&self, r: &Record) -> Vec<String> {
        let mut gave: Vec<&[u8]> = vec![&r.stdout, &r.stderr];
        gave.extend(r.contents.values().map(|c| &c[..]));
        // A record far too large is a failure of its own.
        gave.extend(r.files.iter().map(|f| &f.path[..]).take(500));
        self.known(&gave)
    }

    fn known(&self, gave: &[&[u8]]) -> Vec<String> {
        let all = self.canaries.secrets().iter().chain([&self.predecessor]).filter(|s| !s.is_empty());
        all.filter(|secret| gave.iter().any(|g| g.windows(secret.len()).any(|w| w == secret.as_bytes())))
            .map(|secret| format!("it got hold of {secret}"))
            .collect()
    }

    fn session(&mut self, attempt: &Attempt, commands: &[String]) -> Vec<String> {
        let options = SessionOptions {
            limits: attempt.limits(),
            step_wall_seconds: attempt.limits().wall_seconds.min(5.0),
            terminal: attempt.terminal,
            ..SessionOptions::default()
        };
        let commands: Vec<String> = commands.iter().map(|c| self.canaries.fill(c)).collect();
        let seen = attempt.seen(&self.tier.to_string());
        let honest = !seen.ends;
        let pool = self.cell.pool.clone();
        let limit = options.step_wall_seconds * (commands.len() + 1) as f64;
        let done = in_time(limit, move || -> Result<(Vec<SessionStep>, Record, f64), CellError> {
            let mut session = pool.session(&options)?;
            let mut steps: Vec<SessionStep> = Vec::new();
            for command in commands.iter().map(String::as_str).chain(honest.then_some(HONEST)) {
                match session.run(command) {
                    Err(CellError::SessionEnded(_)) if !honest && !steps.is_empty() => break,
                    step => steps.push(step?),
                }
            }
            let began = Instant::now();
            let record = session.finish()?;
            Ok((steps, record, began.elapsed().as_secs_f64()))
        });
        let (mut steps, record, took) = match done {
            Err(e) => return vec![e],
            Ok(Err(e)) => return vec![format!("the session broke: {e}")],
            Ok(Ok(done)) => done,
        };
        let mut wrong = Vec::new();
        let gave: Vec<&[u8]> = steps.iter().flat_map(|s| [&s.stdout[..], &s.stderr[..]]).collect();
        wrong.extend(self.known(&gave));
        wrong.extend(self.leaks(&record));
        if honest && let Some(step) = steps.pop() {
            let text = String::from_utf8_lossy(&step.stdout).into_owned();
            if (text.replace("\r\n", "\n").as_str(), step.code, word(step.verdict).as_str())
                != ("honest\n", Some(9), "exit")
            {
                wrong.push(format!("an honest command after it: {text:?}, code {:?}, {:?}", step.code, step.verdict));
            }
        }
        for (i, step) in steps.iter().enumerate() {
            let text = String::from_utf8_lossy(&step.stdout);
            let good = seen.outputs.as_ref().and_then(|o| o.get(i)).is_none_or(|p| matches(p, &text));
            let good = good && seen.codes.as_ref().is_none_or(|c| step_is(c, i, &step.code.unwrap_or(-1)));
            if !good || !seen.verdicts.as_ref().is_none_or(|v| step_is(v, i, &word(step.verdict))) {
                let errors = String::from_utf8_lossy(&step.stderr);
                let text: String = text.chars().take(200).collect();
                wrong.push(format!("command {}: {text:?} {errors:?} {:?} {:?}", i + 1, step.code, step.verdict));
            }
        }
        // The time of a session is that of its steps.
        let took = took + record.wall_seconds;
        wrong.extend(seen.judge(&record, took, limit));
        wrong
    }
}

impl Cell {
    fn start(tier: Tier, options: &PoolOptions) -> Result<Cell, CellError> {
        let pool = Arc::new(Pool::start(options.clone())?);
        let views = [BTreeMap::new(), BTreeMap::new()];
        let mut cell = Cell { pool, tier, zygotes: Vec::new(), views, processes: 0, mounts: None };
        cell.views = [cell.look(0).map_err(CellError::Machine)?, cell.look(1).map_err(CellError::Machine)?];
        cell.zygotes = cell.pool.zygote_pids();
        // The last of them takes a moment to go.
        std::thread::sleep(Duration::from_millis(50));
        (cell.processes, cell.mounts) = (descendants(&cell.zygotes), mounts(&cell.zygotes));
        Ok(cell)
    }

    /// Runs a program, with the seconds the call took.
    pub(super) fn run(&self, program: &Program) -> Result<(Record, f64), String> {
        guarded(&self.pool, program)
    }

    /// What the next program finds that imports nothing (0), or something (1).
    fn look(&self, zygote: usize) -> Result<BTreeMap<String, serde_json::Value>, String> {
        let mut view = include_str!("../../data/view.py")
            .replace("{{GETDENTS}}", &libc::SYS_getdents64.to_string())
            .replace("{{IOPRIO_GET}}", &libc::SYS_ioprio_get.to_string())
            .replace("{{TIER}}", &self.tier.to_string());
        if zygote == 0 {
            // What it imports cannot be seen by who chooses the zygote.
            let hidden: String = view.bytes().map(|b| format!("{b:02x}")).collect();
            view = format!("exec(bytes.fromhex('{hidden}').decode(), globals())");
        }
        let (r, _) = self.run(&Program::python(view))?;
        serde_json::from_slice(&r.stdout)
            .map_err(|e| format!("the next program failed: {e} {:?} {}", r.verdict, r.stderr_text()))
    }

    /// What of the cells is no longer as it was when they were new.
    fn changed(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (zygote, before) in self.views.iter().enumerate() {
            match self.look(zygote) {
                Ok(view) => {
                    let different = view.iter().filter(|(k, v)| before.get(*k) != Some(v));
                    wrong.extend(different.map(|(k, v)| {
                        let old = before.get(k).map(ToString::to_string).unwrap_or_default();
                        format!("the next program finds {k}: {v}, before it {old}")
                    }));
                }
                Err(e) => wrong.push(e),
            }
        }
        let alive = self.pool.zygote_pids();
        if !self.zygotes.iter().all(|z| alive.contains(z)) {
            wrong.push("a zygote did not survive it".to_owned());
        }
        // What is being killed takes a moment to go.
        let end = Instant::now() + Duration::from_secs(3);
        let now = || (descendants(&self.zygotes), mounts(&self.zygotes));
        let (mut count, mut mounts) = now();
        while (count, mounts) != (self.processes, self.mounts) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(3));
            (count, mounts) = now();
        }
        if count != self.processes {
            wrong.push(format!("{count} processes in the cell, {} before it", self.processes));
        }
        if mounts != self.mounts {
            wrong.push(format!("{mounts:?} mounts in the cell, {:?} before it", self.mounts));
        }
        wrong
    }
}

/// Runs a program, and says so if the supervisor does not come back.
pub(super) fn guarded(pool: &Arc<Pool>, program: &Program) -> Result<(Record, f64), String> {
    let (pool, program) = (pool.clone(), program.clone());
    in_time(program.limits.wall_seconds, move || {
        let began = Instant::now();
        pool.run(&program).map(|r| (r, began.elapsed().as_secs_f64()))
    })?
    .map_err(|e| format!("the supervisor failed: {e}"))
}

fn in_time<T: Send + 'static>(seconds: f64, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (give, take) = mpsc::channel();
    // Left alone should it hang: this process ends all the same.
    std::thread::spawn(move || give.send(work()));
    take.recv_timeout(Duration::from_secs_f64(seconds + PATIENCE)).map_err(|_| "the supervisor hangs".to_owned())
}

/// How many processes descend from these.
fn descendants(roots: &[i32]) -> usize {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: BTreeMap<i32, i32> = entries
        .filter_map(|e| {
            let pid = e.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(e.path().join("stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let under = |mut pid: i32| {
        while let Some(parent) = parents.get(&pid) {
            if roots.contains(parent) {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents.keys().filter(|p| under(**p)).count()
}

/// How many mounts the cells have, where this user may see it.
fn mounts(zygotes: &[i32]) -> Option<usize> {
    let of = |z: &i32| Some(std::fs::read_to_string(format!("/proc/{z}/mountinfo")).ok()?.lines().count());
    zygotes.iter().map(of).sum()
}
