//! What the tests of the server share.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::TcpListener;

use loophole_serve::{Listening, Server};
use serde_json::Value;

/// Starts a server; its address.
pub fn start(server: Server) -> String {
    start_at(server, "127.0.0.1:0")
}

pub fn start_at(server: Server, address: &str) -> String {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server.run(Listening::Tcp(listener)));
    format!("http://{address}")
}

/// Status and body of a request; `headers` come on top of what `ureq` sends.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (status, _, body) = send_whole(method, url, headers, body);
    (status, body)
}

/// The same with the headers of the answer.
pub fn send_whole(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, ureq::http::HeaderMap, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0);
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(body.to_string()).unwrap()).unwrap();
    let text = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
    (response.status().as_u16(), response.headers().clone(), text)
}

pub fn post(url: &str, body: &Value) -> (u16, Value) {
    let (status, text) = send("POST", url, &[], &body.to_string());
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}
