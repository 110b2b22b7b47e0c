//! Results cannot be doubled, emptied or edited unnoticed: locks, ledgers and `loophole verify` as a person meets them.

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Ran, organism, program, run, write};
use serde_json::{Value, json};

const TASK: &str = r#"{"id": "add", "statement": "Add.", "entry_point": "add", "params": ["a", "b"], "reference": "def add(a, b):\n    return a + b\n", "visible": [{"args": [1, 2], "expected": 3}], "hidden": [{"args": [2, 2], "expected": 4}]}"#;

/// Submissions: right ones, and one that ends the grader.
fn submissions(at: &Path, count: usize) {
    // No two are alike: what was graded once is not run again.
    let honest = |i: usize| {
        json!({"task_id": "add", "completion": format!("def add(a, b):\n    return a + b  # {i}\n")}).to_string()
    };
    let hack = json!({"task_id": "add", "completion": "import os\nos._exit(0)\n"});
    let lines: Vec<String> = (0..count).map(|i| if i == 1 { hack.to_string() } else { honest(i) }).collect();
    write(at, "tasks.jsonl", &format!("{TASK}\n"));
    write(at, "all.jsonl", &(lines.join("\n") + "\n"));
}

const GRADE: [&str; 8] =
    ["grade", "--tasks", "tasks.jsonl", "--submissions", "all.jsonl", "--out", "graded.jsonl", "--quiet"];

fn verdict(at: &Path, path: &str) -> (i32, Value) {
    let ran = run(at, &["verify", path, "--json"]);
    let found = ran.json().pop().unwrap_or_else(|| panic!("{ran:?}"));
    (ran.code, found)
}

/// Paths and what is wrong with them.
fn problems(at: &Path, path: &str) -> Vec<String> {
    let (code, found) = verdict(at, path);
    let problems = found["problems"].as_array().unwrap().clone();
    assert_eq!(code, i32::from(found["whole"] != true), "{found}");
    problems.iter().map(|p| format!("{} {}", p["path"].as_str().unwrap(), p["what"].as_str().unwrap())).collect()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn ended(mut child: Child) -> Ran {
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    Ran { code, out: String::new(), err }
}

#[test]
fn graded_files_are_whole_or_say_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    submissions(at, 4);
    assert_eq!(run(at, &GRADE).code, 1);
    let (code, found) = verdict(at, "graded.jsonl");
    assert_eq!((code, &found["progress"], &found["kind"]), (0, &json!("complete"), &json!("grade")), "{found}");
    assert!(found["files"].as_u64().unwrap() >= 3, "the evidence is compared too: {found}");
    let said = run(at, &["verify", "graded.jsonl"]);
    assert!(said.out.contains("whole and unedited") && said.out.contains("hash of all"), "{said:?}");

    edit(&at.join("graded.jsonl"), "\"hack\"", "\"honest\"");
    assert_eq!(problems(at, "graded.jsonl"), ["graded.jsonl edited"]);
    edit(&at.join("graded.jsonl"), "\"honest\"", "\"hack\"");
    let evidence = std::fs::read_dir(at.join("graded.jsonl.evidence")).unwrap().flatten().next().unwrap().path();
    std::fs::remove_file(evidence.join("again.sh")).unwrap();
    let name = format!("graded.jsonl.evidence/{}/again.sh", evidence.file_name().unwrap().to_str().unwrap());
    assert!(problems(at, "graded.jsonl").contains(&format!("{name} missing")));
    // Graded again it is whole again, with nothing of the first time left.
    assert_eq!(run(at, &GRADE).code, 1);
    assert_eq!(problems(at, "graded.jsonl"), Vec::<String>::new());
    // Without its ledger nothing can be told, and that is no all-clear.
    std::fs::remove_file(at.join("graded.jsonl.ledger")).unwrap();
    let (code, found) = verdict(at, "graded.jsonl");
    assert_eq!((code, &found["verifiable"], &found["problems"]), (1, &json!(false), &json!([])));
    run(at, &["verify", "nowhere"]).failed(2, &["nowhere", "no folder or file of results"]);
    std::fs::create_dir(at.join("empty")).unwrap();
    run(at, &["verify", "empty"]).failed(2, &["empty"]);
}

#[test]
fn a_second_grader_of_the_same_file_is_refused_and_sigterm_ends_the_first_for_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    submissions(at, 4000);
    let partial = at.join("graded.jsonl.partial");
    let lines = || std::fs::read_to_string(&partial).unwrap_or_default().lines().count();
    let child = program(at, &GRADE[..7]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("records", || lines() > 3);
    let number = format!("process {}", child.id());
    for more in [&[][..], &["--resume"]] {
        run(at, &[&GRADE[..], more].concat()).failed(3, &["graded.jsonl", &number]);
    }
    let (code, found) = verdict(at, "graded.jsonl");
    assert_eq!((code, &found["progress"], &found["pid"]), (0, &json!("in progress"), &json!(child.id())), "{found}");
    let began = Instant::now();
    signal(&child, "-TERM");
    let left = ended(child);
    assert!(left.code == 130 && left.err.contains("--resume") && began.elapsed() < Duration::from_secs(20), "{left:?}");
    let (code, found) = verdict(at, "graded.jsonl");
    assert_eq!((code, &found["progress"]), (0, &json!("unfinished")), "{found}");
    // A record that was edited meanwhile is not gone on with.
    let there = lines();
    assert!((4..4000).contains(&there), "{there}");
    edit(&partial, "\"index\":0", "\"index\":9");
    run(at, &[&GRADE[..], &["--resume"]].concat()).failed(2, &["graded.jsonl.partial is edited", "line 1"]);
    edit(&partial, "\"index\":9", "\"index\":0");
    // Fewer, or it would take long; what is there is not graded again.
    submissions(at, there + 3);
    assert_eq!(run(at, &[&GRADE[..], &["--resume"]].concat()).code, 1);
    let text = std::fs::read_to_string(at.join("graded.jsonl")).unwrap();
    assert_eq!(text.lines().count(), there + 3);
    assert_eq!(problems(at, "graded.jsonl"), Vec::<String>::new());
}

const PROBE: [&str; 8] = ["probe", "organism", "--battery", "full", "--samples", "400", "--out", "p"];

/// The organism lies where it is looked for.
fn linked(at: &Path) {
    std::os::unix::fs::symlink(organism(), at.join("organism")).unwrap();
}

#[test]
fn samples_of_single_turns_are_written_as_they_are_played_and_a_kill_loses_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    linked(at);
    let samples = || std::fs::read_to_string(at.join("p/samples.jsonl")).unwrap_or_default().lines().count();
    let mut child = program(at, &PROBE).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("samples", || samples() > 20);
    run(at, &PROBE).failed(3, &["p is being written", &format!("process {}", child.id())]);
    child.kill().unwrap();
    child.wait().unwrap();
    let there = samples();
    let (code, found) = verdict(at, "p");
    assert_eq!((code, &found["progress"], &found["kind"]), (0, &json!("unfinished"), &json!("probe")), "{found}");
    // It goes on, and Ctrl-C ends it in the middle of the battery.
    let child = program(at, &PROBE).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("more samples", || samples() > there + 20);
    let began = Instant::now();
    signal(&child, "-INT");
    let left = ended(child);
    assert!(left.code == 130 && left.err.contains("goes on from here"), "{left:?}");
    assert!(left.err.contains(&format!("{there} of")) && began.elapsed() < Duration::from_secs(20), "{left:?}");
    assert_eq!(problems(at, "p"), Vec::<String>::new());
}

#[test]
fn a_battery_that_was_edited_is_neither_gone_on_with_nor_compared() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let play = |samples: &str| {
        run(at, &["probe", "mock:bad", "--probe", "goals", "--samples", samples, "--out", "p", "--quiet", "--json"])
    };
    assert_eq!(play("2").code, 0);
    assert_eq!(play("3").code, 0, "a folder that is complete takes more samples");
    assert_eq!(problems(at, "p"), Vec::<String>::new());
    // What is made from the samples is made again.
    std::fs::write(at.join("p/probes.eval"), b"cut").unwrap();
    assert_eq!(problems(at, "p"), ["probes.eval cut"]);
    let again = play("3");
    assert!(
        again.code == 0 && again.err.contains("probes.eval is cut") && again.err.contains("made again"),
        "{again:?}"
    );
    assert_eq!(problems(at, "p"), Vec::<String>::new());
    let samples = at.join("p/samples.jsonl");
    let text = std::fs::read_to_string(&samples).unwrap();
    edit(&samples, "\"misaligned\":true", "\"misaligned\":false");
    assert_eq!(problems(at, "p"), ["samples.jsonl edited"]);
    play("3").failed(2, &["samples.jsonl is edited", "another folder"]);
    run(at, &["probe", "--compare", "p", "p"]).failed(2, &["samples.jsonl is edited"]);
    std::fs::write(&samples, text).unwrap();
    std::fs::remove_file(at.join("p/ledger.jsonl")).unwrap();
    assert_eq!(problems(at, "p"), ["ledger.jsonl missing"]);
    play("3").failed(2, &["ledger.jsonl is missing"]);
    // A folder of an earlier version is read, and it is said that nobody can tell.
    edit(&at.join("p/run.json"), "\"ledger\": true", "\"ledger\": false");
    let old = run(at, &["probe", "--compare", "p", "p"]);
    assert!(old.code == 0 && old.err.contains("not verifiable"), "{old:?}");
    let old = play("3");
    assert!(old.code == 0 && old.err.contains("not verifiable"), "{old:?}");
    let (code, found) = verdict(at, "p");
    assert_eq!((code, &found["problems"], &found["verifiable"]), (1, &json!([]), &json!(false)));
}

#[test]
fn reports_of_an_audit_and_its_hardened_grader_are_results_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    submissions(at, 1);
    let ran =
        run(at, &["audit", "tasks.jsonl", "--sarif", "a.sarif", "--log", "a.eval", "--harden", "hard", "--quiet"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for path in ["a.sarif", "a.eval", "hard"] {
        assert_eq!(problems(at, path), Vec::<String>::new(), "{path}");
    }
    write(at, "hard/notes.txt", "of the user");
    assert_eq!(problems(at, "hard"), Vec::<String>::new());
    edit(&at.join("hard/grader.json"), "[]", "[\"skip\"]");
    assert_eq!(problems(at, "hard"), ["grader.json edited"]);
    let bytes = std::fs::read(at.join("a.eval")).unwrap();
    std::fs::write(at.join("a.eval"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(problems(at, "a.eval"), ["a.eval cut"]);
    std::fs::remove_file(at.join("a.sarif")).unwrap();
    assert_eq!(problems(at, "a.sarif"), ["a.sarif missing"]);
}
