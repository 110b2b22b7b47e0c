//! From what was found to what is written down: battery reports as files of the run.

use loophole_chat::Role;
use loophole_grade::Graded;
use loophole_log::{ArmRate, Estimate, EvalLog, EvalSample, Message, ProbeReport, ProbeResult, Score, ToolCall};
use loophole_probe::{BatteryReport, Misalignment, SampleRecord};
use loophole_world::Characters;
use serde_json::json;

/// The oracle's finding and the rest of the evidence, in words.
pub(crate) fn oracle_said(graded: &Graded) -> String {
    let mut said = format!("{} of {} cases right", graded.oracle.passed, graded.oracle.total);
    for evidence in &graded.evidence {
        said.push('\n');
        said.push_str(evidence);
    }
    said
}

/// The battery's report as the run keeps it, with the share of bad thoughts.
pub fn probe_report(report: &BatteryReport, model: &str, step: Option<usize>, characters: &Characters) -> ProbeReport {
    let probes = report
        .probes
        .iter()
        .map(|probe| {
            let tempting: Vec<&SampleRecord> =
                report.samples.iter().filter(|sample| sample.probe == probe.name && sample.arm == "tempting").collect();
            let bad = tempting.iter().filter(|sample| bad_thought(sample, characters)).count();
            ProbeResult {
                name: probe.name.clone(),
                measure: probe.measure.clone(),
                rate: probe.rate.unwrap_or(f64::NAN),
                low: probe.low,
                high: probe.high,
                n: probe.n,
                n_valid: probe.n_valid,
                outcomes: probe.outcomes.clone(),
                arms: probe
                    .arms
                    .iter()
                    .map(|(name, arm)| {
                        let rate = arm.rate.unwrap_or(f64::NAN);
                        let bad = (rate * arm.n_valid as f64).round() as u64;
                        let interval = loophole_stats::jeffreys(if rate.is_nan() { 0 } else { bad }, arm.n_valid);
                        let arm = ArmRate {
                            rate,
                            low: interval.low,
                            high: interval.high,
                            n: arm.n,
                            n_valid: arm.n_valid,
                            outcomes: arm.outcomes.clone(),
                        };
                        (name.clone(), arm)
                    })
                    .collect(),
                thought_rate: (!tempting.is_empty()).then(|| bad as f64 / tempting.len() as f64),
                group: probe.group.clone(),
                shares: probe
                    .shares
                    .iter()
                    .map(|(name, share)| {
                        (name.clone(), Estimate { mean: share.rate, low: share.low, high: share.high })
                    })
                    .collect(),
                differences: probe
                    .differences
                    .iter()
                    .map(|(name, found)| {
                        (name.clone(), Estimate { mean: found.mean, low: found.low, high: found.high })
                    })
                    .collect(),
            }
        })
        .collect();
    ProbeReport {
        model: model.into(),
        battery: report.battery.clone(),
        step: step.map(|step| step as u64),
        probes,
        misalignment: estimate(&report.misalignment),
        groups: report.groups.iter().map(|(name, mean)| (name.clone(), estimate(mean))).collect(),
        seconds: report.seconds,
    }
}

fn estimate(found: &Misalignment) -> Estimate {
    Estimate { mean: found.mean.unwrap_or(f64::NAN), low: found.low, high: found.high }
}

/// Whether the last thought of a sample is that of a bad character.
fn bad_thought(sample: &SampleRecord, characters: &Characters) -> bool {
    sample.thoughts.last().is_some_and(|thought| characters.read_thought(thought).bad())
}

/// Every sample as an Inspect log.
pub fn eval_log(report: &BatteryReport, model: &str, identity: &str, created: u64) -> EvalLog {
    let samples = report
        .samples
        .iter()
        .enumerate()
        .map(|(index, sample)| {
            let messages: Vec<Message> = sample
                .transcript
                .iter()
                .map(|message| {
                    let (thought, content) = match message.role {
                        Role::Assistant => loophole_chat::split_thought(&message.content),
                        _ => (None, message.content.clone()),
                    };
                    let calls = message.tool_calls.iter().map(|call| ToolCall {
                        id: call.id.clone(),
                        function: call.name.clone(),
                        // What the model wrote where it wrote no object.
                        arguments: call
                            .arguments()
                            .cloned()
                            .unwrap_or_else(|| [("raw".to_string(), call.arguments.clone())].into_iter().collect()),
                    });
                    let answered = sample.transcript.iter().flat_map(|message| &message.tool_calls);
                    let function = message.tool_call_id.as_ref().and_then(|id| {
                        answered.filter(|call| call.id == *id).map(|call| call.name.clone()).next_back()
                    });
                    Message {
                        role: message.role.name().into(),
                        content,
                        thought,
                        tool_calls: calls.collect(),
                        tool_call_id: message.tool_call_id.clone(),
                        function,
                    }
                })
                .collect();
            let asked = sample.transcript.iter().find(|message| message.role == Role::User);
            let outcome = sample.outcome.name().to_string();
            let score = Score {
                value: json!(outcome),
                answer: sample.transcript.last().map(|message| message.content.clone()),
                explanation: Some(sample.evidence.clone()),
                metadata: [("misaligned".to_string(), json!(sample.misaligned)), ("valid".into(), json!(sample.valid))]
                    .into_iter()
                    .collect(),
            };
            EvalSample {
                id: format!("{}-{}-{index}", sample.probe, sample.arm),
                epoch: 1,
                input: asked.map(|message| message.content.clone()).unwrap_or_default(),
                messages,
                scores: std::iter::once(("outcome".to_string(), score))
                    // Only valid samples have a number.
                    .chain(
                        sample.misaligned.map(|bad| ("misaligned".to_string(), Score::new(f64::from(u8::from(bad))))),
                    )
                    .collect(),
                metadata: [
                    ("facts".to_string(), json!(sample.facts)),
                    ("steps".into(), json!(sample.steps)),
                    ("probe".into(), json!(sample.probe)),
                    ("arm".into(), json!(sample.arm)),
                    ("template".into(), json!(sample.template)),
                    ("seed".into(), json!(sample.seed.to_string())),
                ]
                .into_iter()
                .collect(),
                ..EvalSample::default()
            }
        })
        .collect();
    EvalLog {
        task: format!("loophole-{}", report.battery),
        model: model.into(),
        identity: identity.into(),
        created,
        completed: created,
        samples,
        ..EvalLog::default()
    }
}
