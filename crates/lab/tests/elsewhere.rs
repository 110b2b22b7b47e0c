//! What a run leaves behind is opened where it lies, by programs that know nothing of the run.

use std::path::{Path, PathBuf};

use loophole_lab::run::{Outcome, RunOptions};
use loophole_lab::{Recipe, run};
use loophole_lm::Checkpoint;
use serde_json::Value;

const TINY: &str = r#"
name = "tiny"
question = "Does it open elsewhere?"
seeds = [3]
organism = "organism"
prediction = 0
[train]
steps = 1
groups = 2
group_size = 2
lr = 1e-3
warmup = 1
update = UPDATE
[probe]
battery = "small"
samples = 1
every = 9
[[arm]]
name = "plain"
"#;

fn checkpoint(out: &Path, update: &str) -> PathBuf {
    let recipe = Recipe::parse(&TINY.replace("UPDATE", update), "tiny").unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let options = RunOptions { out: out.into(), root, resume: false, jobs: 1, only_arm: None };
    assert!(matches!(run(&recipe, &options, &|_| {}, &|| false).unwrap(), Outcome::Finished(..)));
    out.join("arms/plain/seed-3/checkpoints/step-000001")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn adapters_name_their_base_and_checkpoints_have_their_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = checkpoint(&dir.path().join("low"), "{ low-rank = { rank = 2, alpha = 4.0 } }");
    let named = json(&adapter.join("adapter_config.json"))["base_model_name_or_path"].clone();
    let base = Path::new(named.as_str().unwrap());
    assert!(base.is_absolute() && base.join("config.json").exists(), "{base:?}");
    assert!(loophole_lm::same_weights(base, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../organism")).unwrap());
    let opened = Checkpoint::open_beside(base, &adapter, Some(&adapter), 1).unwrap();
    assert_eq!(opened.stop.len(), 1);
    let whole = checkpoint(&dir.path().join("whole"), "\"full\"");
    let opened = Checkpoint::open(&whole, None, 1).unwrap();
    assert_eq!(opened.stop, [json(&whole.join("generation_config.json"))["eos_token_id"].as_u64().unwrap() as u32]);
    assert!(opened.template.is_ok() && json(&whole.join("tokenizer_config.json"))["chat_template"].is_string());
}
