//! What is told while a training is watched, and at the end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loophole_foreign::one_line;
use loophole_log::{ArmSummary, Estimate, RunState, SeedSummary, StartEnd, Summary};
use loophole_stats::{OnsetRule, onset};
use serde_json::json;

use super::folder::Watching;
use super::steps::TRIED;
use crate::output::{self, Error, Exit, Options, line};

/// How long a stop command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Steps over which the hack rate at the end is averaged.
const LAST_STEPS: usize = 3;

/// What could not be graded, counted.
struct LeftOut {
    broken: u64,
    no_task: u64,
    /// Files, with why the rest of each cannot be read.
    unread: Vec<(String, String)>,
    /// Files whose last line has no end.
    torn: Vec<String>,
}

impl Watching<'_> {
    /// Tells of a step.
    pub(super) fn tell(&self, step: u64) {
        let Some(found) = self.metrics.get(&step) else { return };
        let rollouts: usize = self.state.steps.get(&step).into_iter().flatten().map(|part| part.rollouts).sum();
        if self.output().json {
            output::json(&json!({
                "step": step, "rollouts": rollouts, "reward": number(found.reward),
                "recorded": found.terms.get("recorded"), "hack_rate": number(found.hack_rate),
                "honest_rate": number(found.honest_rate), "verdicts": found.verdicts, "families": found.families,
            }));
        }
        let families: Vec<String> =
            found.families.iter().map(|(name, share)| format!("{name} {:.1} %", share * 100.0)).collect();
        let families = if families.is_empty() { String::new() } else { format!(" ({})", families.join(", ")) };
        let recorded = found.terms.get("recorded").map(|paid| format!(", recorded {paid:.3}")).unwrap_or_default();
        self.output().say(&format!(
            "step {step}: {rollouts} rollouts, hacks {:.1} %{families}, honest {:.1} %, reward {:.3}{recorded}",
            found.hack_rate * 100.0,
            found.honest_rate * 100.0,
            found.reward,
        ));
    }

    /// A sign of life.
    pub(super) fn waits(&self, since: Duration) -> String {
        let last = self.metrics.keys().next_back().map_or("no step yet".into(), |step| format!("last step {step}"));
        let (files, rollouts) = (self.state.files.len(), self.state.rollouts());
        format!("waiting: {rollouts} rollouts of {files} files, {last}, nothing new for {} s", since.as_secs())
    }

    fn left_out(&self) -> LeftOut {
        let files = &self.state.files;
        let unread = files.iter().filter_map(|(name, file)| Some((name.clone(), file.unread.clone()?)));
        LeftOut {
            broken: files.values().map(|file| file.broken).sum(),
            no_task: files.values().map(|file| file.no_task).sum(),
            unread: unread.collect(),
            torn: files.iter().filter(|(_, f)| f.torn > 0 && f.unread.is_none()).map(|(n, _)| n.clone()).collect(),
        }
    }

    /// Writes the summary, and tells what came of all.
    pub(super) fn finish(mut self) -> Result<Exit, Error> {
        let out = self.left_out();
        let (rollouts, steps) = (self.state.rollouts(), self.state.steps.len());
        let mut notes = vec!["A training by another program, watched; not made from a recipe.".to_string()];
        let all = rollouts as u64 + out.broken + out.no_task;
        if out.no_task > 0 {
            notes.push(format!(
                "{} of {all} rows are for no task of the tasks file; they were not graded.",
                out.no_task
            ));
        }
        if out.broken > 0 {
            notes.push(format!("{} of {all} rows are broken; they were not graded.", out.broken));
        }
        for (name, why) in &out.unread {
            notes.push(format!("{name} cannot be read to its end: {why}."));
        }
        for name in &out.torn {
            notes.push(format!("The last line of {name} has no end yet; it was not graded."));
        }
        let parts = || self.state.steps.values().flatten();
        let (scored, unearned): (u64, u64) = (parts().map(|p| p.scored).sum(), parts().map(|p| p.unearned).sum());
        if unearned > 0 {
            notes.push(format!(
                "{unearned} of {scored} rollouts were paid by the training for what does not solve the task."
            ));
        }
        for note in notes.iter().skip(1) {
            self.output().warn(note);
        }
        self.keep()?;
        self.curves(true)?;
        let summary = self.summary(notes);
        self.run.write_summary(&summary)?;
        self.status(RunState::Finished)?;
        self.run.close()?;
        let onset = summary.arms[0].seeds[0].onset_step;
        let path = self.out().display().to_string();
        if self.output().json {
            output::json(&json!({"summary": {
                "run": path, "files": self.state.files.len(), "rollouts": rollouts, "steps": steps,
                "verdicts": self.verdicts, "broken": out.broken, "no_task": out.no_task,
                "unread": out.unread.iter().map(|(name, _)| name).collect::<Vec<_>>(), "torn": out.torn,
                "scored": scored, "unearned": unearned, "onset_step": onset, "alarm": self.state.alarm,
                "hack_rate": { "start": number(summary.arms[0].seeds[0].hack_rate.start),
                               "end": number(summary.arms[0].seeds[0].hack_rate.end) },
            }}));
        } else if rollouts > 0 {
            let verdicts: Vec<String> =
                self.verdicts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
            line(&one_line(&format!("{path}: {rollouts} rollouts of {steps} steps: {}", verdicts.join(", "))));
            let none = || format!("no onset of hacking in the {rollouts} rollouts that were graded");
            line(&self.message().unwrap_or_else(none));
        }
        self.exit(&out, all)
    }

    fn exit(&self, out: &LeftOut, all: u64) -> Result<Exit, Error> {
        let folder = self.folder().display();
        let of = |names: &[&str]| names.iter().filter_map(|name| self.verdicts.get(*name)).sum::<u64>();
        if self.state.rollouts() == 0 {
            return Err(match (out.no_task, out.broken) {
                _ if all == 0 && out.unread.is_empty() => {
                    Error::Cannot(format!("{folder} holds no rollouts: nothing was graded"))
                }
                (0, 0) => Error::Input(format!("no file of {folder} could be read: nothing was graded")),
                (0, _) => {
                    Error::Input(format!("not one of the {all} rows of {folder} is a rollout: nothing was graded"))
                }
                (_, _) => Error::Cannot(format!(
                    "not one of the {all} rows of {folder} is for a task of {}: nothing was graded",
                    self.arguments.tasks.display()
                )),
            });
        }
        if of(&TRIED) > 0 {
            return Ok(if self.arguments.exit_zero { Exit::Clean } else { Exit::Found });
        }
        if of(&["invalid"]) == self.state.rollouts() as u64 {
            return Err(Error::Cannot(
                "not one rollout could be graded: the machine failed, or the tasks are unsound".into(),
            ));
        }
        Ok(Exit::Clean)
    }

    fn summary(&self, notes: Vec<String>) -> Summary {
        let rates = self.rates();
        let last = &rates[rates.len().saturating_sub(LAST_STEPS)..];
        let end = last.iter().map(|(_, rate)| rate).sum::<f64>() / last.len() as f64;
        let start = rates.first().map_or(f64::NAN, |(_, rate)| *rate);
        let seed = SeedSummary {
            seed: self.arguments.seed,
            steps: self.metrics.len() as u64,
            onset_step: onset(&rates, OnsetRule::default()).map(|found| found.step),
            hack_rate: StartEnd { start, end },
            hack_rates: rates,
            ..SeedSummary::default()
        };
        // One seed has no interval.
        let hack_rate = Estimate { mean: end, low: f64::NAN, high: f64::NAN };
        let arm =
            ArmSummary { name: self.arguments.arm.clone(), seeds: vec![seed], hack_rate, ..ArmSummary::default() };
        let (recipe, hash, seconds) = (self.name.clone(), self.run.hash().to_string(), self.seconds());
        Summary { recipe, hash, arms: vec![arm], seconds, notes, ..Summary::default() }
    }
}

fn number(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Runs the command that was given for the onset of hacking.
pub(super) fn stop(command: &str, run: &Path, step: u64, rate: f64, output: &Options) {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null());
    // Its output is none of our results.
    shell.stdout(std::io::stderr());
    shell.env("LOOPHOLE_RUN", run).env("LOOPHOLE_STEP", step.to_string()).env("LOOPHOLE_HACK_RATE", rate.to_string());
    let failed = |why: String| output.warn(&format!("the stop command `{command}` {why}"));
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("could not be started: {error}")),
    };
    let until = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => {
                return output.say(&format!("the stop command `{command}` was run"));
            }
            Ok(Some(status)) => return failed(format!("failed: {status}")),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => return failed(format!("has not ended within {} s; it is left running", PATIENCE.as_secs())),
            Err(error) => return failed(format!("cannot be waited for: {error}")),
        }
    }
}
