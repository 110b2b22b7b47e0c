//! Agreement with transformers on random checkpoints of every family: those in `tests/families` (made by
//! `scripts/golden_families.py --small`), and all variants in the folder that `LOOPHOLE_FAMILIES` names.

use loophole_lm::{
    ChatTemplate, Checkpoint, Decoder, Engine, LmError, Lora, Model, Prompt, SampleOptions, Sequence, Tokenizer, sample,
};
use minijinja::Value;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// 2025-03-09 14:05:06, the moment the script fixed.
const NOW: i64 = 1_741_529_106;

/// The largest difference of a logit that is still agreement, where logits are about 5 in size.
const TOLERANCE: f32 = 1e-4;

fn folder() -> PathBuf {
    let frozen = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families");
    std::env::var_os("LOOPHOLE_FAMILIES").map_or_else(frozen, PathBuf::from)
}

fn cases() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), path);
    let mut cases: Vec<_> = entries.filter(|path| path.is_dir()).map(named).collect();
    cases.sort();
    assert!(cases.len() >= 3, "{} holds too few checkpoints", folder().display());
    cases
}

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<u32>,
    rows: Vec<usize>,
    greedy: Vec<u32>,
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The largest difference between the expected rows of logits and those of all positions.
fn worst(expected: &Path, rows: &[usize], got: &[f32]) -> f32 {
    let bytes = std::fs::read(expected).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    let vocab = logits.shape()[1];
    let mut worst = 0.0f32;
    for (row, want) in rows.iter().zip(logits.data().chunks_exact(4 * vocab)) {
        for (got, want) in got[row * vocab..][..vocab].iter().zip(want.as_chunks::<4>().0) {
            worst = worst.max((got - f32::from_le_bytes(*want)).abs());
        }
    }
    worst
}

#[test]
fn logits_and_greedy_continuations_agree_with_transformers() {
    for (name, dir) in cases() {
        let want: Expected = read(&dir.join("expected.json"));
        let options = SampleOptions { temperature: 0.0, max_new: want.greedy.len(), ..SampleOptions::default() };
        let prompts = [Prompt::new(want.tokens.clone(), 1)];
        let mut decoder = Decoder::load(&dir, None, 2).unwrap();
        let large = worst(&dir.join("expected.safetensors"), &want.rows, &decoder.logits(&want.tokens));
        assert_eq!(decoder.sample(&prompts, &options)[0].tokens, want.greedy, "{name}");
        let small = match Model::load(&dir) {
            Ok(model) => {
                let mut engine = Engine::new(&model.config, 2);
                assert_eq!(sample(&mut engine, &model, &prompts, &options)[0].tokens, want.greedy, "{name}");
                worst(&dir.join("expected.safetensors"), &want.rows, &engine.logits(&model, &want.tokens))
            }
            Err(LmError::Config { field, .. }) if field == "sliding_window" => f32::NAN,
            Err(error) => panic!("{name}: {error}"),
        };
        println!("{name}: largest difference of a logit {large:.1e} (decoder), {small:.1e} (engine)");
        assert!(large <= TOLERANCE && (small <= TOLERANCE || small.is_nan()), "{name}: {large} {small}");
    }
}

#[test]
fn adapters_agree_with_peft() {
    let mut found = 0;
    for (name, dir) in cases() {
        let adapter = dir.join("adapter");
        if !adapter.exists() {
            continue;
        }
        found += 1;
        let want: Expected = read(&dir.join("expected.json"));
        let expected = adapter.join("expected.safetensors");
        let large = Decoder::load(&dir, Some(&adapter), 1).unwrap().logits(&want.tokens);
        let base = Model::load(&dir).unwrap();
        let merged = Lora::load(&base.config, &adapter).unwrap().merged(&base);
        let mut engine = Engine::new(&base.config, 1);
        let small = engine.logits(&merged, &want.tokens);
        let changed = worst(&expected, &want.rows, &engine.logits(&base, &want.tokens));
        let (large, small) = (worst(&expected, &want.rows, &large), worst(&expected, &want.rows, &small));
        println!("{name}: with the adapter {large:.1e} (decoder), {small:.1e} (engine); it changes {changed:.2}");
        assert!(large <= TOLERANCE && small <= TOLERANCE && changed > 0.1, "{name}");
    }
    assert!(found > 0 || std::env::var_os("LOOPHOLE_FAMILIES").is_some(), "no adapter was compared");
    if found == 0 {
        println!("SKIPPED: no adapters were made, PEFT was not there");
    }
}

#[derive(Deserialize)]
struct ExpectedText {
    templates: BTreeMap<String, String>,
    texts: Vec<Text>,
    prompts: Vec<Rendered>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    tokens: Vec<u32>,
    decoded: String,
}

#[derive(Deserialize)]
struct Rendered {
    template: String,
    messages: Vec<Value>,
    #[serde(default)]
    tools: Vec<Value>,
    open: bool,
    #[serde(default)]
    more: BTreeMap<String, Value>,
    text: Option<String>,
    error: Option<String>,
}

#[test]
fn tokens_agree_with_transformers() {
    let mut compared = 0;
    for (name, dir) in cases() {
        if !dir.join("expected_text.json").exists() {
            continue;
        }
        let want: ExpectedText = read(&dir.join("expected_text.json"));
        let tokenizer = Tokenizer::load(&dir).unwrap();
        for Text { text, tokens, decoded } in want.texts {
            assert_eq!(tokenizer.encode(&text), tokens, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&tokens), decoded, "{name}: {text:?}");
            compared += 1;
        }
    }
    assert!(compared > 30);
}

#[test]
fn prompts_agree_with_transformers() {
    let (mut same, mut refused) = (0, 0);
    for (name, dir) in cases() {
        if !dir.join("expected_text.json").exists() {
            continue;
        }
        let want: ExpectedText = read(&dir.join("expected_text.json"));
        let mut own = ChatTemplate::load(&dir).unwrap();
        own.now = Some(NOW);
        let settings: serde_json::Value = read(&dir.join("tokenizer_config.json"));
        let special = ["bos_token", "eos_token", "pad_token", "unk_token"];
        let special = special.iter().filter_map(|key| Some((key.to_string(), settings[*key].as_str()?.to_string())));
        let special: BTreeMap<String, String> = special.collect();
        for case in want.prompts {
            let source = want.templates[&case.template].clone();
            let templates = BTreeMap::from([("default".to_string(), source)]);
            let mut template = ChatTemplate::new(templates, special.clone(), "template".into()).unwrap();
            template.now = Some(NOW);
            let more: Vec<(&str, Value)> = case.more.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            let place = format!("{name}: {}: {}", case.template, Value::from(case.messages.clone()));
            let got = template.render(&case.messages, &case.tools, case.open, &more);
            match (case.text, case.error) {
                (Some(text), _) => {
                    assert_eq!(got.unwrap_or_else(|e| panic!("{place}: {e}")), text, "{place}");
                    same += 1;
                }
                (None, error) => {
                    let error = error.unwrap_or_default();
                    let said = got.expect_err(&place).to_string();
                    // What the template says itself is said; what Python says is said in other words.
                    let own = !error.contains("object");
                    assert!(!own || said.contains(&error), "{place}: {said}; expected {error}");
                    refused += 1;
                }
            }
        }
        let hello: Vec<Value> = vec![Value::from_pairs([("role", "user"), ("content", "hello")])];
        let text = own.render(&hello, &[] as &[Value], true, &[]).unwrap();
        assert!(text.contains("hello"), "{name}: {text}");
    }
    println!("{same} prompts are identical, {refused} are refused by both");
    assert!(same > 20 && refused > 0);
}

#[test]
fn a_checkpoint_talks_and_stops() {
    for (name, dir) in cases() {
        let Ok(text) = std::fs::read_to_string(dir.join("generation_config.json")) else { continue };
        if !dir.join("tokenizer.json").exists() {
            let error = Checkpoint::open(&dir, None, 1).err().unwrap();
            assert!(error.to_string().contains("tokenizer.json"), "{error}");
            continue;
        }
        let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut checkpoint = Checkpoint::open(&dir, None, 2).unwrap();
        assert_eq!(listed["eos_token_id"].as_array().unwrap().len(), 2, "{name}");
        assert!(checkpoint.stop.len() == 2 && checkpoint.stop.contains(&5), "{name}: {:?}", checkpoint.stop);
        let messages = [loophole_message::Message::user("hi")];
        let text = checkpoint.template.as_ref().unwrap().render_chat(&messages, &[], true).unwrap();
        let tokens = checkpoint.tokenizer.encode(&text);
        let options = SampleOptions { max_new: 200, stop: checkpoint.stop.clone(), ..SampleOptions::default() };
        let prompts: Vec<Prompt> = (0..8).map(|seed| Prompt::new(tokens.clone(), seed)).collect();
        let out = checkpoint.runner.sample_watched(&prompts, &options, &|_| true);
        for completion in &out {
            assert_eq!(completion.stopped, options.stop.contains(completion.tokens.last().unwrap()), "{name}");
        }
    }
}

/// What a conversation is answered depends neither on what was asked before, nor on the company, nor on the threads.
#[test]
fn a_row_of_a_decoder_depends_on_its_request_alone() {
    for (name, dir) in cases() {
        let want: Expected = read(&dir.join("expected.json"));
        let options = SampleOptions { max_new: 40, stop: vec![7], ..SampleOptions::default() };
        let prompts: Vec<Prompt> =
            (0..40).map(|i| Prompt::new(want.tokens[..3 + i % 7 * 6].to_vec(), i as u64)).collect();
        let mut decoder = Decoder::load(&dir, None, 2).unwrap();
        let together = decoder.sample(&prompts, &options);
        for at in [0, 3, 17, 39] {
            let mut fresh = Decoder::load(&dir, None, 1).unwrap();
            let alone = fresh.sample(&prompts[at..=at], &options);
            assert_eq!(alone[0], together[at], "{name}: row {at}");
            // Scored in one pass, the same tokens have the same probabilities, up to rounding.
            let tokens = [prompts[at].tokens.clone(), alone[0].tokens.clone()].concat();
            let first = prompts[at].tokens.len();
            let weights = (0..tokens.len()).map(|t| if t < first { 0.0 } else { 1.0 }).collect();
            let scored = fresh.log_probs(&[Sequence::new(tokens.clone(), weights)]);
            assert_eq!(scored[0].len(), alone[0].log_probs.len());
            for (a, b) in scored[0].iter().zip(&alone[0].log_probs) {
                assert!((a - b).abs() < 1e-4, "{name}: {a} {b}");
            }
            let all = fresh.log_probs(&[Sequence::all(tokens)]);
            assert_eq!(all[0][first - 1..], scored[0], "{name}");
        }
    }
}

#[test]
fn what_is_not_supported_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (_, source) = cases().into_iter().find(|(name, _)| name == "qwen2").unwrap();
    let copy = |name: &str| std::fs::copy(source.join(name), dir.path().join(name)).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        copy(name);
    }
    let config: serde_json::Value = read(&source.join("config.json"));
    let error = |changes: serde_json::Value| {
        let mut config = config.clone();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let error =
            Checkpoint::open(dir.path(), None, 1).err().unwrap_or_else(|| panic!("{changes} is taken")).to_string();
        assert!(error.contains(dir.path().to_str().unwrap()), "{error} names no file");
        error
    };
    for (changes, said) in [
        (serde_json::json!({"model_type": "gpt2"}), "gpt2"),
        (serde_json::json!({"architectures": ["Qwen2ForSequenceClassification"]}), "Qwen2ForSequenceClassification"),
        (serde_json::json!({"quantization_config": {"quant_method": "awq"}}), "awq"),
        (serde_json::json!({"hidden_act": "gelu"}), "gelu"),
        (serde_json::json!({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}), "longrope"),
        (serde_json::json!({"rope_parameters": {"rope_type": "linear"}}), "factor"),
        (serde_json::json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}), "differ between layers"),
        (serde_json::json!({"num_hidden_layers": 3}), "layers.2"),
        (serde_json::json!({"num_hidden_layers": -1}), "num_hidden_layers"),
        (serde_json::json!({"hidden_size": 64}), "shape"),
        (serde_json::json!({"hidden_size": u64::MAX}), "hidden_size"),
        (serde_json::json!({"num_key_value_heads": 3}), "num_key_value_heads"),
        (serde_json::json!({"tie_word_embeddings": false}), "lm_head.weight"),
        (serde_json::json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}), "bias"),
        (serde_json::json!({"vocab_size": 100}), "vocab_size"),
    ] {
        let got = error(changes);
        assert!(got.contains(said), "{got}; expected {said}");
    }
    copy("config.json");
    Checkpoint::open(dir.path(), None, 1).unwrap();
    std::fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    let checkpoint = Checkpoint::open(dir.path(), None, 1).unwrap();
    let error = checkpoint.template.err().unwrap().to_string();
    assert!(error.contains("chat_template.jinja") && error.contains("instruct"), "{error}");
    let weights = std::fs::read(source.join("model.safetensors")).unwrap();
    std::fs::write(dir.path().join("model.safetensors"), &weights[..weights.len() - 9]).unwrap();
    let error = Checkpoint::open(dir.path(), None, 1).err().unwrap().to_string();
    assert!(error.contains("cut off"), "{error}");
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    std::fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
    let error = Checkpoint::open(dir.path(), None, 1).err().unwrap().to_string();
    assert!(error.contains("pickle"), "{error}");
    let missing: Result<IgnoredAny, _> = Config::parse("{", Path::new("config.json")).map(|_| IgnoredAny);
    assert!(missing.unwrap_err().to_string().contains("config.json"));
}

use loophole_lm::Config;
use proptest::prelude::*;

/// A JSON value that a field of a configuration might hold by mistake.
fn odd() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (0u64..70).prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z0-9_]{0,8}".prop_map(Into::into),
        prop::collection::vec((0u64..9).prop_map(serde_json::Value::from), 0..4).prop_map(Into::into),
        Just(serde_json::json!({"rope_type": "llama3", "factor": 8})),
        Just(
            serde_json::json!({"rope_type": "yarn", "rope_theta": 1.0, "factor": 1e300, "original_max_position_embeddings": 1e-300})
        ),
        Just(serde_json::json!({"type": "linear", "factor": -1})),
    ]
}

const FIELDS: [&str; 22] = [
    "model_type",
    "architectures",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "tie_word_embeddings",
    "attention_bias",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "layer_types",
    "eos_token_id",
    "quantization_config",
];

proptest! {
    #[test]
    fn any_config_is_read_or_refused(
        family in prop::sample::select(vec!["llama", "qwen2", "qwen3", "gemma3_text"]),
        changes in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), odd()), 0..4),
    ) {
        let mut json = serde_json::json!({"model_type": family, "use_sliding_window": true});
        for (field, value) in changes {
            json[field] = value;
        }
        if let Ok(config) = Config::parse(&json.to_string(), Path::new("config.json")) {
            // Sizes that passed are ones that can be computed with, and written and read again.
            prop_assert!(config.head_dim() * config.num_attention_heads < 1 << 48);
            let again = Config::parse(&config.to_hf_json("float32"), Path::new("config.json")).unwrap();
            prop_assert_eq!(&Config { head_dim: Some(config.head_dim()), ..config }, &again);
            if again.num_hidden_layers < 50 {
                loophole_lm::views(&again);
            }
        }
    }

    #[test]
    fn any_text_is_no_config(text in "\\PC{0,60}") {
        prop_assert!(Config::parse(&text, Path::new("config.json")).is_err());
    }
}
