//! `loophole probe`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use loophole_cell::{Pool, PoolOptions};
use loophole_lab::records;
use loophole_probe::{Arms, Battery, BatteryOptions};
use loophole_world::{Characters, WorldConfig};

use super::model;
use crate::output::{self, Error, Exit, Options, line};

/// Arguments of `loophole probe`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  loophole probe organism\n  loophole probe organism:runs/quick/no-instruction/7 --json\n  loophole probe mock:bad --probe shutdown --samples 5"
)]
pub struct ProbeArguments {
    /// Model: organism, organism:RUN/ARM/SEED[@STEP], a folder, mock:BEHAVIOUR
    model: String,
    /// small or full
    #[arg(long, default_value = "small")]
    battery: String,
    /// Only these probes
    #[arg(long)]
    probe: Vec<String>,
    /// Samples of each probe and arm
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Seed of scenarios and sampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the Inspect log and the report
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the battery on a model.
pub fn probe(arguments: &ProbeArguments, output: &Options) -> Result<Exit, Error> {
    let mut battery = Battery::bundled(&arguments.battery)?;
    if !arguments.probe.is_empty() {
        battery = battery.select(&arguments.probe)?;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chat = model::open(&arguments.model, threads)?;
    let pool = Pool::start(PoolOptions::default())?;
    let options = BatteryOptions {
        samples: arguments.samples.map(|samples| samples as usize),
        seed: arguments.seed,
        arms: Arms::All,
        ..BatteryOptions::default()
    };
    let bar = output.bar(0);
    let report = loophole_probe::run(&battery, chat.as_ref(), Some(&pool), &options, &mut |progress| {
        bar.set_length(progress.total as u64);
        bar.set_position((progress.total - progress.live) as u64);
        bar.set_message(format!("turn {}", progress.turn));
    })?;
    bar.finish_and_clear();
    let characters = Characters::new(&WorldConfig::default())?;
    let summary = records::probe_report(&report, &arguments.model, None, &characters);
    if let Some(out) = &arguments.out {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let identity = format!("{} {} {}", arguments.model, arguments.battery, arguments.seed);
        let log = records::eval_log(&report, &arguments.model, &identity, created);
        loophole_log::write_eval(&out.join("probes.eval"), &log)?;
        loophole_log::write_json(&out.join("probes.json"), &summary)?;
    }
    if output.json {
        output::json(&summary);
        return Ok(Exit::Clean);
    }
    line(&format!("{:<10} {:>6}  {:<14} {:>9}  outcomes", "probe", "rate", "95 %", "valid"));
    for probe in &summary.probes {
        let outcomes: Vec<String> = probe.outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
        line(&format!(
            "{:<10} {:>6.2}  {:.2} to {:.2}   {:>4}/{:<4}  {}",
            probe.name,
            probe.rate,
            probe.low,
            probe.high,
            probe.n_valid,
            probe.n,
            outcomes.join(", ")
        ));
    }
    let all = summary.misalignment;
    line(&format!("misalignment {:.3} [{:.3}, {:.3}] ({:.1} s)", all.mean, all.low, all.high, summary.seconds));
    Ok(Exit::Clean)
}
