//! `loophole exec`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use loophole_cell::{Entry, InputFile, Limits, Pool, PoolOptions, Program};

use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole exec`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole exec -- bash -c 'echo hello > out.txt; ls'\n  loophole exec --timeout 2 --file solution.py=solution.py -- python3 solution.py\n  loophole exec --json --runtime python -- 'print(6 * 7)'"
)]
pub struct ExecArguments {
    /// Wall seconds
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Memory in MiB
    #[arg(long, default_value_t = 256)]
    memory: u64,
    /// A file of this machine to put into the cell, as SRC=DST
    #[arg(long, value_name = "SRC=DST")]
    file: Vec<String>,
    /// command: run CMD ARG...; python: run CMD as source in a warm interpreter
    #[arg(long, default_value = "command", value_parser = ["command", "python"])]
    runtime: String,
    /// Python of the cells
    #[arg(long)]
    python: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs one program in a cell.
pub fn exec(arguments: &ExecArguments, output: &Options) -> Result<Exit, Error> {
    let files = arguments.file.iter().map(|spec| input(spec)).collect::<Result<Vec<_>, _>>()?;
    let pool = Pool::start(PoolOptions { cells: 1, python: arguments.python.clone(), ..PoolOptions::default() })?;
    let mut stdin = Vec::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_end(&mut stdin).map_err(|error| Error::Input(format!("stdin: {error}")))?;
    }
    let limits = Limits {
        wall_seconds: arguments.timeout,
        cpu_seconds: arguments.timeout,
        memory_bytes: arguments.memory << 20,
        ..Limits::default()
    };
    let (entry, args) = match arguments.runtime.as_str() {
        "python" => (Entry::Python(arguments.command[0].clone()), arguments.command[1..].to_vec()),
        _ => (Entry::Command(arguments.command.clone()), Vec::new()),
    };
    let record = pool.run(&Program { args, files, stdin, limits, ..Program::new(entry) })?;
    if output.json {
        output::json(&record);
        return Ok(Exit::Clean);
    }
    line(String::from_utf8_lossy(&record.stdout).trim_end());
    output.say(String::from_utf8_lossy(&record.stderr).trim_end());
    let ended = match (record.code, record.signal) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no status".into(),
    };
    output.say(&format!(
        "{:?}: {ended}, {:.3} s wall, {:.3} s cpu, {} files changed, {} processes left behind",
        record.verdict,
        record.wall_seconds,
        record.cpu_seconds,
        record.files.len(),
        record.leftover_processes
    ));
    Ok(Exit::Clean)
}

fn input(spec: &str) -> Result<InputFile, Error> {
    let (source, path) = spec.split_once('=').ok_or_else(|| Error::Input(format!("--file {spec}: write SRC=DST")))?;
    let content = std::fs::read(source).map_err(|error| Error::Input(format!("--file {source}: {error}")))?;
    Ok(InputFile { path: path.to_string(), content, executable: false })
}
