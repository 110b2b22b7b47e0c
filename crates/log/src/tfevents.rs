//! Event files as TensorBoard reads them: records of a length, its checksum, an `Event`, and its checksum. `Event` and
//! `Summary` are protocol buffers, of which scalars need a handful of fields (`tensorboard/compat/proto/event.proto`,
//! `summary.proto`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::LogError;
use crate::files::write_atomic;
use crate::run_dir::names;

/// Scalars of one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scalars {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step.
    pub step: u64,
    /// Name and number of each; what is no finite number is left out.
    pub values: Vec<(String, f64)>,
}

/// What the first event of a file says.
const VERSION: &str = "brain.Event:2";
/// What our event files are called, after the time of their first event.
const NAME: &str = "events.out.tfevents.";
const OURS: &str = ".loophole";

/// The bytes of an event file. Equal scalars give equal bytes, and more steps only add to them.
pub fn tfevents(scalars: &[Scalars]) -> Vec<u8> {
    let began = scalars.first().map_or(0.0, |first| first.wall_time);
    let mut event = Vec::new();
    double(&mut event, 1, began);
    bytes(&mut event, 3, VERSION.as_bytes());
    let mut out = Vec::new();
    record(&mut out, &event);
    for step in scalars {
        let mut summary = Vec::new();
        for (name, value) in step.values.iter().filter(|(_, value)| value.is_finite()) {
            let mut one = Vec::new();
            bytes(&mut one, 1, name.as_bytes());
            float(&mut one, 2, *value as f32);
            bytes(&mut summary, 1, &one);
        }
        let mut event = Vec::new();
        double(&mut event, 1, step.wall_time);
        varint(&mut event, 2 << 3);
        varint(&mut event, step.step);
        bytes(&mut event, 5, &summary);
        record(&mut out, &event);
    }
    out
}

/// Brings the event file of a folder to these scalars. What is there is added to, as readers that wait for more expect,
/// if it is the beginning; else a new file takes its place. Returns its path.
///
/// # Errors
/// What the file system refuses.
pub fn write_tfevents(folder: &Path, scalars: &[Scalars]) -> Result<PathBuf, LogError> {
    let all = tfevents(scalars);
    let ours = |name: &String| name.starts_with(NAME) && name.ends_with(OURS);
    let there: Vec<PathBuf> = names(folder)?.iter().filter(|name| ours(name)).map(|name| folder.join(name)).collect();
    let mut number = scalars.first().map_or(0, |first| first.wall_time.max(0.0) as u64);
    if let [path] = &there[..] {
        let old = fs::read(path).map_err(LogError::io("read", path))?;
        if all.starts_with(&old) {
            let failed = LogError::io("append to", path);
            let file = fs::OpenOptions::new().append(true).open(path);
            file.and_then(|mut file| file.write_all(&all[old.len()..])).map_err(failed)?;
            return Ok(path.clone());
        }
    }
    for path in &there {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let last = name.trim_start_matches(NAME).split('.').next().and_then(|digits| digits.parse::<u64>().ok());
        // A reader goes on with the file whose name comes next.
        number = number.max(last.map_or(0, |last| last + 1));
    }
    let path = folder.join(format!("{NAME}{number:010}{OURS}"));
    write_atomic(&path, &all)?;
    for old in there.iter().filter(|old| **old != path) {
        crate::remove(old)?;
    }
    Ok(path)
}

/// A record: its length, the checksum of that, itself, and its checksum.
fn record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

/// A checksum of data that may hold checksums itself.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), a byte at a time.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let mut crc = !0u32;
    for byte in data {
        crc = TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    }
    !crc
}

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn float(out: &mut Vec<u8>, field: u64, value: f32) {
    varint(out, field << 3 | 5);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data of each record; none where a length or a checksum is wrong.
    fn records(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at_checked(8)?;
            let (sum, rest) = rest.split_at_checked(4)?;
            (sum == masked(length).to_le_bytes()).then_some(())?;
            let count = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
            let (data, rest) = rest.split_at_checked(count)?;
            let (sum, rest) = rest.split_at_checked(4)?;
            (sum == masked(data).to_le_bytes()).then_some(())?;
            found.push(data);
            bytes = rest;
        }
        Some(found)
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_event_is_as_the_protocol_writes_it() {
        let one = Scalars { wall_time: 1.5, step: 300, values: vec![("a".into(), 0.5), ("b".into(), f64::NAN)] };
        let all = tfevents(&[one]);
        let found = records(&all).unwrap();
        assert_eq!(found[0], [&b"\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0d"[..], VERSION.as_bytes()].concat());
        assert_eq!(found[1], b"\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15\0\0\0\x3f");
    }

    #[test]
    fn a_file_grows_and_gives_way_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let step = |step| Scalars { wall_time: 1_700_000_000.0, step, values: vec![("a".into(), step as f64)] };
        let first = write_tfevents(dir.path(), &[step(1)]).unwrap();
        assert!(first.ends_with("events.out.tfevents.1700000000.loophole"));
        assert_eq!(write_tfevents(dir.path(), &[step(1), step(2)]).unwrap(), first);
        assert_eq!(fs::read(&first).unwrap(), tfevents(&[step(1), step(2)]));
        let second = write_tfevents(dir.path(), &[step(1), step(3)]).unwrap();
        assert!(second.ends_with("events.out.tfevents.1700000001.loophole") && !first.exists());
        // That of somebody else stays.
        fs::write(dir.path().join("events.out.tfevents.1.host.1.0"), "x").unwrap();
        write_tfevents(dir.path(), &[step(4)]).unwrap();
        assert_eq!(names(dir.path()).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_back_and_no_changed_byte_passes(
            datas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5), at: u16, by in 1u8..,
        ) {
            let mut out = Vec::new();
            datas.iter().for_each(|data| record(&mut out, data));
            prop_assert_eq!(records(&out).unwrap(), datas.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let at = usize::from(at) % out.len();
            out[at] ^= by;
            prop_assert!(records(&out).is_none());
        }

        #[test]
        fn more_steps_only_add(values in prop::collection::vec(("[a-z/]{1,8}", any::<f64>(), any::<u64>()), 1..8), cut: u8) {
            let steps: Vec<Scalars> = values
                .into_iter()
                .map(|(name, value, step)| Scalars { wall_time: 1.0, step, values: vec![(name, value)] })
                .collect();
            let all = tfevents(&steps);
            prop_assert_eq!(records(&all).unwrap().len(), steps.len() + 1);
            prop_assert!(all.starts_with(&tfevents(&steps[..1 + usize::from(cut) % steps.len()])));
        }
    }
}
