//! Files and folders on their way into a cell and out of it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use loophole_cell::{Change, FileChange, FileKind, InputFile, Record, escape_path, unescape_path};

use crate::output::{Error, Options};

/// What stands before and after the first `=`.
pub fn halves(spec: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let at = spec.as_bytes().iter().position(|byte| *byte == b'=')?;
    let (before, after) = spec.as_bytes().split_at(at);
    Some((OsStr::from_bytes(before), OsStr::from_bytes(&after[1..])))
}

/// A path in a cell that somebody names: as records write it, or byte for byte where it is no UTF-8.
pub fn place(path: &OsStr) -> String {
    path.to_str().map_or_else(|| escape_path(path.as_bytes()), str::to_owned)
}

/// What goes in.
#[derive(Default)]
pub struct Into {
    pub files: Vec<InputFile>,
    /// Folders with nothing in them.
    pub folders: Vec<String>,
    pub bytes: u64,
    /// Links and the like, which are left out.
    skipped: Vec<PathBuf>,
}

impl Into {
    /// A file, by `SRC=DST`.
    pub fn file(&mut self, spec: &OsStr) -> Result<(), Error> {
        let wrong = || Error::Input(format!("--file {}: write SRC=DST", spec.display()));
        let (source, path) = halves(spec).ok_or_else(wrong)?;
        self.add(Path::new(source), place(path), "--file")
    }

    /// A whole folder, by `DIR` or `DIR=DST`.
    pub fn folder(&mut self, spec: &OsStr) -> Result<(), Error> {
        let (source, to) = halves(spec).unwrap_or((spec, OsStr::new("")));
        let to = place(to);
        let to = to.strip_prefix("/box").filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(&to);
        let to = to.trim_matches('/');
        let mut waiting = vec![(PathBuf::from(source), if to.is_empty() { String::new() } else { format!("{to}/") })];
        while let Some((folder, prefix)) = waiting.pop() {
            let wrong = |error: std::io::Error| Error::Input(format!("--in {}: {error}", folder.display()));
            let mut entries = fs::read_dir(&folder).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            if entries.is_empty() && !prefix.is_empty() {
                self.folders.push(prefix.trim_end_matches('/').to_owned());
            }
            for entry in entries {
                let path = entry.path();
                let kind = entry.file_type().map_err(wrong)?;
                let name = escape_path(entry.file_name().as_bytes());
                if kind.is_dir() {
                    waiting.push((path, format!("{prefix}{name}/")));
                } else if kind.is_file() {
                    self.add(&path, format!("{prefix}{name}"), "--in")?;
                } else {
                    self.skipped.push(path);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, source: &Path, path: String, flag: &str) -> Result<(), Error> {
        let wrong = |error: std::io::Error| Error::Input(format!("{flag} {}: {error}", source.display()));
        let content = loophole_foreign::read(source, super::MOST_BYTES).map_err(wrong)?;
        let executable = fs::metadata(source).map_err(wrong)?.permissions().mode() & 0o100 != 0;
        self.bytes += content.len() as u64;
        let path = path.strip_prefix("/box/").map(str::to_owned).unwrap_or(path);
        self.files.push(InputFile { path, content, executable });
        Ok(())
    }

    /// Says what was left out.
    pub fn tell(&self, output: &Options) {
        if let [first, rest @ ..] = &self.skipped[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            output.warn(&format!("--in: {}{more} left out: neither file nor folder", first.display()));
        }
    }
}

/// A path of a cell on this machine.
fn here(path: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape_path(path)))
}

/// Where something that comes out goes: `PATH` or `PATH=DST`.
pub struct Out {
    pub path: String,
    to: PathBuf,
}

impl Out {
    pub fn new(spec: &OsStr) -> Result<Out, Error> {
        let (path, to) = halves(spec).unwrap_or((spec, OsStr::new("")));
        let path = place(path);
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix("/box/").unwrap_or(path);
        if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(Error::Input(format!("--get {}: name a file or folder below /box", spec.display())));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let to = if to.is_empty() { here(name) } else { PathBuf::from(to) };
        Ok(Out { path: path.to_owned(), to })
    }

    /// Writes what the program left there; how many files that were.
    pub fn write(&self, record: &Record, output: &Options) -> Result<usize, Error> {
        let below = format!("{}/", self.path);
        let mut written = 0;
        for (path, content) in &record.contents {
            let to = match path.strip_prefix(&below) {
                Some(rest) => self.to.join(here(rest)),
                None if *path == self.path => self.to.clone(),
                None => continue,
            };
            let wrong = |error: std::io::Error| Error::Input(format!("--get {}: {}: {error}", self.path, to.display()));
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(wrong)?;
            }
            fs::write(&to, content).map_err(wrong)?;
            if record.files.iter().any(|f| escape_path(&f.path) == *path && f.mode & 0o100 != 0) {
                fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(wrong)?;
            }
            written += 1;
        }
        let there = |f: &&FileChange| {
            let path = escape_path(&f.path);
            f.kind == FileKind::File && (path == self.path || path.starts_with(&below))
        };
        let missing = record
            .files
            .iter()
            .filter(there)
            .filter(|f| f.change != Change::Removed && !record.contents.contains_key(&escape_path(&f.path)));
        match missing.count() {
            0 if written == 0 => output.warn(&format!("--get {}: the program left nothing there", self.path)),
            0 => {}
            n => output.warn(&format!("--get {}: {n} files left out: too large, too deep or too many", self.path)),
        }
        Ok(written)
    }
}
