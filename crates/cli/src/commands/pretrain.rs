//! `loophole pretrain`.

use std::path::PathBuf;

use clap::Args;
use loophole_lab::{Event, LabError};

use super::recipe;
use crate::leave;
use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole pretrain`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole pretrain organism\n  loophole pretrain factors --set world.bundle_strength=0.25 --set seed=2 --out organism-quarter\n  loophole pretrain organism --show 3   (print three documents of its world)\n  loophole pretrain organism --resume   (go on with one that was left)"
)]
pub struct PretrainArguments {
    /// Recipe of the organism: a file, or the name of a bundled one
    recipe: String,
    /// Folder to write, instead of the recipe's
    #[arg(long)]
    out: Option<PathBuf>,
    /// Another value than the recipe's, as in world.bundle_strength=0.5; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Threads; all cores unless told otherwise
    #[arg(long)]
    threads: Option<usize>,
    /// Go on with what was left unfinished there
    #[arg(long)]
    resume: bool,
    /// Print this many documents of the world and train nothing
    #[arg(long)]
    show: Option<u64>,
}

/// Makes an organism.
pub fn pretrain(arguments: &PretrainArguments, output: &Options) -> Result<Exit, Error> {
    output::flag("--threads", arguments.threads.unwrap_or(1), 1..=output::MOST_JOBS)?;
    output::flag("--show", arguments.show.unwrap_or(0), 0..=1_000_000)?;
    let recipe = recipe::organism(&arguments.recipe, &arguments.sets)?;
    if let Some(count) = arguments.show {
        line(loophole_lab::pretrain::sample_documents(&recipe, count)?.trim_end());
        return Ok(Exit::Clean);
    }
    let out = arguments.out.clone().unwrap_or_else(|| recipe.out.clone());
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = output.bar(recipe.pretrain.steps as u64);
    leave::listen(|| output::tell("interrupted; the same command with --resume goes on"));
    let mut watch = |event| {
        if let Event::Pretrained { step, steps, loss, tokens_per_second } = event {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.3}, {tokens_per_second:.0} tokens/s"));
            if !output.has_bar() && (step % 50 < 10 || step == steps) {
                output.say(&format!("step {step} of {steps}: loss {loss:.4}, {tokens_per_second:.0} tokens/s"));
            }
        }
    };
    let made = loophole_lab::pretrain(&recipe, &out, threads, arguments.resume, &mut watch, &leave::asked);
    bar.finish_and_clear();
    if let Err(error @ LabError::Interrupted) = made {
        output.say(&error.to_string());
        return Ok(Exit::Interrupted);
    }
    made?;
    output.say(&format!("wrote {}; its card says what it can do", out.display()));
    if output.json {
        output::json(&serde_json::json!({ "out": out }));
    }
    Ok(Exit::Clean)
}
