//! The folder of a played battery: `samples.jsonl` grows sample by sample, so that a run that was cut off goes on;
//! the other files are made from it at the end. Equal samples give equal files, times of the Inspect log apart,
//! which are `SOURCE_DATE_EPOCH` where that is set.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use loophole_lab::records;
use loophole_log::{ProbeReport, TableColumn};
use loophole_probe::{Battery, BatteryOptions, BatteryReport, SampleRecord};
use serde::{Deserialize, Serialize};

use crate::output::Error;

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
            max_tokens: options.max_tokens,
            tools: options.tools,
            awareness: options.awareness,
            texts: loophole_probe::texts_hash(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

/// A folder that is being filled.
pub struct Folder {
    path: PathBuf,
    file: std::fs::File,
    /// What was there already.
    pub samples: Vec<SampleRecord>,
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::Write { path: path.to_path_buf(), source }
}

impl Folder {
    /// Opens or makes the folder; what a kill left half-written is dropped.
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(failed(path))?;
        let place = path.join("run.json");
        if let Ok(text) = std::fs::read_to_string(&place) {
            let there: Option<Identity> = serde_json::from_str(&text).ok();
            if there.as_ref() != Some(identity) {
                return Err(Error::Input(format!(
                    "{} holds samples of another run; name another folder, or see {} for what it was",
                    path.display(),
                    place.display()
                )));
            }
        } else {
            loophole_log::write_json(&place, identity)?;
        }
        let file = path.join(SAMPLES);
        let samples = if file.exists() { Folder::read(path)? } else { Vec::new() };
        replace(path, &samples)?;
        let file = std::fs::OpenOptions::new().append(true).open(&file).map_err(failed(path))?;
        Ok(Folder { path: path.to_path_buf(), file, samples })
    }

    /// The samples of a folder.
    pub fn read(path: &Path) -> Result<Vec<SampleRecord>, Error> {
        let place = path.join(SAMPLES);
        let file = std::fs::File::open(&place).map_err(|error| {
            Error::Input(format!(
                "{}: {error}; `loophole probe MODEL --out FOLDER` makes such a folder",
                place.display()
            ))
        })?;
        let mut samples = Vec::new();
        let mut lines = BufReader::new(file).lines().enumerate().peekable();
        while let Some((number, text)) = lines.next() {
            let text = text.map_err(|error| Error::Input(format!("{}: {error}", place.display())))?;
            match serde_json::from_str(&text) {
                Ok(sample) => samples.push(sample),
                // A kill in the middle of a line.
                Err(_) if lines.peek().is_none() => {}
                Err(error) => {
                    return Err(Error::Input(format!("{} line {}: {error}", place.display(), number + 1)));
                }
            }
        }
        Ok(samples)
    }

    /// Writes one more sample down.
    pub fn append(&mut self, sample: &SampleRecord) -> Result<(), Error> {
        write(&mut self.file, std::slice::from_ref(sample)).map_err(failed(&self.path))
    }

    /// All files from all samples, in the battery's order.
    pub fn finish(&mut self, report: &BatteryReport, summary: &ProbeReport, identity: &Identity) -> Result<(), Error> {
        replace(&self.path, &report.samples)?;
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
        loophole_log::write_table(&self.path.join("samples.parquet"), &columns)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let created = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.parse().ok()).unwrap_or(now);
        let words = serde_json::to_string(identity).unwrap_or_default();
        let log = records::eval_log(report, &identity.model, &words, created);
        loophole_log::write_eval(&self.path.join("probes.eval"), &log)?;
        // How long it took is told on the screen and by `--json`; the file follows from the samples alone.
        let untimed = ProbeReport { seconds: f64::NAN, ..summary.clone() };
        loophole_log::write_json(&self.path.join("probes.json"), &untimed)?;
        Ok(())
    }
}

/// Puts a whole new file in the place of the old one.
fn replace(folder: &Path, samples: &[SampleRecord]) -> Result<(), Error> {
    let beside = folder.join("samples.jsonl.new");
    let mut text = Vec::new();
    write(&mut text, samples).map_err(failed(&beside))?;
    std::fs::write(&beside, text).map_err(failed(&beside))?;
    std::fs::rename(&beside, folder.join(SAMPLES)).map_err(failed(&beside))
}

fn write(to: &mut impl Write, samples: &[SampleRecord]) -> std::io::Result<()> {
    for sample in samples {
        let mut text = serde_json::to_vec(sample)?;
        text.push(b'\n');
        to.write_all(&text)?;
    }
    to.flush()
}
