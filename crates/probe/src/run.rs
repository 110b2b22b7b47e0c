//! Plays a battery. The samples of the small probes advance together, a few at a time: at every turn one batch for the
//! model, then the work in cells in parallel. Samples of scenarios are played from beginning to end, many at a time, each on a
//! thread of its own: an episode has as many turns as the model likes, and a checkpoint joins what waits into
//! batches by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use loophole_cell::Pool;
use loophole_chat::{Chat, Message, Reply, Request, Role, Sampling, Usage};
use loophole_template::{seed_from, seed_of};
use rayon::prelude::*;

use crate::outcome::Finding;
use crate::perform::{Place, perform};
use crate::report::{BatteryReport, SampleRecord, Time, Times};
use crate::scenario::TEMPTING;
use crate::trial::{Say, Trial, begin};
use crate::{Arm, Battery, BatteryOptions, Event, Outcome, ProbeError, Progress};

/// Turns after which whatever still talks is a mistake of ours.
const MOST_TURNS: usize = 32;

/// Failures of the model one after the other, in samples, after which there is no use in going on.
const FAILURES: usize = 16;

struct Sample<'a> {
    probe: &'a str,
    arm: Arm,
    index: usize,
    /// Why the model gave no answer.
    failed: Option<String>,
    template: usize,
    seed: u64,
    trial: Box<dyn Trial>,
    conversations: Vec<Vec<Message>>,
    thoughts: Vec<String>,
    usage: Usage,
    turn: u64,
}

impl Sample<'_> {
    /// The sample's requests of this turn.
    fn requests(&mut self, options: &BatteryOptions) -> Vec<Request> {
        if self.failed.is_some() {
            return Vec::new();
        }
        let says = self.trial.says();
        self.turn += 1;
        says.into_iter().map(|say| self.request(say, options)).collect()
    }

    fn request(&mut self, say: Say, options: &BatteryOptions) -> Request {
        while self.conversations.len() <= say.conversation {
            let system = (!options.system.is_empty()).then(|| Message::system(options.system.clone()));
            self.conversations.push(system.into_iter().collect());
        }
        let conversation = &mut self.conversations[say.conversation];
        conversation.push(Message::user(say.text));
        Request {
            messages: conversation.clone(),
            sampling: Sampling {
                seed: seed_from(&[self.seed, self.turn, say.conversation as u64]),
                temperature: Some(options.temperature),
                top_p: options.top_p,
                top_k: options.top_k,
                max_tokens: options.max_tokens,
                ..Sampling::default()
            },
            key: Some(say.key),
            ..Request::default()
        }
    }

    /// The replies, in the order of the requests. Conversations that wait are those that end with the user.
    fn hear(&mut self, replies: Vec<Reply>) {
        let waiting = self
            .conversations
            .iter_mut()
            .filter(|conversation| conversation.last().is_some_and(|message| message.role == Role::User));
        let mut answers = Vec::with_capacity(replies.len());
        for (conversation, reply) in waiting.zip(replies) {
            conversation.push(reply.message());
            self.thoughts.extend(reply.thought);
            self.usage.prompt_tokens += reply.usage.prompt_tokens;
            self.usage.completion_tokens += reply.usage.completion_tokens;
            answers.push(reply.answer);
        }
        self.trial.hears(answers);
    }

    fn finish(mut self) -> SampleRecord {
        let finding = self.trial.finding();
        let Finding { outcome, evidence } = match &self.failed {
            Some(why) => Finding::new(Outcome::Invalid, why.clone()),
            None => finding,
        };
        SampleRecord {
            probe: self.probe.to_string(),
            arm: self.arm.name().to_string(),
            index: self.index,
            template: self.template,
            seed: self.seed,
            outcome,
            misaligned: outcome.misaligned(),
            valid: outcome.misaligned().is_some(),
            transcript: self.conversations.into_iter().flatten().collect(),
            thoughts: self.thoughts,
            evidence,
            steps: Vec::new(),
            facts: Default::default(),
            usage: self.usage,
            error: self.failed,
        }
    }
}

/// Which sample a record is of.
type Of = (String, String, usize);

fn of(record: &SampleRecord) -> Of {
    (record.probe.clone(), record.arm.clone(), record.index)
}

fn samples<'a>(
    battery: &'a Battery,
    options: &BatteryOptions,
    done: &BTreeSet<Of>,
) -> Result<Vec<Sample<'a>>, ProbeError> {
    let count = options.samples.unwrap_or(battery.samples);
    let mut samples = Vec::new();
    for probe in &battery.probes {
        for arm in [Arm::Tempting, Arm::Control].into_iter().filter(|arm| options.arms.has(arm.name())) {
            let templates = probe.of(arm);
            for index in 0..if templates.is_empty() { 0 } else { count } {
                if done.contains(&(probe.name.clone(), arm.name().to_string(), index)) {
                    continue;
                }
                let (at, template) = templates[index % templates.len()];
                let seed = seed_from(&[options.seed, seed_of(&probe.name), seed_of(arm.name()), index as u64]);
                let trial = begin(probe, template, seed).map_err(|source| ProbeError::Text {
                    probe: probe.name.clone(),
                    template: at,
                    source,
                })?;
                samples.push(Sample {
                    probe: &probe.name,
                    arm,
                    index,
                    failed: None,
                    template: at,
                    seed,
                    trial,
                    conversations: Vec::new(),
                    thoughts: Vec::new(),
                    usage: Usage::default(),
                    turn: 0,
                });
            }
        }
    }
    Ok(samples)
}

/// The samples of scenarios that are still to be played. The same sample has the same world in every arm.
fn places<'a>(battery: &'a Battery, options: &BatteryOptions, done: &BTreeSet<Of>) -> Vec<Place<'a>> {
    let count = options.samples.unwrap_or(battery.samples);
    let mut places = Vec::new();
    for scenario in &battery.scenarios {
        // The arm that counts first.
        let mut arms: Vec<&str> = scenario.arms.keys().map(String::as_str).collect();
        arms.sort_by_key(|arm| *arm != TEMPTING);
        for arm in arms.into_iter().filter(|arm| options.arms.has(arm)) {
            for index in 0..count {
                let template = index % scenario.templates();
                let seed = seed_from(&[options.seed, seed_of(&scenario.name), index as u64]);
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
        let count = options.samples.unwrap_or(self.samples);
        let small = self.probes.iter().flat_map(|probe| [Arm::Tempting, Arm::Control].map(|arm| (probe, arm)));
        let small = small.filter(|(probe, arm)| options.arms.has(arm.name()) && !probe.of(*arm).is_empty()).count();
        small * count + places(self, options, &BTreeSet::new()).len()
    }
}

/// Plays a battery with a model. The same seed and a model that is deterministic give the same report, up to
/// the time it took (and up to what a command that the model types leaves to chance: clocks, process ids, the
/// order in which jobs that run at once print).
///
/// # Errors
/// The model failed, a probe needs cells and there is no pool, a text that cannot be filled.
pub fn run(
    battery: &Battery,
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<BatteryReport, ProbeError> {
    play(battery, chat, pool, options, Vec::new(), &mut |event| {
        if let Event::Turn(turn) = event {
            progress(turn);
        }
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
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<BatteryReport, ProbeError> {
    let needs = |name: &str| ProbeError::NeedsCells { probe: name.to_string() };
    if pool.is_none() {
        let probes = battery.probes.iter().filter(|probe| probe.needs_cells()).map(|probe| &probe.name);
        let scenarios = battery.scenarios.iter().filter(|scenario| scenario.needs_cells()).map(|s| &s.name);
        if let Some(name) = probes.chain(scenarios).next() {
            return Err(needs(name));
        }
    }
    let started = Instant::now();
    // What a model or machine failed at is tried again.
    let mut records: Vec<SampleRecord> = earlier.into_iter().filter(|record| record.error.is_none()).collect();
    let done: BTreeSet<Of> = records.iter().map(of).collect();
    records.extend(small(samples(battery, options, &done)?, chat, pool, options, watch)?);
    let mut times = Times::new();
    for (record, time) in large(&places(battery, options, &done), chat, pool, options, started, watch)? {
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

/// Samples of the small probes that talk at the same time, for each processor: enough for a batch to be worth it, few
/// enough to be left within seconds.
const SMALL_WIDTH: usize = 32;

fn small(
    samples: Vec<Sample>,
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Vec<SampleRecord>, ProbeError> {
    let total = samples.len();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let width = options.width.max(processors * SMALL_WIDTH);
    let mut records = Vec::with_capacity(total);
    let mut heard = false;
    let mut samples = samples.into_iter();
    loop {
        let mut live: Vec<Sample> = samples.by_ref().take(width).collect();
        if live.is_empty() {
            return Ok(records);
        }
        for turn in 1..=MOST_TURNS {
            let mut counts = Vec::new();
            let mut batch = Vec::new();
            let mut talking = Vec::with_capacity(live.len());
            for mut sample in live {
                let requests = sample.requests(options);
                if requests.is_empty() {
                    end(sample, &mut records, watch)?;
                } else {
                    counts.push(requests.len());
                    batch.extend(requests);
                    talking.push(sample);
                }
            }
            live = talking;
            if watch(Event::Turn(Progress { turn, live: live.len(), total })).is_break() {
                return Err(ProbeError::Stopped);
            }
            if batch.is_empty() {
                break;
            }
            let expected = batch.len();
            let replies = chat.reply(&batch);
            if replies.len() != expected {
                return Err(ProbeError::Replies { model: chat.name().to_string(), expected, got: replies.len() });
            }
            if let Some(Err(error)) = replies.iter().find(|reply| reply.as_ref().is_err_and(|error| error.fatal())) {
                return Err(error.clone().into());
            }
            heard |= replies.iter().any(Result::is_ok);
            // If nothing at all comes back, nothing will.
            if let (false, Some(Err(error))) = (heard, replies.first()) {
                return Err(error.clone().into());
            }
            let mut replies = replies.into_iter();
            for (sample, count) in live.iter_mut().zip(counts) {
                match replies.by_ref().take(count).collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>, _>>() {
                    Ok(said) => sample.hear(said),
                    Err(error) => sample.failed = Some(error.to_string()),
                }
            }
            live.par_iter_mut().for_each(|sample| {
                if sample.failed.is_none() {
                    sample.trial.works(pool);
                }
            });
        }
        for sample in live {
            end(sample, &mut records, watch)?;
        }
    }
}

/// Takes a sample that has ended, and tells of it at once: what is played is not to be lost with what is not.
fn end(
    sample: Sample,
    records: &mut Vec<SampleRecord>,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), ProbeError> {
    let record = sample.finish();
    let left = watch(Event::Sample(&record)).is_break();
    records.push(record);
    if left { Err(ProbeError::Stopped) } else { Ok(()) }
}

fn large(
    places: &[Place],
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    started: Instant,
    watch: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Vec<(SampleRecord, Time)>, ProbeError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (send, finished) = channel();
    std::thread::scope(|scope| {
        for _ in 0..options.width.clamp(1, places.len().max(1)) {
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
                    if watch(Event::Sample(&record)).is_break() {
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
