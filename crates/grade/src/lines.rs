//! The lines of a file of tasks: unpacked where they are packed, each bounded, and all together no more than there is
//! memory for, since tasks are kept.

use crate::task::ReadError;
use loophole_foreign::{Line, Lines, bytes, memory_available};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The longest line of a tasks file that is read, in bytes. The largest tests of one task in the public sets have some
/// ten MiB.
pub const MAX_TASK_LINE: usize = 128 << 20;

/// What a line takes besides its text; a blank one takes time.
const EACH: usize = 128;

/// The lines of a tasks file that are not blank.
pub struct TaskLines {
    lines: Lines<Box<dyn BufRead + Send>>,
    path: String,
    number: usize,
    /// Bytes that may still be taken.
    left: usize,
    most: usize,
}

impl TaskLines {
    /// Opens a JSONL file, `.gz` or not.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        // What is left is for the program, for what is made of a task, and for others.
        let most = usize::try_from(memory_available() / 2).unwrap_or(usize::MAX);
        let lines = Lines::new(open(path)?, MAX_TASK_LINE);
        Ok(TaskLines { lines, path: path.display().to_string(), number: 0, left: most, most })
    }

    /// The next line with its number, counted from 1; none at the end.
    ///
    /// # Errors
    /// The file cannot be read or unpacked; a line is too long or no UTF-8; there is too much of it.
    pub fn next_line(&mut self) -> Result<Option<(usize, String)>, ReadError> {
        loop {
            let line = self.lines.next_line().map_err(|error| ReadError::Io { path: self.path.clone(), error })?;
            self.number += 1;
            let line = match line {
                None => return Ok(None),
                Some(Line::TooLong) => {
                    let most = bytes(MAX_TASK_LINE as u64);
                    return Err(self.wrong(format!("longer than the {most} that are read of a task")));
                }
                Some(Line::Whole(line)) => line,
            };
            self.keep(line.len() + EACH)?;
            let line = String::from_utf8(line).map_err(|_| self.wrong("not UTF-8".into()))?;
            if !line.trim().is_empty() {
                return Ok(Some((self.number, line)));
            }
        }
    }

    /// Counts so many bytes of memory more as taken by what was read.
    ///
    /// # Errors
    /// There is not so much.
    pub fn keep(&mut self, count: usize) -> Result<(), ReadError> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let most = bytes(self.most as u64);
                Err(self.wrong(format!(
                    "with it the tasks take more than {most}, half of the memory that is left; split the file, or leave \
                     tasks out"
                )))
            }
        }
    }

    pub(crate) fn wrong(&self, why: String) -> ReadError {
        ReadError::Line { path: self.path.clone(), line: self.number, why }
    }
}

/// Opens a text file, unpacking it when its name ends in `.gz`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, ReadError> {
    let file = std::fs::File::open(path).map_err(|error| ReadError::Io { path: path.display().to_string(), error })?;
    let packed = path.extension().is_some_and(|e| e == "gz");
    let inner: Box<dyn Read + Send> =
        if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(1 << 16, inner)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn packed(piece: &[u8], times: usize) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(piece).unwrap();
        gz.finish().unwrap().repeat(times)
    }

    #[test]
    fn a_line_is_bounded_however_well_it_is_packed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.jsonl.gz");
        std::fs::write(&path, packed(&[b'a'; 1 << 20], 1 << 10)).unwrap();
        let error = TaskLines::open(&path).unwrap().next_line().unwrap_err().to_string();
        assert!(error.contains("line 1: longer than the 128 MiB"), "{error}");
        std::fs::write(&path, packed(b"\n\n a\n", 2)).unwrap();
        let mut lines = TaskLines::open(&path).unwrap();
        assert_eq!(lines.next_line().unwrap(), Some((3, " a\n".to_string())));
        assert_eq!(lines.next_line().unwrap(), Some((6, " a\n".to_string())));
        assert_eq!(lines.next_line().unwrap(), None);
    }

    #[test]
    fn all_lines_together_are_bounded_by_the_memory_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.jsonl");
        std::fs::write(&path, "ab\ncd\n\n\n").unwrap();
        let mut lines = TaskLines { left: 7 + 3 * EACH, most: 7, ..TaskLines::open(&path).unwrap() };
        assert!(lines.next_line().is_ok() && lines.next_line().is_ok());
        let error = lines.next_line().map(drop).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("memory"), "{error}");
        assert!(lines.keep(1 << 40).is_err());
    }
}
