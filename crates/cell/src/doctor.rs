//! What this machine offers for cells.

use crate::python::Python;
use crate::types::{Check, PoolOptions, Program};
use crate::{Pool, plan};
use std::process::{Command, Stdio};

/// Looks for everything cells need or can use. Isolation is tried, not guessed: a cell is made.
pub fn doctor() -> Vec<Check> {
    let mut out = Vec::new();
    let mut say = |name: &str, ok: bool, found: String, hint: &str| {
        let hint = if ok { String::new() } else { hint.to_owned() };
        out.push(Check { name: name.to_owned(), ok, found, hint });
    };
    let python = Python::find(None);
    match &python {
        Ok(p) => {
            let (a, b, c) = p.version;
            say("python3", true, format!("{a}.{b}.{c} ({})", p.executable.display()), "");
        }
        Err(e) => say("python3", false, e.to_string(), "install Python 3.9 or newer"),
    }
    if python.is_ok() {
        let options = PoolOptions { cells: 1, shell_only: true, ..PoolOptions::default() };
        let tried = Pool::start(options).and_then(|p| p.run(&Program::python("print(6 * 7)")));
        match tried {
            Ok(r) if r.stdout == b"42\n" => {
                say("namespaces", true, "a cell was made and a program ran in it".to_owned(), "");
            }
            Ok(r) => {
                let found = format!("a cell was made, but its program failed: {}", r.stderr_text());
                say("namespaces", false, found, &plan::hint());
            }
            Err(e) => say("namespaces", false, e.to_string(), &plan::hint()),
        }
    } else {
        say("namespaces", false, "not tried without python3".to_owned(), "install python3");
    }
    let version = |command: &str, args: &[&str]| {
        let run = Command::new(command).args(args).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        run.status.success().then(|| text.lines().next().unwrap_or("").to_owned())
    };
    let bash = version("bash", &["--version"]);
    say("bash", bash.is_some(), bash.unwrap_or_default(), "install bash; sessions need it");
    let pytest = version("python3", &["-c", "import pytest; print(pytest.__version__)"]);
    say(
        "pytest",
        pytest.is_some(),
        pytest.unwrap_or_else(|| "not found".to_owned()),
        "optional, for pytest graders: `python3 -m pip install pytest`",
    );
    let groups = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok();
    say(
        "cgroups",
        groups.is_some(),
        groups.map_or_else(|| "no cgroup v2 tree".to_owned(), |g| g.trim().to_owned()),
        "optional and not used yet: limits are per process (rlimits) without it",
    );
    out
}
