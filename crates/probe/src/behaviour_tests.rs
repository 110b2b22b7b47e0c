//! Behaviours of known truth (`data/behaviours`): scripted agents and the outcomes that are right for each. The variable
//! `BEHAVIOURS` names another file of the same form, `SCENARIO` one scenario alone.

use std::collections::BTreeMap;

use loophole_chat::{ChatError, Finish, Reply, Request, Role, Scripted, ToolCall};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::scenario_tests::{one, told};
use crate::tests::pool;
use crate::{BatteryOptions, run};

#[derive(Deserialize)]
struct Behaviour {
    name: String,
    scenario: String,
    /// As on the command line: `--arm NAME`, `--tools text`.
    options: Vec<String>,
    /// A command; or an object with `text`, `submit` or `multi`.
    steps: Vec<Json>,
    /// What it says when the report is asked for.
    report: Option<String>,
    truth: String,
    accepted: Vec<String>,
}

/// What the scenario drew, for `{load}`, `{closed}` and `{closed_colon}` in a step.
fn drawn(request: &Request) -> BTreeMap<&'static str, String> {
    let all: String = request.messages.iter().map(|message| format!("{}\n", message.content)).collect();
    let after = |word: &str| {
        all.match_indices(word).find_map(|(at, _)| {
            let digits: String = all[at + word.len()..].chars().take_while(char::is_ascii_digit).collect();
            (!digits.is_empty()).then_some(digits)
        })
    };
    let load = ["run_load ", "load of ", "workload is "].into_iter().find_map(after);
    let mut slots = BTreeMap::from([("{load}", load.unwrap_or_else(|| "60".into()))]);
    if let Some(closed) = after("closed at ").filter(|closed| closed.len() == 4) {
        slots.insert("{closed_colon}", format!("{}:{}", &closed[..2], &closed[2..]));
        slots.insert("{closed}", closed);
    }
    slots
}

fn answer(behaviour: &Behaviour, request: &Request) -> Result<Reply, ChatError> {
    let last = request.messages.last();
    if last.is_some_and(|m| m.role != Role::Tool && m.content.contains("Report on it in two lines")) {
        let text = behaviour.report.clone().unwrap_or_else(|| "status: done".into());
        return Ok(Reply::from_text(text, 1, Finish::Stop));
    }
    let turn = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
    let mut step =
        behaviour.steps.get(turn).map_or_else(|| r#"{"submit": {"status": "done"}}"#.into(), Json::to_string);
    for (slot, value) in drawn(request) {
        step = step.replace(slot, &value);
    }
    let step: Json = serde_json::from_str(&step).unwrap();
    let call =
        |at: usize, name: &str, arguments: Json| ToolCall { id: format!("c{turn}-{at}"), name: name.into(), arguments };
    if step.is_string() {
        let calls = vec![call(0, "bash", serde_json::json!({ "command": step }))];
        return Ok(Reply { tool_calls: calls, finish: Finish::ToolCalls, ..Reply::default() });
    }
    let text = step["text"].as_str().unwrap_or_default();
    let mut reply = Reply::from_text(text, 1, Finish::Stop);
    let many = step["multi"].as_array().cloned().unwrap_or_default();
    let submits = many.iter().chain([&step]).filter(|one| one["submit"].is_object());
    reply.tool_calls = submits.enumerate().map(|(at, one)| call(at, "submit", one["submit"].clone())).collect();
    Ok(reply)
}

#[test]
#[ignore = "slow: every behaviour of known truth"]
fn behaviours_land_where_they_belong() {
    let bundled = [include_str!("../data/behaviours/acts.json"), include_str!("../data/behaviours/situations.json")];
    let texts = match std::env::var("BEHAVIOURS") {
        Ok(path) => vec![std::fs::read_to_string(path).unwrap()],
        Err(_) => bundled.map(str::to_string).into(),
    };
    let mut behaviours: Vec<Behaviour> = Vec::new();
    for text in &texts {
        behaviours.extend(serde_json::from_str::<Vec<Behaviour>>(text).unwrap());
    }
    let only = std::env::var("SCENARIO").unwrap_or_default();
    behaviours.retain(|behaviour| only.is_empty() || behaviour.scenario == only);
    let mut wrong = Vec::new();
    for (at, behaviour) in behaviours.iter().enumerate() {
        let mut battery = one(&behaviour.scenario);
        let option = |name: &str| {
            behaviour.options.iter().position(|option| option == name).and_then(|at| behaviour.options.get(at + 1))
        };
        let arm = option("--arm").map_or("tempting", String::as_str);
        battery.scenarios[0].arms.retain(|name, _| name == arm);
        let tools = option("--tools").is_none_or(|tools| tools != "text");
        let options = BatteryOptions { samples: Some(1), seed: at as u64, tools, ..BatteryOptions::default() };
        let model = Scripted(|request: &Request| answer(behaviour, request));
        let samples = run(&battery, &model, Some(pool()), &options, &mut |_| {}).unwrap().samples;
        let bad: Vec<_> =
            samples.iter().filter(|s| !behaviour.accepted.iter().any(|a| a == s.outcome.name())).collect();
        if let Some(sample) = bad.first() {
            println!(
                "WRONG {} ({}): {:?}, accepted {:?}: {}\n  {}\n{}",
                behaviour.name,
                behaviour.scenario,
                samples.iter().map(|s| s.outcome.name()).collect::<Vec<_>>(),
                behaviour.accepted,
                behaviour.truth,
                sample.evidence,
                told(sample)
            );
            wrong.push(behaviour.name.as_str());
        }
    }
    println!("{} of {} behaviours where they belong", behaviours.len() - wrong.len(), behaviours.len());
    assert!((behaviours.len() >= 30 || !only.is_empty()) && wrong.is_empty(), "{wrong:?}");
}
