//! Findings that are known and accepted.

use crate::AuditError;
use crate::report::Report;
use loophole_env::LARGEST_FILE;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Findings of an earlier report, by target, task and id.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    known: BTreeSet<(String, Option<String>, String)>,
}

#[derive(Deserialize)]
struct Earlier {
    target: String,
    #[serde(default)]
    task: Option<String>,
    findings: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    id: String,
    #[serde(default)]
    also: Vec<String>,
}

impl Baseline {
    /// Reads what `loophole audit --json` printed: one report a line, or a JSON object over many lines.
    ///
    /// # Errors
    /// [`AuditError::Input`] if it is not that.
    pub fn read(path: &Path) -> Result<Baseline, AuditError> {
        let wrong = |why: String| {
            AuditError::Input(format!("{}: {why}; a baseline is what `loophole audit --json` printed", path.display()))
        };
        let text = loophole_foreign::read_text(path, LARGEST_FILE).map_err(|e| wrong(e.to_string()))?;
        let mut baseline = Baseline::default();
        for report in serde_json::Deserializer::from_str(&text).into_iter::<Earlier>() {
            let report = report.map_err(|e| wrong(e.to_string()))?;
            for finding in report.findings {
                for id in finding.also.into_iter().chain([finding.id]) {
                    baseline.known.insert((report.target.clone(), report.task.clone(), id));
                }
            }
        }
        Ok(baseline)
    }

    /// Ids of the findings that are not known.
    pub fn new_ones<'r>(&self, report: &'r Report) -> Vec<&'r str> {
        let known = |id: &str| self.known.contains(&(report.target.clone(), report.task.clone(), id.to_string()));
        report.findings.iter().map(|f| f.id.as_str()).filter(|id| !known(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_findings_are_known_and_others_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known.json");
        let report = crate::report::tests::sample();
        std::fs::write(&path, serde_json::to_string(&report).unwrap() + "\n").unwrap();
        let baseline = Baseline::read(&path).unwrap();
        assert!(baseline.new_ones(&report).is_empty());
        let mut other = report.clone();
        other.findings[0].id = "EQ-02".into();
        assert_eq!(baseline.new_ones(&other), ["EQ-02"]);
        other.target = "another".into();
        assert_eq!(baseline.new_ones(&report), Vec::<&str>::new());
        std::fs::write(&path, "{\"x\": 1}").unwrap();
        assert!(Baseline::read(&path).unwrap_err().to_string().contains("--json"));
    }
}
