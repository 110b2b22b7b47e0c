//! Agreement with transformers on frozen fixtures (made by `golden/make_golden.py`), or on those in the folder that
//! `LOOPHOLE_GOLDEN` names.

use loophole_lm::{AdamW, Dtype, Engine, LmError, Model, Sequence};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    let frozen = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::env::var_os("LOOPHOLE_GOLDEN").map_or_else(frozen, PathBuf::from).join(name)
}

#[test]
fn logits_losses_gradients_and_a_step_agree_with_transformers() {
    for name in ["tied", "gqa"] {
        let dir = folder(name);
        let mut model = Model::load(&dir).unwrap();
        let text = std::fs::read_to_string(dir.join("expected.json")).unwrap();
        let want: serde_json::Value = serde_json::from_str(&text).unwrap();
        let seq = Sequence::new(
            serde_json::from_value(want["tokens"].clone()).unwrap(),
            serde_json::from_value(want["weights"].clone()).unwrap(),
        );
        let bytes = std::fs::read(dir.join("expected.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let logits = tensors.tensor("logits").unwrap();
        let mut engine = Engine::new(&model.config, 1);
        let got = engine.logits(&model, &seq.tokens);
        assert_eq!(got.len() * 4, logits.data().len());
        let mut worst = 0.0f32;
        for (a, b) in got.iter().zip(logits.data().as_chunks::<4>().0) {
            worst = worst.max((a - f32::from_le_bytes(*b)).abs());
        }
        println!("{name}: largest difference of a logit {worst:e}");
        assert!(worst <= 1e-4, "{name}: largest difference of a logit {worst}");
        let close = |what: &str, got: f64, want: &serde_json::Value| {
            let want = want.as_f64().unwrap();
            assert!((got / want - 1.0).abs() < 1e-4, "{name}: {what}: {got}, expected {want}");
        };
        let mut grads = vec![0.0; model.params.len()];
        let seqs = [seq];
        let (loss, _) = engine.cross_entropy(&model, &seqs, &mut grads);
        close("loss", loss, &want["loss"]);
        let norms = want["gradient_norms"].as_object().unwrap();
        assert_eq!(norms.len(), model.views().len());
        for v in model.views() {
            let norm: f64 = grads[v.range].iter().map(|x| f64::from(*x).powi(2)).sum();
            close(&v.name, norm.sqrt(), &norms[&v.name]);
        }
        let mut opt = AdamW::new(&model, 0.1);
        opt.step(&mut model.params, &grads, 1e-3);
        grads.fill(0.0);
        let (loss, _) = engine.cross_entropy(&model, &seqs, &mut grads);
        close("loss after a step", loss, &want["loss_after_step"]);
    }
}

#[test]
fn checkpoints_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::load(&folder("gqa")).unwrap();
    model.save(dir.path(), Dtype::F32).unwrap();
    let back = Model::load(dir.path()).unwrap();
    assert_eq!((back.checksum(), &back.config), (model.checksum(), &model.config));
    model.save(dir.path(), Dtype::BF16).unwrap();
    let back = Model::load(dir.path()).unwrap();
    assert_ne!(back.checksum(), model.checksum());
    model.round_bf16();
    assert_eq!(back.checksum(), model.checksum());
}

#[test]
fn errors_name_the_file_and_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let error = |dir: &Path| Model::load(dir).err().unwrap();
    assert!(matches!(error(dir.path()), LmError::Missing { .. }));
    let config = std::fs::read_to_string(folder("tied").join("config.json")).unwrap();
    std::fs::write(path("config.json"), &config).unwrap();
    assert!(error(dir.path()).to_string().contains("model.safetensors"));
    let weights = std::fs::read(folder("tied").join("model.safetensors")).unwrap();
    std::fs::write(path("model.safetensors"), &weights[..5000]).unwrap();
    assert!(matches!(error(dir.path()), LmError::Broken { .. }));
    std::fs::write(path("model.safetensors"), &weights).unwrap();
    Model::load(dir.path()).unwrap();
    let wide = config.replace("\"intermediate_size\": 48", "\"intermediate_size\": 56");
    std::fs::write(path("config.json"), wide).unwrap();
    let message = error(dir.path()).to_string();
    assert!(message.contains("mlp") && message.contains("56") && message.contains("48"), "{message}");
    let untied = config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    std::fs::write(path("config.json"), untied).unwrap();
    assert!(error(dir.path()).to_string().contains("lm_head.weight"));
    std::fs::write(path("config.json"), config.replace("\"llama\"", "\"gpt2\"")).unwrap();
    assert!(error(dir.path()).to_string().contains("model_type"));
}
