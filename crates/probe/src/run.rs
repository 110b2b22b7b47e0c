//! Plays a battery. Samples are played from beginning to end, many at a time, each on a thread of its own: an episode has as
//! many turns as the model likes, and a checkpoint joins what waits into batches by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use loophole_cell::Pool;
use loophole_chat::Chat;
use loophole_template::{seed_from, seed_of};

use crate::perform::{Place, perform};
use crate::report::{BatteryReport, SampleRecord, Time, Times};
use crate::scenario::TEMPTING;
use crate::{Battery, BatteryOptions, ProbeError};

/// Failures of the model one after the other, in samples, after which there is no use in going on.
const FAILURES: usize = 16;

/// Which sample a record is of.
type Of = (String, String, usize);

fn of(record: &SampleRecord) -> Of {
    (record.probe.clone(), record.arm.clone(), record.index)
}

/// The samples that are still to be played. The same sample has the same world in every arm, unless arms are apart.
fn places<'a>(battery: &'a Battery, options: &BatteryOptions, done: &BTreeSet<Of>) -> Vec<Place<'a>> {
    let count = options.samples.unwrap_or(battery.samples);
    let mut places = Vec::new();
    for scenario in &battery.scenarios {
        // The arm that counts first.
        let mut arms: Vec<&str> = Vec::new();
        arms.extend(
            scenario.arms.iter().filter(|(arm, spec)| options.arms.has(arm, spec)).map(|(arm, _)| arm.as_str()),
        );
        arms.sort_by_key(|arm| *arm != TEMPTING);
        for arm in arms {
            let templates = scenario.templates(arm).max(1);
            for index in 0..count {
                let template = index % templates;
                let (name, number) = (seed_of(&scenario.name), index as u64);
                let seed = match scenario.manner.apart {
                    true => seed_from(&[options.seed, name, seed_of(arm), number]),
                    false => seed_from(&[options.seed, name, number]),
                };
                if !done.contains(&(scenario.name.clone(), arm.to_string(), index)) {
                    places.push(Place { scenario, arm, index, template, seed });
                }
            }
        }
    }
    places
}

impl Battery {
    /// Samples that options ask for.
    pub fn size(&self, options: &BatteryOptions) -> usize {
        places(self, options, &BTreeSet::new()).len()
    }
}

/// Plays a battery with a model and tells of every sample as it ends. The same seed and a model that is deterministic give
/// the same report, up to the time it took (and up to what a command that the model types leaves to chance: clocks,
/// process ids, the order in which jobs that run at once print).
///
/// # Errors
/// The model failed, a probe needs cells and there is no pool, a text that cannot be filled.
pub fn run(
    battery: &Battery,
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    watch: &mut dyn FnMut(&SampleRecord),
) -> Result<BatteryReport, ProbeError> {
    play(battery, chat, pool, options, Vec::new(), &mut |sample| {
        watch(sample);
        ControlFlow::Continue(())
    })
}

/// Plays what is left of a battery after the `earlier` samples, and tells of every sample as it ends.
///
/// # Errors
/// As [`run`]; [`ProbeError::Stopped`] if the watcher wants no more.
pub fn play(
    battery: &Battery,
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    earlier: Vec<SampleRecord>,
    watch: &mut dyn FnMut(&SampleRecord) -> ControlFlow<()>,
) -> Result<BatteryReport, ProbeError> {
    if let (None, Some(scenario)) = (pool, battery.scenarios.iter().find(|scenario| scenario.needs_cells())) {
        return Err(ProbeError::NeedsCells { probe: scenario.name.clone() });
    }
    if !options.thoughts.is_empty() && !chat.takes_thoughts() {
        return Err(ProbeError::NoThoughts { model: chat.name().to_string() });
    }
    let started = Instant::now();
    // What a model or machine failed at is tried again.
    let mut records: Vec<SampleRecord> = earlier.into_iter().filter(|record| record.error.is_none()).collect();
    let done: BTreeSet<Of> = records.iter().map(of).collect();
    let mut times = Times::new();
    for (record, time) in perform_all(&places(battery, options, &done), chat, pool, options, started, watch)? {
        times.insert(of(&record), time);
        records.push(record);
    }
    // In the order of the battery, whatever was played when.
    let order: BTreeMap<&str, usize> = battery.names().into_iter().enumerate().map(|(at, name)| (name, at)).collect();
    records.retain(|record| order.contains_key(record.probe.as_str()));
    records.sort_by_cached_key(|record| {
        (order[record.probe.as_str()], record.arm != TEMPTING, record.arm.clone(), record.index)
    });
    let report = BatteryReport::new(battery, records, options.seed, started.elapsed().as_secs_f64());
    Ok(BatteryReport { times, ..report })
}

/// Samples of the small probes that are played at the same time, for each processor: enough for a batch of the model's to
/// be worth it. They take seconds.
const SMALL_WIDTH: usize = 32;

/// How many samples are played at a time.
fn width(places: &[Place], options: &BatteryOptions) -> usize {
    let small = places.iter().all(|place| place.scenario.group.is_for_training());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let width = if small { options.width.max(processors * SMALL_WIDTH) } else { options.width };
    width.clamp(1, places.len().max(1))
}

fn perform_all(
    places: &[Place],
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    started: Instant,
    watch: &mut dyn FnMut(&SampleRecord) -> ControlFlow<()>,
) -> Result<Vec<(SampleRecord, Time)>, ProbeError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (send, finished) = channel();
    std::thread::scope(|scope| {
        for _ in 0..width(places, options) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = places.get(at) else { break };
                    let began = started.elapsed().as_secs_f64();
                    let result = perform(*place, chat, pool, options);
                    let time = Time { began, seconds: started.elapsed().as_secs_f64() - began };
                    if send.send((at, time, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut records: Vec<(usize, (SampleRecord, Time))> = Vec::with_capacity(places.len());
        let mut failures = 0;
        let mut failed = None;
        for (at, time, result) in finished {
            if failed.is_some() {
                continue;
            }
            match result {
                Ok(record) => {
                    failures = if record.error.is_some() { failures + 1 } else { 0 };
                    if watch(&record).is_break() {
                        failed = Some(ProbeError::Stopped);
                    } else if let (true, Some(reason)) = (failures >= FAILURES, &record.error) {
                        failed = Some(ProbeError::Failing { samples: failures, reason: reason.clone() });
                    }
                    records.push((at, (record, time)));
                }
                Err(error) => failed = Some(error),
            }
            stop.store(failed.is_some(), Ordering::Relaxed);
        }
        match failed {
            Some(error) => Err(error),
            None => {
                records.sort_by_key(|(at, _)| *at);
                Ok(records.into_iter().map(|(_, record)| record).collect())
            }
        }
    })
}
