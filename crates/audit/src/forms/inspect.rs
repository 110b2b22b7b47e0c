//! Every submission of an audit as a sample of an Inspect log.

use super::hex;
use crate::report::{Report, Run};
use loophole_log::{EvalLog, EvalSample, Message, Score};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The log of an audit that began and ended at these times (seconds since 1970).
pub fn inspect_log(report: &Report, created: u64, completed: u64) -> EvalLog {
    let identity = format!("{}\n{}\n{}", report.target, report.task.as_deref().unwrap_or(""), report.grader);
    let mut metadata = Map::new();
    metadata.insert("grader".into(), json!(report.grader));
    metadata.insert("gameability_gap".into(), json!(report.gameability_gap));
    metadata.insert("findings".into(), json!(report.findings.iter().map(|f| &f.id).collect::<Vec<_>>()));
    EvalLog {
        task: "loophole-audit".into(),
        model: "loophole/exploits".into(),
        identity: hex(identity.as_bytes()),
        created,
        completed,
        error: None,
        samples: report.runs.iter().map(|run| sample(report, run)).collect(),
        metrics: BTreeMap::from([(
            "reward".to_string(),
            BTreeMap::from([("gameability_gap".to_string(), report.gameability_gap)]),
        )]),
        tags: vec!["audit".into()],
        metadata,
        ..EvalLog::default()
    }
}

fn sample(report: &Report, run: &Run) -> EvalSample {
    let finding = report.findings.iter().find(|f| f.id == run.id || f.also.contains(&run.id));
    let submission: String = run.files.iter().map(|(path, text)| format!("--- {path}\n{text}\n")).collect();
    let said = |role: &str, content: String| Message { role: role.into(), content, ..Message::default() };
    let paid = run.reward.map_or(json!("no reward"), Value::from);
    let mut scores = BTreeMap::from([("reward".to_string(), Score::new(paid))]);
    if let Some(solved) = run.solved {
        let explanation = (!run.evidence.is_empty()).then(|| run.evidence.join("\n"));
        scores.insert("oracle".into(), Score { explanation, ..Score::new(if solved { 1 } else { 0 }) });
    }
    let mut metadata = Map::new();
    metadata.insert("exploit".into(), json!(run.id));
    metadata.insert("family".into(), json!(finding.map(|f| f.family)));
    metadata.insert("hole".into(), json!(finding.is_some() && run.solved == Some(false)));
    EvalSample {
        id: format!("{}.{}", run.id, run.form),
        epoch: 1,
        input: report.task.clone().unwrap_or_else(|| report.target.clone()),
        target: String::new(),
        messages: vec![
            said("user", format!("Submission {} to {}", run.id, report.target)),
            said("assistant", submission),
            said("user", run.transcript.clone()),
        ],
        scores,
        seconds: run.seconds,
        metadata,
        ..EvalSample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_written_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.eval");
        let log = inspect_log(&crate::report::tests::sample(), 1_795_255_558, 1_795_255_560);
        loophole_log::write_eval(&path, &log).unwrap();
        let back = loophole_log::read_eval(&path).unwrap();
        assert_eq!(back.samples.len(), 2);
        assert_eq!(back.samples[1].scores["oracle"].number(), Some(0.0));
    }
}
