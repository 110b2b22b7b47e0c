//! Cells that clients hold.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{post, send, start};
use loophole_cell::Pool;
use loophole_grade::GraderKind;
use loophole_serve::{Grading, Server};
use serde_json::{Value, json};

fn base() -> String {
    let pool = Pool::start(Grading::cells(GraderKind::Script, 2)).unwrap();
    start(Server::new().with_grading(Grading::new(Arc::new(pool), 2)))
}

fn json_of(answer: (u16, String)) -> (u16, Value) {
    (answer.0, serde_json::from_str(&answer.1).unwrap())
}

#[test]
fn a_cell_lives_for_several_commands() {
    let base = base();
    let files = json!({"a.txt": "hello", "in/b": {"base64": "AP8=", "executable": true}});
    let (status, made) = post(&format!("{base}/v1/cells"), &json!({"files": files, "limits": {"processes": 32}}));
    assert_eq!(status, 201, "{made}");
    let cell = format!("{base}/v1/cells/{}", made["id"].as_str().unwrap());
    let exec = |body: Value| post(&format!("{cell}/exec"), &body);
    let (status, ran) = exec(json!({"command": "cat a.txt; test -x in/b && echo x > made; echo err >&2; exit 3"}));
    assert_eq!((status, &ran["stdout"], &ran["stderr"]), (200, &json!("hello"), &json!("err\n")), "{ran}");
    assert_eq!((&ran["code"], &ran["verdict"], &ran["truncated"]), (&json!(3), &json!("exit"), &json!(false)));
    let (_, ran) = exec(json!({
        "argv": ["python3", "-c", "import os, sys; sys.stdout.buffer.write(sys.stdin.buffer.read() + os.environ['A b'[:1]].encode())"],
        "stdin": "AP9h", "env": {"A": "v"}, "cwd": "in",
    }));
    assert_eq!((&ran["stdout_base64"], &ran["code"]), (&json!("AP9hdg=="), &json!(0)), "{ran}");
    let (_, ran) = exec(json!({"command": "sleep 30", "timeout_seconds": 0.5}));
    assert_eq!(ran["verdict"], "wall");

    let files = |method: &str, query: &str, body: &str| send(method, &format!("{cell}/files?path={query}"), &[], body);
    assert_eq!(files("PUT", "new%20folder/c.txt", "put").0, 200);
    assert_eq!(files("GET", "/box/new%20folder/c.txt", ""), (200, "put".to_string()));
    assert_eq!(exec(json!({"argv": ["cat", "new folder/c.txt"]})).1["stdout"], "put");
    let (status, listed) = json_of(files("GET", ".&list", ""));
    let names: Vec<&str> = listed["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!((status, names), (200, vec!["a.txt", "in", "made", "new folder"]));
    assert_eq!(files("GET", "nothing", "").0, 404);
    assert!(files("GET", "/etc/passwd", "").0 >= 400 && files("GET", "../a", "").0 >= 400);
    assert_eq!(files("DELETE", "new%20folder&all", "").0, 200);
    for wrong in
        [json!({}), json!({"argv": ["a"], "command": "b"}), json!({"argv": []}), json!({"argv": ["a"], "stdin": "%"})]
    {
        let status = exec(wrong.clone()).0;
        assert!(status == 400 || status == 422, "{wrong}: {status}");
    }

    let (status, known) = json_of(send("GET", &cell, &[], ""));
    assert_eq!((status, &known["processes"]), (200, &json!(0)), "{known}");
    let (status, ended) = json_of(send("DELETE", &cell, &[], ""));
    assert_eq!(status, 200, "{ended}");
    let changed = ended["record"]["files"].to_string();
    assert!(changed.contains("\"made\"") && !changed.contains("a.txt"), "{changed}");
    assert_eq!(exec(json!({"command": "true"})).0, 404);
}

#[test]
fn cells_are_ended_when_nobody_uses_them_and_are_not_without_number() {
    let base = base();
    let url = format!("{base}/v1/cells");
    let (_, made) = post(&url, &json!({"idle_seconds": 1}));
    let cell = format!("{url}/{}", made["id"].as_str().unwrap());
    let (_, ran) = post(&format!("{cell}/exec"), &json!({"command": "sleep 2; echo used"}));
    assert_eq!(ran["stdout"], "used\n", "a cell that works is not idle");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = send("GET", &format!("{base}/metrics"), &[], "");
        if text.contains("loophole_sessions_alive 0") {
            break;
        }
        assert!(Instant::now() < end, "it is not ended");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(post(&format!("{cell}/exec"), &json!({"command": "true"})).0, 404);
    // One whose bash is ended says so, and its files are none any more.
    let (_, made) = post(&url, &json!({}));
    let cell = format!("{url}/{}", made["id"].as_str().unwrap());
    post(&format!("{cell}/exec"), &json!({"command": "kill -9 $PPID"}));
    let (status, _) = post(&format!("{cell}/exec"), &json!({"command": "true"}));
    assert!(status == 410 || status == 200, "{status}");
    assert_eq!(post(&url, &json!({"watch": ["a"]})).0, 400);
    assert_eq!(post(&url, &json!({"files": {"../a": "x"}})).0, 422);
}
