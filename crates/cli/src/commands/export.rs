//! `loophole export`: what is here, in the files of others.

use clap::{Args, Subcommand};

use crate::output::{Error, Exit, Options};

mod harbor;
pub mod tfevents;

/// Arguments of `loophole export`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole export tfevents runs/quick --out tb      (then: tensorboard --logdir tb)
  loophole export harbor --tasks tasks.jsonl --hardened --out hardened")]
pub struct ExportArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The curves of a run for TensorBoard, a folder for each arm and seed
    Tfevents(tfevents::TfeventsArguments),
    /// Tasks as Harbor has them, open or with a verifier of their own
    Harbor(harbor::HarborArguments),
}

/// Exports something.
pub fn export(arguments: &ExportArguments, output: &Options) -> Result<Exit, Error> {
    match &arguments.what {
        What::Tfevents(arguments) => tfevents::export(arguments, output),
        What::Harbor(arguments) => harbor::export(arguments, output),
    }
}
