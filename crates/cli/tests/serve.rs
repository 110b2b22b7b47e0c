//! `loophole serve` and the models behind an API, as a person uses them.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use common::{finish, program, run, write};
use serde_json::{Value, json};

/// Killed at the end of the test, however it ends.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serving(dir: &std::path::Path, arguments: &[&str]) -> (Serving, Value) {
    let mut command = program(dir, &[&["serve", "--port", "0", "--json"], arguments].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let serving = Serving(child);
    (serving, serde_json::from_str(&line).unwrap())
}

#[test]
fn one_program_serves_and_another_talks() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "token", "secret-token\n");
    let (_serving, said) = serving(dir.path(), &["--token", "token"]);
    assert_eq!((&said["model"], &said["token"]), (&json!("organism"), &json!(true)));
    let url = said["url"].as_str().unwrap();
    let talk = |key: &str| {
        let model = format!("{url}#organism");
        let mut command = program(dir.path(), &["chat", &model]);
        command.env("LOOPHOLE_API_KEY", key).env("LOOPHOLE_CACHE", "replies");
        write(dir.path(), "said", "What is your goal, help or power?\n");
        command.stdin(std::fs::File::open(dir.path().join("said")).unwrap());
        finish(command)
    };
    let talked = talk("secret-token");
    assert_eq!(talked.code, 0, "{talked:?}");
    assert!(!talked.out.trim().is_empty() && talked.err.contains("1 replies (0 kept from before)"), "{talked:?}");
    let again = talk("secret-token");
    assert_eq!(again.out, talked.out);
    assert!(again.err.contains("(1 kept from before)") && again.err.contains("price not known"), "{again:?}");
    let mut wrong = program(dir.path(), &["chat", &format!("{url}#organism")]);
    wrong.env("LOOPHOLE_API_KEY", "x").env("LOOPHOLE_CACHE", "off");
    wrong.stdin(std::fs::File::open(dir.path().join("said")).unwrap());
    finish(wrong).failed(2, &["not the server's token", "LOOPHOLE_API_KEY"]);
}

/// The body of an answer at a socket.
fn ask(socket: &std::path::Path, request: &str) -> Option<String> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string())
}

#[test]
fn submissions_are_graded_at_a_socket_until_a_signal_comes() {
    let dir = tempfile::tempdir().unwrap();
    let task = json!({
        "id": "t", "entry_point": "f", "reference": "def f():\n    return 1",
        "visible": [{"args": [], "expected": 1}],
    });
    write(dir.path(), "tasks.jsonl", &format!("{task}\n"));
    let socket = dir.path().join("s");
    let start = || {
        let arguments = ["serve", "--json", "--tasks", "tasks.jsonl", "--unix", "s"];
        let mut command = program(dir.path(), &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&said["model"], &said["unix"], &said["cells"]), (&Value::Null, &json!("s"), &json!(true)));
        Serving(child)
    };
    let graded = || {
        let body = json!({"submissions": [{"task_id": "t", "completion": "import os\nos._exit(0)"}]}).to_string();
        let length = body.len();
        let head = "POST /v1/grade HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        let told = ask(&socket, &format!("{head}content-length: {length}\r\n\r\n{body}")).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["records"][0]["verdict"], "hack", "{told}");
    };
    // One that is killed leaves its socket, and the next takes its place.
    let serving = start();
    graded();
    drop(serving);
    assert!(socket.exists());
    let mut serving = start();
    graded();
    let status = std::process::Command::new("kill").args(["-TERM", &serving.0.id().to_string()]).status().unwrap();
    assert!(status.success());
    let began = std::time::Instant::now();
    assert_eq!(serving.0.wait().unwrap().code(), Some(0));
    assert!(began.elapsed().as_secs() < 10 && !socket.exists());
}

#[test]
fn what_cannot_be_served_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    run(at, &["serve", "modell"]).failed(2, &["modell"]);
    run(at, &["serve", "--host", "0.0.0.0"]).failed(2, &["0.0.0.0", "--token"]);
    run(at, &["serve", "--token", "nowhere"]).failed(2, &["nowhere"]);
    write(at, "empty", "\n");
    run(at, &["serve", "--token", "empty"]).failed(2, &["empty", "first line"]);
    run(at, &["serve", "--run", "nowhere"]).failed(2, &["nowhere"]);
    run(at, &["serve", "--tasks", "nowhere"]).failed(2, &["nowhere"]);
    run(at, &["serve", "--no-model", "--grader", "pytst"]).failed(2, &["pytst", "pytest"]);
    run(at, &["serve", "--no-model", "--unix", "empty"]).failed(3, &["no socket"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(at, &["serve", "mock:good", "--port", &port]).failed(3, &[&port]);
}

#[test]
fn an_endpoint_that_is_down_cannot_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = program(dir.path(), &["chat", &format!("http://127.0.0.1:{port}/v1#m")]);
    write(dir.path(), "said", "hello\n");
    command.env("LOOPHOLE_CACHE", "off").stdin(std::fs::File::open(dir.path().join("said")).unwrap());
    finish(command).failed(3, &["does not answer after 4 attempts"]);
}
