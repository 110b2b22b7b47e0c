//! A Python callable: `python:FILE.py:function` or `python:module:function`, called in a fresh cell each time.

use crate::EnvError;
use crate::Payment;
use crate::files::{Folder, how_ended, machine_failed};
use crate::foreign::{Caller, Row, reward_in};
use loophole_cell::{Limits, Pool, PoolOptions, Program, Verdict};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

const CALL: &str = include_str!("call.py");
/// What calls and most reward functions import: worth having in the warm interpreter.
const PRELOAD: [&str; 12] = [
    "asyncio",
    "collections",
    "functools",
    "importlib.util",
    "inspect",
    "itertools",
    "json",
    "math",
    "random",
    "re",
    "subprocess",
    "tempfile",
];

/// How a reward function takes its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// `f(submission: str, task: dict) -> float`
    #[default]
    Plain,
    /// TRL: `f(prompts, completions, **columns) -> list[float | None]`
    Trl,
    /// verl: `compute_score(data_source, solution_str, ground_truth, extra_info) -> float | dict`
    Verl,
}

impl Signature {
    /// The signature of that name.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(name: &str) -> Result<Signature, EnvError> {
        match name {
            "plain" => Ok(Signature::Plain),
            "trl" => Ok(Signature::Trl),
            "verl" => Ok(Signature::Verl),
            _ => Err(EnvError::Input(format!("no signature {name:?}; known are trl, verl, plain"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Signature::Plain => "plain",
            Signature::Trl => "trl",
            Signature::Verl => "verl",
        }
    }
}

pub(crate) struct Callable {
    pool: Pool,
    python: String,
    folder: Folder,
    /// Path below the folder, or empty for a module.
    file: String,
    module: String,
    function: String,
    signature: Signature,
    seconds: f64,
}

impl Callable {
    /// From `FILE.py:function` or `module:function`.
    pub(crate) fn open(
        spec: &str,
        signature: Signature,
        python: Option<&Path>,
        seconds: f64,
    ) -> Result<Callable, EnvError> {
        let wrong =
            || EnvError::Input(format!("python:{spec}: write python:FILE.py:FUNCTION or python:MODULE:FUNCTION"));
        let (place, function) =
            spec.rsplit_once(':').filter(|(p, f)| !p.is_empty() && !f.is_empty()).ok_or_else(wrong)?;
        let (folder, file, module) = if place.ends_with(".py") {
            let path = Path::new(place);
            if !path.is_file() {
                return Err(EnvError::Input(format!("{place}: there is no such file")));
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(wrong)?;
            (Folder::read(parent)?, name.to_string(), String::new())
        } else {
            // A module of the current folder comes along; any other is the interpreter's.
            let first = place.split('.').next().unwrap_or(place);
            let here = Path::new(first).is_dir() || Path::new(&format!("{first}.py")).is_file();
            (if here { Folder::read(Path::new("."))? } else { Folder::default() }, String::new(), place.to_string())
        };
        let pool = Pool::start(PoolOptions {
            python: python.map(Path::to_path_buf),
            preload: PRELOAD.map(str::to_string).to_vec(),
            ..PoolOptions::default()
        })?;
        // Where the function starts an interpreter, it must be the one that was named, not what that is a link to.
        let python = python.map_or_else(String::new, |p| p.display().to_string());
        Ok(Callable { pool, python, folder, file, module, function: function.into(), signature, seconds })
    }
}

impl Caller for Callable {
    fn name(&self) -> String {
        let place = if self.file.is_empty() { &self.module } else { &self.file };
        format!("Python callable {place}:{} ({})", self.function, self.signature.name())
    }

    fn source(&self) -> String {
        self.folder.text(&self.file)
    }

    fn call(&self, text: &str, row: &Row) -> Result<Payment, EnvError> {
        let nonce = format!("@{:x} ", Sha256::digest(text));
        let request = json!({
            "submission": text, "row": row.fields, "truth": row.truth(), "prompt": row.prompt, "nonce": nonce,
            "file": self.file, "module": self.module, "function": self.function, "signature": self.signature.name(),
            "python": self.python,
        });
        let mut program = Program { proc: true, ..Program::python(CALL) };
        program.files = self.folder.inputs("");
        program.stdin = request.to_string().into_bytes();
        program.limits = limits(self.seconds);
        let record = self.pool.run(&program)?;
        if record.verdict == Verdict::Machine {
            return Ok(machine_failed(&record));
        }
        let out = record.stdout_text();
        let answer = out.lines().rev().find_map(|l| l.strip_prefix(nonce.as_str()));
        let reward = answer.and_then(|json| reward_in(&serde_json::from_str::<Value>(json).ok()?));
        let mut transcript = match answer {
            Some(answer) => format!("it returned {answer}\n"),
            None => format!("it returned nothing: {}\n", how_ended(&record)),
        };
        transcript.push_str(&record.stderr_text());
        Ok(Payment { reward, valid: true, transcript, seconds: record.wall_seconds })
    }
}

/// What one call of a foreign grader may use: more than a submission, since it runs one.
pub(crate) fn limits(seconds: f64) -> Limits {
    Limits {
        cpu_seconds: seconds,
        wall_seconds: seconds,
        // Interpreters with large libraries reserve far more than they use.
        memory_bytes: 4 << 30,
        processes: 128,
        output_bytes: 256 << 10,
        ..Limits::default()
    }
}
