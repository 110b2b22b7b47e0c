//! What commands do is told while they do it, so that nothing can be done and undone between two looks.

mod common;

use loophole_cell::{EventKind, Followed, InputFile, Limits, Session, SessionOptions, SessionStep, Trace};

const SAY: &str =
    "#!/bin/sh\ncd /box\nsay() { { command : < \"/box/.said/$*\"; } 2> /dev/null; }\ncat conf\nsay ran \"$1\"\n";

fn session() -> Session {
    session_with(true)
}

fn session_with(traced: bool) -> Session {
    let script =
        |path: &str, text: &str| InputFile { path: path.into(), content: text.as_bytes().to_vec(), executable: true };
    let options = SessionOptions {
        files: vec![InputFile::new("conf", "17\n"), script("run", SAY)],
        trace: traced.then(|| Trace { announce: "/box/.said/".into(), files: vec!["conf".into(), "run".into()] }),
        limits: Limits { cpu_seconds: 60.0, ..Limits::default() },
        ..SessionOptions::default()
    };
    common::pool().session(&options).unwrap()
}

/// What was said, by which script, and what `conf` held at that moment.
fn said(step: &SessionStep) -> Vec<(String, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let announced = step.events.iter().filter_map(|event| match &event.kind {
        EventKind::Announced(said) => Some(said),
        _ => None,
    });
    announced
        .map(|said| {
            let conf = said.files["conf"].as_ref().and_then(|file| file.content.clone()).unwrap_or_default();
            (said.text.clone(), said.script.as_ref().map(|s| s.path.clone()).unwrap_or_default(), text(&conf))
        })
        .collect()
}

#[test]
fn what_is_put_back_within_one_command_was_seen() {
    let mut session = session();
    let step = session.run("cp conf /tmp/c; echo 99 > conf; ./run 'a  b'; cp /tmp/c conf").unwrap();
    assert_eq!(step.stdout, b"99\n", "the announcement itself is not seen by the program");
    assert_eq!(said(&step), [("ran a  b".into(), "/box/run".into(), "99".into())]);
    assert_eq!(session.read_file("conf").unwrap().unwrap(), b"17\n");
    // Started in other ways, it is the same script; a copy is another one, and the shell itself none.
    for (command, script) in [
        ("sh ./run x", "/box/run"),
        ("bash run x", "/box/run"),
        ("cd /tmp; sed s/cat/head/ /box/run > r; sh r x; cd /box", "/tmp/r"),
        ("sh -c \"$(cat run)\" x x", ""),
        (": < '/box/.said/ran x'", ""),
    ] {
        let step = session.run(command).unwrap();
        assert_eq!(said(&step), [("ran x".into(), script.into(), "17".into())], "{command}");
    }
}

#[test]
fn what_is_opened_moved_removed_and_started_is_told_in_order() {
    let mut session = session();
    let step = session.run("echo 1 > new; mv new other; rm other; ./run 1 > /tmp/out; cat conf > /dev/null").unwrap();
    let told: Vec<String> = step
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Opened { path, writes } => Some(format!("{} {path}", if *writes { "writes" } else { "reads" })),
            EventKind::Moved { from, to } => Some(format!("moves {from} {to}")),
            EventKind::Removed { path } => Some(format!("removes {path}")),
            EventKind::Executed { path, words, files } if path.starts_with("/box") => {
                Some(format!("starts {path} {} {}", words[1..].join(" "), files.is_some()))
            }
            _ => None,
        })
        .collect();
    let order = [
        "writes /box/new",
        "moves /box/new /box/other",
        "removes /box/other",
        "writes /tmp/out",
        "starts /box/run 1 true",
        "reads /box/conf",
    ];
    let mut rest = told.iter();
    assert!(order.iter().all(|wanted| rest.any(|line| line == wanted)), "{told:#?}");
    assert_eq!(step.events_missed, 0);
}

#[test]
fn a_process_that_is_followed_is_seen_stopped() {
    let mut session = session();
    session.run("sleep 60 & echo $! > pid; disown").unwrap();
    let number: i32 = String::from_utf8(session.read_file("pid").unwrap().unwrap()).unwrap().trim().parse().unwrap();
    session.follow(number).unwrap();
    assert_eq!(session.followed()[&number], Followed::Runs);
    let step = session.run("kill -STOP $(cat pid); ./run 1; kill -CONT $(cat pid); kill -0 $(cat pid)").unwrap();
    let signals: Vec<(i32, i32)> = step
        .events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Signalled { to, signal } => Some((to, signal)),
            _ => None,
        })
        .collect();
    assert_eq!(signals, [(number, 19), (number, 18), (number, 0)]);
    let how = step.events.iter().find_map(|event| match &event.kind {
        EventKind::Announced(said) => said.processes.get(&number).copied(),
        _ => None,
    });
    assert_eq!(how, Some(Followed::Stopped));
    assert_eq!(session.followed()[&number], Followed::Runs);
    session.run("kill -9 $(cat pid); sleep 0.1").unwrap();
    assert_eq!(session.followed()[&number], Followed::Gone);
}

#[test]
fn what_a_last_command_did_is_told_too() {
    let mut session = session();
    let step = session.run("./run 1; exit 3").unwrap();
    assert_eq!((step.code, said(&step).len()), (Some(3), 1));
    assert!(session.has_ended() && session.followed().is_empty());
}

#[test]
#[ignore = "long: measures what the telling costs, on a machine with nothing else to do"]
fn what_the_telling_costs() {
    let (mut plain, mut traced) = (session_with(false), session_with(true));
    for command in
        [":", "./run 1", "cat conf | sed s/7/8/ | sort > /tmp/o", "for i in 1 2 3 4 5 6 7 8; do ./run $i; done"]
    {
        let mut seconds = [Vec::new(), Vec::new()];
        for _ in 0..40 {
            // In turns, so that both see the same machine.
            for (session, seconds) in [&mut plain, &mut traced].into_iter().zip(&mut seconds) {
                seconds.push(session.run(command).unwrap().wall_seconds);
            }
        }
        let [plain, traced] = seconds.map(|mut all| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2] * 1e3
        });
        println!("{command}: {plain:.2} ms, told {traced:.2} ms, ratio {:.2}", traced / plain);
    }
}
