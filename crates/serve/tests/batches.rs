//! What a batch may say of itself: its limits, the order of its records, tasks that are broken; halves of characters in
//! every route; and the end of a server that nobody asks any more.

mod common;

use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use common::{post, send, start};
use loophole_cell::Pool;
use loophole_chat::Mock;
use loophole_grade::GraderKind;
use loophole_serve::{Ended, Grading, Listening, Server};
use serde_json::{Value, json};

const RIGHT: &str = "def add(a, b):\n    return a + b\n";

fn pool() -> Arc<Pool> {
    static POOL: LazyLock<Arc<Pool>> =
        LazyLock::new(|| Arc::new(Pool::start(Grading::cells(GraderKind::Script, 2)).unwrap()));
    POOL.clone()
}

fn url() -> &'static str {
    static URL: LazyLock<String> = LazyLock::new(|| {
        let mock = Arc::new(Mock::open("refusing").unwrap());
        start(Server::new().with_grading(Grading::new(pool(), 2)).with_model(mock, 1))
    });
    &URL
}

fn task(id: &str) -> Value {
    json!({
        "id": id, "entry_point": "add", "reference": RIGHT,
        "visible": [{"args": [1, 2], "expected": 3}], "hidden": [{"args": [5, 5], "expected": 10}],
    })
}

fn grade(body: &Value) -> (u16, Value) {
    post(&format!("{}/v1/grade", url()), body)
}

#[test]
fn a_request_has_limits_of_its_own_within_the_servers() {
    let ask = |code: &str, limits: Value| {
        grade(&json!({"tasks": [task("t")], "limits": limits, "label": false,
            "submissions": [{"task_id": "t", "completion": code}]}))
    };
    let slow = format!("import time\ntime.sleep(1.5)\n{RIGHT}");
    let hungry = format!("x = bytearray(200 << 20)\n{RIGHT}");
    let busy = format!("import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end: pass\n{RIGHT}");
    for (code, tight, wide) in [
        (&slow, json!({"wall_seconds": 0.7}), json!({"wall_seconds": 60})),
        (&busy, json!({"cpu_seconds": 0.5, "wall_seconds": 60}), json!({"cpu_seconds": 30, "wall_seconds": 120})),
        (&hungry, json!({"memory_bytes": 100 << 20}), json!({"memory_bytes": 400 << 20})),
    ] {
        let (_, held) = ask(code, tight.clone());
        assert_eq!(held["records"][0]["reward"], 0.0, "{tight}: {held}");
        assert_eq!(ask(code, wide.clone()).1["records"][0]["reward"], 1.0, "{wide}");
    }
    for (limits, says) in [
        (json!({"cpu_seconds": 1000}), "from 0.1 to 120"),
        (json!({"wall_seconds": 0}), "wall_seconds"),
        (json!({"memory_bytes": 1}), "memory_bytes"),
        (json!({"memory_bytes": 1u64 << 40}), "4294967296"),
        (json!({"cpu": 1}), "unknown field"),
    ] {
        let (status, told) = ask(RIGHT, limits.clone());
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!((400..423).contains(&status) && message.contains(says), "{limits}: {told}");
    }
}

#[test]
fn records_come_as_they_are_ready() {
    let slow = format!("import time\ntime.sleep(1)\n{RIGHT}");
    let body = json!({"tasks": [task("t")], "stream": "unordered", "label": false, "submissions": [
        {"task_id": "t", "completion": slow}, {"task_id": "t", "completion": RIGHT}, 3]});
    let (status, text) = send("POST", &format!("{}/v1/grade", url()), &[], &body.to_string());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut indices: Vec<u64> = lines[..3].iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!((status, lines.len(), indices[2]), (200, 4, 0), "the slow one comes last: {text}");
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2]);
    assert_eq!((&lines[3]["summary"]["submissions"], &lines[3]["summary"]["broken_lines"]), (&json!(2), &json!(1)));
    let (status, told) = grade(&json!({"stream": "sideways", "submissions": []}));
    assert!(status == 422 && told["error"]["message"].as_str().unwrap().contains("unordered"), "{told}");
}

#[test]
fn a_broken_task_refuses_its_own_submissions_only() {
    let broken = json!({"id": "broken", "entry_point": "f"});
    let submissions = ["t", "broken", "unnamed", "twice", "nowhere"];
    let submissions = submissions.map(|id| json!({"task_id": id, "completion": RIGHT}));
    let body = json!({
        "tasks": [task("t"), broken, 7, task("twice"), task("twice"), "nowhere"], "submissions": submissions,
    });
    let (status, told) = grade(&body);
    let records = told["records"].as_array().unwrap_or_else(|| panic!("{told}"));
    assert_eq!((status, &records[0]["verdict"]), (200, &json!("honest")));
    for (at, says) in [(1, "tasks[1]"), (2, "tasks[2]"), (3, "two tasks"), (4, "nowhere")] {
        let error = &records[at]["error"];
        assert!(error["code"] == "bad_task" && error["message"].as_str().unwrap().contains(says), "{at}: {error}");
        assert_eq!(error["again"], false);
    }
    let bad = told["summary"]["bad_tasks"].as_array().unwrap();
    let named: Vec<(u64, &Value)> = bad.iter().map(|bad| (bad["index"].as_u64().unwrap(), &bad["task_id"])).collect();
    let expected = [(1, json!("broken")), (2, Value::Null), (4, json!("twice")), (5, json!("nowhere"))];
    assert_eq!(named, expected.iter().map(|(at, id)| (*at, id)).collect::<Vec<_>>());
}

#[test]
fn halves_of_characters_are_read_in_every_route() {
    let half = |body: Value| body.to_string().replace("HALF", "\\ud83d");
    let ask = |path: &str, body: Value| send("POST", &format!("{}{path}", url()), &[], &half(body));
    let code = format!("# HALF\n{RIGHT}x = 'HALF'\n");
    let (status, told) = ask(
        "/v1/grade",
        json!({"tasks": [task("HALF t")], "submissions": [{"task_id": "HALF t", "completion": code}]}),
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["records"][0]["verdict"]), (200, &json!("honest")), "{told}");
    assert_eq!(told["records"][0]["task_id"], "\u{fffd} t");
    let (status, told) = ask("/run_code", json!({"language": "python", "code": "print(ascii('HALF'))"}));
    assert!(status == 200 && told.contains("\\\\ufffd"), "{told}");
    let label = task("t").to_string();
    for (path, body) in [
        ("/get_reward", json!({"query": [code], "prompts": [""], "labels": [label]})),
        ("/slime", json!({"prompt": "HALF", "response": code, "label": label})),
        ("/test_program", json!({"program": code, "tests": ["assert add(1, 2) == 3"], "max_execution_time": 5})),
        ("/v1/chat/completions", json!({"model": "mock:refusing", "messages": [{"role": "user", "content": "HALF"}]})),
        (
            "/v1/messages",
            json!({"model": "mock:refusing", "max_tokens": 9, "messages": [{"role": "user", "content": "HALF"}]}),
        ),
    ] {
        let (status, told) = ask(path, body);
        assert_eq!(status, 200, "{path}: {told}");
    }
}

#[test]
fn a_server_that_nobody_asks_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::new().with_grading(Grading::new(pool(), 2)).with_idle_exit(Duration::from_secs(3));
    let (ended, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(server.run(Listening::Tcp(listener)).unwrap()));
    let began = Instant::now();
    let cell = post(&format!("{url}/v1/cells"), &json!({"idle_seconds": 6})).1["id"].clone();
    assert!(cell.is_string());
    // Whoever looks after its health keeps it from nothing; whoever holds a cell does, until that is let go.
    let health = std::thread::spawn({
        let url = url.clone();
        move || {
            while let Ok(answer) = ureq::get(&format!("{url}/health")).call() {
                assert_eq!(answer.status(), 200);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(60)).unwrap(), Ended::Idle);
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    let _ = health.join();
}
