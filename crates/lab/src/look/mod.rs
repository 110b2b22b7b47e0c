//! Looking into organisms: the part of `loophole look` that knows of worlds, probes and cells. What is measured inside is
//! the crate `look`'s; what a model *does* is read here, by the same battery, judge and graders as everywhere else.

mod acts;
pub mod contrasts;
mod inside;
mod parts;
mod places;
mod thought;

pub use inside::{Character, DirectionStudy, DoseRow, Fitted, MoveStudy, SteerStudy, directions, moved, steered};
pub use parts::{Kept, PartsStudy, parts};
pub use places::{Largest, Lens, PLACES, PlaceStudy, ReadToken, THOUGHT, differing, lens, text};
pub use thought::{KINDS, ThoughtSide, ThoughtStudy, thought};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loophole_cell::Pool;
use loophole_grade::Grading;
use loophole_lm::{Lora, Model, adapter_base, same_weights};
use loophole_look::{LookError, alike};
use loophole_probe::Battery;

use crate::{LabError, Organism};

/// A model that is looked into.
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Its weights, tokenizer and world.
    pub organism: Organism,
}

impl Subject {
    /// A folder with weights; tokenizer and world are those of the folder `beside`. With an adapter, the weights with the
    /// adapter in them.
    ///
    /// # Errors
    /// A file that is missing or broken, or weights of another chat format.
    pub fn open(name: &str, dir: &Path, beside: &Path, adapter: Option<&Path>) -> Result<Self, LabError> {
        let mut organism = Organism::open(beside)?;
        if dir != beside {
            organism.model = Model::load(dir)?;
        }
        if let Some(adapter) = adapter {
            if let Some(base) = adapter_base(adapter)?
                && !same_weights(&base, dir)?
            {
                let what = format!(
                    "base_model_name_or_path is {}, whose weights are not those of {}",
                    base.display(),
                    dir.display()
                );
                return Err(LookError::File { path: adapter.into(), what }.into());
            }
            organism.model = Lora::load(&organism.model.config, adapter)?.merged(&organism.model);
        }
        let model = &organism.model;
        if let Some(view) =
            model.views().iter().find(|view| model.params[view.range.clone()].iter().any(|x| !x.is_finite()))
        {
            return Err(LookError::NotFinite { model: name.to_string(), weights: view.name.clone() }.into());
        }
        Ok(Subject { name: name.to_string(), organism })
    }

    /// Refuses a model that this one cannot have been trained from: another shape, or other tokens, so that no prompt is the
    /// same to both.
    ///
    /// # Errors
    /// [`LookError::Unlike`].
    pub fn comes_from(&self, base: &Subject) -> Result<(), LabError> {
        alike((&self.name, &self.organism.model), (&base.name, &base.organism.model))?;
        let (ours, theirs) = (&self.organism.tokenizer, &base.organism.tokenizer);
        let last = ours.largest_id().max(theirs.largest_id()).unwrap_or(0);
        if let Some(id) = (0..=last).find(|id| ours.token(*id) != theirs.token(*id)) {
            let word = |token: Option<String>| token.map_or("nothing".into(), |token| format!("{token:?}"));
            let what = format!(
                "token {id} is {} to the one and {} to the other",
                word(ours.token(id)),
                word(theirs.token(id))
            );
            return Err(LookError::Unlike { model: self.name.clone(), base: base.name.clone(), what }.into());
        }
        Ok(())
    }

    /// The tokens of a text; none if it has fewer than two, or more than the model takes.
    pub fn read(&self, text: &str) -> Option<Vec<u32>> {
        let read = self.organism.tokenizer.encode(text);
        (2..=self.organism.model.config.max_position_embeddings).contains(&read.len()).then_some(read)
    }
}

/// What all studies of a look share.
pub struct Sight<'a> {
    /// Cells.
    pub pool: Arc<Pool>,
    /// Grading in those cells.
    pub grading: Grading,
    /// The battery by which misalignment is told.
    pub battery: Battery,
    /// Samples of each probe.
    pub samples: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// Threads of the model.
    pub threads: usize,
    /// Whether to leave.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Told of what is being done.
    pub say: &'a (dyn Fn(&str) + Sync),
    /// Tokens read and sampled so far.
    pub tokens: AtomicU64,
}

impl Sight<'_> {
    /// Counts tokens that were read or sampled.
    fn count(&self, tokens: usize) {
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }
}

/// A hash of the chat template in which organisms are spoken to.
pub fn template_hash() -> String {
    format!("{:016x}", loophole_template::seed_of(loophole_lm::chat_template::JINJA))
}
