//! What `doctor` says, also where it may make fewer system calls itself than cells need.

#![allow(unsafe_code, reason = "a filter is installed that refuses a call to this process")]

use loophole_cell::{Check, doctor};

const AGAIN: &str = "DOCTOR_TEST_REFUSED";

fn all_say_something(checks: &[Check]) {
    for check in checks {
        assert!(!check.found.trim().is_empty(), "{}: nothing is said", check.name);
        assert!(check.ok || !check.hint.is_empty(), "{}: no hint", check.name);
    }
}

fn calls(checks: &[Check]) -> &Check {
    checks.iter().find(|check| check.name == "system calls").unwrap()
}

#[test]
fn every_check_says_what_it_found() {
    let checks = doctor();
    all_say_something(&checks);
    assert_eq!(calls(&checks).found, "all are there", "these tests need them");
}

/// Refuses a system call to this process, and to all it starts, for good.
fn refuse(number: libc::c_long) {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers, and a filter that lives through the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

/// Started by the test below, with a number to refuse.
#[test]
fn with_a_call_refused() {
    let Ok(number) = std::env::var(AGAIN) else { return };
    refuse(number.parse().unwrap());
    let checks = doctor();
    all_say_something(&checks);
    for check in checks {
        println!("{}|{}|{}", check.ok, check.name, check.found);
    }
}

#[test]
fn what_is_refused_is_named() {
    let named = [
        ("openat2", libc::SYS_openat2),
        ("pidfd_open", libc::SYS_pidfd_open),
        ("memfd_create", libc::SYS_memfd_create),
    ];
    // Seen only by trying to make a cell.
    let others = [libc::SYS_pivot_root, libc::SYS_mount, libc::SYS_seccomp, libc::SYS_clone, libc::SYS_capset];
    for (name, number) in named.into_iter().chain(others.map(|number| ("", number))) {
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["with_a_call_refused", "--exact", "--nocapture", "--test-threads", "1"])
            .env(AGAIN, number.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        // Threads are made by another call; without processes there is nobody to ask.
        if number != libc::SYS_clone {
            assert!(out.status.success(), "{name} {number}: {text}\n{}", String::from_utf8_lossy(&out.stderr));
        }
        if !name.is_empty() {
            assert!(text.contains(&format!("false|system calls|refused: {name}")), "{name}: {text}");
        }
    }
}
