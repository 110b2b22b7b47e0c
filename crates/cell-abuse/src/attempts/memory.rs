//! State that outlives a program: pairs that store and recall, and programs that count.
//!
//! A *store* is given random bits and leaves them where it can; a *recall*, run after it is dead, prints what it can
//! read of them. Both are run in the same cell, in different cells of one pool, and in different pools; nothing else
//! runs meanwhile, so that the attempt has the best conditions. A *tell* is run many times in one cell and prints
//! numbers with names: one that only ever rises or falls, or follows the number of the run, is a counter.

use super::attempt::{Attempt, python_with};
use super::runner::{Neighbour, Worker, guarded};
use loophole_cell::{Program, Record};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// Where the recall runs, seen from the store.
const WAYS: [&str; 3] = ["same cell", "other cell", "other pool"];
/// Bits in all for one way, and rounds at least and at most.
const BITS: u32 = 48;
const ROUNDS: (u32, u32) = (2, 24);
/// So unlikely must it be that chance alone reads as many bits.
const CHANCE: f64 = 1e-5;
/// How often a program that counts is run.
const RUNS: usize = 16;
/// Rank correlation with the number of the run from which on a number counts as following it.
const FOLLOWS: f64 = 0.95;
/// Bytes of the large file that one try uses: 32 pages, 64 pages apart.
const REGION: u64 = 32 * 64 * 4096;

/// What came of an attempt of this kind.
#[derive(Default)]
pub(super) struct Found {
    /// What got through, and what of the attempt itself broke.
    pub wrong: Vec<String>,
    /// The attempt itself is broken.
    pub broke: bool,
    /// How much got through, and how fast.
    pub measured: Option<String>,
}

/// Files of the machine that cells can read as well.
struct Readable {
    /// The largest.
    big: PathBuf,
    size: u64,
    /// The folder with the most files in it.
    many: PathBuf,
}

fn readable() -> &'static Readable {
    static FOUND: OnceLock<Readable> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = Readable { big: "/usr/bin/python3".into(), size: 0, many: "/usr/bin".into() };
        let mut most = 0;
        look(Path::new("/usr"), &mut found, &mut most);
        found
    })
}

fn look(folder: &Path, found: &mut Readable, most: &mut usize) {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            look(&entry.path(), found, most);
        } else if meta.is_file() && meta.mode() & 0o004 != 0 {
            files += 1;
            if meta.len() > found.size {
                (found.size, found.big) = (meta.len(), entry.path());
            }
        }
    }
    if files > *most {
        (*most, found.many) = (files, folder.to_owned());
    }
}

/// Drops the large file's pages, as they are on a machine that has not read it: whether a program may do that itself
/// is for the attempt to try, and must not decide whether it is tried fairly.
pub fn chill(file: &Path) {
    let of = format!("if={}", file.display());
    let _ = Command::new("dd").args([&of, "iflag=nocache", "count=0"]).output();
}

/// The largest file of the machine that cells can read as well, and its size in bytes.
pub fn largest() -> (&'static Path, u64) {
    (&readable().big, readable().size)
}

/// The same question for both programs of a pair, or all runs of one.
struct Question {
    slot: u64,
    bits: Vec<bool>,
}

impl Question {
    fn draw(count: u32) -> Question {
        let slots = (readable().size / REGION).max(1);
        Question { slot: fastrand::u64(..slots), bits: (0..count).map(|_| fastrand::bool()).collect() }
    }

    /// A program of the pair; only the store is told the bits.
    fn program(&self, worker: &Worker, attempt: &Attempt, source: &str, before: &str, store: bool) -> Program {
        let bits: Vec<&str> = self.bits.iter().map(|b| if *b { "1" } else { "0" }).collect();
        let head = include_str!("../../data/memory.py")
            .replace("{{BITS}}", &if store { bits.join(", ") } else { String::new() })
            .replace("{{COUNT}}", &self.bits.len().to_string())
            .replace("{{SLOT}}", &self.slot.to_string())
            .replace("{{BEFORE}}", &before.escape_default().to_string())
            .replace("{{BIG}}", &readable().big.display().to_string())
            .replace("{{MANY}}", &readable().many.display().to_string());
        let mut program = python_with(&head, source, &|text| worker.canaries.fill(text));
        program.limits = attempt.limits();
        program.proc = attempt.proc;
        program
    }
}

/// The same program for another zygote of the pool: what it imports is not seen by who chooses one.
fn elsewhere(mut program: Program) -> Program {
    if let loophole_cell::Entry::Python(source) = &program.entry {
        let hidden: String = source.bytes().map(|b| format!("{b:02x}")).collect();
        program.entry = loophole_cell::Entry::Python(format!("exec(bytes.fromhex('{hidden}').decode(), globals())"));
    }
    program
}

impl Worker {
    /// Carries out an attempt of either kind.
    pub(super) fn memory(&self, attempt: &Attempt, neighbour: &Mutex<Neighbour>) -> Found {
        if attempt.store.is_some() { self.recalled(attempt, neighbour) } else { self.told(attempt) }
    }

    /// A pair: whether what one stores is recalled by the other.
    fn recalled(&self, attempt: &Attempt, neighbour: &Mutex<Neighbour>) -> Found {
        let mut found = Found::default();
        let mut measured = Vec::new();
        for (way, name) in WAYS.into_iter().enumerate() {
            match self.pairs(attempt, neighbour, way) {
                Err(why) => {
                    found.broke = true;
                    found.wrong.push(format!("{name}: {why}"));
                }
                Ok(tally) => {
                    if let Some(text) = tally.leak() {
                        found.wrong.push(format!("{name}: {text}"));
                        measured.push(format!("{name} {text}"));
                    }
                }
            }
        }
        found.measured = (!measured.is_empty()).then(|| measured.join("; "));
        found
    }

    fn pairs(&self, attempt: &Attempt, neighbour: &Mutex<Neighbour>, way: usize) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let (Some(store), Some(recall)) = (&attempt.store, &attempt.recall) else { return Ok(tally) };
        let neighbour = neighbour.lock().expect("a neighbour");
        let second = |program: Program| match way {
            0 => self.cell.run(&program),
            1 => self.cell.run(&elsewhere(program)),
            _ => guarded(&neighbour.0, &program),
        };
        for _ in 0..(BITS / attempt.bits).clamp(ROUNDS.0, ROUNDS.1) {
            let question = Question::draw(attempt.bits);
            chill(&readable().big);
            let before = match &attempt.mark {
                Some(mark) => second(question.program(self, attempt, mark, "", false))?.0,
                None => Record::clone(&self.cell.run(&Program::python("pass"))?.0),
            };
            let before = before.stdout_text();
            let (one, a) = self.cell.run(&question.program(self, attempt, store, &before, true))?;
            let (two, b) = second(question.program(self, attempt, recall, &before, false))?;
            for r in [&one, &two] {
                if r.code != Some(0) {
                    return Err(format!("it broke off: {:?} {:?} {}", r.verdict, r.code, r.stderr_text()));
                }
            }
            tally.add(&question.bits, two.stdout_text().trim());
            tally.seconds += a + b;
        }
        Ok(tally)
    }

    /// Whether a program can tell how many ran before it.
    fn told(&self, attempt: &Attempt) -> Found {
        let mut found = Found::default();
        let Some(tell) = &attempt.tell else { return found };
        let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..RUNS {
            let program = Question::draw(0).program(self, attempt, tell, "", false);
            match self.cell.run(&program) {
                Ok((r, _)) if r.code == Some(0) => {
                    for (name, value) in r.stdout_text().lines().filter_map(|l| l.rsplit_once(' ')) {
                        let Ok(value) = value.parse::<i128>() else { continue };
                        series.entry(name.to_owned()).or_default().push(value as f64);
                    }
                }
                other => {
                    let why = other.map(|(r, _)| format!("{:?} {:?} {}", r.verdict, r.code, r.stderr_text()));
                    let why = why.unwrap_or_else(|e| e);
                    return Found { wrong: vec![format!("it broke off: {why}")], broke: true, measured: None };
                }
            }
        }
        let counting = |v: &&Vec<f64>| v.len() == RUNS && counts(v);
        let counters: Vec<_> = series.iter().filter(|(_, v)| counting(v)).collect();
        if !counters.is_empty() {
            let some = counters.iter().take(4).map(|(name, v)| format!("{name} ({}, {}, {} ..)", v[0], v[1], v[2]));
            let text = some.collect::<Vec<_>>().join(", ");
            found.wrong.push(format!("{} of {} numbers follow the run: {text}", counters.len(), series.len()));
            found.measured = Some(format!("{} numbers follow the run: {text}", counters.len()));
        }
        found
    }
}

/// Bits read right and wrong.
#[derive(Default)]
struct Tally {
    right: u32,
    wrong: u32,
    of: u32,
    seconds: f64,
}

impl Tally {
    fn add(&mut self, bits: &[bool], told: &str) {
        let told = told.lines().next_back().unwrap_or("").chars();
        for (bit, told) in bits.iter().zip(told.chain(std::iter::repeat('?'))) {
            match told {
                '0' | '1' if (told == '1') == *bit => self.right += 1,
                '0' | '1' => self.wrong += 1,
                _ => {}
            }
        }
        self.of += bits.len() as u32;
    }

    /// What got through, if more than chance explains. A program that always says the opposite tells as much.
    fn leak(&self) -> Option<String> {
        let best = self.right.max(self.wrong);
        let answered = self.right + self.wrong;
        if tail(answered, best) > CHANCE {
            return None;
        }
        let share = f64::from(best) / f64::from(answered);
        let h = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        let rate = f64::from(answered) * (1.0 - h(share) - h(1.0 - share)) / self.seconds;
        Some(format!("{best} of {} bits read back, {rate:.0} bits/s", self.of))
    }
}

/// Chance that of `n` fair coins at least `k` fall on one named side.
fn tail(n: u32, k: u32) -> f64 {
    let mut term = 0.5f64.powi(n as i32);
    let mut sum = 0.0;
    for i in 0..=n {
        if i >= k {
            sum += term;
        }
        term *= f64::from(n - i) / f64::from(i + 1);
    }
    sum
}

/// Whether numbers only rise or only fall, or follow their place.
fn counts(values: &[f64]) -> bool {
    let steps = || values.windows(2).map(|w| w[1] - w[0]);
    if steps().all(|d| d > 0.0) || steps().all(|d| d < 0.0) {
        return true;
    }
    rank_correlation(values).abs() >= FOLLOWS
}

fn rank_correlation(values: &[f64]) -> f64 {
    let rank = |v: f64| {
        let below = values.iter().filter(|o| **o < v).count() as f64;
        below + (values.iter().filter(|o| **o == v).count() as f64 - 1.0) / 2.0
    };
    let mean = (values.len() as f64 - 1.0) / 2.0;
    let (mut both, mut a, mut b) = (0.0, 0.0, 0.0);
    for (i, v) in values.iter().enumerate() {
        let (x, y) = (i as f64 - mean, rank(*v) - mean);
        both += x * y;
        a += x * x;
        b += y * y;
    }
    if b == 0.0 { 0.0 } else { both / (a * b).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_one_and_noise_is_none() {
        let rising: Vec<f64> = (0..16).map(|i| f64::from(1000 + 3 * i)).collect();
        assert!(counts(&rising));
        assert!(counts(&rising.iter().map(|v| -v).collect::<Vec<_>>()));
        // Rises in steps, as a number that is counted in batches.
        assert!(counts(&rising.iter().map(|v| (v / 8.0).floor()).collect::<Vec<_>>()));
        assert!(!counts(&[7.0; 16]));
        assert!(!counts(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0, 9.0, 7.0, 9.0, 3.0]));
        let mut once = [0.0; 16];
        once[15] = 1.0;
        assert!(!counts(&once));
    }

    #[test]
    fn bits_that_are_read_back_are_told_and_guesses_are_not() {
        let bits: Vec<bool> = (0..32).map(|i| i % 3 == 0).collect();
        let text: String = bits.iter().map(|b| if *b { '1' } else { '0' }).collect();
        let flipped: String = bits.iter().map(|b| if *b { '0' } else { '1' }).collect();
        let of = |texts: [&str; 3]| {
            let mut tally = Tally { seconds: 1.0, ..Tally::default() };
            texts.iter().for_each(|t| tally.add(&bits, t));
            tally.leak()
        };
        assert!(of([&text, &text, &text]).is_some_and(|t| t.starts_with("96 of 96")));
        assert!(of([&flipped, &flipped, &flipped]).is_some());
        assert!(of(["", "?", &"?".repeat(32)]).is_none());
        assert!(of([&"01".repeat(16), &"10".repeat(16), &"0110".repeat(8)]).is_none());
        // Half of the bits for certain is still half of them.
        let half = format!("{}{}", &text[..16], "?".repeat(16));
        assert!(of([&half, &half, &half]).is_some());
    }

    #[test]
    fn the_tail_is_that_of_fair_coins() {
        assert!((tail(3, 3) - 0.125).abs() < 1e-12 && (tail(3, 0) - 1.0).abs() < 1e-12);
        assert!((tail(96, 48) - 0.54).abs() < 0.01);
    }
}
