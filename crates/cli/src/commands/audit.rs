//! `loophole audit`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use loophole_audit::{
    AuditError, Baseline, Compared, Event, Finding, Hardened, Hardening, Options as Plan, Reach, Report,
};
use loophole_env::{Environment, Protocol, RewardFrom, Settings, Signature};
use loophole_log::{Kind, Ledger, Lock, Place};
use serde_json::{Value, json};

use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole audit`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole audit tasks.jsonl --kind pytest --harden hardened\n  loophole audit tasks/my-harbor-task --html audit.html\n  loophole audit my-project --sarif audit.sarif\n  loophole audit rewards.py:score --tasks rows.jsonl --python .venv/bin/python\n  loophole audit 'cmd:python3 grade.py {submission} {task}' --tasks rows.jsonl --reward output\n  loophole audit http://127.0.0.1:5000/get_reward --protocol openrlhf --tasks rows.jsonl\n  loophole audit http://127.0.0.1:8000 --protocol openenv --tasks rows.jsonl\n  loophole audit inspect:arithmetic.py@sums --python .venv/bin/python\n  loophole audit inspect:inspect_evals/humaneval --python .venv/bin/python\n  loophole audit verifiers:environments/sums --python .venv/bin/python"
)]
pub struct AuditArguments {
    /// A JSONL of tasks; a folder with task.toml (Harbor), or with tests and a reference, or a folder of such folders;
    /// FILE.py:FUNCTION or python:MODULE:FUNCTION; inspect:PACKAGE/TASK or inspect:FILE.py@TASK; verifiers:NAME,
    /// verifiers:FILE.py or verifiers:FOLDER; 'cmd:COMMAND {submission}'; http://127.0.0.1:PORT/PATH
    target: String,
    /// Kind of grader, for tasks in a file; pytest or unittest, for a folder
    #[arg(long)]
    kind: Option<String>,
    /// Weaknesses left open; all that graders are found with unless named
    #[arg(long, value_name = "WEAKNESS", conflicts_with = "hardened")]
    open: Vec<String>,
    /// Close every weakness
    #[arg(long)]
    hardened: bool,
    /// Audit with this task instead of the first
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    task: Option<String>,
    /// Audit with every task
    #[arg(long)]
    all: bool,
    /// Tasks for a callable, a command or a service: JSONL, each row with a reference, passed on as it is
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,
    /// A submission that deserves the full reward (in a folder: its reference solution)
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// In a folder: the file that a submission is
    #[arg(long, value_name = "PATH")]
    solution: Option<String>,
    /// Arguments of a callable: trl, verl, verl-batch, group, names or plain; auto finds out from their
    /// names
    #[arg(long, default_value = "auto")]
    signature: String,
    /// What is said to a service: openrlhf, sandboxfusion, openenv or plain
    #[arg(long, default_value = "plain")]
    protocol: String,
    /// A command's reward: its exit status, or the last line of its output
    #[arg(long, default_value = "exit", value_name = "exit|output")]
    reward: String,
    /// The folder a command runs in (a copy of it); the files it names come along anyhow
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Python of the cells
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Wall seconds for one run of the grader
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Submissions run at a time; one a core and one more unless told otherwise
    #[arg(long)]
    jobs: Option<usize>,
    /// Write the hardened grader there, and audit it again
    #[arg(long, value_name = "DIR")]
    harden: Option<PathBuf>,
    /// Write a script for each finding that needs nothing of Loophole's
    #[arg(long, value_name = "DIR")]
    repro: Option<PathBuf>,
    /// Try each finding on so many tasks, or on all: on how many does it pay?
    #[arg(long, value_name = "N|all", value_parser = Tasks::parse, conflicts_with_all = ["all", "task"])]
    reach: Option<Tasks>,
    /// An earlier `--json`: what is closed, still open, new; only new findings count
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write SARIF, for code scanning
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write a self-contained page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write OpenEnv's validation report
    #[arg(long, value_name = "FILE")]
    openenv: Option<PathBuf>,
    /// Write every submission into an Inspect log (.eval)
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// So many tasks.
#[derive(Debug, Clone, Copy)]
struct Tasks(usize);

impl Tasks {
    fn parse(text: &str) -> Result<Tasks, String> {
        match text {
            "all" => Ok(Tasks(usize::MAX)),
            _ => text.parse().ok().filter(|n| *n > 1).map(Tasks).ok_or_else(|| "a number from 2 on, or all".into()),
        }
    }
}

impl AuditArguments {
    fn settings(&self) -> Result<Settings, Error> {
        output::flag("--timeout", self.timeout.unwrap_or(1.0), 0.001..=604_800.0)?;
        output::flag("--jobs", self.jobs.unwrap_or(1), 1..=output::MOST_JOBS)?;
        Ok(Settings {
            kind: self.kind.clone(),
            open: self.open.clone(),
            hardened: self.hardened,
            python: self.python.clone(),
            timeout: self.timeout,
            task: self.task.clone(),
            all: self.all || self.reach.is_some(),
            tasks: self.tasks.clone(),
            reference: self.reference.clone(),
            solution: self.solution.clone(),
            signature: Signature::parse(&self.signature)?,
            protocol: Protocol::parse(&self.protocol)?,
            reward_from: RewardFrom::parse(&self.reward)?,
            files: self.files.clone(),
        })
    }
}

/// Audits a target.
pub fn audit(arguments: &AuditArguments, output: &Options) -> Result<Exit, Error> {
    let settings = arguments.settings()?;
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?;
    let mut plan = Plan::default();
    plan.jobs = arguments.jobs.unwrap_or(plan.jobs);
    let began = now();
    let Opened { mut targets, mut failed } = opened(arguments, &settings, output)?;
    let others: Vec<Box<dyn Environment>> = match arguments.reach {
        Some(Tasks(most)) => targets.split_off(1).into_iter().take(most - 1).collect(),
        None => Vec::new(),
    };
    if (arguments.log.is_some() || arguments.openenv.is_some()) && targets.len() > 1 {
        return Err(Error::Input("--log and --openenv are about one task; name it with --task".into()));
    }
    let files = Outputs::lock(arguments)?;
    let so_far = Arc::new(SoFar::default());
    let (left, how) = (Arc::clone(&so_far), *output);
    leave::at_once(move || left.show(&how));
    let harden = |folder: &PathBuf| -> Result<Hardening, Error> {
        let first = targets.first().ok_or_else(|| Error::Input("there is nothing to harden".into()))?;
        let hardening = Hardening::write(&arguments.target, first.as_ref(), &settings, folder)?;
        loophole_log::seal(Kind::Grader, folder)?;
        Ok(hardening)
    };
    let hardening = arguments.harden.as_ref().map(harden).transpose()?;
    let mut hardened: Vec<Option<Hardened>> = Vec::new();
    let mut reached = Vec::new();
    for target in &targets {
        let bar = output.bar(0);
        let about = &target.description().about;
        let name = about.task.as_ref().map_or(about.target.clone(), |task| format!("{}, task {task}", about.target));
        so_far.begin(name);
        let listen = |event: Event| match event {
            Event::Found(finding) => so_far.found(*finding),
            event => progress(&bar, &event),
        };
        let report = match loophole_audit::audit(target.as_ref(), &plan, &listen) {
            Ok(report) => report,
            // The other tasks are audited all the same.
            Err(error @ AuditError::NotAuditable(_)) if targets.len() > 1 => {
                bar.finish_and_clear();
                let task = about.task.as_ref().map_or(String::new(), |task| format!(", task {task}"));
                output.warn(&format!("{}{task}: {error}", about.target));
                failed = failed.or(Some(error.into()));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(hardening) = &hardening {
            hardened.push(match hardening.audit(&report, &plan, &listen) {
                // What was found before is told all the same.
                Err(error @ AuditError::NotAuditable(_)) => {
                    output.warn(&error.to_string());
                    failed = failed.or(Some(error.into()));
                    None
                }
                other => Some(other?),
            });
        }
        if let Some(folder) = &arguments.repro {
            let written = loophole_audit::repro(target.as_ref(), &report, folder)?;
            output.say(&format!("{} files in {} prove what was found", written.len(), folder.display()));
        }
        if arguments.reach.is_some() {
            reached.push(loophole_audit::reach(&report, &others)?);
        }
        bar.finish_and_clear();
        so_far.done(report);
    }
    let reports = so_far.take();
    if let Some(error) = failed.take_if(|_| reports.is_empty()) {
        return Err(error);
    }
    write(arguments, files, &reports, began)?;

    let mut new = 0;
    for (i, report) in reports.iter().enumerate() {
        let compared = baseline.as_ref().map(|b| b.compare(report));
        new += compared.as_ref().map_or(report.findings.len(), |c| c.new.len());
        show(
            report,
            compared.as_ref(),
            hardened.get(i).and_then(Option::as_ref),
            reached.get(i).map(Vec::as_slice),
            output,
        );
    }
    if reports.len() > 1 && !output.json {
        summary(&reports);
    }
    if reports.iter().any(|r| r.not_audited.is_some()) {
        return Ok(Exit::Cannot);
    }
    Ok(match failed {
        _ if new > 0 => Exit::Found,
        Some(_) => Exit::Cannot,
        None => Exit::Clean,
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn progress(bar: &output::Bar, event: &Event) {
    match event {
        Event::Stage(name, items) => {
            bar.set_position(0);
            bar.set_length(*items as u64);
            bar.set_message(name);
        }
        Event::Done => bar.inc(1),
        Event::Found(_) => {}
    }
}

/// What a target was opened as, and the first of what could not be opened.
struct Opened {
    targets: Vec<Box<dyn Environment>>,
    failed: Option<Error>,
}

/// Opens the target, or each environment of a folder of them.
fn opened(arguments: &AuditArguments, settings: &Settings, output: &Options) -> Result<Opened, Error> {
    let Some(folders) = loophole_env::environments_in(&arguments.target) else {
        return Ok(Opened { targets: loophole_env::open(&arguments.target, settings)?, failed: None });
    };
    let mut all = Opened { targets: Vec::new(), failed: None };
    for folder in folders {
        match loophole_env::open(&folder, settings) {
            Ok(some) => all.targets.extend(some),
            // The others are audited all the same.
            Err(error) => {
                output.warn(&format!("{folder}: {error}"));
                all.failed.get_or_insert(error.into());
            }
        }
    }
    match all.failed.take_if(|_| all.targets.is_empty()) {
        Some(error) => Err(error),
        None => Ok(all),
    }
}

/// One line for each of several reports.
fn summary(reports: &[Report]) {
    line("");
    for report in reports {
        let task = report.task.as_ref().map_or(String::new(), |task| format!(", task {task}"));
        let ids: Vec<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
        let (holes, gap) = (report.findings.len(), report.gameability_gap);
        line(&format!("{:>3} holes, gap {gap:.2}  {}{task}  {}", holes, report.target, ids.join(" ")));
    }
}

fn show(
    report: &Report,
    compared: Option<&Compared>,
    hardened: Option<&Hardened>,
    reached: Option<&[Reach]>,
    output: &Options,
) {
    if output.json {
        let mut value = json!(report);
        if let Some(compared) = compared {
            value["new"] = json!(compared.new);
            value["baseline"] = json!(compared);
        }
        if let Some(reached) = reached {
            value["reach"] = json!(reached);
        }
        if let Some(hardened) = hardened {
            value["hardened"] = json!(hardened);
            value["hardened"]["findings"] = json!(hardened.report.findings);
        }
        output::json(&value);
        return;
    }
    line(report.table().trim_end());
    for r in reached.unwrap_or_default() {
        line(&format!("reach: {} pays on {} of {} tasks", r.id, r.paid, r.of));
    }
    if let Some(c) = compared {
        for (name, list) in
            [("new", &c.new), ("still open", &c.open), ("closed", &c.closed), ("became unfair", &c.unfair)]
        {
            let some = if list.is_empty() { "none".into() } else { list.join(", ") };
            line(&format!("since the baseline, {name}: {some}"));
        }
    }
    if let Some(h) = hardened {
        line(&format!(
            "hardened in {}: {} findings before, {} after{}; gap {} before, {} after; its reference is paid {}",
            h.folder,
            h.before,
            h.after,
            if h.open.is_empty() { String::new() } else { format!(" ({})", h.open.join(", ")) },
            h.gap_before,
            h.gap_after,
            h.honest.map_or("nothing".into(), |r| r.to_string())
        ));
    }
}

/// What is said when an audit was left.
const LEFT: &str = "interrupted; what was found until then is all there is: no file was written, the same command begins \
                    anew";

/// What was found so far, for one who leaves in the middle.
#[derive(Default)]
struct SoFar(Mutex<Findings>);

#[derive(Default)]
struct Findings {
    /// Targets that are done.
    reports: Vec<Report>,
    /// The one under way, and the holes in it. Proofs are not made small yet.
    now: Option<(String, Vec<Finding>)>,
}

impl SoFar {
    fn lock(&self) -> MutexGuard<'_, Findings> {
        // What is kept is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: String) {
        self.lock().now = Some((name, Vec::new()));
    }

    fn found(&self, finding: Finding) {
        if let Some((_, findings)) = &mut self.lock().now {
            findings.push(finding);
        }
    }

    fn done(&self, report: Report) {
        let mut all = self.lock();
        all.reports.push(report);
        all.now = None;
    }

    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.lock()).reports
    }

    /// Prints it: reports as ever, and of the target under way the holes alone.
    fn show(&self, output: &Options) {
        let all = self.lock();
        all.reports.iter().for_each(|report| show(report, None, None, None, output));
        if let Some((name, findings)) = &all.now {
            if output.json {
                output::json(&json!({ "target": name, "interrupted": true, "findings": findings }));
            } else {
                line(&format!("{name}: interrupted, {} holes found until then", findings.len()));
                findings.iter().for_each(|finding| line(&finding.row()));
            }
        }
        output::tell(LEFT);
    }
}

/// The files that were asked for, held from the beginning: nobody audits for minutes and then cannot write.
struct Outputs {
    files: BTreeMap<PathBuf, Lock>,
    _harden: Option<Lock>,
}

impl Outputs {
    fn lock(arguments: &AuditArguments) -> Result<Outputs, Error> {
        let paths = [&arguments.sarif, &arguments.html, &arguments.openenv, &arguments.log];
        let mut files = BTreeMap::new();
        for path in paths.into_iter().flatten() {
            let lock = Place::file(Kind::Audit, path).lock()?;
            files.insert(path.clone(), lock);
        }
        let harden =
            arguments.harden.as_deref().map(|folder| Place::folder(Kind::Grader, folder).lock()).transpose()?;
        Ok(Outputs { files, _harden: harden })
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let place = Place::file(Kind::Audit, path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (Some(lock), Some(name)) = (self.files.remove(path), name) else {
            return Err(Error::Input(format!("{}: name a file, and each once", path.display())));
        };
        let ledger = Ledger::begin_held(place, lock)?;
        ledger.write("", &name, bytes)?;
        ledger.close_short()?;
        Ok(())
    }
}

/// Writes the forms that were asked for.
fn write(arguments: &AuditArguments, mut files: Outputs, reports: &[Report], began: u64) -> Result<(), Error> {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).map(|t| t + "\n").unwrap_or_default();
    if let Some(path) = &arguments.sarif {
        files.write(path, pretty(&loophole_audit::sarif(reports)?).as_bytes())?;
    }
    if let Some(path) = &arguments.html {
        files.write(path, loophole_audit::html(reports).as_bytes())?;
    }
    if let (Some(path), Some(report)) = (&arguments.openenv, reports.first()) {
        files.write(path, pretty(&loophole_audit::openenv(report)).as_bytes())?;
    }
    if let (Some(path), Some(report)) = (&arguments.log, reports.first()) {
        files.write(path, &loophole_log::eval_bytes(&loophole_audit::inspect_log(report, began, now()))?)?;
    }
    Ok(())
}
