//! Rows of files as people have them: JSON lines, JSON, Parquet, packed with gzip or not, folders of those, standard
//! input. What a file is follows from its first bytes. Each row is bounded, and a broken one is an item like others.

use super::json::{Named, rows_of};
use super::parquet::ParquetRows;
use super::row::Row;
use flate2::bufread::MultiGzDecoder;
use loophole_foreign::{Line, Lines, bytes, memory_available, too_large};
use loophole_grade::ReadError;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The name that stands for standard input.
pub const STDIN: &str = "-";
/// Endings of the files that are read of a folder, before `.gz`.
const ENDINGS: [&str; 4] = ["jsonl", "json", "parquet", "ndjson"];
/// Files that are read of one folder, and folders within it that are looked into.
const MOST_FILES: usize = 100_000;

/// Blank lines that are gone over one after the other: a packed file may hold them without end.
const MOST_BLANK: usize = 10_000_000;

/// A row, and where it stands.
#[derive(Debug)]
pub struct Found {
    /// Its file.
    pub path: String,
    /// Its line, or its number in a file without lines; counted from 1.
    pub line: usize,
    /// What a number in the name of its file says, as in `40.jsonl` or `step-000040.parquet`.
    pub file_number: Option<u64>,
    /// The row, or what is wrong with it.
    pub row: Result<Row, String>,
    /// Bytes it had.
    pub size: usize,
    /// Whether it is longer than is read.
    pub too_long: bool,
}

impl Found {
    /// That something is wrong with it.
    pub fn wrong(&self, why: String) -> ReadError {
        ReadError::Line { path: self.path.clone(), line: self.line, why }
    }

    /// That it is for no task that is known.
    pub fn for_no_task(&self, why: String) -> ReadError {
        ReadError::NoTask { path: self.path.clone(), line: self.line, why }
    }
}

enum Source {
    Lines(Lines<Box<dyn BufRead + Send>>),
    List(std::vec::IntoIter<Named>),
    Parquet(Box<ParquetRows>),
}

/// The rows of a file, of a folder's files one after the other, or of standard input.
pub struct Rows {
    waiting: VecDeque<PathBuf>,
    now: Option<Source>,
    path: String,
    number: usize,
    file_number: Option<u64>,
    /// Whether the files are those of a folder: a number in the name of a single one mostly counts something else.
    in_folder: bool,
    most: usize,
    /// How many bytes of the file are whole lines, where it is being written.
    whole: Option<u64>,
}

impl Rows {
    /// Opens a file, a folder, or standard input (`-`); rows may have `most` bytes.
    ///
    /// # Errors
    /// It cannot be opened, or a folder holds no file of rows.
    pub fn open(path: &Path, most: usize) -> Result<Rows, ReadError> {
        let mut rows = Rows {
            waiting: VecDeque::new(),
            now: None,
            path: path.display().to_string(),
            number: 0,
            file_number: None,
            in_folder: path.is_dir(),
            most,
            whole: None,
        };
        if path == Path::new(STDIN) {
            rows.path = "standard input".into();
            rows.now = Some(Source::Lines(Lines::new(Box::new(BufReader::new(io::stdin())), most)));
        } else if path.is_dir() {
            rows.waiting = files_of(path).map_err(|error| failed(path, error))?;
        } else {
            rows.begin(path)?;
        }
        Ok(rows)
    }

    /// No rows at all.
    pub(super) fn none() -> Rows {
        let (waiting, path, file_number) = (VecDeque::new(), String::new(), None);
        Rows { waiting, now: None, path, number: 0, file_number, in_folder: false, most: 0, whole: None }
    }

    /// Opens one file of a folder; of its lines those that end within the first `whole` bytes.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open_part(path: &Path, most: usize, whole: Option<u64>) -> Result<Rows, ReadError> {
        let (waiting, path_of) = (VecDeque::new(), path.display().to_string());
        let mut rows =
            Rows { waiting, now: None, path: path_of, number: 0, file_number: None, in_folder: true, most, whole };
        rows.begin(path)?;
        Ok(rows)
    }

    fn begin(&mut self, path: &Path) -> Result<(), ReadError> {
        self.path = path.display().to_string();
        self.number = 0;
        self.file_number = number_in(path).filter(|_| self.in_folder || is_of_step(path));
        self.now = Some(source(path, self.most, self.whole).map_err(|error| failed(path, error))?);
        Ok(())
    }

    fn found(&mut self, row: Result<Row, String>, size: usize) -> Found {
        Found { path: self.path.clone(), line: self.number, file_number: self.file_number, row, size, too_long: false }
    }

    /// Goes over so many rows without reading what is in them; a file that cannot be read counts as one.
    pub fn skip_rows(&mut self, count: usize) {
        for _ in 0..count {
            if matches!(self.next_raw(), Ok(None)) {
                break;
            }
        }
    }

    /// The next row; none at the end. After an error the next file's rows can be read all the same.
    ///
    /// # Errors
    /// A file cannot be opened, read or unpacked.
    pub fn next_row(&mut self) -> Result<Option<Found>, ReadError> {
        let Some(raw) = self.next_raw()? else { return Ok(None) };
        Ok(Some(match raw {
            Raw::Text(id, text) => {
                let size = text.len();
                let text = String::from_utf8(text).map_err(|_| "not UTF-8".to_string());
                let row = text.and_then(|text| Row::parse(&text)).map(|mut row| {
                    if let Some(id) = id {
                        row.put_text_if_missing("id", &id);
                    }
                    row
                });
                self.found(row, size)
            }
            Raw::Row(row, size) => self.found(Ok(row), size),
            Raw::TooLong => {
                let most = bytes(self.most as u64);
                let row = Err(format!("longer than the {most} that are read of a row"));
                Found { too_long: true, ..self.found(row, 0) }
            }
        }))
    }

    fn next_raw(&mut self) -> Result<Option<Raw>, ReadError> {
        let mut blank = 0;
        loop {
            let Some(source) = &mut self.now else {
                match self.waiting.pop_front() {
                    Some(path) => self.begin(&path)?,
                    None => return Ok(None),
                }
                continue;
            };
            self.number += 1;
            let next = match source {
                Source::Lines(lines) => match lines.next_line() {
                    Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {
                        blank += 1;
                        if blank < MOST_BLANK {
                            continue;
                        }
                        Err(too_large(format!(
                            "line {}: {MOST_BLANK} lines are blank one after the other",
                            self.number
                        )))
                    }
                    Ok(Some(Line::Whole(line))) => Ok(Some(Raw::Text(None, line))),
                    Ok(Some(Line::TooLong)) => Ok(Some(Raw::TooLong)),
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                },
                Source::List(list) => Ok(list.next().map(|(id, json)| Raw::Text(id, json.get().as_bytes().to_vec()))),
                Source::Parquet(rows) => rows.next_row().map(|row| row.map(|(row, size)| Raw::Row(row, size))),
            };
            match next {
                Ok(Some(raw)) => return Ok(Some(raw)),
                Ok(None) => self.now = None,
                Err(error) => {
                    self.now = None;
                    return Err(ReadError::Io { path: self.path.clone(), error });
                }
            }
        }
    }
}

enum Raw {
    /// A JSON text, and the name it has in the object it stands in.
    Text(Option<String>, Vec<u8>),
    Row(Row, usize),
    TooLong,
}

fn failed(path: &Path, error: io::Error) -> ReadError {
    ReadError::Io { path: path.display().to_string(), error }
}

/// Opens one file for what it is.
fn source(path: &Path, most: usize, whole: Option<u64>) -> io::Result<Source> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    if file.fill_buf()?.starts_with(b"PAR1") {
        return Ok(Source::Parquet(Box::new(ParquetRows::open(file.into_inner(), most)?)));
    }
    let mut text: Box<dyn BufRead + Send> = if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file.take(whole.unwrap_or(u64::MAX)))
    };
    let named_json = path.without_gz().extension().is_some_and(|ending| ending == "json");
    let begins =
        |text: &[u8]| text.iter().copied().find(|byte| !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(byte));
    if !named_json && begins(text.fill_buf()?) != Some(b'[') {
        return Ok(Source::Lines(Lines::new(text, most)));
    }
    // A whole value is read at once: a quarter of the memory that is left is for its text.
    let largest = memory_available() / 4;
    let mut whole = Vec::new();
    (&mut text).take(largest.saturating_add(1)).read_to_end(&mut whole)?;
    if whole.len() as u64 > largest {
        let most = bytes(largest);
        return Err(too_large(format!("it is larger than the {most} that are read of a JSON file; use JSON lines")));
    }
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let whole = String::from_utf8(whole).map_err(|error| wrong(format!("no UTF-8 text ({})", error.utf8_error())))?;
    match rows_of(whole.trim_start_matches('\u{feff}')) {
        Ok(list) => Ok(Source::List(list.into_iter())),
        // Lines of JSON under the name of JSON.
        Err(_) if begins(whole.as_bytes()) == Some(b'{') => {
            Ok(Source::Lines(Lines::new(Box::new(io::Cursor::new(whole.into_bytes())), most)))
        }
        Err(error) => Err(wrong(format!("no JSON ({error})"))),
    }
}

trait WithoutGz {
    fn without_gz(&self) -> PathBuf;
}

impl WithoutGz for Path {
    fn without_gz(&self) -> PathBuf {
        if self.extension().is_some_and(|ending| ending == "gz") { self.with_extension("") } else { self.into() }
    }
}

/// Whether a file's name is nothing but a number, or says that the number is a step's.
fn is_of_step(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.contains("step") || (!stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The last number in a file's name; none where it counts the parts of a whole (`train-00000-of-00002`).
fn number_in(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_string_lossy();
    let stem = name.split('.').next()?;
    if stem.contains("-of-") {
        return None;
    }
    let digits = stem.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok()
}

/// The files of rows in a folder, of which there must be one.
fn files_of(folder: &Path) -> io::Result<VecDeque<PathBuf>> {
    let files = row_files(folder)?;
    if files.is_empty() {
        let endings = ENDINGS.map(|ending| format!(".{ending}")).join(", ");
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("it holds no file of rows ({endings}, each also .gz)"),
        ));
    }
    Ok(files.into())
}

/// The files of rows in a folder and in those within it, in the order of the numbers in their names.
///
/// # Errors
/// A folder cannot be listed, or holds too much.
pub fn row_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            seen += 1;
            if seen > MOST_FILES {
                return Err(too_large(format!(
                    "more than {MOST_FILES} files; name a folder that holds the rows alone"
                )));
            }
            let entry = entry?;
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if hidden {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if path.without_gz().extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known)) {
                files.push(path);
            }
        }
    }
    files.sort_by_cached_key(|path| (path.parent().map(Path::to_path_buf), number_in(path), path.clone()));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(path: &Path) -> Vec<String> {
        let mut rows = Rows::open(path, 64).unwrap();
        let mut out = Vec::new();
        loop {
            match rows.next_row() {
                Ok(None) => return out,
                Ok(Some(found)) => out.push(match &found.row {
                    Ok(row) => format!("{}:{:?}:{}", found.line, found.file_number, row.json("n").unwrap_or_default()),
                    Err(why) => format!("{}: {why}", found.line),
                }),
                Err(error) => out.push(error.to_string()),
            }
        }
    }

    #[test]
    fn a_file_is_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"{\"n\": 1}\r\n\r\n{\"n\": 2}\r\n").unwrap();
        let long = format!("{{\"n\": \"{}\"}}\n{{\"n\": 3}}", "x".repeat(100));
        for (content, rows) in [
            (
                "\u{feff}{\"n\": 1}\r\n{\"n\": \"\\ud800\"}\nnone\n".as_bytes(),
                "1:None:1|2:None:\"\\ufffd\"|3: a row is a JSON object",
            ),
            (&gz.finish().unwrap(), "1:None:1|3:None:2"),
            (b" [{\"n\": 1}, 5, {\"n\": 2}]", "1:None:1|2: a row is a JSON object|3:None:2"),
            (long.as_bytes(), "1: longer than the 64 bytes that are read of a row|2:None:3"),
            (b"\xff\xfe{}", "1: not UTF-8"),
            (b"", ""),
        ] {
            std::fs::write(&path, content).unwrap();
            let found = all(&path);
            let wanted: Vec<&str> = rows.split('|').filter(|row| !row.is_empty()).collect();
            assert_eq!(found.len(), wanted.len(), "{found:?}");
            assert!(found.iter().zip(&wanted).all(|(found, wanted)| found.starts_with(wanted)), "{found:?} {wanted:?}");
        }
    }

    #[test]
    fn json_holds_rows_in_several_ways() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.json");
        for (content, rows) in [
            ("[]", 0),
            ("{\"data\": [{\"n\": 1}, {\"n\": 2}], \"version\": 1}", 2),
            ("{\n \"n\": 1\n}", 1),
            ("{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n", 3),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(all(&path).len(), rows, "{content}");
        }
        std::fs::write(&path, "{\"a\": {\"n\": 1}, \"b\": {\"id\": 7}}").unwrap();
        let mut rows = Rows::open(&path, 64).unwrap();
        let mut id = || rows.next_row().unwrap().unwrap().row.unwrap().name_of(&["id"]).unwrap();
        assert_eq!((id(), id()), ("a".into(), "7".into()));
        std::fs::write(&path, "[1").unwrap();
        assert!(Rows::open(&path, 64).is_err_and(|error| error.to_string().contains("no JSON")));
    }

    #[test]
    fn a_folder_is_its_files_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for (name, n) in [("10.jsonl", 10), ("9.jsonl", 9), ("step-000002.jsonl", 2), ("notes.txt", 0), (".7.jsonl", 7)]
        {
            std::fs::write(dir.path().join(name), format!("{{\"n\": {n}}}\n")).unwrap();
        }
        assert_eq!(all(dir.path()), ["1:Some(2):2", "1:Some(9):9", "1:Some(10):10"]);
        // Alone, only what is called a step counts.
        for (name, number) in [("step-000002.jsonl", Some(2)), ("9.jsonl", Some(9)), ("samples_v2.jsonl", None)] {
            let path = dir.path().join(name);
            std::fs::write(&path, "{\"n\": 1}\n").unwrap();
            assert_eq!(all(&path), [format!("1:{number:?}:1")]);
        }
        std::fs::remove_file(dir.path().join("samples_v2.jsonl")).unwrap();
        assert_eq!(number_in(Path::new("test-00001-of-00003.parquet")), None);
        std::fs::write(dir.path().join("9.jsonl"), [0x1f, 0x8b, 0, 0]).unwrap();
        let found = all(dir.path());
        assert!(found.len() == 3 && found[1].contains("9.jsonl"), "one broken file stops no other: {found:?}");
        let empty = tempfile::tempdir().unwrap();
        assert!(Rows::open(empty.path(), 64).is_err_and(|error| error.to_string().contains("no file of rows")));
    }
}
