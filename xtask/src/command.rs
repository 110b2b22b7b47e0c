//! Runs a program with a time limit, showing what it prints and keeping it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The status with which `timeout` says that the time was up.
const TIME_UP: i32 = 124;

/// How a program ended.
pub struct Ended {
    /// Its exit status; none if it could not be started or was ended by a signal.
    pub code: Option<i32>,
    /// What it wrote on standard output.
    pub output: String,
    /// What went wrong, in words; empty where it ended with 0.
    pub why: String,
}

impl Ended {
    /// Whether it ended with 0.
    pub fn good(&self) -> bool {
        self.code == Some(0)
    }
}

/// What is shown while a program runs: all but what tests printed that passed, which would bury what failed.
#[derive(Default)]
struct Told {
    of_successes: bool,
}

impl Told {
    fn shows(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.of_successes = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.of_successes = false;
        }
        !self.of_successes
    }
}

/// Starts programs in one folder, all of them before one moment.
pub struct Runner<'a> {
    /// The folder.
    pub root: &'a Path,
    /// When everything has to be over.
    pub deadline: Instant,
}

impl Runner<'_> {
    /// Runs `program` with `arguments` and more environment, for `limit` seconds at most.
    pub fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A], env: &[(&str, &Path)], limit: u64) -> Ended {
        let shown: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        println!("\n$ {program} {}", shown.join(" "));
        let mut told = Told::default();
        self.carry_out(self.root, program, arguments, env, limit, |line| {
            if told.shows(line) {
                println!("{line}");
            }
        })
    }

    /// The same in another folder, showing nothing before its end: others may run meanwhile.
    pub fn run_quietly<A: AsRef<OsStr>>(
        &self,
        name: &str,
        folder: &Path,
        program: &str,
        arguments: &[A],
        env: &[(&str, &Path)],
        limit: u64,
    ) -> Ended {
        let (began, mut shown, mut told) = (Instant::now(), String::new(), Told::default());
        let ended = self.carry_out(folder, program, arguments, env, limit, |line| {
            if told.shows(line) {
                shown.push_str(line);
                shown.push('\n');
            }
        });
        println!("\n{name}, {:.1} s\n{}", began.elapsed().as_secs_f64(), shown.trim_end());
        ended
    }

    fn carry_out<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        program: &str,
        arguments: &[A],
        env: &[(&str, &Path)],
        limit: u64,
        mut hears: impl FnMut(&str),
    ) -> Ended {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let limit = left.min(Duration::from_secs(limit)).as_secs().max(1);
        let mut command = Command::new("timeout");
        if std::io::stdin().is_terminal() {
            // Keeps the program within reach of Ctrl-C.
            command.arg("--foreground");
        }
        command.args(["--kill-after=10", &limit.to_string(), program]).args(arguments);
        command.envs(env.iter().copied()).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let failed = |why: String| Ended { code: None, output: String::new(), why };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("{program} cannot be started: {error}")),
        };
        let mut output = String::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                hears(&line);
                output.push_str(&line);
                output.push('\n');
            }
        }
        let code = match child.wait() {
            Ok(status) => status.code(),
            Err(error) => return failed(format!("{program}: {error}")),
        };
        let why = match code {
            Some(0) => String::new(),
            Some(TIME_UP) => format!("{program} was not done after {limit} s"),
            Some(code) => format!("{program} ended with status {code}"),
            None => format!("{program} was ended by a signal"),
        };
        Ended { code, output, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passing_tests_printed_is_not_shown() {
        let lines =
            "test a ... ok\nsuccesses:\n---- a stdout ----\n42\nsuccesses:\n    a\nfailures:\nbad\ntest result: FAILED";
        let mut told = Told::default();
        let shown: Vec<&str> = lines.lines().filter(|l| told.shows(l)).collect();
        assert_eq!(shown, ["test a ... ok", "failures:", "bad", "test result: FAILED"]);
    }
}
