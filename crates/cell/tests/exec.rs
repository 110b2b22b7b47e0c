//! Commands of a session by argv, and files written and read while it lives.

mod common;
use common::pool;
use loophole_cell::*;
use std::io::ErrorKind;

fn session() -> Session {
    session_in(Tier::Namespaces)
}

fn session_in(tier: Tier) -> Session {
    let options = SessionOptions { files: vec![InputFile::new("given.txt", "given\n")], ..SessionOptions::default() };
    if tier == Tier::Namespaces {
        return pool().session(&options).unwrap();
    }
    // Where programs run as an id that nobody has, it must be one that everybody can reach.
    let python = Some("/usr/bin/python3".into());
    let pool =
        Pool::start(PoolOptions { python, tier: Some(tier), shell_only: true, ..PoolOptions::default() }).unwrap();
    pool.session(&options).unwrap()
}

fn words<const N: usize>(argv: [&str; N]) -> ExecRequest {
    ExecRequest::new(argv)
}

fn kind(error: CellError) -> ErrorKind {
    match error {
        CellError::File { source, .. } => source.kind(),
        other => panic!("{other}"),
    }
}

#[test]
fn arguments_arrive_as_they_are() {
    let mut s = session();
    let odd = ["a b", "", "'\"`$x", "-n", "é\n\t\\", "*"];
    let argv = ["python3", "-c", "import sys; print(sys.argv[1:])"].into_iter().chain(odd);
    let step = s.exec(&ExecRequest::new(argv)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&step.stdout),
        "['a b', '', '\\'\"`$x', '-n', 'é\\n\\t\\\\', '*']\n",
        "{step:?}"
    );
    assert_eq!((step.code, step.verdict, step.truncated), (Some(0), Verdict::Exit, false));
    assert_eq!(s.exec(&words(["sh", "-c", "exit 7"])).unwrap().code, Some(7));
    assert_eq!(s.exec(&words(["sh", "-c", "kill -9 $$"])).unwrap().code, Some(137));
    let missing = s.exec(&words(["no-such-program"])).unwrap();
    assert_eq!(missing.code, Some(127), "{missing:?}");
    assert_eq!(s.exec(&words(["/box/given.txt"])).unwrap().code, Some(126));
    assert!(matches!(s.exec(&ExecRequest::default()), Err(CellError::BadProgram(_))));
    assert!(matches!(s.exec(&words(["a\0b"])), Err(CellError::BadProgram(_))));
}

#[test]
fn standard_input_is_bytes_of_any_number() {
    let mut s = session();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let step = s.exec(&ExecRequest { stdin: bytes.clone(), ..words(["cat"]) }).unwrap();
    assert!(step.stdout == bytes, "{:?} {} bytes", step.verdict, step.stdout.len());
    assert_eq!(s.exec(&words(["cat"])).unwrap().stdout, b"");
    let step = s.exec(&ExecRequest { stdin: b"one\0two".to_vec(), ..words(["ls", "-A", "/tmp"]) }).unwrap();
    assert_eq!(step.stdout, b"", "what carries the input is not to be seen");
    // No descriptor but the three stays with a command.
    let step = s.exec(&ExecRequest {
        stdin: b"x".to_vec(),
        ..words([
            "python3",
            "-c",
            "import os\nfor i in range(3, 256):\n  try: os.fstat(i); print(i)\n  except OSError: pass",
        ])
    });
    assert_eq!(step.unwrap().stdout, b"");
    assert_eq!(s.run("cat <&251").unwrap().code, Some(1));
}

#[test]
fn variables_and_folder_are_the_commands_own() {
    let mut s = session();
    s.make_folder("sub/deep").unwrap();
    let env = vec![("A".to_owned(), "it's\n$HOME".to_owned()), ("B_2".to_owned(), String::new())];
    let request =
        ExecRequest { env, cwd: Some("sub/deep".into()), ..words(["bash", "-c", "pwd; echo \"$A|${B_2-unset}\""]) };
    assert_eq!(String::from_utf8_lossy(&s.exec(&request).unwrap().stdout), "/box/sub/deep\nit's\n$HOME|\n");
    let after = s.exec(&words(["bash", "-c", "pwd; echo \"${A-unset}\""])).unwrap();
    assert_eq!(String::from_utf8_lossy(&after.stdout), "/box\nunset\n");
    let tmp = s.exec(&ExecRequest { cwd: Some("/tmp".into()), ..words(["pwd"]) }).unwrap();
    assert_eq!(tmp.stdout, b"/tmp\n");
    let nowhere = s.exec(&ExecRequest { cwd: Some("nowhere".into()), ..words(["pwd"]) }).unwrap();
    assert_eq!((nowhere.code, nowhere.stdout.len()), (Some(126), 0), "{nowhere:?}");
    let bad = ExecRequest { env: vec![("A-B".into(), "1".into())], ..words(["true"]) };
    assert!(s.exec(&bad).unwrap_err().to_string().contains("\"A-B\""));
    // What `run` leaves in the shell does not lead an exec astray.
    s.run("cd /tmp; exec() { echo no; }; cd() { echo no; }; export() { echo no; }; alias true=false").unwrap();
    let step = s.exec(&ExecRequest { env: vec![("A".into(), "1".into())], ..words(["bash", "-c", "echo $A; pwd"]) });
    assert_eq!(step.unwrap().stdout, b"1\n/box\n");
}

#[test]
fn long_command_lines() {
    let mut s = session();
    let chunk = "x".repeat(64 << 10);
    let many = ["printf", "%s"].into_iter().chain(std::iter::repeat_n(chunk.as_str(), 16));
    let step = s.exec(&ExecRequest::new(many)).unwrap();
    assert_eq!((step.code, step.stdout.len()), (Some(0), 1 << 20), "{}", String::from_utf8_lossy(&step.stderr));
    let script = format!("x={}; echo ${{#x}} $0 $1 $(ls -A /tmp)", "y".repeat(300_000));
    let step = s.exec(&words(["bash", "-c", &script, "zero", "one"])).unwrap();
    assert_eq!(String::from_utf8_lossy(&step.stdout), "300000 zero one\n", "{step:?}");
    let word = s.exec(&words(["python3", "-c", &"#".repeat(300_000)])).unwrap();
    assert_eq!(word.code, Some(126), "{word:?}");
}

#[test]
fn outputs_are_bounded_by_request() {
    let mut s = session();
    let flood = |bytes| ExecRequest { output_bytes: bytes, ..words(["head", "-c", "12000000", "/dev/zero"]) };
    let step = s.exec(&flood(None)).unwrap();
    assert_eq!((step.stdout.len(), step.truncated, step.verdict), (10 << 20, true, Verdict::Output));
    let step = s.exec(&flood(Some(1000))).unwrap();
    assert_eq!((step.stdout.len(), step.truncated), (1000, true));
    assert_eq!(s.exec(&words(["echo", "ok"])).unwrap().stdout, b"ok\n");
}

#[test]
fn a_limit_of_time_kills_what_the_command_started_and_no_more() {
    let mut s = session();
    let script = "sleep 30 & (setsid sleep 30 &) ; echo started; sleep 30";
    let step = s.exec(&ExecRequest { wall_seconds: Some(0.5), ..words(["bash", "-c", script]) }).unwrap();
    assert_eq!((step.verdict, &step.stdout[..], step.background), (Verdict::Wall, &b"started\n"[..], 0), "{step:?}");
    assert_eq!(step.stderr, b"");
    assert!(step.wall_seconds < 3.0);
    assert_eq!(s.exec(&words(["echo", "alive"])).unwrap().stdout, b"alive\n");
    assert_eq!(s.alive().unwrap(), 0);
}

#[test]
fn files_while_it_lives() {
    files_in(session());
}

#[test]
fn files_while_it_lives_without_namespaces() {
    files_in(session_in(Tier::Landlock));
}

fn files_in(mut s: Session) {
    s.write_file("a/b/c.bin", b"\0\xff", false).unwrap();
    s.write_file("/box/run.sh", b"#!/bin/sh\necho ran \"$@\"\n", true).unwrap();
    s.write_file("/tmp/t/u", b"tmp", false).unwrap();
    let step = s.exec(&words(["bash", "-c", "./run.sh 1; stat -c '%a %u' run.sh a/b/c.bin a; id -u; cat given.txt"]));
    let out = String::from_utf8(step.unwrap().stdout).unwrap();
    let mut lines = out.lines();
    let id = out.lines().nth(4).unwrap().to_owned();
    assert_eq!(lines.next(), Some("ran 1"));
    assert_eq!(lines.next(), Some(&*format!("755 {id}")));
    assert_eq!(lines.next(), Some(&*format!("644 {id}")));
    assert_eq!(lines.next(), Some(&*format!("755 {id}")));
    assert_eq!(s.get_file("a/b/c.bin", 100).unwrap(), b"\0\xff");
    assert_eq!(s.get_file("/tmp/t/u", 100).unwrap(), b"tmp");
    assert_eq!(s.read_file("/tmp/t/u").unwrap().as_deref(), Some(&b"tmp"[..]));
    s.write_file("given.txt", b"", false).unwrap();
    assert_eq!(s.get_file("given.txt", 0).unwrap(), b"");

    s.exec(&words(["bash", "-c", "ln -s /etc out; ln -s a in; ln -s /etc/passwd leaf; mkfifo pipe; mkdir empty"]))
        .unwrap();
    assert_eq!(kind(s.get_file("nothing", 1).unwrap_err()), ErrorKind::NotFound);
    assert_eq!(kind(s.get_file("a", 1).unwrap_err()), ErrorKind::IsADirectory);
    assert_eq!(kind(s.get_file("given.txt/x", 1).unwrap_err()), ErrorKind::NotADirectory);
    assert_eq!(kind(s.get_file("a/b/c.bin", 1).unwrap_err()), ErrorKind::FileTooLarge);
    for path in [
        "out/passwd",
        "in/b/c.bin",
        "leaf",
        "pipe",
        "../etc/passwd",
        "/etc/passwd",
        "a/../../x",
        r"a/\x2e\x2e/../x",
        "nul\0",
    ] {
        assert!(s.get_file(path, 1000).is_err(), "{path}");
        assert!(s.write_file(path, b"x", false).is_err(), "{path}");
    }
    assert_eq!(kind(s.write_file("a", b"", false).unwrap_err()), ErrorKind::IsADirectory);
    assert_eq!(kind(s.write_file("", b"", false).unwrap_err()), ErrorKind::IsADirectory);
    assert_eq!(kind(s.write_file("/tmpx", b"", false).unwrap_err()), ErrorKind::PermissionDenied);

    s.write_file(r"a/\xff", b"odd", false).unwrap();
    assert_eq!(s.get_file(r"a/\xff", 9).unwrap(), b"odd");
    assert_eq!(s.list("a").unwrap().0[0].name, b"b");
    assert_eq!(s.list("a").unwrap().0[1].name, b"\xff");

    let (entries, whole) = s.list(".").unwrap();
    let names: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
    assert_eq!(names, ["a", "empty", "given.txt", "in", "leaf", "out", "pipe", "run.sh"]);
    assert_eq!((entries[3].kind, entries[6].kind, whole), (FileKind::Link, FileKind::Fifo, true));
    assert!(s.list("out").is_err() && s.list("given.txt").is_err());

    assert_eq!(kind(s.remove("a", false).unwrap_err()), ErrorKind::DirectoryNotEmpty);
    s.remove("a", true).unwrap();
    s.remove("out", false).unwrap();
    s.remove("empty", false).unwrap();
    s.remove("pipe", true).unwrap();
    assert_eq!(kind(s.remove("pipe", true).unwrap_err()), ErrorKind::NotFound);
    assert!(s.remove("/box", true).is_err());
    assert_eq!(s.list("").unwrap().0.len(), 4);
    s.make_folder("x/y").unwrap();
    s.make_folder("x/y").unwrap();
    assert_eq!(kind(s.make_folder("given.txt").unwrap_err()), ErrorKind::NotADirectory);
    let record = s.finish().unwrap();
    let changed: Vec<_> = record.files.iter().map(|f| String::from_utf8_lossy(&f.path).into_owned()).collect();
    assert_eq!(changed, ["given.txt", "in", "leaf", "run.sh", "x", "x/y"]);
}

#[test]
fn what_the_user_may_not_do_is_not_done_for_it() {
    let mut s = session();
    s.exec(&words(["bash", "-c", "echo x > closed; chmod 0 closed; mkdir shut; chmod 555 shut"])).unwrap();
    assert_eq!(kind(s.get_file("closed", 10).unwrap_err()), ErrorKind::PermissionDenied);
    assert_eq!(kind(s.write_file("closed", b"y", false).unwrap_err()), ErrorKind::PermissionDenied);
    assert_eq!(kind(s.write_file("shut/in", b"y", false).unwrap_err()), ErrorKind::PermissionDenied);
    assert_eq!(kind(s.make_folder("shut/in").unwrap_err()), ErrorKind::PermissionDenied);
}

#[test]
fn refused_calls_are_told_by_command() {
    let mut s = session();
    let keys = "import ctypes; ctypes.CDLL(None).syscall(250, 0)";
    let step = s.exec(&words(["python3", "-c", keys])).unwrap();
    assert_eq!(step.refused.get("keyctl"), Some(&1), "{step:?}");
    assert!(s.exec(&words(["true"])).unwrap().refused.is_empty());
    assert_eq!(s.refused().get("keyctl"), Some(&1));
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
