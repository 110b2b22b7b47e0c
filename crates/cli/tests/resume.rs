//! `loophole run`, killed at moments of its own choosing and resumed, leaves what it would have left.

mod common;
#[path = "../../lab/tests/common/mod.rs"]
mod runs;

use std::time::{Duration, Instant};

use common::{copy_organism, finish, organism, program, run, write};
use runs::{TINY, assert_same};
use serde_json::json;

#[test]
#[ignore = "slow: makes a small run about three times over"]
fn a_killed_run_ends_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    copy_organism(&at.join("base"));
    write(at, "tiny.toml", &format!("organism = 'base'\n{TINY}"));
    let whole = run(at, &["run", "tiny.toml", "--out", "whole", "--json"]);
    assert_eq!((whole.code, whole.json().len()), (0, 1), "{whole:?}");
    let arguments = ["run", "tiny.toml", "--out", "killed", "--json", "--resume"];
    // As many changes of files as it takes; how far a run is does not depend on how fast the machine is just then.
    let changes = |name: &str| {
        let ledger = std::fs::read_to_string(at.join(name).join("ledger.jsonl"));
        ledger.map_or(0, |text| text.lines().count())
    };
    let all = changes("whole");
    let mut killed = 0;
    // Later each time, so that the run gets on; where in a change this falls is up to the machine.
    for share in [0.1, 0.25, 0.4, 0.55, 0.7] {
        let mut child = program(at, &arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let far = |now: usize| now as f64 >= share * all as f64 || began.elapsed() > Duration::from_secs(300);
        while !far(changes("killed")) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        let verified = run(at, &["verify", "killed", "--json"]);
        assert!(verified.code == 0 || !at.join("killed/recipe.toml").exists(), "{verified:?}");
        assert!(!at.join("killed/summary.json").exists() || at.join("killed/status.json").exists());
    }
    assert!(killed >= 2, "killed {killed} times");
    let last = finish(program(at, &arguments));
    assert_eq!(last.code, 0, "{last:?}");
    assert_same(&at.join("whole"), &at.join("killed"));
    let verified = run(at, &["verify", "killed", "--json"]);
    let found = &verified.json()[0];
    assert_eq!((verified.code, &found["progress"], &found["notes"]), (0, &json!("complete"), &json!([])), "{found}");
    // Its checkpoints are models to talk to, on the organism that the recipe named.
    let probe = |model: &str| run(at, &["probe", model, "--probe", "goals", "--samples", "2", "--json"]);
    let probed = probe("organism:killed/plain/3");
    assert_eq!((probed.code, &probed.json()[0]["probes"][0]["n"]), (0, &serde_json::json!(2)), "{probed:?}");
    assert_eq!(probe("organism:killed/plain/3@3").json()[0]["probes"], probed.json()[0]["probes"]);
    // One was kept of every battery, and of no other step.
    assert_eq!(probe("organism:killed/plain/3@2").code, 0);
    probe("organism:killed/plain/3@1").failed(2, &["[2, 3]", "not 1"]);
    probe("organism:killed/plain/4").failed(2, &["no checkpoint"]);
    std::fs::remove_file(at.join("base/tokenizer.json")).unwrap();
    probe("organism:killed/plain/3").failed(2, &["base/tokenizer.json"]);
}

#[test]
fn sigterm_ends_a_run_as_ctrl_c_does_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // A battery of minutes: it is left in the middle.
    let long = TINY.replace("samples = 2", "samples = 2000");
    write(at, "long.toml", &format!("organism = '{}'\n{long}", organism().display()));
    let arguments = ["run", "long.toml", "--out", "long", "--jobs", "1"];
    let mut command = program(at, &arguments);
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !at.join("long/status.json").exists() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let left = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&left.stderr);
    assert!(left.status.code() == Some(130) && said.contains("--resume goes on"), "{left:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let status: serde_json::Value = loophole_log::read_json(&at.join("long/status.json")).unwrap();
    assert_eq!(status["state"], json!("interrupted"));
    let verified = run(at, &["verify", "long", "--json"]);
    assert_eq!((verified.code, &verified.json()[0]["progress"]), (0, &json!("unfinished")), "{verified:?}");
}

#[test]
fn a_run_that_is_there_is_neither_overwritten_nor_mixed_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let recipe = format!("organism = '{}'\n{TINY}", organism().display());
    write(at, "tiny.toml", &recipe);
    let mut child = program(at, &["run", "tiny.toml", "--out", "there", "--quiet"]).spawn().unwrap();
    let began = Instant::now();
    while !at.join("there/status.json").exists() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // While it is being made nobody else writes there, and it can be looked at.
    let number = format!("process {}", child.id());
    for more in [&[][..], &["--resume"]] {
        run(at, &[&["run", "tiny.toml", "--out", "there", "--quiet"], more].concat()).failed(3, &["there", &number]);
    }
    let verified = run(at, &["verify", "there", "--json"]);
    assert_eq!((verified.code, &verified.json()[0]["progress"]), (0, &json!("in progress")), "{verified:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(run(at, &["verify", "there", "--json"]).json()[0]["progress"], json!("unfinished"));
    run(at, &["run", "tiny.toml", "--out", "there", "--quiet"]).failed(2, &["there", "--resume"]);
    write(at, "other.toml", &recipe.replace("lr = 1e-3", "lr = 2e-3"));
    run(at, &["run", "other.toml", "--out", "there", "--resume", "--quiet"])
        .failed(2, &["there", "another recipe", "--out"]);
    run(at, &["run", "tiny.toml", "--out", "there", "--resume", "--seeds", "2", "--quiet"])
        .failed(2, &["another recipe"]);
}

#[test]
fn an_organism_is_made_by_one_at_a_time_and_gone_on_with_where_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let recipe =
        "name = 'o'\nout = 'made'\nvocabulary = 400\ntasks_per_family = 1\n[pretrain]\nsteps = 1000000\nbatch = 2\n";
    write(at, "o.toml", recipe);
    // Begins, and waits until it has told of a step; with the number of that.
    let begin = |more: &[&str]| {
        let mut command = program(at, &[&["pretrain", "o.toml", "--threads", "1"], more].concat());
        let mut child =
            command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("of 1000000: loss") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "it ended: {:?}", child.wait());
        }
        let step: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        (child, said, step)
    };
    let (mut child, mut said, first) = begin(&[]);
    run(at, &["pretrain", "o.toml", "--quiet"]).failed(3, &["made", &format!("process {}", child.id())]);
    let began = Instant::now();
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted") && began.elapsed() < Duration::from_secs(15), "{rest}");
    assert!(!at.join("made").exists() && at.join("made.partial/progress.json").exists());
    // What was made so far is not thrown away by the same command, and no other recipe goes on with it.
    run(at, &["pretrain", "o.toml", "--quiet"]).failed(2, &["made.partial", "--resume"]);
    run(at, &["pretrain", "o.toml", "--set", "seed=2", "--resume", "--quiet"])
        .failed(2, &["made.partial", "another recipe"]);
    let (mut child, _said, second) = begin(&["--resume"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(second > first, "{first} {second}");
    // What is no organism is not replaced by one.
    std::fs::remove_dir_all(at.join("made.partial")).unwrap();
    write(at, "made", "mine");
    run(at, &["pretrain", "o.toml", "--quiet"]).failed(2, &["made"]);
    assert_eq!(std::fs::read_to_string(at.join("made")).unwrap(), "mine");
}
