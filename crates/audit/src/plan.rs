//! The plan: controls, then exploits in order of cost, then combinations where no single exploit was paid; each
//! success run again, made small and written down. What it does follows from the target and the library alone.

mod claim;
mod controls;
mod parallel;
mod proofs;

use crate::library::{Exploit, library};
use crate::report::{Finding, Repeated, Report, Run, Unfair, number};
use crate::{AuditError, combine};
use claim::Claim;
use controls::{Base, controls, hanging, tail};
use loophole_env::{Environment, Files, Judgement, Payment, Surface};
use loophole_grade::Family;
use parallel::{locked, parallel};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The controls, in the order they are shown.
pub const CONTROLS: [&str; 8] = ["honest", "empty", "constant", "echo", "wrong", "slow", "raising", "hanging"];

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
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage of this many items begins.
    Stage(&'static str, usize),
    /// One of them is done.
    Done,
    /// A hole was found. Its proof is not made small yet, and others may come down to the same one.
    Found(Box<Finding>),
}

/// Tells of what was found.
fn told(outcome: Outcome, listen: Listener) -> Outcome {
    if let Some(finding) = &outcome.finding {
        listen(Event::Found(Box::new(finding.clone())));
    }
    outcome
}

/// Who is told.
pub type Listener<'a> = &'a (dyn Fn(Event) + Sync);

/// Audits a target with the whole library.
///
/// # Errors
/// [`AuditError::NotAuditable`] if the reference is not paid or the grader does not say the same thing twice.
pub fn audit(target: &dyn Environment, options: &Options, listen: Listener) -> Result<Report, AuditError> {
    audit_with(target, library()?, options, listen)
}

/// Audits a target with these exploits.
///
/// # Errors
/// As for [`audit`].
pub fn audit_with(
    target: &dyn Environment,
    exploits: &[Exploit],
    options: &Options,
    listen: Listener,
) -> Result<Report, AuditError> {
    let began = Instant::now();
    let description = target.description();
    let about = &description.about;
    let fits = |e: &&Exploit| about.takes(&e.applies) && (about.many_files || e.files.len() == 1);
    if !exploits.iter().any(|e| fits(&e)) {
        return Err(AuditError::NotAuditable(format!("no exploit is of its kind ({})", about.surface.tag())));
    }
    let known = Known { target, paid: Mutex::new(BTreeMap::new()) };
    let (base, mut runs) = controls(&known, options, listen)?;
    let plan = Plan { target, options, base: &base, known: &known, stopped: Mutex::new(None) };

    let mut chosen: Vec<(&Exploit, Vec<Files>)> = exploits
        .iter()
        .filter(fits)
        .map(|e| (e, e.forms(&description.facts)))
        .filter(|(_, forms)| !forms.is_empty())
        .collect();
    chosen.sort_by(|(a, _), (b, _)| (a.cost, &a.id).cmp(&(b.cost, &b.id)));
    // What hangs is waited for meanwhile; exploits that do nothing else come last.
    let control = description.controls.iter().find(|c| c.name == "hanging").map(|c| &c.files);
    let hangs = |forms: &[Files]| forms.iter().any(|files| Some(files) == control);
    // So does what ends processes, where the grader is a service that may not come back.
    let ends = |e: &Exploit| about.tags.contains(&"service") && e.family == Family::Resource;
    chosen.sort_by_key(|(e, forms)| hangs(forms) || ends(e));
    let late = chosen.partition_point(|(e, forms)| !hangs(forms) && !ends(e));
    let (tried, hung) = std::thread::scope(|scope| {
        let hung = scope.spawn(|| hanging(&known));
        let tried = plan.attempts(&chosen, late, listen);
        // A panic there is a bug of ours and goes on as one.
        (tried, hung.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (Tried { findings, outcomes: all, combinations: combinations_tried }, hung) = (tried?, hung?);

    plan.still_pays()?;
    let not_audited = locked(&plan.stopped).clone().or_else(|| about.beyond.clone());
    let unfair = if locked(&plan.stopped).is_none() { plan.unfair(listen)? } else { Vec::new() };
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
        read: about.read.clone(),
        place: about.place.clone(),
        not_audited,
        unfair,
        exploits: chosen.iter().map(|(e, _)| e.id.clone()).collect(),
        controls: rewards,
        gameability_gap: if best.is_finite() { (best - base.best_null).max(0.0) } else { 0.0 },
        findings,
        exploits_tried: chosen.len(),
        exploits_not_applicable: exploits.len() - chosen.len(),
        combinations_tried,
        invalid,
        hints: description.hints.clone(),
        runs,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// The plan's means.
struct Plan<'a> {
    target: &'a dyn Environment,
    options: &'a Options,
    base: &'a Base,
    known: &'a Known<'a>,
    /// Why no more can be tried.
    stopped: Mutex<Option<String>>,
}

/// What was asked before. Exploits of a kind come down to the same few lines, and a control may be one of them.
struct Known<'a> {
    target: &'a dyn Environment,
    paid: Mutex<BTreeMap<Files, Arc<Mutex<Option<Payment>>>>>,
}

impl Known<'_> {
    /// As [`Environment::pay`], once for each submission; who comes second waits.
    fn pay(&self, files: &Files) -> Result<Payment, AuditError> {
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

    /// What the reference is paid now.
    fn honest(&self) -> Result<Payment, AuditError> {
        let controls = &self.target.description().controls;
        let files = controls.iter().find(|c| c.name == "honest").map(|c| c.files.clone()).unwrap_or_default();
        let paid = self.target.pay(&files)?;
        // A busy machine is no stopped grader.
        if paid.valid && paid.reward.is_some() { Ok(paid) } else { Ok(self.target.pay(&files)?) }
    }
}

/// What became of one exploit or combination.
struct Outcome {
    id: String,
    finding: Option<Finding>,
    invalid: bool,
    runs: Vec<Run>,
}

/// What became of all of them.
struct Tried {
    findings: Vec<Finding>,
    outcomes: Vec<Outcome>,
    combinations: usize,
}

impl Plan<'_> {
    /// Tries these exploits, from number `late` on after the others, and combinations of them where none was paid;
    /// what was paid is made small.
    fn attempts(&self, chosen: &[(&Exploit, Vec<Files>)], late: usize, listen: Listener) -> Result<Tried, AuditError> {
        let (jobs, about) = (self.options.jobs, &self.target.description().about);
        let (mut outcomes, mut findings) = (Vec::new(), Vec::new());
        let mut paid = self.base.findings(self)?;
        paid.iter().for_each(|finding| listen(Event::Found(Box::new(finding.clone()))));
        for (stage, some) in [("exploits", &chosen[..late]), ("exploits that hang", &chosen[late..])] {
            listen(Event::Stage(stage, some.len()));
            let mut more = parallel(jobs, some, listen, |(exploit, forms)| {
                Ok(told(self.attempt(&exploit.id, forms, || Claim::of(exploit))?, listen))
            })?;
            paid.extend(more.iter_mut().filter_map(|o| o.finding.take()));
            outcomes.extend(more);
            findings.extend(self.made_small(std::mem::take(&mut paid), listen)?);
        }
        let mut tried = 0;
        if findings.is_empty() && about.surface == Surface::Module {
            let combinations = combine::combinations(chosen, about.many_files);
            tried = combinations.len();
            listen(Event::Stage("combinations", tried));
            let mut more = parallel(jobs, &combinations, listen, |c| {
                let form = std::slice::from_ref(&c.files);
                Ok(told(self.attempt(&c.id, form, || Claim::of_two(c.first, c.second))?, listen))
            })?;
            paid.extend(more.iter_mut().filter_map(|o| o.finding.take()));
            outcomes.extend(more);
            findings = self.made_small(paid, listen)?;
        }
        let mut findings = self.judged(findings, listen)?;
        findings.sort_by(|a, b| (b.severity, &a.id).cmp(&(a.severity, &b.id)));
        Ok(Tried { findings, outcomes, combinations: tried })
    }

    /// Tries the forms of an exploit until one is paid without solving the task.
    fn attempt<'e>(&self, id: &str, forms: &[Files], claim: impl Fn() -> Claim<'e>) -> Result<Outcome, AuditError> {
        let mut outcome = Outcome { id: id.into(), finding: None, invalid: false, runs: Vec::new() };
        for (index, files) in forms.iter().enumerate() {
            if locked(&self.stopped).is_some() {
                break;
            }
            let paid = match self.known.pay(files) {
                Ok(paid) => paid,
                // A grader that is gone: what was found until then is told all the same.
                Err(AuditError::NotAuditable(why)) => {
                    locked(&self.stopped).get_or_insert(why);
                    break;
                }
                Err(error) => return Err(error),
            };
            let service = self.target.description().about.tags.contains(&"service");
            if paid.reward.is_none() && service && locked(&self.stopped).is_none() && !self.answers()? {
                let why = format!("the service stopped while {id} was run ({})", claim().name());
                if locked(&self.stopped).replace(why).is_none() {
                    let seen =
                        Judgement { solved: false, oracle: None, family: None, evidence: Vec::new(), paid: None };
                    let once = Repeated { paid: 1, of: 1 };
                    let finding = claim().finding(0.0, &seen, files.clone(), &paid, once, self.base);
                    outcome.finding = Some(finding.stopping());
                }
            }
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
            let judged = self.target.judge_briefly(files)?;
            run.solved = Some(judged.solved);
            run.evidence.clone_from(&judged.evidence);
            outcome.runs.push(run);
            if judged.solved || self.base.share(reward) <= judged.share() + 0.01 {
                continue;
            }
            // Without an oracle, a part of the reward may be for what is right in part; where nothing is right, at most
            // half of it may be for the form.
            let code = matches!(
                self.target.description().about.surface,
                Surface::Module | Surface::Program | Surface::Code(_)
            );
            let enough = if self.target.all_wrong(files) { 0.5 } else { 0.99 };
            if judged.oracle.is_none() && code && self.base.share(reward) < enough {
                continue;
            }
            let repeated = self.repeat(files, reward, judged.paid)?;
            outcome.finding = Some(claim().finding(reward, &judged, files.clone(), &paid, repeated, self.base));
            outcome.invalid = false;
            break;
        }
        Ok(outcome)
    }

    /// Whether the grader can still be asked and pays its reference.
    fn answers(&self) -> Result<bool, AuditError> {
        if !self.target.alive() {
            return Ok(false);
        }
        match self.known.honest() {
            Ok(paid) => Ok(paid.reward.is_some()),
            Err(AuditError::NotAuditable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A grader that pays its reference no more has stopped, or was spoiled, at a time that nobody knows: what it did
    /// not pay since says nothing.
    fn still_pays(&self) -> Result<(), AuditError> {
        if locked(&self.stopped).is_some() {
            return Ok(());
        }
        let say = |reward: Option<f64>| reward.map_or("gets no reward".into(), |r| format!("is paid {}", number(r)));
        let why = match self.known.honest() {
            Ok(paid) if paid.reward.is_some_and(|r| r >= self.base.honest - CLOSE) => return Ok(()),
            Ok(paid) => {
                let first = number(self.base.honest);
                format!(
                    "its reference, paid {first} at first, {} at the end: {}",
                    say(paid.reward),
                    tail(&paid.transcript)
                )
            }
            Err(AuditError::NotAuditable(why)) => why,
            Err(error) => return Err(error),
        };
        locked(&self.stopped).get_or_insert(why.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(())
    }

    /// The reference in other forms, where the grader pays less for it.
    fn unfair(&self, listen: Listener) -> Result<Vec<Unfair>, AuditError> {
        let unusual = &self.target.description().unusual;
        if unusual.is_empty() {
            return Ok(Vec::new());
        }
        listen(Event::Stage("honest answers in other forms", unusual.len()));
        let paid = parallel(self.options.jobs, unusual, listen, |(form, text)| {
            let paid = self.target.pay_text(text)?;
            Ok(Unfair { form: (*form).into(), reward: paid.reward, text: text.clone() })
        })?;
        Ok(paid.into_iter().filter(|u| u.reward.is_none_or(|r| r < self.base.honest - CLOSE)).collect())
    }

    /// Runs a success again; `second` is what it was paid when it was judged.
    fn repeat(&self, files: &Files, reward: f64, mut second: Option<f64>) -> Result<Repeated, AuditError> {
        let mut repeated = Repeated { paid: 1, of: self.options.repeats.max(1) };
        for _ in 1..repeated.of {
            let again = match second.take() {
                Some(paid) => Some(paid),
                None => self.target.pay(files)?.reward,
            };
            repeated.paid += usize::from(again.is_some_and(|r| r >= reward - CLOSE));
        }
        Ok(repeated)
    }
}
