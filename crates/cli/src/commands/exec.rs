//! `loophole exec`.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use loophole_cell::{EXEC_OUTPUT, Entry, Limits, Pool, PoolOptions, Program, Tier, escape_path};
use loophole_foreign::bytes;

use crate::output::{self, Error, Exit, Options};

mod files;

/// Longest time a program may be given: a week, in seconds.
const LONGEST: f64 = 604_800.0;
/// Most memory it may be given, in MiB.
const MOST_MEMORY: u64 = 1 << 24;
/// Most bytes that are read of a file, or of stdin, to be given to it.
const MOST_BYTES: u64 = 256 << 20;

/// Arguments of `loophole exec`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole exec -- bash -c 'echo hello > out.txt; ls'\n  loophole exec --in project --get out -- make -C /box test\n  printf 'a\\0b' | loophole exec --env MODE=fast --cwd src --in project -- ./tool\n  loophole exec --timeout 2 --file solution.py=solution.py -- python3 solution.py\n  loophole exec --json --runtime python -- 'print(6 * 7)'\n  loophole exec --runtime ~/venv/bin/python -- -c 'import numpy; print(numpy.__version__)'\n  loophole exec --file test_it.py=test_it.py --watch test_it.py -- bash agent.sh"
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
    file: Vec<OsString>,
    /// A folder of this machine to put into the cell with all that is in it, as DIR (into /box) or DIR=DST
    #[arg(long = "in", value_name = "DIR[=DST]")]
    folder: Vec<OsString>,
    /// A file or folder of the cell to write out afterwards, as PATH (into this folder) or PATH=DST
    #[arg(long, value_name = "PATH[=DST]")]
    get: Vec<OsString>,
    /// A variable of the program
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<OsString>,
    /// The folder in the cell that it starts in (default: /box)
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Whether it has a /proc with its own processes, and /dev/stdin and the like (the default where it can be had)
    #[arg(long, overrides_with = "no_proc")]
    proc: bool,
    /// No /proc
    #[arg(long, overrides_with = "proc")]
    no_proc: bool,
    /// What runs CMD: `command` runs it as it is, `python` as source in a warm interpreter; else a program of this
    /// machine by name or path (an interpreter with its virtual environment, a static binary), given CMD ARG...
    #[arg(long, default_value = "command", value_name = "NAME")]
    runtime: String,
    /// A file in the cell whose openings are told, with who opened it and when
    #[arg(long, value_name = "DST")]
    watch: Vec<OsString>,
    /// The kind of isolation (default: the strongest that this machine offers)
    #[arg(long, value_parser = ["namespaces", "landlock"], conflicts_with = "no_isolation")]
    tier: Option<String>,
    /// Run it unconfined, with limits only: it can do whatever you can
    #[arg(long)]
    no_isolation: bool,
    /// Pass on what the program prints as it is, to a terminal too. Without it a terminal gets control characters made
    /// visible; a pipe or a file always gets the program's bytes
    #[arg(long)]
    raw: bool,
    /// Python of the cells
    #[arg(long)]
    python: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs one program in a cell.
pub fn exec(arguments: &ExecArguments, output: &Options) -> Result<Exit, Error> {
    output::flag("--timeout", arguments.timeout, 0.001..=LONGEST)?;
    output::flag("--memory", arguments.memory, 1..=MOST_MEMORY)?;
    let mut given = files::Into::default();
    arguments.file.iter().try_for_each(|spec| given.file(spec))?;
    arguments.folder.iter().try_for_each(|spec| given.folder(spec))?;
    given.tell(output);
    let wanted = arguments.get.iter().map(|spec| files::Out::new(spec)).collect::<Result<Vec<_>, _>>()?;
    let env = arguments.env.iter().map(|spec| variable(spec)).collect::<Result<Vec<_>, _>>()?;
    let tier = match (arguments.no_isolation, arguments.tier.as_deref()) {
        (true, _) => Some(Tier::None),
        (_, Some("landlock")) => Some(Tier::Landlock),
        (_, Some(_)) => Some(Tier::Namespaces),
        _ => None,
    };
    crate::leave::at_once(|| ());
    let mut options = PoolOptions { cells: 1, python: arguments.python.clone(), tier, ..PoolOptions::default() };
    let (entry, args) = match arguments.runtime.as_str() {
        "python" => {
            let source = arguments.command[0].to_str();
            let source = source.ok_or_else(|| Error::Input("--runtime python: the source is no UTF-8".into()))?;
            (Entry::Python(source.to_owned()), arguments.command[1..].to_vec())
        }
        "command" => (Entry::Command(arguments.command.clone()), Vec::new()),
        name => {
            let path = find(name)?;
            let is_python = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python"));
            if is_python && options.python.is_none() {
                options.python = Some(path.clone());
            } else {
                options.runtimes.push(path.clone());
            }
            // A Python by name is found on the cell's own PATH, where its folder comes first.
            let word = if is_python && !name.contains('/') { name.into() } else { path.into_os_string() };
            (Entry::Command(vec![word]), arguments.command.clone())
        }
    };
    options.shell_only = matches!(entry, Entry::Command(_));
    let pool = Pool::start(options)?;
    let mut stdin = Vec::new();
    if !std::io::stdin().is_terminal() {
        let read = std::io::stdin().take(MOST_BYTES + 1).read_to_end(&mut stdin);
        read.map_err(|error| Error::Input(format!("stdin: {error}")))?;
        if stdin.len() as u64 > MOST_BYTES {
            return Err(Error::Input(format!("stdin has more than the {} that a program is given", bytes(MOST_BYTES))));
        }
    }
    let limits = Limits {
        wall_seconds: arguments.timeout,
        cpu_seconds: arguments.timeout,
        memory_bytes: arguments.memory << 20,
        // The folder holds four times as much as one file.
        file_bytes: Limits::default().file_bytes.max(given.bytes / 2),
        output_bytes: EXEC_OUTPUT,
        ..Limits::default()
    };
    let read_back = wanted.iter().map(|out| out.path.clone()).collect();
    let program = Program {
        args,
        env,
        cwd: arguments.cwd.clone(),
        files: given.files,
        folders: given.folders,
        stdin,
        limits,
        read_back,
        watch: arguments.watch.iter().map(|path| files::place(path)).collect(),
        proc: !arguments.no_proc,
        ..Program::new(entry)
    };
    let record = pool.run(&program)?;
    if arguments.proc && !record.proc {
        output
            .warn("--proc: this cell could have no /proc (the tier has none, or the machine's own is partly covered)");
    }
    let mut exit = Exit::Clean;
    for out in &wanted {
        let count = out.write(&record, output)?;
        if count == 0 && !record.files.iter().any(|file| escape_path(&file.path) == out.path) {
            exit = Exit::Cannot;
        }
        output.say(&format!("got: {} ({count} files)", out.path));
    }
    if output.json {
        output::json(&record);
        return Ok(exit);
    }
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    output::pass_on(stdout.lock(), &record.stdout, arguments.raw || !stdout.is_terminal());
    if !output.quiet {
        let raw = arguments.raw || !stderr.is_terminal();
        output::pass_on(stderr.lock(), &record.stderr, raw);
        // What is said of its end begins a line of its own.
        if raw && record.stderr.last().is_some_and(|last| *last != b'\n') {
            output::pass_on(stderr.lock(), b"\n", true);
        }
    }
    let ended = match (record.code, record.signal) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no status".into(),
    };
    output.say(&format!(
        "{:?}: {ended}, {:.3} s wall, {:.3} s cpu, {} files changed, {} processes left behind, tier {}",
        record.verdict,
        record.wall_seconds,
        record.cpu_seconds,
        record.files.len(),
        record.leftover_processes,
        record.tier
    ));
    if record.changes_truncated > 0 {
        output.say(&format!("not listed: at least {} more files", record.changes_truncated));
    }
    if record.refused_incomplete {
        output.say("refused: the program has a filter of its own, which hides what that refuses");
    }
    if !record.success() && !record.proc && arguments.no_proc {
        let missed = ["/dev/fd", "/dev/std", "/proc/"].iter().any(|path| record.stderr_text().contains(path));
        if missed {
            output.say("hint: it asked for what stands on /proc; run it without --no-proc (or with --proc)");
        }
    }
    for (call, count) in &record.refused {
        output.say(&format!("refused: {call} ({count}x)"));
    }
    for opened in &record.opened {
        let who = opened.command.as_deref().unwrap_or("a process that hid its name");
        output.say(&format!("opened: {} after {:.3} s by {who}", opened.path, opened.seconds));
    }
    Ok(exit)
}

fn variable(spec: &OsStr) -> Result<(OsString, OsString), Error> {
    let wrong = || Error::Input(format!("--env {}: write NAME=VALUE", spec.display()));
    let (name, value) = files::halves(spec).ok_or_else(wrong)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A program of this machine, by path or by name on `PATH`.
fn find(name: &str) -> Result<PathBuf, Error> {
    let missing = || Error::Input(format!("--runtime {name}: there is no such program on this machine"));
    if name.contains('/') {
        // Not resolved further: an interpreter finds its virtual environment by the path it is called by.
        return std::path::absolute(name).ok().filter(|path| path.is_file()).ok_or_else(missing);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(missing)
}
