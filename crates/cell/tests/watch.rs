//! Who opened the watched files.

mod common;
use common::run;
use loophole_cell::*;

fn watched(mut program: Program) -> Record {
    program.watch = vec!["tests/test_it.py".to_owned(), "/box/answer.txt".to_owned()];
    let r = run(&program.file("tests/test_it.py", "assert True\n").file("answer.txt", "42"));
    assert!(r.success(), "{r:?}");
    r
}

#[test]
fn every_opening_is_told_by_whatever_name() {
    let r = watched(Program::python(
        "import os\n\
         open('answer.txt').read()\n\
         os.link('tests/test_it.py', 'hard'); open('hard').close()\n\
         os.symlink('/box/tests/test_it.py', 'soft'); open('soft').close()\n\
         os.chdir('tests'); open('test_it.py', 'a').close()\n\
         fd = os.open('/box/tests', os.O_RDONLY); os.close(os.open('test_it.py', os.O_RDONLY, dir_fd=fd))\n\
         os.stat('/box/answer.txt')\n",
    ));
    let paths: Vec<&str> = r.opened.iter().map(|o| o.path.as_str()).collect();
    let test = "tests/test_it.py";
    assert_eq!(paths, ["/box/answer.txt", test, test, test, test], "{:?}", r.opened);
    assert!(r.opened.iter().all(|o| o.seconds < 5.0 && o.seconds >= 0.0), "{:?}", r.opened);
    // The last one is by a descriptor of the folder, which only root may look into.
    assert!(r.opened[..4].iter().all(|o| o.process == Some(2)), "{:?}", r.opened);
}

#[test]
fn the_one_who_opened_is_named() {
    let r = watched(Program::command([
        "bash",
        "-c",
        "cat answer.txt >/dev/null; ls -R >/dev/null; python3 -c 'open(\"answer.txt\")'",
    ]));
    let who: Vec<&str> = r.opened.iter().filter_map(|o| o.command.as_deref()).collect();
    assert_eq!(who, ["cat answer.txt", "python3 -c open(\"answer.txt\")"], "{:?}", r.opened);
    assert!(watched(Program::python("print(1)")).opened.is_empty());
}

#[test]
fn one_who_changes_the_name_under_our_eyes_is_seen_all_the_same() {
    // One thread opens by a name in memory that another keeps changing.
    let r = watched(Program::python(
        "import ctypes, threading, os\n\
         libc = ctypes.CDLL(None)\n\
         name = ctypes.create_string_buffer(b'answer.txt')\n\
         stop = False\n\
         def change():\n\
         \x20   while not stop:\n\
         \x20       name.value = b'nothing.tx'\n\
         \x20       name.value = b'answer.txt'\n\
         t = threading.Thread(target=change); t.start()\n\
         count = 0\n\
         for i in range(100):\n\
         \x20   fd = libc.open(name, 0)\n\
         \x20   if fd >= 0: count += 1; os.close(fd)\n\
         stop = True; t.join()\n\
         print(count)\n",
    ));
    let really: usize = r.stdout_text().trim().parse().unwrap();
    // Openings close together may be told as one, but none that happened at all stays unseen.
    assert!(really == 0 || !r.opened.is_empty(), "{really} openings, none seen");
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
