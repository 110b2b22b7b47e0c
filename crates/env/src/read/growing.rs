//! How much of a file that somebody else is writing can be read.

use super::MAX_ROW;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What of a file is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// All of it, so many bytes.
    All(u64),
    /// So many bytes; after them a line stands that has no end yet, of so many.
    UpTo(u64, u64),
    /// Nothing of it can be read yet, and why.
    Not(&'static str),
}

/// What begins and ends a Parquet file.
const PARQUET: &[u8] = b"PAR1";
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Tells how much of a file can be read: of Parquet all or nothing, of lines those that are whole. A last line without
/// a newline is whole if it is JSON. Packed files and JSON are only known by reading them.
///
/// # Errors
/// The file cannot be read.
pub fn whole_part(path: &Path) -> io::Result<Whole> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(4).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(Whole::Not("it is empty"));
    }
    if head == PARQUET {
        let mut foot = Vec::new();
        file.seek(SeekFrom::Start(size.saturating_sub(4)))?;
        file.take(4).read_to_end(&mut foot)?;
        return Ok(if size > 8 && foot == PARQUET {
            Whole::All(size)
        } else {
            Whole::Not("its end is not written yet")
        });
    }
    let named = |ending: &str| path.extension().is_some_and(|e| e == ending);
    if head.starts_with(GZIP) || head.starts_with(b"[") || named("json") {
        return Ok(Whole::All(size));
    }
    let tail = tail(&mut file, size)?;
    let Some(tail) = tail else { return Ok(Whole::All(size)) };
    let whole = tail.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(&tail).is_ok();
    let torn = tail.len() as u64;
    Ok(match (whole, size - torn) {
        (true, _) => Whole::All(size),
        (false, 0) => Whole::Not("its first line has no end yet"),
        (false, bytes) => Whole::UpTo(bytes, torn),
    })
}

/// What stands after the last newline; nothing where that is longer than a row may be.
fn tail(file: &mut File, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut block = 1 << 16;
    loop {
        let start = size.saturating_sub(block);
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(size - start).read_to_end(&mut text)?;
        if let Some(at) = text.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(text.split_off(at + 1)));
        }
        if start == 0 {
            return Ok(Some(text));
        }
        if block > MAX_ROW as u64 {
            return Ok(None);
        }
        block *= 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{{\"n\": 1}}\n{{\"n\": \"{}", "x".repeat(200_000));
        for (name, text, whole) in [
            ("a.jsonl", "", Whole::Not("it is empty")),
            ("a.jsonl", "{\"n\": 1}\n", Whole::All(9)),
            ("a.jsonl", "{\"n\": 1}\n{\"n\": 2}", Whole::All(17)),
            ("a.jsonl", "{\"n\": 1}\n{\"n\": ", Whole::UpTo(9, 6)),
            ("a.jsonl", "{\"n\"", Whole::Not("its first line has no end yet")),
            ("a.jsonl", &long, Whole::UpTo(9, 200_007)),
            ("a.parquet", "PAR1....", Whole::Not("its end is not written yet")),
            ("a.parquet", "PAR1....PAR1", Whole::All(12)),
            ("a.json", "{\"n\"", Whole::All(4)),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let found = whole_part(&path).unwrap();
            assert_eq!(found, whole, "{name} {}", &text[..text.len().min(30)]);
        }
    }

    #[test]
    fn only_whole_lines_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7.jsonl");
        std::fs::write(&path, "{\"n\": 1}\n\n{\"n\": 2}\n{\"n\": 3").unwrap();
        let Whole::UpTo(bytes, _) = whole_part(&path).unwrap() else { panic!("it is torn") };
        let mut rows = crate::Rows::open_part(&path, 64, Some(bytes)).unwrap();
        rows.skip_rows(1);
        let found = rows.next_row().unwrap().unwrap();
        assert_eq!((found.line, found.file_number), (3, Some(7)));
        assert_eq!(found.row.unwrap().json("n").unwrap(), "2");
        assert!(rows.next_row().unwrap().is_none());
    }
}
