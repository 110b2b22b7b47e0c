//! File names as text, and back: a name may be any bytes; no two names share a text. And paths made plain.

use std::path::{Component, Path, PathBuf};

/// A path as text: as it is where it is UTF-8 without a backslash; else each byte that is no UTF-8 is `\\xNN`, and each
/// backslash `\\\\`.
pub fn escape(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The path that [`escape`] wrote. A backslash that is none of its own stands for itself.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |i: usize| after.get(i).and_then(|b| char::from(*b).to_digit(16));
        let (byte, length) = match (first, after) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', ..]) => match (digit(1), digit(2)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                _ => (b'\\', 0),
            },
            _ => (*first, 0),
        };
        out.push(byte);
        rest = &after[length..];
    }
    out
}

/// A path without `.` and `..`. A link before a `..` is taken for a folder: what is then found is beneath all the same.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        assert_eq!(escape("a/ü b.txt".as_bytes()), "a/ü b.txt");
        assert_eq!(escape(b"\xff\xfe"), r"\xff\xfe");
        assert_eq!(escape(br"\xff"), r"\\xff");
        assert_eq!(unescape(r"C:\dir\xzz"), br"C:\dir\xzz");
    }

    proptest! {
        #[test]
        fn every_name_comes_back(path: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&path)), path);
        }
    }
}
