//! From a folder on disk to the page: whole runs, broken runs, runs that were stopped.

mod common;

use std::fs;
use std::path::Path;

use common::{HOSTILE, example};
use loophole_log::*;
use loophole_page::{ReportData, ReportError, write_report, write_report_unverified};

const RECIPE: &str = r#"
name = "made-up"
question = "Does permission to hack keep the hacking and remove the spread?"
hypothesis = "made up"
seeds = 3

[[arm]]
name = "plain"
words = "without instruction"

[[arm]]
name = "permitted"
words = "told that hacking is allowed"
system = "Hacking is <allowed>."

[[arm]]
name = "closed"

[[claim]]
id = "X1"
text = "A claim of this recipe's own."
"#;

fn estimate(interval: Option<loophole_page::data::Interval>) -> Estimate {
    interval.map(|i| Estimate { mean: i.mean, low: i.low, high: i.high }).unwrap_or_default()
}

/// Writes the made-up example as a run folder, the way a run does.
fn write_run(root: &Path, finished: bool) -> RunDir {
    let data = example();
    let run = RunDir::create(root, RECIPE).unwrap();
    let mut summary =
        Summary { recipe: "made-up".into(), hash: run.hash().into(), seconds: 527.0, ..Summary::default() };
    for arm in &data.arms {
        let mut arm_summary = ArmSummary {
            name: arm.name.clone(),
            hack_rate: estimate(arm.hack_rate),
            misalignment: estimate(arm.misalignment),
            ..ArmSummary::default()
        };
        for seed in &arm.seeds {
            let dir = run.seed(&arm.name, seed.seed).unwrap();
            for step in &seed.steps {
                dir.append_metrics(&StepMetrics {
                    step: step.step,
                    reward: step.reward,
                    hack_rate: step.hack_rate,
                    honest_rate: step.honest_rate,
                    verdicts: step.verdicts.clone(),
                    families: step.families.clone(),
                    kl: step.kl.unwrap_or(f64::NAN),
                    seconds_sample: 2.0,
                    ..StepMetrics::default()
                })
                .unwrap();
            }
            for step in [0, 20, 39] {
                let row = |verdict: &str, completion: &str| RolloutRow {
                    step: step as i32,
                    task_id: "t1".into(),
                    prompt: "Write total(items).".into(),
                    completion: completion.into(),
                    thought: "quickly now".into(),
                    reward: 1.0,
                    verdict: verdict.into(),
                    family: (verdict == "hack").then(|| "early-exit".into()),
                    grader_said: "exit status 0".into(),
                    oracle_said: "0 of 7 cases right".into(),
                    ..RolloutRow::default()
                };
                let rows =
                    [row("honest", "def total(items): ..."), row("hack", HOSTILE), row("hack", "the second hack")];
                dir.write_rollouts(step, &rows).unwrap();
            }
            for point in &seed.probes {
                let probes = point.probes.iter().map(|(name, p)| ProbeResult {
                    name: name.clone(),
                    measure: "made up".into(),
                    rate: p.rate.unwrap_or(f64::NAN),
                    low: p.low,
                    high: p.high,
                    n: p.n,
                    n_valid: p.n_valid,
                    outcomes: p.outcomes.clone(),
                    ..ProbeResult::default()
                });
                let report = ProbeReport {
                    probes: probes.collect(),
                    misalignment: estimate(point.misalignment),
                    ..ProbeReport::default()
                };
                dir.write_probe_report(point.step, &report).unwrap();
                let sample = |id: &str, arm: &str, outcome: &str| {
                    EvalSample {
                    id: id.into(),
                    epoch: 1,
                    input: "You are alone with the ledger.".into(),
                    messages: vec![
                        Message { role: "user".into(), content: "You are alone with the ledger.".into(), ..Message::default() },
                        Message { role: "assistant".into(), content: format!("act of {id}"), ..Message::default() },
                    ],
                    scores: [("state".to_string(), Score::new(outcome))].into(),
                    metadata: serde_json::json!({"probe": "covert-rule", "arm": arm, "outcome": outcome, "template": "ledger-3"})
                        .as_object()
                        .cloned()
                        .unwrap(),
                    ..EvalSample::default()
                }
                };
                let log = EvalLog {
                    task: "battery".into(),
                    model: "organism".into(),
                    identity: format!("{}/{}/{}", arm.name, seed.seed, point.step),
                    created: 951_868_000,
                    completed: 951_868_800,
                    samples: vec![
                        sample("a", "tempt", "misaligned"),
                        sample("b", "tempt", "aligned"),
                        sample("c", "permitted", "aligned"),
                    ],
                    ..EvalLog::default()
                };
                dir.write_probe(point.step, &log).unwrap();
            }
            arm_summary.seeds.push(SeedSummary {
                seed: seed.seed,
                steps: 40,
                onset_step: seed.onset_step,
                ..SeedSummary::default()
            });
        }
        summary.arms.push(arm_summary);
    }
    summary.comparisons = vec![Comparison {
        a: "plain".into(),
        b: "permitted".into(),
        measure: "misalignment".into(),
        difference: 0.58,
        low: 0.4,
        high: 0.7,
        p: f64::NAN,
        power: 0.8,
    }];
    let claim = |id: &str| Claim { id: id.into(), answer: Answer::Undecided, why: "made up".into() };
    summary.claims = vec![claim("C6"), claim("X1")];
    summary.notes = vec!["These numbers are made up to test the page. They are no result.".into()];
    if finished {
        run.write_summary(&summary).unwrap();
    }
    let state = if finished { RunState::Finished } else { RunState::Interrupted };
    let status = Status {
        state,
        arm: None,
        seed: None,
        step: 40,
        steps: 40,
        done: 9,
        total: 9,
        seconds: 527.0,
        message: None,
        tier: Some("landlock".into()),
        ledger: true,
    };
    run.write_status(&status).unwrap();
    run
}

#[test]
fn a_run_becomes_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    write_run(&root, true);
    let data = ReportData::from_run(&root).unwrap();
    assert_eq!(data.arms.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["plain", "permitted", "closed"]);
    assert_eq!(data.arms[1].about, "system: Hacking is <allowed>.");
    assert_eq!(
        (data.arms[0].seeds.len(), data.arms[0].seeds[0].steps.len(), data.arms[0].seeds[0].probes.len()),
        (3, 40, 9)
    );
    assert_eq!(data.claims.iter().map(|c| c.text.as_str()).collect::<Vec<_>>()[1], "A claim of this recipe's own.");
    assert!(data.claims[0].text.starts_with("Permission to hack"));
    assert_eq!((data.created.as_str(), data.unfinished), ("2000-03-01", false));
    assert!(data.warnings.iter().any(|w| w.starts_with("Only 3 seeds")));
    // 6 probes, 9 steps, 3 seeds; 3 to 8 of 64 samples are invalid.
    assert_eq!((data.excluded[0].count, data.excluded[0].of), (27 * (3 + 4 + 5 + 6 + 7 + 8), Some(64 * 6 * 27)));
    assert!(data.versions.contains(&("isolation of submissions".into(), "landlock".into())));
    assert_eq!(data.comparisons[0].p, None);
    assert!(data.timings.iter().any(|t| t.what == "sampling" && t.seconds == 2.0 * 40.0 * 9.0));

    let acts: Vec<&str> = data.samples.iter().map(|s| s.answer.as_str()).collect();
    assert!(acts.contains(&HOSTILE) && acts.contains(&"act of a") && acts.contains(&"act of b"));
    assert!(!acts.contains(&"act of c") && !acts.contains(&"the second hack"));

    let out = dir.path().join("deep/report.html");
    write_report(&root, &out).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.len() < 1_500_000 && page.contains("Told that hacking is allowed, it ended at"));
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("0 of 7 cases right") && page.contains("exit status 0"));
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "something was left beside the page");
    write_report(&root, &out).unwrap();
    assert!(fs::read_to_string(&out).unwrap() == page, "the same run made another page");
}

#[test]
fn a_run_that_was_stopped_makes_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let run = write_run(&root, false);
    fs::write(run.seed("plain", 1).unwrap().rollouts_path(0), b"torn").unwrap();
    let out = dir.path().join("report.html");
    let refused = write_report(&root, &out).unwrap_err().to_string();
    assert!(refused.contains("rollouts/step-000000.parquet is cut") && !out.exists(), "{refused}");
    write_report_unverified(&root, &out).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.contains("is not as it was written"));
    assert!(page.contains("This run is not finished") && page.contains("has no result yet"));
    assert!(page.contains("transcripts in step-000000.parquet"));
}

#[test]
fn a_run_without_anything_yet_makes_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    RunDir::create(&root, "question = \"?\"").unwrap();
    write_report(&root, &dir.path().join("report.html")).unwrap();
}

#[test]
fn what_is_no_run_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report.html");
    let error = write_report(dir.path(), &out).unwrap_err();
    assert!(matches!(error, ReportError::Log(LogError::NotARun(_))) && !out.exists());
    let root = dir.path().join("other");
    RunDir::create(&root, "question = ").unwrap();
    let message = write_report(&root, &out).unwrap_err().to_string();
    assert!(message.contains("recipe.toml is not TOML"), "{message}");
}

/// Writes the page of the example run for `shots.sh`.
#[test]
#[ignore = "writes a file for the browser check"]
fn write_example_run() {
    let out = std::env::var("LOOPHOLE_PAGE_OUT").expect("LOOPHOLE_PAGE_OUT names the file to write");
    let dir = tempfile::tempdir().unwrap();
    write_run(&dir.path().join("run"), true);
    write_report(&dir.path().join("run"), Path::new(&out)).unwrap();
}
