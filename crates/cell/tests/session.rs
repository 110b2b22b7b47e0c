//! A bash that lives for several commands.

mod common;
use common::pool;
use loophole_cell::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn session(step: f64) -> Session {
    let files = vec![InputFile::new("notes.txt", "hello\n"), InputFile::new("sub/a.txt", "a")];
    pool().session(&SessionOptions { files, step_wall_seconds: step, ..SessionOptions::default() }).unwrap()
}

#[test]
fn state_lives_between_commands() {
    let mut s = session(10.0);
    let step = s.run("cat notes.txt; cd sub; X=5; f() { echo f$X; }; echo err >&2; false").unwrap();
    assert_eq!((&step.stdout[..], &step.stderr[..]), (&b"hello\n"[..], &b"err\n"[..]));
    assert_eq!((step.code, step.verdict), (Some(1), Verdict::Exit));
    let step = s.run("pwd; f; ls").unwrap();
    assert_eq!((step.stdout, step.code), (b"/box/sub\nf5\na.txt\n".to_vec(), Some(0)));
    assert_eq!(s.run("if").unwrap().code, Some(2).or(Some(1)));
    assert_eq!(s.run("printf '\\0\\377'; python3 -c 'print(6*7)'").unwrap().stdout, b"\0\xff42\n");
    assert_eq!(s.run("cat").unwrap().stdout, b"");
    s.run("echo new > made.txt; ln -s /etc/passwd link; mkfifo pipe; rm ../notes.txt").unwrap();
    assert_eq!(s.read_file("sub/made.txt").unwrap().unwrap(), b"new\n");
    assert_eq!(s.read_file("/box/sub/link").unwrap(), None);
    assert_eq!(s.read_file("sub/pipe").unwrap(), None);
    assert_eq!(s.read_file("../etc/passwd").unwrap(), None);
    assert_eq!(s.stat("sub/link").unwrap().unwrap().kind, FileKind::Link);
    assert_eq!(s.stat("sub").unwrap().unwrap().kind, FileKind::Folder);
    assert_eq!(s.stat("notes.txt").unwrap(), None);
    let state = s.stat("sub/made.txt").unwrap().unwrap();
    assert_eq!((state.size, state.mode, state.kind), (4, 0o644, FileKind::File));
    assert_eq!(state.sha256.unwrap().len(), 64);
    s.run("sleep 1000 & disown").unwrap();
    let record = s.finish().unwrap();
    assert_eq!((record.verdict, record.leftover_processes), (Verdict::Exit, 1), "{record:?}");
    let paths: Vec<_> = record.files.iter().map(|f| String::from_utf8_lossy(&f.path).into_owned()).collect();
    assert_eq!(paths, ["notes.txt", "sub/link", "sub/made.txt", "sub/pipe"]);
}

#[test]
fn a_command_past_its_time_is_ended_and_the_session_lives() {
    let mut s = session(0.5);
    let step = s.run("echo before; sleep 100").unwrap();
    assert_eq!((step.verdict, &step.stdout[..]), (Verdict::Wall, &b"before\n"[..]), "{step:?}");
    assert!(step.wall_seconds < 3.0);
    assert_eq!(s.run("echo alive").unwrap().stdout, b"alive\n");
    let step = s.run("while :; do :; done").unwrap();
    assert_eq!((step.verdict, step.code), (Verdict::Wall, None));
    assert!(matches!(s.run("echo"), Err(CellError::SessionEnded(_))));
}

#[test]
fn exit_ends_a_session() {
    let mut s = session(10.0);
    let step = s.run("echo bye; exit 7").unwrap();
    assert_eq!((step.code, step.verdict, &step.stdout[..]), (Some(7), Verdict::Exit, &b"bye\n"[..]));
    assert!(matches!(s.run("echo"), Err(CellError::SessionEnded(_))));
    assert_eq!(s.finish().unwrap().code, Some(7));
}

#[test]
fn a_flood_is_cut_and_an_answer_cannot_be_forged_by_a_child() {
    let mut s = session(10.0);
    let step = s.run("yes | head -c 3000000").unwrap();
    assert_eq!((step.verdict, step.stdout.len()), (Verdict::Output, 1 << 20));
    // The answering descriptor is not the command's to read, and the word is unknown to a child.
    let step = s.run("python3 -c 'import os\nfor i in range(3, 256):\n  try: os.write(i, b\"x 0\\0\"); print(i)\n  except OSError: pass\n'; (exit 9)").unwrap();
    assert_eq!(step.code, Some(9), "{step:?}");
    assert_eq!(s.run("echo ok").unwrap().stdout, b"ok\n");
}

#[test]
fn a_terminal_where_asked_for() {
    let mut s = pool().session(&SessionOptions { terminal: true, ..SessionOptions::default() }).unwrap();
    let step = s.run("tty -s && stty size; echo err >&2; python3 -c 'import sys; print(sys.stdout.isatty())'").unwrap();
    assert_eq!(String::from_utf8_lossy(&step.stdout), "24 80\r\nerr\r\nTrue\r\n", "{step:?}");
    // More than a terminal holds before somebody reads it.
    assert_eq!(s.run("seq 1 20000").unwrap().stdout.len(), 128_894);
    let step = s.run("head -c 3000000 /dev/zero").unwrap();
    assert_eq!((step.verdict, step.stdout.len()), (Verdict::Output, 1 << 20));
    assert_eq!(s.run("echo ok").unwrap().stdout, b"ok\r\n");
    assert!(!pool().session(&SessionOptions::default()).unwrap().run("tty -s").unwrap().code.unwrap().eq(&0));
}

#[test]
fn sessions_side_by_side_and_one_after_another_see_nothing_of_each_other() {
    let mut sessions: Vec<Session> = (0..4).map(|_| session(10.0)).collect();
    for (i, s) in sessions.iter_mut().enumerate() {
        s.run(&format!("echo {i} > mine; echo {i} > /tmp/mine; X={i}; sleep 100 &")).unwrap();
    }
    for (i, s) in sessions.iter_mut().enumerate() {
        let step = s.run("cat mine /tmp/mine; echo $X").unwrap();
        assert_eq!(
            (String::from_utf8_lossy(&step.stdout).into_owned(), step.background),
            (format!("{i}\n{i}\n{i}\n"), 1)
        );
    }
    drop(sessions);
    let mut next = session(10.0);
    let step = next.run("ls /tmp; ls; echo $X; ps -eo comm= | grep -c sleep").unwrap();
    assert_eq!(String::from_utf8_lossy(&step.stdout), "notes.txt\nsub\n\n0\n");
}

#[test]
fn changes_are_told_while_it_lives_and_nothing_is_changed_by_looking() {
    let mut s = session(10.0);
    assert_eq!(s.changes().unwrap(), Changes::default());
    s.run("(while :; do echo x >> ticks; sleep 0.01; done) & echo more >> notes.txt; chmod 000 sub; mkdir -m 300 in; echo y > in/y; chmod 000 in/y; while [ ! -s ticks ]; do sleep 0.01; done").unwrap();
    let told = |changes: &Changes| -> Vec<(String, Change, u32)> {
        let row = |f: &FileChange| (String::from_utf8_lossy(&f.path).into_owned(), f.change, f.mode);
        changes.files.iter().map(row).collect()
    };
    let first = s.changes().unwrap();
    let wanted = [
        ("in", Change::Created, 0o300),
        ("in/y", Change::Created, 0),
        ("notes.txt", Change::Changed, 0o644),
        ("sub", Change::Changed, 0),
        ("ticks", Change::Created, 0o644),
    ];
    assert_eq!(told(&first), wanted.map(|(path, change, mode)| (path.to_owned(), change, mode)));
    assert_eq!(first.files[1].size, 2);
    assert!(first.files[1].sha256.is_some() && first.changes_truncated == 0, "{first:?}");
    // The program finds its modes as it left them, and what runs in the background goes on.
    let step = s.run("stat -c %a in sub notes.txt; sleep 0.2").unwrap();
    assert_eq!(String::from_utf8_lossy(&step.stdout), "300\n0\n644\n", "{step:?}");
    let second = s.changes().unwrap();
    assert!(second.files[4].size > first.files[4].size, "{second:?}");
    let record = s.finish().unwrap();
    assert_eq!(told(&Changes { files: record.files, ..second }), told(&first));
}

#[test]
fn watched_files_are_told_while_it_lives_and_our_own_looks_are_not() {
    let files = vec![InputFile::new("answer.txt", "42")];
    let watch = vec!["answer.txt".to_owned()];
    let mut s = pool().session(&SessionOptions { files, watch, ..SessionOptions::default() }).unwrap();
    let who = |s: &mut Session| -> Vec<Option<String>> {
        s.changes().unwrap().opened.into_iter().map(|opened| opened.command).collect()
    };
    s.run("echo x > other").unwrap();
    assert_eq!(s.get_file("answer.txt", 10).unwrap(), b"42");
    assert_eq!(s.read_file("answer.txt").unwrap().unwrap(), b"42");
    s.write_file("answer.txt", b"43", false).unwrap();
    assert_eq!(who(&mut s), []);
    s.run("cat answer.txt").unwrap();
    let cat = Some("cat answer.txt".to_owned());
    assert_eq!(who(&mut s), std::slice::from_ref(&cat));
    s.run("python3 -c 'open(\"answer.txt\")'").unwrap();
    let python = Some("python3 -c open(\"answer.txt\")".to_owned());
    assert_eq!(who(&mut s), [cat.clone(), python.clone()]);
    let record = s.finish().unwrap();
    let told: Vec<Option<String>> = record.opened.into_iter().map(|opened| opened.command).collect();
    assert_eq!(told, [cat, python]);
    assert_eq!(record.files.len(), 2, "{:?}", record.files);
    let bad = SessionOptions { watch: vec!["../a".to_owned()], ..SessionOptions::default() };
    assert!(matches!(pool().session(&bad), Err(CellError::BadProgram(_))));
}

#[test]
fn more_than_can_be_listed_is_counted_and_the_given_are_told() {
    let mut s = session(60.0);
    let script = r"
import os
for _ in range(4):
    os.mkdir('d' * 200)
    os.chdir('d' * 200)
for i in range(6000):
    os.close(os.open(f'{i:0200}', os.O_CREAT))
";
    assert_eq!(s.exec(&ExecRequest::new(["python3", "-c", script])).unwrap().code, Some(0));
    s.run("echo x > notes.txt").unwrap();
    let changes = s.changes().unwrap();
    assert!(changes.changes_truncated > 0, "{} {}", changes.changes_truncated, changes.files.len());
    assert!(changes.files.iter().any(|f| f.path == b"notes.txt" && f.change == Change::Changed));
}

#[test]
fn a_command_that_nobody_wants_any_more_is_ended() {
    let mut s = session(60.0);
    let cancel = Arc::new(AtomicBool::new(false));
    let teller = cancel.clone();
    let told = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        teller.store(true, Ordering::Relaxed);
    });
    let began = Instant::now();
    let command = ["bash", "-c", "echo before; while :; do :; done"];
    let step = s.exec(&ExecRequest { cancel: Some(cancel), ..ExecRequest::new(command) }).unwrap();
    told.join().unwrap();
    assert_eq!((step.verdict, &step.stdout[..]), (Verdict::Wall, &b"before\n"[..]), "{step:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(s.run("echo alive").unwrap().stdout, b"alive\n");
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
