//! Recipes become runs. A [`Recipe`] names arms, each a list of [`stage::Stage`]s, and seeds; [`run`] predicts every arm
//! from the untrained model, trains and probes each of them over the
//! cores there are, writes the run folder as it goes, and can go on where a kill left off; [`summarize`]
//! finds the onset of hacking, sets predictions beside what came, compares arms paired by seed,
//! and answers the recipe's claims. [`pretrain`] makes the organism all this runs on. What happens is told
//! as [`Event`]s; how it is shown is the caller's business.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod arm;
pub mod battery;
pub mod bundled;
mod claims;
mod examples;
pub mod look;
pub mod organism;
pub mod plan;
mod predict;
pub mod pretrain;
pub mod recipe;
pub mod records;
mod reward;
pub mod run;
pub mod stage;
mod summary;
mod unfinished;

use std::path::PathBuf;

pub use organism::Organism;
pub use pretrain::{OrganismRecipe, pretrain};
pub use recipe::Recipe;
pub use run::run;
pub use summary::summarize;

/// What happens during a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// An arm and seed was taken up, from the step it had reached.
    ArmStarted {
        /// Arm.
        arm: String,
        /// Seed.
        seed: u64,
        /// Step it goes on from.
        from: usize,
    },
    /// One training step was made.
    Step {
        /// Arm.
        arm: String,
        /// Seed.
        seed: u64,
        /// Steps this arm will have at most.
        steps: usize,
        /// What it was like.
        metrics: loophole_log::StepMetrics,
    },
    /// The battery was run.
    Probed {
        /// Arm.
        arm: String,
        /// Seed.
        seed: u64,
        /// After how many steps.
        step: usize,
        /// What it found.
        report: loophole_log::ProbeReport,
    },
    /// What the untrained model predicts of an arm.
    Predicted {
        /// Arm.
        arm: String,
        /// The prediction.
        prediction: loophole_log::Prediction,
    },
    /// An arm and seed is complete.
    ArmDone {
        /// Arm.
        arm: String,
        /// Seed.
        seed: u64,
        /// Steps made.
        steps: usize,
        /// Divergence at the end, in nats a rollout.
        kl: f64,
    },
    /// Something about the folder that a person should know, such as that it cannot be verified.
    Noted(String),
    /// One update of pretraining was made.
    Pretrained {
        /// Updates so far, of how many.
        step: usize,
        /// Updates there will be.
        steps: usize,
        /// Loss of the update, in nats.
        loss: f64,
        /// Tokens read a second, on average.
        tokens_per_second: f64,
    },
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A recipe that describes nothing that can be run.
    #[error("recipe {name}: {reason}")]
    Recipe {
        /// File or name.
        name: String,
        /// What is wrong, with the place.
        reason: String,
    },
    /// A file that cannot be read or removed.
    #[error("cannot use {path}: {source}")]
    Read {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An organism was to be written over something else.
    #[error(
        "{path} is there and is no organism made here (it has no MODEL_CARD.md); remove it or choose another --out"
    )]
    Occupied {
        /// Folder.
        path: PathBuf,
    },
    /// A tokenizer that does not know the chat format.
    #[error("the tokenizer has no token {token}; only models of this chat format can be trained here")]
    ChatToken {
        /// The token.
        token: String,
    },
    /// Asked to leave before it was done.
    #[error("interrupted; the same command with --resume goes on")]
    Interrupted,
    /// Another run stands where this one should.
    #[error("{path} holds a run of another recipe (its hash is {found}, this one's is {wanted}); choose another --out")]
    OtherRun {
        /// Folder.
        path: PathBuf,
        /// Hash there.
        found: String,
        /// Hash of the recipe at hand.
        wanted: String,
    },
    /// A run that is there and was not asked to go on.
    #[error("{path} already holds this run; add --resume to go on with it, or choose another --out")]
    RunExists {
        /// Folder.
        path: PathBuf,
    },
    /// An arm that is to learn from another one's rollouts, which has none of the kind.
    #[error("arm {arm}, seed {seed}, has {missing}; let it train longer, or ask for other verdicts")]
    NoExamples {
        /// The arm they were to come from.
        arm: String,
        /// The seed.
        seed: u64,
        /// What is not there.
        missing: String,
    },
    /// An arm that is to begin where another one never came.
    #[error("arm {arm} begins with {from}, and seed {seed} of that arm never came there")]
    NoCheckpoint {
        /// The arm.
        arm: String,
        /// What it begins with.
        from: String,
        /// The seed.
        seed: u64,
    },
    /// A mistake of this program's own.
    #[error(
        "arm {arm}, seed {seed}: the program itself failed ({said}); what was written is whole, and --resume goes on"
    )]
    Broke {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// What it said.
        said: String,
    },
    /// Model files.
    #[error(transparent)]
    Model(#[from] loophole_lm::LmError),
    /// Training.
    #[error(transparent)]
    Train(#[from] loophole_train::TrainError),
    /// Cells.
    #[error(transparent)]
    Cell(#[from] loophole_cell::CellError),
    /// Grading.
    #[error(transparent)]
    Grade(#[from] loophole_grade::GradeError),
    /// The world.
    #[error(transparent)]
    World(#[from] loophole_world::WorldError),
    /// Talking to a model.
    #[error(transparent)]
    Chat(#[from] loophole_chat::ChatError),
    /// The battery.
    #[error(transparent)]
    Probe(#[from] loophole_probe::ProbeError),
    /// Files of the run.
    #[error(transparent)]
    Log(#[from] loophole_log::LogError),
    /// Looking into a model.
    #[error(transparent)]
    Look(#[from] loophole_look::LookError),
}
