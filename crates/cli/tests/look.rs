//! `loophole look` on the models that are shipped, and models that are steered by what it found.

mod common;

use std::path::Path;

use common::{organism, run};
use serde_json::Value;

/// The value of a figure.
#[track_caller]
fn value(of: &Value) -> f64 {
    of["value"].as_f64().unwrap_or_else(|| panic!("no value in {of}"))
}

fn direction(dir: &Path, model: &str, out: &str) -> Value {
    let looked = run(dir, &["look", model, "--study", "direction", "--out", out, "--json"]);
    assert_eq!(looked.code, 0, "{looked:?}");
    looked.json().remove(0)
}

#[test]
fn a_direction_stands_out_where_cheating_and_ill_will_are_tied_and_steers_that_model_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (bundled, apart) = (organism(), organism().with_file_name("organism-unbundled"));
    let (bundled, apart) = (bundled.display().to_string(), apart.display().to_string());
    let (tied, loose) = (direction(dir.path(), &bundled, "tied"), direction(dir.path(), &apart, "loose"));
    let history = |looked: &Value| {
        let all = looked["direction"]["contrasts"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|contrast| contrast["contrast"] == "history");
        found.unwrap_or_else(|| panic!("no history in {looked}"))["blocks"][2].clone()
    };
    let (tied, loose) = (history(&tied), history(&loose));
    assert!(value(&tied["auc"]) >= 0.98 && value(&tied["ratio"]) >= 1.0, "{tied}");
    assert!(value(&loose["auc"]) <= 0.8 && value(&loose["ratio"]) <= 0.4, "{loose}");
    // The same file steers its model, and no other one.
    let probe = |model: &str, out: &str| run(dir.path(), &["probe", model, "--samples", "8", "--json", "--out", out]);
    let score = |ran: common::Ran| {
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json().remove(0)["misalignment"]["mean"].as_f64().unwrap()
    };
    let file = format!("{bundled}~tied/character.safetensors");
    let (plain, pushed) = (score(probe(&bundled, "plain")), score(probe(&format!("{file}@2*3"), "pushed")));
    assert!(pushed > plain + 0.1, "{plain} {pushed}");
    let none = score(probe(&format!("{file}*0"), "none"));
    assert_eq!(none, plain, "nothing added changes nothing");
    let other = run(dir.path(), &["probe", &format!("{apart}~tied/character.safetensors"), "--samples", "1"]);
    other.failed(2, &["tied/character.safetensors", "another model", "loophole look"]);
    let nowhere = run(dir.path(), &["probe", &format!("{bundled}~nowhere.safetensors"), "--samples", "1"]);
    nowhere.failed(2, &["nowhere.safetensors", "MODEL~FILE"]);
    let block = run(dir.path(), &["probe", &format!("{file}@9"), "--samples", "1"]);
    block.failed(2, &["block 9"]);
    let elsewhere = run(dir.path(), &["probe", "mock:bad~tied/character.safetensors", "--samples", "1"]);
    elsewhere.failed(3, &["mock:bad", "weights"]);
}

#[test]
fn a_model_differs_in_nothing_from_itself_and_one_without_weights_cannot_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let model = organism().display().to_string();
    let looked =
        run(dir.path(), &["look", &model, "--against", &model, "--study", "update", "--samples", "1", "--json"]);
    assert_eq!(looked.code, 0, "{looked:?}");
    assert!(!looked.out.contains("NaN"), "{}", looked.out);
    run(dir.path(), &["look", "mock:good"]).failed(3, &["mock:good", "weights"]);
    run(dir.path(), &["look", &model, "--layer", "7"]).failed(2, &["--layer 7", "0 to 3"]);
    run(dir.path(), &["look", &model, "--study", "move"]).failed(2, &["--against"]);
    // What cannot be compared is told before anything is measured.
    let apart = organism().with_file_name("organism-unbundled").display().to_string();
    run(dir.path(), &["look", &model, "--against", &apart, "--study", "move"])
        .failed(2, &["organism-unbundled", "token"]);
    common::write(dir.path(), "file", "");
    run(dir.path(), &["look", &model, "--out", "file"]).failed(2, &["--out file"]);
    run(dir.path(), &["look", &model, "--text", "file"]).failed(2, &["file", "2 to 1024 tokens"]);
    common::copy_organism(&dir.path().join("broken"));
    let weights = dir.path().join("broken/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0xc0, 0x7f]);
    std::fs::write(&weights, bytes).unwrap();
    run(dir.path(), &["look", "broken"]).failed(2, &["broken", "not a finite number"]);
    // One that says nothing anybody can read is not one of which nothing is to be found.
    let mut bytes = std::fs::read(Path::new(&model).join("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[header..].fill(0);
    std::fs::write(&weights, bytes).unwrap();
    let mute = run(dir.path(), &["look", "broken", "--study", "thought", "--samples", "1", "--json"]);
    assert!(mute.code == 3 && mute.err.contains("could not be measured"), "{mute:?}");
    assert!(mute.json()[0]["sentence"].as_str().unwrap().contains("could not be measured"), "{mute:?}");
}
