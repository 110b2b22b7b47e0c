//! `loophole export tfevents`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use loophole_foreign::one_line;
use loophole_log::{RunDir, Scalars, SeedDir, StepMetrics, Watched, write_tfevents};
use serde_json::json;

use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole export tfevents`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole export tfevents runs/quick
  loophole export tfevents runs/quick --out tb      (then: tensorboard --logdir tb)

Called again, it adds what is new. Numbers that are not known are left out.")]
pub struct TfeventsArguments {
    /// Folder of a run
    run: PathBuf,
    /// Folder to write to; RUN/tfevents unless named
    #[arg(long)]
    out: Option<PathBuf>,
    /// Export a run whose files are not as they were written
    #[arg(long)]
    unverified: bool,
}

/// Writes the curves of a run.
pub fn export(arguments: &TfeventsArguments, output: &Options) -> Result<Exit, Error> {
    let run = RunDir::open(&arguments.run)?;
    if !arguments.unverified
        && let Some(note) = run.trust(run.verify_read()?)?
    {
        output.warn(&note);
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.run.join("tfevents"));
    let watched = run.read_watched()?;
    let mut told = Vec::new();
    for (arm, seed) in run.seeds()? {
        let dir = run.seed(&arm, seed)?;
        let metrics = dir.read_metrics()?;
        let scalars = scalars(&run, &dir, &metrics, watched.as_ref())?;
        if scalars.is_empty() {
            output.warn(&format!("{}: it has no steps yet", dir.root().display()));
            continue;
        }
        let path = write_tfevents(&folder(&out, &arm, seed), &scalars)?;
        told.push(json!({"arm": arm, "seed": seed, "file": path, "steps": scalars.len()}));
    }
    if told.is_empty() {
        return Err(Error::Cannot(format!("{} has no steps: nothing was exported", arguments.run.display())));
    }
    if output.json {
        output::json(&json!({ "tfevents": out, "files": told }));
    } else {
        line(&one_line(&format!("{}: {} event files", out.display(), told.len())));
    }
    Ok(Exit::Clean)
}

/// Where the curves of a seed of an arm go.
pub fn folder(out: &Path, arm: &str, seed: u64) -> PathBuf {
    out.join(arm).join(format!("seed-{seed}"))
}

/// What is known of each step: its measures, and what the battery found after so many steps.
pub fn scalars(
    run: &RunDir,
    dir: &SeedDir,
    metrics: &[StepMetrics],
    watched: Option<&Watched>,
) -> Result<Vec<Scalars>, Error> {
    let mut steps: BTreeMap<u64, Vec<(String, f64)>> = BTreeMap::new();
    let mut shares: BTreeSet<String> = BTreeSet::new();
    for line in metrics {
        let found = measures(line);
        let is_share = |name: &String| name.starts_with("verdicts/") || name.starts_with("families/");
        // A share that was seen once is none from then on where it is not named, and a curve is to show that.
        let gone =
            shares.iter().filter(|name| line.reward.is_finite() && found.iter().all(|(other, _)| other != *name));
        let gone: Vec<(String, f64)> = gone.map(|name| (name.clone(), 0.0)).collect();
        shares.extend(found.iter().map(|(name, _)| name).filter(|name| is_share(name)).cloned());
        steps.entry(line.step).or_default().extend(found.into_iter().chain(gone));
    }
    for (step, report) in dir.read_probe_reports()? {
        let values = steps.entry(step).or_default();
        values.push(("probes/misalignment".into(), report.misalignment.mean));
        values.extend(report.probes.iter().map(|probe| (format!("probes/{}", probe.name), probe.rate)));
    }
    let began = seconds_of(&run.recipe_path()).unwrap_or(0.0);
    let scalars =
        steps.into_iter().map(|(step, values)| Scalars { wall_time: time(dir, step, watched, began), step, values });
    Ok(scalars.collect())
}

/// When a step was made: when its rollouts were left by a training that was watched, else when they were written here.
fn time(dir: &SeedDir, step: u64, watched: Option<&Watched>, began: f64) -> f64 {
    let parts = watched.and_then(|watched| Some((watched, watched.steps.get(&step)?)));
    let left = parts.and_then(|(watched, parts)| {
        parts.iter().filter_map(|part| Some(watched.files.get(&part.file)?.modified)).filter(|at| *at > 0).max()
    });
    left.map(|nanos| nanos as f64 / 1e9).or_else(|| seconds_of(&dir.rollouts_path(step))).unwrap_or(began)
}

fn seconds_of(path: &Path) -> Option<f64> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

fn measures(line: &StepMetrics) -> Vec<(String, f64)> {
    let one = [
        ("reward", line.reward),
        ("hack_rate", line.hack_rate),
        ("honest_rate", line.honest_rate),
        ("kl", line.kl),
        ("loss", line.loss),
        ("entropy", line.entropy),
        ("bad_thought_rate", line.bad_thought_rate.unwrap_or(f64::NAN)),
        ("seconds/step", line.seconds),
        ("seconds/sample", line.seconds_sample),
        ("seconds/grade", line.seconds_grade),
        ("seconds/update", line.seconds_update),
    ];
    let one = one.into_iter().map(|(name, value)| (name.to_string(), value));
    let tokens = (line.tokens > 0).then(|| ("tokens".to_string(), line.tokens as f64));
    let many = [("verdicts", &line.verdicts), ("families", &line.families), ("terms", &line.terms)];
    let many = many
        .into_iter()
        .flat_map(|(group, shares)| shares.iter().map(move |(name, share)| (format!("{group}/{name}"), *share)));
    one.chain(tokens).chain(many).collect()
}
