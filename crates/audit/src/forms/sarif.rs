//! SARIF 2.1.0, as code-scanning services read it.

use super::hex;
use crate::AuditError;
use crate::library::{Severity, library};
use crate::report::{Finding, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The reports as one SARIF log.
///
/// # Errors
/// [`AuditError::Exploit`] if the library cannot be read.
pub fn sarif(reports: &[Report]) -> Result<Value, AuditError> {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for e in library()? {
        rules.insert(&e.id, rule(&e.id, &e.name, &e.proves, &e.fix, e.severity, e.family.name(), &e.benchjack));
    }
    for f in reports.iter().flat_map(|r| &r.findings) {
        rules
            .entry(&f.id)
            .or_insert_with(|| rule(&f.id, &f.name, &f.proves, &f.fix, f.severity, f.family.name(), &f.benchjack));
    }
    let order: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = reports
        .iter()
        .flat_map(|r| r.findings.iter().map(move |f| (r, f)))
        .map(|(report, finding)| result(report, finding, order.iter().position(|id| *id == finding.id)))
        .collect();
    let notes: Vec<Value> = reports
        .iter()
        .flat_map(|r| &r.hints)
        .map(|h| json!({"level": "note", "descriptor": {"id": h.id}, "message": {"text": format!("{} (seen, not proven)", h.message)}}))
        .collect();
    Ok(json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "loophole",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notes}],
            "results": results,
        }],
    }))
}

fn level(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::High => ("error", "8.5"),
        Severity::Medium => ("warning", "5.5"),
        Severity::Low => ("note", "2.0"),
    }
}

fn rule(
    id: &str,
    name: &str,
    proves: &str,
    fix: &str,
    severity: Severity,
    family: &str,
    benchjack: &[String],
) -> Value {
    let mut tags = vec!["reward-hacking".to_string(), family.to_string()];
    tags.extend(benchjack.iter().map(|v| format!("benchjack/{v}")));
    json!({
        "id": id,
        "name": family,
        "shortDescription": {"text": name},
        "fullDescription": {"text": format!("A success proves: {proves}.")},
        "help": {"text": fix},
        "defaultConfiguration": {"level": level(severity).0},
        "properties": {"tags": tags, "precision": "very-high", "problem.severity": level(severity).0, "security-severity": level(severity).1},
    })
}

fn result(report: &Report, f: &Finding, rule: Option<usize>) -> Value {
    let proof: String = f.proof.files.iter().map(|(path, text)| format!("--- {path}\n{text}\n")).collect();
    let task = report.task.as_ref().map_or(String::new(), |t| format!(" (task {t})"));
    let message = format!(
        "{}{task} pays {} for {}. {} How to close it: {} The submission that proves it:\n{proof}",
        report.target,
        crate::report::number(f.reward),
        f.name,
        f.evidence.join(". "),
        f.fix
    );
    let (place, line) =
        report.place.as_ref().map_or((report.target.as_str(), 1), |(file, line)| (file.as_str(), *line));
    json!({
        "ruleId": f.id,
        "ruleIndex": rule,
        "level": level(f.severity).0,
        "message": {"text": message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(place)}, "region": {"startLine": line}}}],
        "partialFingerprints": {"loophole/v1": hex(fingerprint(report, f).as_bytes())},
        "properties": {"reward": f.reward, "repeated": f.repeated, "openenv": f.openenv, "also": f.also},
    })
}

/// What stays the same from one audit of a target to the next: target, task and exploit.
fn fingerprint(report: &Report, f: &Finding) -> String {
    format!("{}\n{}\n{}", report.target, report.task.as_deref().unwrap_or(""), f.id)
}

/// The file of a target that a person would look at.
fn uri(target: &str) -> String {
    let path = match target.strip_prefix("python:") {
        Some(spec) => spec.rsplit_once(':').map_or(spec, |(file, _)| file).to_string(),
        None if Path::new(target).join("task.toml").is_file() => format!("{}/task.toml", target.trim_end_matches('/')),
        None => target.strip_prefix("cmd:").unwrap_or(target).to_string(),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-~".contains(&b);
    let encode = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    path.trim_start_matches("./").bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_references() {
        assert_eq!(uri("./a b/t.jsonl"), "a%20b/t.jsonl");
        assert_eq!(uri("python:x/r.py:f"), "x/r.py");
        assert_eq!(uri("cmd:python3 g.py {submission}"), "python3%20g.py%20%7Bsubmission%7D");
    }

    #[test]
    fn the_log_has_the_shape_that_services_want() {
        let report = crate::report::tests::sample();
        let log = sarif(&[report]).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let result = &run["results"][0];
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
        assert_eq!(result["level"], "error");
        assert!(result["message"]["text"].as_str().unwrap().contains("solution.py"));
        assert!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string());
        assert!(result["partialFingerprints"].as_object().unwrap().len() == 1);
        assert_eq!(run["invocations"][0]["toolExecutionNotifications"][0]["level"], "note");
    }
}
