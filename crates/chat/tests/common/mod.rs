//! An endpoint on loopback that does what it is told, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Got {
    pub path: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub at: Instant,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
pub enum Do {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// These bytes, then the connection is closed.
    Raw(String),
    /// Nothing for a while, then a whole answer.
    Late(Duration, String),
    /// Nothing for a while, then it is closed.
    Hang(Duration),
    /// Events, each as its own piece; then the stream ends as it should.
    Events(Vec<String>),
    /// The same event until nobody reads any more.
    Endless(String),
}

pub fn json_answer(status: u16, body: Value) -> Do {
    Do::Answer(status, vec![("content-type", "application/json".to_string())], body.to_string())
}

pub struct Fake {
    pub url: String,
    pub got: Arc<Mutex<Vec<Got>>>,
    /// Most requests that were open at one time.
    pub most_open: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Fake {
    /// `act` gets the number of the request (from 0) and the request.
    pub fn start(act: impl Fn(usize, &Got) -> Do + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (got, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (most_open, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let act = Arc::new(act);
        let (requests, stopped, most) = (got.clone(), stop.clone(), most_open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, act, most, open) = (requests.clone(), act.clone(), most.clone(), open.clone());
                // A client that leaves in the middle is part of the tests.
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), &requests, &*act, &most, &open);
                });
            }
        });
        Fake { url: format!("http://{address}/v1"), got, most_open, stop, address }
    }

    pub fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    requests: &Mutex<Vec<Got>>,
    act: &dyn Fn(usize, &Got) -> Do,
    most: &AtomicUsize,
    open: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_string()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let got = Got { path, headers, body: serde_json::from_slice(&body).unwrap_or_default(), at: Instant::now() };
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(got.clone());
            requests.len() - 1
        };
        most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let done = act(number, &got);
        open.fetch_sub(1, Ordering::SeqCst);
        match done {
            Do::Answer(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                write!(writer, "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())?;
            }
            Do::Late(time, body) => {
                std::thread::sleep(time);
                write!(writer, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
            }
            Do::Raw(bytes) => return writer.write_all(bytes.as_bytes()),
            Do::Hang(time) => {
                std::thread::sleep(time);
                return Ok(());
            }
            Do::Events(events) => {
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
                for event in events {
                    write!(writer, "{event}\n\n")?;
                    writer.flush()?;
                }
                return Ok(());
            }
            Do::Endless(event) => {
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
                loop {
                    write!(writer, "{event}\n\n")?;
                }
            }
        }
    }
}

/// A whole answer of chat completions.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    })
}

/// An event of chat completions that adds text.
pub fn piece(text: &str) -> String {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {delta}")
}

/// The last event of chat completions.
pub fn last(reason: &str) -> String {
    let delta = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    format!("data: {delta}")
}
