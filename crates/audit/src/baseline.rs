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
    unfair: BTreeSet<(String, Option<String>, String)>,
}

/// A report beside an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    /// Findings that were not there.
    pub new: Vec<String>,
    /// Findings that were there, and still are.
    pub open: Vec<String>,
    /// Findings that are no more.
    pub closed: Vec<String>,
    /// Honest answers that were paid, and are paid less now.
    pub unfair: Vec<String>,
}

#[derive(Deserialize)]
struct Earlier {
    target: String,
    #[serde(default)]
    task: Option<String>,
    findings: Vec<Known>,
    #[serde(default)]
    unfair: Vec<Form>,
}

#[derive(Deserialize)]
struct Form {
    form: String,
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
            for unfair in report.unfair {
                baseline.unfair.insert((report.target.clone(), report.task.clone(), unfair.form));
            }
            for finding in report.findings {
                for id in finding.also.into_iter().chain([finding.id]) {
                    baseline.known.insert((report.target.clone(), report.task.clone(), id));
                }
            }
        }
        Ok(baseline)
    }

    /// What has changed since.
    pub fn compare(&self, report: &Report) -> Compared {
        let of = |name: &str| (report.target.clone(), report.task.clone(), name.to_string());
        let here: Vec<&String> = report.findings.iter().flat_map(|f| std::iter::once(&f.id).chain(&f.also)).collect();
        let was = |f: &&crate::Finding| std::iter::once(&f.id).chain(&f.also).any(|id| self.known.contains(&of(id)));
        let (open, new): (Vec<_>, Vec<_>) = report.findings.iter().partition(was);
        let ids = |findings: Vec<&crate::Finding>| findings.into_iter().map(|f| f.id.clone()).collect();
        let ours = self.known.iter().filter(|(target, task, _)| (target, task) == (&report.target, &report.task));
        let closed = ours.map(|(_, _, id)| id.clone()).filter(|id| !here.contains(&id)).collect();
        let unfair = report.unfair.iter().map(|u| u.form.clone()).filter(|form| !self.unfair.contains(&of(form)));
        Compared { new: ids(new), open: ids(open), closed, unfair: unfair.collect() }
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
        let same = baseline.compare(&report);
        assert_eq!((same.new.len(), same.open.as_slice(), same.closed.len()), (0, ["EQ-01".to_string()].as_slice(), 0));
        let mut other = report.clone();
        other.findings[0].id = "EQ-02".into();
        other.findings[0].also.clear();
        other.unfair[0].form = "bare".into();
        let changed = baseline.compare(&other);
        assert_eq!((changed.new, changed.open), (vec!["EQ-02".to_string()], Vec::new()));
        assert_eq!((changed.closed, changed.unfair), (vec!["EQ-01".into(), "EQ-03".into()], vec!["bare".to_string()]));
        other.target = "another".into();
        assert!(baseline.compare(&other).closed.is_empty());
        std::fs::write(&path, "{\"x\": 1}").unwrap();
        assert!(Baseline::read(&path).unwrap_err().to_string().contains("--json"));
    }
}
