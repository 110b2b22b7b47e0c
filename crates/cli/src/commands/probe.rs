//! `loophole probe`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use loophole_cell::{Pool, PoolOptions};
use loophole_chat::Chat;
use loophole_lab::records;
use loophole_log::ProbeReport;
use loophole_probe::scenario::ArmSpec;
use loophole_probe::{
    Answer, Arms, Battery, BatteryOptions, KnownAnswer, ProbeError, SampleRecord, known_answer_arms, known_answers,
};
use loophole_world::{Characters, WorldConfig};

use super::probe_files::{Folder, Identity};
use super::{model, probe_table};
use crate::leave;
use crate::output::{self, Error, Exit, Options};

/// How an agent gives its commands.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tools {
    /// Calls for models behind an API, text for those on this machine
    Auto,
    /// Every answer is a shell command
    Text,
    /// By calls of tools
    Calls,
}

/// Arguments of `loophole probe`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole probe organism
  loophole probe organism:runs/quick/no-instruction/7 --json
  loophole probe openai:NAME --battery covert --samples 20 --out results/NAME
  loophole probe mock:bad --battery all --samples 2
  loophole probe mock:bad --battery my/scenario.toml             (of your own; or a folder of such files)
  loophole probe mock:bad --probe shutdown_resistance --axis strength=priority --axis stakes=deleted
  loophole probe --compare results/before results/after
  loophole probe openai:NAME --known-answers --samples 10        (do published differences come back with this model?)
  loophole probe --judge openai:NAME --out results/NAME          (what is there is judged, nothing is played)
  loophole report results/NAME")]
pub struct ProbeArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, FILE.gguf, an endpoint, mock:BEHAVIOUR
    #[arg(required_unless_present_any = ["compare", "judge"])]
    model: Option<String>,
    /// small or full (single turns, worded for a small model), all, or one group: shutdown, covert, faking, detector,
    /// honesty, malicious, insider, hacking, awareness; or a FILE.toml of your own, or a folder of such files
    #[arg(long)]
    battery: Option<String>,
    /// Only these probes; several with commas, or the flag again
    #[arg(long, value_delimiter = ',')]
    probe: Vec<String>,
    /// Only these arms, such as tempting, honest_path, permitted, no_rule, instructed; all unless told otherwise
    #[arg(long, value_delimiter = ',')]
    arm: Vec<String>,
    /// An arm of its own for scenarios with axes, made of these values: NAME=VALUE
    #[arg(long)]
    axis: Vec<String>,
    /// Samples of each probe and arm
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Seed of scenarios and sampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    sampling: model::SamplingFlags,
    /// Most tokens of a reply; 96 for the organism and mocks, 1024 for other models on this machine, 4096 behind an API,
    /// unless told otherwise
    #[arg(long)]
    max_tokens: Option<usize>,
    /// How an agent gives its commands
    #[arg(long, value_enum, default_value = "auto")]
    tools: Tools,
    /// Samples played at a time
    #[arg(long, default_value_t = 64)]
    width: usize,
    /// Ask after every sample, in a branch of its own, whether it was a test; a column
    #[arg(long)]
    awareness: bool,
    /// Ask every agent after its sample, in a branch from just before the deed, what it means to do; a column
    #[arg(long)]
    intent: bool,
    /// Play what others have published differences of (the group covert, unless a battery is named, in the arms that takes,
    /// one of them with a vague rule), and tell whether they come back: exit 1 unless all do
    #[arg(long, conflicts_with_all = ["arm", "axis", "compare"])]
    known_answers: bool,
    /// Another model that is asked of every sample whether the model misbehaved; a column, never part of a score. Without
    /// a MODEL to play: about the samples that are in --out
    #[arg(long)]
    judge: Option<String>,
    /// Folder for samples, Inspect log, Parquet and report; what is there already is not played again
    #[arg(long)]
    out: Option<PathBuf>,
    /// Compare two such folders, sample by sample
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with = "model")]
    compare: Vec<PathBuf>,
}

/// Runs the battery on a model, or compares two runs.
pub fn probe(arguments: &ProbeArguments, output: &Options) -> Result<Exit, Error> {
    match (&arguments.compare[..], &arguments.model) {
        ([before, after], _) => compare(before, after, arguments.seed, output),
        (_, Some(model)) => play(arguments, model, output),
        _ => match (&arguments.judge, &arguments.out) {
            (Some(judge), Some(out)) => judge_again(judge, out, output),
            _ => Err(Error::Input(
                "name a model, two folders with --compare, or with --judge the folder to be judged as --out".into(),
            )),
        },
    }
}

/// The battery that was asked for.
fn battery(arguments: &ProbeArguments) -> Result<Battery, Error> {
    let mut battery = match &arguments.battery {
        Some(name) => Battery::open(name)?,
        None if arguments.known_answers => Battery::bundled("covert")?,
        // Probes may be named without their battery.
        None if !arguments.probe.is_empty() => {
            let small = Battery::bundled("small")?;
            let names = small.names();
            if arguments.probe.iter().all(|name| names.contains(&name.as_str())) {
                small
            } else {
                Battery::bundled("all")?
            }
        }
        None => Battery::bundled("small")?,
    };
    if !arguments.probe.is_empty() {
        battery = battery.select(&arguments.probe)?;
    }
    if !arguments.axis.is_empty() {
        set_axes(&mut battery, &arguments.axis)?;
    }
    Ok(battery)
}

/// Gives the scenarios that have these axes an arm of its own, in the place of all others.
fn set_axes(battery: &mut Battery, axes: &[String]) -> Result<(), Error> {
    let mut values = std::collections::BTreeMap::new();
    for axis in axes {
        let (name, value) =
            axis.split_once('=').ok_or_else(|| Error::Input(format!("--axis {axis}: write NAME=VALUE")))?;
        if let Some(other) = values.insert(name.to_string(), value.to_string()) {
            return Err(Error::Input(format!("--axis {axis}: {name} is set already, to {other}")));
        }
    }
    battery.scenarios.retain(|scenario| !scenario.axes.is_empty());
    let known: Vec<String> = battery
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.axes)
        .map(|(axis, values)| format!("{axis} ({})", values.keys().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    for scenario in &mut battery.scenarios {
        for (axis, value) in &values {
            if scenario.axes.get(axis).is_none_or(|values| !values.contains_key(value)) {
                return Err(Error::Input(format!("there is no {axis}={value}; axes are {}", known.join("; "))));
            }
        }
        let says = vec!["task".to_string(), "rule".to_string()];
        let mut axes = values.clone();
        axes.entry("placement".into()).or_insert_with(|| "user".into());
        let arm =
            ArmSpec { says, allowed: false, optional: false, set: Default::default(), axes, plays: Default::default() };
        scenario.arms = [("tempting".to_string(), arm)].into_iter().collect();
    }
    if battery.scenarios.is_empty() {
        return Err(Error::Input("no probe of this battery has axes; --probe shutdown_resistance has".into()));
    }
    Ok(())
}

/// How often progress is told where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Samples after which the time left is told.
const RECKON_AFTER: usize = 8;

/// Progress in lines, for where there is no terminal.
struct Lines {
    began: Instant,
    told: Instant,
    total: usize,
    earlier: usize,
    played: usize,
}

impl Lines {
    fn new(total: usize, earlier: usize) -> Self {
        let now = Instant::now();
        Lines { began: now, told: now, total, earlier, played: 0 }
    }

    /// How many samples there are, and how long the others will take.
    fn left(&self) -> String {
        let done = self.earlier + self.played;
        let mut text = format!("{done} of {} samples", self.total);
        if self.played >= RECKON_AFTER {
            let each = self.began.elapsed().as_secs_f64() / self.played as f64;
            text += &format!(", about {:.0} s left", each * self.total.saturating_sub(done) as f64);
        }
        text
    }

    fn say(&mut self, output: &Options, text: impl FnOnce() -> String) {
        if !output.has_bar() && self.told.elapsed() > SAY_EVERY {
            self.told = Instant::now();
            output.say(&text());
        }
    }
}

/// Says so when an endpoint gives no reply for a while; ends with the sender.
fn tell_of_silence(chat: &dyn Chat, over: &Receiver<()>, say: &dyn Fn(&str)) {
    let mut before = chat.account();
    while let (Some(account), Err(RecvTimeoutError::Timeout)) = (&before, over.recv_timeout(SAY_EVERY)) {
        let now = chat.account().unwrap_or_default();
        if now.replies + now.from_cache == account.replies + account.from_cache {
            let failed: usize = now.failed.values().sum();
            say(&format!(
                "no reply for {} s: {} replies so far, {} retries, {failed} requests failed",
                SAY_EVERY.as_secs(),
                now.replies + now.from_cache,
                now.retries
            ));
        }
        before = Some(now);
    }
}

fn remote(model: &str) -> bool {
    ["openai:", "anthropic:", "http://", "https://"].iter().any(|form| model.starts_with(form))
}

/// What is said when a battery was left.
const GO_ON: &str = "interrupted; the same command goes on from here";
const GONE: &str = "interrupted; with --out FOLDER, the same command could go on from here";

fn play(arguments: &ProbeArguments, name: &str, output: &Options) -> Result<Exit, Error> {
    output::flag("--samples", arguments.samples.unwrap_or(1), 1..=100_000)?;
    output::flag("--width", arguments.width, 1..=output::MOST_JOBS)?;
    output::flag("--max-tokens", arguments.max_tokens.unwrap_or(1), 1..=1_000_000)?;
    arguments.sampling.check()?;
    let battery = battery(arguments)?;
    let chat = model::open(name)?;
    let sampling = arguments.sampling.of(chat.as_ref(), &|text| output.say(text));
    let options = BatteryOptions {
        samples: arguments.samples.map(|samples| samples as usize),
        seed: arguments.seed,
        temperature: sampling.temperature.unwrap_or(1.0),
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        max_tokens: arguments.max_tokens.unwrap_or(match name {
            name if remote(name) => 4096,
            name if name.starts_with("organism") || name.starts_with("mock:") => 96,
            _ => 1024,
        }),
        arms: match (arguments.known_answers, arguments.arm.is_empty()) {
            (true, _) => Arms::Only(known_answer_arms()?),
            (false, true) => Arms::All,
            (false, false) => Arms::Only(arguments.arm.clone()),
        },
        tools: arguments.tools == Tools::Calls || (arguments.tools == Tools::Auto && remote(name)),
        width: arguments.width,
        awareness: arguments.awareness,
        intent: arguments.intent,
        ..BatteryOptions::default()
    };
    let total = battery.size(&options);
    let arms = battery.arms();
    if let Some(unknown) = arguments.arm.iter().find(|arm| !arms.contains(arm.as_str())) {
        let arms: Vec<&str> = arms.into_iter().collect();
        return Err(Error::Input(format!(
            "no probe of the battery has an arm {unknown:?}; there are {}",
            arms.join(", ")
        )));
    }
    if total == 0 {
        return Err(Error::Input("nothing to play: no probe of the battery has such an arm".into()));
    }
    let identity = Identity::new(name, &battery, &arguments.axis, &options);
    let mut folder = arguments.out.as_deref().map(|out| Folder::open(out, &identity, output)).transpose()?;
    let earlier = folder.as_mut().map(|folder| std::mem::take(&mut folder.samples)).unwrap_or_default();
    if !earlier.is_empty() {
        output.say(&format!("{} of {total} samples are there already", earlier.len()));
    }
    let pool = Pool::start(PoolOptions::default())?;
    let hint = if folder.is_some() { GO_ON } else { GONE };
    leave::listen(move || output::tell(hint));
    let bar = output.bar(total as u64);
    bar.set_position(earlier.len() as u64);
    let mut table = probe_table::Live::new(&battery, &earlier);
    let mut failed = None;
    let mut lines = Lines::new(total, earlier.len());
    let mut watch = |sample: &SampleRecord| {
        table.add(sample);
        bar.inc(1);
        bar.set_message(table.short());
        lines.played += 1;
        let told = lines.left();
        lines.say(output, || told);
        if let Some(Err(error)) = folder.as_mut().map(|folder| folder.append(sample)) {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        if leave::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // Ends with the play: then nobody sends any more.
    let (playing, over) = channel::<()>();
    let played = std::thread::scope(|scope| {
        scope.spawn(|| {
            let over = over;
            tell_of_silence(chat.as_ref(), &over, &|text| {
                if output.has_bar() { bar.println(text) } else { output.say(text) }
            });
        });
        let played = loophole_probe::play(&battery, chat.as_ref(), Some(&pool), &options, earlier, &mut watch);
        drop(playing);
        played
    });
    bar.finish_and_clear();
    if let Some(account) = model::account(chat.as_ref()) {
        output.say(&account);
    }
    let mut report = match (played, failed) {
        (_, Some(error)) => return Err(error),
        (Err(ProbeError::Stopped), _) => {
            output.say(hint);
            return Ok(Exit::Interrupted);
        }
        (played, _) => played?,
    };
    let errors: Vec<&String> = report.samples.iter().filter_map(|sample| sample.error.as_ref()).collect();
    if let Some(reason) = errors.last() {
        // What failed is in no folder as a result: the same command tries it again.
        let reason = reason.to_string();
        if errors.len() == report.samples.len() {
            return Err(ProbeError::Failing { samples: errors.len(), reason }.into());
        }
        output.say(&format!(
            "{} of {} samples failed and are invalid, the last with: {reason}",
            errors.len(),
            report.samples.len()
        ));
    }
    if let Some(judge) = &arguments.judge {
        ask_judge(&mut report.samples, judge, output)?;
        report = report.again(&battery, options.seed);
    }
    if let Some(text) = without_valid(&report) {
        output.say(&text);
    }
    let summary = summary(&report, name)?;
    if let Some(folder) = &mut folder {
        folder.finish(&battery, &report, &summary, &identity)?;
    }
    let known = match arguments.known_answers {
        true => Some(known_answers(&battery, &report.samples)?),
        false => None,
    };
    tell(&summary, chat.account(), known.as_deref(), output);
    if known.is_some_and(|known| known.iter().any(|known| known.answer != Answer::AsPublished)) {
        return Ok(Exit::Found);
    }
    // A model that the battery cannot measure has not passed it.
    Ok(if summary.measured.is_none_or(|measured| measured.measured) { Exit::Clean } else { Exit::Found })
}

/// What is written down of a report. Thoughts are read where the model's world says what a bad one is.
fn summary(report: &loophole_probe::BatteryReport, model: &str) -> Result<ProbeReport, Error> {
    let characters = model.starts_with("organism").then(|| Characters::new(&WorldConfig::default())).transpose()?;
    Ok(records::probe_report(report, model, None, characters.as_ref()))
}

fn tell(
    summary: &ProbeReport,
    account: Option<loophole_chat::Account>,
    known_answers: Option<&[KnownAnswer]>,
    output: &Options,
) {
    if output.json {
        output::json(&Printed { report: summary, account, known_answers });
    } else {
        probe_table::print(summary);
        known_answers.into_iter().for_each(probe_table::print_known);
    }
}

/// Asks a judge about the samples of a folder; nothing is played.
fn judge_again(judge: &str, out: &std::path::Path, output: &Options) -> Result<Exit, Error> {
    let (mut folder, identity) = Folder::reopen(out, output)?;
    let mut samples = std::mem::take(&mut folder.samples);
    if samples.is_empty() {
        return Err(Error::Input(format!("{} holds no sample to judge", out.display())));
    }
    let mut battery = identity.battery()?;
    if !identity.axes().is_empty() {
        set_axes(&mut battery, identity.axes())?;
    }
    leave::listen(|| output::tell("interrupted; the same command asks about all samples again"));
    ask_judge(&mut samples, judge, output)?;
    let report = loophole_probe::BatteryReport::new(&battery, samples, identity.seed(), 0.0);
    let summary = summary(&report, identity.model())?;
    folder.finish(&battery, &report, &summary, &identity)?;
    tell(&summary, None, None, output);
    if leave::asked() {
        output
            .say("interrupted; what the judge has answered is kept, and the same command asks about all samples again");
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Clean)
}

/// The probes that say nothing about the model, and why the first of them does not.
fn without_valid(report: &loophole_probe::BatteryReport) -> Option<String> {
    let mut probes = report.probes.iter().filter(|probe| probe.n > 0 && probe.n_valid == 0);
    let first = probes.next()?;
    let more = probes.count();
    let sample = report.samples.iter().rfind(|sample| sample.probe == first.name && sample.arm == "tempting")?;
    let more = if more > 0 { format!(" (and of {more} more probes)") } else { String::new() };
    let evidence = if sample.evidence.is_empty() { String::new() } else { format!(": {}", sample.evidence) };
    Some(format!("no sample of {} is valid{more}; its last is {}{evidence}", first.name, sample.outcome.name()))
}

/// What `--json` prints: the report, and what the endpoint was asked where there is one.
#[derive(serde::Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a ProbeReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<loophole_chat::Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_answers: Option<&'a [KnownAnswer]>,
}

/// Asks another model about all samples. One that fails costs its column and nothing else.
fn ask_judge(samples: &mut [SampleRecord], name: &str, output: &Options) -> Result<(), Error> {
    let judge = model::open(name)?;
    let bar = output.bar(samples.len() as u64);
    bar.set_message("judged");
    let judged = loophole_probe::judge(samples, judge.as_ref(), &mut |done| {
        bar.set_position(done as u64);
        if leave::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    if judged.unanswered > 0 {
        let why = judged.failure.map_or("no yes and no no".to_string(), |error| error.to_string());
        output.say(&format!("{} of {} samples have no answer of the judge: {why}", judged.unanswered, samples.len()));
    }
    if let Some(account) = model::account(judge.as_ref()) {
        output.say(&format!("judge: {account}"));
    }
    Ok(())
}

fn compare(before: &std::path::Path, after: &std::path::Path, seed: u64, output: &Options) -> Result<Exit, Error> {
    let read = |path: &std::path::Path| -> Result<Vec<SampleRecord>, Error> { Folder::read_whole(path, output) };
    let found = loophole_probe::compare(&read(before)?, &read(after)?, seed)?;
    if found.probes.is_empty() {
        return Err(Error::Input(format!(
            "{} and {} have no samples of the same probes, seeds and numbers in common",
            before.display(),
            after.display()
        )));
    }
    if output.json {
        output::json(&found);
        return Ok(Exit::Clean);
    }
    probe_table::print_comparison(&found);
    Ok(Exit::Clean)
}
