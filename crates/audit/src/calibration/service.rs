//! An honest grader as a service on loopback: the whole submission is the answer.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs until it is dropped.
pub(super) struct Service {
    stop: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a caller; if it is gone already, so much the better.
        let _ = TcpStream::connect(self.address);
    }
}

/// Starts it; also says where.
pub(super) fn start() -> std::io::Result<(Service, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok((Service { stop, address }, format!("http://{address}/grade")))
}

/// One request, one answer. What is not understood gets no answer, which the caller takes for no reward.
fn answer(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0usize;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length.min(1 << 22)];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let right = request["submission"].as_str()?.trim() == request["task"]["answer"].as_str()?;
    let text = json!({"reward": if right { 1.0 } else { 0.0 }}).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let mut stream = stream;
    write!(stream, "{head}content-length: {}\r\n\r\n{text}", text.len()).ok()
}
