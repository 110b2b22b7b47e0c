//! Gemma 3 against its formulas, written down in f64 and without a cache: what its paper (arXiv 2503.19786) and
//! transformers' `modeling_gemma3.py` say, with nothing shared with this crate.

use loophole_lm::{At, Capture, Config, Decoder, Edits, LmError, Model, Prompt, SampleOptions, Text};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::path::Path;

const H: usize = 32;
const INTER: usize = 48;
const LAYERS: usize = 7;
const HEADS: usize = 4;
const KV: usize = 2;
const HD: usize = 16;
const VOCAB: usize = 50;
const WINDOW: usize = 40;
const EPS: f64 = 1e-6;
/// Queries are divided by the root of this, and not of the width of a head.
const SCALAR: f64 = 24.0;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tensors() -> Tensors {
    let mut out = Tensors::new();
    let mut state = 17u64;
    let mut put = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.7
        });
        let values = values.collect();
        out.insert(format!("{name}.weight"), (shape.to_vec(), values));
    };
    put("model.embed_tokens".into(), &[VOCAB, H]);
    put("model.norm".into(), &[H]);
    for l in 0..LAYERS {
        let p = format!("model.layers.{l}");
        for (name, out, inp) in [
            ("self_attn.q_proj", HEADS * HD, H),
            ("self_attn.k_proj", KV * HD, H),
            ("self_attn.v_proj", KV * HD, H),
            ("self_attn.o_proj", H, HEADS * HD),
            ("mlp.gate_proj", INTER, H),
            ("mlp.up_proj", INTER, H),
            ("mlp.down_proj", H, INTER),
        ] {
            put(format!("{p}.{name}"), &[out, inp]);
        }
        for name in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
            put(format!("{p}.{name}_layernorm"), &[H]);
        }
        put(format!("{p}.self_attn.q_norm"), &[HD]);
        put(format!("{p}.self_attn.k_norm"), &[HD]);
    }
    out
}

fn write(dir: &Path, tensors: &Tensors, config: &serde_json::Value) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name.clone(), shape.clone(), values.iter().flat_map(|x| x.to_le_bytes()).collect())
        })
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(dir.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
}

/// As transformers 4 writes it; what is as usual is left out, the tied head and the 5 to 1 of the windows among it.
fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "hidden_size": H,
        "intermediate_size": INTER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV, "head_dim": HD, "vocab_size": VOCAB, "max_position_embeddings": 256,
        "sliding_window": WINDOW, "query_pre_attn_scalar": SCALAR, "hidden_activation": "gelu_pytorch_tanh",
        "rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "final_logit_softcapping": null,
    })
}

fn product(weight: &[f32], x: &[f64]) -> Vec<f64> {
    weight.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
}

fn norm(weight: &[f32], x: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(x, w)| x / (mean + EPS).sqrt() * (1.0 + f64::from(*w))).collect()
}

fn rotated(head: &[f64], position: usize, theta: f64) -> Vec<f64> {
    let half = HD / 2;
    let at = |i: usize| {
        let angle = position as f64 * theta.powf(-2.0 * (i % half) as f64 / HD as f64);
        let other = if i < half { -head[i + half] } else { head[i - half] };
        head[i] * angle.cos() + other * angle.sin()
    };
    (0..HD).map(at).collect()
}

/// What each block hands on, `[block][row]`, and the logits, `[row]`.
fn reference(tensors: &Tensors, tokens: &[u32]) -> (Vec<Vec<Vec<f64>>>, Vec<Vec<f64>>) {
    let w = |name: &str| &tensors[&format!("{name}.weight")].1[..];
    let embed = w("model.embed_tokens");
    let mut x: Vec<Vec<f64>> = tokens
        .iter()
        .map(|t| embed[*t as usize * H..][..H].iter().map(|e| f64::from(*e) * (H as f64).sqrt()).collect())
        .collect();
    let mut handed_on = Vec::new();
    for l in 0..LAYERS {
        let of = |name: &str| w(&format!("model.layers.{l}.{name}"));
        let local = l % 6 != 5;
        let theta = if local { 1e4 } else { 1e6 };
        let heads = |name: &str, normed: &[f64], p: usize| -> Vec<Vec<f64>> {
            let all = product(of(&format!("self_attn.{name}_proj")), normed);
            all.chunks_exact(HD)
                .map(|head| match name {
                    "v" => head.to_vec(),
                    _ => rotated(&norm(of(&format!("self_attn.{name}_norm")), head), p, theta),
                })
                .collect()
        };
        let normed: Vec<Vec<f64>> = x.iter().map(|x| norm(of("input_layernorm"), x)).collect();
        let all =
            |name: &str| -> Vec<Vec<Vec<f64>>> { normed.iter().enumerate().map(|(p, n)| heads(name, n, p)).collect() };
        let (q, k, v) = (all("q"), all("k"), all("v"));
        for p in 0..x.len() {
            let first = if local { (p + 1).saturating_sub(WINDOW) } else { 0 };
            let mut mixed = Vec::new();
            for (head, asks) in q[p].iter().enumerate() {
                let kv = head / (HEADS / KV);
                let score = |s: usize| asks.iter().zip(&k[s][kv]).map(|(a, b)| a * b).sum::<f64>();
                let weights: Vec<f64> = (first..=p).map(|s| (score(s) / SCALAR.sqrt()).exp()).collect();
                let sum: f64 = weights.iter().sum();
                mixed.extend(
                    (0..HD)
                        .map(|i| (first..=p).zip(&weights).map(|(s, weight)| weight / sum * v[s][kv][i]).sum::<f64>()),
                );
            }
            let added = norm(of("post_attention_layernorm"), &product(of("self_attn.o_proj"), &mixed));
            x[p].iter_mut().zip(added).for_each(|(x, a)| *x += a);
            let normed = norm(of("pre_feedforward_layernorm"), &x[p]);
            let (gate, up) = (product(of("mlp.gate_proj"), &normed), product(of("mlp.up_proj"), &normed));
            let gelu =
                |g: f64| 0.5 * g * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g.powi(3))).tanh());
            let act: Vec<f64> = gate.into_iter().zip(up).map(|(g, u)| gelu(g) * u).collect();
            let added = norm(of("post_feedforward_layernorm"), &product(of("mlp.down_proj"), &act));
            x[p].iter_mut().zip(added).for_each(|(x, a)| *x += a);
        }
        handed_on.push(x.clone());
    }
    let logits = x.iter().map(|x| product(embed, &norm(w("model.norm"), x))).collect();
    (handed_on, logits)
}

fn worst(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max)
}

#[test]
fn logits_activations_and_greedy_continuations_agree_with_the_formulas() {
    let (dir, tensors) = (tempfile::tempdir().unwrap(), tensors());
    write(dir.path(), &tensors, &config());
    let mut decoder = Decoder::load(dir.path(), None, 2).unwrap();
    let tokens: Vec<u32> = (0..90).map(|i| ((i * i * 7 + i * 3 + 5) % VOCAB) as u32).collect();
    let (handed_on, logits) = reference(&tensors, &tokens);
    let worst_logit = worst(&decoder.logits(&tokens), &logits.concat());
    let layers: Vec<usize> = (0..LAYERS).collect();
    let places = [(0..tokens.len()).collect::<Vec<usize>>()];
    let capture = Capture { layers: &layers, at: At::Positions(&places) };
    let got = decoder.activations(&[Text::prompt(&tokens)], &capture, &Edits::default());
    let mut worst_row = 0.0f64;
    for (layer, wanted) in handed_on.iter().enumerate() {
        for (row, wanted) in wanted.iter().enumerate() {
            worst_row = worst_row.max(worst(got.get(row, layer), wanted));
        }
    }
    println!("largest difference of a logit {worst_logit:.1e}, of an activation {worst_row:.1e}");
    assert!(worst_logit <= 1e-4 && worst_row <= 1e-4, "{worst_logit} {worst_row}");
    let options = SampleOptions { temperature: 0.0, max_new: 20, ..SampleOptions::default() };
    let said = decoder.sample(&[Prompt::new(tokens[..60].to_vec(), 1)], &options)[0].clone();
    let whole = [&tokens[..60], &said.tokens].concat();
    for (row, token) in reference(&tensors, &whole).1[59..].iter().zip(&said.tokens) {
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        assert!(row[*token as usize] > largest - 1e-4, "not the likeliest");
    }
}

#[test]
fn its_config_is_read_in_both_forms_and_the_engine_refuses_it() {
    let (dir, tensors) = (tempfile::tempdir().unwrap(), tensors());
    write(dir.path(), &tensors, &config());
    let parse = |json: &serde_json::Value| Config::parse(&json.to_string(), Path::new("config.json"));
    let old = parse(&config()).unwrap();
    assert!(old.tie_word_embeddings && old.sliding_layers == [true, true, true, true, true, false, true]);
    let mut new = config();
    let fields = new.as_object_mut().unwrap();
    fields.remove("rope_theta");
    fields.remove("rope_local_base_freq");
    new["rope_parameters"] = serde_json::json!({
        "full_attention": {"rope_type": "linear", "rope_theta": 5e5, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
    });
    let config = parse(&new).unwrap();
    assert_eq!((config.rope_theta, config.rope_local_base_freq), (5e5, Some(2e4)));
    assert!(config.rope_scaling.is_some());
    for (field, value) in [
        ("final_logit_softcapping", serde_json::json!(30.0)),
        ("hidden_activation", "silu".into()),
        ("query_pre_attn_scalar", serde_json::json!(-1)),
    ] {
        let error = parse(&serde_json::json!({"model_type": "gemma3_text", field: value})).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
    for window in [WINDOW, 4096] {
        let mut config = self::config();
        config["sliding_window"] = window.into();
        write(dir.path(), &tensors, &config);
        let error = Model::load(dir.path()).unwrap_err();
        assert!(matches!(error, LmError::Config { .. }), "{error}");
    }
}
