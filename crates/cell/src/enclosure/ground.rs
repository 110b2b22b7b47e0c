//! Where programs work in the weaker tiers: a folder of this machine, and Landlock's rules around it.

use crate::enclosure::plan::{INSIDE_SO, Plan};
use crate::watch::descent;
use crate::watch::meta::Own;
use crate::zygote::scratch::{LONG_AGO, Place};
use crate::{CellError, sys};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

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
    base: PathBuf,
    /// Locked as long as this supervisor lives.
    _lock: fs::File,
    work: PathBuf,
    owner: (u32, u32),
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = remove(&self.base);
    }
}

fn machine(what: &Path) -> impl Fn(io::Error) -> CellError + '_ {
    move |e| CellError::machine(&what.display().to_string(), &e)
}

impl Ground {
    /// A new folder; `owner` is the user the programs run as. The first one of a supervisor removes what others left that
    /// were killed.
    pub(crate) fn make(owner: (u32, u32)) -> Result<Ground, CellError> {
        static SWEPT: Once = Once::new();
        let temporary = std::env::temp_dir();
        SWEPT.call_once(|| sweep(&temporary));
        let base = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(machine(&temporary))?.keep();
        let lock = fs::File::open(&base).map_err(machine(&base))?;
        lock.try_lock().map_err(|e| CellError::Machine(format!("locking {}: {e}", base.display())))?;
        let mut ground = Ground { owner, work: base.join("work"), _lock: lock, base };
        ground.fill()?;
        Ok(ground)
    }

    fn fill(&mut self) -> Result<(), CellError> {
        let path = self.base.as_path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(machine(path))?;
        fs::write(path.join("inside.so"), INSIDE_SO).map_err(machine(path))?;
        fs::create_dir(&self.work).map_err(machine(path))?;
        // Links in the way would make the same file seem to be elsewhere.
        self.work = self.work.canonicalize().map_err(machine(path))?;
        Ok(())
    }

    /// Where the interpreter finds what is built of `inside`.
    pub(crate) fn library(&self) -> String {
        self.base.join("inside.so").display().to_string()
    }

    /// The interpreter has loaded it: nobody needs to see how old it is.
    pub(crate) fn loaded(&self) {
        let _ = fs::remove_file(self.base.join("inside.so"));
        // Nor is it taken for one that is being made, see `sweep`.
        let _ = self.renew_times();
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
    pub(crate) fn renew(&mut self) -> Result<[Place; 2], CellError> {
        let work = self.work.clone();
        // Closed again below: who runs as the owner could otherwise remove and rename the two.
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755)).map_err(machine(&work))?;
        let make = |name: &str| -> Result<Place, CellError> {
            let folder = work.join(name);
            if folder.symlink_metadata().is_ok() {
                remove(&folder).map_err(machine(&folder))?;
            }
            fs::create_dir(&folder).map_err(machine(&folder))?;
            std::os::unix::fs::chown(&folder, Some(self.owner.0), Some(self.owner.1)).map_err(machine(&folder))?;
            Place::new(OwnedFd::from(fs::File::open(&folder).map_err(machine(&folder))?))
        };
        let places = [make("box")?, make("tmp")?];
        fs::set_permissions(&work, fs::Permissions::from_mode(0o555)).map_err(machine(&work))?;
        Ok(places)
    }

    /// The folders around the program's own tell nothing of when they were made.
    pub(crate) fn renew_times(&self) -> io::Result<()> {
        for path in [self.work.as_path(), self.base.as_path()] {
            sys::set_times(&OwnedFd::from(fs::File::open(path)?), Some(&LONG_AGO))?;
        }
        Ok(())
    }

    /// Bytes that files take, as far as can be seen in a moment.
    pub(crate) fn used(&self) -> u64 {
        fs::File::open(&self.work).map_or(0, |work| descent::used(work.into()))
    }

    /// What a cell may read and where it may write, for `landlock_restrict_self`.
    pub(crate) fn rules(&self, plan: &Plan) -> Result<OwnedFd, CellError> {
        let failed = |e: &dyn std::fmt::Display| CellError::Machine(format!("making rules for Landlock: {e}"));
        let (read, all) = (AccessFs::from_read(KNOWN), AccessFs::from_all(KNOWN));
        let readable = plan.readable().map(Path::to_path_buf).chain([self.base.join("inside.so")]);
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

/// Removes a folder, whatever a program made in it. Nothing runs there any more.
fn remove(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    descent::clear(fs::File::open(folder)?.into())?;
    fs::remove_dir(folder)
}

/// How the folders of zygotes are named in the folder for temporary files.
const PREFIX: &str = "loophole-cell-";

/// Removes the folders of supervisors that were killed. One that lives has a lock on its folder.
fn sweep(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // Somebody else's cannot be opened or removed, and is none of ours. One that is being made has its lock within
        // a moment.
        let made = entry.metadata().and_then(|m| m.modified());
        let young = made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() < 60));
        if let Ok(folder) = fs::File::open(entry.path())
            && !young
            && folder.try_lock().is_ok()
        {
            let _ = remove(&entry.path());
        }
    }
}
