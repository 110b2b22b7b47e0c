use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{LogError, number};

/// One line of `metrics.jsonl`: what one training step did. Rates are shares of the step's rollouts, in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepMetrics {
    /// The training step, from 0.
    pub step: u64,
    /// Which stage of the arm it belongs to, from 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub stage: u64,
    /// Mean reward.
    #[serde(with = "number")]
    pub reward: f64,
    /// Mean of each part of the reward before its weight, where it has several.
    #[serde(with = "number::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f64>,
    /// Share of successful hacks (verdicts `hack` and `tamper` as the lab counts them).
    #[serde(with = "number")]
    pub hack_rate: f64,
    /// Share of honest rollouts.
    #[serde(with = "number")]
    pub honest_rate: f64,
    /// Share of every verdict.
    #[serde(with = "number::map")]
    pub verdicts: BTreeMap<String, f64>,
    /// Share of every exploit family.
    #[serde(with = "number::map")]
    pub families: BTreeMap<String, f64>,
    /// Divergence from the start model, nats a rollout.
    #[serde(with = "number")]
    pub kl: f64,
    /// Loss of the update.
    #[serde(with = "number")]
    pub loss: f64,
    /// Entropy of the policy, nats a token.
    #[serde(with = "number")]
    pub entropy: f64,
    /// Tokens sampled.
    pub tokens: u64,
    /// Wall time of the step.
    #[serde(with = "number")]
    pub seconds: f64,
    /// Of it, sampling.
    #[serde(with = "number")]
    pub seconds_sample: f64,
    /// Of it, grading.
    #[serde(with = "number")]
    pub seconds_grade: f64,
    /// Of it, the update.
    #[serde(with = "number")]
    pub seconds_update: f64,
    /// Share of rollouts whose thought is a bad character's, where thoughts are read.
    #[serde(with = "number::option", skip_serializing_if = "Option::is_none")]
    pub bad_thought_rate: Option<f64>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Default for StepMetrics {
    /// Step 0, nothing counted, every measure unknown (NaN).
    fn default() -> Self {
        Self {
            step: 0,
            stage: 0,
            reward: f64::NAN,
            terms: BTreeMap::new(),
            hack_rate: f64::NAN,
            honest_rate: f64::NAN,
            verdicts: BTreeMap::new(),
            families: BTreeMap::new(),
            kl: f64::NAN,
            loss: f64::NAN,
            entropy: f64::NAN,
            tokens: 0,
            seconds: f64::NAN,
            seconds_sample: f64::NAN,
            seconds_grade: f64::NAN,
            seconds_update: f64::NAN,
            bad_thought_rate: None,
        }
    }
}

/// A line must name its step; everything else may be missing in files of other versions.
#[derive(Deserialize)]
struct HasStep {
    #[serde(rename = "step")]
    _step: u64,
}

/// The line that stands for a step, with its newline; `path` is for messages only.
pub(crate) fn line(path: &Path, metrics: &StepMetrics) -> Result<Vec<u8>, LogError> {
    let mut line = serde_json::to_vec(metrics).map_err(|e| LogError::format(path, "metrics line", e))?;
    line.push(b'\n');
    Ok(line)
}

/// Adds one line, whole, after removing what a kill may have left of an unfinished one.
pub fn append_metrics(path: &Path, metrics: &StepMetrics) -> Result<(), LogError> {
    let line = line(path, metrics)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(LogError::io("make the folder", parent))?;
    }
    let write = || {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let end = whole_lines(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&line)?;
        file.sync_data()
    };
    write().map_err(LogError::io("append to", path))
}

/// Largest metrics file that is read, in bytes: a line of a step has a few hundred.
const LARGEST: u64 = 1 << 30;

/// The length of the file up to and with its last newline, found from the end.
fn whole_lines(file: &mut fs::File) -> std::io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|&b| b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// All finished lines of the file. A missing file is an empty one.
///
/// # Errors
/// [`LogError::Line`] for a finished line that is no metrics line. A last line without newline is being written or
/// was torn by a kill: it is left out.
pub fn read_metrics(path: &Path) -> Result<Vec<StepMetrics>, LogError> {
    match loophole_foreign::read(path, LARGEST) {
        Ok(bytes) => parse_metrics(path, &bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(LogError::io("read", path)(e)),
    }
}

/// [`read_metrics`] from bytes; `path` is for messages only. Blank lines are skipped.
pub fn parse_metrics(path: &Path, bytes: &[u8]) -> Result<Vec<StepMetrics>, LogError> {
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    bytes[..whole]
        .split(|&b| b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(i, line)| {
            serde_json::from_slice::<HasStep>(line)
                .and_then(|_| serde_json::from_slice(line))
                .map_err(|e| LogError::Line { path: path.to_path_buf(), line: i + 1, why: e.to_string() })
        })
        .collect()
}

/// The length of the lines of steps below `steps`, which a resumed run keeps. A missing file has none.
pub(crate) fn bytes_below(path: &Path, steps: u64) -> Result<u64, LogError> {
    let bytes = match loophole_foreign::read(path, LARGEST) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(LogError::io("read", path))?,
    };
    // Each line is understood, and kept with whatever fields another version wrote into it.
    parse_metrics(path, &bytes)?;
    let lines = bytes.split_inclusive(|&b| b == b'\n').take_while(|line| {
        line.ends_with(b"\n") && parse_metrics(path, line).is_ok_and(|m| m.iter().all(|m| m.step < steps))
    });
    Ok(lines.map(|line| line.len() as u64).sum())
}

/// Cuts a file to its first bytes. A kill leaves the old length or the new.
pub(crate) fn cut(path: &Path, bytes: u64) -> Result<(), LogError> {
    let file = OpenOptions::new().write(true).open(path).map_err(LogError::io("write", path))?;
    file.set_len(bytes).and_then(|()| file.sync_data()).map_err(LogError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            reward: 0.5,
            verdicts: BTreeMap::from([("hack".into(), 0.25), ("honest".into(), f64::NAN)]),
            tokens: 9,
            ..StepMetrics::default()
        }
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let text = serde_json::to_string(&StepMetrics { loss: f64::INFINITY, ..line(3) }).unwrap();
        assert!(text.contains("\"kl\":null") && text.contains("\"loss\":null") && text.contains("\"honest\":null"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
        let back: StepMetrics = serde_json::from_str(&text).unwrap();
        assert!(back.kl.is_nan() && back.verdicts["honest"].is_nan());
        assert_eq!((back.step, back.reward, back.verdicts["hack"]), (3, 0.5, 0.25));
    }

    #[test]
    fn a_torn_line_is_dropped_then_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("arms/a/metrics.jsonl");
        assert!(read_metrics(&path).unwrap().is_empty());
        for step in 0..3 {
            append_metrics(&path, &line(step)).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        // A kill may tear the last line anywhere, however long it is.
        let tail = [&whole[..], b"{\"step\":3,\"pad\":\"", &[b'x'; 9000]].concat();
        for cut in [whole.len() - 1, whole.len() - 40, whole.len(), whole.len() + 1, tail.len()] {
            fs::write(&path, &tail[..cut]).unwrap();
            let left = if cut < whole.len() { 2 } else { 3 };
            assert_eq!(read_metrics(&path).unwrap().len(), left, "cut at {cut}");
            append_metrics(&path, &line(7)).unwrap();
            let steps: Vec<u64> = read_metrics(&path).unwrap().iter().map(|m| m.step).collect();
            assert_eq!(steps, [&[0, 1, 2][..left], &[7]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_middle_line_is_named() {
        for broken in ["{\"step\":1,\"rew", "{}", "{\"reward\":1}", "[]", "null"] {
            let text = format!("{{\"step\":0}}\n\n{broken}\n{{\"step\":2}}\n");
            let message = parse_metrics(Path::new("m.jsonl"), text.as_bytes()).unwrap_err().to_string();
            assert!(message.starts_with("m.jsonl, line 3:"), "{broken}: {message}");
        }
        // Fields of later versions do no harm.
        let read = parse_metrics(Path::new("m"), b"{\"step\":4,\"new\":{\"a\":1}}\n").unwrap();
        assert_eq!(read[0].step, 4);
    }

    #[test]
    fn truncation_keeps_what_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        for step in 0..6 {
            append_metrics(&path, &line(step)).unwrap();
        }
        let before = fs::read(&path).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":6").unwrap();
        assert_eq!(bytes_below(&path, 4).unwrap() as usize, before.len() / 6 * 4);
        cut(&path, bytes_below(&path, 4).unwrap()).unwrap();
        let after = fs::read(&path).unwrap();
        assert!(before.starts_with(&after) && after.ends_with(b"\n"));
        assert_eq!(bytes_below(&dir.path().join("none"), 3).unwrap(), 0);
    }

    const KILLED: &str = "LOOPHOLE_LOG_TEST_METRICS";

    /// Not a test by itself: the process that [`a_killed_writer_leaves_whole_lines`] starts and kills.
    #[test]
    #[ignore = "started by another test"]
    fn writes_until_killed() {
        let Some(path) = std::env::var_os(KILLED) else {
            return;
        };
        let path = Path::new(&path);
        for step in 0.. {
            append_metrics(path, &line(step)).unwrap();
            if step % 7 == 6 {
                cut(path, bytes_below(path, step).unwrap()).unwrap();
            }
        }
    }

    #[test]
    fn a_killed_writer_leaves_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        for round in 0..8 {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "metrics::tests::writes_until_killed", "--ignored"])
                .env(KILLED, &path)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let started = std::time::Instant::now();
            while read_metrics(&path).unwrap().len() < 20 && started.elapsed().as_secs() < 20 {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_micros(313 * round));
            child.kill().unwrap();
            child.wait().unwrap();
            let steps: Vec<u64> = read_metrics(&path).unwrap().iter().map(|m| m.step).collect();
            assert!(steps.len() >= 20, "round {round}: {steps:?}");
            // Nothing but the dropped steps is missing, and every line is whole.
            let last = steps[steps.len() - 1];
            let expected: Vec<u64> = (0..=last).filter(|s| s % 7 != 6 || *s == last).collect();
            assert_eq!(steps, expected, "round {round}");
            fs::remove_file(&path).unwrap();
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(
            step in any::<u64>(), tokens in any::<u64>(), values in prop::array::uniform4(any::<f64>()),
            name in "\\PC{0,12}", thought in prop::option::of(0.0f64..1.0),
        ) {
            let [reward, kl, loss, share] = values;
            let m = StepMetrics {
                step, tokens, reward, kl, loss, bad_thought_rate: thought,
                families: BTreeMap::from([(name.clone(), share)]), ..StepMetrics::default()
            };
            let text = serde_json::to_string(&m).unwrap() + "\n";
            prop_assert_eq!(text.matches('\n').count(), 1);
            let back = &parse_metrics(Path::new("m"), text.as_bytes()).unwrap()[0];
            let same = |a: f64, b: f64| a == b || (!a.is_finite() && b.is_nan());
            prop_assert!((back.step, back.tokens, back.bad_thought_rate) == (step, tokens, thought));
            prop_assert!(same(reward, back.reward) && same(kl, back.kl) && same(loss, back.loss));
            prop_assert!(same(share, back.families[&name]));
        }

        /// Any prefix of a good file reads as its finished lines.
        #[test]
        fn every_prefix_reads(n in 1u64..6, at in 0.0f64..1.0) {
            let text: Vec<u8> = (0..n).flat_map(|i| serde_json::to_vec(&line(i)).unwrap().into_iter().chain([b'\n'])).collect();
            let cut = &text[..(at * text.len() as f64) as usize];
            let read = parse_metrics(Path::new("m"), cut).unwrap();
            prop_assert_eq!(read.len(), cut.iter().filter(|&&b| b == b'\n').count());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_metrics(Path::new("m"), &bytes);
        }
    }
}
