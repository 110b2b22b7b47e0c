//! The endpoint as clients meet it: its own formats read back by the clients of `loophole-chat`, errors in the form of
//! each API, mistakes of every kind.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{post, send, start};
use loophole_chat::{
    Chat, ChatError, Delta, Finish, Message, Mock, Remote, RemoteOptions, Reply, Request, Role, Sampling, Scripted,
    TokenLogprob, ToolCall, ToolSpec,
};
use loophole_serve::{Page, Server};
use serde_json::{Value, json};

/// Says what it was told, and calls a tool if it has one.
fn parrot(request: &Request) -> Result<Reply, ChatError> {
    let said = &request.messages.last().unwrap().content;
    if said == "fail" {
        return Err(ChatError::Model { model: "parrot".into(), reason: "out of order".into() });
    }
    assert_ne!(said, "panic", "as asked");
    let text = match request.messages.iter().filter(|message| message.role == Role::Tool).count() {
        0 => format!("{said} ({} {:?})", request.sampling.seed, request.sampling.temperature),
        results => format!("{results} results"),
    };
    let mut reply = Reply::from_text(text, 3, Finish::Stop);
    reply.usage.prompt_tokens = 7;
    if said == "too long" {
        reply = Reply { finish: Finish::Length, ..Reply::default() };
    }
    if let Some(top) = request.sampling.logprobs {
        let other = ("b".to_string(), -2.0);
        reply.logprobs = Some(vec![TokenLogprob { token: "a".into(), logprob: -1.0, top: vec![other; top], id: None }]);
    }
    if !request.tools.is_empty() && !text_of_tool(request) {
        let arguments = if said == "wrong" { "{\"command\"" } else { "{\"command\": \"ls\"}" };
        reply.tool_calls = vec![ToolCall::from_text("t1", request.tools[0].name.clone(), arguments)];
        reply.finish = Finish::ToolCalls;
    }
    if request.sampling.stop.iter().any(|stop| said.contains(stop.as_str())) {
        reply.stop = request.sampling.stop.first().cloned();
    }
    Ok(reply)
}

fn text_of_tool(request: &Request) -> bool {
    request.messages.iter().any(|message| message.role == Role::Tool)
}

struct Named(&'static str);

impl Chat for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn reply(&self, requests: &[Request]) -> Vec<Result<Reply, ChatError>> {
        Scripted(parrot).reply(requests)
    }
}

fn endpoint() -> Server {
    Server::new().with_model(Arc::new(Named("parrot")), 1)
}

fn remote(url: &str, wire: &str) -> Remote {
    let options = RemoteOptions {
        cache: None,
        first_wait: Duration::from_millis(1),
        ..RemoteOptions::from_env(&|_| None).unwrap()
    };
    let base = url.to_string();
    let env = move |name: &str| match name {
        "OPENAI_BASE_URL" => Some(format!("{base}/v1")),
        "ANTHROPIC_BASE_URL" => Some(base.clone()),
        "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" => Some("secret-1".to_string()),
        _ => None,
    };
    Remote::open(&format!("{wire}:parrot"), options, &env).unwrap()
}

fn ask(text: &str) -> Request {
    let sampling = Sampling { seed: 5, temperature: Some(0.5), ..Sampling::default() };
    Request { messages: vec![Message::system("s"), Message::user(text)], sampling, ..Request::default() }
}

fn stream(chat: &dyn Chat, request: &Request) -> (Result<Reply, ChatError>, Vec<Delta>) {
    let (pieces, heard) = channel();
    let reply = chat.stream(request, pieces);
    (reply, heard.into_iter().collect())
}

#[test]
fn our_own_clients_get_what_the_model_said() {
    let url = start(endpoint().with_token("secret-1"));
    for wire in ["openai", "anthropic"] {
        let chat = remote(&url, wire);
        let reply = chat.one(&ask("hello")).unwrap();
        // Anthropic's API knows no seeds: the server gives one.
        let known = if wire == "openai" { "hello (5 Some(0.5))" } else { "hello (" };
        assert!(reply.text.starts_with(known), "{}", reply.text);
        assert_eq!((reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.finish), (7, 3, Finish::Stop));
        let (streamed, pieces) = stream(&chat, &ask("hello"));
        let streamed = streamed.unwrap();
        assert_eq!((streamed.usage, streamed.finish), (reply.usage, reply.finish));
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<String>(), streamed.text);

        let mut tooled = ask("list");
        tooled.tools = vec![ToolSpec::of_texts("bash", "Runs.", &[("command", "what")])];
        for reply in [chat.one(&tooled).unwrap(), stream(&chat, &tooled).0.unwrap()] {
            assert_eq!((reply.finish, reply.tool_calls[0].text("command")), (Finish::ToolCalls, Some("ls")));
            let mut next = tooled.clone();
            next.messages.push(reply.message());
            next.messages.push(Message::tool(&reply.tool_calls[0], "a\nb"));
            assert_eq!(chat.one(&next).unwrap().text, "1 results");
        }
        tooled.messages[1].content = "wrong".into();
        let wrong = chat.one(&tooled).unwrap().tool_calls.remove(0);
        match wire {
            "openai" => assert_eq!((wrong.arguments(), &wrong.arguments), (None, &json!("{\"command\""))),
            _ => assert_eq!(wrong.arguments, json!({"unparsed": "{\"command\""})),
        }
        let mut stopped = ask("to END");
        stopped.sampling.stop = vec!["END".into()];
        let stop = chat.one(&stopped).unwrap().stop;
        assert_eq!(stop.as_deref(), (wire == "anthropic").then_some("END"));
        let error = chat.one(&ask("too long")).unwrap_err();
        assert!(
            matches!(&error, ChatError::Rejected { status: 400, .. }) && error.to_string().contains("too long"),
            "{error}"
        );
        let (failed, pieces) = stream(&chat, &ask("fail"));
        assert!(failed.unwrap_err().to_string().contains("out of order") && pieces.is_empty());
    }
    let mut likely = ask("hello");
    likely.sampling.logprobs = Some(2);
    let chat = remote(&url, "openai");
    for reply in [chat.one(&likely).unwrap(), stream(&chat, &likely).0.unwrap()] {
        let token = reply.logprobs.unwrap().remove(0);
        assert_eq!((token.token.as_str(), token.logprob, token.top.len()), ("a", -1.0, 2));
    }
}

#[test]
fn several_replies_and_seeds() {
    let url = start(endpoint()) + "/v1/chat/completions";
    let body = json!({"model": "parrot", "messages": [{"role": "user", "content": "x"}], "n": 3, "seed": 10});
    let (status, answer) = post(&url, &body);
    let texts: Vec<&str> =
        answer["choices"].as_array().unwrap().iter().map(|c| c["message"]["content"].as_str().unwrap()).collect();
    assert_eq!((status, texts), (200, vec!["x (10 None)", "x (11 None)", "x (12 None)"]));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}));
    let without = json!({"model": "parrot", "messages": [{"role": "user", "content": "x"}]});
    let said = || post(&url, &without).1["choices"][0]["message"]["content"].clone();
    assert_ne!(said(), said(), "each request has a seed of its own");
}

#[test]
fn mistakes_are_told_in_the_form_of_the_api() {
    let base = start(endpoint());
    let user = json!([{"role": "user", "content": "x"}]);
    let openai: &[(Value, u16, &str, Value)] = &[
        (json!({"messages": user}), 400, "model is missing", json!("model")),
        (json!({"model": "gpt-4o", "messages": user}), 404, "parrot", json!("model")),
        (json!({"model": "parrot"}), 400, "last message", json!("messages")),
        (json!({"model": "parrot", "messages": "x"}), 400, "expected an array", json!("messages")),
        (
            json!({"model": "parrot", "messages": [{"role": "king", "content": "x"}]}),
            400,
            "needs a role",
            json!("messages"),
        ),
        (
            json!({"model": "parrot", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            400,
            "image_url",
            json!("messages"),
        ),
        (
            json!({"model": "parrot", "messages": [{"role": "tool", "content": "x"}]}),
            400,
            "tool_call_id",
            json!("messages"),
        ),
        (
            json!({"model": "parrot", "messages": [{"role": "assistant", "content": "x"}]}),
            400,
            "last message",
            json!("messages"),
        ),
        (json!({"model": "parrot", "messages": user, "temperature": 3}), 400, "from 0 to 2", json!("temperature")),
        (
            json!({"model": "parrot", "messages": user, "temperature": "hot"}),
            400,
            "expected a number",
            json!("temperature"),
        ),
        (json!({"model": "parrot", "messages": user, "max_tokens": -1}), 400, "whole number", json!("max_tokens")),
        (json!({"model": "parrot", "messages": user, "stop": [1]}), 400, "texts", json!("stop")),
        (json!({"model": "parrot", "messages": user, "seed": "x"}), 400, "whole number", json!("seed")),
        (json!({"model": "parrot", "messages": user, "top_logprobs": 2}), 400, "needs logprobs", json!("top_logprobs")),
        (
            json!({"model": "parrot", "messages": user, "logprobs": true, "top_logprobs": 99}),
            400,
            "from 0 to 20",
            json!("top_logprobs"),
        ),
        (
            json!({"model": "parrot", "messages": user, "presence_penalty": 1}),
            400,
            "not supported",
            json!("presence_penalty"),
        ),
        (
            json!({"model": "parrot", "messages": user, "response_format": {"type": "json_object"}}),
            400,
            "not supported",
            json!("response_format"),
        ),
        (json!({"model": "parrot", "messages": user, "n": 2, "stream": true}), 400, "one reply", json!("n")),
        (
            json!({"model": "parrot", "messages": user, "tools": [{"type": "function"}]}),
            400,
            "tools[0]",
            json!("tools"),
        ),
        (
            json!({"model": "parrot", "messages": user, "tool_choice": {"function": {"name": "f"}}}),
            400,
            "tool_choice",
            json!("tool_choice"),
        ),
        (
            json!({"model": "parrot", "messages": [{"role": "user", "content": "fail"}]}),
            500,
            "out of order",
            Value::Null,
        ),
        (
            json!({"model": "parrot", "messages": [{"role": "user", "content": "fail"}], "stream": true}),
            500,
            "out of order",
            Value::Null,
        ),
    ];
    for (body, expected, says, param) in openai {
        let (status, answer) = post(&format!("{base}/v1/chat/completions"), body);
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(
            (status, &answer["error"]["param"]) == (*expected, param) && message.contains(says),
            "{body}: {status} {answer}"
        );
    }
    let anthropic: &[(Value, u16, &str)] = &[
        (json!({"model": "parrot", "messages": user}), 400, "max_tokens is missing"),
        (json!({"model": "claude", "max_tokens": 5, "messages": user}), 404, "parrot"),
        (json!({"model": "parrot", "max_tokens": 5, "messages": []}), 400, "last message"),
        (json!({"model": "parrot", "max_tokens": 5, "messages": user, "temperature": 1.5}), 400, "from 0 to 1"),
        (json!({"model": "parrot", "max_tokens": 5, "messages": user, "top_k": 1_000_000_000}), 400, "top_k"),
        (
            json!({"model": "parrot", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "image"}]}]}),
            400,
            "image",
        ),
        (
            json!({"model": "parrot", "max_tokens": 5, "messages": user, "tool_choice": {"type": "tool", "name": "f"}}),
            400,
            "none of the tools",
        ),
    ];
    for (body, expected, says) in anthropic {
        let (status, answer) = post(&format!("{base}/v1/messages"), body);
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(
            status == *expected && answer["type"] == "error" && message.contains(says),
            "{body}: {status} {answer}"
        );
    }
    for (method, path, body, expected) in [
        ("POST", "/v1/chat/completions", "{\"model\":", 400),
        ("POST", "/v1/messages", "[]", 400),
        ("GET", "/v1/chat/completions", "", 405),
        ("POST", "/v1/embeddings", "{}", 404),
        ("GET", "/v1/models/other", "", 404),
        ("GET", "/runs/nothing", "", 404),
    ] {
        let (status, text) = send(method, &format!("{base}{path}"), &[], body);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(status == expected && answer["error"]["message"].is_string(), "{method} {path}: {status} {text}");
    }
}

#[test]
fn the_model_and_the_pages_are_listed() {
    let page = Page { name: "a&b".into(), render: Box::new(|| Ok("<p>page</p>".into())) };
    let broken = Page { name: "broken".into(), render: Box::new(|| Err("metrics.jsonl is cut off".into())) };
    let base = start(endpoint().with_pages(vec![page, broken]));
    let get = |path: &str, headers: &[(&str, &str)]| send("GET", &format!("{base}{path}"), headers, "");
    let models: Value = serde_json::from_str(&get("/v1/models", &[]).1).unwrap();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("parrot")));
    assert!(get("/v1/models/parrot", &[]).1.contains("owned_by"));
    let models: Value = serde_json::from_str(&get("/v1/models", &[("anthropic-version", "2023-06-01")]).1).unwrap();
    assert_eq!((&models["has_more"], &models["data"][0]["type"]), (&json!(false), &json!("model")));
    assert!(get("/", &[]).1.contains("/runs/a&amp;b"));
    assert_eq!(get("/runs/a%26b", &[]), (200, "<p>page</p>".to_string()));
    assert_eq!(get("/runs/broken", &[]), (500, "metrics.jsonl is cut off\n".to_string()));
    assert_eq!(get("/health", &[]).0, 200);
}

#[test]
fn only_those_who_may_are_answered() {
    let base = start(endpoint().with_token("secret"));
    let models = |headers: &[(&str, &str)]| send("GET", &format!("{base}/v1/models"), headers, "").0;
    assert_eq!(models(&[]), 401);
    assert_eq!(models(&[("authorization", "Bearer secrex")]), 401);
    assert_eq!(models(&[("authorization", "Basic secret")]), 401);
    assert_eq!(models(&[("authorization", "Bearer secret")]), 200);
    assert_eq!(models(&[("x-api-key", "secret")]), 200);
    let chat = remote(&base, "anthropic");
    assert!(chat.one(&ask("x")).unwrap_err().to_string().contains("ANTHROPIC_API_KEY"));
    // Without a token: what a browser sends for another site's page is refused.
    let base = start(endpoint());
    let from = |headers: &[(&str, &str)]| send("GET", &format!("{base}/v1/models"), headers, "").0;
    assert_eq!(from(&[]), 200);
    assert_eq!(from(&[("origin", "http://localhost:3000")]), 200);
    assert_eq!(from(&[("origin", "https://evil.example")]), 403);
    assert_eq!(from(&[("origin", "null")]), 403);
    assert_eq!(from(&[("host", "evil.example:80")]), 403);
}

#[test]
fn hostile_clients_harm_nobody() {
    let base = start(endpoint());
    let address = base.strip_prefix("http://").unwrap().to_string();
    let raw = |text: &[u8]| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.write_all(text);
        // A server that has already answered and closed leaves nothing to shut.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(raw(b"\x16\x03\x01 TLS?\r\n\r\n").starts_with("HTTP/1.1 400"));
    raw(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{");
    raw(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    raw(&[b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(10_000)].concat());
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let long = json!({"model": "parrot", "messages": [{"role": "user", "content": "x".repeat(1_000_000)}]});
    let (status, answer) = post(&format!("{base}/v1/chat/completions"), &long);
    assert!(status == 200 && answer["choices"][0]["message"]["content"].as_str().unwrap().len() > 1_000_000);
    let deep = "[".repeat(100_000);
    assert_eq!(send("POST", &format!("{base}/v1/chat/completions"), &[], &deep).0, 400);
    let panics = json!({"model": "parrot", "messages": [{"role": "user", "content": "panic"}]});
    assert_eq!(send("POST", &format!("{base}/v1/chat/completions"), &[], &panics.to_string()).0, 500);
    assert_eq!(send("GET", &format!("{base}/health"), &[], "").0, 200);
    drop(silent);
}

#[test]
fn a_million_megabytes_are_refused_before_they_are_read() {
    let base = start(endpoint());
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999999\r\n\r\n")
        .unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..40 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 12];
    let read = stream.read(&mut answer).unwrap_or(0);
    assert!(read == 0 || answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn many_at_a_time_are_answered() {
    let url = start(Server::new().with_model(Arc::new(Mock::open("refusing").unwrap()), 1));
    let url = format!("{url}/v1/chat/completions");
    let body = json!({"model": "mock:refusing", "messages": [{"role": "user", "content": "x"}]}).to_string();
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(send("POST", &url, &[], &body).0, 200)));
        }
    });
}
