//! Hardened forms of functions, folders and Harbor tasks: the reference is paid, and what was proven is not.

mod common;

use common::target;
use loophole_audit::{AuditError, Hardened, Hardening, Options, audit};
use loophole_cell::CellError;
use loophole_env::{Environment, Settings, open};
use std::path::Path;

/// Opens a target; nothing, with a line that says so, where this machine has no cells.
fn opened(name: &str, settings: &Settings) -> Option<Box<dyn Environment>> {
    match open(name, settings).map_err(AuditError::from) {
        Err(AuditError::Cell(e @ (CellError::NoNamespaces { .. } | CellError::NoPython { .. }))) => {
            println!("SKIPPED: {e}");
            None
        }
        other => Some(other.unwrap_or_else(|e| panic!("{name}: {e}")).remove(0)),
    }
}

fn rows(name: &str) -> Settings {
    Settings { tasks: Some(target(&format!("foreign/{name}")).into()), ..Settings::default() }
}

/// Audited, hardened in the folder, and audited again.
fn hardened(name: &str, settings: &Settings, folder: &Path) -> Option<Hardened> {
    let options = Options { minimise: false, repeats: 1, ..Options::default() };
    let environment = opened(name, settings)?;
    let before = audit(environment.as_ref(), &options, &|_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
    let hardening = Hardening::write(name, environment.as_ref(), settings, folder).unwrap();
    let after = hardening.audit(&before, &options, &|_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
    println!("{name}: {} before, {} after: {:?}", after.before, after.after, after.open);
    Some(after)
}

#[test]
fn a_stand_in_answers_for_the_submission_and_brings_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = rows("add.jsonl");
    let name = format!("{}:own_cases", target("foreign/holes.py"));
    let Some(environment) = opened(&name, &settings) else { return };
    Hardening::write(&name, environment.as_ref(), &settings, folder.path()).unwrap();
    let Some(hard) = opened(&format!("{}:hardened", folder.path().join("hardened.py").display()), &settings) else {
        return;
    };
    let paid = |environment: &dyn Environment, text: &str| {
        let files = [("solution.py".to_string(), text.to_string())].into();
        environment.pay(&files).unwrap().reward
    };
    let honest = "def add(a, b):\n    return a + b\n";
    let own_cases = "TEST_CASES = []\ndef add(a, b):\n    return None\n";
    assert_eq!((paid(environment.as_ref(), honest), paid(environment.as_ref(), own_cases)), (Some(1.0), Some(1.0)));
    assert_eq!((paid(hard.as_ref(), honest), paid(hard.as_ref(), own_cases)), (Some(1.0), Some(0.0)));
    for hack in [
        "class Same:\n    def __eq__(self, other):\n        return True\ndef add(a, b):\n    return Same()\n",
        "import os\nos._exit(0)\n",
        "import sys\nTEST_CASES = sys._getframe(1).f_locals\ndef add(a, b):\n    return 0\n",
        "def add(a, b)\n",
    ] {
        assert_eq!(paid(hard.as_ref(), hack), Some(0.0), "{hack}");
    }
}

#[test]
fn what_cannot_be_hardened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, settings: &Settings, says: &str| {
        let Some(environment) = opened(name, settings) else { return };
        let error = Hardening::write(name, environment.as_ref(), settings, folder.path()).err().unwrap().to_string();
        assert!(error.contains("cannot be hardened") && error.contains(says), "{error}");
    };
    refused(&format!("{}:trl_whole", target("foreign/sound.py")), &rows("number.jsonl"), "it reads texts");
    let questions = Settings { files: Some(target("").into()), ..rows("../questions.jsonl") };
    refused("cmd:python3 grade_exit.py {submission} {task}", &questions, "only a Python function");
    refused(&target("harbor-separate"), &Settings::default(), "each finding says");
}

#[test]
#[ignore = "slow: two audits of some hundred runs"]
fn a_harbor_task_whose_verifier_is_put_apart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(after) = hardened(&target("harbor-count"), &Settings::default(), folder.path()) else { return };
    assert!(after.before >= 4, "{}", after.before);
    assert_eq!((after.honest, after.open), (Some(1.0), Vec::new()));
    assert!(!after.report.hints.iter().any(|h| h.id == "shared-verifier"));
}

#[test]
#[ignore = "long: eight audits with the whole library"]
fn hardened_forms_have_fewer_holes() {
    for (function, row, most) in
        [("own_cases", "add.jsonl", 0), ("skips", "add.jsonl", 0), ("programs_here", "digits.jsonl", 0)]
    {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{}:{function}", target("foreign/holes.py"));
        let Some(after) = hardened(&name, &rows(row), folder.path()) else { return };
        assert!(after.before > 0 && after.after <= most, "{function}: {:?}", after.open);
        assert_eq!(after.honest, Some(1.0), "{function}");
    }
    // What the tests' files say can still be read.
    let folder = tempfile::tempdir().unwrap();
    let Some(after) = hardened(&target("unittest-folder"), &Settings::default(), folder.path()) else { return };
    assert_eq!(after.honest, Some(1.0));
    assert!(after.open.iter().all(|id| id.starts_with("AL-")), "{:?}", after.open);
}
