//! A pretraining that was left: what it had come to, in `OUT.partial` beside the folder that it is to become.

use std::path::{Path, PathBuf};

use loophole_train::Pretraining;
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::pretrain::OrganismRecipe;

/// What was made so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Tokens read.
    pub tokens: usize,
    /// Seconds it took, over all parts.
    pub seconds: f64,
    /// Loss of the last update.
    pub loss: Option<f64>,
}

/// What stands in `progress.json`: it names the state that it belongs to, so that a kill between two writes leaves a pair.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    recipe: String,
    state: String,
    made: Made,
}

/// The folder of an unfinished pretraining.
pub(crate) struct Unfinished {
    folder: PathBuf,
    recipe: String,
    found: Option<Progress>,
}

const PROGRESS: &str = "progress.json";
const STATE: &str = "state-";

impl Unfinished {
    /// The one that is to become `out`, with what is there of it.
    ///
    /// # Errors
    /// One that is there and not to be gone on with, one of another recipe, a file that cannot be read.
    pub(crate) fn take_up(out: &Path, recipe: &OrganismRecipe, resume: bool) -> Result<Self, LabError> {
        let folder = out.with_added_extension("partial");
        let text = toml::to_string(&OrganismRecipe { out: PathBuf::new(), ..recipe.clone() })
            .map_err(|error| LabError::Recipe { name: recipe.name.clone(), reason: error.to_string() })?;
        let recipe = loophole_log::recipe_hash(&text);
        let progress = folder.join(PROGRESS);
        let found = match progress.exists() {
            true => Some(loophole_log::read_json::<Progress>(&progress)?),
            false => None,
        };
        match &found {
            Some(found) if found.recipe != recipe => {
                Err(LabError::OtherRun { path: folder, found: found.recipe.clone(), wanted: recipe })
            }
            Some(_) if !resume => Err(LabError::RunExists { path: folder }),
            _ => Ok(Unfinished { folder, recipe, found }),
        }
    }

    /// Brings a training to where it was left.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub(crate) fn load(&self, training: &mut Pretraining) -> Result<Made, LabError> {
        let Some(found) = &self.found else { return Ok(Made::default()) };
        training.load_state(&self.folder.join(&found.state))?;
        Ok(found.made.clone())
    }

    /// Keeps what was made so far.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn save(&self, training: &Pretraining, made: &Made) -> Result<(), LabError> {
        let failed = |source| LabError::Write { path: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let state = format!("{STATE}{:06}.safetensors", training.step);
        training.save_state(&self.folder.join(&state))?;
        let progress = Progress { recipe: self.recipe.clone(), state: state.clone(), made: made.clone() };
        loophole_log::write_json(&self.folder.join(PROGRESS), &progress)?;
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(STATE) && name != *state {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The folder, in which the organism is put together before it takes its place.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn folder(&self) -> Result<PathBuf, LabError> {
        let failed = |source| LabError::Write { path: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        Ok(self.folder.clone())
    }

    /// Takes away what is only needed to go on.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn clear(&self) -> Result<(), LabError> {
        let failed = |source| LabError::Write { path: self.folder.clone(), source };
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == PROGRESS || name.to_string_lossy().starts_with(STATE) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use loophole_lm::{Config, Model};

    use super::*;

    #[test]
    fn what_was_left_is_taken_up_by_its_own_recipe_alone_and_thrown_away_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("organism");
        let recipe = |seed: u64| {
            let text = format!("name = 'one'\nout = 'o'\nvocabulary = 300\ntasks_per_family = 1\nseed = {seed}\n");
            OrganismRecipe::parse(&text, "one").unwrap()
        };
        let training = || {
            let config = Config { hidden_size: 32, num_hidden_layers: 1, ..Config::organism(64) };
            Pretraining::new(Model::init(config, 1).unwrap(), recipe(1).pretrain)
        };
        let new = Unfinished::take_up(&out, &recipe(1), true).unwrap();
        assert_eq!(new.load(&mut training()).unwrap().tokens, 0, "there is nothing yet");
        for step in [100, 200] {
            let mut training = training();
            training.step = step;
            new.save(&training, &Made { tokens: step, ..Made::default() }).unwrap();
        }
        assert!(matches!(Unfinished::take_up(&out, &recipe(1), false), Err(LabError::RunExists { .. })));
        assert!(matches!(Unfinished::take_up(&out, &recipe(2), true), Err(LabError::OtherRun { .. })));
        let elsewhere = OrganismRecipe { out: "elsewhere".into(), ..recipe(1) };
        let found = Unfinished::take_up(&out, &elsewhere, true).unwrap();
        let mut again = training();
        assert_eq!((found.load(&mut again).unwrap().tokens, again.step), (200, 200));
        let names = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        assert_eq!(names(&found.folder().unwrap()), 2, "the progress and its one state");
        found.clear().unwrap();
        assert_eq!(names(&found.folder().unwrap()), 0);
    }
}
