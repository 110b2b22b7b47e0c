//! What a cell shows of the machine, prepared before the process is cloned that may no longer allocate.

use crate::CellError;
use crate::enclosure::procfs;
use crate::enclosure::python::Python;
use crate::types::PoolOptions;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the interpreter finds what is built of `inside`.
pub(crate) const LIBRARY: &str = "/etc/inside.so";
pub(crate) const INSIDE_SO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inside.so"));

pub(crate) struct Bind {
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) device: bool,
    pub(crate) optional: bool,
}

/// All that the child needs, as C strings with stable addresses.
pub(crate) struct Plan {
    pub(crate) folders: Vec<CString>,
    pub(crate) links: Vec<(CString, CString)>,
    pub(crate) files: Vec<(CString, Vec<u8>)>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) argv: Vec<CString>,
    /// What lies below the machine's `/tmp`, and is shown again in each new one of the cell: where it is kept, and its
    /// place, each closed by a NUL.
    pub(crate) again: Vec<u8>,
}

pub(crate) fn c(path: impl AsRef<OsStr>) -> Result<CString, CellError> {
    CString::new(path.as_ref().as_bytes())
        .map_err(|_| CellError::Machine(format!("NUL byte in {}", path.as_ref().display())))
}

/// Environment of every program.
pub(crate) fn environment(python: &Python) -> Vec<(String, String)> {
    let mut path: Vec<String> = Vec::new();
    for bin in python.bins.iter().map(|b| b.display().to_string()) {
        if !path.contains(&bin) && bin != "/usr/bin" && bin != "/bin" {
            path.push(bin);
        }
    }
    path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
    [
        ("PATH", path.join(":").as_str()),
        ("HOME", "/box"),
        ("USER", "cell"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("MALLOC_ARENA_MAX", "1"),
        ("OMP_NUM_THREADS", "1"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec()
}

/// The environment as a process gets it.
pub(crate) fn variables(env: &[(String, String)]) -> Result<Vec<CString>, CellError> {
    // Symbols are bound once, not anew in every fork; the zygote forgets the variable.
    let first = std::iter::once(c("LD_BIND_NOW=1"));
    first.chain(env.iter().map(|(k, v)| c(format!("{k}={v}")))).collect()
}

impl Plan {
    /// Paths of the machine that a cell may read, and execute from.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &Path> {
        let links = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(Path::new);
        self.binds.iter().map(|b| Path::new(OsStr::from_bytes(b.source.to_bytes()))).chain(links)
    }

    /// What of the root's own file system shows in a cell, the root last: all that nothing is mounted over. Then what
    /// shows only where there is a `/proc`.
    pub(crate) fn nodes(&self) -> (Vec<CString>, Vec<CString>) {
        let names = self.folders.iter().chain(self.links.iter().map(|(_, name)| name));
        let names = names.chain(self.files.iter().map(|(name, _)| name));
        let over = |name: &CString| {
            let path = Path::new(OsStr::from_bytes(name.to_bytes()));
            let mounted = ["box", "tmp", &LIBRARY[1..]].iter().any(|own| path == Path::new(own));
            mounted || self.binds.iter().any(|bind| path.starts_with(OsStr::from_bytes(bind.target.to_bytes())))
        };
        let below = format!("{}/", procfs::FOLDER);
        let all = names.filter(|name| !over(name)).cloned().chain([CString::default()]);
        all.partition(|name| !name.to_bytes().starts_with(below.as_bytes()))
    }

    pub(crate) fn new(python: &Python, options: &PoolOptions) -> Result<Plan, CellError> {
        let mut plan = Plan {
            folders: Vec::new(),
            links: Vec::new(),
            files: vec![
                (c("etc/passwd")?, b"root:x:0:0::/:/bin/false\ncell:x:1000:1000::/box:/bin/bash\n".to_vec()),
                (c("etc/group")?, b"root:x:0:\ncell:x:1000:\n".to_vec()),
                (c("etc/hostname")?, b"cell\n".to_vec()),
                // Names are looked up here and nowhere else: there is nobody to ask.
                (c("etc/hosts")?, b"127.0.0.1 localhost cell\n::1 localhost\n".to_vec()),
                (c("etc/nsswitch.conf")?, b"passwd: files\ngroup: files\nhosts: files\n".to_vec()),
                (c(&LIBRARY[1..])?, INSIDE_SO.to_vec()),
            ],
            binds: Vec::new(),
            argv: Vec::new(),
            again: Vec::new(),
        };
        for folder in ["box", "tmp", "dev", "etc", "usr", "proc"] {
            plan.folder(Path::new(folder))?;
        }
        plan.folder(&Path::new(procfs::FOLDER).join(procfs::COVER))?;
        for (name, content) in procfs::files() {
            let path = Path::new(procfs::FOLDER).join(name);
            plan.folder(path.parent().unwrap_or(&path))?;
            plan.files.push((c(path)?, content));
        }
        for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            plan.links.push((c(format!("/proc/self/{target}"))?, c(format!("dev/{name}"))?));
        }
        plan.bind(Path::new("/usr"), false)?;
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let path = Path::new("/").join(name);
            match std::fs::symlink_metadata(&path) {
                Ok(m) if m.is_symlink() => {
                    let to = std::fs::read_link(&path).map_err(|e| CellError::machine("reading a link of /", &e))?;
                    plan.links.push((c(to)?, c(name)?));
                }
                Ok(m) if m.is_dir() => plan.bind(&path, false)?,
                _ => {}
            }
        }
        for extra in ["/nix/store", "/gnu/store", "/etc/alternatives"] {
            if Path::new(extra).is_dir() {
                plan.bind(Path::new(extra), true)?;
            }
        }
        for folder in &python.folders {
            plan.bind(folder, false)?;
            if folder.starts_with("/tmp") {
                plan.keep(folder)?;
            }
        }
        for file in ["/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
            if Path::new(file).exists() {
                plan.files.push((c(&file[1..])?, Vec::new()));
                plan.binds.push(Bind {
                    source: c(file)?,
                    target: c(&file[1..])?,
                    device: file.starts_with("/dev/"),
                    optional: false,
                });
            }
        }
        for runtime in &options.runtimes {
            plan.runtime(runtime)?;
        }
        plan.links.push((c("/tmp")?, c("dev/shm")?));
        let roots = options.roots.iter().map(|name| (name, true));
        for (name, needed) in roots.chain(options.roots_if_free.iter().map(|name| (name, false))) {
            let taken = |path: &CString| path.as_bytes() == name.as_bytes();
            let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
            if !plain || plan.folders.iter().chain(plan.links.iter().map(|(_, n)| n)).any(taken) {
                if !needed {
                    continue;
                }
                return Err(CellError::BadProgram(format!("a cell cannot have a `/{name}` of its own")));
            }
            plan.links.push((c(format!("/box/{name}"))?, c(name)?));
        }
        plan.argv.push(c(&python.executable)?);
        plan.argv.extend([c("-s")?, c("-S")?, c("-X")?, c("utf8")?]);
        if python.version >= (3, 11, 0) {
            plan.argv.push(c("-P")?);
        }
        plan.argv.extend([c("-c")?, c(include_str!("../zygote/zygote.py"))?]);
        Ok(plan)
    }

    fn folder(&mut self, relative: &Path) -> Result<(), CellError> {
        let mut so_far = PathBuf::new();
        for part in relative.components() {
            so_far.push(part);
            let folder = c(&so_far)?;
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        Ok(())
    }

    /// Shows one program of the machine at the place where it is there.
    fn runtime(&mut self, program: &Path) -> Result<(), CellError> {
        let real = program
            .canonicalize()
            .map_err(|e| CellError::BadProgram(format!("the runtime {} is not there: {e}", program.display())))?;
        let there = ["/usr", "/bin", "/sbin", "/lib", "/lib64"].iter().any(|f| program.starts_with(f));
        let hidden = ["/tmp", "/box", "/dev", "/proc", "/sys", "/etc"].iter().find(|f| program.starts_with(f));
        if let Some(folder) = hidden {
            return Err(CellError::BadProgram(format!(
                "the runtime {} is in {folder}, of which cells have their own; copy it elsewhere",
                program.display()
            )));
        }
        let relative = program.strip_prefix("/").unwrap_or(program);
        if !there && let Some(folder) = relative.parent() {
            self.folder(folder)?;
            self.files.push((c(relative)?, Vec::new()));
            self.binds.push(Bind { source: c(&real)?, target: c(relative)?, device: false, optional: false });
        }
        Ok(())
    }

    /// Shows a folder at a second place as well, from where it can be had again.
    fn keep(&mut self, folder: &Path) -> Result<(), CellError> {
        let kept = PathBuf::from(format!("etc/kept/{}", self.binds.len()));
        self.folder(&kept)?;
        self.binds.push(Bind { source: c(folder)?, target: c(&kept)?, device: false, optional: false });
        for path in [&Path::new("/").join(kept), folder] {
            self.again.extend(path.as_os_str().as_bytes());
            self.again.push(0);
        }
        Ok(())
    }

    fn bind(&mut self, folder: &Path, optional: bool) -> Result<(), CellError> {
        let relative = folder
            .strip_prefix("/")
            .map_err(|_| CellError::Machine(format!("{} is not an absolute path", folder.display())))?;
        self.folder(relative)?;
        self.binds.push(Bind { source: c(folder)?, target: c(relative)?, device: false, optional });
        Ok(())
    }
}

/// What to do on a machine that refuses namespaces, as far as it can be seen from here.
pub(crate) fn hint() -> String {
    let read = |p: &str| std::fs::read_to_string(p).map(|s| s.trim().to_owned()).ok();
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "AppArmor restricts user namespaces here: run \
                `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run as root"
            .to_owned();
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "Run `sudo sysctl kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "Run `sudo sysctl user.max_user_namespaces=15000`".to_owned();
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        return "This is a container: start it with `--security-opt seccomp=unconfined \
                --security-opt apparmor=unconfined --security-opt systempaths=unconfined`"
            .to_owned();
    }
    "Linux 5.12 or newer with user namespaces is needed".to_owned()
}
