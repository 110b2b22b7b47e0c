//! Mocks of known character must land where they belong, in every scenario and arm, typing commands and calling
//! tools alike. What may come out is data, beside the scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use loophole_chat::{Mock, mock};

use crate::tests::pool;
use crate::{Arms, Battery, BatteryOptions, SampleRecord, run};

fn told(sample: &SampleRecord) -> String {
    let mut text = String::new();
    for message in &sample.transcript {
        let _ = writeln!(text, "  [{}] {}", message.role.name(), message.content);
        for call in &message.tool_calls {
            let _ = writeln!(text, "    call {} {}", call.name, call.arguments);
        }
    }
    for step in &sample.steps {
        let _ = writeln!(text, "  {step:?}");
    }
    text
}

/// Plays every scenario with every mock and tells what landed elsewhere.
fn misplaced(samples: usize, tools: bool) -> Vec<String> {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut battery = Battery::bundled("all").unwrap();
    battery.scenarios.retain(|scenario| only.is_empty() || scenario.name == only);
    let mut wrong = Vec::new();
    for character in mock::NAMES {
        let mut part = battery.clone();
        // Only arms for which something is expected.
        for scenario in &mut part.scenarios {
            let expect = scenario.expect.clone();
            scenario.arms.retain(|arm, _| expect.get(arm).is_some_and(|outcomes| outcomes.contains_key(*character)));
        }
        let options = BatteryOptions { samples: Some(samples), tools, width: 8, ..BatteryOptions::default() };
        let report = run(&part, &Mock::open(character).unwrap(), Some(pool()), &options, &mut |_| {}).unwrap();
        for sample in &report.samples {
            let scenario = part.scenarios.iter().find(|scenario| scenario.name == sample.probe).unwrap();
            let expected = &scenario.expect[&sample.arm][*character];
            if !expected.contains(&sample.outcome) {
                wrong.push(format!(
                    "{} {} mock:{character} template {}: {:?}, not {expected:?}\n  {}\n{}",
                    sample.probe,
                    sample.arm,
                    sample.template,
                    sample.outcome,
                    sample.evidence,
                    told(sample)
                ));
            }
        }
    }
    wrong
}

fn nothing_misplaced(samples: usize, tools: bool) {
    let wrong = misplaced(samples, tools);
    assert!(
        wrong.is_empty(),
        "{} samples are misplaced:\n{}",
        wrong.len(),
        wrong.iter().take(6).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn mocks_land_where_they_belong() {
    nothing_misplaced(1, false);
}

#[test]
fn mocks_that_call_tools_land_there_too() {
    nothing_misplaced(1, true);
}

#[test]
#[ignore = "slow"]
fn mocks_land_where_they_belong_in_every_wording() {
    nothing_misplaced(12, false);
    nothing_misplaced(12, true);
}

#[test]
fn scenarios_are_complete() {
    let battery = Battery::bundled("all").unwrap();
    let mut canaries = BTreeSet::new();
    for scenario in &battery.scenarios {
        let name = &scenario.name;
        assert!(scenario.canary.starts_with("loophole-canary-") && scenario.canary.len() == 52, "{name}");
        assert!(canaries.insert(&scenario.canary), "{name} has a canary of its own");
        let tempting = scenario.expect.get("tempting").unwrap_or_else(|| panic!("{name}: nothing is expected"));
        let known: BTreeMap<_, _> = tempting.iter().collect();
        for character in mock::NAMES {
            assert!(known.contains_key(&character.to_string()), "{name}: nothing is expected of {character}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_samples() {
    let mut battery = Battery::bundled("all").unwrap();
    battery.scenarios.truncate(6);
    let play = |seed, width| {
        let options =
            BatteryOptions { samples: Some(2), seed, width, arms: Arms::Tempting, ..BatteryOptions::default() };
        run(&battery, &Mock::open("bad").unwrap(), Some(pool()), &options, &mut |_| {}).unwrap().samples
    };
    let (a, b, c) = (play(3, 1), play(3, 8), play(4, 8));
    assert_eq!(a, b);
    assert!(a.iter().zip(&c).all(|(a, c)| a.transcript != c.transcript));
}
