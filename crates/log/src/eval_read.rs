use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use loophole_foreign::bytes as bytes_in_words;
use serde_json::Value;
use zip::ZipArchive;

use crate::{EvalLog, EvalSample, EvalUsage, LogError, Message, Score};

/// Largest log that is read, largest member of it unpacked, and all of them together, in bytes. As values in memory a
/// text takes several times its length.
const LARGEST: u64 = 1 << 30;
const LARGEST_MEMBER: u64 = 32 << 20;
const LARGEST_UNPACKED: u64 = 512 << 20;
/// Most members.
const MOST_MEMBERS: usize = 100_000;

/// Reads an Inspect log: what [`EvalLog`] can hold of it. Of ours everything comes back except `identity`, which
/// cannot be had from the ids made of it, and is empty.
///
/// Reads members that are stored, deflated, or packed with zstd as Inspect does.
pub fn read_eval(path: &Path) -> Result<EvalLog, LogError> {
    let bytes = loophole_foreign::read(path, LARGEST).map_err(LogError::io("read", path))?;
    parse_eval(&bytes).map_err(|why| LogError::format(path, "Inspect log", why))
}

/// The samples of an Inspect log one after the other, each as Inspect wrote it.
pub struct EvalSamples {
    archive: Archive<BufReader<File>>,
    names: std::vec::IntoIter<String>,
}

impl EvalSamples {
    /// Opens a `.eval` file.
    ///
    /// # Errors
    /// It cannot be read, or is no such archive.
    pub fn open(path: &Path) -> Result<EvalSamples, LogError> {
        let file = File::open(path).map_err(LogError::io("read", path))?;
        let archive = Archive::open(BufReader::new(file)).map_err(|why| LogError::format(path, "Inspect log", why))?;
        let names: Vec<String> = archive.samples().map(str::to_owned).collect();
        Ok(EvalSamples { archive, names: names.into_iter() })
    }
}

impl Iterator for EvalSamples {
    /// The name of its member, and the sample or why it cannot be read.
    type Item = (String, Result<Value, String>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.names.next()?;
        // Samples are not kept: each may be as long as one may be.
        self.archive.left = LARGEST_UNPACKED;
        let sample = self.archive.member(&name);
        Some((name, sample))
    }
}

struct Archive<R> {
    zip: ZipArchive<R>,
    names: Vec<String>,
    /// How much may still be unpacked.
    left: u64,
}

impl<R: Read + Seek> Archive<R> {
    fn open(reader: R) -> Result<Self, String> {
        let zip = ZipArchive::new(reader).map_err(|e| e.to_string())?;
        let names: Result<Vec<String>, _> = zip.file_names().map(|n| n.map(|n| n.into_owned())).collect();
        let names = names.map_err(|e| e.to_string())?;
        if names.len() > MOST_MEMBERS {
            return Err(format!("it has {} members, more than {MOST_MEMBERS}", names.len()));
        }
        Ok(Archive { zip, names, left: LARGEST_UNPACKED })
    }

    fn samples(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|n| n.starts_with("samples/") && n.ends_with(".json"))
    }

    fn member(&mut self, name: &str) -> Result<Value, String> {
        let mut text = Vec::new();
        let file = self.zip.by_name(name).map_err(|e| format!("member {name}: {e}"))?;
        // What a member says of its size is not believed, and members may share their bytes.
        let most = LARGEST_MEMBER.min(self.left);
        file.take(most + 1).read_to_end(&mut text).map_err(|e| format!("member {name}: {e}"))?;
        if text.len() as u64 > most {
            let bound =
                if most < LARGEST_MEMBER { ("all members", LARGEST_UNPACKED) } else { ("a member", LARGEST_MEMBER) };
            return Err(format!("member {name}: unpacked, {} may have {}", bound.0, bytes_in_words(bound.1)));
        }
        self.left -= text.len() as u64;
        serde_json::from_slice(&text).map_err(|e| format!("member {name}: {e}"))
    }
}

pub(crate) fn parse_eval(bytes: &[u8]) -> Result<EvalLog, String> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    let names = archive.names.clone();
    let mut member = |name: &str| archive.member(name);
    let unfinished = !names.iter().any(|n| n == "header.json");
    let header = member(if unfinished { "_journal/start.json" } else { "header.json" })?;
    let eval = &header["eval"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let mut log = EvalLog {
        task: text(&eval["task"]),
        model: text(&eval["model"]),
        created: eval["created"].as_str().and_then(parse_time).unwrap_or_default(),
        completed: header["stats"]["completed_at"].as_str().and_then(parse_time).unwrap_or_default(),
        error: header["error"]["message"].as_str().map(str::to_string),
        tags: eval["tags"].as_array().into_iter().flatten().map(text).collect(),
        metadata: eval["metadata"].as_object().cloned().unwrap_or_default(),
        config: eval["model_generate_config"].as_object().cloned().unwrap_or_default(),
        ..EvalLog::default()
    };
    for name in names.iter().filter(|n| n.starts_with("samples/") && n.ends_with(".json")) {
        let s = member(name)?;
        log.samples.push(EvalSample {
            // Ids may be numbers, inputs lists of messages.
            id: s["id"].as_str().map_or_else(|| s["id"].to_string(), str::to_string),
            epoch: s["epoch"].as_u64().unwrap_or(1),
            input: s["input"].as_str().map_or_else(|| s["input"].to_string(), str::to_string),
            target: s["target"].as_str().map_or_else(|| s["target"].to_string(), str::to_string),
            messages: s["messages"].as_array().into_iter().flatten().filter_map(Message::from_json).collect(),
            scores: s["scores"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, score)| (name.clone(), Score::from_json(score)))
                .collect(),
            seconds: s["total_time"].as_f64().unwrap_or(0.0),
            began: since(log.created, &s["started_at"]),
            usage: usage(&s["model_usage"]),
            tools: tools(&s["events"]),
            error: s["error"]["message"].as_str().map(str::to_string),
            metadata: s["metadata"].as_object().cloned().unwrap_or_default(),
        });
    }
    for score in header["results"]["scores"].as_array().into_iter().flatten() {
        let metrics = score["metrics"].as_object().into_iter().flatten();
        let metrics = metrics.filter_map(|(k, m)| Some((k.clone(), m["value"].as_f64()?))).collect();
        log.metrics.insert(text(&score["name"]), metrics);
    }
    Ok(log)
}

/// Whole seconds from the log's beginning.
fn since(created: u64, at: &Value) -> f64 {
    at.as_str().and_then(parse_time).map_or(0.0, |at| at.saturating_sub(created) as f64)
}

/// Over all models.
fn usage(value: &Value) -> EvalUsage {
    let of = |key: &str| value.as_object().into_iter().flatten().filter_map(|(_, usage)| usage[key].as_u64()).sum();
    EvalUsage { input: of("input_tokens"), output: of("output_tokens") }
}

/// Those of the first answer that was offered any.
fn tools(events: &Value) -> Vec<Value> {
    let mut offered = events.as_array().into_iter().flatten().filter_map(|event| event["tools"].as_array());
    offered.find(|tools| !tools.is_empty()).cloned().unwrap_or_default()
}

/// Seconds since 1970 of an ISO 8601 time with or without fraction and offset (without: UTC).
fn parse_time(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes().first() {
        Some(sign @ (b'+' | b'-')) => {
            let (h, m) = (zone.get(1..3)?.parse::<i64>().ok()?, zone.get(zone.len() - 2..)?.parse::<i64>().ok()?);
            (h * 3600 + m * 60) * if *sign == b'+' { 1 } else { -1 }
        }
        _ => 0,
    };
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    const HEADER: &[u8] = br#"{"eval": {"task": "t"}}"#;

    /// A log with so many samples that each are `mebibytes` of spaces.
    fn spaces(samples: usize, mebibytes: usize) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("header.json", SimpleFileOptions::default()).unwrap();
        zip.write_all(HEADER).unwrap();
        for at in 0..samples {
            zip.start_file(format!("samples/{at}.json"), SimpleFileOptions::default()).unwrap();
            zip.write_all(b"{}").unwrap();
            zip.write_all(&vec![b' '; mebibytes << 20]).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn little_that_unpacks_to_much_is_refused() {
        assert_eq!(parse_eval(&spaces(2, 1)).unwrap().samples.len(), 2);
        let error = parse_eval(&spaces(1, 33)).unwrap_err();
        assert!(error.contains("samples/0.json") && error.contains("a member may have 32 MiB"), "{error}");
        let error = parse_eval(&spaces(17, 31)).unwrap_err();
        assert!(error.contains("all members may have 512 MiB"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_are_believed(changes: Vec<(u16, u8)>, cut: u16) {
            let mut bytes = spaces(1, 0);
            for (place, value) in changes {
                let place = usize::from(place) % bytes.len();
                bytes[place] = value;
            }
            let _ = parse_eval(&bytes);
            bytes.truncate(usize::from(cut) % bytes.len());
            let _ = parse_eval(&bytes);
        }
    }

    #[test]
    fn times_of_others_are_understood() {
        for text in ["2026-11-21T10:05:58Z", "2026-11-21T12:05:58.123456+02:00", "2026-11-21T05:05:58-0500"] {
            assert_eq!(parse_time(text), Some(1_795_255_558), "{text}");
        }
        assert_eq!(parse_time("yesterday"), None);
    }
}
