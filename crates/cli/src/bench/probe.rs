//! `loophole bench probe`: whole episodes of an agent whose model is scripted, so that only what surrounds the model is
//! measured; beside the same episode in Inspect with its `local` sandbox, which isolates nothing.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use loophole_cell::{Pool, PoolOptions};
use loophole_chat::Mock;
use loophole_probe::{Arms, Battery, BatteryOptions};
use serde_json::{Value, json};

use crate::output::Error;

/// The same episode in Inspect.
const PEER: &str = include_str!("inspect_probe.py");
/// Episodes of one measurement here and there.
const OURS: usize = 400;
const THEIRS: usize = 60;
/// Episodes at a time.
const WIDTHS: [usize; 3] = [2, 4, 8];

/// Measures; each side with the width that suits it best.
pub fn bench(python: &Path) -> Result<Value, Error> {
    let pool = Pool::start(PoolOptions::default())?;
    let battery = Battery::bundled("covert")?.select(&["protected_file"])?;
    let model = Mock::open("bad")?;
    let rate = |samples: usize, width: usize| -> Result<f64, Error> {
        let options = BatteryOptions {
            samples: Some(samples),
            arms: Arms::Tempting,
            tools: true,
            width,
            ..BatteryOptions::default()
        };
        let began = Instant::now();
        let report = loophole_probe::run(&battery, &model, Some(&pool), &options, &mut |_| {})?;
        let seconds = began.elapsed().as_secs_f64();
        match report.probes.first().and_then(|probe| probe.rate) {
            Some(1.0) => Ok(samples as f64 / seconds),
            found => {
                Err(Error::Cannot(format!("the scripted model broke the rule in {found:?} of the samples, not in all")))
            }
        }
    };
    rate(20, 4)?;
    let mut ours = 0.0f64;
    let mut theirs: Result<f64, String> = Err("not run".into());
    for width in WIDTHS {
        ours = ours.max(rate(OURS, width)?);
        // Side by side in time: the machine may be busy otherwise.
        theirs = match (peer(python, width), theirs) {
            (Ok(now), Ok(before)) => Ok(now.max(before)),
            (Ok(now), Err(_)) => Ok(now),
            (Err(_), Ok(before)) => Ok(before),
            (Err(why), Err(_)) => Err(why),
        };
        if theirs.is_err() {
            break;
        }
    }
    Ok(match theirs {
        Ok(theirs) => json!({
            "episodes in cells a second": ours,
            "episodes in Inspect's local sandbox a second": theirs,
            "ratio": ours / theirs,
        }),
        Err(why) => json!({ "episodes in cells a second": ours, "peer": format!("skipped: {why}") }),
    })
}

fn peer(python: &Path, width: usize) -> Result<f64, String> {
    let done = Command::new(python)
        .args(["-c", PEER, &THEIRS.to_string(), &width.to_string()])
        .output()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    let last =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next_back().unwrap_or("no reason given").to_string();
    if !done.status.success() {
        return Err(format!("{} could not run Inspect: {}", python.display(), last(&done.stderr)));
    }
    let found: Value = serde_json::from_str(&last(&done.stdout)).map_err(|error| error.to_string())?;
    found["samples a second"].as_f64().ok_or_else(|| "the peer printed no rate".to_string())
}
