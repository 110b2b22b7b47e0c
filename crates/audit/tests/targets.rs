//! Every form of target, as it is audited.

mod common;

use common::{ids, python, report, target, try_audit};
use loophole_audit::AuditError;
use loophole_env::{Protocol, RewardFrom, Settings, Signature};
use std::path::PathBuf;

fn questions() -> Settings {
    Settings { tasks: Some(target("questions.jsonl").into()), ..Settings::default() }
}

fn code() -> Settings {
    Settings { tasks: Some(target("code.jsonl").into()), ..Settings::default() }
}

fn callable(name: &str) -> String {
    format!("python:{}:{name}", target("callables/rewards.py"))
}

#[test]
fn a_harbor_task_with_a_shared_verifier() {
    let Some(report) = report(&target("harbor-count"), &Settings::default()) else { return };
    let found = ids(&report);
    for id in ["CF-11", "TT-12", "SH-12", "AL-11"] {
        assert!(found.contains(&id), "{id} is missing in {found:?}");
    }
    assert!(!found.iter().any(|id| id.starts_with("CTL")), "{found:?}");
    assert_eq!(report.gameability_gap, 1.0);
    assert!(report.hints.iter().any(|h| h.id == "shared-verifier"));
}

#[test]
fn a_harbor_task_with_a_separate_verifier() {
    let Some(report) = report(&target("harbor-separate"), &Settings::default()) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
    assert_eq!((report.control("honest"), report.control("wrong")), (Some(1.0), Some(0.0)));
}

#[test]
fn a_folder_with_unittest() {
    let Some(report) = report(&target("unittest-folder"), &Settings::default()) else { return };
    let found = ids(&report);
    for id in ["EQ-01", "EX-04", "RP-08", "SK-01", "SH-02", "AL-01"] {
        assert!(found.contains(&id), "{id} is missing in {found:?}");
    }
    assert!(!found.contains(&"TT-01"), "the target's own tests win: {found:?}");
    let oracle = report.findings[0].oracle.unwrap();
    assert_eq!((oracle.passed, oracle.total), (0, 3), "the reference's calls were recorded");
}

#[test]
#[ignore = "slow: an audit of some hundred runs"]
fn a_folder_with_pytest() {
    let Some(python) = python() else {
        println!("SKIPPED: no Python with pytest (LOOPHOLE_PYTHON, or .venv-pytest)");
        return;
    };
    let settings = Settings { python: Some(python), ..Settings::default() };
    let Some(report) = report(&target("pytest-folder"), &settings) else { return };
    let found = ids(&report);
    for id in ["EQ-01", "EX-03", "RP-01", "RP-03", "SK-03", "SK-07", "SH-01"] {
        assert!(found.contains(&id), "{id} is missing in {found:?}");
    }
}

#[test]
fn callables_of_every_signature() {
    callables(&[
        ("anywhere", Signature::Trl, questions(), &["SG-03"]),
        ("form", Signature::Trl, questions(), &["SG-02"]),
        ("strict", Signature::Trl, questions(), &[]),
        ("far", Signature::Verl, questions(), &["SG-11"]),
        ("exact", Signature::Verl, questions(), &[]),
        ("evaluated", Signature::Plain, questions(), &["SG-09"]),
    ]);
}

#[test]
#[ignore = "slow: an audit of some hundred runs"]
fn callables_that_run_code() {
    callables(&[
        ("same_process", Signature::Plain, code(), &["EQ-01", "AL-07"]),
        ("exit_status", Signature::Plain, code(), &["EQ-01", "EX-04", "EX-05"]),
        ("apart", Signature::Plain, code(), &[]),
    ]);
}

type Expected<'a> = (&'a str, Signature, Settings, &'a [&'a str]);

fn callables(all: &[Expected]) {
    for (name, signature, settings, wanted) in all {
        let settings = Settings { signature: *signature, ..settings.clone() };
        let Some(report) = report(&callable(name), &settings) else { return };
        let found = ids(&report);
        if wanted.is_empty() {
            assert!(found.is_empty(), "{name} is honest: {found:?}");
        }
        for id in *wanted {
            assert!(found.contains(id), "{name}: {id} is missing in {found:?}");
        }
    }
}

#[test]
fn commands_by_status_and_by_output() {
    let command = |file: &str| format!("cmd:python3 {file} {{submission}} {{task}}");
    let files = Some(PathBuf::from(target("")));
    let weak = Settings { files: files.clone(), ..questions() };
    let Some(weak) = report(&command("grade_exit.py"), &weak) else { return };
    assert!(ids(&weak).contains(&"SG-03"), "{:?}", ids(&weak));
    let sound = Settings { files, reward_from: RewardFrom::Output, ..questions() };
    let Some(sound) = report(&command("grade_output.py"), &sound) else { return };
    assert_eq!(ids(&sound), Vec::<&str>::new());
}

#[test]
fn what_is_no_target_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = |target: &str, settings: &Settings, says: &str| match try_audit(target, settings) {
        Some(Err(AuditError::Input(why))) => assert!(why.contains(says), "{why}"),
        Some(Err(AuditError::Read(why))) => assert!(why.to_string().contains(says), "{why}"),
        Some(other) => panic!("{target}: {other:?}"),
        None => {}
    };
    input("no-such-thing", &Settings::default(), "no target");
    input(dir.path().to_str().unwrap(), &Settings::default(), "no environment");
    input("cmd:true", &questions(), "{submission}");
    input("python:x", &questions(), "python:FILE.py:FUNCTION");
    input("python:gone.py:f", &questions(), "no such file");
    input("http://example.org/", &questions(), "on this machine");
    input(&callable("exact"), &Settings::default(), "--tasks");
    let broken = dir.path().join("t.jsonl");
    std::fs::write(&broken, "{\"id\":").unwrap();
    input(broken.to_str().unwrap(), &Settings::default(), "line 1");
    std::fs::write(&broken, "").unwrap();
    input(broken.to_str().unwrap(), &Settings::default(), "holds no task");
    let kind = Settings { kind: Some("oral".into()), ..Settings::default() };
    input(&target("code.jsonl"), &kind, "oral");
}

#[test]
fn what_cannot_be_audited_says_why() {
    let not = |target: &str, settings: &Settings, says: &str| match try_audit(target, settings) {
        Some(Err(AuditError::NotAuditable(why))) => assert!(why.contains(says), "{why}"),
        Some(other) => panic!("{target}: {other:?}"),
        None => {}
    };
    not(&callable("moody"), &questions(), "not deterministic");
    let short = Settings { timeout: Some(2.0), ..questions() };
    for (name, says) in [
        ("hangs", "out of time"),
        ("floods", "more output than allowed"),
        ("kills", "gets no reward"),
        ("raises", "ZeroDivisionError"),
    ] {
        not(&callable(name), &short, says);
    }
    not("http://127.0.0.1:9/", &Settings { protocol: Protocol::Openrlhf, ..questions() }, "is it running");
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("t.jsonl");
    let text = std::fs::read_to_string(target("code.jsonl")).unwrap().replace("return a + b", "return a - b");
    std::fs::write(&wrong, text).unwrap();
    not(wrong.to_str().unwrap(), &Settings::default(), "its reference is paid 0");
}

#[test]
fn output_that_is_no_text_does_no_harm() {
    let Some(report) = report(&callable("binary"), &questions()) else { return };
    assert_eq!(ids(&report), Vec::<&str>::new());
}
