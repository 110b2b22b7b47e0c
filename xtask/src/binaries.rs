//! The workspace's test programs: found once they are built, and run a few at a time. Many of them wait for what hangs
//! or is late, so that one after the other they would leave most of the machine idle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::command::{Ended, Runner};

/// A program that `cargo test` has built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestProgram {
    /// Its package and target, as `loophole-cell basic`.
    pub name: String,
    /// The name of its target, as `--test` has it.
    pub target: String,
    /// The folder of its package, in which it is run.
    pub folder: PathBuf,
    /// The program.
    pub path: PathBuf,
}

/// Those that cargo's messages in JSON tell of, which a build writes line by line.
pub fn read(messages: &str) -> Vec<TestProgram> {
    let mut found: BTreeMap<PathBuf, TestProgram> = BTreeMap::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let (target, manifest) = (text(&message["target"]["name"]), text(&message["manifest_path"]));
        let (Some(path), Some(target), Some(manifest)) = (text(&message["executable"]), target, manifest) else {
            continue;
        };
        if message["profile"]["test"] != Value::Bool(true) {
            continue;
        }
        let folder = Path::new(&manifest).parent().map(Path::to_path_buf).unwrap_or_default();
        let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = PathBuf::from(path);
        found.insert(path.clone(), TestProgram { name: format!("{package} {target}"), target, folder, path });
    }
    let mut found: Vec<TestProgram> = found.into_values().collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Runs all of them with these arguments, some at a time, each in its package's folder; all output, and what went wrong with which.
pub fn run(
    runner: &Runner,
    programs: &[TestProgram],
    arguments: &[&str],
    env: &[(&str, &Path)],
    at_a_time: usize,
    limit: u64,
) -> (String, Option<String>) {
    let (next, ended) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time.min(programs.len()) {
            scope.spawn(|| {
                while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let path = program.path.to_string_lossy();
                    let done = runner.run_quietly(&program.name, &program.folder, &path, arguments, env, limit);
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push((program, done));
                }
            });
        }
    });
    let ended: Vec<(&TestProgram, Ended)> = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    let wrong: Vec<String> =
        ended.iter().filter(|(_, e)| !e.good()).map(|(p, e)| format!("{}: {}", p.name, e.why)).collect();
    let output = ended.into_iter().map(|(_, e)| e.output).collect();
    (output, (!wrong.is_empty()).then(|| wrong.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_those_with_tests_and_each_is_there_once() {
        let artifact = |target: &str, test: bool, path: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/crates/cell/Cargo.toml","target":{{"name":"{target}"}},"profile":{{"test":{test}}},"executable":{path}}}"#
            )
        };
        let lines = [
            artifact("basic", true, r#""/t/basic-1""#),
            artifact("basic", true, r#""/t/basic-1""#),
            artifact("sample", false, r#""/t/sample""#),
            artifact("loophole_cell", false, "null"),
            "   Compiling".to_string(),
        ];
        let (folder, path) = (PathBuf::from("/w/crates/cell"), PathBuf::from("/t/basic-1"));
        let wanted = TestProgram { name: "cell basic".into(), target: "basic".into(), folder, path };
        assert_eq!(read(&lines.join("\n")), [wanted]);
    }
}
