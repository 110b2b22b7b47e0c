//! The service under load, beside `loophole grade` in the same minute; a program that never ends among the others; a
//! server killed in a batch and started again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::output::Error;

/// Submissions of one measurement.
const SUBMISSIONS: usize = 1000;
/// Clients at a time, each with a connection of its own.
const CLIENTS: usize = 64;
/// Programs that never end, among the others.
const ENDLESS: usize = 3;

/// Measures.
pub fn measure(rounds: u32) -> Result<Value, Error> {
    let folder = Folder::new()?;
    let tasks = folder.0.join("tasks.jsonl");
    let task = json!({
        "id": "bench", "entry_point": "f", "reference": "def f(x):\n    return x + 3",
        "visible": [{"args": [1], "expected": 4}, {"args": [2], "expected": 5}],
        "hidden": (3..11).map(|x| json!({"args": [x], "expected": x + 3})).collect::<Vec<_>>(),
    });
    write(&tasks, &format!("{task}\n"))?;
    let (mut grade, mut batch, mut singles, mut among) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut seconds, mut seconds_among) = (Vec::new(), Vec::new());
    for round in 0..rounds as usize {
        let code = |at: usize| format!("def f(x):\n    return x + 3  # {round} {at}\n");
        grade.push(graded(&folder.0, &tasks, &code)?);
        let server = Server::start(&tasks)?;
        server.until_ready()?;
        // What is warmed here was warm in the other program's first moments too.
        batch.push(server.batch(&|at| code(at + 10_000))?);
        let (rate, took) = server.singles(&|at| code(at + 20_000), 0)?;
        singles.push(rate);
        seconds.extend(took);
        let (rate, took) = server.singles(&|at| code(at + 30_000), ENDLESS)?;
        among.push(rate);
        seconds_among.extend(took);
    }
    let restart = restarted(&tasks)?;
    let (own, in_batch, alone) = (median(&mut grade), median(&mut batch), median(&mut singles));
    Ok(json!({
        "loophole grade, submissions a second": own,
        "one batch to /v1/grade, submissions a second": in_batch,
        "64 clients, submissions a second": alone,
        "64 clients, share of loophole grade": alone / own,
        "one batch, share of loophole grade": in_batch / own,
        "64 clients, seconds of a submission, median": quantile(&mut seconds, 0.5),
        "64 clients, seconds of a submission, p99": quantile(&mut seconds, 0.99),
        "with three endless programs, submissions a second": median(&mut among),
        "with three endless programs, seconds, p99": quantile(&mut seconds_among, 0.99),
        "seconds from a kill in a batch to ready again": restart,
        "rounds": rounds,
    }))
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * at) as usize).copied().unwrap_or(f64::NAN)
}

fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, Error> {
        let path = std::env::temp_dir().join(format!("loophole-bench-serve-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the folder for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::Write { path: path.to_path_buf(), source })
}

fn cannot(what: impl std::fmt::Display) -> Error {
    Error::Cannot(format!("the measurement of serve: {what}"))
}

fn program() -> Result<Command, Error> {
    Ok(Command::new(std::env::current_exe().map_err(cannot)?))
}

fn graded(folder: &Path, tasks: &Path, code: &dyn Fn(usize) -> String) -> Result<f64, Error> {
    let submissions = folder.join("submissions.jsonl");
    let line = |at| format!("{}\n", json!({"task_id": "bench", "completion": code(at)}));
    write(&submissions, &(0..SUBMISSIONS).map(line).collect::<String>())?;
    let mut command = program()?;
    command.args(["grade", "--json", "--tasks"]).arg(tasks).arg("--submissions").arg(submissions);
    let done = command.stderr(Stdio::null()).output().map_err(cannot)?;
    let last = String::from_utf8_lossy(&done.stdout).lines().last().unwrap_or_default().to_string();
    let last: Value = serde_json::from_str(&last).map_err(cannot)?;
    last["summary"]["per_second"].as_f64().ok_or_else(|| cannot("loophole grade printed no summary"))
}

/// A server of its own process, killed at the end.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(tasks: &Path) -> Result<Server, Error> {
        let mut command = program()?;
        command.args(["serve", "--port", "0", "--json", "--tasks"]).arg(tasks);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(cannot)?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(cannot)?;
        }
        let mut server = Server { child, address: String::new() };
        let told: Value = serde_json::from_str(&line).map_err(cannot)?;
        let url = told["url"].as_str().unwrap_or_default();
        server.address = url.trim_start_matches("http://").trim_end_matches("/v1").to_string();
        Ok(server)
    }

    fn until_ready(&self) -> Result<(), Error> {
        let end = Instant::now() + Duration::from_secs(60);
        while Client::open(&self.address)?.ask("GET", "/health", "")?.0 != 200 {
            if Instant::now() > end {
                return Err(cannot("the server was not ready in a minute"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// All in one request; how many a second.
    fn batch(&self, code: &dyn Fn(usize) -> String) -> Result<f64, Error> {
        let began = Instant::now();
        let (status, told) = Client::open(&self.address)?.ask("POST", "/v1/grade", &rows(code))?;
        let told: Value = serde_json::from_str(&told).map_err(cannot)?;
        if status != 200 || told["summary"]["verdicts"]["honest"] != SUBMISSIONS {
            return Err(cannot(format!("the batch was answered {status}: {}", told["summary"])));
        }
        Ok(SUBMISSIONS as f64 / began.elapsed().as_secs_f64())
    }

    /// One a request, from many clients, some programs that never end beside them; how many a second, and the seconds
    /// of each.
    fn singles(&self, code: &(dyn Fn(usize) -> String + Sync), endless: usize) -> Result<(f64, Vec<f64>), Error> {
        let (next, took) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let client = || -> Result<(), Error> {
            let mut client = Client::open(&self.address)?;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= SUBMISSIONS {
                    return Ok(());
                }
                let body = json!({"prompt": "", "response": code(at), "label": "bench"}).to_string();
                let began = Instant::now();
                let (status, told) = client.ask("POST", "/slime", &body)?;
                if (status, told.as_str()) != (200, "1.0") {
                    return Err(cannot(format!("a submission was answered {status}: {told}")));
                }
                took.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(began.elapsed().as_secs_f64());
            }
        };
        let stuck = || -> Result<(), Error> {
            let body = json!({"language": "python", "code": "while True:\n    pass\n", "run_timeout": 5});
            Client::open(&self.address)?.ask("POST", "/run_code", &body.to_string()).map(|_| ())
        };
        let began = Instant::now();
        let rate = std::thread::scope(|scope| {
            let stuck: Vec<_> = (0..endless).map(|_| scope.spawn(stuck)).collect();
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, Result<(), Error>>| {
                // A panic there is a bug of ours and goes on as one.
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let done = clients.into_iter().map(join).collect::<Result<Vec<()>, Error>>();
            let rate = SUBMISSIONS as f64 / began.elapsed().as_secs_f64();
            stuck.into_iter().map(join).collect::<Result<Vec<()>, Error>>()?;
            done.map(|_| rate)
        })?;
        Ok((rate, took.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }
}

fn rows(code: &dyn Fn(usize) -> String) -> String {
    let rows: Vec<Value> = (0..SUBMISSIONS).map(|at| json!({"task_id": "bench", "completion": code(at)})).collect();
    json!({ "submissions": rows }).to_string()
}

/// Kills a server in the middle of a batch, and starts another.
fn restarted(tasks: &Path) -> Result<f64, Error> {
    let mut server = Server::start(tasks)?;
    server.until_ready()?;
    let (address, body) = (server.address.clone(), rows(&|at| format!("def f(x):\n    return x + 3  # {at}\n")));
    let batch = std::thread::spawn(move || Client::open(&address)?.ask("POST", "/v1/grade", &body));
    std::thread::sleep(Duration::from_millis(500));
    server.child.kill().map_err(cannot)?;
    let began = Instant::now();
    drop(server);
    Server::start(tasks)?.until_ready()?;
    let seconds = began.elapsed().as_secs_f64();
    match batch.join() {
        Ok(Err(_)) => Ok(seconds),
        _ => Err(cannot("the batch was done before its server was killed")),
    }
}

/// One connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn open(address: &str) -> Result<Client, Error> {
        let stream = TcpStream::connect(address).map_err(cannot)?;
        stream.set_nodelay(true).map_err(cannot)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Status and body of a request.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String), Error> {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).map_err(cannot)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).map_err(cannot)? == 0 {
                return Err(cannot("the connection was closed"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse().map_err(cannot)?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).map_err(cannot)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
