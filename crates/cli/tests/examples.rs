//! The examples of the documents of `loophole serve` are carried out, in their order, against a server that serves what
//! they say.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{program, write};
use serde_json::Value;

/// Killed at the end of the test, however it ends.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every command that begins with `curl` in a block of its own; a quoted body may go on over several lines.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if open || fenced && line.starts_with("curl ") {
            match commands.last_mut().filter(|_| open) {
                Some(command) => *command += &format!("\n{line}"),
                None => commands.push(line.to_string()),
            }
            open = commands.last().is_some_and(|command| command.matches('\'').count() % 2 == 1);
        }
    }
    commands
}

/// The tasks that `docs/serve.md` says the examples run against.
fn tasks(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("{\"id\": \"sum\"")).expect("a line of tasks")
}

#[test]
fn every_example_of_a_request_is_answered() {
    if Command::new("curl").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no curl here");
    }
    let read = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).expect(name);
    let (serve, models) = (read("serve.md"), read("models.md"));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tasks.jsonl", &format!("{}\n", tasks(&serve)));
    write(dir.path(), "data.bin", "data");
    let config = loophole_lm::Config::load(&root().join("organism/config.json")).unwrap();
    let adapter = loophole_lm::Lora::init(&config, 2, 4.0, &["q_proj", "v_proj"], 1).unwrap();
    adapter.save(&dir.path().join("adapter"), "organism").unwrap();
    let mut command = program(dir.path(), &["serve", "organism", "--tasks", "tasks.jsonl", "--port", "0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _serving = Serving(child);
    let said: Value = serde_json::from_str(&line).unwrap();
    let address = said["url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches("/v1").to_string();
    let mut id = String::new();
    let commands = [commands(&serve), commands(&models)].concat();
    assert!(commands.len() > 20, "only {} examples were found", commands.len());
    for command in commands {
        let asked = command.replace("localhost:8517", &address).replace("/ID", &format!("/{id}"));
        let asked = asked.replacen("curl ", "curl --fail-with-body --max-time 60 ", 1);
        let ended = Command::new("sh").args(["-c", &asked]).current_dir(dir.path()).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{command}\n{told}{}", String::from_utf8_lossy(&ended.stderr));
        if command.contains("/v1/cells -d") {
            id = serde_json::from_str::<Value>(&told).unwrap()["id"].as_str().unwrap().to_string();
        }
    }
}
