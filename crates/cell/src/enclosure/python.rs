//! Which interpreter the zygotes run, and what of the file system it needs.

use crate::CellError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An interpreter that was asked about itself.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) version: (u32, u32, u32),
    /// With all links resolved; this is what the zygote executes.
    pub(crate) executable: PathBuf,
    /// Folders with `python3` in them, for `PATH` inside a cell.
    pub(crate) bins: Vec<PathBuf>,
    /// Folders the interpreter needs that are not below `/usr`.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Further entries of `sys.path` (site-packages).
    pub(crate) site: Vec<String>,
    /// Those of the modules asked for that it has.
    pub(crate) has: BTreeSet<String>,
}

const QUESTION: &str = "import sys, os, importlib.util
def say(*a): print('\\t'.join(a))
say('version', *map(str, sys.version_info[:3]))
say('exe', os.path.realpath(sys.executable))
say('bin', os.path.dirname(sys.executable))
for p in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}: say('prefix', p)
for p in sys.path:
    if p and os.path.isdir(p): say('path', os.path.abspath(p))
for name in sys.argv[1:]:
    if importlib.util.find_spec(name): say('has', name)
say('end')
";

/// The interpreter of the virtual environment that is active, if one is.
fn active_environment() -> Option<PathBuf> {
    let folder = std::env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty())?;
    let python = Path::new(&folder).join("bin/python3");
    python.is_file().then_some(python)
}

impl Python {
    /// Asks an interpreter about itself and about modules.
    pub(crate) fn find(wanted: Option<&Path>, modules: &[String]) -> Result<Python, CellError> {
        let active = if wanted.is_some() { None } else { active_environment() };
        let wanted = wanted.or(active.as_deref());
        let path = wanted.map_or_else(|| PathBuf::from("python3"), Path::to_path_buf);
        let no = |what: String| CellError::NoPython { what };
        let out = Command::new(&path)
            .args(["-s", "-c", QUESTION])
            .args(modules)
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONSTARTUP")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| no(format!("{} cannot be started: {e}", path.display())))?;
        let text = String::from_utf8_lossy(&out.stdout);
        if !text.lines().any(|l| l == "end") {
            let err = String::from_utf8_lossy(&out.stderr);
            let last = err.lines().last().unwrap_or("no output");
            return Err(no(format!("{} did not answer ({}: {last})", path.display(), out.status)));
        }
        let mut python = Python {
            version: (0, 0, 0),
            executable: PathBuf::new(),
            bins: Vec::new(),
            folders: BTreeSet::new(),
            site: Vec::new(),
            has: BTreeSet::new(),
        };
        let mut prefixes = BTreeSet::new();
        let mut paths = Vec::new();
        for line in text.lines() {
            let mut parts = line.split('\t');
            match (parts.next(), parts.next()) {
                (Some("version"), Some(major)) => {
                    let mut n = || parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
                    python.version = (major.parse().unwrap_or(0), n(), n());
                }
                (Some("exe"), Some(p)) => python.executable = p.into(),
                (Some("bin"), Some(p)) => python.bins.push(p.into()),
                (Some("prefix"), Some(p)) => {
                    prefixes.insert(PathBuf::from(p));
                }
                (Some("path"), Some(p)) => paths.push(p.to_owned()),
                (Some("has"), Some(module)) => {
                    python.has.insert(module.to_owned());
                }
                _ => {}
            }
        }
        let (major, minor, patch) = python.version;
        if (major, minor) < (3, 9) {
            return Err(CellError::PythonTooOld { path, found: format!("{major}.{minor}.{patch}") });
        }
        if let Some(dir) = python.executable.parent()
            && !python.bins.iter().any(|b| b == dir)
        {
            python.bins.push(dir.to_path_buf());
        }
        if wanted.is_some() {
            python.site.clone_from(&paths);
        }
        let all = prefixes.into_iter().chain(paths.into_iter().map(PathBuf::from)).chain(python.bins.clone());
        for folder in all {
            python.need(&folder)?;
        }
        Ok(python)
    }

    fn need(&mut self, folder: &Path) -> Result<(), CellError> {
        if folder.starts_with("/usr") || self.folders.iter().any(|f| folder.starts_with(f)) {
            return Ok(());
        }
        let system = ["/bin", "/sbin", "/lib", "/lib64"].iter().any(|s| folder.starts_with(s));
        if system {
            return Ok(());
        }
        let no = |why: &str| CellError::NoPython {
            what: format!("{} needs the folder {}, {why}", self.executable.display(), folder.display()),
        };
        let hidden = ["/box", "/dev", "/proc", "/sys", "/etc"];
        if let Some(h) = hidden.iter().find(|h| folder.starts_with(h)) {
            return Err(no(&format!("but cells have a {h} of their own; move it, or name another with `--python`")));
        }
        if folder == Path::new("/tmp") {
            return Err(no("but cells have a /tmp of their own; put it into a folder below"));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        if folder.parent().is_none() || home.is_some_and(|h| h.starts_with(folder)) {
            return Err(no("which would show far too much of this machine to a program"));
        }
        self.folders.retain(|f| !f.starts_with(folder));
        self.folders.insert(folder.to_path_buf());
        Ok(())
    }
}
