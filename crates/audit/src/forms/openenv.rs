//! OpenEnv's validation report, version 2 (openenv 0.10.0, policy v2): the reward-integrity checks, which an executed
//! audit can answer. Statistical checks belong to the lane `hub`.

use super::hex;
use crate::report::{Report, number};
use loophole_grade::Family;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A report of one audit. Targets that are no package of OpenEnv's or Harbor's are signed `task.md`, the nearest kind.
pub fn openenv(report: &Report) -> Value {
    let controls = |name: &str| report.control(name);
    let honest = controls("honest").unwrap_or(0.0);
    let null = ["empty", "constant", "echo"].iter().filter_map(|n| controls(n)).fold(0.0, f64::max);
    let leaks = findings(report, |f| f.family == Family::AnswerLeak);
    let breaks = findings(report, |f| f.openenv.iter().any(|c| c == "runtime.oracle_containment"));
    let all = findings(report, |f| !f.id.starts_with("CTL-"));
    let free = findings(report, |f| f.id.starts_with("CTL-"));
    let steady = report.findings.iter().all(|f| f.repeated.paid == f.repeated.of);
    let fix = |family: &[String]| -> Value {
        let first = report.findings.iter().find(|f| family.contains(&f.id));
        first.map_or(Value::Null, |f| json!(f.fix))
    };
    let check = |id: &str, good: bool, measured: Value, evidence: Vec<String>, remediation: Value| {
        json!({
            "check_id": id, "status": if good { "pass" } else { "fail" }, "measured": measured,
            "evidence": evidence, "remediation": remediation, "duration_s": 0.0,
        })
    };
    let say = |ids: &[String]| -> Vec<String> {
        let of = |id: &String| report.findings.iter().find(|f| f.id == *id);
        ids.iter().filter_map(of).map(|f| format!("{}: {} is paid {}", f.id, f.name, number(f.reward))).collect()
    };
    let mut results = vec![
        check("runtime.oracle_containment", breaks.is_empty(), json!({"exploits": breaks}), say(&breaks), fix(&breaks)),
        check("semantic.oracle_max", honest > 0.0, json!({"oracle_reward": honest}), vec![], Value::Null),
        check(
            "semantic.floor_gap",
            honest - null >= 0.1,
            json!({"oracle_reward": honest, "null_reward": null}),
            vec![],
            Value::Null,
        ),
        check("semantic.canary_floor", free.is_empty(), json!({"controls": report.controls}), say(&free), fix(&free)),
        check("semantic.no_solution_leakage", leaks.is_empty(), json!({"exploits": leaks}), say(&leaks), fix(&leaks)),
        check("semantic.verifier_determinism", steady, json!({"repeats": 3}), vec![], Value::Null),
        check("statistical.reward_reachability", honest > 0.0, json!({"oracle_reward": honest}), vec![], Value::Null),
        check(
            "statistical.adversarial_floor",
            all.is_empty(),
            json!({"exploits_tried": report.exploits_tried, "exploits_paid": all.len()}),
            say(&all),
            fix(&all),
        ),
        check(
            "statistical.gameability_gap",
            report.gameability_gap <= 0.0,
            json!({"gameability_gap": report.gameability_gap}),
            vec![],
            Value::Null,
        ),
    ];
    if let Some(first) = results.first_mut() {
        first["duration_s"] = json!(report.seconds);
    }
    // In policy v2 the gap alone is a warning; every other of these checks fails the report.
    let failed = |id: &str| results.iter().any(|r| r["status"] == "fail" && r["check_id"] == id);
    let hard = results.iter().any(|r| r["status"] == "fail" && r["check_id"] != "statistical.gameability_gap");
    let verdict = match (hard, failed("statistical.gameability_gap")) {
        (true, _) => "fail",
        (_, true) => "warn",
        _ => "pass",
    };
    let root = Path::new(&report.target);
    let signature = ["openenv.yaml", "task.toml"].into_iter().find(|f| root.join(f).is_file()).unwrap_or("task.md");
    json!({
        "report_schema_version": "2",
        "target": report.target,
        "source_digest": digest(root, &report.target),
        "signature": signature,
        "manifest": null,
        "policy_version": "v2",
        "lane": "hub",
        "levels_run": [2, 3, 4],
        "results": results,
        "verdict": verdict,
    })
}

fn findings(report: &Report, wanted: impl Fn(&crate::report::Finding) -> bool) -> Vec<String> {
    report.findings.iter().filter(|f| wanted(f)).map(|f| f.id.clone()).collect()
}

/// SHA-256 over sorted relative path, NUL, content, NUL; without links and what is no source. Of a file: its bytes;
/// of anything else: its name.
fn digest(root: &Path, target: &str) -> String {
    const NOT: [&str; 5] = [".git", "__pycache__", ".venv", ".worktrees", "outputs"];
    if root.is_file() {
        return hex(&std::fs::read(root).unwrap_or_default());
    }
    if !root.is_dir() {
        return hex(target.as_bytes());
    }
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() && !NOT.iter().any(|n| entry.file_name() == *n) {
                waiting.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(root).map(Path::to_path_buf).unwrap_or_default();
                files.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    let mut all = Vec::new();
    for (name, content) in files {
        all.extend(name.to_string_lossy().as_bytes());
        all.push(0);
        all.extend(content);
        all.push(0);
    }
    hex(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_fields_of_version_2_and_no_other() {
        let report = openenv(&crate::report::tests::sample());
        let mut keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "lane",
                "levels_run",
                "manifest",
                "policy_version",
                "report_schema_version",
                "results",
                "signature",
                "source_digest",
                "target",
                "verdict"
            ]
        );
        assert_eq!(report["verdict"], "fail");
        for result in report["results"].as_array().unwrap() {
            let id = result["check_id"].as_str().unwrap();
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.'), "{id}");
            assert!(["pass", "fail"].contains(&result["status"].as_str().unwrap()));
        }
    }
}
