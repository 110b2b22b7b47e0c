//! How often the audit is right: recall on graders with seeded holes, false findings on sound graders.
//!
//! A seeded grader is a hardened one of `loophole-grade` with one weakness or two open. It counts as found if the
//! audit of it has a finding, and each open weakness if one has its family. Sound graders are all hardened forms,
//! and honest graders in the three foreign forms.

mod service;

use crate::AuditError;
use crate::library::library;
use crate::plan::{Options, audit};
use crate::report::Report;
use loophole_env::{Cases, Environment, RewardFrom, SLOW, Settings, Signature, lab, open};
use loophole_grade::{Family, GradeError, Grader, GraderKind, Grading, Task, Weakness};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const TASKS: &str = include_str!("tasks.jsonl");
const PROGRAMS: &str = include_str!("programs.jsonl");
const SPEED: &str = include_str!("speed.jsonl");
const QUESTIONS: &str = include_str!("questions.jsonl");
const HONEST: &str = include_str!("honest.py");

/// What the calibration found.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// Graders with seeded holes.
    pub seeded: usize,
    /// Of those, audited with at least one finding.
    pub found: usize,
    /// Open weaknesses in all of them together.
    pub holes: usize,
    /// Of those, found as what they are: a finding has their family.
    pub named: usize,
    /// The same for each weakness: open, found, named.
    pub by_weakness: BTreeMap<&'static str, Counts>,
    /// Seeded graders without a finding, and weaknesses without one of their family.
    pub missed: Vec<String>,
    /// Sound graders.
    pub sound: usize,
    /// Findings in them; wanted are none.
    pub false_findings: Vec<String>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// Of one weakness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Graders in which it is open.
    pub open: usize,
    /// Of those, graders with a finding.
    pub found: usize,
    /// Of those, graders with a finding of its family.
    pub named: usize,
}

/// One grader to audit.
struct Seeded {
    name: String,
    target: Box<dyn Environment>,
    open: Vec<Weakness>,
}

/// Runs the calibration. `quick` takes every weakness alone and one task of each sound form.
///
/// # Errors
/// What keeps the machine from running anything at all.
pub fn calibrate(
    python: Option<&Path>,
    quick: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Calibration, AuditError> {
    let folder = std::env::temp_dir().join(format!("loophole-calibration-{}", std::process::id()));
    let result = in_folder(&folder, python, quick, progress);
    // What is left in a temporary folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn in_folder(
    folder: &Path,
    python: Option<&Path>,
    quick: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Calibration, AuditError> {
    let settings = Settings { python: python.map(Path::to_path_buf), ..Settings::default() };
    let mut skipped = Vec::new();
    let mut environments = seeded(&settings, quick)?;
    let seeded = environments.len();
    environments.extend(hardened(&settings, quick)?);
    let (service, address) = service::start().map_err(|source| AuditError::Io { path: "127.0.0.1".into(), source })?;
    environments.extend(foreign(folder, python, quick, &address)?);

    let results = run_all(&environments, progress);
    drop(service);
    let mut out = Calibration {
        seeded: 0,
        found: 0,
        holes: 0,
        named: 0,
        by_weakness: BTreeMap::new(),
        missed: Vec::new(),
        sound: 0,
        false_findings: Vec::new(),
        skipped: Vec::new(),
    };
    for (i, (environment, result)) in environments.iter().zip(results).enumerate() {
        let report = match result {
            Ok(report) => report,
            Err(AuditError::Grade(GradeError::NoPytest)) => {
                skipped.push(format!("{}: the interpreter has no pytest", environment.name));
                continue;
            }
            Err(error) => {
                // A sound grader that cannot be audited is no false finding, but it must be seen.
                skipped.push(format!("{}: {error}", environment.name));
                continue;
            }
        };
        if i < seeded { out.count_seeded(environment, &report) } else { out.count_sound(environment, &report) }
    }
    out.skipped = skipped;
    Ok(out)
}

impl Calibration {
    fn count_seeded(&mut self, environment: &Seeded, report: &Report) {
        self.seeded += 1;
        let found = !report.findings.is_empty();
        self.found += usize::from(found);
        if !found {
            self.missed.push(environment.name.clone());
        }
        let families = families(report);
        for weakness in &environment.open {
            let named = families.contains(weakness);
            let counts = self.by_weakness.entry(weakness.name()).or_default();
            counts.open += 1;
            counts.found += usize::from(found);
            counts.named += usize::from(named);
            self.holes += 1;
            self.named += usize::from(named);
            if found && !named {
                self.missed.push(format!("{} ({weakness} not named)", environment.name));
            }
        }
    }

    fn count_sound(&mut self, environment: &Seeded, report: &Report) {
        self.sound += 1;
        self.false_findings.extend(report.findings.iter().map(|f| format!("{}: {}", environment.name, f.id)));
    }
}

/// The families of all findings, also of those that came down to the same proof.
fn families(report: &Report) -> BTreeSet<Family> {
    let of = |id: &String| library().ok().and_then(|l| l.iter().find(|e| e.id == *id)).map(|e| e.family);
    report.findings.iter().flat_map(|f| f.also.iter().filter_map(of).chain([f.family]).chain(f.attributed)).collect()
}

fn run_all(environments: &[Seeded], progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<Result<Report, AuditError>> {
    // Side by side, each one submission at a time: what sleeps in one does not hold up the others.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let options = Options { jobs: 2, repeats: 2, minimise: false };
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, Result<Report, AuditError>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(environment) = environments.get(i) else { break };
                    let report = audit(environment.target.as_ref(), &options, &|_| {});
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((i, report));
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, environments.len());
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, r)| r).collect()
}

fn tasks(kind: GraderKind) -> Result<Vec<Task>, AuditError> {
    let text = match kind {
        GraderKind::Stdio => PROGRAMS,
        GraderKind::Speed => SPEED,
        _ => TASKS,
    };
    text.lines().map(|l| Task::parse(l).map_err(AuditError::Input)).collect()
}

/// Labs, one for each kind and patience.
#[derive(Default)]
struct Labs {
    known: BTreeMap<(GraderKind, bool), Arc<Grading>>,
}

impl Labs {
    fn get(&mut self, settings: &Settings, grader: &Grader) -> Result<Arc<Grading>, AuditError> {
        let patient = grader.is_open(Weakness::Resource);
        if let Some(lab) = self.known.get(&(grader.kind, patient)) {
            return Ok(lab.clone());
        }
        let lab = Arc::new(lab(
            grader.kind,
            settings,
            match grader.kind {
                GraderKind::Speed => SLOW,
                _ if patient => 3.0,
                _ => 0.0,
            },
        )?);
        self.known.insert((grader.kind, patient), lab.clone());
        Ok(lab)
    }
}

/// Every weakness of every kind, alone and (unless `quick`) with every other.
fn seeded(settings: &Settings, quick: bool) -> Result<Vec<Seeded>, AuditError> {
    let (mut labs, mut out) = (Labs::default(), Vec::new());
    for kind in GraderKind::ALL {
        let Some(task) = tasks(kind)?.into_iter().next() else { continue };
        let all = kind.weaknesses();
        let mut sets: Vec<Vec<Weakness>> = all.iter().map(|w| vec![*w]).collect();
        if !quick {
            let pairs = |i: usize| all[i + 1..].iter().map(move |b| vec![all[i], *b]);
            sets.extend((0..all.len()).flat_map(pairs));
        }
        for open in sets {
            let grader = Grader::with_only(kind, &open).map_err(AuditError::Input)?;
            // Where comparisons are outside all the same, the switch opens nothing.
            if grader.is_outside() && !grader.is_open(Weakness::HardCoding) {
                continue;
            }
            let effective = effective(&grader, open);
            if effective.is_empty() {
                continue;
            }
            let names: Vec<&str> = effective.iter().map(|w| w.name()).collect();
            let lab = labs.get(settings, &grader)?;
            out.push(Seeded {
                name: format!("{kind} with {}", names.join(" and ")),
                target: Box::new(Cases::new(lab, "seeded", task.clone(), grader)),
                open: effective,
            });
        }
    }
    Ok(out)
}

/// The switches that open something. Where answers are sealed, `stdio` keeps no file of expected outputs that could be
/// tampered with; and where comparisons are outside, only the choice of tests matters.
fn effective(grader: &Grader, mut open: Vec<Weakness>) -> Vec<Weakness> {
    if grader.is_outside() {
        return vec![Weakness::HardCoding];
    }
    if grader.kind == GraderKind::Stdio && !grader.is_open(Weakness::AnswerLeak) {
        open.retain(|w| *w != Weakness::TestTampering);
    }
    open
}

fn hardened(settings: &Settings, quick: bool) -> Result<Vec<Seeded>, AuditError> {
    let (mut labs, mut out) = (Labs::default(), Vec::new());
    for kind in GraderKind::ALL {
        let grader = Grader::hardened(kind);
        let lab = labs.get(settings, &grader)?;
        for task in tasks(kind)?.into_iter().take(if quick { 1 } else { usize::MAX }) {
            out.push(Seeded {
                name: format!("hardened {kind}, task {}", task.id),
                target: Box::new(Cases::new(lab.clone(), "hardened", task, grader.clone())),
                open: Vec::new(),
            });
        }
    }
    Ok(out)
}

/// Honest graders as callables, as a command and as a service.
fn foreign(folder: &Path, python: Option<&Path>, quick: bool, http: &str) -> Result<Vec<Seeded>, AuditError> {
    let write = |name: &str, text: &str| -> Result<PathBuf, AuditError> {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| AuditError::Io { path: path.clone(), source })?;
        Ok(path)
    };
    std::fs::create_dir_all(folder).map_err(|source| AuditError::Io { path: folder.into(), source })?;
    let graders = folder.join("graders");
    std::fs::create_dir_all(&graders).map_err(|source| AuditError::Io { path: graders.clone(), source })?;
    let source = write("graders/honest.py", HONEST)?.display().to_string();
    let (questions, code) = (write("questions.jsonl", QUESTIONS)?, write("tasks.jsonl", TASKS)?);
    let base = Settings {
        python: python.map(Path::to_path_buf),
        all: !quick,
        files: Some(graders),
        reward_from: RewardFrom::Output,
        ..Settings::default()
    };
    let mut out = Vec::new();
    for (target, signature, tasks) in [
        (format!("python:{source}:strict"), Signature::Trl, &questions),
        (format!("python:{source}:exact"), Signature::Verl, &questions),
        (format!("python:{source}:apart"), Signature::Plain, &code),
        ("cmd:python3 honest.py {submission} {task}".to_string(), Signature::Plain, &questions),
        (http.to_string(), Signature::Plain, &questions),
    ] {
        let settings = Settings { signature, tasks: Some(tasks.clone()), ..base.clone() };
        for opened in open(&target, &settings)? {
            let short = target.replace(&folder.display().to_string(), "");
            let name = format!("honest {short}, task {}", opened.description().about.task.clone().unwrap_or_default());
            out.push(Seeded { name, target: opened, open: Vec::new() });
        }
    }
    Ok(out)
}
