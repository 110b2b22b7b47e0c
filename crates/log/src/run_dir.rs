use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::files::{json_bytes, write_atomic};
use crate::ledger::remove;
use crate::verify::{Place, Verified, verify_some};
use crate::{Kind, Ledger, LogError, Predictions, Problem, SeedDir, Status, Summary, Wrong, read_json};

/// The folder of one run.
///
/// ```text
/// RUN/
///   recipe.toml    predictions.json    status.json    summary.json    report.html    ledger.jsonl
///   arms/ARM/seed-N/
///     metrics.jsonl
///     rollouts/step-000040.parquet
///     checkpoints/step-000040/
///     probes/step-000040.eval, step-000040.json, step-000040.axes.json
/// ```
///
/// One that was made with [`RunDir::create`] or [`RunDir::take_up`] belongs to this process until the last copy of it
/// is dropped, and everything that is written through it stands in the run's ledger. One that was opened is for reading.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
    hash: String,
    ledger: Option<Arc<Ledger>>,
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
    /// [`LogError::Exists`] if the folder is there and not empty; [`LogError::Held`] if another process writes there.
    pub fn create(root: impl Into<PathBuf>, recipe: &str) -> Result<Self, LogError> {
        let root = root.into();
        let place = Place::folder(Kind::Run, &root);
        if let Some(pid) = place.holder() {
            return Err(LogError::Held { path: root, pid });
        }
        fs::create_dir_all(&root).map_err(LogError::io("make the folder", &root))?;
        // A kill in the moment a run begins leaves these and nothing else.
        let begun = |name: &str| name.ends_with(".tmp") || name.ends_with(".lock") || place.ledger.ends_with(name);
        for entry in fs::read_dir(&root).map_err(LogError::io("list", &root))? {
            let name = entry.map_err(LogError::io("list", &root))?.file_name();
            if !begun(&name.to_string_lossy()) {
                return Err(LogError::Exists(root));
            }
        }
        let ledger = Ledger::begin(place)?;
        sweep(&root)?;
        let hash = recipe_hash(recipe);
        ledger.write("", "recipe.toml", format!("{HASH_LINE}{hash}\n{recipe}").as_bytes())?;
        Ok(Self { root, hash, ledger: Some(Arc::new(ledger)) })
    }

    /// Goes on with a run: its one owner, and only if everything in it is as it was written. Of what is missing the
    /// summary, the page and a seed of which nothing at all is left are made again. The notes tell what a reader should
    /// know.
    ///
    /// # Errors
    /// As [`RunDir::open`]; [`LogError::Held`]; [`LogError::Damaged`] with every file that was cut, edited, removed or
    /// put there, and then nothing is touched.
    pub fn take_up(root: impl Into<PathBuf>) -> Result<(Self, Vec<String>), LogError> {
        let mut run = Self::open(root)?;
        let place = Place::folder(Kind::Run, &run.root);
        let mend = |problem: &Problem, found: &Verified| match problem.path.as_str() {
            "summary.json" | "report.html" => true,
            path => {
                // All of it is gone: that was no accident, and it can be made again.
                let seed = seed_of(path);
                problem.what == Wrong::Missing
                    && seed.is_some_and(|seed| !run.root.join(seed).exists())
                    && found.problems.iter().all(|other| other.what == Wrong::Missing || seed_of(&other.path) != seed)
            }
        };
        let (ledger, notes) = Ledger::take_up_but(place, REMEDY, &mend)?;
        run.ledger = Some(Arc::new(ledger));
        Ok((run, notes))
    }

    /// Opens the folder of a run that was begun, to read it or to go on.
    ///
    /// # Errors
    /// [`LogError::NotARun`] without a recipe, [`LogError::RecipeChanged`] if the recipe no longer has its hash.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, LogError> {
        let mut run = Self { root: root.into(), hash: String::new(), ledger: None };
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
        let text = loophole_foreign::read_text(&path, 32 << 20).map_err(LogError::io("read", &path))?;
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

    /// Replaces `status.json`. It is in no ledger: it changes all the time and says nothing of what was found.
    pub fn write_status(&self, status: &Status) -> Result<(), LogError> {
        let ledger = status.ledger || self.ledger.is_some();
        crate::write_json(&self.status_path(), &Status { ledger, ..status.clone() })
    }

    /// Writes a file that lies in the run's own folder.
    pub(crate) fn write_own(&self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        write(self.ledger.as_deref(), "", name, &self.root.join(name), bytes)
    }

    /// Writes `summary.json`.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), LogError> {
        self.write_own("summary.json", &json_bytes(summary)?)
    }

    /// Reads `summary.json`.
    pub fn read_summary(&self) -> Result<Summary, LogError> {
        read_json(&self.summary_path())
    }

    /// `predictions.json`.
    pub fn predictions_path(&self) -> PathBuf {
        self.root.join("predictions.json")
    }

    /// Writes `predictions.json`.
    pub fn write_predictions(&self, predictions: &Predictions) -> Result<(), LogError> {
        self.write_own("predictions.json", &json_bytes(predictions)?)
    }

    /// Reads `predictions.json`; `None` if there is none.
    pub fn read_predictions(&self) -> Result<Option<Predictions>, LogError> {
        let path = self.predictions_path();
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes the page of the run, `report.html`. While another process goes on with the run, the page is in no ledger:
    /// that process writes a later one.
    pub fn write_page(&self, page: &str) -> Result<(), LogError> {
        if let Some(ledger) = &self.ledger {
            return ledger.write("", "report.html", page.as_bytes());
        }
        let place = Place::folder(Kind::Run, &self.root);
        match Ledger::reopen(place) {
            Ok(Some(ledger)) => {
                ledger.write("", "report.html", page.as_bytes())?;
                ledger.close()?;
            }
            Ok(None) | Err(LogError::Held { .. }) => write_atomic(&self.report_path(), page.as_bytes())?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Compares what a reader reads of the run with its ledger: everything but training states and checkpoints.
    ///
    /// # Errors
    /// A ledger that is broken or missing where there must be one.
    pub fn verify_read(&self) -> Result<Verified, LogError> {
        let place = Place::folder(Kind::Run, &self.root);
        verify_some(&place, &|path| !path.contains("/checkpoints/") && !path.ends_with("state.safetensors"))
    }

    /// Makes sure that the checkpoint of a seed is as it was written; says so where that cannot be told.
    ///
    /// # Errors
    /// [`LogError::Damaged`].
    pub fn verify_checkpoint(&self, arm: &str, seed: u64, step: u64) -> Result<Option<String>, LogError> {
        let inside = format!("arms/{arm}/seed-{seed}/checkpoints/step-{step:06}/");
        let found = verify_some(&Place::folder(Kind::Run, &self.root), &|path| path.starts_with(&inside))?;
        self.trust(found)
    }

    /// What was found, as an answer: a note where it cannot be told whether the run is whole.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if it is not.
    pub fn trust(&self, found: Verified) -> Result<Option<String>, LogError> {
        if !found.problems.is_empty() {
            let (path, problems) = (self.root.clone(), found.problems);
            return Err(LogError::Damaged { path, problems, remedy: REMEDY.into() });
        }
        let note = || format!("{} is not verifiable: {}", self.root.display(), found.notes.join("; "));
        Ok((!found.verifiable).then(note))
    }

    /// Makes sure that what the summary is made of is as it was written.
    ///
    /// # Errors
    /// [`LogError::Damaged`].
    pub fn check_measures(&self) -> Result<(), LogError> {
        let measures = |path: &str| path.ends_with("/metrics.jsonl") || path.contains("/probes/");
        self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.check(&measures, REMEDY))
    }

    /// Says that the run is complete; the hash that stands for all of it.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn close(&self) -> Result<Option<String>, LogError> {
        self.ledger.as_ref().map(|ledger| ledger.close()).transpose()
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
        let path = format!("arms/{arm}/seed-{seed}");
        Ok(SeedDir { root: self.root.join(&path), path, ledger: self.ledger.clone() })
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
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, LogError> {
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

/// The folder of the seed that a file of a run belongs to.
fn seed_of(path: &str) -> Option<&str> {
    let (end, _) = path.match_indices('/').nth(2)?;
    path.starts_with("arms/").then(|| &path[..end])
}

/// What can be done about a run that is not as it was written.
const REMEDY: &str =
    "remove the whole folder arms/ARM/seed-N that is damaged: `loophole run --resume` makes that seed again";

pub(crate) fn write(ledger: Option<&Ledger>, by: &str, name: &str, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    match ledger {
        Some(ledger) => ledger.write(by, name, bytes),
        None => write_atomic(path, bytes),
    }
}

/// Removes what a kill left unfinished in a folder.
pub(crate) fn sweep(folder: &Path) -> Result<(), LogError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if (name.starts_with('.') && name.ends_with(".tmp")) || name == "state.partial" {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunState, StepMetrics};

    #[test]
    fn a_run_opens_as_it_was_created() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let recipe = "name = \"quick\"\n[[arm]]\nname = \"open\"\n";
        let run = RunDir::create(&root, recipe).unwrap();
        assert!(matches!(RunDir::create(&root, recipe), Err(LogError::Held { .. })));
        let again = RunDir::open(&root).unwrap();
        assert_eq!((again.hash(), again.recipe().unwrap().as_str()), (run.hash(), recipe));
        assert!(matches!(RunDir::open(dir.path()), Err(LogError::NotARun(_))));
        let hash = run.hash().to_string();
        drop(run);
        assert!(matches!(RunDir::create(&root, recipe), Err(LogError::Exists(_))));
        assert_eq!(RunDir::take_up(&root).unwrap().0.hash(), hash);
        fs::write(again.recipe_path(), fs::read_to_string(again.recipe_path()).unwrap() + "seeds = 9\n").unwrap();
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
            ledger: true,
        };
        run.write_status(&status).unwrap();
        status.state = RunState::Finished;
        run.write_status(&status).unwrap();
        assert_eq!(run.read_status().unwrap(), Some(status));
    }
}
