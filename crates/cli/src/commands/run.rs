//! `loophole run`, `train` and `report`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use loophole_lab::recipe::Seeds;
use loophole_lab::run::{Outcome, RunOptions};
use loophole_lab::{Event, Recipe};
use loophole_log::{Answer, Kind, Place, RunDir, RunState, Status, Summary};

use super::probe_files;
use super::recipe::{self, Found};
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// The bundled recipe that runs when none is named.
const QUICK: &str = "quick";

/// Arguments of `loophole run`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole run                                   (quick: baseline and inoculated, 2 seeds)
  loophole run inoculation --dry-run             (what it does, and how long that takes here)
  loophole run inoculation                       (a bundled recipe; `loophole recipe list` tells which there are)
  loophole run my/recipe.toml --out runs/mine --set train.steps=10
  loophole run my/recipe.toml --out runs/mine --resume")]
pub struct RunArguments {
    /// Recipe of the experiment: a file, or the name of a bundled one; quick unless named
    #[arg(default_value = QUICK)]
    recipe: String,
    /// Folder of the run; runs/NAME unless named
    #[arg(long)]
    out: Option<PathBuf>,
    /// Other number of seeds than the recipe's
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,
    /// Another value than the recipe's, as in train.steps=10; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Go on with a run that is there
    #[arg(long)]
    resume: bool,
    /// Trainings at a time; one a core unless told otherwise
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Say what would be done, make one step of it to tell how long the whole takes here, and leave nothing
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `loophole train`.
#[derive(Args)]
#[command(after_help = "Example:\n  loophole train inoculation --arm permitted --seed 7")]
pub struct TrainArguments {
    /// Recipe of the experiment: a file, or the name of a bundled one
    recipe: String,
    /// The arm
    #[arg(long)]
    arm: String,
    /// The seed
    #[arg(long)]
    seed: u64,
    /// Folder of the run; runs/NAME-ARM-SEED unless named
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with a run that is there
    #[arg(long)]
    resume: bool,
}

/// Arguments of `loophole report`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole report runs/quick --out quick.html\n  loophole report results/NAME                  (a folder of `loophole probe --out`)"
)]
pub struct ReportArguments {
    /// Folder of the run, or of a played battery
    run: PathBuf,
    /// File to write; report.html in that folder unless named
    #[arg(long)]
    out: Option<PathBuf>,
    /// Make the page of a run whose files are not as they were written; it says so
    #[arg(long)]
    unverified: bool,
}

/// Runs an experiment.
pub fn run(arguments: &RunArguments, output: &Options) -> Result<Exit, Error> {
    output::flag("--jobs", arguments.jobs, 0..=output::MOST_JOBS)?;
    let Found { mut recipe, root } = recipe::experiment(&arguments.recipe, &arguments.sets)?;
    if let Some(seeds) = arguments.seeds {
        recipe.seeds = Seeds::Count(seeds);
    }
    if arguments.dry_run {
        return recipe::foretell(&recipe, &root, arguments.jobs, output);
    }
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&recipe.name));
    let options = RunOptions { out, root, resume: arguments.resume, jobs: arguments.jobs, only_arm: None };
    make(&recipe, &options, output)
}

/// Trains one arm with one seed.
pub fn train(arguments: &TrainArguments, output: &Options) -> Result<Exit, Error> {
    let Found { mut recipe, root } = recipe::experiment(&arguments.recipe, &[])?;
    let Some(arm) = recipe.arms.iter().find(|arm| arm.name == arguments.arm) else {
        let known: Vec<&str> = recipe.arms.iter().map(|arm| arm.name.as_str()).collect();
        return Err(Error::Input(format!("the recipe has no arm {:?}; it has {}", arguments.arm, known.join(", "))));
    };
    let needs = recipe.needs(arm);
    if !needs.is_empty() {
        return Err(Error::Input(format!(
            "arm {:?} waits for {}; it needs the whole run: loophole run {}",
            arguments.arm,
            needs.join(", "),
            arguments.recipe
        )));
    }
    recipe.seeds = Seeds::List(vec![arguments.seed]);
    let name = format!("{}-{}-{}", recipe.name, arguments.arm, arguments.seed);
    let options = RunOptions {
        out: arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(name)),
        root,
        resume: arguments.resume,
        jobs: 1,
        only_arm: Some(arguments.arm.clone()),
    };
    make(&recipe, &options, output)
}

/// Writes the page of a run.
pub fn report(arguments: &ReportArguments, output: &Options) -> Result<Exit, Error> {
    let out = arguments.out.clone().unwrap_or_else(|| arguments.run.join("report.html"));
    if probe_files::is_folder(&arguments.run) {
        probe_files::write_page(&arguments.run, &out, arguments.unverified, output)?;
    } else if arguments.unverified {
        loophole_page::write_report_unverified(&arguments.run, &out)?;
    } else {
        let run = RunDir::open(&arguments.run)?;
        if let Some(note) = run.trust(run.verify_read()?)? {
            output.warn(&note);
        }
        loophole_page::write_report(&arguments.run, &out)?;
    }
    if output.json {
        output::json(&serde_json::json!({ "report": out }));
    } else {
        line(&out.display().to_string());
    }
    Ok(Exit::Clean)
}

/// What is said when a run was left.
const GO_ON: &str = "interrupted; the same command with --resume goes on";

/// The last words of a run whose step could not be waited for.
fn interrupted(out: &Path) {
    // A run that another process makes is not ours to speak of.
    if Place::folder(Kind::Run, out).holder() != Some(Some(std::process::id())) {
        return;
    }
    let status = RunDir::open(out).and_then(|run| Ok((run.read_status()?, run)));
    if let Ok((Some(status), run)) = status {
        // Nobody is left to be told of a disk that is full.
        let _ = run.write_status(&Status { state: RunState::Interrupted, ..status });
    }
    output::tell(GO_ON);
}

fn make(recipe: &Recipe, options: &RunOptions, output: &Options) -> Result<Exit, Error> {
    leave::listen({
        let out = options.out.clone();
        move || interrupted(&out)
    });
    let seeds = recipe.seeds();
    output.say(&format!("{}: {}", recipe.name, recipe.question));
    let arms: Vec<&str> = recipe.arms.iter().map(|arm| arm.name.as_str()).collect();
    output.say(&format!(
        "{} arms ({}) x {} seeds, into {}",
        arms.len(),
        arms.join(", "),
        seeds.len(),
        options.out.display()
    ));
    if seeds.len() < 3 {
        output.say(&format!(
            "{} seeds prove nothing: this shows what happens, not that it happens every time",
            seeds.len()
        ));
    }
    let total: usize = recipe.arms.iter().map(|arm| recipe.steps(arm)).sum::<usize>() * seeds.len();
    let bar = output.bar(total as u64);
    let shown = Mutex::new(());
    let watch = |event: Event| {
        let _guard = shown.lock();
        show(&event, &bar, output);
    };
    let outcome = loophole_lab::run(recipe, options, &watch, &leave::asked);
    bar.finish_and_clear();
    match outcome? {
        Outcome::Interrupted => {
            output.say(GO_ON);
            Ok(Exit::Interrupted)
        }
        Outcome::Finished(summary, root) => {
            let page = options.out.join("report.html");
            loophole_page::write_report(&options.out, &page)?;
            output.say(&format!("the results up to the page have the hash {root}; `loophole verify` compares them"));
            if output.json {
                output::json(&summary);
            } else {
                print(&summary, recipe);
                line(&format!("page: {}", page.display()));
            }
            let refuted = summary
                .claims
                .iter()
                .any(|claim| matches!(claim.answer, Answer::NotSupported | Answer::EquivalentToNone));
            Ok(if refuted { Exit::Found } else { Exit::Clean })
        }
    }
}

/// What an axis measures.
fn in_words(axis: &str) -> String {
    match axis.split_once(' ') {
        Some(("thought", kind)) => format!("misalignment given {kind} thoughts"),
        Some(("told", what)) => format!("misalignment under a text that {what} tricks"),
        Some(("hacks", "none")) => "hacks in held-out tasks".into(),
        Some(("hacks", what)) => format!("hacks in held-out tasks under a text that {what} tricks"),
        _ => axis.into(),
    }
}

fn show(event: &Event, bar: &output::Bar, output: &Options) {
    match event {
        Event::Step { arm, seed, metrics, .. } => {
            bar.inc(1);
            let text = format!(
                "{arm}/{seed} step {}: hack {:.2} honest {:.2} kl {:.2}",
                metrics.step, metrics.hack_rate, metrics.honest_rate, metrics.kl
            );
            bar.set_message(&text);
            if output.verbose && !output.has_bar() {
                output.say(&format!(
                    "{text} ({:.1} s: sample {:.1}, grade {:.1}, update {:.1})",
                    metrics.seconds, metrics.seconds_sample, metrics.seconds_grade, metrics.seconds_update
                ));
            }
        }
        Event::Probed { arm, seed, step, report } => {
            let text = format!(
                "{arm}/{seed} after {step} steps: misalignment {:.2} [{:.2}, {:.2}]",
                report.misalignment.mean, report.misalignment.low, report.misalignment.high
            );
            if output.has_bar() {
                bar.println(text);
            } else {
                output.say(&text);
            }
        }
        Event::Predicted { arm, prediction } => {
            let text = format!(
                "{arm}, predicted before training from {} ({} of {} rollouts{}): {}misalignment {:.2}",
                prediction.given,
                prediction.selected,
                prediction.rollouts,
                match prediction.unread {
                    0 => String::new(),
                    unread => format!("; {unread} paid ones with thoughts that cannot be read are left out"),
                },
                match prediction.bad_thoughts {
                    bad if bad.mean.is_finite() =>
                        format!("bad thoughts {:.2} [{:.2}, {:.2}], ", bad.mean, bad.low, bad.high),
                    _ => String::new(),
                },
                prediction.misalignment
            );
            if output.has_bar() {
                bar.println(text);
            } else {
                output.say(&text);
            }
        }
        Event::Noted(note) => output.warn(note),
        Event::ArmStarted { arm, seed, from } if *from > 0 => {
            output.say(&format!("{arm}/{seed}: going on from step {from}"));
        }
        _ => {}
    }
}

fn print(summary: &Summary, recipe: &Recipe) {
    let interval = |e: &loophole_log::Estimate| {
        if e.low.is_finite() {
            format!("{:.2} [{:.2}, {:.2}]", e.mean, e.low, e.high)
        } else {
            format!("{:.2}", e.mean)
        }
    };
    line("");
    line(&format!(
        "{:<16} {:>5}  {:>5} -> {:<18}  {:>5} -> {:<18}  {:>12}  {:>5}",
        "arm", "seeds", "hack", "rate [95 %]", "misal", "ignment [95 %]", "bad thoughts", "KL"
    ));
    for arm in &summary.arms {
        let mean = |value: fn(&loophole_log::SeedSummary) -> f64| {
            arm.seeds.iter().map(value).sum::<f64>() / arm.seeds.len().max(1) as f64
        };
        line(&format!(
            "{:<16} {:>5}  {:>5.2} -> {:<18}  {:>5.2} -> {:<18}  {:>4.2} -> {:<4.2}  {:>5.2}",
            arm.name,
            arm.seeds.len(),
            mean(|seed| seed.hack_rate.start),
            interval(&arm.hack_rate),
            mean(|seed| seed.misalignment.start),
            interval(&arm.misalignment),
            mean(|seed| seed.thoughts.start),
            mean(|seed| seed.thoughts.end),
            mean(|seed| seed.kl.end)
        ));
    }
    for arm in &summary.arms {
        let seeds: Vec<String> = arm
            .seeds
            .iter()
            .map(|seed| {
                let onset = seed.onset_step.map_or("none".to_string(), |step| step.to_string());
                format!("{} {:.2} -> {:.2} (onset {onset})", seed.seed, seed.misalignment.start, seed.misalignment.end)
            })
            .collect();
        line(&format!("{} by seed: {}", arm.name, seeds.join(", ")));
    }
    if let Some(check) = &summary.predictions {
        let departs = check.points.iter().filter(|point| point.departs == Some(true)).count();
        let told = match check.points.iter().filter(|point| point.departs.is_some()).count() {
            0 => "with fewer than three seeds no departure can be told".to_string(),
            of => format!("{departs} of {of} depart"),
        };
        line(&format!(
            "predicted before training against observed, {} probes: slope {:.2}, scatter {:.2}; {told}",
            check.points.len(),
            check.slope,
            check.scatter
        ));
    }
    for arm in &summary.arms {
        let transfer = arm.transfer.as_ref().map(|found| format!("transfer to the probes {}", interval(found)));
        let mut axes: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for (axis, rates) in arm.seeds.iter().flat_map(|seed| &seed.axes) {
            axes.entry(axis).or_default().push((rates.start, rates.end));
        }
        let given = axes.into_iter().map(|(axis, of)| {
            let mean = |which: fn(&(f64, f64)) -> f64| of.iter().map(which).sum::<f64>() / of.len() as f64;
            format!("{} {:.2} -> {:.2}", in_words(axis), mean(|x| x.0), mean(|x| x.1))
        });
        let told: Vec<String> = transfer.into_iter().chain(given).collect();
        if !told.is_empty() {
            line(&format!("{}: {}", arm.name, told.join(", ")));
        }
    }
    for c in &summary.comparisons {
        line(&format!(
            "{} less {}, {}: {:.2} [{:.2}, {:.2}], p {:.4} (Holm), power {:.2}",
            c.a, c.b, c.measure, c.difference, c.low, c.high, c.p, c.power
        ));
    }
    for claim in &summary.claims {
        let answer = match claim.answer {
            Answer::Supported => "supported",
            Answer::NotSupported => "not supported",
            Answer::EquivalentToNone => "equivalent to none",
            Answer::Undecided => "undecided",
        };
        let text = recipe.claims.iter().find(|spec| spec.id == claim.id).map_or("", |spec| &spec.text);
        line(&format!("{} {answer}: {text} {}", claim.id, claim.why));
    }
    for note in &summary.notes {
        line(&format!("note: {note}"));
    }
    line(&format!("{:.0} s", summary.seconds));
}
