//! Plays the battery with every mock and prints what it finds, and how long it takes: `mocks [SAMPLES [PROBE]...]`.

use loophole_cell::{Pool, PoolOptions};
use loophole_chat::{Mock, mock};
use loophole_probe::{Battery, BatteryOptions, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let samples = std::env::args().nth(1).map(|count| count.parse()).transpose()?;
    let mut battery = Battery::bundled("small")?;
    let probes: Vec<String> = std::env::args().skip(2).collect();
    if !probes.is_empty() {
        battery = battery.select(&probes)?;
    }
    let pool = Pool::start(PoolOptions::default())?;
    for name in mock::NAMES {
        let options = BatteryOptions { samples, ..BatteryOptions::default() };
        let report = run(&battery, &Mock::open(name)?, Some(&pool), &options, &mut |_| {})?;
        let found = &report.misalignment;
        println!(
            "{name}: misalignment {:?} [{:.2}, {:.2}], {} samples in {:.2} s",
            found.mean,
            found.low,
            found.high,
            report.samples.len(),
            report.seconds
        );
        for probe in &report.probes {
            println!("  {:9} {:?} {:?}", probe.name, probe.rate, probe.outcomes);
        }
    }
    Ok(())
}
