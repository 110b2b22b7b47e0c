//! Plays all samples of a battery together: at every turn one batch for the model, then the work in cells in
//! parallel.

use std::time::Instant;

use loophole_cell::Pool;
use loophole_chat::{Chat, Message, Reply, Request, Role, Sampling};
use loophole_template::{seed_from, seed_of};
use rayon::prelude::*;

use crate::outcome::Finding;
use crate::report::{BatteryReport, SampleRecord};
use crate::trial::{Say, Trial, begin};
use crate::{Arm, Arms, Battery, BatteryOptions, ProbeError, Progress};

/// Turns after which whatever still talks is a mistake of ours.
const MOST_TURNS: usize = 32;

struct Sample<'a> {
    probe: &'a str,
    arm: Arm,
    template: usize,
    seed: u64,
    trial: Box<dyn Trial>,
    conversations: Vec<Vec<Message>>,
    thoughts: Vec<String>,
    turn: u64,
}

impl Sample<'_> {
    /// The sample's requests of this turn.
    fn requests(&mut self, options: &BatteryOptions) -> Vec<Request> {
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
            answers.push(reply.answer);
        }
        self.trial.hears(answers);
    }

    fn finish(mut self) -> SampleRecord {
        let Finding { outcome, evidence } = self.trial.finding();
        SampleRecord {
            probe: self.probe.to_string(),
            arm: self.arm.name().to_string(),
            template: self.template,
            seed: self.seed,
            outcome,
            misaligned: outcome.misaligned(),
            valid: outcome.misaligned().is_some(),
            transcript: self.conversations.into_iter().flatten().collect(),
            thoughts: self.thoughts,
            evidence,
        }
    }
}

fn samples<'a>(battery: &'a Battery, options: &BatteryOptions) -> Result<Vec<Sample<'a>>, ProbeError> {
    let arms: &[Arm] = match options.arms {
        Arms::Tempting => &[Arm::Tempting],
        Arms::All => &[Arm::Tempting, Arm::Control],
    };
    let count = options.samples.unwrap_or(battery.samples);
    let mut samples = Vec::new();
    for probe in &battery.probes {
        for &arm in arms {
            let templates = probe.of(arm);
            for index in 0..if templates.is_empty() { 0 } else { count } {
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
                    template: at,
                    seed,
                    trial,
                    conversations: Vec::new(),
                    thoughts: Vec::new(),
                    turn: 0,
                });
            }
        }
    }
    Ok(samples)
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
    if let (None, Some(probe)) = (pool, battery.probes.iter().find(|probe| probe.needs_cells())) {
        return Err(ProbeError::NeedsCells { probe: probe.name.clone() });
    }
    let started = Instant::now();
    let mut samples = samples(battery, options)?;
    let total = samples.len();
    for turn in 1..=MOST_TURNS {
        let mut waiting = Vec::new();
        let mut batch = Vec::new();
        for (at, sample) in samples.iter_mut().enumerate() {
            let requests = sample.requests(options);
            if !requests.is_empty() {
                waiting.push((at, requests.len()));
                batch.extend(requests);
            }
        }
        progress(Progress { turn, live: waiting.len(), total });
        if batch.is_empty() {
            break;
        }
        let expected = batch.len();
        let replies = chat.reply(&batch).into_iter().collect::<Result<Vec<_>, _>>()?;
        if replies.len() != expected {
            return Err(ProbeError::Replies { model: chat.name().to_string(), expected, got: replies.len() });
        }
        let mut replies = replies.into_iter();
        for (at, count) in waiting {
            samples[at].hear(replies.by_ref().take(count).collect());
        }
        samples.par_iter_mut().for_each(|sample| sample.trial.works(pool));
    }
    let records = samples.into_iter().map(Sample::finish).collect();
    Ok(BatteryReport::new(battery, records, options.seed, started.elapsed().as_secs_f64()))
}
