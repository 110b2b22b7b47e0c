//! The virtual environment `.venv` at the root, and the programs that are got for the checks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::command::Runner;

/// What the pytest grader needs.
const TEST: &str = "scripts/requirements.txt";
/// What opens our files.
const FOREIGN: &str = "crates/log/tests/foreign/requirements.txt";
/// Clients that speak to `loophole serve`.
const CLIENTS: &str = "crates/serve/tests/clients/requirements.txt";
/// What the reward clients of trainers need, and the trainers themselves, installed without the rest of theirs.
const TRAINERS: [&str; 2] = [
    "crates/serve/tests/clients/requirements-trainers.txt",
    "crates/serve/tests/clients/requirements-trainers-alone.txt",
];
/// What makes the golden logits.
const GOLDEN: &str = "scripts/requirements-golden.txt";
/// What opens our adapters.
const PEFT: &str = "scripts/requirements-peft.txt";

/// Seconds that the big installation (torch) may take.
const BIG: u64 = 6 * 60;

/// What the checks need from elsewhere, got while the workspace is built. Each is the interpreter of `.venv` once the
/// packages are there (`chromium`: nothing), or why they are not.
#[derive(Default)]
pub struct Fetched {
    pub pytest: OnceLock<Result<PathBuf, String>>,
    pub foreign: OnceLock<Result<PathBuf, String>>,
    pub clients: OnceLock<Result<PathBuf, String>>,
    /// The interpreter, and the folder in which the trainers lie.
    pub trainers: OnceLock<Result<(PathBuf, PathBuf), String>>,
    pub golden: OnceLock<Result<PathBuf, String>>,
    pub chromium: OnceLock<Result<(), String>>,
}

impl Fetched {
    /// Gets one after the other, those that are wanted first at first.
    pub fn fetch(&self, runner: &Runner, own_pytest: bool, own_torch: bool, slow: bool) {
        if !own_pytest {
            // Of its own: the tests run while the others are being filled, and a plugin more is another pytest.
            let python = venv(runner, ".venv-pytest");
            let _ = self.pytest.set(python.and_then(|python| install(runner, &python, TEST, 180).map(|()| python)));
        }
        if !slow {
            return;
        }
        let venv = venv(runner, ".venv");
        let with = |requirements: &str, limit| {
            venv.clone().and_then(|python| install(runner, &python, requirements, limit).map(|()| python))
        };
        let _ = self.foreign.set(with(FOREIGN, 240));
        let _ = self.clients.set(with(CLIENTS, 240));
        let [needed, alone] = TRAINERS;
        let _ = self.trainers.set(with(needed, 120).and_then(|python| {
            let folder = apart(runner, &python, alone, 120)?;
            Ok((python, folder))
        }));
        let _ = self.chromium.set(chromium(runner));
        if !own_torch {
            let golden = with(GOLDEN, BIG);
            if let Ok(python) = &golden
                && let Err(why) = install(runner, python, PEFT, 120)
            {
                println!("SKIPPED: adapters are not opened with PEFT: {why}");
            }
            let _ = self.golden.set(golden);
        }
    }
}

fn chromium(runner: &Runner) -> Result<(), String> {
    let names = "command -v chromium || command -v chromium-browser || command -v google-chrome";
    if quiet("sh", &["-c", names]) { Ok(()) } else { apt(runner, "chromium") }
}

/// The interpreter of a virtual environment at the root, which is made if it is missing; else why there is none.
fn venv(runner: &Runner, folder: &str) -> Result<PathBuf, String> {
    let python = runner.root.join(folder).join("bin/python");
    let has_pip = || quiet(&python.to_string_lossy(), &["-m", "pip", "--version"]);
    if has_pip() {
        return Ok(python);
    }
    let make = || runner.run("python3", &["-m", "venv", "--clear", folder], &[], 120);
    // Debian keeps the module apart from python3.
    if !make().good() && apt(runner, "python3-venv").is_ok() {
        make();
    }
    if has_pip() { Ok(python) } else { Err("python3 -m venv makes no environment here".into()) }
}

/// Installs a requirements file within `limit` seconds; else why not.
fn install(runner: &Runner, python: &Path, requirements: &str, limit: u64) -> Result<(), String> {
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
    let ended = runner.run(&python.to_string_lossy(), &arguments, &[], limit);
    if ended.good() { Ok(()) } else { Err(format!("{requirements} cannot be installed: {}", ended.why)) }
}

/// Installs a requirements file into a folder of its own below `.venv`, each package without what it depends on and
/// whatever Python it asks for, within `limit` seconds; else why not.
fn apart(runner: &Runner, python: &Path, requirements: &str, limit: u64) -> Result<PathBuf, String> {
    let folder = runner.root.join(".venv/trainers");
    let target = folder.to_string_lossy();
    let mut arguments = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"];
    arguments.extend(["--no-deps", "--ignore-requires-python", "--python-version", "3.12", "--only-binary=:all:"]);
    arguments.extend(["--target", &target, "-r", requirements]);
    let ended = runner.run(&python.to_string_lossy(), &arguments, &[], limit);
    if ended.good() { Ok(folder) } else { Err(format!("{requirements} cannot be installed: {}", ended.why)) }
}

/// Installs a Debian package, where this is Debian and one may; else why not.
fn apt(runner: &Runner, package: &str) -> Result<(), String> {
    if !quiet("sh", &["-c", "test \"$(id -u)\" = 0 && command -v apt-get"]) {
        return Err(format!("{package} is not there, and it cannot be installed without being root on Debian"));
    }
    let script = format!("apt-get -qq update && apt-get -qq install -y --no-install-recommends {package}");
    let env = [("DEBIAN_FRONTEND", Path::new("noninteractive"))];
    let ended = runner.run("sh", &["-c", &script], &env, 240);
    if ended.good() { Ok(()) } else { Err(format!("{package} cannot be installed: {}", ended.why)) }
}

/// Whether a program can be started and ends with 0; what it prints is not shown.
fn quiet(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
