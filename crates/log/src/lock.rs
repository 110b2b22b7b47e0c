//! One owner for every output. A [`Lock`] is an advisory lock of the kernel on a small file beside the output: it is
//! let go when its process ends, however it ends, so a lock file that a kill left behind does no harm.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::LogError;

/// The lock file in the folder it is of.
pub(crate) const LOCK: &str = ".lock";

/// How long a lock is waited for whose holder is no longer there: what it had started may outlive it by a moment.
const DYING: Duration = Duration::from_secs(2);

/// The same for one that is still there: it may just have been killed.
const ENDING: Duration = Duration::from_millis(250);

/// The right to write an output, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    place: PathBuf,
}

impl Lock {
    /// Takes a folder; it is made if it is not there.
    ///
    /// # Errors
    /// [`LogError::Held`] at once if another process writes there; what the file system refuses.
    pub fn folder(folder: &Path) -> Result<Lock, LogError> {
        fs::create_dir_all(folder).map_err(LogError::io("make the folder", folder))?;
        Self::take(folder.join(LOCK), folder)
    }

    /// Takes a file, or a folder that is replaced as a whole; the lock lies beside it.
    ///
    /// # Errors
    /// As [`Lock::folder`].
    pub fn file(path: &Path) -> Result<Lock, LogError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(LogError::io("make the folder", parent))?;
        }
        Self::take(beside(path), path)
    }

    fn take(place: PathBuf, output: &Path) -> Result<Lock, LogError> {
        let began = Instant::now();
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&place);
            let mut file = open.map_err(LogError::io("lock", &place))?;
            match file.try_lock() {
                // The holder before may have removed the file between the two calls.
                Ok(()) if !same(&file, &place) => continue,
                Ok(()) => {
                    let named = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                    named.map_err(LogError::io("lock", &place))?;
                    return Ok(Lock { file, place });
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = pid(&mut file);
                    let patience = if pid.is_some_and(lives) { ENDING } else { DYING };
                    if began.elapsed() > patience {
                        return Err(LogError::Held { path: output.into(), pid });
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::Error(source)) => return Err(LogError::io("lock", &place)(source)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held: nobody else's file is. What fails here is only litter.
        if same(&self.file, &self.place) {
            let _ = fs::remove_file(&self.place);
        }
        let _ = self.file.unlock();
    }
}

/// Where the lock of a file lies.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.lock"))
}

/// The process that holds a lock file, if one does: `Some(None)` if it has not given its number.
pub(crate) fn holder(place: &Path) -> Option<Option<u32>> {
    let mut file = File::open(place).ok()?;
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| pid(&mut file))
}

fn same(file: &File, place: &Path) -> bool {
    let (Ok(held), Ok(there)) = (file.metadata(), fs::metadata(place)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether a process is there and not merely waiting for its parent to ask for its status.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|end| !matches!(stat.as_bytes().get(end + 2), Some(b'Z' | b'X')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: &str = "LOOPHOLE_LOG_TEST_LOCK";

    /// Not a test by itself: the process that the tests start and kill.
    #[test]
    #[ignore = "started by another test"]
    fn holds_until_killed() {
        let Some(path) = std::env::var_os(HOLDER) else { return };
        let _lock = Lock::folder(Path::new(&path)).unwrap();
        fs::write(Path::new(&path).join("ready"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_second_owner_is_refused_with_the_first_ones_number_and_a_kill_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::holds_until_killed", "--ignored"])
            .env(HOLDER, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !dir.path().join("ready").exists() && began.elapsed().as_secs() < 20 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let began = Instant::now();
        let refused = Lock::folder(dir.path()).unwrap_err().to_string();
        assert!(began.elapsed() < DYING / 2, "at once");
        assert!(refused.contains(&format!("process {}", child.id())), "{refused}");
        assert_eq!(holder(&dir.path().join(LOCK)), Some(Some(child.id())));
        child.kill().unwrap();
        child.wait().unwrap();
        // The file is still there and says who had it; that does no harm.
        assert!(dir.path().join(LOCK).exists());
        assert_eq!(holder(&dir.path().join(LOCK)), None);
        drop(Lock::folder(dir.path()).unwrap());
        assert!(!dir.path().join(LOCK).exists());
    }

    #[test]
    fn one_of_many_gets_it_and_it_can_be_had_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let (held, most) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
        let got = std::sync::atomic::AtomicUsize::new(0);
        use std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = Lock::file(&path) {
                            most.fetch_max(held.fetch_add(1, SeqCst) + 1, SeqCst);
                            got.fetch_add(1, SeqCst);
                            held.fetch_sub(1, SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(got.into_inner() >= 8);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
