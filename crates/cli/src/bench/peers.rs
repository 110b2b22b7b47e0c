//! What cells are compared with: a plain fork of a warm interpreter, and commands that start a fresh one.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::output::Error;

/// The trivial program of all peers.
pub const TRIVIAL: &str = "print(sum(range(10)))";

/// A warm interpreter that forks itself for each program, without any isolation.
pub struct Fork {
    child: Child,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Drop for Fork {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fork {
    /// Starts it in a folder in memory, with modules imported as a zygote has them.
    pub fn start(python: &Path, preload: &[String]) -> Result<Fork, Error> {
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_path_buf() } else { std::env::temp_dir() };
        let folder = base.join(format!("loophole-bench-{}-{}", std::process::id(), preload.len()));
        std::fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
        let fail = |error: std::io::Error| Error::Cannot(format!("{}: {error}", python.display()));
        let mut child = Command::new(python)
            .args(["-s", "-S", "-X", "utf8", "-c", include_str!("fork.py")])
            .arg(preload.join(","))
            // As for a zygote: symbols are bound once, not anew in every fork.
            .env("LD_BIND_NOW", "1")
            .env("PYTHONHASHSEED", "0")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let stdout = child.stdout.take().ok_or_else(|| Error::Cannot("a peer without output".into()))?;
        let mut fork = Fork { child, answers: BufReader::new(stdout), folder };
        fork.hear("ready")?;
        Ok(fork)
    }

    fn hear(&mut self, word: &str) -> Result<(), Error> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(_) if line.trim() == word => Ok(()),
            _ => Err(Error::Cannot(format!("the peer that forks said {:?} and not {word:?}", line.trim()))),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Runs a program so many times, one after the other.
    pub fn run(&mut self, count: usize, source: &str) -> Result<(), Error> {
        let line = format!("({count}, {source:?})\n");
        let stdin = self.child.stdin.as_mut();
        let sent = stdin.map(|s| s.write_all(line.as_bytes()).and_then(|()| s.flush()));
        sent.ok_or_else(|| Error::Cannot("a peer without input".into()))?
            .map_err(|error| Error::Cannot(format!("the peer that forks: {error}")))?;
        self.hear("done")
    }
}

/// A peer that is a command: it starts an interpreter for every program.
pub struct Fresh {
    /// What it is called.
    pub name: &'static str,
    /// What it says of its version.
    pub version: String,
    words: Vec<String>,
}

/// What an interpreter says of itself.
pub struct Python {
    /// Where it is, links resolved.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
    prefix: PathBuf,
}

impl Python {
    /// Asks the one the cells use.
    pub fn ask(name: &Path) -> Result<Python, Error> {
        let question = "import os, sys; print(os.path.realpath(sys.executable)); print(sys.base_prefix); \
                        print('.'.join(map(str, sys.version_info[:3])))";
        let out = Command::new(name).args(["-I", "-S", "-c", question]).output();
        let out = out.map_err(|error| Error::Cannot(format!("{}: {error}", name.display())))?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut lines = text.lines().map(str::to_owned);
        match (lines.next(), lines.next(), lines.next()) {
            (Some(path), Some(prefix), Some(version)) => {
                Ok(Python { path: path.into(), version, prefix: prefix.into() })
            }
            _ => Err(Error::Cannot(format!("{} did not answer", name.display()))),
        }
    }

    fn words(&self) -> Vec<String> {
        let path = self.path.display().to_string();
        [path.as_str(), "-I", "-S", "-E", "-c", TRIVIAL].map(str::to_owned).to_vec()
    }

    /// Folders it needs to see.
    fn folders(&self) -> Vec<String> {
        let all = ["/usr", "/lib", "/lib64", "/bin"].map(PathBuf::from).into_iter().chain([self.prefix.clone()]);
        let mut folders: Vec<String> = Vec::new();
        for folder in all.filter(|f| f.is_dir()) {
            let text = folder.display().to_string();
            if !folders.iter().any(|f| folder.starts_with(f)) {
                folders.push(text);
            }
        }
        folders
    }
}

impl Fresh {
    /// All there are, and those that are not here with the reason.
    pub fn all(python: &Python) -> (Vec<Fresh>, Vec<String>) {
        let mut here = vec![Fresh { name: "python3 -I -S -E", version: python.version.clone(), words: python.words() }];
        let mut missing = Vec::new();
        let binds =
            |option: &str| python.folders().into_iter().flat_map(|f| vec![option.to_owned(), f.clone(), f]).collect();
        let mut bwrap: Vec<String> = vec!["bwrap".into(), "--unshare-all".into(), "--die-with-parent".into()];
        bwrap.extend::<Vec<String>>(binds("--ro-bind"));
        bwrap.extend(["--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"].map(str::to_owned));
        let mut nsjail: Vec<String> = ["nsjail", "-Mo", "--really_quiet"].map(str::to_owned).to_vec();
        nsjail.extend(python.folders().into_iter().flat_map(|f| ["-R".to_owned(), f]));
        nsjail.extend(["-T", "/tmp", "--cwd", "/tmp", "--"].map(str::to_owned));
        for (name, mut words, question) in [("bubblewrap", bwrap, "--version"), ("nsjail", nsjail, "--help")] {
            words.extend(python.words());
            let version = Command::new(&words[0]).arg(question).stdin(Stdio::null()).output();
            let Ok(version) = version else {
                missing.push(format!("{name}: {} is not installed", words[0]));
                continue;
            };
            let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or("").to_owned();
            let fresh = Fresh { name, version: version.trim_start_matches("bubblewrap ").to_owned(), words };
            match fresh.check() {
                Ok(()) => here.push(fresh),
                Err(why) => missing.push(format!("{name}: {why}")),
            }
        }
        (here, missing)
    }

    /// Whether it runs the program at all.
    fn check(&self) -> Result<(), String> {
        let out = Command::new(&self.words[0]).args(&self.words[1..]).stdin(Stdio::null()).output();
        let out = out.map_err(|error| error.to_string())?;
        if out.stdout == b"45\n" {
            return Ok(());
        }
        let last = String::from_utf8_lossy(&out.stderr).lines().next_back().unwrap_or("no reason given").to_owned();
        Err(format!("it does not run here: {last}"))
    }

    /// Runs the trivial program once.
    pub fn run(&self) -> Result<(), Error> {
        let null = File::open("/dev/null").map_err(|error| Error::Cannot(format!("/dev/null: {error}")))?;
        let mut command = Command::new(&self.words[0]);
        let status = command.args(&self.words[1..]).stdin(null).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::Cannot(format!("{} ended with {status}", self.name))),
            Err(error) => Err(Error::Cannot(format!("{}: {error}", self.name))),
        }
    }
}
