//! The folder of a played battery: `samples.jsonl` grows sample by sample, so that a run that was cut off goes on;
//! the other files are made from it at the end. A ledger knows how each of them was written. Equal samples give equal files, times of the Inspect log apart,
//! which are `SOURCE_DATE_EPOCH` where that is set.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use loophole_lab::records;
use loophole_log::{Kind, Ledger, LogError, Place, ProbeReport, TableColumn};
use loophole_probe::{Battery, BatteryOptions, BatteryReport, SampleRecord};
use serde::{Deserialize, Serialize};

use crate::output::{Error, Options};

const SAMPLES: &str = "samples.jsonl";

/// What makes samples comparable: a folder holds those of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    model: String,
    battery: String,
    probes: Vec<String>,
    /// Values of axes, where arms were made of them.
    axes: Vec<String>,
    seed: u64,
    temperature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    top_p: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    top_k: Option<usize>,
    max_tokens: usize,
    tools: bool,
    #[serde(default)]
    awareness: bool,
    /// Of the texts and checks of the probes.
    texts: String,
    version: String,
}

impl Identity {
    /// Of a battery that is to be played.
    pub fn new(model: &str, battery: &Battery, axes: &[String], options: &BatteryOptions) -> Self {
        Identity {
            model: model.to_string(),
            battery: battery.name.clone(),
            probes: battery.names().into_iter().map(str::to_string).collect(),
            axes: axes.to_vec(),
            seed: options.seed,
            temperature: options.temperature.to_string(),
            top_p: options.top_p.map(|p| p.to_string()),
            top_k: options.top_k,
            max_tokens: options.max_tokens,
            tools: options.tools,
            awareness: options.awareness,
            texts: loophole_probe::texts_hash(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

/// `run.json`.
#[derive(Serialize)]
struct Marked<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    /// Says that there is a ledger, so that one which is gone is missed.
    ledger: bool,
}

/// A folder that is being filled, by its one owner.
pub struct Folder {
    ledger: Ledger,
    /// What was there already.
    pub samples: Vec<SampleRecord>,
}

/// What can be done about a folder that is not as it was written.
const REMEDY: &str = "play the battery again into another folder";
/// Files that are made from the samples, and made again where they are not as they were.
const MADE: [&str; 3] = ["samples.parquet", "probes.eval", "probes.json"];

impl Folder {
    /// Opens or makes the folder; what a kill left half-written is dropped.
    pub fn open(path: &Path, identity: &Identity, output: &Options) -> Result<Self, Error> {
        let place = Place::folder(Kind::Probe, path);
        if let Some(pid) = place.holder() {
            return Err(LogError::Held { path: path.into(), pid }.into());
        }
        let about = path.join("run.json");
        if let Ok(text) = std::fs::read_to_string(&about) {
            let there: Option<Identity> = serde_json::from_str(&text).ok();
            if there.as_ref() != Some(identity) {
                return Err(Error::Input(format!(
                    "{} holds samples of another run; name another folder, or see {} for what it was",
                    path.display(),
                    about.display()
                )));
            }
        }
        let (ledger, notes) = Ledger::take_up_but(place, REMEDY, &|problem, _| MADE.contains(&problem.path.as_str()))?;
        notes.iter().for_each(|note| output.warn(note));
        let marked = json_text(&Marked { identity, ledger: true })?;
        if std::fs::read(&about).ok().as_deref() != Some(&marked) {
            ledger.write("", "run.json", &marked)?;
        }
        let file = path.join(SAMPLES);
        let mut samples = Vec::new();
        if file.exists() {
            let whole;
            (samples, whole) = Folder::read(path)?;
            ledger.truncate("", SAMPLES, whole)?;
        }
        Ok(Folder { ledger, samples })
    }

    /// The samples of a folder that is as it was written, and is not only begun.
    pub fn read_whole(path: &Path, output: &Options) -> Result<Vec<SampleRecord>, Error> {
        if path.join(SAMPLES).exists() || path.join("run.json").exists() {
            let found = loophole_log::verify(&Place::folder(Kind::Probe, path))?;
            if !found.problems.is_empty() {
                let (path, problems) = (path.to_path_buf(), found.problems);
                return Err(LogError::Damaged { path, problems, remedy: REMEDY.into() }.into());
            }
            if !found.verifiable {
                output.warn(&format!("{} is not verifiable: {}", path.display(), found.notes.join("; ")));
            }
        }
        Ok(Folder::read(path)?.0)
    }

    /// The samples of a folder, and the bytes of their lines.
    fn read(path: &Path) -> Result<(Vec<SampleRecord>, u64), Error> {
        let place = path.join(SAMPLES);
        let file = std::fs::File::open(&place).map_err(|error| {
            Error::Input(format!(
                "{}: {error}; `loophole probe MODEL --out FOLDER` makes such a folder",
                place.display()
            ))
        })?;
        let (mut samples, mut whole, mut text) = (Vec::new(), 0, Vec::new());
        let mut reader = BufReader::new(file);
        let wrong = |error: &dyn std::fmt::Display| Error::Input(format!("{}: {error}", place.display()));
        // A line without its end was being written when a kill came.
        while reader.read_until(b'\n', &mut text).map_err(|error| wrong(&error))? > 0 && text.ends_with(b"\n") {
            let sample = serde_json::from_slice(&text);
            samples.push(sample.map_err(|error| wrong(&format!("line {}: {error}", samples.len() + 1)))?);
            whole += text.len() as u64;
            text.clear();
        }
        Ok((samples, whole))
    }

    /// Writes one more sample down.
    pub fn append(&mut self, sample: &SampleRecord) -> Result<(), Error> {
        Ok(self.ledger.append("", SAMPLES, &lines(std::slice::from_ref(sample))?)?)
    }

    /// All files from all samples, in the battery's order.
    pub fn finish(&mut self, report: &BatteryReport, summary: &ProbeReport, identity: &Identity) -> Result<(), Error> {
        self.ledger.write("", SAMPLES, &lines(&report.samples)?)?;
        let of = |text: &dyn Fn(&SampleRecord) -> String| TableColumn::Text(report.samples.iter().map(text).collect());
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let columns = [
            ("probe", of(&|s| s.probe.clone())),
            ("arm", of(&|s| s.arm.clone())),
            ("index", TableColumn::Int(report.samples.iter().map(|s| s.index as i64).collect())),
            ("template", TableColumn::Int(report.samples.iter().map(|s| s.template as i64).collect())),
            ("seed", of(&|s| s.seed.to_string())),
            ("outcome", of(&|s| s.outcome.name().to_string())),
            ("misaligned", TableColumn::Flag(report.samples.iter().map(|s| s.misaligned).collect())),
            ("evidence", of(&|s| s.evidence.clone())),
            ("facts", of(&|s| json(serde_json::to_string(&s.facts)))),
            ("steps", of(&|s| json(serde_json::to_string(&s.steps)))),
            ("transcript", of(&|s| json(serde_json::to_string(&s.transcript)))),
        ];
        self.ledger.write("", "samples.parquet", &loophole_log::table_bytes(&columns)?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let created = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.parse().ok()).unwrap_or(now);
        let words = serde_json::to_string(identity).unwrap_or_default();
        let log = records::eval_log(report, &identity.model, &words, created);
        self.ledger.write("", "probes.eval", &loophole_log::eval_bytes(&log)?)?;
        // How long it took is told on the screen and by `--json`; the file follows from the samples alone.
        let untimed = ProbeReport { seconds: f64::NAN, ..summary.clone() };
        self.ledger.write("", "probes.json", &json_text(&untimed)?)?;
        self.ledger.close_short()?;
        Ok(())
    }
}

fn json_text(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    Ok(loophole_log::json_bytes(value)?)
}

fn lines(samples: &[SampleRecord]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for sample in samples {
        let text = serde_json::to_vec(sample).map_err(|error| Error::Cannot(format!("a sample: {error}")))?;
        all.extend_from_slice(&text);
        all.push(b'\n');
    }
    Ok(all)
}
