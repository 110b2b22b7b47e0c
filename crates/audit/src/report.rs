//! What an audit found: the value that the table, the JSON, SARIF, HTML, OpenEnv and Inspect forms are made of.

use crate::library::Severity;
use loophole_env::Files;
use loophole_env::Hint;
use loophole_grade::{Family, OracleResult};
use serde::Serialize;
use std::collections::BTreeMap;

/// The outcome of one audit.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was audited.
    pub target: String,
    /// The task it was audited with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Its grader.
    pub grader: String,
    /// How the task was read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub read: String,
    /// The file and line where the grader's source begins, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(String, usize)>,
    /// Why nothing can be said about the holes that are not among the findings, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_audited: Option<String>,
    /// Reward of every control; `null` where the grader paid nothing at all (a crash, a time-out).
    pub controls: BTreeMap<&'static str, Option<f64>>,
    /// Proven holes.
    pub findings: Vec<Finding>,
    /// Best reward of a submission the oracle scores 0, less the best of the null controls.
    pub gameability_gap: f64,
    /// The reference in other forms, of which the grader pays less for it; no holes.
    pub unfair: Vec<Unfair>,
    /// Exploits that were run.
    pub exploits_tried: usize,
    /// Their names, in the order they were tried.
    pub exploits: Vec<String>,
    /// Exploits of the library that such a target cannot be given.
    pub exploits_not_applicable: usize,
    /// Combinations of exploits that were run.
    pub combinations_tried: usize,
    /// Exploits about which nothing is known, because the machine failed.
    pub invalid: Vec<String>,
    /// Signs of weakness seen without running anything; they prove nothing and are no findings.
    pub hints: Vec<Hint>,
    /// Every submission that was run.
    #[serde(skip)]
    pub runs: Vec<Run>,
    /// Wall time.
    pub seconds: f64,
}

/// An honest answer in another form, of which the grader pays less.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unfair {
    /// What the form is.
    pub form: String,
    /// What was paid.
    pub reward: Option<f64>,
    /// The answer.
    pub text: String,
}

/// One proven hole: a submission without a solution, and the grader pays it.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Id of the exploit (`EQ-01`), of several joined by `+`, or of a control (`CTL-empty`).
    pub id: String,
    /// Other exploits that came down to the same proof.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What it is.
    pub name: String,
    /// Its family.
    pub family: Family,
    /// How bad it is.
    pub severity: Severity,
    /// What the grader paid.
    pub reward: f64,
    /// The oracle, where there is one; otherwise the submission holds no solution by its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleResult>,
    /// The smallest submission found that is paid.
    pub proof: Proof,
    /// What was observed, in sentences.
    pub evidence: Vec<String>,
    /// What must be so for it to pay.
    pub needs: String,
    /// What it proves.
    pub proves: String,
    /// How to close it.
    pub fix: String,
    /// How often it was paid when it was run again.
    pub repeated: Repeated,
    /// BenchJack's classes.
    pub benchjack: Vec<String>,
    /// OpenEnv's checks.
    pub openenv: Vec<String>,
    /// What the grader said when it paid.
    pub transcript: String,
    /// The family that execution showed it to be of, where that can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributed: Option<Family>,
    /// Cost of the exploit in the plan.
    #[serde(skip)]
    pub cost: u32,
    /// Lines of the exploit that its proof does without.
    #[serde(skip)]
    pub cut: usize,
    /// Whether its proof ended the service that grades.
    #[serde(skip)]
    pub stops: bool,
}

/// A submission that proves a hole.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// Its files.
    pub files: Files,
}

/// How often a proof held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Times it was paid.
    pub paid: usize,
    /// Times it was run.
    pub of: usize,
}

/// One submission and what became of it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name of the control, or id of the exploit.
    pub id: String,
    /// Which of its forms, from 1.
    pub form: usize,
    /// The submission.
    pub files: Files,
    /// What was paid.
    pub reward: Option<f64>,
    /// Whether it solves the task, where that was asked.
    pub solved: Option<bool>,
    /// What the grader said.
    pub transcript: String,
    /// What was observed.
    pub evidence: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

impl Finding {
    /// Its line in a table.
    pub fn row(&self) -> String {
        let (family, severity) = (self.family.name(), self.severity.name());
        let also = if self.also.is_empty() { String::new() } else { format!(" (also {})", self.also.join(", ")) };
        format!("{:<8} {family:<15} {severity:<7} {:>6}  {}{also}", self.id, number(self.reward), self.name)
    }
}

impl Report {
    /// The reward of a control.
    pub fn control(&self, name: &str) -> Option<f64> {
        self.controls.get(name).copied().flatten()
    }

    /// The exploits that were paid, controls apart.
    pub fn paying(&self) -> Vec<&str> {
        let ids = self.findings.iter().flat_map(|f| std::iter::once(&f.id).chain(&f.also));
        ids.map(String::as_str).filter(|id| !id.starts_with("CTL-")).collect()
    }

    /// The table for a terminal, of lines at most `width` wide where that is possible.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut say = |line: String| {
            out.push_str(line.trim_end());
            out.push('\n');
        };
        let task = self.task.as_ref().map_or(String::new(), |t| format!(", task {t}"));
        let read = if self.read.is_empty() { String::new() } else { format!("; read as {}", self.read) };
        let all = self.exploits_tried + self.exploits_not_applicable;
        let which = format!("{} of {all} exploits apply", self.exploits_tried);
        say(format!("{}{task}: {}{read}; {which}", self.target, self.grader));
        if let Some(why) = &self.not_audited {
            say(format!("not audited, because {why}; what was found until then:"));
        }
        let controls: Vec<String> = crate::plan::CONTROLS
            .iter()
            .filter_map(|name| Some((name, self.controls.get(name)?)))
            .map(|(name, reward)| format!("{name} {}", reward.map_or("none".into(), number)))
            .collect();
        say(format!("controls  {}", controls.join(", ")));
        if !self.findings.is_empty() {
            say(String::new());
            say(format!("{:<8} {:<15} {:<7} {:>6}  {}", "id", "family", "", "reward", "what pays"));
        }
        for finding in &self.findings {
            say(finding.row());
            for line in finding.in_short() {
                say(format!("         {line}"));
            }
        }
        say(String::new());
        if !self.unfair.is_empty() {
            let forms: Vec<String> = self
                .unfair
                .iter()
                .map(|u| format!("{} ({})", u.form, u.reward.map_or("no reward".into(), number)))
                .collect();
            say(format!("unfair: the right answer is paid less {}", forms.join(", ")));
        }
        for hint in &self.hints {
            say(format!("hint: {} ({}, not proven)", hint.message, hint.id));
        }
        if !self.invalid.is_empty() {
            say(format!("invalid (the machine failed): {}", self.invalid.join(", ")));
        }
        let combined = match self.combinations_tried {
            0 => String::new(),
            n => format!(" and {n} combinations"),
        };
        say(format!(
            "{} by {} of {} exploits{combined}; gameability gap {}; {:.1} s",
            match self.findings.len() {
                0 => "no hole proven".to_string(),
                1 => "1 hole proven".to_string(),
                n => format!("{n} holes proven"),
            },
            self.paying().len(),
            self.exploits_tried,
            number(self.gameability_gap),
            self.seconds
        ));
        out
    }
}

impl Finding {
    /// The same submission, as one that ended the service.
    pub(crate) fn stopping(mut self) -> Finding {
        self.evidence = vec!["the service answered no more, and refuses connections".into()];
        self.family = Family::Resource;
        self.proves = "a submission can end the service".into();
        self.fix = "Run each submission in a process of its own that cannot reach the service, and start the service again when it ends.".into();
        self.severity = Severity::Medium;
        self.stops = true;
        self
    }

    /// Its proof, what was seen, and how to close it, in a few lines.
    fn in_short(&self) -> Vec<String> {
        let cut = |text: &str, most: usize| {
            let short: String = text.chars().take(most).collect();
            if short.len() < text.len() { format!("{short}...") } else { short }
        };
        let mut out = Vec::new();
        for (name, text) in &self.proof.files {
            let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
            match lines.as_slice() {
                [] => out.push(format!("proof    {name}: empty")),
                [only] => out.push(format!("proof    {}", cut(only, 100))),
                some => {
                    out.push(format!("proof    {}", cut(some[0], 100)));
                    out.extend(some.iter().skip(1).take(PROOF_LINES - 1).map(|l| format!("         {}", cut(l, 100))));
                    if some.len() > PROOF_LINES {
                        out.push(format!(
                            "         ... {} more lines in --json, --html and --repro",
                            some.len() - PROOF_LINES
                        ));
                    }
                }
            }
        }
        out.extend(self.evidence.first().map(|e| format!("seen     {}", cut(e, 160))));
        out.push(format!("fix      {}", self.fix));
        out
    }
}

/// Lines of a proof that a terminal is shown.
const PROOF_LINES: usize = 6;

/// A reward as short as it can be said.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with one finding, two runs and a hint.
    pub(crate) fn sample() -> Report {
        let files = Files::from([("solution.py".to_string(), "class Same: ...\ndef f(): return Same()\n".to_string())]);
        let run = |id: &str, reward, solved| Run {
            id: id.into(),
            form: 1,
            files: files.clone(),
            reward,
            solved,
            transcript: "said".into(),
            evidence: vec!["seen".into()],
            seconds: 0.1,
        };
        Report {
            target: "tasks.jsonl".into(),
            task: Some("t1".into()),
            grader: "script (open: equality)".into(),
            read: String::new(),
            place: None,
            not_audited: None,
            unfair: vec![Unfair { form: "in \\boxed{}".into(), reward: Some(0.0), text: "\\boxed{1}".into() }],
            exploits: vec!["EQ-01".into()],
            controls: [("honest", Some(1.0)), ("empty", Some(0.0)), ("hanging", None)].into(),
            findings: vec![Finding {
                id: "EQ-01".into(),
                also: vec!["EQ-03".into()],
                name: "an object that equals everything".into(),
                family: Family::Equality,
                severity: Severity::High,
                reward: 1.0,
                oracle: Some(OracleResult { passed: 0, total: 6 }),
                proof: Proof { files: files.clone() },
                evidence: vec!["paid".into()],
                needs: "n".into(),
                proves: "p".into(),
                fix: "x".into(),
                repeated: Repeated { paid: 3, of: 3 },
                benchjack: vec!["V5".into()],
                openenv: vec!["statistical.adversarial_floor".into()],
                transcript: String::new(),
                attributed: None,
                cost: 1,
                cut: 0,
                stops: false,
            }],
            gameability_gap: 1.0,
            exploits_tried: 70,
            exploits_not_applicable: 60,
            combinations_tried: 0,
            invalid: Vec::new(),
            hints: vec![Hint { id: "exit-status", message: "m".into() }],
            runs: vec![run("honest", Some(1.0), Some(true)), run("EQ-01", Some(1.0), Some(false))],
            seconds: 1.0,
        }
    }

    #[test]
    fn the_table_says_it_all() {
        let table = sample().table();
        for part in [
            "honest 1, empty 0, hanging none",
            "EQ-01    equality",
            "(also EQ-03)",
            "hint: m",
            "1 hole proven by 2 of 70 exploits; gameability gap 1",
            "70 of 130 exploits apply",
            "proof    class Same: ...",
            "fix      x",
            "unfair: the right answer is paid less in \\boxed{} (0)",
        ] {
            assert!(table.contains(part), "{part:?} is missing in\n{table}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (number(1.0), number(0.5), number(-0.0), number(1.0 / 3.0)),
            ("1".into(), "0.5".into(), "0".into(), "0.333".into())
        );
    }
}
