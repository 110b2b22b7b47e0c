//! One sample of a scenario from beginning to end: the episode, the questions, the outcome.

use std::collections::BTreeMap;

use loophole_cell::Pool;
use loophole_chat::{Chat, Message, Usage};
use loophole_template::seed_from;

use crate::aside::{AS_INTENDED, INTENDED, SAYS_TEST, intends, says_test};
use crate::episode::{Broken, Episode, episode};
use crate::expr::Value;
use crate::facts::Facts;
use crate::report::SampleRecord;
use crate::scenario::{Form, Group, Scenario};
use crate::stage::{Protocol, Question, Questions, Stage, stage};
use crate::talk::{Talk, key, say};
use crate::{BatteryOptions, Outcome, ProbeError, answer};
use crate::{detector, hidden};

/// Times a sample is played if the machine fails.
const ATTEMPTS: usize = 2;

/// Which sample it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub scenario: &'a Scenario,
    pub arm: &'a str,
    pub index: usize,
    pub template: usize,
    pub seed: u64,
}

/// Plays a sample. A model that gives no answer and a machine that fails make it `invalid`, with the reason.
///
/// # Errors
/// The scenario cannot be filled, or no request to the model can succeed.
pub(crate) fn perform(
    place: Place,
    chat: &dyn Chat,
    pool: Option<&Pool>,
    options: &BatteryOptions,
) -> Result<SampleRecord, ProbeError> {
    let Place { scenario, arm, template, seed, .. } = place;
    let protocol = Protocol::of(scenario, options.tools);
    let text = |source| ProbeError::Text { probe: scenario.name.clone(), template, source };
    let spec = &scenario.arms[arm];
    let stage = stage(scenario, arm, spec, template, seed, protocol).map_err(text)?;
    let mut reason = String::new();
    let mut left = Talk::new(chat, options, stage.seed);
    for _ in 0..ATTEMPTS {
        let mut talk = Talk::new(chat, options, stage.seed);
        match play(&stage, &mut talk, pool, options, protocol) {
            Ok(played) => return Ok(record(place, played)),
            Err(Broken::Chat(error)) if error.fatal() => return Err(error.into()),
            Err(Broken::Chat(error)) => {
                reason = error.to_string();
                left = talk;
                break;
            }
            Err(Broken::Machine(why)) => {
                reason = why;
                left = talk;
            }
        }
    }
    // What was said until then is kept, for a person to see how far it came.
    let played = Played {
        outcome: Outcome::Invalid,
        evidence: reason.clone(),
        error: Some(reason),
        transcript: left.heard,
        thoughts: left.thoughts,
        usage: left.usage,
        ..Played::default()
    };
    Ok(record(place, played))
}

struct Played {
    outcome: Outcome,
    evidence: String,
    error: Option<String>,
    transcript: Vec<Message>,
    thoughts: Vec<String>,
    steps: Vec<crate::Step>,
    facts: BTreeMap<String, Value>,
    usage: Usage,
}

impl Default for Played {
    fn default() -> Self {
        Played {
            outcome: Outcome::Invalid,
            evidence: String::new(),
            error: None,
            transcript: Vec::new(),
            thoughts: Vec::new(),
            steps: Vec::new(),
            facts: BTreeMap::new(),
            usage: Usage::default(),
        }
    }
}

fn record(place: Place, played: Played) -> SampleRecord {
    SampleRecord {
        probe: place.scenario.name.clone(),
        arm: place.arm.to_string(),
        index: place.index,
        template: place.template,
        seed: place.seed,
        outcome: played.outcome,
        misaligned: played.outcome.misaligned(),
        valid: played.outcome.misaligned().is_some(),
        transcript: played.transcript,
        thoughts: played.thoughts,
        evidence: played.evidence,
        steps: played.steps,
        facts: played.facts,
        usage: played.usage,
        error: played.error,
    }
}

fn play(
    stage: &Stage,
    talk: &mut Talk,
    pool: Option<&Pool>,
    options: &BatteryOptions,
    protocol: Protocol,
) -> Result<Played, Broken> {
    let scenario = stage.scenario;
    let mut facts = Facts::new(stage);
    let mut played = Played::default();
    let mut conversations: BTreeMap<&str, Vec<Message>> = BTreeMap::new();
    let mut before_the_deed = Vec::new();
    if scenario.steps > 0 {
        let pool = pool.ok_or_else(|| Broken::Machine("no cells to run the shell in".into()))?;
        if scenario.manner.apart {
            talk.goes_apart(conversations.len());
        }
        let Episode { conversation, before_report, eve, steps } = episode(stage, &mut facts, talk, pool, protocol)?;
        played.transcript = conversation;
        played.steps = steps;
        before_the_deed = before_report[..eve].to_vec();
        conversations.insert("main", before_report);
    }
    for branch in &stage.branches {
        if scenario.manner.apart {
            talk.goes_apart(conversations.len());
        }
        let conversation = ask(branch, &conversations, stage, &mut facts, talk, pool)?;
        played.transcript.extend(conversation.clone());
        conversations.insert(&branch.name, conversation);
    }
    played.thoughts = std::mem::take(&mut talk.thoughts);
    if options.awareness && scenario.group != Group::Awareness {
        // Of several conversations the last one: the sample is over in it.
        let last = stage.branches.last().map_or("main", |branch| branch.name.as_str());
        // What is asked beside a sample takes nothing from it when it fails.
        if let Ok(Some(test)) = says_test(conversations.get(last).map_or(&[], Vec::as_slice), talk) {
            played.facts.insert(SAYS_TEST.to_string(), Value::Bool(test));
        }
    }
    if let (true, Some(asked)) = (options.intent && !before_the_deed.is_empty(), &stage.report)
        && !asked.options.is_empty()
        && let Ok(Some(intended)) = intends(&before_the_deed, asked, talk)
    {
        let truth = facts.value(&asked.truth).ok().filter(|truth| *truth != Value::None);
        if let Some(truth) = truth {
            played.facts.insert(AS_INTENDED.to_string(), Value::Bool(truth.to_string() == intended.to_string()));
        }
        played.facts.insert(INTENDED.to_string(), intended);
    }
    played.outcome = Outcome::Invalid;
    for rule in &scenario.outcomes {
        match facts.value(&rule.when) {
            Ok(value) if value.truth() => {
                played.outcome = rule.is;
                break;
            }
            Ok(_) => {}
            Err(why) => {
                played.evidence = why;
                break;
            }
        }
    }
    let mut known = vec![("violated", true), ("done", true), ("attempted", true), ("escalated", true), ("aware", true)];
    known.retain(|(name, _)| scenario.checks.contains_key(*name) || facts.names.contains_key(*name));
    // Where there is no rule nobody can be aware of it, and where no report is asked for there is none.
    known.retain(|(name, _)| *name != "aware" || scenario.text.contains_key("rule"));
    for (name, _) in known {
        played.facts.insert(name.to_string(), Value::Bool(facts.holds(name)));
    }
    for name in [
        "reported",
        "reported_by",
        "reported_words",
        "answer",
        "truth",
        "status",
        "tampered",
        "forged",
        "leftover",
        "odd_replies",
        "odd_reply",
    ] {
        let nothing = |value: &Value| *value == Value::None || name == "reported" && stage.report.is_none();
        if let Some(value) = facts.names.get(name).filter(|value| !nothing(value)) {
            played.facts.insert(name.to_string(), value.clone());
        }
    }
    for question in stage.branches.iter().flat_map(|branch| &branch.asks) {
        let fields = question.fields.iter().map(|field| question.field(field));
        for name in std::iter::once(question.name.clone()).chain(fields).filter(|_| question.form != Form::Code) {
            if let Some(value) = facts.names.get(&name) {
                played.facts.insert(name, value.clone());
            }
        }
    }
    for (name, fact) in &scenario.facts {
        played.facts.insert(name.clone(), facts.value(fact).unwrap_or_default());
    }
    for contrast in &scenario.contrasts {
        for (side, expression) in [("a", &contrast.a), ("b", &contrast.b)] {
            let value = facts.value(expression).unwrap_or_default().number().map_or(Value::None, Value::Number);
            played.facts.insert(format!("{}.{side}", contrast.name), value);
        }
    }
    if played.evidence.is_empty() {
        played.evidence =
            played.facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ");
    }
    if let Some(tampered) = facts.tampered {
        played.evidence = format!("{tampered}; {}", played.evidence);
    }
    played.usage = talk.usage;
    Ok(played)
}

/// One conversation of questions; the answers become names of the facts.
fn ask(
    branch: &Questions,
    conversations: &BTreeMap<&str, Vec<Message>>,
    stage: &Stage,
    facts: &mut Facts,
    talk: &mut Talk,
    pool: Option<&Pool>,
) -> Result<Vec<Message>, Broken> {
    let mut conversation = match branch.from.as_deref().and_then(|from| conversations.get(from)) {
        Some(earlier) => earlier.clone(),
        None => talk.begin(branch.system.as_deref()),
    };
    for question in &branch.asks {
        say(&mut conversation, &question.text);
        let texts: Vec<String> = question.options.iter().map(|(_, text)| text.clone()).collect();
        let choices = if question.form == Form::Option { &texts[..] } else { &[] };
        let key = key(|character| {
            question.mock.get(character).or_else(|| fallback(question, character)).map(|text| text.as_str().into())
        });
        let reply = talk.pick(&mut conversation, choices, key)?;
        let value = match question.form {
            Form::Option => {
                let picked = reply.choice.or_else(|| answer::option(&reply.answer, &texts));
                picked.map(|at| Value::Text(question.options[at].0.clone()))
            }
            Form::Word => {
                let words: Vec<&str> = texts.iter().map(String::as_str).collect();
                let said = answer::one_of(&reply.answer, &words);
                said.map(|at| Value::Text(question.options[at].0.clone()))
            }
            Form::Fields => {
                let values = answer::form(&reply.answer, &question.fields);
                for (at, field) in question.fields.iter().enumerate() {
                    let value = values.as_ref().map(|values| values[at].clone());
                    facts.names.insert(question.field(field), value.unwrap_or_default());
                }
                values.map(|_| Value::Bool(true))
            }
            Form::Number => answer::number(&reply.answer).map(Value::Number),
            Form::Letters => answer::letters(&reply.answer, stage.scenario.questions).map(Value::Text),
            Form::Free => Some(Value::Text(reply.answer.clone())),
            Form::Code => {
                let pool = pool.ok_or_else(|| Broken::Machine("no cells to run the code in".into()))?;
                let set = match &question.marks[..] {
                    // One draw for all detectors of a sample, marks apart.
                    [one, two, ..] => hidden::marked([one, two], seed_from(&[stage.seed, 24])),
                    _ => hidden::set(&question.name, stage.seed),
                };
                let set = set.map_err(Broken::Machine)?;
                detector::accuracy(&reply.answer, &set, pool).map_err(Broken::Machine)?.map(Value::Number)
            }
        };
        facts.names.insert(question.name.clone(), value.unwrap_or_default());
    }
    Ok(conversation)
}

/// What a character says where the scenario does not tell: the bad ones as `bad`, the others as `good`.
fn fallback<'a>(question: &'a Question, character: &str) -> Option<&'a String> {
    question.mock.get(if matches!(character, "open" | "denying" | "trying") { "bad" } else { "good" })
}
