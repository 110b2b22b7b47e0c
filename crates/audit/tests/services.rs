//! Graders over HTTP, each started by its test on loopback.

mod common;

use common::{ids, report, target};
use loophole_cell::{Pool, PoolOptions, Program};
use loophole_env::{Protocol, Settings};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Serves `answer` on a port of this machine for as long as the test runs.
fn serve(path: &str, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || one(stream, answer.as_ref()));
        }
    });
    format!("http://{address}{path}")
}

fn one(stream: TcpStream, answer: &dyn Fn(&Value) -> Value) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = answer(&serde_json::from_slice(&body).ok()?).to_string();
    let mut stream = stream;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{text}", text.len()).ok()
}

fn settings(tasks: &str, protocol: Protocol) -> Settings {
    Settings { tasks: Some(target(tasks).into()), protocol, ..Settings::default() }
}

#[test]
fn a_reward_model_that_finds_the_answer_anywhere() {
    let url = serve("/get_reward", |q| {
        let (query, label) = (q["query"][0].as_str().unwrap_or(""), q["labels"][0].as_str().unwrap_or(""));
        json!({"rewards": [f64::from(u8::from(query.contains(label)))], "scores": [0.0], "extra_logs": {}})
    });
    let Some(report) = report(&url, &settings("questions.jsonl", Protocol::Openrlhf)) else { return };
    assert!(ids(&report).contains(&"SG-03"), "{:?}", ids(&report));
}

#[test]
fn a_plain_service_that_is_sound() {
    let url = serve(
        "/",
        |q| json!({"reward": f64::from(u8::from(q["submission"].as_str().map(str::trim) == q["task"]["answer"].as_str()))}),
    );
    let Some(report) = report(&url, &settings("questions.jsonl", Protocol::Plain)) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
}

#[test]
#[ignore = "slow: an audit of a grader that runs code"]
fn a_sandbox_whose_status_is_the_verdict() {
    let pool = match Pool::start(PoolOptions::default()) {
        Ok(pool) => pool,
        Err(e) => {
            println!("SKIPPED: {e}");
            return;
        }
    };
    // What it is sent runs in a cell, as everything does.
    let url = serve("/run_code", move |q| {
        let record = pool.run(&Program::python(q["code"].as_str().unwrap_or(""))).expect("a record");
        let status = if record.success() { "Success" } else { "Failed" };
        json!({"status": status, "message": "", "run_result": {"status": "Finished", "stdout": record.stdout_text()}})
    });
    let Some(report) = report(&url, &settings("code.jsonl", Protocol::Sandboxfusion)) else { return };
    let found = ids(&report);
    for id in ["EQ-01", "EX-04", "EX-05"] {
        assert!(found.contains(&id), "{id} is missing in {found:?}");
    }
}
