//! `loophole audit` as a person or a pipeline uses it.

mod common;

use common::{program, run, write};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn tasks(dir: &Path) {
    let task = json!({
        "id": "sum", "statement": "Return the sum.", "entry_point": "add", "params": ["a", "b"],
        "reference": "def add(a, b):\n    return a + b",
        "visible": [{"args": [1, 2], "expected": 3}, {"args": [10, -4], "expected": 6}],
        "hidden": [{"args": [5, 5], "expected": 10}, {"args": [-1, -1], "expected": -2}, {"args": [7, 1], "expected": 8}],
    });
    write(dir, "tasks.jsonl", &format!("{task}\n"));
}

/// Ids of the findings, those included that the same change closes.
fn ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .flat_map(|f| std::iter::once(&f["id"]).chain(f["also"].as_array().into_iter().flatten()))
        .map(|id| id.as_str().unwrap())
        .collect()
}

#[test]
fn holes_are_proven_reported_accepted_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tasks(dir);
    let weak = run(
        dir,
        &[
            "audit",
            "tasks.jsonl",
            "--json",
            "--harden",
            "hard",
            "--sarif",
            "a.sarif",
            "--html",
            "a.html",
            "--openenv",
            "a.json",
            "--log",
            "a.eval",
        ],
    );
    assert_eq!(weak.code, 1, "{weak:?}");
    let report = &weak.json()[0];
    for key in ["target", "grader", "controls", "findings", "gameability_gap", "exploits_tried", "seconds"] {
        assert!(!report[key].is_null(), "{key}");
    }
    assert_eq!(report["controls"]["honest"], 1.0);
    assert_eq!(report["controls"]["wrong"], 0.0);
    let found = ids(report);
    for id in ["EQ-01", "EX-03", "AL-02", "HC-01"] {
        assert!(found.contains(&id), "{id} is missing in {found:?}");
    }
    let holes = report["findings"].as_array().unwrap().len();
    let first = &report["findings"][0];
    for key in ["id", "family", "severity", "reward", "proof", "evidence", "fix", "repeated"] {
        assert!(!first[key].is_null(), "{key}");
    }
    assert_eq!(report["hardened"]["after"], 0);
    assert_eq!(report["hardened"]["honest"], 1.0);

    let parse = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap() };
    assert_eq!(parse("a.sarif")["runs"][0]["results"].as_array().unwrap().len(), holes);
    assert_eq!(parse("a.json")["verdict"], "fail");
    assert!(std::fs::read_to_string(dir.join("a.html")).unwrap().contains("EQ-01"));
    let log = loophole_log::read_eval(&dir.join("a.eval")).unwrap();
    assert!(log.samples.len() > 70 && log.samples.iter().any(|s| s.id == "EQ-01.1"));

    // The same audit again, with its findings accepted: nothing new; and the same findings, in the same order.
    std::fs::write(dir.join("known.json"), &weak.out).unwrap();
    let again = run(dir, &["audit", "tasks.jsonl", "--json", "--baseline", "known.json"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.json()[0]["new"], json!([]));
    let listed = |report: &Value| report["findings"].as_array().unwrap().clone();
    for (now, before) in listed(&again.json()[0]).iter().zip(&listed(report)) {
        assert_eq!(now, before, "{} is not what it was", before["id"]);
    }
    assert_eq!(listed(&again.json()[0]).len(), holes);

    // What was written as hardened has no hole.
    let hard = run(dir, &["audit", "hard/tasks.jsonl", "--hardened"]);
    assert_eq!(hard.code, 0, "{hard:?}");
    assert!(hard.out.contains("0 of") && hard.out.contains("gameability gap 0"), "{hard:?}");
}

#[test]
fn what_cannot_be_audited_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tasks(dir);
    run(dir, &["audit", "nothing"]).failed(2, &["nothing", "no target"]);
    run(dir, &["audit", "tasks.jsonl", "--kind", "oral"]).failed(2, &["oral", "script"]);
    run(dir, &["audit", "tasks.jsonl", "--open", "magic spell"]).failed(2, &["magic spell"]);
    run(dir, &["audit", "tasks.jsonl", "--baseline", "tasks.jsonl"]).failed(2, &["--json"]);
    run(dir, &["audit", "http://192.0.2.1/", "--tasks", "tasks.jsonl"]).failed(2, &["on this machine"]);
    run(dir, &["audit", "http://127.0.0.1:9/", "--tasks", "tasks.jsonl"]).failed(3, &["is it running"]);
    let broken = std::fs::read_to_string(dir.join("tasks.jsonl")).unwrap().replace("a + b", "a - b");
    write(dir, "broken.jsonl", &broken);
    run(dir, &["audit", "broken.jsonl"]).failed(3, &["its reference is paid 0"]);
    std::os::unix::fs::symlink("/etc", dir.join("out")).unwrap();
    write(dir, "test_x.py", "import unittest\n");
    run(dir, &["audit", "."]).failed(2, &["leads out of the folder"]);
}

#[test]
fn one_who_leaves_in_the_middle_is_told_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tasks(dir);
    write(dir, "pay.py", "import time\ndef score(submission, task):\n    time.sleep(0.2)\n    return 1.0\n");
    let arguments = ["audit", "python:pay.py:score", "--tasks", "tasks.jsonl", "--sarif", "a.sarif", "--json"];
    // What is paid for nothing is found early and then tried in many ways; when early is, is up to the machine.
    for seconds in [2, 4, 8, 16] {
        let mut command = program(dir, &arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(seconds));
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        let left = child.wait_with_output().unwrap();
        assert!(sent.success());
        if left.status.code().is_none() {
            // It was still being opened.
            continue;
        }
        assert_eq!(left.status.code(), Some(130), "{left:?}");
        assert!(String::from_utf8_lossy(&left.stderr).contains("interrupted"), "{left:?}");
        assert!(!dir.join("a.sarif").exists(), "half a report reads like a whole one");
        let found: Value = serde_json::from_slice(&left.stdout).unwrap_or_default();
        if found["findings"].as_array().is_some_and(|all| !all.is_empty()) {
            assert_eq!((&found["interrupted"], ids(&found)[0]), (&json!(true), "CTL-empty"), "{found}");
            return;
        }
    }
    panic!("nothing was found in 16 seconds");
}
