//! Environments that come as Python packages, with the real packages: `LOOPHOLE_PACKAGES_PYTHON` is an interpreter that
//! has `inspect-ai` and `verifiers` 0.4, `LOOPHOLE_VERIFIERS_PYTHON` one that has `verifiers` 0.1.14 to 0.3.1.

mod common;

use common::{ids, report, target, try_audit, try_with};
use loophole_env::{Protocol, Settings};
use std::path::{Path, PathBuf};

/// The interpreter that a variable names; nothing, with a line that says so, where it names none.
fn python(variable: &str, has: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    if named.is_none() {
        println!("SKIPPED: {variable} names no interpreter with {has}");
    }
    named
}

/// What must come of an audit: exploits that are found, none for a sound one, or why it is not audited.
type Wanted<'a> = Result<&'a [&'a str], &'a str>;

/// Exploits that are tried: each call loads the packages anew, and takes its time.
const SOME: [&str; 12] =
    ["SG-02", "SG-03", "SG-10", "SG-16", "SG-17", "SG-19", "SG-20", "SG-21", "SG-22", "RP-12", "EX-04", "EQ-01"];

/// Audits each with some exploits and compares; tells all that are not as wanted.
#[track_caller]
fn all_as_wanted(python: &Path, cases: &[(String, Wanted)]) {
    let mut wrong = Vec::new();
    for (name, wanted) in cases {
        let settings = Settings { python: Some(python.into()), ..Settings::default() };
        let began = std::time::Instant::now();
        let Some(report) = try_with(name, &settings, &SOME) else { return };
        let (came, right) = match (&report, wanted) {
            (Err(error), Err(why)) => (error.to_string(), error.to_string().contains(why)),
            (Err(error), Ok(_)) => (error.to_string(), false),
            (Ok(report), Ok(some)) => {
                let found = ids(report);
                let all = if some.is_empty() { found.is_empty() } else { some.iter().all(|id| found.contains(id)) };
                (format!("{found:?}, {:?}", report.not_audited), all && report.not_audited.is_none())
            }
            (Ok(report), Err(why)) => {
                let told = report.not_audited.clone().unwrap_or_default();
                let right = told.contains(why);
                (format!("{:?}, {told}", ids(report)), right)
            }
        };
        println!("{name}: {came} ({:.0} s)", began.elapsed().as_secs_f64());
        if !right {
            wrong.push(format!("{name}: {came} instead of {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "slow: some ten audits with inspect-ai"]
fn tasks_of_inspect() {
    let Some(python) = python("LOOPHOLE_PACKAGES_PYTHON", "inspect-ai") else { return };
    let folder = target("packaged");
    let file = |task: &str| format!("inspect:{folder}/arith.py@{task}");
    all_as_wanted(
        &python,
        &[
            (file("anywhere"), Ok(&["SG-03"])),
            (file("exact"), Ok(&[])),
            (file("letters"), Ok(&[])),
            (file("local"), Ok(&[])),
            (file("contained"), Ok(&[])),
            (file("several_targets"), Ok(&[])),
            (file("judged"), Err("a model is asked")),
        ],
    );
}

#[test]
#[ignore = "slow: some five audits with inspect-ai"]
fn tasks_of_inspect_by_name_whose_scorers_run_code() {
    let Some(python) = python("LOOPHOLE_PACKAGES_PYTHON", "inspect-ai") else { return };
    // A package that lies in the current folder, as it does where somebody writes it.
    std::env::set_current_dir(target("packaged")).unwrap();
    let name = |task: &str| format!("inspect:codes/{task}");
    all_as_wanted(
        &python,
        &[
            (name("by_status"), Ok(&["EX-04"])),
            (name("by_values"), Ok(&[])),
            (name("in_container"), Ok(&["EX-04"])),
            (name("in_made_container"), Err("more than a plain system (build: .)")),
            (name("unfinished"), Err("of the Inspect task codes/unfinished")),
            (name("nothing"), Err("has no task nothing; it has by_status")),
            ("inspect:no_such_package/task".into(), Err("there is no task no_such_package/task here")),
        ],
    );
}

#[test]
#[ignore = "slow: loads verifiers"]
fn task_sets_of_verifiers() {
    let Some(python) = python("LOOPHOLE_PACKAGES_PYTHON", "verifiers 0.4") else { return };
    let folder = target("packaged");
    all_as_wanted(
        &python,
        &[
            (format!("verifiers:{folder}/sums"), Ok(&["SG-03"])),
            (format!("verifiers:{folder}/environments/stock.py"), Err("does not know; 0.1.14 to 0.3.1 do")),
        ],
    );
}

#[test]
#[ignore = "slow: some ten audits with verifiers"]
fn environments_that_load_environment_makes() {
    let Some(python) = python("LOOPHOLE_VERIFIERS_PYTHON", "verifiers 0.1.14 to 0.3.1") else { return };
    let folder = target("packaged");
    let file = |name: &str| format!("verifiers:{folder}/environments/{name}.py");
    all_as_wanted(
        &python,
        &[
            (file("sums_in_tags"), Ok(&[])),
            (file("sums_anywhere"), Ok(&["SG-03"])),
            (file("stock"), Ok(&[])),
            (file("stock_anywhere"), Ok(&["SG-03", "SG-21", "SG-22"])),
            (file("calculator"), Ok(&["RP-12", "SG-20"])),
            (file("vote"), Ok(&["CTL-wrong"])),
            (file("guesses"), Err("several turns")),
            (file("judged"), Err("a judge is asked")),
            (file("asks_by_itself"), Err("asks judge.invalid over the network")),
            (file("fails"), Err("a part of its reward fails on the reference")),
        ],
    );
}

#[test]
#[ignore = "slow: loads verifiers"]
fn what_rates_the_form_alone_is_told_and_no_hole() {
    let Some(python) = python("LOOPHOLE_VERIFIERS_PYTHON", "verifiers 0.1.14 to 0.3.1") else { return };
    let name = format!("verifiers:{}/environments/sums_in_tags.py", target("packaged"));
    let settings = Settings { python: Some(python), ..Settings::default() };
    let Some(report) = report(&name, &settings) else { return };
    assert_eq!((report.control("honest"), report.control("wrong")), (Some(1.2), Some(0.2)));
    let hint = report.hints.iter().find(|h| h.id == "paid-for-form").unwrap();
    assert!(hint.message.contains("0.2 of the reference's 1.2"), "{}", hint.message);
    assert!(report.read.contains("paid by correct (1), format_reward_func (0.2)"), "{}", report.read);
}

#[test]
fn openenv_servers_that_were_started() {
    // Two ports of 127.0.0.1, the first of a server that pays for the answer anywhere, the second of a sound one.
    let Ok(ports) = std::env::var("LOOPHOLE_OPENENV_PORTS") else {
        return println!("SKIPPED: LOOPHOLE_OPENENV_PORTS names no servers");
    };
    let wanted: [&[&str]; 2] = [&["SG-03"], &[]];
    for (port, wanted) in ports.split(',').zip(wanted) {
        let settings = Settings {
            tasks: Some(target("foreign/number.jsonl").into()),
            protocol: Protocol::Openenv,
            ..Settings::default()
        };
        let Some(report) = try_audit(&format!("http://127.0.0.1:{port}"), &settings) else { return };
        let report = report.unwrap_or_else(|e| panic!("{port}: {e}"));
        assert!(wanted.iter().all(|id| ids(&report).contains(id)), "{port}: {:?}", ids(&report));
        assert_eq!(ids(&report).is_empty(), wanted.is_empty(), "{port}: {:?}", ids(&report));
    }
}
