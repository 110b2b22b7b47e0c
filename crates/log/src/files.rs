use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::LogError;

/// A name under which `path` can be written, each time another one; never taken for a finished file by a reader of
/// this crate.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Writes a whole file so that a reader, or a kill at any moment, sees the old content or the new and nothing between.
/// Missing folders above it are made.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(LogError::io("make the folder", parent))?;
    }
    let temp = temporary(path);
    let write = || {
        let mut file = File::create(&temp)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temp, path)
    };
    write().map_err(|source| {
        // What is left of a failed write helps nobody; the first error is the one to tell.
        let _ = fs::remove_file(&temp);
        LogError::io("write", path)(source)
    })
}

/// Writes a value as indented JSON with a final newline, atomically. Numbers that are not finite become `null`.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), LogError> {
    write_atomic(path, &json_bytes(value)?)
}

/// The bytes of such a file.
///
/// # Errors
/// [`LogError::Unwritable`] for a value that JSON cannot hold.
pub fn json_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, LogError> {
    let unwritable = |e: serde_json::Error| LogError::Unwritable { kind: "JSON", why: e.to_string() };
    let mut text = serde_json::to_vec_pretty(value).map_err(unwritable)?;
    text.push(b'\n');
    Ok(text)
}

/// Largest JSON file of a run that is read, in bytes.
const LARGEST_JSON: u64 = 256 << 20;

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LogError> {
    let text = loophole_foreign::read(path, LARGEST_JSON).map_err(LogError::io("read", path))?;
    serde_json::from_slice(&text).map_err(|e| LogError::format(path, "JSON file of a run", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/x.json");
        write_json(&path, &vec![1.0, f64::NAN]).unwrap();
        write_json(&path, &vec![2.0]).unwrap();
        assert_eq!(read_json::<Vec<f64>>(&path).unwrap(), [2.0]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::create_dir(&path).unwrap();
        let message = write_atomic(&path, b"new").unwrap_err().to_string();
        assert!(message.contains("cannot write") && message.contains("/x"), "{message}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
