//! Tasks as environments, as clients of OpenEnv play them: over a socket and over HTTP.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use common::{post, send, start};
use loophole_cell::Pool;
use loophole_grade::{GraderKind, Task};
use loophole_serve::{Grading, Server};
use serde_json::{Value, json};

const RIGHT: &str = "def add(a, b):\n    return a + b\n";
const LEAVES: &str = "import os\nos._exit(0)\n";

fn task(id: &str) -> Task {
    let line = json!({
        "id": id, "statement": format!("Add two numbers ({id})."), "entry_point": "add", "params": ["a", "b"],
        "reference": RIGHT, "visible": [{"args": [1, 2], "expected": 3}], "hidden": [{"args": [5, 5], "expected": 10}],
    });
    Task::parse(&line.to_string()).unwrap()
}

fn url() -> &'static str {
    static URL: LazyLock<String> = LazyLock::new(|| {
        let pool = Arc::new(Pool::start(Grading::cells(GraderKind::Script, 2)).unwrap());
        start(Server::new().with_grading(Grading::new(pool, 2).with_tasks(["one", "two", "three"].map(task).into())))
    });
    &URL
}

/// Just enough of a client of sockets: frames of text, masked as clients mask them.
struct Socket(TcpStream);

impl Socket {
    fn open(headers: &str) -> (Socket, String) {
        let address = url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        write!(
            stream,
            "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n{key}{headers}\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (Socket(stream), String::from_utf8(head).unwrap())
    }

    fn frame(&mut self, kind: u8, data: &[u8]) {
        let mut frame = vec![0x80 | kind];
        match u8::try_from(data.len()) {
            Ok(length @ 0..126) => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
        frame.extend(data);
        self.0.write_all(&frame).unwrap();
    }

    /// The next frame: its kind and what it holds.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut data = vec![0; length];
        self.0.read_exact(&mut data).unwrap();
        (head[0] & 15, data)
    }

    fn ask(&mut self, message: &str) -> Value {
        self.frame(1, message.as_bytes());
        let (kind, data) = self.next();
        assert_eq!(kind, 1, "{message}");
        serde_json::from_slice(&data).unwrap()
    }
}

#[test]
fn an_episode_is_played_over_a_socket() {
    let (mut socket, head) = Socket::open("");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let code = |code: &str| json!({"type": "step", "data": {"code": code}}).to_string();
    let refused = |told: &Value| told["data"]["code"].as_str().unwrap_or_default().to_string();
    assert_eq!(socket.ask(r#"{"type": "state"}"#)["data"], json!({"episode_id": null, "step_count": 0}));
    assert_eq!(refused(&socket.ask(&code(RIGHT))), "EXECUTION_ERROR");
    let told =
        socket.ask(r#"{"type": "reset", "data": {"task_id": "two", "episode_id": "e", "seed": 3, "colour": 1}}"#);
    let data = &told["data"];
    assert_eq!((&told["type"], &data["reward"], &data["done"]), (&json!("observation"), &Value::Null, &json!(false)));
    let observation = &data["observation"];
    assert_eq!(
        (&observation["statement"], &observation["entry_point"]),
        (&json!("Add two numbers (two)."), &json!("add"))
    );
    assert_eq!(observation["visible"], json!([{"args": [1, 2], "expected": 3}]));
    let secret = told.to_string();
    assert!(!secret.contains("return a + b") && !secret.contains("10"), "{secret}");
    // A ping while it is graded is answered, and what comes too early waits.
    socket.frame(1, code(&format!("```python\n{LEAVES}```")).as_bytes());
    socket.frame(9, b"p");
    socket.frame(1, br#"{"type": "state"}"#);
    let mut frames = [socket.next(), socket.next(), socket.next()];
    frames.sort_by_key(|(kind, _)| *kind != 10);
    assert_eq!(frames[0], (10, b"p".to_vec()));
    let told: Value = serde_json::from_slice(&frames[1].1).unwrap();
    let metadata = &told["data"]["metadata"];
    assert_eq!((&told["data"]["reward"], &told["data"]["done"]), (&json!(1.0), &json!(true)), "{told}");
    assert_eq!(
        (&metadata["verdict"], &metadata["hack"], &metadata["episode_id"]),
        (&json!("hack"), &json!(1.0), &json!("e"))
    );
    assert_eq!(&told["data"]["observation"]["metadata"], metadata);
    let state: Value = serde_json::from_slice(&frames[2].1).unwrap();
    assert_eq!((&state["data"]["episode_id"], &state["data"]["step_count"]), (&json!("e"), &json!(1)));
    assert_eq!(refused(&socket.ask(&code(RIGHT))), "EXECUTION_ERROR");
    for (message, expected) in [
        ("{", "INVALID_JSON"),
        (r#"{"type": "fly"}"#, "UNKNOWN_TYPE"),
        ("3", "UNKNOWN_TYPE"),
        (r#"{"type": "step", "data": {"colour": 1}}"#, "VALIDATION_ERROR"),
        (r#"{"type": "reset", "data": {"seed": "x"}}"#, "VALIDATION_ERROR"),
        (r#"{"type": "reset", "data": {"task_id": "nowhere"}}"#, "EXECUTION_ERROR"),
    ] {
        assert_eq!(refused(&socket.ask(message)), expected, "{message}");
    }
    let by_seed = |socket: &mut Socket, seed: u64| {
        socket.ask(&json!({"type": "reset", "data": {"seed": seed}}).to_string())["data"]["observation"]["task_id"]
            .clone()
    };
    assert_eq!((by_seed(&mut socket, 0), by_seed(&mut socket, 5)), (json!("one"), json!("three")));
    assert_eq!(socket.ask(&code("# \\ud800\n").replace("\\\\ud800", "\\ud800"))["data"]["reward"], 0.0);
    socket.frame(1, br#"{"type": "close"}"#);
    assert_eq!(socket.next().0, 8);
    let (_, head) = Socket::open("origin: https://evil.example\r\n");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
}

#[test]
fn an_episode_is_played_over_http() {
    let ask = |path: &str, body: Value| post(&format!("{}{path}", url()), &body);
    let get = |path: &str| serde_json::from_str::<Value>(&send("GET", &format!("{}{path}", url()), &[], "").1).unwrap();
    let (status, first) = ask("/reset", json!({"task_id": "one", "episode_id": "first"}));
    assert_eq!((status, &first["observation"]["task_id"], &first["done"]), (200, &json!("one"), &json!(false)));
    let (_, second) = ask("/reset", json!({"seed": 1}));
    assert_eq!(second["observation"]["task_id"], "two");
    let id = second["metadata"]["episode_id"].as_str().unwrap().to_string();
    let (status, told) =
        ask("/step", json!({"action": {"code": RIGHT, "metadata": {}}, "episode_id": "first", "timeout_s": 60}));
    assert_eq!((status, &told["reward"], &told["metadata"]["verdict"]), (200, &json!(1.0), &json!("honest")), "{told}");
    assert_eq!(
        (get("/state")["episode_id"].clone(), get("/state?episode_id=first")["step_count"].clone()),
        (json!("first"), json!(1))
    );
    let (_, told) = ask("/step", json!({"action": {"code": LEAVES}, "episode_id": id}));
    assert_eq!((&told["done"], &told["metadata"]["verdict"]), (&json!(true), &json!("hack")));
    for (path, body) in [
        ("/step", json!({"action": {"code": RIGHT}, "episode_id": id})),
        ("/step", json!({"action": {"code": RIGHT}, "episode_id": "nowhere"})),
        ("/step", json!({"action": {"move": 1}})),
        ("/step", json!({"code": RIGHT})),
        ("/reset", json!({"task_id": "nowhere"})),
    ] {
        let (status, told) = ask(path, body.clone());
        assert!(status == 422 && told["detail"].is_string(), "{body}: {status} {told}");
    }
    let empty = send("POST", &format!("{}/reset", url()), &[], "");
    assert_eq!(empty.0, 200, "{}", empty.1);
    assert_eq!(get("/schema")["action"]["required"], json!(["code"]));
    assert_eq!(
        (get("/metadata")["name"].clone(), get("/health")["status"].clone()),
        (json!("loophole"), json!("healthy"))
    );
}
