//! What models, tasks, programs and endpoints print reaches a terminal with its control characters made visible. The
//! real program runs under a pseudo-terminal, and what arrives there is looked at byte by byte.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{program, run, write};
use serde_json::json;

/// Clears the screen, names the window, writes to the clipboard, colours by C1, turns the writing, hides a tag.
const WILD: &str = "\u{1b}[2J\u{1b}]0;OWNED\u{7}\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}31m\u{202e}\u{e0041}\u{200b}a\rb";

/// Runs `loophole` under a pseudo-terminal, with `typed` on it, and gives what arrived there.
fn terminal(dir: &Path, arguments: &[&str], typed: &str) -> String {
    const SPAWN: &str = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut child = Command::new("python3")
        .args(["-c", SPAWN, env!("CARGO_BIN_EXE_loophole")])
        .args(arguments)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("python3 starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(typed.as_bytes()).expect("it is typed");
    let mut seen = Vec::new();
    // The pipe stays open: its end would be typed as an end of file at once.
    child.stdout.take().expect("a pipe").read_to_end(&mut seen).expect("what it printed");
    drop(stdin);
    child.wait().expect("it ends");
    String::from_utf8(seen).expect("UTF-8")
}

/// Nothing in it does or hides anything; `own` are the sequences that are this program's.
#[track_caller]
fn tame(seen: &str, own: &[&str]) {
    let mut text = seen.replace("\r\n", "\n");
    own.iter().for_each(|sequence| text = text.replace(sequence, ""));
    let wild: String = text.chars().filter(|c| loophole_foreign::stand_in(*c).is_some()).collect();
    assert!(wild.is_empty(), "{wild:?} in {seen:?}");
}

/// An endpoint that answers every question with `status` and `body`, until the test ends.
fn endpoint(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1#m", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                let lower = line.to_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap_or(0));
                line.clear();
            }
            let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body.as_bytes()));
        }
    });
    url
}

fn reply(content: &str) -> String {
    let message = json!({ "role": "assistant", "content": content });
    json!({ "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": message }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } })
    .to_string()
}

#[test]
fn a_model_that_is_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let url = endpoint("200 OK", reply(&format!("<think>{WILD} thought</think>{WILD} said\nsecond line")));
    let seen = terminal(dir.path(), &["chat", &url], "hello\n\n");
    assert!(
        seen.contains("␛[2J␛]0;OWNED␇") && seen.contains("<U+009B>31m<U+202E><U+E0041><U+200B>a␍b said"),
        "{seen:?}"
    );
    assert!(seen.contains("thought)") && seen.contains("said\r\nsecond line"), "{seen:?}");
    tame(&seen, &[]);
}

#[test]
fn a_model_that_is_probed_and_an_endpoint_that_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let url = endpoint("200 OK", reply(WILD));
    let arguments = ["probe", &url, "--battery", "small", "--samples", "1", "--json"];
    // The bar moves the cursor itself.
    tame(&terminal(dir.path(), &[&arguments[..], &["--quiet"]].concat(), ""), &[]);
    let url = endpoint("400 Bad Request", json!({ "error": { "message": WILD } }).to_string());
    let seen = terminal(dir.path(), &["chat", &url], "hello\n");
    assert!(seen.contains("error: ") && seen.contains("␛[2J"), "{seen:?}");
    tame(&seen, &[]);
}

#[test]
fn tasks_submissions_and_file_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let id = format!("t1\nt2 honest {WILD}");
    let task = json!({ "id": id, "entry_point": "f", "reference": "def f(a): return a",
        "visible": [{ "args": [1], "expected": 1 }], "hidden": [{ "args": [2], "expected": 2 }] });
    write(at, "tasks.jsonl", &format!("{task}\n"));
    let raise = format!("def f(a): raise ValueError({})", json!(WILD));
    let lines = [json!({ "task_id": id, "completion": raise }), json!({ "task_id": WILD, "completion": "" })];
    write(at, "subs.jsonl", &format!("{}\n{}\n", lines[0], lines[1]));
    let arguments = ["grade", "--tasks", "tasks.jsonl", "--submissions", "subs.jsonl"];
    let seen = terminal(at, &[&arguments[..], &["-v", "--quiet"]].concat(), "");
    assert!(seen.contains("t1␊t2 honest ␛[2J") && seen.contains("warning: "), "{seen:?}");
    tame(&seen, &[]);
    // JSON stays JSON, and is harmless too.
    let seen = terminal(at, &[&arguments[..], &["--json", "--quiet"]].concat(), "");
    tame(&seen, &[]);
    let record = seen.lines().find(|line| line.starts_with('{')).expect("a record");
    assert_eq!(serde_json::from_str::<serde_json::Value>(record).unwrap()["task_id"], json!(id));
    // Names that others gave to files, in errors of the program and of the parser of its arguments.
    let name = format!("{WILD}.jsonl");
    for arguments in [
        &["grade", "--tasks", &name, "--submissions", &name][..],
        &["audit", &name],
        &["run", &name],
        &["run", &format!("--{name}")],
    ] {
        let seen = terminal(at, arguments, "");
        assert!(seen.contains("error: ") && seen.contains("␛[2J"), "{arguments:?}: {seen:?}");
        tame(&seen, &[]);
    }
    write(at, "wild.toml", &format!("name = 'a'\n{}", json!(WILD)));
    let seen = terminal(at, &["run", "wild.toml"], "");
    assert!(seen.contains("wild.toml"), "{seen:?}");
    tame(&seen, &[]);
}

#[test]
fn a_program_in_a_cell() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let script = "printf '\\033[2J\\n\\r\\302'; sleep 0.1; printf '\\233x\\377'; printf '\\033]0;a\\007' >&2";
    let arguments = ["exec", "--", "bash", "-c", script];
    let seen = terminal(at, &arguments, "");
    assert!(seen.contains("␛[2J\r\n␍<U+009B>x\u{fffd}") && seen.contains("␛]0;a␇\r\nExit"), "{seen:?}");
    tame(&seen, &[]);
    let raw = terminal(at, &["exec", "--raw", "--", "bash", "-c", "printf '\\033[1mbold\\033[0m'"], "");
    assert!(raw.contains("\u{1b}[1mbold\u{1b}[0m"), "{raw:?}");
    tame(&terminal(at, &["exec", "--json", "--", "bash", "-c", script], ""), &[]);
    // Nobody's screen: the bytes as they are.
    let done = program(at, &arguments).output().unwrap();
    assert_eq!(done.stdout, b"\x1b[2J\n\r\xc2\x9bx\xff");
    assert!(done.stderr.starts_with(b"\x1b]0;a\x07\nExit"), "{:?}", done.stderr);
    assert_eq!(run(at, &["exec", "--quiet", "--", "true"]).out, "");
}

#[test]
fn a_target_that_is_audited() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let source = format!("def score(submission, task):\n    print({0})\n    raise ValueError({0})\n", json!(WILD));
    write(at, "rewards.py", &source);
    write(at, "rows.jsonl", &format!("{}\n", json!({ "prompt": WILD, "reference": WILD })));
    let arguments = ["audit", "python:rewards.py:score", "--tasks", "rows.jsonl", "--quiet"];
    let seen = terminal(at, &arguments, "");
    assert!(seen.contains('␛'), "{seen:?}");
    tame(&seen, &[]);
}
