//! Runs the program as a person or a script would.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// How one call of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output as one JSON value a line; anything else there is a failure.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}: {self:?}"));
        self.out.lines().map(parse).collect()
    }

    /// It failed with this code, an empty stdout and one paragraph on stderr that says each of `says`.
    #[track_caller]
    pub fn failed(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "nothing is printed where a result is expected");
        let error = self.err.split_once("error: ").unwrap_or_else(|| panic!("{self:?}")).1.trim_end();
        assert!(!error.contains("\n\n") && !self.err.contains("panicked"), "one paragraph: {self:?}");
        for part in says {
            assert!(error.contains(part), "{part:?} is missing in {error:?}");
        }
    }
}

/// The program, in `dir`, with these arguments and nothing on stdin.
pub fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loophole"));
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    command
}

pub fn finish(mut command: Command) -> Ran {
    let done = command.output().expect("the program starts");
    Ran {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8(done.stdout).expect("UTF-8"),
        err: String::from_utf8(done.stderr).expect("UTF-8"),
    }
}

pub fn run(dir: &Path, arguments: &[&str]) -> Ran {
    finish(program(dir, arguments))
}

pub fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("a temporary file");
}

/// The bundled organism.
pub fn organism() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../organism");
    path.canonicalize().expect("the repository holds the organism")
}

/// A whole copy of the bundled organism, to break something in.
pub fn copy_organism(to: &Path) {
    std::fs::create_dir_all(to).expect("a temporary folder");
    for entry in organism().read_dir().expect("the organism").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}
