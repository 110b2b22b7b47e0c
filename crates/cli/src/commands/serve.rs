//! `loophole serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use loophole_page::ReportData;
use loophole_serve::{Endpoint, Page};

use super::model;
use crate::output::{self, Error, Exit, Options};

/// Arguments of `loophole serve`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole serve\n  loophole serve organism --port 8000 --token token.txt\n  loophole serve organism:runs/quick/no-instruction/7 --run runs/quick\n\nThen, from another terminal:\n  loophole chat http://127.0.0.1:8517/v1#organism"
)]
pub struct ServeArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, FOLDER+ADAPTER, or any other MODEL
    #[arg(default_value = "organism")]
    model: String,
    /// Port; 0 takes any that is free
    #[arg(long, default_value_t = 8517)]
    port: u16,
    /// Address; one that is not this machine's own needs a token
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// File whose first line clients must send as their key
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Folder of a run whose page is shown; may be given several times
    #[arg(long, value_name = "RUN")]
    run: Vec<PathBuf>,
    /// Seed of the seeds of requests that name none
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Serves until it is interrupted.
pub fn serve(arguments: &ServeArguments, output: &Options) -> Result<Exit, Error> {
    let token = arguments.token.as_deref().map(token).transpose()?;
    if token.is_none() && !arguments.host.is_loopback() {
        return Err(Error::Input(format!(
            "{} can be reached from other machines: name a file with a token (--token FILE)",
            arguments.host
        )));
    }
    let pages = arguments.run.iter().map(|run| page(run)).collect::<Result<Vec<Page>, Error>>()?;
    let chat: Arc<dyn loophole_chat::Chat> = model::open(&arguments.model)?.into();
    let address = SocketAddr::new(arguments.host, arguments.port);
    let cannot = |error: std::io::Error| Error::Cannot(format!("cannot listen at {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(cannot)?;
    let url = format!("http://{}/v1", listener.local_addr().map_err(cannot)?);
    let mut endpoint = Endpoint::new(chat, arguments.seed).with_pages(pages);
    if let Some(token) = &token {
        endpoint = endpoint.with_token(token);
    }
    if output.json {
        output::json(&serde_json::json!({ "url": url, "model": arguments.model, "token": token.is_some() }));
    }
    output.say(&format!(
        "{} is at {url}, {}; Ctrl-C ends it",
        arguments.model,
        if token.is_some() { "for those who have the token" } else { "for this machine, with any key" }
    ));
    endpoint.run(listener).map_err(|error| Error::Cannot(error.to_string()))?;
    Ok(Exit::Clean)
}

fn token(file: &Path) -> Result<String, Error> {
    let wrong = |why: &str| Error::Input(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
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
