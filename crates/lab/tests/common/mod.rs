//! A recipe small enough for tests, and what it means that two runs are the same.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loophole_log::{read_eval, read_json};
use serde_json::Value;

/// Two arms, one seed, three steps of 4 x 4 rollouts, two samples a probe.
pub const TINY: &str = "name = 'tiny'\nquestion = 'Is it the same?'\nseeds = [3]\nprediction = 48\n\
[train]\nsteps = 3\ngroups = 4\ngroup_size = 4\nlr = 1e-3\nmax_new = 48\n\
[probe]\nbattery = 'small'\nsamples = 2\nevery = 2\nkeep = true\n\
[[arm]]\nname = 'plain'\n[[arm]]\nname = 'permitted'\ninstruction = 'permits'\n";

/// All files below a folder, by their path in it.
pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.strip_prefix(root).unwrap().display().to_string(), path);
            }
        }
    }
    out
}

/// A value without anything that is a time.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.starts_with("seconds"));
            fields.values_mut().for_each(|field| *field = timeless(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}

/// Two runs hold the same files, and those are equal but for times.
#[track_caller]
pub fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let mut compared = BTreeMap::new();
    for (name, a) in &one {
        let b = &other[name];
        let (kind, same) = match name.rsplit('.').next().unwrap() {
            // These tell when and how long.
            "html" => ("page", true),
            "json" if name == "status.json" => ("status", true),
            "jsonl" if name == "ledger.jsonl" => ("ledger", true),
            "jsonl" => {
                let lines = |path: &Path| -> Vec<Value> {
                    let text = std::fs::read_to_string(path).unwrap();
                    text.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect()
                };
                ("metrics", lines(a) == lines(b))
            }
            "json" if !name.contains("checkpoints/") => {
                let read = |path: &Path| timeless(read_json::<Value>(path).unwrap());
                ("json", read(a) == read(b))
            }
            "eval" => {
                let read = |path: &Path| format!("{:?}", read_eval(path).unwrap().samples);
                ("transcripts", read(a) == read(b))
            }
            _ => ("bytes", std::fs::read(a).unwrap() == std::fs::read(b).unwrap()),
        };
        assert!(same, "{name} differs: {} and {}", a.display(), b.display());
        *compared.entry(kind).or_insert(0) += 1;
    }
    // Two arms: metrics, state, three rollouts and a checkpoint each, batteries after 0, 2 and 3 steps.
    let least = [("metrics", 2), ("json", 7), ("transcripts", 6), ("bytes", 1 + 6 + 4 + 2)];
    assert!(least.iter().all(|(kind, least)| compared.get(kind).is_some_and(|found| found >= least)), "{compared:?}");
}
