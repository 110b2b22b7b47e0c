//! A folder of results knows what belongs to it: whatever is taken away, cut, edited or put there is named.

use std::fs;
use std::path::{Path, PathBuf};

use loophole_log::*;

/// A small run that is complete.
fn run(root: &Path) -> RunDir {
    let run = RunDir::create(root, "name = 'tiny'\n").unwrap();
    let seed = run.seed("plain", 3).unwrap();
    for step in 0..4 {
        let row = RolloutRow { step: step as i32, prompt: "p".into(), ..RolloutRow::default() };
        seed.write_rollouts(step, &[row]).unwrap();
        seed.append_metrics(&StepMetrics { step, reward: 0.5, ..StepMetrics::default() }).unwrap();
        seed.write_state(|path| fs::write(path, format!("state {step}")).map_err(io(path))).unwrap();
    }
    let log = EvalLog { task: "small".into(), model: "m".into(), identity: "i".into(), ..EvalLog::default() };
    seed.write_probe(4, &log).unwrap();
    seed.write_probe_report(4, &ProbeReport::default()).unwrap();
    let fill = |path: &Path| -> Result<(), LogError> {
        fs::write(path.join("config.json"), "{}").map_err(io(path))?;
        fs::write(path.join("model.safetensors"), "weights").map_err(io(path))
    };
    seed.write_checkpoint(4, fill).unwrap();
    run.write_summary(&Summary { recipe: "tiny".into(), ..Summary::default() }).unwrap();
    run.close().unwrap();
    let status = Status {
        state: RunState::Finished,
        arm: None,
        seed: None,
        step: 4,
        steps: 4,
        done: 1,
        total: 1,
        seconds: 1.0,
        message: None,
        tier: None,
        ledger: true,
    };
    run.write_status(&status).unwrap();
    run
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    let path = path.to_path_buf();
    move |source| LogError::Io { what: "write", path, source }
}

/// A complete run that nobody holds.
fn there() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    drop(run(&root));
    (dir, root)
}

fn look(root: &Path) -> Verified {
    verify(&Place::of(root).unwrap()).unwrap()
}

/// What is wrong, as `path: what`.
fn problems(root: &Path) -> Vec<String> {
    look(root).problems.iter().map(|problem| format!("{}: {:?}", problem.path, problem.what)).collect()
}

const SEED: &str = "arms/plain/seed-3";

#[test]
fn what_was_written_is_whole_and_what_is_done_to_it_is_named() {
    type Deed = fn(&Path);
    let deeds: [(&str, &str, Deed); 14] = [
        ("metrics.jsonl", "Missing", |path| fs::remove_file(path).unwrap()),
        ("rollouts/step-000001.parquet", "Missing", |path| fs::remove_file(path).unwrap()),
        ("probes/step-000004.eval", "Cut", |path| cut(path, 10)),
        ("probes/step-000004.json", "Edited", |path| replace(path, "null", "0.01")),
        ("metrics.jsonl", "Edited", |path| replace(path, "\"step\":2,\"reward\":0.5", "\"step\":2,\"reward\":0.9")),
        // A line twice.
        ("metrics.jsonl", "Edited", |path| {
            let text = fs::read_to_string(path).unwrap();
            fs::write(path, format!("{text}{}\n", text.lines().last().unwrap())).unwrap();
        }),
        ("metrics.jsonl", "Cut", |path| cut(path, 300)),
        ("checkpoints/step-000004/model.safetensors", "Edited", |path| replace(path, "weights", "WEIGHTS")),
        ("checkpoints/step-000004/config.json", "Missing", |path| fs::remove_file(path).unwrap()),
        ("state.safetensors", "Edited", |path| replace(path, "state 3", "state 2")),
        ("rollouts/step-000009.parquet", "Extra", |path| fs::write(path, "x").unwrap()),
        ("checkpoints/step-000009/config.json", "Extra", |path| {
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }),
        ("../seed-4/metrics.jsonl", "Extra", |path| {
            fs::create_dir_all(path.parent().unwrap().parent().unwrap().join("seed-4")).unwrap();
            fs::write(path, "{\"step\":0}\n").unwrap();
        }),
        ("../../../summary.json", "Edited", |path| replace(path, "tiny", "tony")),
    ];
    let (_dir, root) = there();
    let whole = look(&root);
    assert!(whole.whole() && whole.progress == Progress::Complete && whole.notes.is_empty(), "{whole:?}");
    assert_eq!(whole.files, 1 + 4 + 1 + 1 + 2 + 2 + 1);
    for (name, what, deed) in deeds {
        let (_dir, root) = there();
        let path = root.join(SEED).join(name);
        fs::create_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
        deed(&path);
        let shown = match name.strip_prefix("../") {
            Some("../../summary.json") => "summary.json".to_string(),
            Some(rest) => format!("arms/plain/{rest}"),
            None => format!("{SEED}/{name}"),
        };
        assert_eq!(problems(&root), [format!("{shown}: {what}")], "{name}");
        // Nobody goes on with it, or reads it, as if nothing had happened.
        if shown == "summary.json" {
            let (_, notes) = RunDir::take_up(&root).unwrap();
            assert!(notes[0].contains("summary.json is edited") && notes[0].contains("made again"), "{notes:?}");
            continue;
        }
        let before = fs::read(root.join("ledger.jsonl")).unwrap();
        let refused = RunDir::take_up(&root).unwrap_err().to_string();
        assert!(refused.contains(&shown) && refused.contains("--resume"), "{refused}");
        assert_eq!(fs::read(root.join("ledger.jsonl")).unwrap(), before, "nothing is touched");
        let run = RunDir::open(&root).unwrap();
        let read = run.verify_read().and_then(|found| run.trust(found));
        let unread = shown.contains("checkpoints") || shown.contains("state");
        assert_eq!(read.is_ok(), unread, "{name}: {read:?}");
        if name.starts_with("checkpoints/step-000004") {
            run.verify_checkpoint("plain", 3, 4).unwrap_err();
        }
    }
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_line_that_was_edited_is_named() {
    let (_dir, root) = there();
    replace(&root.join(SEED).join("metrics.jsonl"), "\"step\":2,\"reward\":0.5", "\"step\":2,\"reward\":0.9");
    assert_eq!(look(&root).problems[0].to_string(), format!("{SEED}/metrics.jsonl is edited (line 3)"));
}

#[test]
fn a_ledger_that_is_gone_or_edited_is_no_all_clear() {
    let (_dir, root) = there();
    let ledger = root.join("ledger.jsonl");
    let text = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, text.replacen("step-000001", "step-000007", 1)).unwrap();
    assert!(matches!(verify(&Place::of(&root).unwrap()), Err(LogError::Ledger { line: 6, .. })));
    RunDir::take_up(&root).unwrap_err();
    fs::remove_file(&ledger).unwrap();
    assert_eq!(problems(&root), ["ledger.jsonl: Missing"]);
    RunDir::take_up(&root).unwrap_err();
    // Its last lines cut off: what they told of is there and belongs to nobody.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(&ledger, lines[..lines.len() - 3].concat()).unwrap();
    assert_eq!(problems(&root).len(), 3, "{:?}", problems(&root));
}

#[test]
fn a_run_of_an_earlier_version_is_read_with_a_warning_and_never_called_whole() {
    let (_dir, root) = there();
    fs::remove_file(root.join("ledger.jsonl")).unwrap();
    replace(&root.join("status.json"), "\"ledger\": true", "\"later\": true");
    let found = look(&root);
    assert!(!found.whole() && found.problems.is_empty() && found.notes[0].contains("no ledger"), "{found:?}");
    let (run, notes) = RunDir::take_up(&root).unwrap();
    assert!(notes[0].contains("not verifiable"), "{notes:?}");
    run.close().unwrap();
    drop(run);
    // From here on it is watched over, and what was before stays untold.
    let found = look(&root);
    assert!(!found.whole() && found.problems.is_empty() && found.notes[0].contains("before the ledger"), "{found:?}");
    replace(&root.join(SEED).join("metrics.jsonl"), "0.5", "0.6");
    assert_eq!(problems(&root), [format!("{SEED}/metrics.jsonl: Edited")]);
}

#[test]
fn a_seed_that_is_gone_as_a_whole_is_begun_anew() {
    let (_dir, root) = there();
    fs::remove_dir_all(root.join(SEED)).unwrap();
    assert!(problems(&root).len() > 8);
    let (run, notes) = RunDir::take_up(&root).unwrap();
    assert!(notes.iter().any(|note| note.contains("metrics.jsonl is missing; it is made again")), "{notes:?}");
    drop(run);
    assert_eq!(problems(&root), Vec::<String>::new());
}

#[test]
fn two_do_not_write_into_one_folder_and_a_reader_sees_one_that_is_in_progress() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let first = run(&root);
    for second in [RunDir::create(&root, "name = 'tiny'\n").map(drop), RunDir::take_up(&root).map(drop)] {
        let refused = second.unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    }
    let found = look(&root);
    assert!(found.whole() && found.progress == Progress::Going, "{found:?}");
    drop(first);
    assert_eq!(look(&root).progress, Progress::Complete);
    RunDir::take_up(&root).unwrap();
}

/// Kills between each two moments of each change, by making it up: the ledger ends after every one of its lines, and
/// the change of that line was made or not.
#[test]
fn wherever_a_kill_comes_the_folder_can_be_taken_up_and_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::folder(Kind::Probe, &dir.path().join("p"));
    let at = dir.path().join("p");
    let ledger = Ledger::begin(place.clone()).unwrap();
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    type Change = fn(&Ledger) -> Result<(), LogError>;
    let changes: [Change; 9] = [
        |ledger| ledger.write("", "run.json", b"{}"),
        |ledger| ledger.append("", "samples.jsonl", b"{\"a\":1}\n"),
        |ledger| ledger.append("", "samples.jsonl", b"{\"a\":2}\n"),
        |ledger| ledger.append("", "samples.jsonl", b"{\"a\":3}\n"),
        |ledger| ledger.truncate("", "samples.jsonl", 16),
        |ledger| ledger.append("", "samples.jsonl", b"{\"a\":4}\n"),
        |ledger| ledger.write("", "samples.jsonl", b"{\"a\":4}\n{\"a\":5}\n"),
        |ledger| ledger.rename("run.json", "probes.json"),
        |ledger| ledger.remove("", &|path| path == "samples.jsonl"),
    ];
    let (old, torn) = (dir.path().join("old"), dir.path().join("torn"));
    for (number, change) in changes.into_iter().enumerate() {
        copy(&at, &old);
        change(&ledger).unwrap();
        for share in [0, 1, 2, 3, 4] {
            // The ledger's line is whole or torn; the files are those before it, or a part of a line was added.
            copy(&old, &torn);
            let mut text = fs::read(at.join("ledger.jsonl")).unwrap();
            if share == 0 {
                text.truncate(text.len() - 7);
            }
            fs::write(torn.join("ledger.jsonl"), text).unwrap();
            let grown = fs::read(at.join("samples.jsonl")).unwrap_or_default();
            let before = fs::read(old.join("samples.jsonl")).unwrap_or_default();
            if share > 1 && grown.len() > before.len() && grown.starts_with(&before) {
                let part = before.len() + (grown.len() - before.len()) * (share - 1) / 4;
                fs::write(torn.join("samples.jsonl"), &grown[..part]).unwrap();
            }
            let _ = fs::remove_file(torn.join(".lock"));
            let place = Place::folder(Kind::Probe, &torn);
            let found = verify(&place).unwrap();
            assert!(found.whole(), "{number} {share}: {found:?}");
            let (again, notes) = Ledger::take_up(place.clone(), "").unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            change(&again).unwrap();
            again.close().unwrap();
            drop(again);
            let found = verify(&place).unwrap();
            assert!(found.whole() && found.progress == Progress::Complete, "{number} {share}: {found:?}");
            assert_eq!(fs::read(torn.join("samples.jsonl")).ok(), fs::read(at.join("samples.jsonl")).ok(), "{number}");
        }
    }
}

#[test]
fn a_file_with_what_lies_beside_it_is_one_output() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("graded.jsonl");
    let place = Place::file(Kind::Grade, &file);
    let ledger = Ledger::begin(place.clone()).unwrap();
    ledger.append("", "graded.jsonl.partial", b"{\"index\":0}\n").unwrap();
    ledger
        .write_folder("", "graded.jsonl.evidence/000000-t", |folder| fs::write(folder.join("again.sh"), "#!/bin/sh\n"))
        .unwrap();
    assert!(verify(&place).unwrap().whole());
    ledger.rename("graded.jsonl.partial", "graded.jsonl").unwrap();
    let root = ledger.close_short().unwrap();
    drop(ledger);
    let found = verify(&Place::of(&file).unwrap()).unwrap();
    assert!(found.whole() && found.files == 2 && found.root == root && found.kind == Kind::Grade, "{found:?}");
    fs::write(dir.path().join("thesis.txt"), "of no concern").unwrap();
    assert!(verify(&place).unwrap().whole());
    fs::write(dir.path().join("graded.jsonl.evidence/000000-t/more.py"), "").unwrap();
    replace(&file, "0", "1");
    assert_eq!(problems(&file), ["graded.jsonl: Edited", "graded.jsonl.evidence/000000-t/more.py: Extra"],);
    assert!(matches!(Place::of(dir.path()), Err(LogError::NotResults(_))));
}
