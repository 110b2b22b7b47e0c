//! The program `loophole`: parse, one function a command, one place for exit codes.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
// What is printed goes through `output`, which makes control characters visible.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod commands;
mod leave;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

/// Was this reward earned, what did the model learn from it, and what do we do about it?
#[derive(Parser)]
#[command(
    name = "loophole",
    version,
    after_help = "Example: loophole run          (the bundled experiment, a few minutes)"
)]
struct Arguments {
    #[command(flatten)]
    output: output::Options,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    match arguments.command.run(&arguments.output) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::report(&error);
            error.exit().into()
        }
    }
}
