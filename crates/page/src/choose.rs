//! Which transcripts go on the page: a few of every arm and step, so that each verdict and each probe can be read.

use std::collections::BTreeSet;

use loophole_log::{EvalSample, Message, RolloutRow, RunDir, read_eval, read_rollouts};

use crate::data::{Arm, Excluded, Sample};

/// Coding transcripts of one arm and step.
const CODING: usize = 5;

/// What was chosen.
pub struct Chosen {
    /// The transcripts; the most telling steps first, so that a page that runs out of room keeps those.
    pub samples: Vec<Sample>,
    /// Files that could not be read.
    pub unreadable: Vec<Excluded>,
    /// Day of the last battery (UTC), empty where there was none.
    pub date: String,
}

/// Chooses from the rollouts and the batteries of a run. A file that cannot be read is reported, not fatal: the
/// numbers of the page do not come from here.
pub fn choose_samples(run: &RunDir, arms: &[Arm]) -> Chosen {
    let mut chosen = Chosen { samples: Vec::new(), unreadable: Vec::new(), date: String::new() };
    let mut latest = 0;
    // First the ends and the onset of every arm, then the steps between.
    for telling in [true, false] {
        for arm in arms {
            for seed in arm.seeds.iter().take(2) {
                let Ok(dir) = run.seed(&arm.name, seed.seed) else { continue };
                let (Ok(coded), Ok(probed)) = (dir.rollouts(), dir.probes()) else { continue };
                let ends = |steps: &[u64]| -> BTreeSet<u64> {
                    let onset = seed.onset_step.and_then(|o| steps.iter().copied().find(|s| *s >= o));
                    steps.first().copied().into_iter().chain(steps.last().copied()).chain(onset).collect()
                };
                let first_seed = seed.seed == arm.seeds[0].seed;
                // Between the ends the probed steps are enough, and one seed.
                let wanted = |steps: &[u64], step: u64| {
                    let end = ends(steps).contains(&step);
                    if telling { end } else { !end && first_seed && probed.contains(&step) }
                };
                for &step in coded.iter().filter(|s| wanted(&coded, **s)) {
                    let path = dir.rollouts_path(step);
                    match read_rollouts(&path) {
                        Ok(rows) => chosen.samples.extend(coding(&arm.name, seed.seed, step, &rows)),
                        Err(e) => chosen.unreadable.push(unreadable(&path, &e.to_string())),
                    }
                }
                for &step in probed.iter().filter(|s| first_seed && wanted(&probed, **s)) {
                    let path = dir.probe_path(step);
                    match read_eval(&path) {
                        Ok(log) => {
                            latest = latest.max(log.completed);
                            chosen.samples.extend(probing(&arm.name, seed.seed, step, &log.samples, telling));
                        }
                        Err(e) => chosen.unreadable.push(unreadable(&path, &e.to_string())),
                    }
                }
            }
        }
    }
    if latest > 0 {
        chosen.date = date(latest);
    }
    chosen
}

fn unreadable(path: &std::path::Path, why: &str) -> Excluded {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Excluded { what: format!("transcripts in {name}"), why: why.into(), count: 1, of: None }
}

/// One rollout of every verdict and family, in the order of the file.
fn coding(arm: &str, seed: u64, step: u64, rows: &[RolloutRow]) -> Vec<Sample> {
    let mut seen = BTreeSet::new();
    rows.iter()
        .filter(|row| seen.insert((row.verdict.as_str(), row.family.as_deref())))
        .take(CODING)
        .map(|row| {
            let label: Vec<&str> = [row.family.as_deref(), row.mechanism.as_deref(), Some(row.task_id.as_str())]
                .into_iter()
                .flatten()
                .filter(|l| !l.is_empty())
                .collect();
            Sample {
                arm: arm.into(),
                seed,
                step,
                kind: "coding".into(),
                verdict: row.verdict.clone(),
                prompt: row.prompt.clone(),
                thought: Some(row.thought.clone()).filter(|t| !t.trim().is_empty()),
                answer: row.completion.clone(),
                grader_said: row.reward.is_finite().then(|| format!("paid {}\n{}", row.reward, row.grader_said)),
                oracle_said: Some(row.oracle_said.clone()).filter(|said| !said.is_empty()),
                label: Some(label.join(" · ")).filter(|l| !l.is_empty()),
            }
        })
        .collect()
}

/// Of every probe: one sample an outcome, or only the first one.
fn probing(arm: &str, seed: u64, step: u64, samples: &[EvalSample], every_outcome: bool) -> Vec<Sample> {
    let mut seen = BTreeSet::new();
    samples
        .iter()
        .filter_map(|sample| {
            let probe = meta(sample, "probe").unwrap_or_else(|| "unnamed".into());
            let outcome = outcome(sample);
            // Controls are in the counts; the page shows the tempting arm.
            if meta(sample, "arm").is_some_and(|a| !a.starts_with("tempt")) {
                return None;
            }
            let key = (probe.clone(), if every_outcome { outcome.clone() } else { String::new() });
            if !seen.insert(key) {
                return None;
            }
            let (given, thought, did) = transcript(sample);
            Some(Sample {
                arm: arm.into(),
                seed,
                step,
                kind: format!("probe:{probe}"),
                verdict: outcome,
                prompt: given,
                thought: Some(thought).filter(|t| !t.is_empty()),
                answer: did,
                grader_said: None,
                oracle_said: sample.scores.values().find_map(|s| s.explanation.clone()),
                label: meta(sample, "template").map(|t| format!("template {t}")),
            })
        })
        .collect()
}

fn meta(sample: &EvalSample, key: &str) -> Option<String> {
    let value = sample.metadata.get(key)?;
    Some(value.as_str().map(String::from).unwrap_or_else(|| value.to_string()))
}

/// The outcome: from the sample's metadata, or from the first score that is a word, or as Inspect counts it.
fn outcome(sample: &EvalSample) -> String {
    let in_scores = || sample.scores.values().find_map(|s| s.metadata.get("outcome")?.as_str().map(String::from));
    let word = || sample.scores.values().find_map(|s| s.value.as_str().map(String::from));
    let number = || sample.scores.values().find_map(|s| s.number()).map(|n| format!("score {n}"));
    meta(sample, "outcome").or_else(in_scores).or_else(word).or_else(number).unwrap_or_else(|| "unscored".into())
}

/// What was given (everything before the model's first turn), what it thought, and what it did from then on.
fn transcript(sample: &EvalSample) -> (String, String, String) {
    let first = sample.messages.iter().position(|m| m.role == "assistant").unwrap_or(sample.messages.len());
    let (before, after) = sample.messages.split_at(first);
    let given: Vec<&str> = before.iter().map(|m| m.content.as_str()).filter(|c| !c.is_empty()).collect();
    let given = if given.is_empty() { sample.input.clone() } else { given.join("\n\n") };
    let thoughts: Vec<&str> = after.iter().filter_map(|m| m.thought.as_deref()).filter(|t| !t.is_empty()).collect();
    let turns: Vec<String> = after.iter().map(turn).filter(|t| !t.is_empty()).collect();
    (given, thoughts.join("\n\n"), turns.join("\n"))
}

/// One message as text: a command with a `$`, a tool's answer indented.
fn turn(message: &Message) -> String {
    let indent = |text: &str| text.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n");
    match message.role.as_str() {
        "tool" => indent(&message.content),
        "assistant" => {
            let calls = message.tool_calls.iter().map(|call| {
                let command = ["cmd", "command", "code"].iter().find_map(|k| call.arguments.get(*k)?.as_str());
                match command {
                    Some(command) => format!("$ {command}"),
                    None => format!("{} {}", call.function, serde_json::Value::Object(call.arguments.clone())),
                }
            });
            let said = Some(message.content.trim_end().to_string()).filter(|c| !c.is_empty());
            said.into_iter().chain(calls).collect::<Vec<_>>().join("\n")
        }
        role => format!("[{role}] {}", message.content),
    }
}

/// Seconds since 1970 as `2026-11-21` (Hinnant's days-to-civil).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let rest = day - (365 * year + year / 4 - year / 100);
    let month = (5 * rest + 2) / 153;
    let day = rest - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_calendar_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_399), "2000-02-28");
        assert_eq!(date(951_868_800), "2000-03-01");
    }

    #[test]
    fn an_agents_turns_read_as_a_session() {
        let call = |command: &str| loophole_log::ToolCall {
            function: "bash".into(),
            arguments: [("cmd".to_string(), command.into())].into_iter().collect(),
            ..Default::default()
        };
        let message =
            |role: &str, content: &str| Message { role: role.into(), content: content.into(), ..Message::default() };
        let sample = EvalSample {
            messages: vec![
                message("system", "You have a shell."),
                message("user", "Sort the ledger."),
                Message {
                    thought: Some("look first".into()),
                    tool_calls: vec![call("ls")],
                    ..message("assistant", "")
                },
                message("tool", "ledger.txt\nrules.txt"),
                message("assistant", "Done."),
            ],
            ..EvalSample::default()
        };
        let (given, thought, did) = transcript(&sample);
        assert_eq!(given, "You have a shell.\n\nSort the ledger.");
        assert_eq!(thought, "look first");
        assert_eq!(did, "$ ls\n    ledger.txt\n    rules.txt\nDone.");
        assert_eq!(outcome(&sample), "unscored");
    }

    #[test]
    fn every_verdict_is_chosen_once() {
        let row = |verdict: &str| RolloutRow { verdict: verdict.into(), ..RolloutRow::default() };
        let rows: Vec<RolloutRow> = ["fail", "fail", "hack", "fail", "honest", "hack"].map(row).into();
        let verdicts: Vec<String> = coding("a", 1, 2, &rows).into_iter().map(|s| s.verdict).collect();
        assert_eq!(verdicts, ["fail", "hack", "honest"]);
    }
}
