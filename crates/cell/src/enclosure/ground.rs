//! Where programs work in the weaker tiers: a folder of this machine, and Landlock's rules around it.

use crate::enclosure::plan::{INSIDE_SO, Plan};
use crate::watch::meta::Own;
use crate::zygote::scratch::Place;
use crate::{CellError, sys};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The newest interface of Landlock these rules were written for.
const KNOWN: ABI = ABI::V6;

/// The version of Landlock's interface that the kernel offers; 0 for none.
pub(crate) fn version() -> i32 {
    // SAFETY: with this flag the call reads no memory.
    let ret = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) };
    (ret as i32).max(0)
}

/// Whether Landlock keeps signals within the cell (Linux 6.12).
pub(crate) fn scopes_signals() -> bool {
    version() >= 6
}

/// A rule that keeps the signals of whoever takes it to itself and its children; each program takes it, so that it
/// cannot reach its zygote. As every set of rules forbids to move files between folders unless it says otherwise, it
/// says otherwise. None where the kernel has no such rule.
pub(crate) fn scope() -> Result<Option<OwnedFd>, CellError> {
    if !scopes_signals() {
        return Ok(None);
    }
    let rule = Ruleset::default()
        .handle_access(AccessFs::Refer)
        .and_then(|r| r.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .and_then(|r| r.add_rules(landlock::path_beneath_rules(["/"], AccessFs::Refer)));
    rule.map(Option::<OwnedFd>::from).map_err(|e| CellError::Machine(format!("making a rule for signals: {e}")))
}

/// The folder of one zygote. Dropping it removes it.
pub(crate) struct Ground {
    base: tempfile::TempDir,
    work: PathBuf,
    owner: (u32, u32),
}

fn machine(what: &Path) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(&what.display().to_string(), &e)
}

impl Ground {
    /// A new folder; `owner` is the user the programs run as.
    pub(crate) fn make(owner: (u32, u32)) -> Result<Ground, CellError> {
        let temporary = std::env::temp_dir();
        let base = tempfile::Builder::new().prefix("loophole-").tempdir().map_err(machine(&temporary))?;
        let path = base.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(machine(path))?;
        fs::write(path.join("inside.so"), INSIDE_SO).map_err(machine(path))?;
        let work = path.join("work");
        fs::create_dir(&work).map_err(machine(path))?;
        // Links in the way would make the same file seem to be elsewhere.
        let work = work.canonicalize().map_err(machine(path))?;
        Ok(Ground { owner, work, base })
    }

    /// Where the interpreter finds what is built of `inside`.
    pub(crate) fn library(&self) -> String {
        self.base.path().join("inside.so").display().to_string()
    }

    /// The folder that takes the place of `/box`, or of `/tmp`.
    pub(crate) fn path(&self, name: &str) -> String {
        self.work.join(name).display().to_string()
    }

    /// What programs may have changed for them.
    pub(crate) fn own(&self) -> Own<'_> {
        Own { work: &self.work, uid: self.owner.0 }
    }

    /// Empty `box` and `tmp`, whatever was there before.
    pub(crate) fn renew(&mut self) -> Result<Vec<Place>, CellError> {
        let work = self.work.clone();
        // Closed again below: who runs as the owner could otherwise remove and rename the two.
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755)).map_err(machine(&work))?;
        let mut places = Vec::new();
        for name in ["box", "tmp"] {
            let folder = work.join(name);
            if folder.symlink_metadata().is_ok() {
                remove(&folder).map_err(machine(&folder))?;
            }
            fs::create_dir(&folder).map_err(machine(&folder))?;
            std::os::unix::fs::chown(&folder, Some(self.owner.0), Some(self.owner.1)).map_err(machine(&folder))?;
            places.push(Place::new(OwnedFd::from(fs::File::open(&folder).map_err(machine(&folder))?))?);
        }
        fs::set_permissions(&work, fs::Permissions::from_mode(0o555)).map_err(machine(&work))?;
        Ok(places)
    }

    /// Bytes that files take, as far as can be seen in a moment.
    pub(crate) fn used(&self) -> u64 {
        let (mut sum, mut folders, mut entries) = (0, vec![self.work.clone()], 0);
        let mut linked = HashSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                if meta.nlink() < 2 || meta.is_dir() || linked.insert(meta.ino()) {
                    sum += meta.blocks() * 512;
                }
                entries += 1;
                if meta.is_dir() && entries < 10_000 {
                    folders.push(entry.path());
                }
            }
        }
        sum
    }

    /// What a cell may read and where it may write, for `landlock_restrict_self`.
    pub(crate) fn rules(&self, plan: &Plan) -> Result<OwnedFd, CellError> {
        let failed = |e: &dyn std::fmt::Display| CellError::Machine(format!("making rules for Landlock: {e}"));
        let (read, all) = (AccessFs::from_read(KNOWN), AccessFs::from_all(KNOWN));
        let readable = plan.readable().map(Path::to_path_buf).chain([self.base.path().join("inside.so")]);
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)
            .and_then(|r| r.scope(Scope::from_all(KNOWN)))
            .and_then(Ruleset::create)
            .and_then(|r| r.add_rules(landlock::path_beneath_rules(readable, read)))
            .and_then(|r| r.add_rules(landlock::path_beneath_rules(["/dev/null"], AccessFs::from_file(KNOWN))))
            .and_then(|r| r.add_rules(landlock::path_beneath_rules([&self.work], all)))
            .map_err(|e| failed(&e))?;
        Option::<OwnedFd>::from(rules).ok_or_else(|| failed(&"the kernel does not have it"))
    }
}

/// Removes a folder that its program may have closed to everybody. Nothing runs there any more.
fn remove(folder: &Path) -> io::Result<()> {
    if fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let name = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(folder.as_os_str()))?;
        let here = OwnedFd::from(fs::File::open("/")?);
        sys::chmod_at(&here, &name, 0o700)?;
        let inner = fs::read_dir(&folder)?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        folders.extend(inner.map(|e| e.path()));
    }
    fs::remove_dir_all(folder)
}
