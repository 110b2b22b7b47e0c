//! A command: `cmd:COMMAND {submission}`, run in a fresh cell each time.

use crate::EnvError;
use crate::Payment;
use crate::callable::limits;
use crate::files::{Folder, LARGEST_FILE, how_ended, machine_failed};
use crate::foreign::{Asked, Caller, reward_in};
use loophole_cell::{InputFile, Pool, PoolOptions, Program, Verdict};
use serde_json::Value;
use std::path::Path;

/// Where a command's reward is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RewardFrom {
    /// Its exit status: 0 pays 1, everything else pays 0.
    #[default]
    Exit,
    /// The last line of its output: a number, or JSON with `reward` or `score`.
    Output,
}

impl RewardFrom {
    /// The place of that name.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(name: &str) -> Result<RewardFrom, EnvError> {
        match name {
            "exit" => Ok(RewardFrom::Exit),
            "output" => Ok(RewardFrom::Output),
            _ => Err(EnvError::Input(format!("no reward from {name:?}; known are exit, output"))),
        }
    }
}

pub(crate) struct Command {
    pool: Pool,
    command: String,
    folder: Folder,
    from: RewardFrom,
    seconds: f64,
}

impl Command {
    /// From a command that names `{submission}`; `files` is the folder it runs in (a copy of it), without which what it
    /// names comes along.
    pub(crate) fn open(
        command: &str,
        files: Option<&Path>,
        from: RewardFrom,
        python: Option<&Path>,
        seconds: f64,
        without: &[&Path],
    ) -> Result<Command, EnvError> {
        if !command.contains("{submission}") {
            return Err(EnvError::Input(format!("cmd:{command}: say where the submission goes, with {{submission}}")));
        }
        let named: Vec<&str> = command.split_whitespace().filter(|w| Path::new(w).is_file()).collect();
        let folder = match (files, named.as_slice()) {
            (Some(folder), _) => Folder::read(folder)?.without(folder, without),
            (None, []) => Folder::default(),
            (None, names) => beside(names, without)?,
        };
        let python = python.map(Path::to_path_buf);
        let pool = Pool::start(PoolOptions { shell_only: true, python, ..PoolOptions::default() })?;
        Ok(Command { pool, command: command.into(), folder, from, seconds })
    }
}

/// Endings of files that are code.
const CODE: [&str; 12] = ["c", "cc", "cpp", "h", "hpp", "java", "js", "mjs", "pl", "py", "rb", "sh"];

fn is_code(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| CODE.contains(&end))
}

/// The files that a command names with the folders they lie in; of the current folder, which may hold anything, code
/// alone.
fn beside(names: &[&str], without: &[&Path]) -> Result<Folder, EnvError> {
    let mut folder = Folder::default();
    for name in names.iter().filter(|n| Path::new(n).is_relative() && !n.contains("..")) {
        let name = name.trim_start_matches("./");
        let content = |path: &str| {
            loophole_foreign::read(Path::new(path), LARGEST_FILE).map_err(|e| EnvError::Input(format!("{path}: {e}")))
        };
        if let Some((parent, _)) = name.rsplit_once('/') {
            let all = Folder::read(Path::new(parent))?.without(Path::new(parent), without);
            folder.files.extend(all.files.into_iter().map(|(path, file)| (format!("{parent}/{path}"), file)));
        } else {
            let here = std::fs::read_dir(".").map_err(|e| EnvError::Input(format!(".: {e}")))?;
            for file in here.filter_map(|e| e.ok()?.file_name().into_string().ok()).filter(|n| is_code(n)) {
                if Path::new(&file).is_file() && !without.iter().any(|w| *w == Path::new(&file)) {
                    folder.files.insert(file.clone(), (content(&file)?, true));
                }
            }
        }
        folder.files.insert(name.to_string(), (content(name)?, true));
    }
    Ok(folder)
}

impl Caller for Command {
    fn name(&self) -> String {
        let from = match self.from {
            RewardFrom::Exit => "exit status",
            RewardFrom::Output => "last line of output",
        };
        format!("command `{}`, reward by {from}", self.command)
    }

    fn source(&self) -> String {
        let sources = self.folder.files.keys().filter(|n| is_code(n));
        sources.map(|n| self.folder.text(n)).collect::<Vec<_>>().join("\n")
    }

    fn place(&self) -> Option<(String, usize)> {
        let named = |word: &&str| self.folder.files.contains_key(word.trim_start_matches("./"));
        self.command.split_whitespace().find(named).map(|word| (word.to_string(), 1))
    }

    fn script(&self, asked: &Asked) -> Option<String> {
        let (text, row) = (asked.text, asked.row);
        let text = serde_json::to_string(text).ok()?;
        let task = serde_json::to_string(&Value::Object(row.fields.clone()).to_string()).ok()?;
        let (command, main) = (serde_json::to_string(&self.command).ok()?, row.surface.main_file());
        Some(format!(
            "#!/usr/bin/env python3\n# Gives the grader's command one submission, in the folder it is run in; the command says the reward.\nimport os, subprocess, tempfile\n\nSUBMISSION = {text}\nTASK = {task}\nCOMMAND = {command}\n\nfolder = tempfile.mkdtemp()\nfor name, text in (({main:?}, SUBMISSION), (\"task.json\", TASK)):\n    with open(os.path.join(folder, name), \"w\") as file:\n        file.write(text)\nline = COMMAND.replace(\"{{submission}}\", os.path.join(folder, {main:?})).replace(\"{{task}}\", os.path.join(folder, \"task.json\"))\nprint(\"exit status:\", subprocess.run([\"bash\", \"-c\", line]).returncode)\n"
        ))
    }

    fn call(&self, asked: &Asked) -> Result<Payment, EnvError> {
        let (text, row) = (asked.text, asked.row);
        let name = format!("submission/{}", row.surface.main_file());
        let line = self.command.replace("{submission}", &name).replace("{task}", "submission/task.json");
        let mut program = Program { proc: true, ..Program::command(["bash", "-c", &line]) };
        program.files = self.folder.inputs("");
        program.files.push(InputFile::new(name, text));
        // The row may hold the reference: it is there only where the command asks for it.
        if self.command.contains("{task}") {
            program.files.push(InputFile::new("submission/task.json", Value::Object(row.fields.clone()).to_string()));
        }
        program.limits = limits(self.seconds);
        let record = self.pool.run(&program)?;
        if record.verdict == Verdict::Machine {
            return Ok(machine_failed(&record));
        }
        let out = record.stdout_text();
        let reward = match self.from {
            _ if record.verdict != Verdict::Exit => None,
            RewardFrom::Exit => Some(f64::from(u8::from(record.code == Some(0)))),
            RewardFrom::Output => {
                let last = out.lines().rev().find(|l| !l.trim().is_empty());
                last.and_then(|l| reward_in(&serde_json::from_str::<Value>(l.trim()).ok()?))
            }
        };
        let how = how_ended(&record) + "\n";
        Ok(Payment {
            reward,
            valid: true,
            transcript: how + &out + &record.stderr_text(),
            seconds: record.wall_seconds,
        })
    }
}
