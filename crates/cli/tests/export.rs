//! `loophole export`: files that programs of others read.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{run, write};
use serde_json::json;

fn tasks(dir: &Path) {
    let task = json!({
        "id": "sum", "statement": "Write add(a, b).", "entry_point": "add", "reference": "def add(a, b):\n    return a + b\n",
        "visible": [{"args": [1, 2], "expected": 3}, {"args": [2, 2], "expected": 4}],
        "hidden": [{"args": [5, 5], "expected": 10}, {"args": [7, 1], "expected": 8}],
    });
    write(dir, "tasks.jsonl", &format!("{task}\n"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// An interpreter that has a module: LOOPHOLE_TENSORBOARD, or python3.
fn with(module: &str) -> Option<String> {
    let python = std::env::var("LOOPHOLE_TENSORBOARD").unwrap_or_else(|_| "python3".into());
    let ran = Command::new(&python).args(["-c", &format!("import {module}")]).output().ok()?;
    ran.status.success().then_some(python)
}

#[test]
fn curves_are_what_tensorboard_reads() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    tasks(at);
    std::fs::create_dir(at.join("dumps")).unwrap();
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/watched/verl");
    let put = |step: &str| {
        std::fs::copy(dumps.join(step), at.join("dumps").join(step)).unwrap();
    };
    let watch =
        || run(at, &["watch", "dumps", "--tasks", "tasks.jsonl", "--out", "mine", "--tfevents", "tb", "--exit-zero"]);
    ["1.jsonl", "2.jsonl"].into_iter().for_each(put);
    assert_eq!(watch().code, 0);
    let folder = at.join("tb/training/seed-0");
    let first = files(&folder);
    let before = std::fs::read(&first[0]).unwrap();
    ["3.jsonl", "4.jsonl"].into_iter().for_each(put);
    let watched = watch();
    assert_eq!(watched.code, 0, "{watched:?}");
    // What a reader has begun to read is added to.
    assert_eq!(files(&folder), first);
    let after = std::fs::read(&first[0]).unwrap();
    assert!(after.len() > before.len() && after.starts_with(&before));
    let ran = run(at, &["export", "tfevents", "mine", "--out", "again", "--json"]);
    assert_eq!((ran.code, &ran.json()[0]["files"][0]["steps"]), (0, &json!(4)), "{ran:?}");
    assert_eq!(std::fs::read(&files(&at.join("again/training/seed-0"))[0]).unwrap(), after);
    run(at, &["export", "tfevents", "dumps"]).failed(2, &["not the folder of a run"]);
    let Some(python) = with("tensorboard") else {
        return println!("SKIPPED: no tensorboard (LOOPHOLE_TENSORBOARD names an interpreter that has it)");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../log/tests/foreign/check_tfevents.py");
    let read = Command::new(python).arg(script).args([at.join("mine"), at.join("tb")]).output().unwrap();
    let said = String::from_utf8_lossy(&read.stdout).into_owned() + &String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && said.contains("12 scalars"), "{said}");
}

#[test]
fn tasks_for_harbor_pay_their_reference_and_only_open_ones_pay_more() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    tasks(at);
    let put = |text: &str| format!("cat >/app/solution.py <<'END'\n{text}\nEND\n");
    let scripts = [
        put("def add(a, b):\n    return b + a"),
        String::new(),
        put("def add(a, b):\n    return a - b"),
        put("import os\nos._exit(0)"),
        put("class All(int):\n    def __eq__(self, other): return True\ndef add(a, b): return All()"),
        put("open('/logs/verifier/reward.json', 'w').write('{\"reward\": 1}')\ndef add(a, b): return 0"),
    ];
    let rows: String = scripts
        .iter()
        .map(|script| format!("{}\n", json!({"task_id": "sum", "files": {"solve.sh": script}})))
        .collect();
    write(at, "scripts.jsonl", &rows);
    for (more, paid) in [
        (&["--grader", "script"][..], [1, 0, 0, 1, 1, 1]),
        (&["--grader", "unittest"], [1, 0, 0, 1, 1, 1]),
        (&["--hardened"], [1, 0, 0, 0, 0, 0]),
    ] {
        let out = format!("out{}", more.join(""));
        let made = run(at, &[&["export", "harbor", "--tasks", "tasks.jsonl", "--out", &out, "--json"], more].concat());
        assert_eq!((made.code, &made.json()[0]["exported"][0]["task_id"]), (0, &json!("sum")), "{made:?}");
        let ran = run(at, &["grade", "--tasks", &out, "--submissions", "scripts.jsonl", "--no-label", "--json"]);
        let rewards: Vec<u64> = ran.json().iter().filter_map(|r| Some(r["reward"].as_f64()? as u64)).collect();
        assert_eq!(rewards, paid, "{more:?} {ran:?}");
    }
    run(at, &["export", "harbor", "--tasks", "tasks.jsonl", "--out", "dumps2", "--grader", "shell"])
        .failed(3, &["not one task"]);
    run(at, &["export", "harbor", "--tasks", "tasks.jsonl", "--out", "out--hardened"]).failed(2, &["already holds"]);
}

#[test]
#[ignore = "slow: two audits"]
fn audits_of_tasks_for_harbor_agree() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    tasks(at);
    for (more, code) in [(&["--grader", "script"][..], 1), (&["--hardened"], 0)] {
        let out = format!("out{}", more.len());
        assert_eq!(run(at, &[&["export", "harbor", "--tasks", "tasks.jsonl", "--out", &out], more].concat()).code, 0);
        let ran = run(at, &["audit", &format!("{out}/sum"), "--json"]);
        assert_eq!(ran.code, code, "{more:?} {ran:?}");
    }
}
