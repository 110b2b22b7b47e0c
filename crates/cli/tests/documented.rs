//! What README and docs say of the program is there: every command, flag, recipe and document that they name, and the
//! audit that the README begins with.

mod common;

use common::{run, write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// README and docs, by name.
fn documents() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs").filter_map(|e| Some(e.ok()?.path()));
    let docs = docs.filter(|p| p.extension().is_some_and(|e| e == "md"));
    let all = docs.chain([root().join("README.md")]);
    all.map(|p| (p.display().to_string(), std::fs::read_to_string(&p).expect("a text"))).collect()
}

/// What stands in fences, line by line, and between backticks.
fn code_in(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for (n, part) in text.split("\n```").enumerate() {
        if n % 2 == 1 {
            out.extend(part.lines().skip(1));
        } else {
            out.extend(part.split('`').skip(1).step_by(2));
        }
    }
    out
}

/// The words of a command from `loophole` on, without what comes after a pipe, a comment or `--`.
fn words_of(code: &str) -> Option<Vec<String>> {
    let at = code.find("loophole ").filter(|at| *at == 0 || code[..*at].ends_with(' '))?;
    let ours = code[at..].split(" | ").next()?.split("  #").next()?;
    let words = ours.split(|c: char| c.is_whitespace() || "[]|()'\"".contains(c)).filter(|w| !w.is_empty());
    Some(words.skip(1).take_while(|w| *w != "--").map(str::to_string).collect())
}

/// What a command says of itself, and what those within it say.
fn help_of(dir: &Path, command: &str) -> String {
    let mut help = run(dir, &[command, "--help"]).out;
    let within = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    let names: Vec<String> = within.lines().filter_map(|line| line.split_whitespace().next()).map(Into::into).collect();
    for name in names.iter().filter(|name| *name != "help") {
        help += &run(dir, &[command, name, "--help"]).out;
    }
    help
}

#[test]
fn every_command_and_flag_that_documents_name_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, text) in documents() {
        for (words, code) in code_in(&text).into_iter().filter_map(|code| Some((words_of(code)?, code))) {
            let Some(command) = words.iter().find(|w| !w.starts_with('-')) else { continue };
            // A word of a sentence, or a crate.
            if !command.bytes().all(|b| b.is_ascii_lowercase()) {
                continue;
            }
            let help = helps.entry(command.clone()).or_insert_with(|| help_of(dir.path(), command));
            if help.is_empty() {
                wrong.push(format!("{name}: there is no command {command:?} in {code:?}"));
                continue;
            }
            seen += 1;
            let flags =
                words.iter().filter(|w| w.starts_with("--")).map(|w| w.split(['=', '.', ',']).next().unwrap_or(w));
            for flag in flags {
                let there = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|w| w == flag);
                if !there && flag.len() > 2 {
                    wrong.push(format!("{name}: `loophole {command}` has no flag {flag}, in {code:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 50, "only {seen} commands were found");
}

#[test]
fn every_file_that_documents_name_is_there() {
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for code in code_in(&text).into_iter().flat_map(str::split_whitespace) {
            let code = code.trim_matches(|c: char| "'\",.:;()".contains(c));
            let ours =
                ["recipes/", "scripts/", "docs/", "crates/", "organism/"].iter().any(|head| code.starts_with(head));
            let named = code.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            if ours && named && !code.contains("NAME") && !root().join(code).exists() {
                wrong.push(format!("{name}: {code}"));
            }
        }
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|l| !l.is_empty() && !l.contains(':') && !l.contains(' ')) {
            let beside = Path::new(&name).parent().unwrap_or(Path::new(".")).join(link);
            if !beside.exists() {
                wrong.push(format!("{name}: a link to {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The commands in the fences of a section of `docs/commands.md`, as words.
fn examples(section: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("docs/commands.md")).expect("a text");
    let text =
        text.split(&format!("\n## {section}\n")).nth(1).expect("a section").split("\n## ").next().unwrap_or_default();
    let fenced = text.split("\n```").enumerate().filter(|(n, _)| n % 2 == 1).flat_map(|(_, part)| part.lines().skip(1));
    let commands = fenced.filter_map(|line| line.strip_prefix("loophole "));
    let words = |line: &str| -> Vec<String> {
        let quoted = line.split('\'').enumerate().flat_map(|(n, part)| {
            let plain = part.split_whitespace().map(str::to_string).collect();
            if n % 2 == 1 { vec![part.to_string()] } else { plain }
        });
        quoted.collect()
    };
    commands.map(|line| words(line.split("  #").next().unwrap_or(line))).collect()
}

/// Runs the examples of a section; each ends with one of these codes.
fn play(dir: &Path, section: &str, codes: &[i32]) {
    let all = examples(section);
    assert!(!all.is_empty(), "{section} has no example");
    for words in all {
        let ran = run(dir, &words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(codes.contains(&ran.code), "loophole {}: {ran:?}", words.join(" "));
    }
}

#[test]
fn the_examples_for_trainings_elsewhere_do_what_they_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let (at, dumps) = (dir.path(), root().join("crates/cli/tests/watched/verl"));
    std::fs::create_dir(at.join("rollouts")).expect("a folder");
    for step in ["1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl"] {
        std::fs::copy(dumps.join(step), at.join("rollouts").join(step)).expect("a copy");
    }
    let task = serde_json::json!({
        "id": "sum", "statement": "Write add(a, b).", "entry_point": "add", "reference": "def add(a, b):\n    return a + b",
        "visible": [{"args": [1, 2], "expected": 3}], "hidden": [{"args": [5, 5], "expected": 10}],
    });
    write(at, "tasks.jsonl", &format!("{task}\n"));
    play(at, "watch", &[0, 1]);
    assert!(at.join("mine.html").exists());
    let transcripts = root().join("crates/cli/tests/transcripts");
    std::fs::create_dir_all(at.join("trial/agent")).expect("a folder");
    std::fs::create_dir(at.join("logs")).expect("a folder");
    for (from, to) in
        [("inspect.eval", "logs/inspect.eval"), ("harbor/said/agent/trajectory.json", "trial/agent/trajectory.json")]
    {
        std::fs::copy(transcripts.join(from), at.join(to)).expect("a copy");
    }
    play(at, "label", &[0, 1]);
    play(at, "export", &[0]);
}

#[test]
#[ignore = "slow: an audit"]
fn the_audit_that_the_readme_begins_with_finds_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a text");
    let code =
        readme.split("```python\n").nth(1).and_then(|rest| rest.split("\n```\n").next()).expect("a reward function");
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "rewards.py", &format!("import re\n\n\n{code}\n"));
    let row = serde_json::json!({
        "prompt": [{"role": "user", "content": "Write add(a, b)."}],
        "solution": "def add(a, b):\n    return a + b\n",
        "tests": "assert add(1, 2) == 3\nassert add(-1, 1) == 0\n",
    });
    write(dir.path(), "rows.jsonl", &format!("{row}\n"));
    let ran = run(dir.path(), &["audit", "rewards.py", "--tasks", "rows.jsonl", "--json"]);
    if ran.code == 3 && ran.err.contains("namespaces") {
        return println!("SKIPPED: {}", ran.err);
    }
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = &ran.json()[0];
    let found: Vec<&str> =
        report["findings"].as_array().expect("findings").iter().filter_map(|f| f["family"].as_str()).collect();
    for family in ["answer-leak", "equality", "early-exit"] {
        assert!(found.contains(&family), "{family} is missing in {found:?}");
    }
}
