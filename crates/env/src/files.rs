//! Files of a target on their way into a cell.

use crate::EnvError;
use crate::Payment;
use loophole_cell::{InputFile, Record, Verdict};
use loophole_foreign::bytes as said;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The most a folder may hold.
const MAX_FILES: usize = 2000;
/// The most its files may hold together.
const MAX_BYTES: u64 = 32 << 20;
/// Names that are never part of a target.
const NOT_OURS: [&str; 7] = [".venv", "venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache", "target"];

/// The files of a folder: bytes by path, and which may be executed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    pub files: BTreeMap<String, (Vec<u8>, bool)>,
}

/// Largest single file that is read, in bytes.
pub const LARGEST_FILE: u64 = 64 << 20;

impl Folder {
    /// Reads a folder, following no link that leads out of it.
    pub(crate) fn read(root: &Path) -> Result<Folder, EnvError> {
        let input = |path: &Path, what: String| EnvError::Input(format!("{}: {what}", path.display()));
        let real = root.canonicalize().map_err(|e| input(root, e.to_string()))?;
        let mut folder = Folder::default();
        let (mut bytes, mut largest) = (0u64, (0, String::new()));
        let mut waiting: Vec<(PathBuf, String)> = vec![(real.clone(), String::new())];
        while let Some((path, name)) = waiting.pop() {
            let mut entries: Vec<_> = std::fs::read_dir(&path)
                .and_then(|d| d.collect::<Result<Vec<_>, _>>())
                .map_err(|e| input(&path, e.to_string()))?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let path = entry.path();
                let last = entry
                    .file_name()
                    .into_string()
                    .map_err(|n| input(&path, format!("the name {n:?} is not UTF-8; rename it")))?;
                if NOT_OURS.contains(&last.as_str()) || (name.is_empty() && last == ".git") {
                    continue;
                }
                let name = if name.is_empty() { last } else { format!("{name}/{last}") };
                let target = path.canonicalize().map_err(|e| input(&path, format!("a link to nothing ({e})")))?;
                if !target.starts_with(&real) {
                    let to = target.display();
                    return Err(input(
                        &path,
                        format!("a link that leads out of the folder, to {to}; put a copy there"),
                    ));
                }
                let meta = std::fs::metadata(&target).map_err(|e| input(&path, e.to_string()))?;
                if meta.is_dir() {
                    if target != path {
                        return Err(input(&path, "a link to a folder; put a copy there".into()));
                    }
                    waiting.push((target, name));
                } else if meta.is_file() {
                    bytes = bytes.saturating_add(meta.len());
                    if meta.len() > largest.0 {
                        largest = (meta.len(), name.clone());
                    }
                    if folder.files.len() >= MAX_FILES || bytes > MAX_BYTES {
                        let (most, (size, name)) = (said(MAX_BYTES), &largest);
                        let what = format!(
                            "more than {MAX_FILES} files or {most}, the largest seen is {name} with {}; name a folder \
                             that holds the target alone",
                            said(*size)
                        );
                        return Err(input(root, what));
                    }
                    let content =
                        loophole_foreign::read(&target, LARGEST_FILE).map_err(|e| input(&path, e.to_string()))?;
                    folder.files.insert(name, (content, meta.permissions().mode() & 0o111 != 0));
                } else {
                    return Err(input(&path, "neither a file nor a folder".into()));
                }
            }
        }
        Ok(folder)
    }

    /// Without these files: what a policy must not find, such as the tasks with their references.
    pub(crate) fn without(mut self, root: &Path, names: &[&Path]) -> Folder {
        let Ok(root) = root.canonicalize() else { return self };
        for name in names.iter().filter_map(|n| n.canonicalize().ok()) {
            if let Ok(below) = name.strip_prefix(&root) {
                self.files.remove(&below.display().to_string());
            }
        }
        self
    }

    /// A file as text; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.files.get(name).map_or(String::new(), |(bytes, _)| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The files for a cell, below `prefix` (empty, or ending in `/`).
    pub(crate) fn inputs(&self, prefix: &str) -> Vec<InputFile> {
        self.files
            .iter()
            .map(|(path, (content, executable))| InputFile {
                path: format!("{prefix}{path}"),
                content: content.clone(),
                executable: *executable,
            })
            .collect()
    }

    /// Those below a folder, with that part of their names taken off.
    pub(crate) fn below(&self, folder: &str) -> Folder {
        let head = format!("{folder}/");
        let files = self.files.iter().filter_map(|(p, f)| Some((p.strip_prefix(&head)?.to_string(), f.clone())));
        Folder { files: files.collect() }
    }
}

/// How a run ended, for a reader.
pub(crate) fn how_ended(record: &Record) -> String {
    let how = match (record.verdict, record.code, record.signal) {
        (Verdict::Exit, Some(code), _) => format!("it ended with exit status {code}"),
        (Verdict::Cpu, ..) => "it was stopped: out of CPU time".into(),
        (Verdict::Wall, ..) => "it was stopped: out of time".into(),
        (Verdict::Memory, ..) => "it failed for want of memory".into(),
        (Verdict::Pids, ..) => "it failed at the limit of processes".into(),
        (Verdict::Output, ..) => "it was stopped: more output than allowed".into(),
        (Verdict::Disk, ..) => "it failed because a file or its folder was full".into(),
        (_, _, Some(signal)) => format!("it was ended by signal {signal}"),
        _ => "how it ended is not known".into(),
    };
    record.explain().map_or_else(|| how.clone(), |why| format!("{how} ({why})"))
}

/// The payment of a run in which the machine failed.
pub(crate) fn machine_failed(record: &Record) -> Payment {
    Payment {
        reward: None,
        valid: false,
        transcript: record.detail.clone().unwrap_or_default(),
        seconds: record.wall_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("task");
        std::fs::create_dir_all(root.join("tests")).unwrap();
        std::fs::write(root.join("tests/a.py"), "x").unwrap();
        std::os::unix::fs::symlink("tests/a.py", root.join("b.py")).unwrap();
        let folder = Folder::read(&root).unwrap();
        assert_eq!(folder.files.keys().collect::<Vec<_>>(), ["b.py", "tests/a.py"]);
        assert_eq!(folder.below("tests").text("a.py"), "x");
        std::os::unix::fs::symlink("/etc/passwd", root.join("out")).unwrap();
        let error = Folder::read(&root).unwrap_err().to_string();
        assert!(error.contains("leads out of the folder"), "{error}");
        std::fs::remove_file(root.join("out")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("gone")).unwrap();
        assert!(Folder::read(&root).unwrap_err().to_string().contains("a link to nothing"));
    }

    #[test]
    fn a_folder_that_is_too_large_names_its_largest_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.py"), "x").unwrap();
        std::fs::File::create(dir.path().join("task.toml")).unwrap().set_len(6 << 30).unwrap();
        let error = Folder::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("32 MiB") && error.contains("task.toml with 6 GiB"), "{error}");
    }
}
