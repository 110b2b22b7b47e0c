//! What a client cannot do to the server or to other clients, and who is let in.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use common::{post, send, send_whole, start, start_at};
use loophole_cell::Pool;
use loophole_chat::{Chat, ChatError, Delta, Finish, Reply, Request};
use loophole_grade::GraderKind;
use loophole_serve::{Grading, Listening, Page, Server};
use serde_json::{Value, json};

fn grading(jobs: usize) -> Grading {
    Grading::new(Arc::new(Pool::start(Grading::cells(GraderKind::Script, jobs)).unwrap()), jobs)
}

fn program(code: &str, seconds: f64) -> Value {
    json!({"language": "python", "code": code, "run_timeout": seconds})
}

#[test]
fn the_full_queue_refuses_and_nobody_waits_for_what_never_ends() {
    let base = start(Server::new().with_grading(grading(1)).with_queue(6));
    let url = format!("{base}/run_code");
    assert_eq!(post(&url, &program("print(1)", 5.0)).0, 200);
    std::thread::scope(|scope| {
        // More than there are places and side places: one waits, the others run side by side.
        let endless: Vec<_> = (0..3).map(|_| scope.spawn(|| post(&url, &program("while True: pass", 6.0)))).collect();
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let (status, told) = post(&url, &program("print(2)", 5.0));
        assert_eq!((status, &told["run_result"]["stdout"]), (200, &json!("2\n")));
        assert!(began.elapsed() < Duration::from_secs(5), "it waited {:?}", began.elapsed());
        let more: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| send_whole("POST", &url, &[], &program("import time; time.sleep(1)", 3.0).to_string()))
            })
            .collect();
        let statuses: Vec<u16> = more
            .into_iter()
            .map(|more| {
                let (status, headers, body) = more.join().unwrap();
                if status == 504 {
                    assert!(headers.contains_key("retry-after") && body.contains("\"detail\""), "{body}");
                }
                status
            })
            .collect();
        assert!(statuses.contains(&504) && statuses.contains(&200), "{statuses:?}");
        for endless in endless {
            assert_eq!(endless.join().unwrap().1["run_result"]["status"], "TimeLimitExceeded");
        }
    });
    assert_eq!(post(&url, &program("print(3)", 5.0)).0, 200);
}

#[test]
fn what_is_late_is_not_run() {
    let base = start(Server::new().with_grading(grading(1)));
    let url = format!("{base}/run_code");
    assert_eq!(post(&url, &program("print(1)", 5.0)).0, 200);
    let late = |seconds: &str, code: &str| {
        send("POST", &url, &[("x-deadline-seconds", seconds)], &program(code, 5.0).to_string())
    };
    let (status, text) = late("0", "print(1)");
    assert!(status == 504 && text.contains("deadline"), "{text}");
    let (status, text) = late("0.5", "while True: pass");
    assert!(status == 504 && text.contains("deadline"), "{text}");
    assert_eq!(late("soon", "print(1)").0, 400);
    assert_eq!(late("30", "print(1)").0, 200);
}

#[test]
fn the_token_comes_before_the_body() {
    let base = start(Server::new().with_grading(grading(1)).with_token("secret"));
    for head in ["x-api-key: wrong\r\n", ""] {
        let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = 30 << 20;
        write!(stream, "POST /run_code HTTP/1.1\r\nhost: x\r\n{head}content-length: {length}\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
    assert_ne!(send("GET", &format!("{base}/health"), &[], "").0, 401, "who balances load has no token");
    assert_eq!(send("GET", &format!("{base}/metrics"), &[], "").0, 401);
    let body = program("print(1)", 5.0).to_string();
    assert_eq!(send("POST", &format!("{base}/run_code"), &[("authorization", "Bearer secret")], &body).0, 200);
}

#[test]
fn a_browser_shows_the_token_once_and_opens_pages_only() {
    let page = Page { name: "quick".into(), render: Box::new(|| Ok("<p>page</p>".into())) };
    let base = start(Server::new().with_grading(grading(1)).with_token("se+cret").with_pages(vec![page]));
    let get = |path: &str, headers: &[(&str, &str)]| send_whole("GET", &format!("{base}{path}"), headers, "");
    assert_eq!(get("/", &[]).0, 401);
    assert_eq!(get("/?token=wrong", &[]).0, 401);
    let (status, headers, _) = get("/runs/quick?token=se%2Bcret", &[]);
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "/runs/quick"));
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("cret"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(get("/runs/quick", &[("cookie", pair)]).2, "<p>page</p>");
    assert_eq!(get("/", &[("cookie", &format!("a=b; {pair}"))]).0, 200);
    assert_eq!(get("/runs/quick", &[("cookie", "loophole=0")]).0, 401);
    assert_eq!(get("/metrics", &[("cookie", pair)]).0, 401);
    let body = program("print(1)", 5.0).to_string();
    assert_eq!(send("POST", &format!("{base}/run_code"), &[("cookie", pair)], &body).0, 401);
    assert_eq!(send("POST", &format!("{base}/run_code?token=se%2Bcret"), &[], &body).0, 401);
    let other = get("//evil.example/?token=se%2Bcret", &[]);
    assert!(other.0 == 401 || !other.1["location"].to_str().unwrap().starts_with("//"), "{other:?}");
}

#[test]
fn any_address_of_this_machine_is_its_own() {
    let base = start_at(Server::new().with_grading(grading(1)), "127.0.0.2:0");
    assert!(base.contains("127.0.0.2"));
    let body = program("print(1)", 5.0).to_string();
    assert_eq!(send("POST", &format!("{base}/run_code"), &[], &body).0, 200);
    assert_eq!(send("POST", &format!("{base}/run_code"), &[("host", "evil.example")], &body).0, 403);
    assert_eq!(send("POST", &format!("{base}/run_code"), &[("origin", "http://evil.example")], &body).0, 403);
}

#[test]
fn a_socket_is_served_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loophole.sock");
    let server = Server::new().with_grading(grading(1));
    let (stop, listening) = (server.stop(), Listening::unix(&path).unwrap());
    let serving = std::thread::spawn(move || server.run(listening));
    let body = program("print(6 * 7)", 5.0).to_string();
    let mut stream = UnixStream::connect(&path).unwrap();
    write!(
        stream,
        "POST /run_code HTTP/1.1\r\nhost: any\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("42\\n"), "{answer}");
    let began = Instant::now();
    stop.stop();
    serving.join().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5) && !path.exists());
}

#[test]
fn what_is_under_way_ends_and_what_waits_is_refused() {
    let server = Server::new().with_grading(grading(1));
    let stop = server.stop();
    let base = start(server);
    let url = format!("{base}/run_code");
    assert_eq!(post(&url, &program("print(1)", 5.0)).0, 200);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| post(&url, &program("import time; time.sleep(1); print(2)", 5.0)));
        std::thread::sleep(Duration::from_millis(200));
        stop.stop();
        let (status, told) = working.join().unwrap();
        assert_eq!((status, &told["run_result"]["stdout"]), (200, &json!("2\n")));
    });
    assert!(TcpStream::connect(base.strip_prefix("http://").unwrap()).is_err());
}

/// Says a word every few milliseconds as long as somebody listens.
struct Endless(Arc<AtomicUsize>);

impl Chat for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        requests.iter().map(|_| Ok(Reply::default())).collect()
    }

    fn ends_unheard(&self) -> bool {
        true
    }

    fn stream(&self, _: &Request, pieces: Sender<Delta>) -> Result<Reply, ChatError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && pieces.send(Delta { text: "on ".into(), logprobs: Vec::new() }).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.fetch_sub(1, Ordering::SeqCst);
        Ok(Reply::from_text("on", 1, Finish::Stop))
    }
}

#[test]
fn a_reply_ends_when_its_client_leaves() {
    let talking = Arc::new(AtomicUsize::new(0));
    let base = start(Server::new().with_model(Arc::new(Endless(talking.clone())), 1));
    let until = |wanted: usize| {
        let end = Instant::now() + Duration::from_secs(10);
        while talking.load(Ordering::SeqCst) != wanted {
            assert!(Instant::now() < end, "{} talk, not {wanted}", talking.load(Ordering::SeqCst));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let user = json!([{"role": "user", "content": "x"}]);
    for (path, body, replies) in [
        ("/v1/chat/completions", json!({"model": "endless", "messages": user}), 1),
        ("/v1/chat/completions", json!({"model": "endless", "messages": user, "n": 3}), 3),
        ("/v1/chat/completions", json!({"model": "endless", "messages": user, "stream": true}), 1),
        ("/v1/messages", json!({"model": "endless", "messages": user, "max_tokens": 5}), 1),
    ] {
        let body = body.to_string();
        let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        until(replies);
        drop(stream);
        until(0);
    }
    let body = json!({"model": "endless", "messages": user}).to_string();
    let url = format!("{base}/v1/chat/completions");
    let (status, text) = send("POST", &url, &[("x-deadline-seconds", "0.2")], &body);
    assert!(status == 504 && text.contains("deadline"), "{text}");
    until(0);
}

#[test]
fn who_leaves_the_queue_is_not_worked_for() {
    let base = start(Server::new().with_grading(grading(1)));
    let gauge = |name: &str| {
        let text = send("GET", &format!("{base}/metrics"), &[], "").1;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_string();
        line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    let leave = |body: Value| {
        let body = body.to_string();
        let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "POST /v1/grade HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        stream
    };
    let task = json!({"id": "t", "entry_point": "f", "reference": "def f():\n    return 1", "visible": [{"args": [], "expected": 1}]});
    let rows: Vec<Value> =
        (0..2000).map(|i| json!({"task_id": "t", "completion": format!("def f():\n    return 1  # {i}\n")})).collect();
    let stream = leave(json!({"tasks": [task], "submissions": rows}));
    let end = Instant::now() + Duration::from_secs(20);
    while gauge("loophole_queue_waiting") == 0 {
        assert!(Instant::now() < end);
    }
    assert!(gauge("loophole_body_bytes") > 0 && gauge("loophole_requests") == 1);
    drop(stream);
    while gauge("loophole_requests") + gauge("loophole_queue_waiting") + gauge("loophole_body_bytes") > 0 {
        assert!(Instant::now() < end, "its batch is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_machine_that_fails_is_never_a_reward() {
    let pool = Arc::new(Pool::start(Grading::cells(GraderKind::Script, 2)).unwrap());
    let base = start(Server::new().with_grading(Grading::new(pool.clone(), 2)));
    let task = json!({"id": "t", "entry_point": "f", "reference": "def f():\n    return 1", "visible": [{"args": [], "expected": 1}]});
    let slow = "import time\ndef f():\n    time.sleep(0.7)\n    return 1\n";
    let slime = json!({"response": slow, "label": task});
    // The reference is looked at while all is well.
    assert_eq!(post(&format!("{base}/slime"), &json!({"response": "def f():\n    return 1", "label": task})).0, 200);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::SeqCst) == 0 {
                let pids: Vec<String> = pool.zygote_pids().iter().map(i32::to_string).collect();
                if !pids.is_empty() {
                    let _ = std::process::Command::new("kill")
                        .arg("-9")
                        .args(&pids)
                        .stderr(std::process::Stdio::null())
                        .status();
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let run = send_whole(
            "POST",
            &format!("{base}/run_code"),
            &[],
            &program("import time; time.sleep(2)", 9.0).to_string(),
        );
        let told = send_whole("POST", &format!("{base}/slime"), &[], &slime.to_string());
        let batch = post(
            &format!("{base}/v1/grade"),
            &json!({"tasks": [task], "submissions": [{"task_id": "t", "completion": slow}]}),
        );
        done.store(1, Ordering::SeqCst);
        assert!(run.0 == 504 && run.1.contains_key("retry-after") && run.2.contains("detail"), "{run:?}");
        assert!(told.0 == 503 && told.1.contains_key("retry-after"), "{told:?}");
        assert_eq!((batch.0, &batch.1["records"][0]["verdict"]), (200, &json!("invalid")), "{}", batch.1);
    });
    let failures = send("GET", &format!("{base}/metrics"), &[], "").1;
    assert!(failures.contains("loophole_machine_failures_total 3"), "{failures}");
    assert_eq!(post(&format!("{base}/slime"), &slime).1, json!(1.0));
}
