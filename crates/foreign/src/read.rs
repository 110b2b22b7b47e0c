//! Files and lines within bounds, and numbers within ranges.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::ops::RangeInclusive;
use std::path::Path;

/// An error that says a thing is larger than is read. Its kind is [`io::ErrorKind::FileTooLarge`], by which a program
/// knows it for bad input.
pub fn too_large(what: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, what.to_string())
}

/// A number of bytes as a reader says it: `64 MiB`, `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => {
            let text = format!("{:.1}", count as f64 / size as f64);
            format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
        }
        None => format!("{count} bytes"),
    }
}

/// Reads a whole file of at most `most` bytes. What a file says of its own size is not believed: a device or a pipe
/// is read only so far too.
///
/// # Errors
/// The file cannot be read, or is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let larger = || too_large(format!("it is larger than the {} that are read of such a file", bytes(most)));
    if size > most {
        return Err(larger());
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(larger());
    }
    Ok(content)
}

/// [`read`] for text.
///
/// # Errors
/// As [`read`]; or it is no UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is no UTF-8 text ({})", error.utf8_error()))
    })
}

/// How far the end of a line that is too long is looked for.
const SKIPPED: u64 = 1 << 30;

/// A line of [`Lines`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, with the newline if it has one.
    Whole(Vec<u8>),
    /// It is longer than is read; the next one can be read all the same.
    TooLong,
}

/// The lines of a reader, each bounded: a line without end takes no more memory than one of the longest.
pub struct Lines<R> {
    reader: R,
    most: usize,
    /// Whether the last line was too long, and the rest of it is still to be read.
    inside: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `most` bytes.
    pub fn new(reader: R, most: usize) -> Self {
        Lines { reader, most, inside: false }
    }

    /// The next line; none at the end. What is left of one that is too long is read when the next one is asked for:
    /// who gives up at the first need not wait for its end, which may never come.
    ///
    /// # Errors
    /// The reader's; or the line before has no end within a GiB, as in `/dev/zero`.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        if self.inside {
            self.skip()?;
            self.inside = false;
        }
        let mut line = Vec::new();
        (&mut self.reader).take(self.most as u64 + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() <= self.most {
            return Ok(Some(Line::Whole(line)));
        }
        self.inside = !line.ends_with(b"\n");
        Ok(Some(Line::TooLong))
    }

    /// Reads on to the end of a line without keeping it.
    fn skip(&mut self) -> io::Result<()> {
        let mut skipped = 0;
        loop {
            if skipped > SKIPPED {
                return Err(too_large(format!("a line has no end within {}", bytes(SKIPPED))));
            }
            let part = self.reader.fill_buf()?;
            let (over, n) = match part.iter().position(|b| *b == b'\n') {
                Some(at) => (true, at + 1),
                None => (part.is_empty(), part.len()),
            };
            self.reader.consume(n);
            skipped += n as u64;
            if over {
                return Ok(());
            }
        }
    }
}

/// Checks a number that somebody wrote: `steps = 1e18 is not between 0 and 1000000`. What is no number at all (NaN)
/// is in no range.
///
/// # Errors
/// It is outside; the error names the key and the range.
pub fn within<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{key} = {value} is not between {} and {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_read_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "abc");
        let error = read(&path, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("2 bytes"), "{error}");
        // Neither has a size.
        assert!(read(Path::new("/dev/zero"), 1 << 20).is_err());
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, 1 << 20).is_err());
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_line_without_end_is_given_up_at_once() {
        let endless = io::BufReader::new(io::repeat(b'a'));
        let mut lines = Lines::new(endless, 1 << 20);
        assert_eq!(lines.next_line().unwrap(), Some(Line::TooLong));
        assert!(lines.next_line().unwrap_err().to_string().contains("no end within 1 GiB"));
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (count, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (64 << 20, "64 MiB"), (3 << 29, "1.5 GiB"), (100 << 30, "100 GiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn numbers_outside_are_named() {
        assert_eq!(within("steps", 3, 0..=5), Ok(()));
        assert_eq!(within("train.lr", f64::NAN, 0.0..=1.0).unwrap_err(), "train.lr = NaN is not between 0 and 1");
        assert!(within("lr", f64::INFINITY, 0.0..=1.0).is_err() && within("n", -1, 0..=1).is_err());
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[ab\n]{0,40}", most in 1usize..8, buffer in 1usize..9) {
            let mut lines = Lines::new(io::BufReader::with_capacity(buffer, text.as_bytes()), most);
            for expected in text.split_inclusive('\n') {
                let line = lines.next_line().unwrap().unwrap();
                if expected.len() <= most {
                    prop_assert_eq!(line, Line::Whole(expected.into()));
                } else {
                    prop_assert_eq!(line, Line::TooLong);
                }
            }
            prop_assert_eq!(lines.next_line().unwrap(), None);
        }
    }
}
