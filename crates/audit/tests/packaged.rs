//! Environments that come as Python packages, with the real packages: `LOOPHOLE_PACKAGES_PYTHON` is an interpreter that
//! has `inspect-ai` and `verifiers`.

mod common;

use common::{ids, target, try_audit};
use loophole_env::{Protocol, Settings};
use std::path::PathBuf;

#[test]
fn tasks_of_inspect_and_environments_of_verifiers() {
    let Some(python) = std::env::var_os("LOOPHOLE_PACKAGES_PYTHON").map(PathBuf::from) else {
        return println!("SKIPPED: LOOPHOLE_PACKAGES_PYTHON names no interpreter with inspect-ai and verifiers");
    };
    let folder = target("packaged");
    // What must be found; none for a sound one; or why it is not audited.
    let cases: [(String, Result<&[&str], &str>); 7] = [
        (format!("inspect:{folder}/arith.py@anywhere"), Ok(&["SG-03"])),
        (format!("inspect:{folder}/arith.py@exact"), Ok(&[])),
        (format!("inspect:{folder}/arith.py@letters"), Ok(&[])),
        (format!("inspect:{folder}/arith.py@local"), Ok(&[])),
        (format!("inspect:{folder}/arith.py@judged"), Err("a model is asked")),
        (format!("inspect:{folder}/arith.py@contained"), Err("sandbox of the kind docker")),
        (format!("verifiers:{folder}/sums"), Ok(&["SG-03"])),
    ];
    for (name, wanted) in cases {
        let settings = Settings { python: Some(python.clone()), ..Settings::default() };
        let Some(report) = try_audit(&name, &settings) else { return };
        match (report, wanted) {
            (Ok(report), Ok([])) => assert_eq!(ids(&report), Vec::<&str>::new(), "{name}"),
            (Ok(report), Ok(some)) => {
                assert!(some.iter().all(|id| ids(&report).contains(id)), "{name}: {:?}", ids(&report))
            }
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{name}: {error}"),
            (report, wanted) => panic!("{name}: {:?} instead of {wanted:?}", report.map(|r| r.table())),
        }
    }
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
