//! The plan: controls, then exploits in order of cost, then combinations where no single exploit was paid; each
//! success run again, made small and written down. What it does follows from the target and the library alone.

use crate::library::{Exploit, Files, Severity, library};
use crate::report::{Finding, Proof, Repeated, Report, Run};
use crate::target::{Control, Judged, Paid, Target};
use crate::{AuditError, combine, minimise};
use loophole_grade::Family;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The controls, in the order they are shown.
pub const CONTROLS: [&str; 7] = ["honest", "empty", "constant", "echo", "wrong", "raising", "hanging"];

/// Controls whose best reward exploits must exceed.
const NULL: [&str; 3] = ["empty", "constant", "echo"];

/// Controls that are findings where they are paid.
const UNDESERVING: [&str; 4] = ["empty", "constant", "echo", "wrong"];

/// Two rewards that are this close are the same.
const CLOSE: f64 = 1e-9;

/// How an audit is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Submissions run at a time.
    pub jobs: usize,
    /// How often a success is run in all.
    pub repeats: usize,
    /// Whether proofs are made small.
    pub minimise: bool,
}

impl Default for Options {
    fn default() -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        Options { jobs, repeats: 3, minimise: true }
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A stage of this many items begins.
    Stage(&'static str, usize),
    /// One of them is done; whether it found something.
    Done(bool),
}

/// Who is told.
pub type Listener<'a> = &'a (dyn Fn(Event) + Sync);

/// Audits a target with the whole library.
///
/// # Errors
/// [`AuditError::NotAuditable`] if the reference is not paid or the grader does not say the same thing twice.
pub fn audit(target: &dyn Target, options: &Options, listen: Listener) -> Result<Report, AuditError> {
    audit_with(target, library()?, options, listen)
}

/// Audits a target with these exploits.
///
/// # Errors
/// As for [`audit`].
pub fn audit_with(
    target: &dyn Target,
    exploits: &[Exploit],
    options: &Options,
    listen: Listener,
) -> Result<Report, AuditError> {
    let began = Instant::now();
    let about = target.about();
    let known = Known { target, paid: Mutex::new(BTreeMap::new()) };
    let (base, mut runs) = controls(&known, options, listen)?;
    let plan = Plan { target, options, base: &base, known: &known };

    let mut chosen: Vec<(&Exploit, Vec<Files>)> = exploits
        .iter()
        .filter(|e| about.takes(&e.applies) && (about.many_files || e.files.len() == 1))
        .map(|e| (e, e.forms(target.slots())))
        .filter(|(_, forms)| !forms.is_empty())
        .collect();
    chosen.sort_by(|(a, _), (b, _)| (a.cost, &a.id).cmp(&(b.cost, &b.id)));
    listen(Event::Stage("exploits", chosen.len()));
    // What hangs is waited for meanwhile.
    let (outcomes, hung) = std::thread::scope(|scope| {
        let hung = scope.spawn(|| hanging(&known));
        let outcomes = parallel(options.jobs, &chosen, listen, |(exploit, forms)| {
            plan.attempt(&exploit.id, forms, || Claim::of(exploit))
        });
        // A panic there is a bug of ours and goes on as one.
        (outcomes, hung.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let mut all: Vec<Outcome> = outcomes?;
    let hung = hung?;
    let mut findings: Vec<Finding> = base.findings(&plan, target.controls())?;
    findings.extend(all.iter_mut().filter_map(|o| o.finding.take()));

    let mut combinations_tried = 0;
    if findings.is_empty() && about.surface == crate::Surface::Module {
        let combinations = combine::combinations(&chosen, about.many_files);
        combinations_tried = combinations.len();
        listen(Event::Stage("combinations", combinations.len()));
        let more = parallel(options.jobs, &combinations, listen, |c| {
            plan.attempt(&c.id, std::slice::from_ref(&c.files), || Claim::of_two(c.first, c.second))
        })?;
        all.extend(more);
        findings.extend(all.iter_mut().filter_map(|o| o.finding.take()));
    }
    let mut findings = distinct(plan.made_small(findings, listen)?);
    findings.sort_by(|a, b| (b.severity, &a.id).cmp(&(a.severity, &b.id)));

    let best = findings.iter().map(|f| f.reward).fold(f64::NEG_INFINITY, f64::max);
    let mut rewards = base.rewards.clone();
    rewards.extend(hung.iter().map(|run| ("hanging", run.reward)));
    runs.extend(hung);
    let invalid = all.iter().filter(|o| o.invalid).map(|o| o.id.clone()).collect();
    runs.extend(all.into_iter().flat_map(|o| o.runs));
    Ok(Report {
        target: about.target.clone(),
        task: about.task.clone(),
        grader: about.grader.clone(),
        controls: rewards,
        gameability_gap: if best.is_finite() { (best - base.best_null).max(0.0) } else { 0.0 },
        findings,
        exploits_tried: chosen.len(),
        exploits_not_applicable: exploits.len() - chosen.len(),
        combinations_tried,
        invalid,
        hints: target.hints(),
        runs,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// One finding for each proof: exploits that came down to the same submission are one hole. It keeps the name that
/// fits what was seen, else the plainest.
fn distinct(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.attributed.is_some_and(|seen| seen != f.family), f.cost);
        (key(a), &a.id).cmp(&(key(b), &b.id))
    });
    let mut out: Vec<Finding> = Vec::new();
    for finding in findings {
        match out.iter_mut().find(|f| f.proof.files == finding.proof.files && f.reward == finding.reward) {
            Some(first) => first.also.push(finding.id),
            None => out.push(finding),
        }
    }
    out
}

/// What the controls were paid.
struct Base {
    rewards: BTreeMap<&'static str, Option<f64>>,
    honest: f64,
    /// What is paid for nothing at all; at most 0.
    floor: f64,
    best_null: f64,
    /// Null controls that were paid.
    paid: Vec<(&'static str, Paid)>,
}

impl Base {
    /// How much of the honest reward this one is, from 0 to 1.
    fn share(&self, reward: f64) -> f64 {
        (reward - self.floor) / (self.honest - self.floor)
    }

    /// Null controls that were paid more than the oracle grants them.
    fn findings(&self, plan: &Plan, controls: &[Control]) -> Result<Vec<Finding>, AuditError> {
        let mut out = Vec::new();
        for (name, paid) in &self.paid {
            let Some(control) = controls.iter().find(|c| c.name == *name) else { continue };
            let judged = plan.target.judge(&control.files)?;
            let reward = paid.reward.unwrap_or(self.floor);
            if judged.solved || self.share(reward) <= judged.share() + 0.01 {
                continue;
            }
            let repeated = plan.repeat(&control.files, reward)?;
            out.push(Claim::of_control(name).finding(reward, &judged, control.files.clone(), paid, repeated, self));
        }
        Ok(out)
    }
}

fn controls(known: &Known, options: &Options, listen: Listener) -> Result<(Base, Vec<Run>), AuditError> {
    let target = known.target;
    // The reference three times and the others twice: a grader that does not repeat itself proves nothing.
    let twice: Vec<&Control> = target
        .controls()
        .iter()
        .filter(|c| c.name != "hanging")
        .flat_map(|c| std::iter::repeat_n(c, if c.name == "honest" { 3 } else { 2 }))
        .collect();
    listen(Event::Stage("controls", twice.len()));
    let done = parallel(options.jobs, &twice, listen, |control| target.pay(&control.files).map(Told))?;
    let mut seen: BTreeMap<&'static str, Paid> = BTreeMap::new();
    let mut runs = Vec::new();
    for (control, Told(paid)) in twice.iter().zip(done) {
        possible(control, &paid)?;
        match seen.get(control.name) {
            Some(first) if !same(first.reward, paid.reward) => {
                let say = |r: Option<f64>| r.map_or("no reward".into(), crate::report::number);
                return Err(AuditError::NotAuditable(format!(
                    "its grader is not deterministic: the control `{}` got {} and then {}",
                    control.name,
                    say(first.reward),
                    say(paid.reward)
                )));
            }
            Some(_) => {}
            None => {
                runs.push(run_of(control, &paid));
                seen.insert(control.name, paid);
            }
        }
    }
    let rewards: BTreeMap<&'static str, Option<f64>> = seen.iter().map(|(name, paid)| (*name, paid.reward)).collect();
    let nothing: Vec<f64> = seen.iter().filter(|(n, _)| **n != "honest").filter_map(|(_, p)| p.reward).collect();
    let floor = nothing.iter().copied().fold(0.0, f64::min);
    let honest = seen.get("honest");
    let reward = honest.and_then(|p| p.reward).unwrap_or(f64::NAN);
    if reward.is_nan() || reward <= floor + CLOSE {
        let told = honest.map(|p| tail(&p.transcript)).unwrap_or_default();
        let paid = if reward.is_nan() { "gets no reward".into() } else { format!("is paid {reward}") };
        return Err(AuditError::NotAuditable(format!("its reference {paid}; the grader said: {told}")));
    }
    let null = |name: &str| seen.get(name).and_then(|p| p.reward);
    let best_null = NULL.iter().filter_map(|n| null(n)).fold(floor, f64::max);
    let paid = UNDESERVING
        .iter()
        .filter(|n| null(n).is_some_and(|r| r > floor + CLOSE))
        .filter_map(|n| seen.get(n).map(|p| (*n, p.clone())))
        .collect();
    Ok((Base { rewards, honest: reward, floor, best_null, paid }, runs))
}

/// The control that never ends; it is run once.
fn hanging(known: &Known) -> Result<Option<Run>, AuditError> {
    let Some(control) = known.target.controls().iter().find(|c| c.name == "hanging") else { return Ok(None) };
    let paid = known.pay(&control.files)?;
    possible(control, &paid)?;
    Ok(Some(run_of(control, &paid)))
}

/// Without the controls nothing can be said.
fn possible(control: &Control, paid: &Paid) -> Result<(), AuditError> {
    if paid.valid {
        return Ok(());
    }
    let (name, told) = (control.name, tail(&paid.transcript));
    Err(AuditError::NotAuditable(format!("the machine failed while the control `{name}` was run: {told}")))
}

fn run_of(control: &Control, paid: &Paid) -> Run {
    Run {
        id: control.name.into(),
        form: 1,
        files: control.files.clone(),
        reward: paid.reward,
        solved: (control.name == "honest").then_some(true),
        transcript: paid.transcript.clone(),
        evidence: Vec::new(),
        seconds: paid.seconds,
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= CLOSE,
        (None, None) => true,
        _ => false,
    }
}

/// The end of what a grader said, on one line.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let from = lines.len().saturating_sub(6);
    if lines.is_empty() { "nothing".into() } else { lines[from..].join(" | ") }
}

/// The plan's means.
struct Plan<'a> {
    target: &'a dyn Target,
    options: &'a Options,
    base: &'a Base,
    known: &'a Known<'a>,
}

/// What was asked before. Exploits of a kind come down to the same few lines, and a control may be one of them.
struct Known<'a> {
    target: &'a dyn Target,
    paid: Mutex<BTreeMap<Files, Arc<Mutex<Option<Paid>>>>>,
}

impl Known<'_> {
    /// As [`Target::pay`], once for each submission; who comes second waits.
    fn pay(&self, files: &Files) -> Result<Paid, AuditError> {
        let place = locked(&self.paid).entry(files.clone()).or_default().clone();
        let mut place = locked(&place);
        if let Some(known) = &*place {
            return Ok(known.clone());
        }
        let mut paid = self.target.pay(files)?;
        if !paid.valid {
            paid = self.target.pay(files)?;
        }
        *place = Some(paid.clone());
        Ok(paid)
    }
}

/// What became of one exploit or combination.
struct Outcome {
    id: String,
    finding: Option<Finding>,
    invalid: bool,
    runs: Vec<Run>,
}

/// A payment on its way through [`parallel`].
struct Told(Paid);

/// A finding whose proof was made small.
struct Small(Finding);

trait Found {
    fn found(&self) -> bool;
}

impl Found for Outcome {
    fn found(&self) -> bool {
        self.finding.is_some()
    }
}

impl Found for Small {
    fn found(&self) -> bool {
        true
    }
}

impl Found for Told {
    fn found(&self) -> bool {
        false
    }
}

impl Plan<'_> {
    /// Tries the forms of an exploit until one is paid without solving the task.
    fn attempt<'e>(&self, id: &str, forms: &[Files], claim: impl Fn() -> Claim<'e>) -> Result<Outcome, AuditError> {
        let mut outcome = Outcome { id: id.into(), finding: None, invalid: false, runs: Vec::new() };
        for (index, files) in forms.iter().enumerate() {
            let paid = self.known.pay(files)?;
            outcome.invalid |= !paid.valid;
            let mut run = Run {
                id: id.into(),
                form: index + 1,
                files: files.clone(),
                reward: paid.reward,
                solved: None,
                transcript: paid.transcript.clone(),
                evidence: Vec::new(),
                seconds: paid.seconds,
            };
            let reward = paid.reward.filter(|r| *r > self.base.best_null + CLOSE);
            let Some(reward) = reward else {
                outcome.runs.push(run);
                continue;
            };
            let judged = self.target.judge(files)?;
            run.solved = Some(judged.solved);
            run.evidence.clone_from(&judged.evidence);
            outcome.runs.push(run);
            if judged.solved || self.base.share(reward) <= judged.share() + 0.01 {
                continue;
            }
            let repeated = self.repeat(files, reward)?;
            outcome.finding = Some(claim().finding(reward, &judged, files.clone(), &paid, repeated, self.base));
            outcome.invalid = false;
            break;
        }
        Ok(outcome)
    }

    fn repeat(&self, files: &Files, reward: f64) -> Result<Repeated, AuditError> {
        let mut repeated = Repeated { paid: 1, of: self.options.repeats.max(1) };
        for _ in 1..repeated.of {
            let again = self.target.pay(files)?.reward;
            repeated.paid += usize::from(again.is_some_and(|r| r >= reward - CLOSE));
        }
        Ok(repeated)
    }

    /// The findings with small proofs. Those that are small already come first: what holds one of them within itself
    /// is as small as that.
    fn made_small(&self, findings: Vec<Finding>, listen: Listener) -> Result<Vec<Finding>, AuditError> {
        let steady = |f: &Finding| self.options.minimise && f.repeated.paid == f.repeated.of;
        let (done, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| !steady(f) || f.id.starts_with("CTL-"));
        let small = |f: &Finding| f.proof.files.len() == 1 && f.proof.files.values().all(|t| t.lines().count() <= 6);
        let (plain, long): (Vec<_>, Vec<_>) = rest.into_iter().partition(small);
        listen(Event::Stage("proofs", plain.len() + long.len()));
        let shrink = |f: &Finding| {
            let files = self.minimised(&f.proof.files, f.reward)?;
            Ok(Small(Finding { proof: Proof { files }, ..f.clone() }))
        };
        let mut out: Vec<Finding> =
            parallel(self.options.jobs, &plain, listen, shrink)?.into_iter().map(|s| s.0).collect();
        let known: Vec<(f64, Files)> = out.iter().map(|f| (f.reward, f.proof.files.clone())).collect();
        let longer = parallel(self.options.jobs, &long, listen, |f| {
            match known.iter().find(|(reward, k)| *reward == f.reward && minimise::within(k, &f.proof.files)) {
                Some((_, files)) => Ok(Small(Finding { proof: Proof { files: files.clone() }, ..f.clone() })),
                None => shrink(f),
            }
        })?;
        out.extend(longer.into_iter().map(|s| s.0));
        out.extend(done);
        Ok(out)
    }

    /// The smallest submission found that is paid as much and still solves nothing.
    fn minimised(&self, files: &Files, reward: f64) -> Result<Files, AuditError> {
        let pays = |files: &Files| -> Result<bool, AuditError> {
            Ok(self.known.pay(files)?.reward.is_some_and(|r| r >= reward - CLOSE))
        };
        let about = self.target.about();
        let small = minimise::minimise(files, about.surface.main_file(), about.tries, pays)?;
        // Less of what solves nothing solves nothing; asked all the same.
        if small != *files && !self.target.judge(&small)?.solved { Ok(small) } else { Ok(files.clone()) }
    }
}

/// What a success of an exploit claims.
struct Claim<'e> {
    id: String,
    name: String,
    family: Family,
    severity: Severity,
    needs: String,
    proves: String,
    fix: String,
    cost: u32,
    benchjack: &'e [String],
    openenv: &'e [String],
}

impl<'e> Claim<'e> {
    fn of(e: &'e Exploit) -> Claim<'e> {
        Claim {
            id: e.id.clone(),
            name: e.name.clone(),
            family: e.family,
            severity: e.severity,
            needs: e.needs.clone(),
            proves: e.proves.clone(),
            fix: e.fix.clone(),
            cost: e.cost,
            benchjack: &e.benchjack,
            openenv: &e.openenv,
        }
    }

    fn of_two(a: &'e Exploit, b: &'e Exploit) -> Claim<'e> {
        let and = |x: &str, y: &str| if x == y { x.to_string() } else { format!("{x} {y}") };
        Claim {
            id: format!("{}+{}", a.id, b.id),
            name: format!("{}, with {}", a.name, b.name),
            needs: format!("{}; and {}", a.needs, b.needs),
            proves: format!("{}; together with: {}", a.proves, b.proves),
            fix: and(&a.fix, &b.fix),
            ..Claim::of(a)
        }
    }

    fn of_control(name: &str) -> Claim<'static> {
        let (family, what, fix) = match name {
            "empty" => (Family::SpecGaming, "a submission that is empty", "An empty submission must fail."),
            "constant" => (Family::HardCoding, "a constant", "Add cases whose answers differ."),
            "echo" => (Family::SpecGaming, "its own input, handed back", "Add cases whose answer is not their input."),
            _ => (
                Family::HardCoding,
                "answers that are all wrong",
                "Compare values, types included; a test that no wrong answer fails is none.",
            ),
        };
        Claim {
            id: format!("CTL-{name}"),
            name: what.into(),
            family,
            severity: Severity::High,
            needs: "nothing at all".into(),
            proves: format!("the grader pays {what}"),
            fix: fix.into(),
            cost: 0,
            benchjack: &[],
            openenv: &[],
        }
    }

    fn finding(
        self,
        reward: f64,
        judged: &Judged,
        files: Files,
        paid: &Paid,
        repeated: Repeated,
        base: &Base,
    ) -> Finding {
        let mut evidence = vec![match judged.oracle {
            Some(o) => format!(
                "the grader paid {} of {}, and the oracle passed {} of {} tests",
                crate::report::number(reward),
                crate::report::number(base.honest),
                o.passed,
                o.total
            ),
            None => format!(
                "the grader paid {} of {} for a submission that holds no solution",
                crate::report::number(reward),
                crate::report::number(base.honest)
            ),
        }];
        // How many processes were still alive at the end is a matter of moments; the rest is the same every time.
        evidence.extend(judged.evidence.iter().filter(|line| !line.starts_with("left ")).cloned());
        if repeated.paid < repeated.of {
            evidence.push(format!("not steady: paid {} of {} times", repeated.paid, repeated.of));
        }
        let partly = base.share(reward) < 0.99;
        let or = |list: &[String], default: &[&str]| -> Vec<String> {
            if list.is_empty() { default.iter().map(|s| s.to_string()).collect() } else { list.to_vec() }
        };
        Finding {
            severity: if partly { self.severity.min(Severity::Medium) } else { self.severity },
            benchjack: or(self.benchjack, &["V6"]),
            openenv: or(self.openenv, &["semantic.floor_gap", "semantic.canary_floor"]),
            id: self.id,
            also: Vec::new(),
            attributed: judged.family,
            cost: self.cost,
            name: self.name,
            family: self.family,
            reward,
            oracle: judged.oracle,
            proof: Proof { files },
            evidence,
            needs: self.needs,
            proves: self.proves,
            fix: self.fix,
            repeated,
            transcript: paid.transcript.clone(),
        }
    }
}

/// Does the work for every item, `jobs` at a time; results in the order of the items. The first error ends it.
fn parallel<T: Sync, R: Send + Found>(
    jobs: usize,
    items: &[T],
    listen: Listener,
    work: impl Fn(&T) -> Result<R, AuditError> + Sync,
) -> Result<Vec<R>, AuditError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    let failed: Mutex<Option<AuditError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((i, item)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    items.get(i).map(|item| (i, item))
                } {
                    match work(item) {
                        Ok(result) => {
                            listen(Event::Done(result.found()));
                            locked(&done).push((i, result));
                        }
                        Err(error) => {
                            next.store(items.len(), Ordering::Relaxed);
                            locked(&failed).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, r)| r).collect())
}

fn locked<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept is whole after every statement, so a panic elsewhere does not spoil it.
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
