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
use loophole_lm::{Lora, Model};
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
            organism.model = Lora::load(&organism.model.config, adapter)?.merged(&organism.model);
        }
        Ok(Subject { name: name.to_string(), organism })
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
