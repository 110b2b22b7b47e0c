use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{temporary, write_atomic};
use crate::{
    LogError, ProbeReport, StepMetrics, append_metrics, read_json, read_metrics, truncate_metrics_to, write_json,
};

/// The folder of one run.
///
/// ```text
/// RUN/
///   recipe.toml    status.json    summary.json    report.html
///   arms/ARM/seed-N/
///     metrics.jsonl
///     rollouts/step-000040.parquet
///     checkpoints/step-000040/
///     probes/step-000040.eval, step-000040.json
/// ```
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
    hash: String,
}

const HASH_LINE: &str = "# sha256 of what follows: ";

/// The hash of a resolved recipe: SHA-256 of its text, in hex.
pub fn recipe_hash(recipe: &str) -> String {
    hex(&Sha256::digest(recipe.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl RunDir {
    /// Begins a run: makes the folder and stores the resolved recipe with its hash in the first line.
    ///
    /// # Errors
    /// [`LogError::Exists`] if the folder is there and not empty.
    pub fn create(root: impl Into<PathBuf>, recipe: &str) -> Result<Self, LogError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(LogError::io("make the folder", &root))?;
        let mut entries = fs::read_dir(&root).map_err(LogError::io("list", &root))?;
        if entries.next().is_some() {
            return Err(LogError::Exists(root));
        }
        let hash = recipe_hash(recipe);
        write_atomic(&root.join("recipe.toml"), format!("{HASH_LINE}{hash}\n{recipe}").as_bytes())?;
        Ok(Self { root, hash })
    }

    /// Opens the folder of a run that was begun, to read it or to go on.
    ///
    /// # Errors
    /// [`LogError::NotARun`] without a recipe, [`LogError::RecipeChanged`] if the recipe no longer has its hash.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, LogError> {
        let mut run = Self { root: root.into(), hash: String::new() };
        if !run.recipe_path().is_file() {
            return Err(LogError::NotARun(run.root));
        }
        run.hash = recipe_hash(&run.recipe()?);
        Ok(run)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The hash of the recipe.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The resolved recipe, without the line that holds its hash.
    pub fn recipe(&self) -> Result<String, LogError> {
        let path = self.recipe_path();
        let text = fs::read_to_string(&path).map_err(LogError::io("read", &path))?;
        match text.strip_prefix(HASH_LINE).and_then(|rest| rest.split_once('\n')) {
            Some((hash, recipe)) if hash.trim() == recipe_hash(recipe) => Ok(recipe.to_string()),
            _ => Err(LogError::RecipeChanged { path }),
        }
    }

    /// `recipe.toml`.
    pub fn recipe_path(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// `status.json`.
    pub fn status_path(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// `summary.json`.
    pub fn summary_path(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Replaces `status.json`.
    pub fn write_status(&self, status: &Status) -> Result<(), LogError> {
        write_json(&self.status_path(), status)
    }

    /// Reads `status.json`; `None` if none was written yet.
    pub fn read_status(&self) -> Result<Option<Status>, LogError> {
        let path = self.status_path();
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// The part of one seed of one arm (nothing is made on disk before something is written).
    ///
    /// # Errors
    /// [`LogError::ArmName`] if the name cannot be a folder.
    pub fn seed(&self, arm: &str, seed: u64) -> Result<SeedDir, LogError> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if arm.is_empty() || arm.starts_with('.') || !arm.chars().all(plain) {
            return Err(LogError::ArmName(arm.to_string()));
        }
        Ok(SeedDir { root: self.root.join("arms").join(arm).join(format!("seed-{seed}")) })
    }

    /// The (arm, seed) pairs that have a folder, sorted.
    pub fn seeds(&self) -> Result<Vec<(String, u64)>, LogError> {
        let arms = self.root.join("arms");
        let mut out = Vec::new();
        for arm in names(&arms)? {
            for seed in names(&arms.join(&arm))? {
                if let Some(seed) = seed.strip_prefix("seed-").and_then(|s| s.parse().ok()) {
                    out.push((arm.clone(), seed));
                }
            }
        }
        out.sort();
        Ok(out)
    }
}

/// Names in a folder, unfinished files left out; an absent folder is empty.
fn names(dir: &Path) -> Result<Vec<String>, LogError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(LogError::io("list", dir)(e)),
    };
    let names: Result<Vec<_>, _> = entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names.map_err(LogError::io("list", dir))?;
    names.retain(|n| !n.starts_with('.'));
    names.sort();
    Ok(names)
}

/// The folder of one seed of one arm.
#[derive(Debug, Clone)]
pub struct SeedDir {
    root: PathBuf,
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

    /// Adds a line to `metrics.jsonl`.
    pub fn append_metrics(&self, metrics: &StepMetrics) -> Result<(), LogError> {
        append_metrics(&self.metrics_path(), metrics)
    }

    /// The finished lines of `metrics.jsonl`.
    pub fn read_metrics(&self) -> Result<Vec<StepMetrics>, LogError> {
        read_metrics(&self.metrics_path())
    }

    /// Writes what the battery found at a step.
    pub fn write_probe_report(&self, step: u64, report: &ProbeReport) -> Result<(), LogError> {
        write_json(&self.probe_report_path(step), report)
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
        remove(&path)?;
        fs::rename(&temp, &path).map_err(LogError::io("write", &path))?;
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

    /// Goes back to the state after `step`, as a resumed run must: drops later metrics, rollouts, probes and
    /// checkpoints, and everything unfinished. Doing it twice does no harm.
    pub fn rewind_to(&self, step: u64) -> Result<(), LogError> {
        if self.metrics_path().exists() {
            truncate_metrics_to(&self.metrics_path(), step)?;
        }
        for folder in ["", "rollouts", "checkpoints", "probes"] {
            let folder = self.root.join(folder);
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let unfinished = name.starts_with('.') && name.ends_with(".tmp");
                let digits = name.strip_prefix("step-").and_then(|n| n.split('.').next());
                if unfinished || digits.and_then(|d| d.parse::<u64>().ok()).is_some_and(|s| s > step) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Removes a file or a folder; nothing there is fine.
fn remove(path: &Path) -> Result<(), LogError> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(LogError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// How far a run has come: `status.json`, rewritten as it goes, for pages and for resuming.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What the run is doing.
    pub state: RunState,
    /// The arm at work.
    #[serde(default)]
    pub arm: Option<String>,
    /// The seed at work.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Steps done of the arm and seed at work.
    #[serde(default)]
    pub step: u64,
    /// Steps it will have.
    #[serde(default)]
    pub steps: u64,
    /// Arm-seed pairs finished.
    #[serde(default)]
    pub done: u64,
    /// Arm-seed pairs of the run.
    #[serde(default)]
    pub total: u64,
    /// Wall time so far, all sittings together.
    #[serde(with = "crate::number", default = "crate::number::nan")]
    pub seconds: f64,
    /// What a person should know, such as why it failed.
    #[serde(default)]
    pub message: Option<String>,
    /// How submissions were isolated: the tier of the cells.
    #[serde(default)]
    pub tier: Option<String>,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// At work (or killed without a chance to say so).
    Running,
    /// Stopped on request; can be resumed.
    Interrupted,
    /// Stopped by an error.
    Failed,
    /// Complete.
    Finished,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_opens_as_it_was_created() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let recipe = "name = \"quick\"\n[[arm]]\nname = \"open\"\n";
        let run = RunDir::create(&root, recipe).unwrap();
        assert!(matches!(RunDir::create(&root, recipe), Err(LogError::Exists(_))));
        let again = RunDir::open(&root).unwrap();
        assert_eq!((again.hash(), again.recipe().unwrap().as_str()), (run.hash(), recipe));
        assert!(matches!(RunDir::open(dir.path()), Err(LogError::NotARun(_))));
        fs::write(run.recipe_path(), fs::read_to_string(run.recipe_path()).unwrap() + "seeds = 9\n").unwrap();
        assert!(matches!(RunDir::open(&root), Err(LogError::RecipeChanged { .. })));
    }

    #[test]
    fn arm_names_stay_inside_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path().join("r"), "").unwrap();
        for bad in ["", "..", ".x", "a/b", "a b", "a\\b"] {
            assert!(matches!(run.seed(bad, 1), Err(LogError::ArmName(_))), "{bad:?}");
        }
        let seed = run.seed("kl-0.1", 3).unwrap();
        assert!(seed.probe_path(40).ends_with("arms/kl-0.1/seed-3/probes/step-000040.eval"));
        seed.append_metrics(&StepMetrics::default()).unwrap();
        assert_eq!(run.seeds().unwrap(), [("kl-0.1".to_string(), 3)]);
    }

    #[test]
    fn status_is_absent_then_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path().join("r"), "").unwrap();
        assert_eq!(run.read_status().unwrap(), None);
        let mut status = Status {
            state: RunState::Running,
            arm: Some("open".into()),
            seed: Some(1),
            step: 2,
            steps: 10,
            done: 0,
            total: 4,
            seconds: 1.5,
            message: None,
            tier: Some("namespaces".into()),
        };
        run.write_status(&status).unwrap();
        status.state = RunState::Finished;
        run.write_status(&status).unwrap();
        assert_eq!(run.read_status().unwrap(), Some(status));
    }

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
        fs::write(temporary(&seed.metrics_path()), b"half").unwrap();
        for _ in 0..2 {
            seed.rewind_to(20).unwrap();
            assert_eq!(seed.checkpoints().unwrap(), [10, 20]);
            assert_eq!(fs::read_dir(seed.root().join("checkpoints")).unwrap().count(), 2);
            assert_eq!(seed.read_probe_reports().unwrap().len(), 2);
            assert!(!temporary(&seed.metrics_path()).exists());
            assert_eq!(seed.read_metrics().unwrap().last().unwrap().step, 20);
        }
    }
}
