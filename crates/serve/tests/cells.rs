//! Cells that clients hold.

mod common;

use std::io::Write;
use std::net::TcpStream;
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
fn a_cell_has_the_folders_in_its_root_that_were_asked_for() {
    let base = base();
    let made =
        |roots: Value| post(&format!("{base}/v1/cells"), &json!({"files": {"app/a.txt": "hello"}, "roots": roots}));
    let (status, cell) = made(json!(["app", "logs", "usr"]));
    assert_eq!(status, 201, "{cell}");
    let exec = format!("{base}/v1/cells/{}/exec", cell["id"].as_str().unwrap());
    let command = "cat /app/a.txt; mkdir /box/logs; echo done > /logs/b; cat /box/logs/b; test -d /usr/bin; echo $?";
    assert_eq!(post(&exec, &json!({"command": command})).1["stdout"], "hellodone\n0\n");
    for wrong in ["", "a/b", "..", ".hidden", "a b"] {
        let status = made(json!([wrong])).0;
        assert!(status == 400 || status == 422, "{wrong}: {status}");
    }
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
    assert_eq!(post(&url, &json!({"watch": ["../a"]})).0, 422);
    assert_eq!(post(&url, &json!({"files": {"../a": "x"}})).0, 422);
}

#[test]
fn changes_and_openings_are_told_while_the_cell_lives() {
    let base = base();
    let files = json!({"tests/check.py": "assert True", "a.txt": "1"});
    let (status, made) = post(&format!("{base}/v1/cells"), &json!({"files": files, "watch": ["tests/check.py"]}));
    assert_eq!(status, 201, "{made}");
    let cell = format!("{base}/v1/cells/{}", made["id"].as_str().unwrap());
    let look = || {
        let (status, known) = json_of(send("GET", &cell, &[], ""));
        assert_eq!(status, 200, "{known}");
        known
    };
    let known = look();
    assert_eq!((&known["files"], &known["opened"], &known["changes_truncated"]), (&json!([]), &json!([]), &json!(0)));
    // What the client reads itself is nobody's opening.
    assert_eq!(send("GET", &format!("{cell}/files?path=tests/check.py"), &[], "").1, "assert True");
    post(&format!("{cell}/exec"), &json!({"command": "echo 2 > a.txt; cat tests/check.py; touch new"}));
    let known = look();
    let changed: Vec<(&str, &str)> = known["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["path"].as_str().unwrap(), file["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changed, [("a.txt", "changed"), ("new", "created")]);
    let opened = known["opened"].as_array().unwrap();
    assert_eq!(opened.len(), 1, "{known}");
    assert_eq!((&opened[0]["path"], &opened[0]["command"]), (&json!("tests/check.py"), &json!("cat tests/check.py")));
    let (_, ended) = json_of(send("DELETE", &cell, &[], ""));
    assert_eq!((&ended["record"]["files"], &ended["record"]["opened"]), (&known["files"], &known["opened"]));
}

#[test]
fn a_cell_is_ended_in_the_middle_of_a_command() {
    let base = base();
    let (_, made) = post(&format!("{base}/v1/cells"), &json!({}));
    let cell = format!("{base}/v1/cells/{}", made["id"].as_str().unwrap());
    let run = |command: &str| {
        let (url, body) = (format!("{cell}/exec"), json!({"command": command, "timeout_seconds": 600}));
        std::thread::spawn(move || post(&url, &body))
    };
    let (working, waiting) = (run("echo > begun; sleep 600"), run("sleep 600"));
    std::thread::sleep(Duration::from_millis(1000));
    let began = Instant::now();
    let (status, ended) = json_of(send("DELETE", &cell, &[], ""));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((status, &ended["commands"]), (200, &json!(1)), "{ended}");
    for told in [working, waiting] {
        let (status, told) = told.join().unwrap();
        assert_eq!((status, &told["error"]["code"]), (410, &json!("ended")), "{told}");
    }
}

#[test]
fn the_command_of_a_client_that_leaves_is_ended_and_the_cell_lives() {
    let base = base();
    let (_, made) = post(&format!("{base}/v1/cells"), &json!({}));
    let path = format!("/v1/cells/{}", made["id"].as_str().unwrap());
    let body = r#"{"command": "sleep 600; echo > done", "timeout_seconds": 600}"#;
    let mut client = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    write!(client, "POST {path}/exec HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    std::thread::sleep(Duration::from_millis(1000));
    drop(client);
    let began = Instant::now();
    let (_, ran) = post(&format!("{base}{path}/exec"), &json!({"command": "ls; pgrep sleep", "timeout_seconds": 20}));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((&ran["stdout"], &ran["verdict"]), (&json!(""), &json!("exit")), "{ran}");
}
