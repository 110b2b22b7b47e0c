//! The run that a watched training becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use loophole_log::{
    LogError, RolloutRow, RunDir, RunState, SeedDir, Status, StepMetrics, Watched, WatchedFile, hash_beginning,
    read_rollouts, write_tfevents,
};
use loophole_stats::{OnsetRule, onset};

use super::super::export::tfevents;
use super::super::grade::graders::Graders;
use super::{WatchArguments, steps};
use crate::output::{Error, Options};

/// A training that is watched.
pub struct Watching<'a> {
    pub(super) arguments: &'a WatchArguments,
    output: &'a Options,
    pub(super) run: RunDir,
    pub(super) seed: SeedDir,
    /// How far the files were read.
    pub(super) state: Watched,
    pub(super) metrics: BTreeMap<u64, StepMetrics>,
    /// Verdicts of all rollouts.
    pub(super) verdicts: BTreeMap<String, u64>,
    pub(super) tier: String,
    pub(super) name: String,
    /// Wall time of earlier sittings.
    earlier: f64,
    began: Instant,
    told_no_step: bool,
}

impl<'a> Watching<'a> {
    /// Begins a run, or goes on with the one that is there.
    ///
    /// # Errors
    /// A folder that holds something else, or a run that was graded otherwise or is not as it was written.
    pub fn open(
        arguments: &'a WatchArguments,
        graders: &Graders,
        tier: String,
        output: &'a Options,
    ) -> Result<Self, Error> {
        let whole = arguments.folder.canonicalize().unwrap_or_else(|_| arguments.folder.clone());
        let own = || whole.file_name().map_or("rollouts".into(), |name| name.to_string_lossy().into_owned());
        let name = arguments.name.clone().unwrap_or_else(own);
        let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&name));
        let recipe = recipe(arguments, &name, graders)?;
        let there = out.join("recipe.toml").is_file();
        let run = if there {
            let (run, notes) = RunDir::take_up(&out)?;
            notes.iter().for_each(|note| output.warn(note));
            same(&run, &recipe)?;
            run
        } else {
            RunDir::create(&out, &recipe)?
        };
        let seed = run.seed(&arguments.arm, arguments.seed)?;
        let state = run.read_watched()?.unwrap_or_default();
        let earlier = state.seconds;
        let (metrics, verdicts) = (BTreeMap::new(), BTreeMap::new());
        let (began, told_no_step) = (Instant::now(), false);
        let mut watching = Watching {
            arguments,
            output,
            run,
            seed,
            state,
            metrics,
            verdicts,
            tier,
            name,
            earlier,
            began,
            told_no_step,
        };
        watching.take_up()?;
        watching.status(RunState::Running)?;
        if there && watching.state.rollouts() > 0 {
            let (rollouts, steps) = (watching.state.rollouts(), watching.state.steps.len());
            output.say(&format!("{}: {rollouts} rollouts of {steps} steps were graded before", out.display()));
        }
        Ok(watching)
    }

    /// Brings the run to what is known to be read: a kill may have come before that was written down.
    fn take_up(&mut self) -> Result<(), Error> {
        let gone = self.state.steps.keys().any(|step| !self.seed.rollouts_path(*step).is_file());
        if gone {
            self.output.warn("rollouts of this run are gone: all are graded again");
            self.state = Watched { alarm: self.state.alarm, seconds: self.state.seconds, ..Watched::default() };
        }
        for step in self.seed.rollouts()? {
            if !self.state.steps.contains_key(&step) {
                self.seed.remove_rollouts(step)?;
            }
        }
        let written = if self.seed.metrics_path().is_file() { self.seed.read_metrics()? } else { Vec::new() };
        let kept: BTreeMap<u64, StepMetrics> = written.iter().map(|line| (line.step, line.clone())).collect();
        for step in self.state.steps.keys().copied().collect::<Vec<_>>() {
            let rows = self.rows(step)?;
            let seconds = kept.get(&step).map_or(0.0, |line| line.seconds_grade);
            self.count(&rows, 1);
            self.metrics.insert(step, steps::metrics(step, &rows, &self.state.steps[&step], seconds));
        }
        let lines = |all: &mut dyn Iterator<Item = &StepMetrics>| format!("{:?}", all.collect::<Vec<_>>());
        if lines(&mut self.metrics.values()) != lines(&mut written.iter()) {
            self.write_metrics()?;
        }
        Ok(())
    }

    /// The rollouts of a step that are known to be written.
    fn rows(&self, step: u64) -> Result<Vec<RolloutRow>, Error> {
        let Some(parts) = self.state.steps.get(&step) else { return Ok(Vec::new()) };
        let mut rows = read_rollouts(&self.seed.rollouts_path(step))?;
        rows.truncate(parts.iter().map(|part| part.rollouts).sum());
        Ok(rows)
    }

    fn count(&mut self, rows: &[RolloutRow], by: i64) {
        for row in rows {
            let count = self.verdicts.entry(row.verdict.clone()).or_default();
            *count = count.saturating_add_signed(by);
        }
    }

    /// Adds what was graded of a file, and writes down how far it was read.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn add(
        &mut self,
        name: &str,
        waiting: BTreeMap<u64, Vec<steps::Seen>>,
        file: WatchedFile,
    ) -> Result<(), Error> {
        let mut changed = BTreeSet::new();
        let last = self.metrics.keys().next_back().copied();
        for (step, seen) in waiting {
            let mut rows = self.rows(step)?;
            let part = steps::part(name, &seen);
            let seconds = seen.iter().map(|one| one.seconds).sum::<f64>();
            let added: Vec<RolloutRow> = seen.into_iter().map(|one| one.row).collect();
            self.count(&added, 1);
            rows.extend(added);
            steps::group(&mut rows);
            self.seed.write_rollouts(step, &rows)?;
            self.state.steps.entry(step).or_default().push(part);
            let before = self.metrics.get(&step).map_or(0.0, |line| line.seconds_grade);
            let line = steps::metrics(step, &rows, &self.state.steps[&step], before + seconds);
            self.metrics.insert(step, line);
            changed.insert(step);
        }
        if changed.first().is_some_and(|first| last.is_none_or(|last| *first > last)) {
            for step in &changed {
                self.seed.append_metrics(&self.metrics[step])?;
            }
        } else if !changed.is_empty() {
            self.write_metrics()?;
        }
        self.state.files.insert(name.into(), file);
        self.keep()?;
        for step in &changed {
            self.tell(*step);
        }
        if !changed.is_empty() {
            self.status(RunState::Running)?;
            self.curves(false)?;
            self.look_for_onset()?;
        }
        Ok(())
    }

    /// Takes out what a file that was written anew had before.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn forget(&mut self, name: &str) -> Result<(), Error> {
        let mut gone = 0;
        for step in self.state.steps.keys().copied().collect::<Vec<_>>() {
            if !self.state.steps[&step].iter().any(|part| part.file == name) {
                continue;
            }
            let mut rows = self.rows(step)?.into_iter();
            let (mut kept, mut parts) = (Vec::new(), Vec::new());
            for part in self.state.steps.remove(&step).unwrap_or_default() {
                let these: Vec<RolloutRow> = rows.by_ref().take(part.rollouts).collect();
                if part.file == name {
                    gone += these.len();
                    self.count(&these, -1);
                } else {
                    kept.extend(these);
                    parts.push(part);
                }
            }
            if parts.is_empty() {
                self.metrics.remove(&step);
                self.seed.remove_rollouts(step)?;
            } else {
                self.seed.write_rollouts(step, &kept)?;
                let seconds = self.metrics.get(&step).map_or(0.0, |line| line.seconds_grade);
                self.metrics.insert(step, steps::metrics(step, &kept, &parts, seconds));
                self.state.steps.insert(step, parts);
            }
        }
        self.state.files.remove(name);
        self.write_metrics()?;
        self.keep()?;
        self.output.warn(&format!("{name} was written anew: {gone} rollouts of it go, and it is graded again"));
        Ok(())
    }

    fn write_metrics(&self) -> Result<(), Error> {
        Ok(self.seed.write_metrics(&self.metrics.values().cloned().collect::<Vec<_>>())?)
    }

    /// Writes down how far the files were read.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn keep(&mut self) -> Result<(), Error> {
        self.state.seconds = self.seconds();
        Ok(self.run.write_watched(&self.state)?)
    }

    /// Sounds the alarm, once.
    fn look_for_onset(&mut self) -> Result<(), Error> {
        if self.state.alarm.is_some() {
            return Ok(());
        }
        let Some(found) = onset(&self.rates(), OnsetRule::default()) else { return Ok(()) };
        self.state.alarm = Some(found.step);
        self.keep()?;
        let told = steps::alarm(found.step, &self.rows(found.step)?);
        loophole_log::write_json(&self.run.root().join("alarm.json"), &told)?;
        self.output.warn(&self.message().unwrap_or_default());
        if let Some(command) = &self.arguments.stop_command {
            super::told::stop(command, self.run.root(), found.step, found.rate, self.output);
        }
        self.status(RunState::Running)
    }

    /// Step and hack rate of each step.
    pub fn rates(&self) -> Vec<(u64, f64)> {
        self.metrics.values().map(|line| (line.step, line.hack_rate)).filter(|(_, rate)| rate.is_finite()).collect()
    }

    /// What a person should know of what was found.
    pub fn message(&self) -> Option<String> {
        let step = self.state.alarm?;
        let line = self.metrics.get(&step)?;
        let families: Vec<&str> = line.families.keys().map(String::as_str).collect();
        let families = if families.is_empty() { "no family".into() } else { families.join(", ") };
        Some(format!("onset of hacking at step {step}: {:.1} % of its rollouts ({families})", line.hack_rate * 100.0))
    }

    /// Brings the curves for TensorBoard up to date. A step is in them once a later one has come, or at the end: what a
    /// reader has read is not changed.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn curves(&self, at_end: bool) -> Result<(), Error> {
        let Some(out) = &self.arguments.tfevents else { return Ok(()) };
        let mut metrics: Vec<StepMetrics> = self.metrics.values().cloned().collect();
        if !at_end {
            metrics.pop();
        }
        if metrics.is_empty() {
            return Ok(());
        }
        let scalars = tfevents::scalars(&self.run, &self.seed, &metrics, Some(&self.state))?;
        write_tfevents(&tfevents::folder(out, &self.arguments.arm, self.arguments.seed), &scalars)?;
        Ok(())
    }

    /// Rows without a step are of step 0, which is said once.
    pub fn no_step(&mut self, name: &str) -> u64 {
        if !std::mem::replace(&mut self.told_no_step, true) {
            self.output.warn(&format!(
                "{name}: neither its rows nor its name have a step; they are taken for those of step 0"
            ));
        }
        0
    }

    /// Replaces `status.json`.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn status(&self, state: RunState) -> Result<(), Error> {
        let step = self.metrics.len() as u64;
        Ok(self.run.write_status(&Status {
            state,
            arm: Some(self.arguments.arm.clone()),
            seed: Some(self.arguments.seed),
            step,
            steps: step,
            done: u64::from(state == RunState::Finished),
            total: 1,
            seconds: self.seconds(),
            message: self.message(),
            tier: Some(self.tier.clone()),
            ledger: true,
        })?)
    }

    /// Wall time of all sittings.
    pub fn seconds(&self) -> f64 {
        self.earlier + self.began.elapsed().as_secs_f64()
    }

    /// The folder that is watched.
    pub fn folder(&self) -> &Path {
        &self.arguments.folder
    }

    /// Whether files are still to come.
    pub fn follows(&self) -> bool {
        self.arguments.follow
    }

    /// The run.
    pub fn out(&self) -> &Path {
        self.run.root()
    }

    /// Where things are said.
    pub fn output(&self) -> &'a Options {
        self.output
    }
}

/// The part of a recipe that says how rollouts are graded.
const HOW: &str = "[watch]\n";

/// What is known of the training, in the place of a recipe.
fn recipe(arguments: &WatchArguments, name: &str, graders: &Graders) -> Result<String, Error> {
    let text = |text: &str| serde_json::json!(text).to_string().replace('\u{7f}', "\\u007f");
    let about = format!("rollouts of {}, tasks of {}", arguments.folder.display(), arguments.tasks.display());
    let mut sums = String::new();
    let files = if arguments.tasks.is_dir() {
        let failed = |error| LogError::Io { what: "list", path: arguments.tasks.clone(), source: error };
        loophole_env::row_files(&arguments.tasks).map_err(failed)?
    } else {
        vec![arguments.tasks.clone()]
    };
    for file in files {
        sums += &hash_beginning(&file, u64::MAX)?;
    }
    Ok(format!(
        "name = {}\nquestion = {}\n\n[[arm]]\nname = {}\nabout = {}\n\n{HOW}tasks_sha256 = {}\ngraders = {}\nextract = {}\nstrict_types = {}\n",
        text(name),
        text(&arguments.question),
        text(&arguments.arm),
        text(&about),
        text(&loophole_log::recipe_hash(&sums)),
        text(&graders.told()),
        text(&arguments.extract),
        arguments.strict_types,
    ))
}

/// Labels of one run are to be of one kind.
fn same(run: &RunDir, recipe: &str) -> Result<(), Error> {
    let there = run.recipe()?;
    let how = |text: &str| text.split_once(HOW).map(|(_, how)| how.to_string());
    let Some(theirs) = how(&there) else {
        return Err(LogError::Exists(run.root().into()).into());
    };
    let ours = how(recipe).unwrap_or_default();
    let differs = theirs.lines().zip(ours.lines()).find(|(theirs, ours)| theirs != ours);
    match differs {
        Some((theirs, ours)) => Err(Error::Input(format!(
            "{} was watched otherwise: it has `{theirs}`, and now it is `{ours}`; name another folder with --out",
            run.root().display()
        ))),
        None => Ok(()),
    }
}
