//! Hostile files, numbers, streams and endpoints: each ends in a clear error, in 4 GiB of address space and 20 seconds.
//! `hostile/make.py` makes them and says what is to come of each.
//!
//! `LOOPHOLE_HOSTILE_PROGRAM=PATH` runs another program than the one just built; `LOOPHOLE_HOSTILE_ONLY=WORD` only the
//! cases with this word in their name; with `--nocapture` a table is printed.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::organism;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    args: Vec<String>,
    /// Words of the error.
    says: Vec<String>,
    /// What is typed, or a device to read from.
    input: String,
    /// Exit codes.
    codes: Vec<i32>,
}

/// Address space in KiB, and seconds.
const LIMITS: (u64, u64) = (4 << 20, 20);

/// What came of a case, and what is wrong with that.
fn play(dir: &Path, case: &Case) -> Result<String, String> {
    let program = std::env::var("LOOPHOLE_HOSTILE_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_loophole").into());
    let (space, seconds) = LIMITS;
    let device = case.input.starts_with("/dev/");
    let input = if device { Stdio::from(std::fs::File::open(&case.input).unwrap()) } else { Stdio::piped() };
    let mut child = Command::new("bash")
        .args(["-c", &format!("ulimit -v {space} -c 0; exec timeout -s KILL {seconds} \"$@\""), "bash", &program])
        .args(&case.args)
        .current_dir(dir)
        .env_remove("RUST_BACKTRACE")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        // It may have ended before it was talked to.
        let _ = stdin.write_all(case.input.as_bytes());
    }
    let began = Instant::now();
    let done = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let end = told.trim_end().lines().last().unwrap_or_default();
    let brief: String = end.chars().take(300).collect();
    let seconds = began.elapsed().as_secs_f64();
    let wrong = |what: &str| Err(format!("{what} ({:?}, {seconds:.1} s): {brief}", done.status.code()));
    let error = told.rfind("error: ").map_or("", |at| &told[at..]);
    let code = done.status.code().unwrap_or(-1);
    if told.contains("panicked") || told.contains("memory allocation") || told.contains("overflowed its stack") {
        return wrong("it crashed");
    }
    if !case.codes.contains(&code) {
        return wrong("another end");
    }
    if code != 0 && error.is_empty() {
        return wrong("no error");
    }
    if code != 0 && error.len() > 4000 {
        return wrong(&format!("an error of {} bytes", error.len()));
    }
    match case.says.iter().find(|word| code != 0 && !error.contains(word.as_str())) {
        Some(word) => wrong(&format!("the error does not say {word:?}")),
        None => Ok(format!("{code} in {seconds:.1} s: {brief}")),
    }
}

fn answer(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        length = line.to_lowercase().strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap_or(0));
        line.clear();
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let mut out = stream;
    let pour = |out: &mut &TcpStream, piece: &[u8]| loop {
        out.write_all(piece)?
    };
    let begin = |out: &mut &TcpStream, status: &str, length: &str| {
        out.write_all(
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    let mebibyte = vec![b' '; 1 << 20];
    match first.split('/').nth(1).unwrap_or_default() {
        "endless" => {
            begin(&mut out, "200 OK", "")?;
            pour(&mut out, &mebibyte)
        }
        "long" => {
            begin(&mut out, "200 OK", "content-length: 18446744073709551615\r\n")?;
            pour(&mut out, &mebibyte)
        }
        "error" => {
            // A 500 would be asked again for twenty seconds.
            begin(&mut out, "400 Oh", "")?;
            pour(&mut out, &mebibyte)
        }
        "headers" => {
            out.write_all(b"HTTP/1.1 200 OK\r\n")?;
            pour(&mut out, b"x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
        }
        "nested" => {
            begin(&mut out, "200 OK", "")?;
            out.write_all("{\"choices\":".repeat(100_000).as_bytes())
        }
        _ => {
            begin(&mut out, "200 OK", "")?;
            out.write_all("[".repeat(1 << 20).as_bytes())
        }
    }
}

/// An endpoint that answers as the first part of the path says; its port.
fn endpoint() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
                // The other side leaves when it has heard enough.
                let _ = answer(&stream);
            });
        }
    });
    port
}

#[test]
#[ignore = "takes minutes: cargo test -p loophole --test hostile -- --ignored --nocapture"]
fn hostile_input_ends_in_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/make.py");
    let made = Command::new("python3")
        .arg(script)
        .args([dir.path(), &organism()])
        .arg(endpoint().to_string())
        .output()
        .expect("python3 starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let only = std::env::var("LOOPHOLE_HOSTILE_ONLY").unwrap_or_default();
    let cases: Vec<Case> = made
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Case>(&line.unwrap()).unwrap())
        .filter(|case| case.name.contains(&only))
        .collect();
    assert!(!cases.is_empty() && (cases.len() >= 60 || !only.is_empty()));
    let (next, results) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else { return };
                    let result = play(dir.path(), case);
                    match &result {
                        Ok(told) => println!("ok    {}: {told}", case.name),
                        Err(wrong) => println!("WRONG {}: {wrong}", case.name),
                    }
                    results.lock().unwrap().push((case.name.clone(), result));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let wrong: Vec<String> =
        results.iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?))).collect();
    println!("{} of {} ended in a clear error", results.len() - wrong.len(), results.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), results.len(), wrong.join("\n"));
}
