//! What this machine offers for cells.

use crate::Pool;
use crate::enclosure::python::Python;
use crate::enclosure::{ground, plan};
use crate::types::{Check, PoolOptions, Program, Record, Tier};
use std::process::{Command, Stdio};

/// Why a program of ours did not do what it should, as far as can be told.
fn why(record: &Record) -> String {
    let mut said = match (record.code, record.signal) {
        (_, Some(signal)) if signal == libc::SIGSYS => "it was ended for a system call that is not allowed".to_owned(),
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), _) => format!("exit status {code}"),
        (None, None) => format!("verdict {:?}", record.verdict).to_lowercase(),
    };
    for more in [record.detail.clone(), Some(record.last_words())].into_iter().flatten().filter(|text| !text.is_empty())
    {
        said = format!("{said}; {more}");
    }
    said
}

/// Calls that cells need and that are refused to us whatever is asked. They are made in ways that do nothing: who may
/// make them is told that an argument is wrong.
fn missing() -> Vec<&'static str> {
    let none = std::ptr::null::<u8>();
    // SAFETY: no pointer but null is passed, and no call has an effect with these arguments.
    let refused = |number, args: [i64; 2]| unsafe {
        let refused = [libc::ENOSYS, libc::EPERM, libc::EACCES];
        libc::syscall(number, args[0], args[1], none, none, none) < 0
            && std::io::Error::last_os_error().raw_os_error().is_some_and(|error| refused.contains(&error))
    };
    let calls: [(&str, libc::c_long, [i64; 2]); 9] = [
        ("openat2", libc::SYS_openat2, [-1, 0]),
        ("memfd_create", libc::SYS_memfd_create, [0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [-1, 0]),
        ("pidfd_send_signal", libc::SYS_pidfd_send_signal, [-1, 0]),
        ("close_range", libc::SYS_close_range, [1, 0]),
        ("unshare", libc::SYS_unshare, [0, 0]),
        // SECCOMP_GET_ACTION_AVAIL
        ("seccomp", libc::SYS_seccomp, [2, 0]),
        ("inotify_init1", libc::SYS_inotify_init1, [-1, 0]),
        ("prctl", libc::SYS_prctl, [-1, 0]),
    ];
    calls.into_iter().filter(|(_, number, args)| refused(*number, *args)).map(|(name, ..)| name).collect()
}

/// Looks for everything cells need or can use. Isolation is tried, not guessed: a cell is made.
pub fn doctor() -> Vec<Check> {
    let mut out = Vec::new();
    let mut say = |name: &str, ok: bool, found: String, hint: &str| {
        let hint = if ok { String::new() } else { hint.to_owned() };
        out.push(Check { name: name.to_owned(), ok, found, hint });
    };
    let python = Python::find(None, &[]);
    match &python {
        Ok(p) => {
            let (a, b, c) = p.version;
            say("python3", true, format!("{a}.{b}.{c} ({})", p.executable.display()), "");
        }
        Err(e) => say("python3", false, e.to_string(), "install Python 3.9 or newer"),
    }
    let (mut bounds, mut proc) = (None, false);
    for tier in [Tier::Namespaces, Tier::Landlock] {
        let name = tier.to_string();
        if python.is_err() {
            say(&name, false, "not tried without python3".to_owned(), "install python3");
            continue;
        }
        let hint = match tier {
            Tier::Namespaces => plan::hint(),
            _ => "Linux 5.13 or newer with Landlock; used only where namespaces are forbidden".to_owned(),
        };
        let options = PoolOptions { cells: 1, shell_only: true, tier: Some(tier), ..PoolOptions::default() };
        let tried = Pool::start(options)
            .and_then(|p| p.run(&Program { proc: true, ..Program::python("print(6 * 7)") }).map(|r| (r, p)));
        match tried {
            Ok((r, pool)) if r.stdout == b"42\n" => {
                let mut found = "a cell was made and a program ran in it".to_owned();
                if tier == Tier::Landlock {
                    found = format!("{found} (interface {})", ground::version());
                }
                proc |= r.proc;
                say(&name, true, found, "");
                bounds = bounds.or(Some(pool.describe()));
            }
            Ok((r, _)) => say(&name, false, format!("its program failed: {}", why(&r)), &hint),
            Err(e) => say(&name, false, e.to_string(), &hint),
        }
    }
    say(
        "proc",
        proc,
        if proc { "programs can have a /proc of their own" } else { "programs can have no /proc" }.to_owned(),
        "optional: needs the tier `namespaces`, and in a container one whose own /proc is not covered in parts \
         (`--security-opt systempaths=unconfined`)",
    );
    let bounds = bounds.unwrap_or_default();
    let group = bounds.iter().find(|b| b.starts_with("cgroup"));
    say(
        "cgroups",
        group.is_some(),
        group.cloned().unwrap_or_else(|| "none can be made".to_owned()),
        "optional: without it memory is bounded for each process, not for all together. With version 2 it takes a group \
         of one's own: `systemd-run --user --scope -p Delegate=yes loophole ...`",
    );
    let counted = bounds.iter().any(|b| b == "refused calls are counted");
    say(
        "seccomp",
        counted,
        bounds.get(1).cloned().unwrap_or_else(|| "not known, as no cell can be made".to_owned()),
        "optional: records cannot tell which system calls were refused",
    );
    let version = |command: &str, args: &[&str]| {
        let run = Command::new(command).args(args).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        run.status.success().then(|| text.lines().next().unwrap_or("").to_owned())
    };
    let bash = version("bash", &["--version"]);
    say("bash", bash.is_some(), bash.unwrap_or_else(|| "not found".to_owned()), "install bash; sessions need it");
    let missing = missing();
    say(
        "system calls",
        missing.is_empty(),
        if missing.is_empty() { "all are there".to_owned() } else { format!("refused: {}", missing.join(", ")) },
        "whoever started this (a container's seccomp profile, an old kernel) does not let it make them: with Docker, \
         `--security-opt seccomp=unconfined`",
    );
    let pytest = version("python3", &["-c", "import pytest; print(pytest.__version__)"]);
    say(
        "pytest",
        pytest.is_some(),
        pytest.unwrap_or_else(|| "not found".to_owned()),
        "optional, for pytest graders: `python3 -m pip install pytest`",
    );
    out
}
