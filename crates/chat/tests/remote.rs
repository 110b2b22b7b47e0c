//! Clients against endpoints that do everything right, and then everything wrong.

#[path = "remote/agent.rs"]
mod agent;
mod common;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Do, Fake, Got, completion, json_answer, last, piece};
use loophole_chat::{
    Chat, ChatError, Delta, Finish, Message, Remote, RemoteOptions, Reply, Request, Sampling, ToolCall, ToolChoice,
    ToolSpec,
};
use serde_json::{Value, json};

fn quick() -> RemoteOptions {
    RemoteOptions {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        silence: Duration::from_millis(500),
        cache: None,
        ..RemoteOptions::from_env(&|_| None).unwrap()
    }
}

fn openai_with(fake: &Fake, options: RemoteOptions) -> Remote {
    let url = fake.url.clone();
    let env = move |name: &str| match name {
        "OPENAI_API_KEY" => Some("sk-test".to_string()),
        "OPENAI_BASE_URL" => Some(url.clone()),
        _ => None,
    };
    Remote::open("openai:gpt-4o", options, &env).unwrap()
}

fn openai(fake: &Fake) -> Remote {
    openai_with(fake, quick())
}

fn anthropic(fake: &Fake) -> Remote {
    let url = fake.url.clone();
    let env = move |name: &str| match name {
        "ANTHROPIC_API_KEY" => Some("key-a\n".to_string()),
        "ANTHROPIC_BASE_URL" => Some(url.clone()),
        _ => None,
    };
    Remote::open("anthropic:claude-sonnet-4-5", quick(), &env).unwrap()
}

fn ask(text: &str) -> Request {
    Request { messages: vec![Message::system("Be brief."), Message::user(text)], ..Request::default() }
}

fn bash() -> ToolSpec {
    ToolSpec::of_texts("bash", "Runs a command.", &[("command", "what to run")])
}

/// A conversation in which everything occurs.
fn agent() -> Request {
    let call = ToolCall::from_text("c1", "bash", r#"{"command": "ls"}"#);
    let wrong = ToolCall::from_text("c2", "bash", "{\"command\": \"ls");
    Request {
        messages: vec![
            Message::system("Be brief."),
            Message::user("List."),
            Message::assistant("I look.").with_calls(vec![call.clone(), wrong.clone()]),
            Message::tool(&call, "a\nb"),
            Message::tool(&wrong, "the arguments are no JSON"),
        ],
        tools: vec![bash()],
        tool_choice: ToolChoice::Required,
        sampling: Sampling {
            temperature: Some(0.7),
            max_tokens: 50,
            stop: vec!["END".into()],
            seed: 3,
            logprobs: Some(1),
            ..Sampling::default()
        },
        ..Request::default()
    }
}

fn stream(chat: &dyn Chat, request: &Request) -> (Result<Reply, ChatError>, Vec<Delta>) {
    let (pieces, heard) = channel();
    let reply = chat.stream(request, pieces);
    (reply, heard.into_iter().collect())
}

#[test]
fn openai_speaks_its_format() {
    let fake = Fake::start(|_, _| {
        json_answer(
            200,
            json!({
                "choices": [{
                    "finish_reason": "tool_calls",
                    "message": {"content": null, "tool_calls": [
                        {"id": "x1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\": \"rm a\"}"}},
                        {"id": "x2", "type": "function", "function": {"name": "bash", "arguments": "rm b"}},
                    ]},
                    "logprobs": {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -0.25}]}]},
                }],
                "usage": {"prompt_tokens": 90, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 64}},
            }),
        )
    });
    let chat = openai(&fake);
    let reply = chat.one(&agent()).unwrap();
    assert_eq!((reply.finish, reply.text.as_str()), (Finish::ToolCalls, ""));
    assert_eq!(reply.tool_calls[0].text("command"), Some("rm a"));
    assert_eq!((reply.tool_calls[1].arguments(), &reply.tool_calls[1].arguments), (None, &json!("rm b")));
    assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.completion_tokens), (90, 64, 9));
    let token = &reply.logprobs.unwrap()[0];
    assert_eq!((token.token.as_str(), token.logprob, token.top.as_slice()), ("a", -0.5, &[("b".into(), -0.25)][..]));
    let got = fake.got.lock().unwrap()[0].clone();
    assert_eq!(got.path, "/v1/chat/completions");
    assert_eq!(got.header("authorization"), Some("Bearer sk-test"));
    let body = &got.body;
    assert_eq!((&body["model"], &body["temperature"], &body["seed"]), (&json!("gpt-4o"), &json!(0.7), &json!(3)));
    assert_eq!((&body["max_tokens"], &body["stop"]), (&json!(50), &json!(["END"])));
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(1)));
    assert_eq!((&body["tool_choice"], &body["tools"][0]["function"]["name"]), (&json!("required"), &json!("bash")));
    let said = &body["messages"][2];
    assert_eq!(said["tool_calls"][0]["function"]["arguments"], r#"{"command":"ls"}"#);
    // Servers read the arguments of earlier turns back: they must be JSON.
    let sent: Value = serde_json::from_str(said["tool_calls"][1]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(sent["unparsed"], "{\"command\": \"ls");
    assert_eq!(body["messages"][4]["tool_call_id"], "c2");
    let account = chat.account().unwrap();
    assert_eq!((account.replies, account.usage.prompt_tokens), (1, 90));
    let dollars = (26.0 * 2.5 + 64.0 * 1.25 + 9.0 * 10.0) / 1e6;
    assert!((account.dollars.unwrap() - dollars).abs() < 1e-12);
}

#[test]
fn anthropic_speaks_its_format() {
    let fake = Fake::start(|_, _| {
        json_answer(
            200,
            json!({
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I remove it."},
                    {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "rm a"}},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 7},
            }),
        )
    });
    let chat = anthropic(&fake);
    let reply = chat.one(&agent()).unwrap();
    assert_eq!(
        (reply.finish, reply.text.as_str(), reply.thought.as_deref()),
        (Finish::ToolCalls, "I remove it.", Some("hm"))
    );
    assert_eq!(reply.tool_calls, [ToolCall::from_text("t1", "bash", r#"{"command": "rm a"}"#)]);
    assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.completion_tokens), (50, 30, 7));
    let got = fake.got.lock().unwrap()[0].clone();
    assert_eq!((got.path.as_str(), got.header("x-api-key")), ("/v1/messages", Some("key-a")));
    assert_eq!(got.header("anthropic-version"), Some("2023-06-01"));
    let body = &got.body;
    assert_eq!((&body["system"], &body["stop_sequences"]), (&json!("Be brief."), &json!(["END"])));
    assert_eq!(
        (&body["tool_choice"], &body["tools"][0]["input_schema"]["type"]),
        (&json!({"type": "any"}), &json!("object"))
    );
    assert_eq!((&body["seed"], &body["logprobs"]), (&Value::Null, &Value::Null));
    let roles: Vec<&str> = body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(body["messages"][1]["content"][2]["input"], json!({"unparsed": "{\"command\": \"ls"}));
    let results: Vec<&Value> = body["messages"][2]["content"].as_array().unwrap().iter().collect();
    assert_eq!((results.len(), &results[1]["tool_use_id"]), (2, &json!("c2")));
}

#[test]
fn streams_are_put_together() {
    let call = |text: &str| {
        format!(
            "data: {}",
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}}]})
        )
    };
    let fake = Fake::start(move |_, got| {
        assert_eq!((&got.body["stream"], &got.body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
        let begin = json!({"choices": [{"delta": {"role": "assistant", "tool_calls": [{"index": 0, "id": "z", "function": {"name": "bash", "arguments": ""}}]}}]});
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}});
        let mut events = vec![": ping".to_string(), piece("<think>so</think>Grü"), piece("ße")];
        events.extend([format!("data: {begin}"), call("{\"comm"), call("and\": \"ls\"}"), last("tool_calls")]);
        events.extend([format!("data: {usage}"), "data: [DONE]".to_string()]);
        Do::Events(events)
    });
    let (reply, pieces) = stream(&openai(&fake), &ask("?"));
    let reply = reply.unwrap();
    assert_eq!(
        (reply.text.as_str(), reply.thought.as_deref(), reply.answer.as_str()),
        ("<think>so</think>Grüße", Some("so"), "Grüße")
    );
    assert_eq!((reply.finish, reply.tool_calls[0].text("command")), (Finish::ToolCalls, Some("ls")));
    assert_eq!((reply.usage.prompt_tokens, reply.usage.completion_tokens), (5, 6));
    assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), ["<think>so</think>Grü", "ße"]);

    let event = |value: Value| format!("event: {}\ndata: {value}", value["type"].as_str().unwrap());
    let fake = Fake::start(move |_, _| {
        Do::Events(vec![
            event(json!({"type": "message_start", "message": {"usage": {"input_tokens": 4, "output_tokens": 1}}})),
            event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            event(json!({"type": "ping"})),
            event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})),
            event(json!({"type": "content_block_stop", "index": 0})),
            event(
                json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "bash", "input": {}}}),
            ),
            event(
                json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"command\":"}}),
            ),
            event(
                json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": " \"ls\"}"}}),
            ),
            event(
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            ),
            event(json!({"type": "message_stop"})),
        ])
    });
    let (reply, pieces) = stream(&anthropic(&fake), &ask("?"));
    let reply = reply.unwrap();
    assert_eq!(
        (reply.text.as_str(), reply.tool_calls[0].text("command"), reply.finish),
        ("Hi", Some("ls"), Finish::ToolCalls)
    );
    assert_eq!((reply.usage.prompt_tokens, reply.usage.completion_tokens, pieces.len()), (4, 9, 1));
}

#[test]
fn no_key_and_wrong_names_are_told_before_anything_is_sent() {
    let open = |name: &str| Remote::open(name, quick(), &|_| None).err().unwrap();
    let error = open("openai:gpt-4o");
    assert!(matches!(&error, ChatError::Access { .. }) && error.fatal(), "{error}");
    assert!(error.to_string().contains("OPENAI_API_KEY is not set"), "{error}");
    assert!(open("anthropic:claude").to_string().contains("ANTHROPIC_API_KEY"));
    for (name, says) in
        [("http://127.0.0.1:9/v1", "#NAME"), ("http://127.0.0.1:9/v1#", "missing"), ("http://#m", "address")]
    {
        let error = open(name).to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let wrong = RemoteOptions::from_env(&|name| (name == "LOOPHOLE_CONNECTIONS").then(|| "many".to_string()));
    assert!(wrong.unwrap_err().to_string().contains("many"));
}

#[test]
fn a_wrong_key_is_asked_about_once() {
    let fake = Fake::start(|_, _| json_answer(401, json!({"error": {"message": "Incorrect API key provided"}})));
    let chat = openai(&fake);
    let errors: Vec<ChatError> = chat.reply(&vec![ask("?"); 20]).into_iter().map(Result::unwrap_err).collect();
    assert!(errors.iter().all(|error| error.fatal() && !error.retryable()), "{errors:?}");
    let error = errors[0].to_string();
    assert!(error.contains("Incorrect API key") && error.contains("is OPENAI_API_KEY right?"), "{error}");
    assert!(fake.count() <= 8, "no more than were in flight: {}", fake.count());
    assert_eq!(chat.account().unwrap().failed["access"], 20);
    // The month's budget is gone, or there is no such model: as final.
    for (status, body, says) in [
        (429, json!({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}), "quota"),
        (404, json!({"error": {"message": "The model does not exist"}}), "model's name"),
    ] {
        let fake = Fake::start(move |_, _| json_answer(status, body.clone()));
        let error = openai(&fake).one(&ask("?")).unwrap_err();
        assert!(error.fatal() && error.to_string().contains(says) && fake.count() == 1, "{error}");
    }
}

#[test]
fn a_key_for_one_is_not_sent_to_another() {
    let fake = Fake::start(|_, _| json_answer(200, completion("hi")));
    let env = |name: &str| (name != "LOOPHOLE_API_KEY").then(|| "secret".to_string());
    let chat = Remote::open(&format!("{}#m", fake.url), quick(), &env).unwrap();
    assert_eq!(chat.one(&ask("?")).unwrap().text, "hi");
    assert_eq!(fake.got.lock().unwrap()[0].header("authorization"), None);
    assert_eq!(chat.account().unwrap().dollars, None, "the price is not known");
    // Nor is it taken elsewhere.
    let other = Fake::start(|_, _| json_answer(200, completion("hi")));
    let to = other.url.clone();
    let fake = Fake::start(move |_, _| Do::Answer(307, vec![("location", to.clone())], String::new()));
    let error = openai(&fake).one(&ask("?")).unwrap_err().to_string();
    assert!(error.contains("sends us to") && other.count() == 0, "{error}");
}

#[test]
fn an_endpoint_that_is_down_is_found_out_once() {
    let fake = Fake::start(|_, _| json_answer(200, completion("hi")));
    let url = fake.url.clone();
    drop(fake);
    std::thread::sleep(Duration::from_millis(50));
    let chat = Remote::open(&format!("{url}#m"), quick(), &|_| None).unwrap();
    let error = chat.one(&ask("?")).unwrap_err();
    assert!(matches!(&error, ChatError::Unreachable { attempts: 4, .. }) && error.retryable(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    let error = chat.one(&ask("?")).unwrap_err();
    assert!(matches!(error, ChatError::Unreachable { attempts: 1, .. }), "{error}");
}

#[test]
fn one_that_hangs_is_not_waited_for() {
    let fake = Fake::start(|number, _| match number {
        0 => Do::Hang(Duration::from_secs(3)),
        1 => Do::Raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\": [".into()),
        _ => json_answer(200, completion("at last")),
    });
    let (pieces, _heard) = std::sync::mpsc::channel();
    let chat = openai(&fake);
    let began = Instant::now();
    let error = chat.stream(&ask("?"), pieces).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // The third answer is whole, and no stream.
    assert_eq!((fake.count(), error.retryable()), (3, true), "{error}");
}

#[test]
fn a_reply_that_takes_long_is_waited_for_and_one_that_never_ends_is_not_asked_for_again() {
    let fake = Fake::start(|number, _| match number {
        0 => Do::Late(Duration::from_millis(900), completion("at last").to_string()),
        _ => Do::Hang(Duration::from_secs(3)),
    });
    let chat = openai_with(&fake, RemoteOptions { timeout: Duration::from_secs(2), ..quick() });
    assert_eq!(chat.one(&ask("?")).unwrap().text, "at last");
    let error = chat.one(&ask("?")).unwrap_err();
    assert!(error.to_string().contains("had not ended after 2 s"), "{error}");
    assert_eq!(fake.count(), 2);
}

#[test]
fn a_storm_without_headers_is_ridden_out() {
    // One in four is served, whoever comes.
    let fake = Fake::start(|number, _| match number % 4 {
        3 => json_answer(200, completion("hi")),
        0 => Do::Answer(429, vec![], "slow down".into()),
        1 => json_answer(529, json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})),
        _ => Do::Answer(500, vec![], "<html>oops</html>".into()),
    });
    let chat = openai_with(&fake, RemoteOptions { attempts: 40, longest_wait: Duration::from_millis(40), ..quick() });
    let replies = chat.reply(
        &(0..40)
            .map(|seed| Request { sampling: Sampling { seed, ..Sampling::default() }, ..ask("?") })
            .collect::<Vec<_>>(),
    );
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    let account = chat.account().unwrap();
    assert_eq!((account.replies, account.retries), (40, fake.count() - 40));
    assert!(chat.in_flight() < 8, "{} in flight after a storm", chat.in_flight());
}

#[test]
fn a_storm_that_does_not_end_is_given_up() {
    let fake = Fake::start(|_, _| Do::Answer(503, vec![], "no capacity".into()));
    let chat = openai(&fake);
    let error = chat.one(&ask("?")).unwrap_err();
    assert!(matches!(&error, ChatError::Overloaded { status: 503, attempts: 7, .. }), "{error}");
    assert!(error.retryable() && error.to_string().contains("no capacity"), "{error}");
    assert_eq!((fake.count(), chat.account().unwrap().failed["overloaded"]), (7, 1));
}

#[test]
fn it_waits_as_long_as_it_is_told_and_so_does_every_request() {
    let fake = Fake::start(|number, _| match number {
        0 => Do::Answer(429, vec![("retry-after", "0.4".into())], String::new()),
        1 => Do::Answer(
            200,
            vec![("x-ratelimit-remaining-requests", "0".into()), ("x-ratelimit-reset-requests", "300ms".into())],
            completion("hi").to_string(),
        ),
        _ => json_answer(200, completion("hi")),
    });
    let chat = openai_with(&fake, RemoteOptions { connections: 1, ..quick() });
    chat.one(&ask("?")).unwrap();
    chat.one(&ask("?")).unwrap();
    let at: Vec<Instant> = fake.got.lock().unwrap().iter().map(|got| got.at).collect();
    assert!(at[1] - at[0] >= Duration::from_millis(400), "{:?}", at[1] - at[0]);
    assert!(at[2] - at[1] >= Duration::from_millis(300), "{:?}", at[2] - at[1]);
    // One that asks for an hour has failed.
    let fake = Fake::start(|_, _| Do::Answer(429, vec![("retry-after", "3600".into())], String::new()));
    let error = openai(&fake).one(&ask("?")).unwrap_err().to_string();
    assert!(error.contains("3600 s") && fake.count() == 1, "{error}");
}

#[test]
fn what_is_no_reply_is_asked_again_and_then_told() {
    let bad = |body: &'static str| Fake::start(move |_, _| Do::Answer(200, vec![], body.to_string()));
    for (body, says) in [
        ("", "no JSON"),
        ("<html>login</html>", "no JSON"),
        ("{\"choices\": [", "no JSON"),
        ("{}", "no choice"),
        ("{\"choices\": []}", "no choice"),
        ("[1, 2]", "no choice"),
        ("{\"choices\": [{\"message\": 3}]}", "no message"),
    ] {
        let fake = bad(body);
        let error = openai(&fake).one(&ask("?")).unwrap_err();
        assert!(matches!(&error, ChatError::Malformed { .. }) && error.retryable(), "{error}");
        assert!(error.to_string().contains(says) && fake.count() == 3, "{body}: {error}");
    }
    let error = anthropic(&bad("{\"type\": \"message\"}")).one(&ask("?")).unwrap_err().to_string();
    assert!(error.contains("no content"), "{error}");
    let garbage = Fake::start(|_, _| Do::Raw("SSH-2.0-OpenSSH_9.9\r\n\r\n".into()));
    let error = openai(&garbage).one(&ask("?")).unwrap_err();
    assert!(error.retryable() && garbage.count() > 1, "{error}");
    let once = Fake::start(|number, _| match number {
        0 => Do::Answer(200, vec![], "{\"cho".into()),
        _ => json_answer(200, completion("yes")),
    });
    assert_eq!(openai(&once).one(&ask("?")).unwrap().text, "yes");
}

#[test]
fn half_a_stream_is_no_reply() {
    // Before anything was passed on there is a second attempt.
    let fake = Fake::start(|number, _| match number {
        0 => Do::Events(vec![]),
        _ => Do::Events(vec![piece("whole"), last("stop"), "data: [DONE]".into()]),
    });
    let (reply, pieces) = stream(&openai(&fake), &ask("?"));
    assert_eq!((reply.unwrap().text.as_str(), pieces.len(), fake.count()), ("whole", 1, 2));
    type End = (&'static str, fn() -> Do);
    let ends: [End; 4] = [
        ("in the middle", || Do::Events(vec![piece("half")])),
        ("in the middle", || Do::Events(vec![piece("half"), "data: [DONE]".into()])),
        ("no JSON", || Do::Events(vec![piece("half"), "data: {\"choi".into()])),
        ("overloaded", || Do::Events(vec![piece("half"), "data: {\"error\": {\"message\": \"overloaded\"}}".into()])),
    ];
    for (says, end) in ends {
        let fake = Fake::start(move |_, _| end());
        let (reply, pieces) = stream(&openai(&fake), &ask("?"));
        let error = reply.unwrap_err();
        assert!(error.to_string().contains(says) && fake.count() == 1, "{error}");
        assert_eq!(pieces[0].text, "half");
    }
}

#[test]
fn one_that_never_stops_is_cut_off() {
    let fake = Fake::start(|_, _| Do::Endless(piece("on and on ")));
    let chat = openai_with(&fake, RemoteOptions { most_bytes: 100_000, ..quick() });
    let (reply, pieces) = stream(&chat, &ask("?"));
    let reply = reply.unwrap();
    assert_eq!((reply.finish, reply.stopped()), (Finish::Length, false));
    assert!(reply.text.starts_with("on and on on") && pieces.len() > 100);
    let long = Fake::start(|_, _| json_answer(200, completion(&"x".repeat(200_000))));
    let chat = openai_with(&long, RemoteOptions { most_bytes: 100_000, ..quick() });
    let error = chat.one(&ask("?")).unwrap_err().to_string();
    assert!(error.contains("more than 100000 bytes") && long.count() == 1, "{error}");
    // Silence does not hold us either.
    let silent = Fake::start(|_, _| {
        Do::Raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata: ".into())
    });
    let began = Instant::now();
    assert!(stream(&openai(&silent), &ask("?")).0.unwrap_err().retryable());
    assert!(began.elapsed() < Duration::from_secs(5));
    // One who leaves ends it.
    let (pieces, heard) = channel();
    drop(heard);
    assert!(openai(&fake).stream(&ask("?"), pieces).is_ok());
}

#[test]
fn empty_and_huge_replies_are_replies() {
    let fake = Fake::start(|number, _| {
        let mut empty = completion("");
        match number {
            0 => {}
            1 => empty["choices"][0]["message"] = json!({"role": "assistant", "content": null}),
            2 => empty["choices"][0]["message"] = json!({}),
            _ => empty = completion(&"ü".repeat(1_000_000)),
        }
        json_answer(200, empty)
    });
    let chat = openai(&fake);
    for _ in 0..3 {
        let reply = chat.one(&ask("?")).unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("", Finish::Stop));
    }
    assert_eq!(chat.one(&ask(&"x".repeat(1_000_000))).unwrap().text.chars().count(), 1_000_000);
    assert_eq!(fake.got.lock().unwrap()[3].body["messages"][1]["content"].as_str().unwrap().len(), 1_000_000);
}

#[test]
fn a_request_it_refuses_takes_no_other_with_it() {
    let too_long = |got: &Got| got.body["messages"][1]["content"] == "long";
    let fake = Fake::start(move |_, got| match too_long(got) {
        true => {
            json_answer(400, json!({"error": {"message": "maximum context length", "code": "context_length_exceeded"}}))
        }
        false => json_answer(200, completion("hi")),
    });
    let replies = openai(&fake).reply(&[ask("a"), ask("long"), ask("b")]);
    assert!(replies[0].is_ok() && replies[2].is_ok());
    let error = replies[1].as_ref().unwrap_err();
    assert!(matches!(error, ChatError::Rejected { status: 400, .. }) && !error.retryable() && !error.fatal());
    assert_eq!(fake.count(), 3);
}

#[test]
fn options_it_does_not_know_are_left_out_and_told() {
    let fake = Fake::start(|_, got| {
        let unknown = ["max_tokens", "temperature"].into_iter().find(|name| got.body.get(*name).is_some());
        match unknown {
            Some(name) => json_answer(
                400,
                json!({"error": {"message": "Unsupported parameter", "param": name, "code": "unsupported_parameter"}}),
            ),
            None => json_answer(200, completion("hi")),
        }
    });
    let chat = openai(&fake);
    assert!(chat.reply(&vec![agent(); 6]).iter().all(Result::is_ok));
    let last = fake.got.lock().unwrap().last().unwrap().clone();
    assert_eq!(last.body["max_completion_tokens"], 50);
    let left_out: Vec<String> = chat.account().unwrap().left_out.into_iter().collect();
    assert_eq!(left_out, ["max_tokens", "temperature"]);
    // Anthropic says it in words.
    let fake = Fake::start(|_, got| match got.body.get("temperature") {
        Some(_) => json_answer(
            400,
            json!({"type": "error", "error": {"message": "`temperature` is deprecated for this model."}}),
        ),
        None => json_answer(200, json!({"content": [], "stop_reason": "end_turn"})),
    });
    let chat = anthropic(&fake);
    assert!(chat.one(&agent()).is_ok());
    assert_eq!(chat.account().unwrap().left_out.len(), 1);
    // A value that is wrong is no option that is unknown.
    let fake = Fake::start(|_, _| json_answer(400, json!({"error": {"message": "temperature: must be at most 1"}})));
    assert!(matches!(anthropic(&fake).one(&agent()), Err(ChatError::Rejected { .. })) && fake.count() == 1);
    // What cannot be left out is told.
    let fake = Fake::start(|_, _| json_answer(400, json!({"error": {"message": "bad", "param": "messages"}})));
    assert!(matches!(openai(&fake).one(&ask("?")), Err(ChatError::Rejected { .. })));
}

#[test]
fn what_was_said_once_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(|number, _| json_answer(200, completion(&format!("answer {number}"))));
    let open = || openai_with(&fake, RemoteOptions { cache: Some(dir.path().to_path_buf()), ..quick() });
    let first = open().one(&ask("?")).unwrap();
    let chat = open();
    assert_eq!(chat.one(&ask("?")).unwrap(), first);
    let (streamed, pieces) = stream(&chat, &ask("?"));
    assert_eq!((streamed.unwrap(), pieces[0].text.as_str()), (first.clone(), "answer 0"));
    assert_eq!((fake.count(), chat.account().unwrap().from_cache), (1, 2));
    // Another seed, temperature or tool is another request; choices are read from the same reply.
    let mut others = vec![ask("?"); 3];
    others[0].sampling.seed = 1;
    others[1].sampling.temperature = Some(0.5);
    others[2].tools = vec![bash()];
    for other in &others {
        assert_ne!(chat.one(other).unwrap().text, first.text);
    }
    let chosen = chat.one(&Request { choices: vec!["no".into(), "answer 0".into()], ..ask("?") }).unwrap();
    assert_eq!((chosen.choice, fake.count()), (Some(1), 4));
}

#[test]
fn it_asks_for_more_at_a_time_where_that_is_borne() {
    let fake = Fake::start(|_, _| {
        std::thread::sleep(Duration::from_millis(40));
        json_answer(200, completion("hi"))
    });
    let chat = openai_with(&fake, RemoteOptions { connections: 16, ..quick() });
    assert!(chat.reply(&vec![ask("?"); 200]).iter().all(Result::is_ok));
    let most = fake.most_open.load(std::sync::atomic::Ordering::SeqCst);
    assert!((9..=16).contains(&most), "{most} at a time");
    assert_eq!(chat.in_flight(), 16);
}
