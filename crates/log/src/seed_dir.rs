//! The part of a run's folder that belongs to one seed of one arm.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{json_bytes, temporary};
use crate::ledger::remove;
use crate::run_dir::{names, sweep, write};
use crate::{
    Axes, EvalLog, Ledger, LogError, ProbeReport, RolloutRow, StepMetrics, eval_bytes, read_json, read_metrics,
    rollout_bytes,
};

/// The folder of one seed of one arm.
#[derive(Debug, Clone)]
pub struct SeedDir {
    pub(crate) root: PathBuf,
    /// The same from the run's folder; also its name as a writer.
    pub(crate) path: String,
    pub(crate) ledger: Option<Arc<Ledger>>,
}

impl SeedDir {
    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `metrics.jsonl`.
    pub fn metrics_path(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// `rollouts/step-000040.parquet`.
    pub fn rollouts_path(&self, step: u64) -> PathBuf {
        self.root.join(format!("rollouts/step-{step:06}.parquet"))
    }

    /// `checkpoints/step-000040`.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.root.join(format!("checkpoints/step-{step:06}"))
    }

    /// `probes/step-000040.eval`, the transcripts of the battery.
    pub fn probe_path(&self, step: u64) -> PathBuf {
        self.root.join(format!("probes/step-{step:06}.eval"))
    }

    /// `probes/step-000040.json`, what the battery found.
    pub fn probe_report_path(&self, step: u64) -> PathBuf {
        self.root.join(format!("probes/step-{step:06}.json"))
    }

    /// `state.safetensors`, what a training needs to go on.
    pub fn state_path(&self) -> PathBuf {
        self.root.join("state.safetensors")
    }

    /// Adds a line to `metrics.jsonl`.
    pub fn append_metrics(&self, metrics: &StepMetrics) -> Result<(), LogError> {
        match &self.ledger {
            Some(ledger) => {
                let line = crate::metrics::line(&self.metrics_path(), metrics)?;
                ledger.append(&self.path, &self.below("metrics.jsonl"), &line)
            }
            None => crate::append_metrics(&self.metrics_path(), metrics),
        }
    }

    /// Writes `metrics.jsonl` whole, in the place of the one that is there.
    pub fn write_metrics(&self, metrics: &[StepMetrics]) -> Result<(), LogError> {
        let path = self.metrics_path();
        let lines: Result<Vec<_>, _> = metrics.iter().map(|step| crate::metrics::line(&path, step)).collect();
        self.write(&path, &lines?.concat())
    }

    /// Writes the rollouts of a step.
    pub fn write_rollouts(&self, step: u64, rows: &[RolloutRow]) -> Result<(), LogError> {
        let path = self.rollouts_path(step);
        self.write(&path, &rollout_bytes(&path, rows)?)
    }

    /// Removes the rollouts of a step.
    pub fn remove_rollouts(&self, step: u64) -> Result<(), LogError> {
        let path = self.rollouts_path(step);
        match &self.ledger {
            Some(ledger) => {
                let name = self.name(&path);
                ledger.remove(&self.path, &|file| file == name)
            }
            None => remove(&path),
        }
    }

    /// Writes the transcripts of a battery.
    pub fn write_probe(&self, step: u64, log: &EvalLog) -> Result<(), LogError> {
        self.write(&self.probe_path(step), &eval_bytes(log)?)
    }

    /// Replaces the training state: `fill` writes it as a file of another name.
    pub fn write_state<E: From<LogError>>(&self, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
        let (path, temp) = (self.state_path(), temporary(&self.state_path()));
        fs::create_dir_all(&self.root).map_err(LogError::io("make the folder", &self.root))?;
        fill(&temp).inspect_err(|_| drop(fs::remove_file(&temp)))?;
        self.put(&temp, &path).map_err(E::from)
    }

    /// The name that a file of this seed has in the ledger.
    fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn name(&self, path: &Path) -> String {
        self.below(&path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        write(self.ledger.as_deref(), &self.path, &self.name(path), path, bytes)
    }

    fn put(&self, temp: &Path, path: &Path) -> Result<(), LogError> {
        if let Some(ledger) = &self.ledger {
            return ledger.put(&self.path, temp, &self.name(path));
        }
        if path.is_dir() {
            remove(path)?;
        }
        fs::rename(temp, path).map_err(LogError::io("write", path))
    }

    /// The finished lines of `metrics.jsonl`.
    pub fn read_metrics(&self) -> Result<Vec<StepMetrics>, LogError> {
        read_metrics(&self.metrics_path())
    }

    /// Writes what the battery found at a step.
    pub fn write_probe_report(&self, step: u64, report: &ProbeReport) -> Result<(), LogError> {
        self.write(&self.probe_report_path(step), &json_bytes(report)?)
    }

    /// `probes/step-000040.axes.json`, what else was measured at an end of the arm.
    pub fn axes_path(&self, step: u64) -> PathBuf {
        self.root.join(format!("probes/step-{step:06}.axes.json"))
    }

    /// Writes what the battery found at a step where the thought was given.
    pub fn write_axes(&self, step: u64, axes: &Axes) -> Result<(), LogError> {
        self.write(&self.axes_path(step), &json_bytes(axes)?)
    }

    /// What the batteries found where the thought was given, by step.
    pub fn read_axes(&self) -> Result<Vec<(u64, Axes)>, LogError> {
        self.steps("probes", ".axes.json")?
            .into_iter()
            .map(|step| Ok((step, read_json(&self.axes_path(step))?)))
            .collect()
    }

    /// What the batteries found, by step.
    pub fn read_probe_reports(&self) -> Result<Vec<(u64, ProbeReport)>, LogError> {
        self.steps("probes", ".json")?
            .into_iter()
            .map(|step| Ok((step, read_json(&self.probe_report_path(step))?)))
            .collect()
    }

    /// Makes a checkpoint folder as a whole: `fill` writes into a folder beside it, which is renamed when `fill` is
    /// done. One that was there is replaced. `E` is the caller's error.
    pub fn write_checkpoint<E: From<LogError>>(
        &self,
        step: u64,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.checkpoint_path(step);
        let temp = temporary(&path);
        remove(&temp)?;
        fs::create_dir_all(&temp).map_err(LogError::io("make the folder", &temp))?;
        fill(&temp)?;
        self.put(&temp, &path)?;
        Ok(path)
    }

    /// Steps with a finished checkpoint, in order.
    pub fn checkpoints(&self) -> Result<Vec<u64>, LogError> {
        self.steps("checkpoints", "")
    }

    /// Steps with rollouts, in order.
    pub fn rollouts(&self) -> Result<Vec<u64>, LogError> {
        self.steps("rollouts", ".parquet")
    }

    /// Steps with transcripts of a battery, in order.
    pub fn probes(&self) -> Result<Vec<u64>, LogError> {
        self.steps("probes", ".eval")
    }

    fn steps(&self, folder: &str, end: &str) -> Result<Vec<u64>, LogError> {
        let step = |n: &String| n.strip_prefix("step-")?.strip_suffix(end)?.parse().ok();
        Ok(names(&self.root.join(folder))?.iter().filter_map(step).collect())
    }

    /// Goes back to the state after `updates` updates, as a resumed run must: keeps their metrics and what was probed
    /// and saved of the policy they made, and drops what is later and everything unfinished. Doing it twice does no
    /// harm.
    pub fn rewind_to(&self, updates: u64) -> Result<(), LogError> {
        let metrics = self.metrics_path();
        let kept = if updates == 0 { 0 } else { crate::metrics::bytes_below(&metrics, updates)? };
        let later = |path: &str| {
            let name = path.strip_prefix(&self.path).and_then(|path| path.strip_prefix('/'));
            name.and_then(step_in).is_some_and(|step| step > updates)
        };
        match &self.ledger {
            Some(ledger) if kept == 0 => {
                let metrics = self.below("metrics.jsonl");
                ledger.remove(&self.path, &|path| path == metrics || later(path))?;
            }
            Some(ledger) => {
                ledger.remove(&self.path, &later)?;
                ledger.truncate(&self.path, &self.below("metrics.jsonl"), kept)?;
            }
            None if kept == 0 => remove(&metrics)?,
            None => crate::metrics::cut(&metrics, kept)?,
        }
        sweep(&self.root)?;
        for folder in ["rollouts", "checkpoints", "probes"] {
            let folder = self.root.join(folder);
            sweep(&folder)?;
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if later(&self.name(&entry.path())) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// The step that a file of a seed is of.
fn step_in(path: &str) -> Option<u64> {
    let name = path.split('/').nth(1)?;
    name.strip_prefix("step-")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunDir;

    #[test]
    fn an_unfinished_checkpoint_does_not_count_and_rewinding_clears_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path().join("r"), "").unwrap();
        let seed = run.seed("open", 1).unwrap();
        let fill = |dir: &Path| fs::write(dir.join("w"), b"1").map_err(LogError::io("write", dir));
        for step in [10, 20, 30] {
            seed.write_checkpoint(step, fill).unwrap();
            seed.write_probe_report(step, &ProbeReport::default()).unwrap();
        }
        seed.write_checkpoint(20, fill).unwrap();
        for step in 0..35 {
            seed.append_metrics(&StepMetrics { step, ..StepMetrics::default() }).unwrap();
        }
        let torn = seed.write_checkpoint(40, |_| Err(LogError::ArmName("stopped".into())));
        assert!(torn.is_err());
        assert_eq!(seed.checkpoints().unwrap(), [10, 20, 30]);
        let half = temporary(&seed.metrics_path());
        fs::write(&half, b"half").unwrap();
        for _ in 0..2 {
            seed.rewind_to(20).unwrap();
            assert_eq!(seed.checkpoints().unwrap(), [10, 20]);
            assert_eq!(fs::read_dir(seed.root().join("checkpoints")).unwrap().count(), 2);
            assert_eq!(seed.read_probe_reports().unwrap().len(), 2);
            assert!(!half.exists());
            assert_eq!(seed.read_metrics().unwrap().last().unwrap().step, 19);
        }
    }
}
