//! What an agent's turns need of an endpoint: calls that come as text, thoughts that are wanted back.

use loophole_chat::{Chat, ChatError, Finish, Message, Reply, Request, ToolChoice};
use serde_json::{Value, json};

use super::common::{Do, Fake, completion, json_answer};
use super::{anthropic, bash, openai};

fn ask(text: &str) -> Request {
    Request { messages: vec![Message::user(text)], tools: vec![bash()], ..Request::default() }
}

/// The next request of a turn: the model called, and the tool returned something.
fn next(mut request: Request, reply: &Reply) -> Request {
    request.messages.push(reply.message());
    request.messages.extend(reply.tool_calls.iter().map(|call| Message::tool(call, "a\nb")));
    request
}

#[test]
fn calls_that_come_as_text_are_calls_where_tools_are_offered() {
    const SAID: &str = "I look.\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";
    let fake = Fake::start(|_, _| json_answer(200, completion(SAID)));
    let chat = openai(&fake);
    let reply = chat.one(&ask("List.")).unwrap();
    assert_eq!((reply.text.as_str(), reply.answer.as_str(), reply.finish), ("I look.", "I look.", Finish::ToolCalls));
    assert_eq!(reply.tool_calls[0].text("command"), Some("ls"));
    // They go back as calls, whose results have their ids.
    chat.one(&next(ask("List."), &reply)).unwrap();
    let sent = fake.got.lock().unwrap()[1].body["messages"].clone();
    assert_eq!(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"]);
    for request in [Request { tools: Vec::new(), ..ask("?") }, Request { tool_choice: ToolChoice::None, ..ask("?") }] {
        let reply = chat.one(&request).unwrap();
        assert_eq!((reply.text.as_str(), reply.tool_calls.len()), (SAID, 0));
    }
}

#[test]
fn thoughts_go_back_in_their_field_while_the_turn_lasts() {
    for field in ["reasoning_content", "reasoning"] {
        let fake = Fake::start(move |_, _| {
            let function = json!({"name": "bash", "arguments": "{\"command\": \"ls\"}"});
            let message = json!({"content": null, field: "Hm.", "tool_calls": [{"id": "x", "function": function}]});
            json_answer(200, json!({"choices": [{"finish_reason": "tool_calls", "message": message}]}))
        });
        let chat = openai(&fake);
        let reply = chat.one(&ask("List.")).unwrap();
        assert_eq!(reply.thought.as_deref(), Some("Hm."));
        let mut request = next(ask("List."), &reply);
        chat.one(&request).unwrap();
        request.messages.push(Message::user("And now?"));
        chat.one(&request).unwrap();
        let got = fake.got.lock().unwrap();
        assert_eq!(got[1].body["messages"][1][field], "Hm.");
        assert_eq!(got[1].body["messages"][1].as_object().unwrap().len(), 4, "no other field");
        assert_eq!(got[2].body["messages"][1].get(field), None);
    }
}

#[test]
fn one_that_does_not_want_thoughts_back_gets_none() {
    let fake = Fake::start(|_, got| match got.body["messages"][1].get("reasoning_content") {
        Some(_) => json_answer(400, json!({"error": {"message": "reasoning_content is not supported in messages"}})),
        None => {
            let message = json!({"content": "Done.", "reasoning_content": "Hm."});
            json_answer(200, json!({"choices": [{"finish_reason": "stop", "message": message}]}))
        }
    });
    let chat = openai(&fake);
    let reply = chat.one(&ask("List.")).unwrap();
    let mut request = ask("List.");
    request.messages.push(reply.message());
    let call = loophole_chat::ToolCall::from_text("x", "bash", "{}");
    request.messages.push(Message::tool(&call, "a"));
    assert!(chat.one(&request).is_ok());
    assert!(chat.account().unwrap().left_out.contains("reasoning_content"));
    assert_eq!(fake.count(), 3);
}

#[test]
fn signed_thoughts_go_back_before_the_calls_they_led_to() {
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let redacted = json!({"type": "redacted_thinking", "data": "eHg="});
    let call = json!({"type": "tool_use", "id": "x", "name": "bash", "input": {"command": "ls"}});
    let content = json!([thinking, redacted, {"type": "text", "text": "I look."}, call]);
    let answer = json!({"content": content, "stop_reason": "tool_use"});
    let events = [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        json!({"type": "content_block_start", "index": 1, "content_block": redacted}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "I look."}}),
        json!({"type": "content_block_start", "index": 3, "content_block": call}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let fake = Fake::start(move |number, _| match number {
        2 => Do::Raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{stream}",
            stream.len()
        )),
        _ => json_answer(200, answer.clone()),
    });
    let chat = anthropic(&fake);
    let reply = chat.one(&ask("List.")).unwrap();
    assert_eq!((reply.thought.as_deref(), reply.text.as_str()), (Some("Hm."), "I look."));
    let mut request = next(ask("List."), &reply);
    chat.one(&request).unwrap();
    let (pieces, _heard) = std::sync::mpsc::channel();
    let streamed = chat.stream(&request, pieces).unwrap();
    assert_eq!(streamed.reasoning, reply.reasoning);
    request.messages.push(Message::user("And now?"));
    chat.one(&request).unwrap();
    let got = fake.got.lock().unwrap();
    assert_eq!(got[1].body["messages"][1]["content"], content);
    let kinds = |content: &Value| -> Vec<String> {
        content.as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(kinds(&got[3].body["messages"][1]["content"]), ["text", "tool_use"]);
}

#[test]
fn a_server_without_a_parser_is_told_of() {
    for (status, message) in [
        (400, "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"),
        (500, "tools param requires --jinja flag"),
        (400, "registry/tiny:1b does not support tools"),
    ] {
        let fake = Fake::start(move |_, _| json_answer(status, json!({"error": {"message": message}})));
        let error = openai(&fake).one(&ask("List.")).unwrap_err();
        assert!(matches!(error, ChatError::Rejected { .. }) && fake.count() == 1, "{error}");
        assert!(error.to_string().contains("--tools text"), "{error}");
        let error = openai(&fake).one(&Request { tools: Vec::new(), ..ask("?") }).unwrap_err();
        assert!(!error.to_string().contains("--tools text"), "{error}");
    }
}
