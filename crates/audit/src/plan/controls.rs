//! What must be paid, and what must not.

use super::claim::Claim;
use super::parallel::parallel;
use super::{CLOSE, Event, Known, Listener, Options, Plan};
use crate::AuditError;
use crate::report::{Finding, Run, number};
use loophole_env::{Control, Payment, Surface};
use std::collections::BTreeMap;

/// Controls whose best reward exploits must exceed.
const NULL: [&str; 4] = ["empty", "constant", "echo", "slow"];

/// Controls that are findings where they are paid.
const UNDESERVING: [&str; 5] = ["empty", "constant", "echo", "wrong", "slow"];

/// What the controls were paid.
pub(super) struct Base {
    pub rewards: BTreeMap<&'static str, Option<f64>>,
    pub honest: f64,
    /// What is paid for nothing at all; at most 0.
    pub floor: f64,
    pub best_null: f64,
    /// Null controls that were paid.
    paid: Vec<(&'static str, Payment)>,
}

impl Base {
    /// How much of the honest reward this one is, from 0 to 1.
    pub fn share(&self, reward: f64) -> f64 {
        (reward - self.floor) / (self.honest - self.floor)
    }

    /// Null controls that were paid more than the oracle grants them.
    pub fn findings(&self, plan: &Plan) -> Result<Vec<Finding>, AuditError> {
        let mut out = Vec::new();
        for (name, paid) in &self.paid {
            let Some(control) = plan.target.description().controls.iter().find(|c| c.name == *name) else { continue };
            let judged = plan.target.judge_briefly(&control.files)?;
            let reward = paid.reward.unwrap_or(self.floor);
            if judged.solved || self.share(reward) <= judged.share() + 0.01 {
                continue;
            }
            let surface = plan.target.description().about.surface;
            // Without an oracle, a part of the reward may be for what is right in part.
            if judged.oracle.is_none() && surface != Surface::Agent && self.share(reward) < 0.99 {
                continue;
            }
            let repeated = plan.repeat(&control.files, reward, judged.paid)?;
            out.push(Claim::of_control(name, surface).finding(
                reward,
                &judged,
                control.files.clone(),
                paid,
                repeated,
                self,
            ));
        }
        Ok(out)
    }
}

/// Runs the controls: the reference must be paid, and all must come out the same again.
pub(super) fn controls(known: &Known, options: &Options, listen: Listener) -> Result<(Base, Vec<Run>), AuditError> {
    let target = known.target;
    // The reference three times and the others twice: a grader that does not repeat itself proves nothing.
    let twice: Vec<&Control> = target
        .description()
        .controls
        .iter()
        .filter(|c| c.name != "hanging")
        .flat_map(|c| std::iter::repeat_n(c, if c.name == "honest" { 3 } else { 2 }))
        .collect();
    listen(Event::Stage("controls", twice.len()));
    let done = parallel(options.jobs, &twice, listen, |control| Ok(target.pay(&control.files)?))?;
    let mut seen: BTreeMap<&'static str, Payment> = BTreeMap::new();
    let mut runs = Vec::new();
    for (control, paid) in twice.iter().zip(done) {
        possible(control, &paid)?;
        match seen.get(control.name) {
            // That a run was out of time now and not before says something of the machine.
            Some(first)
                if first.reward.is_none() != paid.reward.is_none() && (out_of_time(first) || out_of_time(&paid)) =>
            {
                return Err(AuditError::NotAuditable(format!(
                    "the control `{}` was out of time in one of its runs and not in the others; allow more with --timeout",
                    control.name
                )));
            }
            Some(first) if !same(first.reward, paid.reward) => {
                let say = |r: Option<f64>| r.map_or("no reward".into(), number);
                return Err(AuditError::NotAuditable(format!(
                    "its grader is not deterministic: the control `{}` got {} and then {}",
                    control.name,
                    say(first.reward),
                    say(paid.reward)
                )));
            }
            Some(_) => {}
            None => {
                runs.push(run_of(control, &paid));
                seen.insert(control.name, paid);
            }
        }
    }
    let rewards: BTreeMap<&'static str, Option<f64>> = seen.iter().map(|(name, paid)| (*name, paid.reward)).collect();
    let nothing: Vec<f64> = seen.iter().filter(|(n, _)| **n != "honest").filter_map(|(_, p)| p.reward).collect();
    let floor = nothing.iter().copied().fold(0.0, f64::min);
    let honest = seen.get("honest");
    let reward = honest.and_then(|p| p.reward).unwrap_or(f64::NAN);
    if reward.is_nan() || reward <= floor + CLOSE {
        let told = honest.map(|p| tail(&p.transcript)).unwrap_or_default();
        let paid = if reward.is_nan() { "gets no reward".into() } else { format!("is paid {reward}") };
        let asks = honest.is_some_and(|p| asks_a_service(&p.transcript));
        let why = if asks {
            "it asks another machine (a judge behind an API, a download?), and a cell has no network; "
        } else {
            ""
        };
        return Err(AuditError::NotAuditable(format!("{why}its reference {paid}; the grader said: {told}")));
    }
    if let Some(why) = neutral(&rewards) {
        return Err(AuditError::NotAuditable(why));
    }
    // A service that has nothing to say to what deserves nothing may have stopped.
    let silent = twice.iter().any(|c| c.name != "raising" && seen.get(c.name).is_some_and(|p| p.reward.is_none()));
    if silent && target.description().about.tags.contains(&"service") && known.honest()?.reward.is_none() {
        return Err(AuditError::NotAuditable("the service stopped answering while the controls were run".into()));
    }
    let null = |name: &str| seen.get(name).and_then(|p| p.reward);
    let least = floor.max(target.paid_for_form());
    let best_null = NULL.iter().filter_map(|n| null(n)).fold(least, f64::max);
    let paid = UNDESERVING
        .iter()
        .filter(|n| null(n).is_some_and(|r| r > least + CLOSE))
        .filter_map(|n| seen.get(n).map(|p| (*n, p.clone())))
        .collect();
    Ok((Base { rewards, honest: reward, floor, best_null, paid }, runs))
}

/// The control that never ends; it is run once.
pub(super) fn hanging(known: &Known) -> Result<Option<Run>, AuditError> {
    let Some(control) = known.target.description().controls.iter().find(|c| c.name == "hanging") else {
        return Ok(None);
    };
    let paid = known.pay(&control.files)?;
    possible(control, &paid)?;
    Ok(Some(run_of(control, &paid)))
}

/// Without the controls nothing can be said.
fn possible(control: &Control, paid: &Payment) -> Result<(), AuditError> {
    if paid.valid {
        return Ok(());
    }
    let (name, told) = (control.name, tail(&paid.transcript));
    Err(AuditError::NotAuditable(format!("the machine failed while the control `{name}` was run: {told}")))
}

fn out_of_time(paid: &Payment) -> bool {
    paid.transcript.lines().next().is_some_and(|line| line.contains("out of time") || line.contains("out of CPU time"))
}

/// Why nothing can be learnt where a part of the full reward is paid to everybody alike: that is what a judge who is not
/// there is worth to those who ask it. (The full reward for everybody is a hole, whoever gives it.)
fn neutral(rewards: &BTreeMap<&'static str, Option<f64>>) -> Option<String> {
    let paid = rewards.get("honest").copied().flatten().filter(|paid| *paid > CLOSE && *paid < 1.0 - CLOSE)?;
    let alike = |name| rewards.get(name).is_none_or(|other| same(*other, Some(paid)));
    let all = rewards.contains_key("empty") && UNDESERVING.into_iter().all(alike);
    all.then(|| {
        format!(
            "its reference, what is empty and what is wrong are all paid {}: it tells nothing apart (a judge, or a program that it asks, may not be there)",
            number(paid)
        )
    })
}

/// Whether what a grader said shows that it wanted to reach another machine.
fn asks_a_service(transcript: &str) -> bool {
    let signs = [
        "name resolution",
        "Could not resolve",
        "Temporary failure resolving",
        "Name or service not known",
        "Network is unreachable",
        "APIConnectionError",
        "Connection error",
        "ConnectError",
        "api_key",
        "API key",
        "API_KEY",
    ];
    signs.iter().any(|sign| transcript.contains(sign))
}

fn run_of(control: &Control, paid: &Payment) -> Run {
    Run {
        id: control.name.into(),
        form: 1,
        files: control.files.clone(),
        reward: paid.reward,
        solved: (control.name == "honest").then_some(true),
        transcript: paid.transcript.clone(),
        evidence: Vec::new(),
        seconds: paid.seconds,
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= CLOSE,
        (None, None) => true,
        _ => false,
    }
}

/// How a grader ended and the last of what it said, on one line.
pub(super) fn tail(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let lines: Vec<String> = lines.map(|l| l.chars().take(160).collect()).collect();
    match lines.as_slice() {
        [] => "nothing".into(),
        [first, .., a, b, c, d, e] => [first, a, b, c, d, e].map(String::as_str).join(" | "),
        few => few.join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_part_for_everybody_tells_nothing() {
        let of = |paid: [Option<f64>; 4]| {
            let names = ["honest", "empty", "wrong", "raising"];
            neutral(&names.into_iter().zip(paid).collect()).is_some()
        };
        for (paid, wanted) in [
            ([Some(0.5), Some(0.5), Some(0.5), None], true),
            ([Some(0.5), Some(0.5), Some(0.0), None], false),
            ([Some(0.5), None, Some(0.5), None], false),
            ([Some(1.0), Some(1.0), Some(1.0), Some(1.0)], false),
            ([Some(0.0), Some(0.0), Some(0.0), Some(0.0)], false),
        ] {
            assert_eq!(of(paid), wanted, "{paid:?}");
        }
    }
}
