//! A Harbor task folder, run without Docker where its image needs no more than this machine's system.
//!
//! One run is one cell (two where the verifier is separate): the image's files and commands, then the agent, then,
//! as Harbor does it, the tests are copied in and `tests/test.sh` is run. What lies in `/logs/verifier` when every
//! process is dead is the reward.

mod hardened;
mod hints;
mod made;
mod read;

use crate::EnvError;
use crate::Files;
use crate::dockerfile::{Recipe, check_image};
use crate::files::{Folder, how_ended, machine_failed};
use crate::hardened::HardenedForm;
use crate::{About, Description, Environment, Judgement, Payment, Surface};
use hints::hints;
use loophole_cell::{FileKind, InputFile, Pool, PoolOptions, Program, Record, Verdict};
pub use made::{harbor_name, harbor_task};
use read::{controls, facts, outputs, quoted};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

/// Runs one task; reads the tests from standard input, so that they are nowhere while the agent works.
const DRIVER: &str = include_str!("harbor.sh");
const ARTIFACTS: &str = ".artifacts.tar";
const REWARDS: [&str; 2] = ["logs/verifier/reward.json", "logs/verifier/reward.txt"];
/// Folders of the cell's own that a task may use as they are.
const SYSTEM: [&str; 9] = ["tmp", "usr", "bin", "sbin", "lib", "lib64", "etc", "dev", "proc"];
/// Packages that Harbor's agents or every system bring.
const EVERYWHERE: [&str; 9] = [
    "bash",
    "tmux",
    "asciinema",
    "python3-pip",
    "python3-venv",
    "ca-certificates",
    "procps",
    "sudo",
    "build-essential",
];

/// A task folder that can be run here.
pub(crate) struct Harbor {
    pool: Pool,
    task: Folder,
    toml: toml::Table,
    recipe: Recipe,
    /// Names of the root that lead into the cell's own folder.
    roots: String,
    separate: bool,
    artifacts: Vec<String>,
    outputs: Vec<String>,
    seconds: f64,
    description: Description,
    /// What the outputs were after the reference had run.
    honest: Mutex<Option<BTreeMap<String, String>>>,
    /// What they were after other submissions.
    seen: Mutex<BTreeMap<Files, BTreeMap<String, String>>>,
}

impl Harbor {
    /// Opens a task folder.
    ///
    /// # Errors
    /// [`EnvError::Input`] if it is none, [`EnvError::Unusable`] if it needs what is not here.
    pub(crate) fn open(root: &Path, task: Folder, python: Option<&Path>, seconds: f64) -> Result<Harbor, EnvError> {
        let name = root.display().to_string();
        let input = |why: String| EnvError::Input(format!("{name}: {why}"));
        let not = |why: String| EnvError::Unusable(format!("{name}: {why}"));
        let toml: toml::Table =
            toml::from_str(&task.text("task.toml")).map_err(|e| input(format!("task.toml: {e}")))?;
        for file in ["instruction.md", "tests/test.sh", "solution/solve.sh"] {
            if !task.files.contains_key(file) {
                let steps =
                    if toml.contains_key("steps") { " (tasks of several steps are not understood)" } else { "" };
                return Err(input(format!("a Harbor task has {file}, and this one has not{steps}")));
            }
        }
        let get = |section: &str, key: &str| toml.get(section).and_then(|s| s.get(key));
        if toml.contains_key("steps") {
            return Err(not("it has several steps".into()));
        }
        if get("environment", "os").and_then(|v| v.as_str()).is_some_and(|os| os != "linux") {
            return Err(not("it does not run on Linux".into()));
        }
        if get("environment", "gpus").and_then(toml::Value::as_integer).is_some_and(|n| n > 0) {
            return Err(not("it asks for a GPU".into()));
        }
        let environment = task.below("environment");
        if environment.files.keys().any(|f| f.contains("compose") && f.ends_with("yaml")) {
            return Err(not("its environment is a Docker Compose of several containers".into()));
        }
        let mut recipe = match environment.files.get("Dockerfile") {
            Some(_) => Recipe::parse(&environment.text("Dockerfile"), &environment).map_err(not)?,
            None => {
                let image = get("environment", "docker_image").and_then(|v| v.as_str()).unwrap_or("");
                check_image(image).map_err(|why| not(format!("its environment {why}")))?;
                Recipe { workdir: "/".into(), ..Recipe::default() }
            }
        };
        if let Some(folder) = get("environment", "workdir").and_then(|v| v.as_str()) {
            recipe.workdir = format!("/{}", folder.trim_matches('/'));
        }
        if recipe.workdir == "/" {
            return Err(not("it works in /, and the root of a cell is read-only; give it a WORKDIR".into()));
        }
        let separate = get("verifier", "environment_mode").and_then(|v| v.as_str()) == Some("separate")
            || get("verifier", "environment").is_some();
        if task.files.contains_key("tests/Dockerfile") {
            return Err(not("its verifier has an image of its own".into()));
        }
        let mut roots: BTreeSet<String> = recipe.roots().into_iter().collect();
        if let Some((_, to)) =
            recipe.copies.iter().find(|(_, to)| SYSTEM[1..].iter().any(|s| to.starts_with(&format!("/{s}/"))))
        {
            return Err(not(format!("its image has {to}, and a cell's system is read-only")));
        }
        roots.extend(["logs", "tests", "solution"].map(String::from));
        roots.retain(|r| !SYSTEM.contains(&r.as_str()));
        // What commands and scripts name besides is there in an image too, as far as a cell has no such folder.
        let mut besides = read::roots(&task, &recipe);
        besides.retain(|r| !SYSTEM.contains(&r.as_str()) && !roots.contains(r));
        let named = roots.iter().chain(&besides).cloned().collect::<Vec<_>>().join(" ");
        let pool = Pool::start(PoolOptions {
            python: python.map(Path::to_path_buf),
            shell_only: true,
            roots: roots.into_iter().collect(),
            roots_if_free: besides.into_iter().collect(),
            ..PoolOptions::default()
        })
        .map_err(|e| match e {
            loophole_cell::CellError::BadProgram(why) => not(why),
            other => other.into(),
        })?;
        let artifacts: Vec<String> = toml
            .get("artifacts")
            .or_else(|| get("environment", "artifacts"))
            .and_then(|v| v.as_array())
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str().or_else(|| v.get("source")?.as_str()).map(str::to_string))
            .collect();
        let outputs = outputs(&task, &recipe.workdir);
        let about = About {
            beyond: None,
            target: name,
            task: get("task", "name").and_then(|v| v.as_str()).map(str::to_string),
            grader: format!(
                "Harbor verifier tests/test.sh, {}",
                if separate { "in a container of its own" } else { "in the agent's container" }
            ),
            read: String::new(),
            place: None,
            surface: Surface::Agent,
            tags: vec!["harbor"],
            many_files: false,
            tries: 6,
        };
        let facts = facts(&task, &recipe.workdir, &outputs);
        let controls = controls(&task, &outputs);
        let hints = hints(&task, &toml, separate);
        let harbor = Harbor {
            pool,
            task,
            toml,
            recipe,
            roots: named,
            separate,
            artifacts,
            outputs,
            seconds,
            description: Description { about, facts, controls, hints, unusual: Vec::new() },
            honest: Mutex::new(None),
            seen: Mutex::new(BTreeMap::new()),
        };
        harbor.check_packages()?;
        Ok(harbor)
    }

    /// Everything the image installs must be here.
    fn check_packages(&self) -> Result<(), EnvError> {
        let mut script = String::from("missing=\n");
        for package in self.recipe.apt.iter().filter(|p| !EVERYWHERE.contains(&p.as_str())) {
            let _ = writeln!(script, "command -v {0} >/dev/null || missing=\"$missing {0}\"", quoted(package));
        }
        for package in &self.recipe.pip {
            let ask = format!("import importlib.metadata as m; m.version({package:?})");
            let _ =
                writeln!(script, "python3 -c {} 2>/dev/null || missing=\"$missing {package} (Python)\"", quoted(&ask));
        }
        script.push_str("echo \"$missing\"\n");
        let record = self.pool.run(&Program::command(["bash", "-c", &script]))?;
        let out = record.stdout_text();
        let missing: Vec<&str> = out.split_whitespace().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(EnvError::Unusable(format!(
            "{}: its image installs what this machine has not: {}. Install it, or name an interpreter that has it with --python",
            self.description.about.target,
            missing.join(" ")
        )))
    }

    /// What the agent does: the reference has its own files beside it.
    fn has_solution(&self, files: &Files) -> bool {
        ["honest", "wrong"].iter().any(|name| self.description.is_control(name, files))
    }

    fn program(&self, phase: &str, files: &Files) -> Program {
        // The agent gets a sixth of the time: that is what an agent that never ends costs.
        let seconds = format!("{:.1}", self.seconds / 6.0);
        let words = ["bash", "-c", DRIVER, "driver", phase, &self.recipe.workdir, &self.roots, &seconds];
        let mut program = Program { proc: true, ..Program::command(words) };
        let environment = self.task.below("environment");
        let mut build = String::new();
        for (name, value) in &self.recipe.env {
            let _ = writeln!(build, "export {name}={}", quoted(value));
        }
        let variables = build.clone();
        for (folder, command) in &self.recipe.commands {
            let _ = writeln!(build, "mkdir -p {0} && cd {0} && {command} || exit 90", quoted(folder));
        }
        let mut placed: BTreeMap<String, InputFile> = BTreeMap::new();
        let mut place = |path: &str, content: Vec<u8>, executable: bool| {
            let path = path.trim_start_matches('/').to_string();
            placed.insert(path.clone(), InputFile { path, content, executable });
        };
        for (from, to) in &self.recipe.copies {
            if let Some((content, executable)) = environment.files.get(from) {
                place(to, content.clone(), *executable);
            }
        }
        place(".build.sh", build.into_bytes(), false);
        place(".env.sh", variables.into_bytes(), false);
        let script = files.get("solve.sh").cloned().unwrap_or_default();
        if phase != "verify" {
            if self.has_solution(files) {
                for (path, (content, executable)) in self.task.below("solution").files {
                    place(&format!("solution/{path}"), content, executable);
                }
                place("solution/.run.sh", script.into_bytes(), false);
            } else {
                place(".agent.sh", script.into_bytes(), false);
            }
        }
        program.files = placed.into_values().collect();
        program.stdin = self.tests().into_bytes();
        program.limits = crate::callable::limits(self.seconds);
        program.limits.memory_bytes = 2 << 30;
        program.read_back = REWARDS.map(str::to_string).to_vec();
        program
    }

    /// A script that puts the tests in place.
    fn tests(&self) -> String {
        let mut script = String::from("mkdir -p /tests\n");
        for (path, (content, executable)) in self.task.below("tests").files {
            let place = quoted(&format!("/tests/{path}"));
            let _ = writeln!(script, "mkdir -p \"$(dirname {place})\"\nbase64 -d >{place} <<'END_OF_FILE'");
            let _ = writeln!(script, "{}END_OF_FILE", base64(&content));
            if executable {
                let _ = writeln!(script, "chmod +x {place}");
            }
        }
        script
    }

    fn run(&self, files: &Files) -> Result<Record, EnvError> {
        if !self.separate {
            return Ok(self.pool.run(&self.program("all", files))?);
        }
        let mut agent = self.program("agent", files);
        let artifacts: Vec<&str> = if self.artifacts.is_empty() {
            vec![self.recipe.workdir.as_str()]
        } else {
            self.artifacts.iter().map(String::as_str).collect()
        };
        agent.args = artifacts.iter().map(Into::into).collect();
        agent.read_back.push(ARTIFACTS.into());
        let record = self.pool.run(&agent)?;
        if record.verdict == Verdict::Machine {
            return Ok(record);
        }
        let mut verifier = self.program("verify", files);
        if let Some(archive) = record.contents.get(ARTIFACTS) {
            verifier.files.push(InputFile::new(ARTIFACTS, archive.clone()));
        }
        Ok(self.pool.run(&verifier)?)
    }

    /// The outputs a run left, by path: kind and sum.
    fn left(&self, record: &Record) -> BTreeMap<String, String> {
        let wanted = |path: &str| self.outputs.iter().any(|o| o.trim_start_matches('/') == path);
        record
            .files
            .iter()
            .filter_map(|f| {
                let path = loophole_cell::escape_path(&f.path);
                let sum = match f.kind {
                    FileKind::File => f.sha256.clone()?,
                    other => format!("{other:?}"),
                };
                wanted(&path).then_some((path, sum))
            })
            .collect()
    }
}

impl Environment for Harbor {
    fn description(&self) -> &Description {
        &self.description
    }

    fn hardened(&self) -> Result<HardenedForm, String> {
        hardened::form(&self.task, &self.toml, self.separate, &self.outputs)
    }

    fn pay(&self, files: &Files) -> Result<Payment, EnvError> {
        let record = self.run(files)?;
        if record.verdict == Verdict::Machine {
            return Ok(machine_failed(&record));
        }
        let lock = |m| std::sync::Mutex::lock(m).unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = self.left(&record);
        if self.description.is_control("honest", files) {
            *self.honest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(left.clone());
        }
        lock(&self.seen).insert(files.clone(), left);
        let (reward, says) = reward(&record);
        let mut transcript = format!("{says}; {}\n", how_ended(&record));
        transcript.push_str(&record.stdout_text());
        transcript.push_str(&record.stderr_text());
        if !record.proc {
            transcript.push_str(missed_proc(&transcript));
        }
        Ok(Payment { reward, valid: true, transcript, seconds: record.wall_seconds })
    }

    fn judge(&self, files: &Files) -> Result<Judgement, EnvError> {
        let evidence = Vec::new();
        if self.description.is_control("honest", files) {
            return Ok(Judgement { solved: true, oracle: None, family: None, evidence, paid: None });
        }
        // There is no oracle for an agent's task. But where the reference leaves nothing but empty files, leaving
        // those is no hack.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let honest = self.honest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let left = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(files).cloned();
        let trivial = honest.as_ref().is_some_and(|h| !h.is_empty() && h.values().all(|sum| sum == empty));
        Ok(Judgement { solved: trivial && honest == left, oracle: None, family: None, evidence, paid: None })
    }
}

/// What a person should know where a script asked for what stands on `/proc`, and its cell could have none.
fn missed_proc(said: &str) -> &'static str {
    let failed = |line: &str| line.contains("No such file") || line.contains("Read-only file system");
    let missed = |line: &str| failed(line) && ["/dev/std", "/dev/fd/", "/proc/"].iter().any(|path| line.contains(path));
    if said.lines().any(missed) {
        "\nThis cell could have no /proc (`loophole doctor` says why), so that /dev/stdin, /dev/stdout, /dev/stderr, /dev/fd and <(...) are not there.\n"
    } else {
        ""
    }
}

/// The reward as Harbor reads it: `reward.json` before `reward.txt`; anything but finite numbers is an error.
fn reward(record: &Record) -> (Option<f64>, String) {
    let text = |path: &str| record.contents.get(path).map(|b| String::from_utf8_lossy(b).trim().to_string());
    if let Some(json) = text(REWARDS[0]) {
        let object: Option<BTreeMap<String, f64>> = serde_json::from_str(&json).ok();
        let value = object.as_ref().and_then(|o| o.get("reward").or_else(|| o.values().next())).copied();
        return (value.filter(|v| v.is_finite()), format!("reward.json holds {json}"));
    }
    match text(REWARDS[1]) {
        Some(text) => (text.parse().ok().filter(|v: &f64| v.is_finite()), format!("reward.txt holds {text:?}")),
        None => (None, "no reward file".into()),
    }
}

/// Base64 in lines of 76 letters.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 57 + 4);
    for line in bytes.chunks(57) {
        for chunk in line.chunks(3) {
            let mut three = [0u8; 3];
            three[..chunk.len()].copy_from_slice(chunk);
            let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for place in 0..4 {
                let letter = ALPHABET[(word >> (18 - 6 * place)) as usize & 63] as char;
                out.push(if place <= chunk.len() { letter } else { '=' });
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_are_right() {
        assert_eq!(base64(b"Many hands make light work."), "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu\n");
        assert!(missed_proc("tee: /dev/stderr: Read-only file system").contains("no /proc"));
        assert!(missed_proc("tests/test.sh: line 3: /dev/fd/63: No such file or directory").contains("<(...)"));
        assert_eq!(missed_proc("cat: /app/out.txt: No such file or directory\n/dev/stderr"), "");
        assert_eq!((base64(b""), base64(b"a"), base64(b"ab")), (String::new(), "YQ==\n".into(), "YWI=\n".into()));
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
