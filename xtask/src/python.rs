//! The virtual environment `.venv` at the root, and the programs that are got for the checks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::Runner;

/// What the pytest grader needs.
pub const TEST: &str = "scripts/requirements.txt";
/// What opens our files.
pub const FOREIGN: &str = "crates/log/tests/foreign/requirements.txt";
/// Clients that speak to `loophole serve`.
pub const CLIENTS: &str = "crates/serve/tests/clients/requirements.txt";
/// What makes the golden logits.
pub const GOLDEN: &str = "scripts/requirements-golden.txt";
/// What opens our adapters.
pub const PEFT: &str = "scripts/requirements-peft.txt";

/// The interpreter of `.venv`, which is made if it is missing; else why there is none.
pub fn venv(runner: &Runner) -> Result<PathBuf, String> {
    let python = runner.root.join(".venv/bin/python");
    let has_pip = || quiet(&python.to_string_lossy(), &["-m", "pip", "--version"]);
    if has_pip() {
        return Ok(python);
    }
    let make = || runner.run("python3", &["-m", "venv", "--clear", ".venv"], &[], 120);
    // Debian keeps the module apart from python3.
    if !make().good() && apt(runner, "python3-venv").is_ok() {
        make();
    }
    if has_pip() { Ok(python) } else { Err("python3 -m venv makes no environment here".into()) }
}

/// Installs a requirements file within `limit` seconds; else why not.
pub fn install(runner: &Runner, python: &Path, requirements: &str, limit: u64) -> Result<(), String> {
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
    let ended = runner.run(&python.to_string_lossy(), &arguments, &[], limit);
    if ended.good() { Ok(()) } else { Err(format!("{requirements} cannot be installed: {}", ended.why)) }
}

/// Installs a Debian package, where this is Debian and one may; else why not.
pub fn apt(runner: &Runner, package: &str) -> Result<(), String> {
    if !quiet("sh", &["-c", "test \"$(id -u)\" = 0 && command -v apt-get"]) {
        return Err(format!("{package} is not there, and it cannot be installed without being root on Debian"));
    }
    let script = format!("apt-get -qq update && apt-get -qq install -y --no-install-recommends {package}");
    let env = [("DEBIAN_FRONTEND", Path::new("noninteractive"))];
    let ended = runner.run("sh", &["-c", &script], &env, 240);
    if ended.good() { Ok(()) } else { Err(format!("{package} cannot be installed: {}", ended.why)) }
}

/// Whether a program can be started and ends with 0; what it prints is not shown.
pub fn quiet(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
