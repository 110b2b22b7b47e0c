//! The folder of a played battery: `samples.jsonl` grows sample by sample, so that a run that was cut off goes on;
//! the other files are made from it at the end. A ledger knows how each of them was written. Equal samples give equal files, times of the Inspect log apart,
//! which are `SOURCE_DATE_EPOCH` where that is set.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use loophole_lab::records;
use loophole_log::{Kind, Ledger, LogError, Place, ProbeReport, ProbeSample, TableColumn};
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    intent: bool,
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
            intent: options.intent,
            texts: battery.texts.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

impl Identity {
    /// The battery that was played, as it is now.
    pub fn battery(&self) -> Result<Battery, Error> {
        Ok(Battery::open(&self.battery)?.select(&self.probes)?)
    }

    /// What its arms were made of, if of axes.
    pub fn axes(&self) -> &[String] {
        &self.axes
    }

    /// The model that was played.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How the model was sampled, in Inspect's names.
    fn sampling(&self) -> serde_json::Map<String, serde_json::Value> {
        let temperature = self.temperature.parse::<f64>().ok().map(|value| ("temperature".to_string(), value.into()));
        temperature
            .into_iter()
            .chain([("max_tokens".to_string(), self.max_tokens.into()), ("seed".to_string(), self.seed.into())])
            .collect()
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
const MADE: [&str; 4] = ["samples.parquet", "probes.eval", "probes.json", PAGE];
const PAGE: &str = "report.html";

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

    /// Opens a folder that was played, as what it says it is.
    pub fn reopen(path: &Path, output: &Options) -> Result<(Self, Identity), Error> {
        let about = path.join("run.json");
        let text = std::fs::read_to_string(&about).map_err(|error| {
            Error::Input(format!(
                "{}: {error}; `loophole probe MODEL --out FOLDER` makes such a folder",
                about.display()
            ))
        })?;
        let identity: Identity =
            serde_json::from_str(&text).map_err(|error| Error::Input(format!("{}: {error}", about.display())))?;
        if identity.texts != identity.battery()?.texts {
            output.warn(&format!("{} was played with other texts than this program's", path.display()));
        }
        Ok((Folder::open(path, &identity, output)?, identity))
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
    pub fn finish(
        &mut self,
        battery: &Battery,
        report: &BatteryReport,
        summary: &ProbeReport,
        identity: &Identity,
    ) -> Result<(), Error> {
        // A page of other samples is none of these.
        self.ledger.remove("", &|path| path == PAGE)?;
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
        let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.parse().ok());
        let words = serde_json::to_string(identity).unwrap_or_default();
        let took = if fixed.is_some() { 0 } else { report.seconds.max(0.0) as u64 };
        let mut log = records::eval_log(report, &identity.model, &words, fixed.unwrap_or(now.saturating_sub(took)));
        log.completed = log.created + took;
        log.config = identity.sampling();
        log.metadata = serde_json::from_str(&words).unwrap_or_default();
        for (sample, record) in log.samples.iter_mut().zip(&report.samples) {
            if identity.tools {
                let described = |tool| serde_json::to_value(tool).unwrap_or_default();
                sample.tools = loophole_probe::offered(battery, record).iter().map(described).collect();
            }
            // Of a file that is to follow from the samples alone, clocks are no part.
            if fixed.is_some() {
                (sample.began, sample.seconds) = (0.0, 0.0);
            }
        }
        self.ledger.write("", "probes.eval", &loophole_log::eval_bytes(&log)?)?;
        // How long it took is told on the screen and by `--json`; the file follows from the samples alone.
        let untimed = ProbeReport { seconds: f64::NAN, ..summary.clone() };
        self.ledger.write("", "probes.json", &json_text(&untimed)?)?;
        self.ledger.close_short()?;
        Ok(())
    }
}

/// Whether a folder is that of a played battery.
pub fn is_folder(path: &Path) -> bool {
    path.join(SAMPLES).exists()
}

/// Makes the page of a finished folder, from its own files.
pub fn write_page(path: &Path, out: &Path, unverified: bool, output: &Options) -> Result<(), Error> {
    if unverified {
        output.warn(&format!("{} is not checked", path.display()));
    } else {
        Folder::read_whole(path, output)?;
    }
    let report: ProbeReport = loophole_log::read_json(&path.join("probes.json")).map_err(|error| {
        Error::Input(format!(
            "{error}; a battery that is not played to its end has no page: the same `loophole probe` goes on"
        ))
    })?;
    let about: serde_json::Map<String, serde_json::Value> = loophole_log::read_json(&path.join("run.json"))?;
    let text = std::fs::read_to_string(path.join(SAMPLES))
        .map_err(|error| Error::Input(format!("{}: {error}", path.join(SAMPLES).display())))?;
    let samples = text
        .lines()
        .enumerate()
        .map(|(at, line)| {
            serde_json::from_str::<ProbeSample>(line)
                .map_err(|error| Error::Input(format!("{}, line {}: {error}", path.join(SAMPLES).display(), at + 1)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let page = loophole_page::probing(&report, &samples, &about);
    // The page that lies with the samples is one of their files.
    if out == path.join(PAGE) && !unverified {
        let place = Place::folder(Kind::Probe, path);
        let (ledger, _) = Ledger::take_up_but(place, REMEDY, &|problem, _| MADE.contains(&problem.path.as_str()))?;
        ledger.write("", PAGE, page.as_bytes())?;
        ledger.close_short()?;
        return Ok(());
    }
    Ok(loophole_log::write_atomic(out, page.as_bytes())?)
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
