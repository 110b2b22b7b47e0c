//! `loophole serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use loophole_cell::{Pool, PoolOptions};
use loophole_grade::GraderKind;
use loophole_page::ReportData;
use loophole_serve::{Ended, Grading, Listening, Page, Server};

use super::grader_flags::GraderFlags;
use super::model;
use crate::output::{self, Error, Exit, Options, flag};

/// Most pieces of work at a time that a service does.
const MOST_JOBS: usize = 512;

/// Arguments of `loophole serve`.
#[derive(Args)]
#[command(after_help = "Examples:
  loophole serve                                       the organism, grading and cells
  loophole serve --tasks tasks.jsonl                   grading and cells, no model
  loophole serve --tasks tasks.jsonl --grader pytest --python .venv/bin/python --token token.txt --host 0.0.0.0
  loophole serve --no-model --unix /run/loophole.sock
  loophole serve organism --port 8000 --token token.txt
  loophole serve organism:runs/quick/no-instruction/7 --run runs/quick

Then, from another terminal:
  loophole chat http://127.0.0.1:8517/v1#organism
  curl -s http://127.0.0.1:8517/run_code -d '{\"language\": \"python\", \"code\": \"print(6 * 7)\"}'
  curl -s http://127.0.0.1:8517/metrics")]
pub struct ServeArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, FILE.gguf, FOLDER+ADAPTER, or any other MODEL; the organism unless
    /// --tasks or --no-model is given
    model: Option<String>,
    /// Serve no model
    #[arg(long, conflicts_with = "model")]
    no_model: bool,
    /// Serve no cells: nothing is graded or run
    #[arg(long, conflicts_with_all = ["tasks", "grader", "open", "hardened", "no_label", "jobs", "queue", "python"])]
    no_cells: bool,
    /// Tasks that clients name by id, in any form that `loophole grade --tasks` reads
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,
    #[command(flatten)]
    flags: GraderFlags,
    /// Requests that may wait; further ones are answered 503 with Retry-After
    #[arg(long, default_value_t = 1024)]
    queue: usize,
    /// Port; 0 takes any that is free
    #[arg(long, default_value_t = 8517)]
    port: u16,
    /// Address; one that is not this machine's own needs a token
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Listen at a socket of the file system instead, which only this user can open
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["host", "port"])]
    unix: Option<PathBuf>,
    /// File whose first line clients must send as their key
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Folder of a run whose page is shown; may be given several times
    #[arg(long, value_name = "RUN")]
    run: Vec<PathBuf>,
    /// End when nobody has asked for so many seconds and no client holds a cell; /health and /metrics do not count
    #[arg(long, value_name = "SECONDS")]
    idle_exit: Option<u64>,
    /// Seed of the seeds of requests that name none
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Serves until it is interrupted.
pub fn serve(arguments: &ServeArguments, output: &Options) -> Result<Exit, Error> {
    let token = arguments.token.as_deref().map(token).transpose()?;
    if token.is_none() && arguments.unix.is_none() && !arguments.host.is_loopback() {
        return Err(Error::Input(format!(
            "{} can be reached from other machines: name a file with a token (--token FILE)",
            arguments.host
        )));
    }
    if let Some(seconds) = arguments.idle_exit {
        flag("--idle-exit", seconds, 1..=31_536_000)?;
    }
    let mut server = Server::new().with_queue(arguments.queue);
    if let Some(seconds) = arguments.idle_exit {
        server = server.with_idle_exit(Duration::from_secs(seconds));
    }
    server = server.with_pages(arguments.run.iter().map(|run| page(run)).collect::<Result<Vec<Page>, Error>>()?);
    if let Some(token) = &token {
        server = server.with_token(token);
    }
    let unnamed = !arguments.no_model && arguments.tasks.is_none();
    let name = arguments.model.as_deref().or(unnamed.then_some("organism"));
    if let Some(name) = name {
        let chat: Arc<dyn loophole_chat::Chat> = model::open(name)?.into();
        // Of requests that do not say how to sample.
        model::SamplingFlags::default().of(chat.as_ref(), &|text| output.say(text));
        server = server.with_model(chat, arguments.seed);
    }
    let mut cells = !arguments.no_cells;
    if cells {
        // A model can be talked to where programs cannot be isolated.
        match grading(arguments, output) {
            Ok(grading) => server = server.with_grading(grading),
            Err(Error::Cell(error))
                if name.is_some() && arguments.tasks.is_none() && arguments.flags.python.is_none() =>
            {
                output.warn(&format!("no cells are served: {error}"));
                cells = false;
            }
            Err(error) => return Err(error),
        }
    }
    let (listening, url) = listen(arguments)?;
    let stop = server.stop();
    let stopped = ctrlc::set_handler(move || stop.stop());
    stopped.map_err(|error| Error::Cannot(format!("cannot wait for Ctrl-C: {error}")))?;
    if output.json {
        let value = serde_json::json!({
            "url": url, "model": name, "token": token.is_some(), "unix": arguments.unix, "cells": cells,
        });
        output::json(&value);
    }
    let what = match (name, cells) {
        (Some(name), false) => name.to_string(),
        (Some(name), true) => format!("{name}, with grading and cells,"),
        (None, _) => "grading and cells".to_string(),
    };
    output.say(&format!(
        "{what} is at {url}, {}; Ctrl-C ends it",
        if token.is_some() { "for those who have the token" } else { "for this machine, with any key" }
    ));
    let ended = server.run(listening).map_err(|error| Error::Cannot(error.to_string()))?;
    if let (Ended::Idle, Some(seconds)) = (ended, arguments.idle_exit) {
        output.say(&format!("nobody has asked for {seconds} s: it ends"));
    }
    Ok(Exit::Clean)
}

fn listen(arguments: &ServeArguments) -> Result<(Listening, String), Error> {
    if let Some(path) = &arguments.unix {
        let cannot = |error: std::io::Error| Error::Cannot(format!("cannot listen at {}: {error}", path.display()));
        return Ok((Listening::unix(path).map_err(cannot)?, format!("unix:{}", path.display())));
    }
    let address = SocketAddr::new(arguments.host, arguments.port);
    let cannot = |error: std::io::Error| Error::Cannot(format!("cannot listen at {address}: {error}"));
    let listening = Listening::tcp(address).map_err(cannot)?;
    let url = format!("http://{}/v1", listening.address().unwrap_or(address));
    Ok((listening, url))
}

/// The cells, with the tasks and the grader that were named.
fn grading(arguments: &ServeArguments, output: &Options) -> Result<Grading, Error> {
    let read = |path: &Path| Ok::<_, Error>(super::grade::read_tasks(path, output)?.tasks);
    let tasks = arguments.tasks.as_deref().map(read).transpose()?.unwrap_or_default();
    let jobs = arguments.flags.jobs(MOST_JOBS)?;
    let named = arguments.flags.grader.as_deref();
    let kind = named.and_then(GraderKind::parse).unwrap_or_else(|| GraderKind::fitting(&tasks));
    let pool = Pool::start(PoolOptions { python: arguments.flags.python.clone(), ..Grading::cells(kind, jobs) })?;
    let mut grading = Grading::new(Arc::new(pool), jobs).with_tasks(tasks);
    if arguments.flags.no_label {
        grading = grading.without_labels();
    }
    grading.with_grader(named, &arguments.flags.open, arguments.flags.hardened).map_err(Error::Input)
}

fn token(file: &Path) -> Result<String, Error> {
    let wrong = |why: &str| Error::Input(format!("{}: {why}", file.display()));
    let text = loophole_foreign::read_text(file, 1 << 20).map_err(|error| wrong(&error.to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("its first line must be the token: letters, digits and signs without spaces"));
    }
    Ok(line.to_string())
}

/// The page of a run, made anew whenever it is asked for: the run may go on.
fn page(run: &Path) -> Result<Page, Error> {
    loophole_log::RunDir::open(run)?;
    let name = run.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let run = run.to_path_buf();
    let render = move || ReportData::from_run(&run).map(|data| loophole_page::render(&data)).map_err(|e| e.to_string());
    Ok(Page { name: name.unwrap_or_else(|| "run".to_string()), render: Box::new(render) })
}
