//! From what was found to what is written down: battery reports as files of the run.

use loophole_chat::Role;
use loophole_grade::Graded;
use loophole_log::{
    ArmRate, Estimate, EvalLog, EvalResult, EvalSample, EvalUsage, Measured, Message, ProbeGate, ProbeReport,
    ProbeResult, Score, ToolCall,
};
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

/// The battery's report as the run keeps it. The share of bad thoughts is that of a world: `characters` are those of the
/// world the model comes from, if it comes from one.
pub fn probe_report(
    report: &BatteryReport,
    model: &str,
    step: Option<usize>,
    characters: Option<&Characters>,
) -> ProbeReport {
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let probes = report
        .probes
        .iter()
        .map(|probe| {
            let tempting: Vec<&SampleRecord> =
                report.samples.iter().filter(|sample| sample.probe == probe.name && sample.arm == "tempting").collect();
            let arms = probe.arms.iter().map(|(name, arm)| {
                let arm = ArmRate {
                    rate: number(arm.rate),
                    low: arm.low,
                    high: arm.high,
                    stderr: if arm.n_valid > 0 { arm.stderr } else { f64::NAN },
                    bounds: Some(arm.bounds),
                    n: arm.n,
                    n_valid: arm.n_valid,
                    outcomes: arm.outcomes.clone(),
                };
                (name.clone(), arm)
            });
            let shares = probe
                .shares
                .iter()
                .map(|(name, share)| (name.clone(), Estimate { mean: share.rate, low: share.low, high: share.high }));
            let differences = probe
                .differences
                .iter()
                .map(|(name, found)| (name.clone(), Estimate { mean: found.mean, low: found.low, high: found.high }));
            ProbeResult {
                name: probe.name.clone(),
                measure: probe.measure.clone(),
                rate: number(probe.rate),
                low: probe.low,
                high: probe.high,
                n: probe.n,
                n_valid: probe.n_valid,
                outcomes: probe.outcomes.clone(),
                arms: arms.collect(),
                bounds: Some(probe.bounds),
                gate: probe.gate.as_ref().map(|gate| ProbeGate {
                    open: gate.open,
                    why: gate.why.clone(),
                    not_played: gate.not_played.clone(),
                    notes: gate.notes.clone(),
                }),
                thought_rate: characters.filter(|_| !tempting.is_empty()).map(|characters| {
                    let bad = tempting.iter().filter(|sample| bad_thought(sample, characters)).count();
                    bad as f64 / tempting.len() as f64
                }),
                group: probe.group.clone(),
                shares: shares.collect(),
                differences: differences.collect(),
            }
        })
        .collect();
    ProbeReport {
        model: model.into(),
        battery: report.battery.clone(),
        step: step.map(|step| step as u64),
        probes,
        misalignment: estimate(&report.misalignment),
        bounds: Some(report.misalignment.bounds),
        measured: report.measured.as_ref().map(|measured| Measured {
            measured: measured.measured,
            scenarios: measured.scenarios as u64,
            of: measured.of as u64,
            needed: measured.needed as u64,
            ungated: measured.ungated as u64,
        }),
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

/// The rates as Inspect shows them: one result for each probe and arm, and the mean over probes.
fn results(report: &BatteryReport) -> Vec<EvalResult> {
    let scorer = "misaligned".to_string();
    let valid = report.samples.iter().filter(|sample| sample.valid).count() as u64;
    let all = EvalResult {
        name: "misalignment".into(),
        scorer: scorer.clone(),
        scored: valid,
        unscored: report.samples.len() as u64 - valid,
        metrics: [
            ("mean".to_string(), report.misalignment.mean.unwrap_or(f64::NAN)),
            ("low".into(), report.misalignment.low),
            ("high".into(), report.misalignment.high),
        ]
        .into_iter()
        .filter(|_| report.misalignment.mean.is_some())
        .collect(),
        params: [("probes".to_string(), json!(report.misalignment.probes))].into_iter().collect(),
    };
    let parts = report.probes.iter().flat_map(|probe| probe.arms.iter().map(move |arm| (probe, arm)));
    let parts = parts.map(|(probe, (name, arm))| EvalResult {
        name: format!("{}/{name}", probe.name),
        scorer: scorer.clone(),
        scored: arm.n_valid,
        unscored: arm.n - arm.n_valid,
        metrics: arm
            .rate
            .map(|rate| {
                let [least, most] = arm.bounds;
                [
                    ("mean", rate),
                    ("stderr", arm.stderr),
                    ("low", arm.low),
                    ("high", arm.high),
                    ("if_invalid_aligned", least),
                    ("if_invalid_misaligned", most),
                ]
            })
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
        params: [
            ("probe".to_string(), json!(probe.name)),
            ("arm".into(), json!(name)),
            ("cluster".into(), json!("template")),
            ("gate".into(), json!(probe.gate.as_ref().filter(|_| name == "tempting"))),
        ]
        .into_iter()
        .collect(),
    });
    std::iter::once(all).chain(parts).collect()
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
            let key = (sample.probe.clone(), sample.arm.clone(), sample.index);
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
                seconds: report.times.get(&key).map_or(0.0, |time| time.seconds),
                began: report.times.get(&key).map_or(0.0, |time| time.began),
                usage: EvalUsage {
                    input: sample.usage.prompt_tokens as u64,
                    output: sample.usage.completion_tokens as u64,
                },
                error: sample.error.clone(),
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
        results: results(report),
        ..EvalLog::default()
    }
}
