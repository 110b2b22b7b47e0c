//! From what was paid to a finding.

use super::controls::Base;
use crate::library::{Exploit, Severity};
use crate::report::{Finding, Proof, Repeated, number};
use loophole_env::{Files, Judgement, Payment, Surface};
use loophole_grade::Family;

/// What a success of an exploit claims.
pub(super) struct Claim<'e> {
    id: String,
    name: String,
    family: Family,
    severity: Severity,
    needs: String,
    proves: String,
    fix: String,
    cost: u32,
    benchjack: &'e [String],
    openenv: &'e [String],
}

impl<'e> Claim<'e> {
    pub(super) fn of(e: &'e Exploit) -> Claim<'e> {
        Claim {
            id: e.id.clone(),
            name: e.name.clone(),
            family: e.family,
            severity: e.severity,
            needs: e.needs.clone(),
            proves: e.proves.clone(),
            fix: e.fix.clone(),
            cost: e.cost,
            benchjack: &e.benchjack,
            openenv: &e.openenv,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn of_two(a: &'e Exploit, b: &'e Exploit) -> Claim<'e> {
        let and = |x: &str, y: &str| if x == y { x.to_string() } else { format!("{x} {y}") };
        Claim {
            id: format!("{}+{}", a.id, b.id),
            name: format!("{}, with {}", a.name, b.name),
            needs: format!("{}; and {}", a.needs, b.needs),
            proves: format!("{}; together with: {}", a.proves, b.proves),
            fix: and(&a.fix, &b.fix),
            ..Claim::of(a)
        }
    }

    pub(super) fn of_control(name: &str, surface: Surface) -> Claim<'static> {
        let (family, what, fix) = match name {
            "empty" => (Family::SpecGaming, "a submission that is empty", "An empty submission must fail."),
            "constant" => (Family::HardCoding, "a constant", "Add cases whose answers differ."),
            "echo" => (Family::SpecGaming, "its own input, handed back", "Add cases whose answer is not their input."),
            "slow" => (
                Family::Timing,
                "the slow baseline as it is",
                "Pay for what is faster than the baseline, measured where the submission cannot reach the clock.",
            ),
            _ if surface == Surface::Text => (
                Family::SpecGaming,
                "an answer that is wrong",
                "Compare with the expected answer; do not reward form by itself.",
            ),
            _ => (
                Family::HardCoding,
                "answers that are all wrong",
                "Compare values, types included; a test that no wrong answer fails is none.",
            ),
        };
        Claim {
            id: format!("CTL-{name}"),
            name: what.into(),
            family,
            severity: Severity::High,
            needs: "nothing at all".into(),
            proves: format!("the grader pays {what}"),
            fix: fix.into(),
            cost: 0,
            benchjack: &[],
            openenv: &[],
        }
    }

    pub(super) fn finding(
        self,
        reward: f64,
        judged: &Judgement,
        files: Files,
        paid: &Payment,
        repeated: Repeated,
        base: &Base,
    ) -> Finding {
        let partly = base.share(reward) < 0.99;
        let or = |list: &[String], default: &[&str]| -> Vec<String> {
            if list.is_empty() { default.iter().map(|s| s.to_string()).collect() } else { list.to_vec() }
        };
        Finding {
            severity: if partly { self.severity.min(Severity::Medium) } else { self.severity },
            benchjack: or(self.benchjack, &["V6"]),
            openenv: or(self.openenv, &["semantic.floor_gap", "semantic.canary_floor"]),
            id: self.id,
            also: Vec::new(),
            attributed: judged.family,
            cost: self.cost,
            cut: 0,
            stops: false,
            name: self.name,
            family: self.family,
            reward,
            oracle: judged.oracle,
            proof: Proof { files },
            evidence: evidence(reward, judged, repeated, base),
            needs: self.needs,
            proves: self.proves,
            fix: self.fix,
            repeated,
            transcript: paid.transcript.clone(),
        }
    }
}

impl Finding {
    /// The same with what a full judgement saw of its proof.
    pub(super) fn seen(self, judged: &Judgement, base: &Base) -> Finding {
        Finding {
            attributed: judged.family,
            oracle: judged.oracle,
            evidence: evidence(self.reward, judged, self.repeated, base),
            ..self
        }
    }
}

/// What was observed, in sentences.
fn evidence(reward: f64, judged: &Judgement, repeated: Repeated, base: &Base) -> Vec<String> {
    let (paid, honest) = (number(reward), number(base.honest));
    let mut evidence = vec![match judged.oracle {
        Some(o) => {
            format!("the grader paid {paid} of {honest}, and the oracle passed {} of {} tests", o.passed, o.total)
        }
        None => format!("the grader paid {paid} of {honest} for a submission that holds no solution"),
    }];
    // How many processes were still alive at the end is a matter of moments; the rest is the same every time.
    evidence.extend(judged.evidence.iter().filter(|line| !line.starts_with("left ")).cloned());
    if repeated.paid < repeated.of {
        evidence.push(format!("not steady: paid {} of {} times", repeated.paid, repeated.of));
    }
    evidence
}
