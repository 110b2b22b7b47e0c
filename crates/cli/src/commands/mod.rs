//! One file a command.

mod audit;
mod doctor;
mod exec;
mod export;
mod grade;
mod grader_flags;
mod label;
mod look;
mod look_files;
mod look_inside;
mod look_table;
mod model;
mod pretrain;
mod probe;
mod probe_files;
mod probe_table;
mod recipe;
mod run;
mod serve;
mod steer;
mod verify;
mod watch;

use clap::Subcommand;

use crate::bench;
use crate::output::{Error, Exit, Options};

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run an experiment: train under each arm, probe along the way, compare, report
    Run(run::RunArguments),
    /// Train one arm of a recipe
    Train(run::TrainArguments),
    /// The bundled recipes; begin one of your own, and check it
    Recipe(recipe::RecipeArguments),
    /// Write the self-contained page of a run
    Report(run::ReportArguments),
    /// Tell whether results are whole and unedited
    Verify(verify::VerifyArguments),
    /// Grade and label submissions by execution
    Grade(grade::GradeArguments),
    /// Label transcripts of others: Harbor's trajectories, Inspect logs, conversations, rollouts
    Label(label::LabelArguments),
    /// Grade the rollouts of another program's training as they come, and make a run of them
    Watch(Box<watch::WatchArguments>),
    /// Write what is here in the files of others: curves for TensorBoard, tasks for Harbor
    Export(export::ExportArguments),
    /// Attack a grader or an environment, and prove every hole
    Audit(Box<audit::AuditArguments>),
    /// Run the behaviour battery on a model
    Probe(probe::ProbeArguments),
    /// Run one program in a cell and print what happened
    Exec(exec::ExecArguments),
    /// Make an organism from nothing
    Pretrain(pretrain::PretrainArguments),
    /// Talk to a model in the terminal
    Chat(model::ChatArguments),
    /// Look inside a model: thought against act, directions, steering, what a training changed
    Look(Box<look::LookArguments>),
    /// Serve a model to clients of OpenAI and Anthropic, and the pages of runs
    Serve(serve::ServeArguments),
    /// Measure speed, as ratios against a peer where one is installed
    Bench(bench::BenchArguments),
    /// What this machine offers, and what to do about what is missing
    Doctor,
}

impl Command {
    /// Carries the command out.
    pub fn run(&self, output: &Options) -> Result<Exit, Error> {
        match self {
            Command::Run(arguments) => run::run(arguments, output),
            Command::Train(arguments) => run::train(arguments, output),
            Command::Recipe(arguments) => recipe::recipe(arguments, output),
            Command::Report(arguments) => run::report(arguments, output),
            Command::Verify(arguments) => verify::verify(arguments, output),
            Command::Grade(arguments) => grade::grade(arguments, output),
            Command::Label(arguments) => label::label(arguments, output),
            Command::Watch(arguments) => watch::watch(arguments, output),
            Command::Export(arguments) => export::export(arguments, output),
            Command::Audit(arguments) => audit::audit(arguments, output),
            Command::Probe(arguments) => probe::probe(arguments, output),
            Command::Exec(arguments) => exec::exec(arguments, output),
            Command::Pretrain(arguments) => pretrain::pretrain(arguments, output),
            Command::Chat(arguments) => model::chat(arguments),
            Command::Look(arguments) => look::look(arguments, output),
            Command::Serve(arguments) => serve::serve(arguments, output),
            Command::Bench(arguments) => bench::bench(arguments, output),
            Command::Doctor => doctor::doctor(output),
        }
    }
}
