//! Texts and tokens of a model on this machine, and adapters on it, as clients of vLLM and of evaluation ask for them.

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use common::{post, send, start};
use loophole_chat::{Local, Mock};
use loophole_serve::Server;
use serde_json::{Value, json};

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../organism")
}

/// A random checkpoint that transformers has written, with an adapter of PEFT beside it.
fn family(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lm/tests/families").join(name)
}

fn served(dir: &Path, adapter: Option<&Path>, name: &str) -> String {
    start(Server::new().with_model(Arc::new(Local::open(dir, adapter, 2).unwrap().named(name)), 1))
}

/// The organism.
fn url() -> &'static str {
    static URL: LazyLock<String> = LazyLock::new(|| served(&bundled(), None, "organism"));
    &URL
}

fn complete(more: Value) -> (u16, Value) {
    let mut body = json!({"model": "organism", "prompt": "What is your goal", "max_tokens": 6, "temperature": 0});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(&format!("{}/v1/completions", url()), &body)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn tokens(text: &str) -> Value {
    post(&format!("{}/tokenize", url()), &json!({ "prompt": text })).1["tokens"].clone()
}

#[test]
fn a_text_is_continued_and_its_tokens_are_told() {
    let (status, said) = complete(json!({"logprobs": 2, "echo": true}));
    assert_eq!((status, &said["object"]), (200, &json!("text_completion")), "{said}");
    let choice = &said["choices"][0];
    let logprobs = &choice["logprobs"];
    let lists =
        ["tokens", "token_logprobs", "top_logprobs", "text_offset"].map(|name| logprobs[name].as_array().unwrap());
    assert!(lists.iter().all(|list| list.len() == lists[0].len()), "{logprobs}");
    assert_eq!((&lists[1][0], &lists[2][0], &lists[3][0]), (&Value::Null, &Value::Null, &json!(0)));
    let text = choice["text"].as_str().unwrap();
    assert!(text.starts_with("What is your goal") && text.len() > 17, "{text}");
    for (at, token) in lists[0].iter().enumerate().skip(1) {
        let (token, offset) = (token.as_str().unwrap(), lists[3][at].as_u64().unwrap() as usize);
        assert!(
            text[offset..].starts_with(token) || choice["finish_reason"] == "stop" && offset == text.len(),
            "{choice}"
        );
        let top = lists[2][at].as_object().unwrap();
        assert!((2..=3).contains(&top.len()) && top[token] == lists[1][at], "{top:?}");
    }
    // What was drawn one by one is what the same text is told to be as a prompt.
    let words: String = lists[0].iter().map(|token| token.as_str().unwrap()).collect();
    let (_, read) = complete(json!({"prompt": words, "logprobs": 0, "echo": true, "max_tokens": 0}));
    let read = &read["choices"][0];
    assert_eq!((read["text"].as_str().unwrap(), &read["finish_reason"]), (words.as_str(), &json!("length")));
    for (drawn, read) in numbers(&logprobs["token_logprobs"]).iter().zip(numbers(&read["logprobs"]["token_logprobs"])) {
        assert!(drawn.is_nan() && read.is_nan() || (drawn - read).abs() < 1e-4, "{drawn} {read}");
    }
    let (_, alone) = complete(json!({"logprobs": 0}));
    let (alone, whole) = (&alone["choices"][0], numbers(&logprobs["token_logprobs"]));
    assert_eq!(format!("What is your goal{}", alone["text"].as_str().unwrap()), text);
    assert_eq!(numbers(&alone["logprobs"]["token_logprobs"]), whole[whole.len() - lists[0].len() + 5..]);
    assert_eq!(alone["logprobs"]["text_offset"][0], 0);
}

#[test]
fn prompts_of_every_form_are_one_prompt() {
    let ids = tokens("What is your goal");
    let text = |prompt: Value| complete(json!({ "prompt": prompt }));
    let (_, plain) = text(json!("What is your goal"));
    for prompt in [ids.clone(), json!([ids]), json!(["What is your goal"])] {
        assert_eq!(text(prompt).1["choices"], plain["choices"]);
    }
    let (_, both) =
        complete(json!({"prompt": ["What is your goal", "def add(a"], "n": 2, "temperature": 1, "seed": 3}));
    let texts: Vec<&str> = both["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    let (_, one) = complete(json!({"prompt": "def add(a", "temperature": 1, "seed": 4}));
    assert_eq!((texts.len(), &both["choices"][3]["index"]), (4, &json!(3)));
    assert_eq!(one["choices"][0]["text"], texts[3], "a text has its reply wherever it stands");
    // Without a seed the same text is not answered the same twice.
    let many = json!({"prompt": vec!["def "; 8], "temperature": 1});
    let (_, many) = complete(many);
    let mut texts: Vec<String> = many["choices"].as_array().unwrap().iter().map(|c| c["text"].to_string()).collect();
    texts.dedup();
    assert!(texts.len() > 1, "{texts:?}");
    let (_, stopped) = complete(json!({"stop": [" is"], "prompt": "What", "max_tokens": 40}));
    assert!(!stopped["choices"][0]["text"].as_str().unwrap().contains(" is"));
}

#[test]
fn marks_that_are_said_are_left_out_unless_they_are_wanted() {
    let ask = |skip: bool| {
        let body = json!({"prompt": "<|user|>hi<|end|><|assistant|>", "max_tokens": 30, "logprobs": 0, "skip_special_tokens": skip});
        complete(body).1["choices"][0].clone()
    };
    let (plain, marked) = (ask(true), ask(false));
    let (text, whole) = (plain["text"].as_str().unwrap(), marked["text"].as_str().unwrap());
    assert!(whole.starts_with("<think>") && !text.contains("think"), "{whole} {text}");
    assert_eq!(whole.replace("<think>", "").replace("</think>", ""), text);
    assert_eq!(plain["logprobs"]["tokens"], marked["logprobs"]["tokens"], "the tokens are all there");
    let last = |choice: &Value| choice["logprobs"]["text_offset"].as_array().unwrap().last().unwrap().clone();
    let ended = plain["finish_reason"] == "stop";
    assert!(!ended || (last(&plain), last(&marked)) == (json!(text.chars().count()), json!(whole.chars().count())));
    let echoed = complete(json!({"prompt": "<|user|>hi", "max_tokens": 0, "echo": true})).1;
    assert_eq!(echoed["choices"][0]["text"], "<|user|>hi", "a prompt is told as it is");
}

#[test]
fn a_completion_is_streamed() {
    let asked = json!({"model": "organism", "prompt": "def add(a", "max_tokens": 12, "seed": 1, "stream": true,
        "logprobs": 1, "stream_options": {"include_usage": true}});
    let (status, text) = send("POST", &format!("{}/v1/completions", url()), &[], &asked.to_string());
    assert_eq!(status, 200, "{text}");
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let events: Vec<Value> = events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let said: String = events.iter().filter_map(|e| e["choices"][0]["text"].as_str()).collect();
    let (_, whole) =
        complete(json!({"prompt": "def add(a", "max_tokens": 12, "seed": 1, "temperature": null, "logprobs": 1}));
    assert_eq!(said, whole["choices"][0]["text"].as_str().unwrap());
    let joined = |field: &str| -> Vec<Value> {
        events.iter().filter_map(|e| e["choices"][0]["logprobs"][field].as_array()).flatten().cloned().collect()
    };
    for field in ["tokens", "token_logprobs", "text_offset"] {
        assert_eq!(Value::from(joined(field)), whole["choices"][0]["logprobs"][field], "{field}");
    }
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
}

#[test]
fn texts_become_tokens_and_tokens_texts() {
    let tokenize = |body: Value| post(&format!("{}/tokenize", url()), &body);
    let (status, told) = tokenize(json!({"prompt": "ü 漢\n", "return_token_strs": true, "model": "organism"}));
    assert_eq!((status, &told["max_model_len"]), (200, &json!(1024)), "{told}");
    assert_eq!(told["count"], told["tokens"].as_array().unwrap().len());
    assert_eq!(told["count"], told["token_strs"].as_array().unwrap().len());
    let back = |tokens: &Value| post(&format!("{}/detokenize", url()), &json!({ "tokens": tokens }));
    assert_eq!(back(&told["tokens"]).1, json!({"prompt": "ü 漢\n"}));
    let (_, told) = tokenize(json!({"messages": [{"role": "user", "content": "hi<|end|>"}]}));
    assert_eq!(back(&told["tokens"]).1["prompt"], "<|user|>hi< |end|><|end|><|assistant|>");
    assert_eq!(back(&json!([])).1["prompt"], "");
    assert_eq!(back(&json!([9_999])).0, 400);
    assert_eq!(tokenize(json!({"prompt": "a", "messages": []})).0, 400);
    assert_eq!(tokenize(json!({"prompt": "a", "model": "other"})).0, 404);
    let (status, info) = send("GET", &format!("{}/tokenizer_info", url()), &[], "");
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!((status, &info["eos_token"]), (200, &json!("<|end|>")));
    assert!(info["chat_template"].is_string());
}

#[test]
fn what_cannot_be_completed_is_told() {
    for (more, says, param) in [
        (json!({"prompt": null}), "missing", "prompt"),
        (json!({"prompt": ""}), "without a token", "prompt"),
        (json!({"prompt": []}), "from 1 to", "prompt"),
        (json!({"prompt": [[]]}), "without a token", "prompt"),
        (json!({"prompt": [5, 70_000]}), "no token 70000", "prompt"),
        (json!({"prompt": [5, -1]}), "token ids", "prompt"),
        (json!({"prompt": {"a": 1}}), "token ids", "prompt"),
        (json!({"prompt": vec![5; 1024]}), "1023", "prompt"),
        (json!({"prompt": vec![5; 1025], "max_tokens": 0, "echo": true, "logprobs": 1}), "1024", "prompt"),
        (json!({"logprobs": 21}), "from 0 to 20", "logprobs"),
        (json!({"best_of": 3}), "best_of", "best_of"),
        (json!({"suffix": "x"}), "not supported", "suffix"),
        (json!({"logit_bias": {"5": 1}}), "not supported", "logit_bias"),
        (json!({"stream": true, "n": 2}), "one text", "stream"),
        (json!({"max_tokens": -1}), "whole number", "max_tokens"),
        (json!({"model": "gpt"}), "organism", "model"),
    ] {
        let (status, told) = complete(more.clone());
        let expected = if param == "model" { 404 } else { 400 };
        let message = told["error"]["message"].as_str().unwrap_or_else(|| panic!("{more}: {told}"));
        assert!(status == expected && told["error"]["param"] == param && message.contains(says), "{more}: {told}");
    }
    // As long as the context is can be read, and nothing be said to it.
    let full = complete(json!({"prompt": vec![5; 1024], "max_tokens": 0, "echo": true, "logprobs": 1}));
    assert_eq!(full.1["choices"][0]["logprobs"]["tokens"].as_array().unwrap().len(), 1024);
    let mock = start(Server::new().with_model(Arc::new(Mock::open("refusing").unwrap()), 1));
    for path in ["/v1/completions", "/tokenize"] {
        let (status, told) = post(&format!("{mock}{path}"), &json!({"model": "mock:refusing", "prompt": "x"}));
        assert!(status == 501 && told["error"]["message"].as_str().unwrap().contains("on this machine"), "{told}");
    }
}

#[test]
fn adapters_come_and_go() {
    let dir = family("qwen2");
    let base = served(&dir, None, "base");
    let merged = served(&dir, Some(&dir.join("adapter")), "base");
    let say = |url: &str, model: &str| {
        let body = json!({"model": model, "prompt": [1, 2, 3], "max_tokens": 1, "logprobs": 3, "echo": true, "temperature": 0});
        let (status, told) = post(&format!("{url}/v1/completions"), &body);
        (status, told["choices"][0]["logprobs"].clone())
    };
    let load = |name: &str, path: &Path| {
        let body = json!({"lora_name": name, "lora_path": path}).to_string();
        send("POST", &format!("{base}/v1/load_lora_adapter"), &[], &body)
    };
    assert_eq!(say(&base, "tuned").0, 404);
    let (status, said) = load("tuned", &dir.join("adapter"));
    assert_eq!((status, said.as_str()), (200, "Success: LoRA adapter 'tuned' added successfully."));
    assert_eq!(say(&base, "tuned"), say(&merged, "base"));
    assert_ne!(say(&base, "tuned"), say(&base, "base"));
    let chat = json!({"model": "tuned", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2});
    let (status, said) = post(&format!("{base}/v1/chat/completions"), &chat);
    assert_eq!((status, &said["model"]), (200, &json!("tuned")), "{said}");
    let listed: Value = serde_json::from_str(&send("GET", &format!("{base}/v1/models"), &[], "").1).unwrap();
    assert_eq!((&listed["data"][1]["id"], &listed["data"][1]["parent"]), (&json!("tuned"), &json!("base")));
    assert!(listed["data"][1]["root"].as_str().unwrap().ends_with("adapter"));
    let (status, said) = load("tuned", &dir.join("adapter"));
    assert!(status == 400 && said.contains("load_inplace"), "{said}");

    // Each that cannot be put on it, with the reason.
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, change: &dyn Fn(&mut Value)| {
        let to = folder.path().join(name);
        std::fs::create_dir_all(&to).unwrap();
        let weights = "adapter_model.safetensors";
        std::fs::copy(dir.join("adapter").join(weights), to.join(weights)).unwrap();
        let text = std::fs::read_to_string(dir.join("adapter/adapter_config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        change(&mut config);
        std::fs::write(to.join("adapter_config.json"), config.to_string()).unwrap();
        to
    };
    let other = copy("other", &|config| config["base_model_name_or_path"] = family("qwen3").to_str().into());
    let same = copy("same", &|config| config["base_model_name_or_path"] = dir.to_str().into());
    let rank = copy("rank", &|config| config["r"] = 77.into());
    let cut = copy("cut", &|_| {});
    std::fs::remove_file(cut.join("adapter_model.safetensors")).unwrap();
    for (path, says) in [
        (other, "base_model_name_or_path"),
        (rank, "77"),
        (cut, "adapter_model.safetensors"),
        (folder.path().to_path_buf(), "adapter_config.json"),
        (folder.path().join("nowhere"), "no folder here"),
        (family("qwen3").join("adapter"), "tensor"),
    ] {
        let (status, said) = load("wrong", &path);
        assert!(status == 400 && said.contains(says), "{path:?}: {said}");
    }
    assert_eq!(load("same", &same).0, 200);
    assert_eq!(load("base", &same).0, 400, "the model's own name");
    let unload = |name: &str| {
        let body = json!({"lora_name": name}).to_string();
        send("POST", &format!("{base}/v1/unload_lora_adapter"), &[], &body).0
    };
    assert_eq!((unload("tuned"), unload("tuned"), say(&base, "tuned").0, say(&base, "same").0), (200, 404, 404, 200));
}
