//! What the warm interpreters of the cells have loaded.

use super::{ACCEPT, CANON, CHECK, MARKS, SPY, humaneval, oracle, stdio};

/// What the programs of this crate begin with.
pub(crate) fn prepared() -> Vec<String> {
    let texts = [
        MARKS,
        SPY,
        CANON,
        CHECK,
        ACCEPT,
        humaneval::LAUNDER,
        humaneval::WRONG,
        humaneval::HUMANEVAL,
        oracle::CALL,
        oracle::ORACLE,
        oracle::SHARED,
        stdio::RUN_PROGRAM,
    ];
    texts.map(str::to_owned).to_vec()
}

/// The modules the programs below and most solutions import: worth having in the warm interpreter.
pub(crate) const PRELOAD: &[&str] = &[
    "ast",
    "atexit",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "linecache",
    "math",
    "operator",
    "random",
    "re",
    "runpy",
    "string",
    "threading",
    "traceback",
    "types",
    "typing",
    "unittest",
];

/// The same for pytest, which loads its plugins late.
pub(crate) const PRELOAD_PYTEST: &[&str] = &[
    "pytest",
    "_pytest._argcomplete",
    "_pytest.helpconfig",
    "_pytest.unittest",
    "_pytest.skipping",
    "_pytest.pastebin",
    "_pytest.junitxml",
    "_pytest.setuponly",
    "_pytest.setupplan",
    "_pytest.tracemalloc",
    "_pytest.unraisableexception",
    "_pytest.threadexception",
    "_pytest.warnings",
    "_pytest.faulthandler",
    "_pytest.assertion",
    "_pytest.terminal",
    "_pytest.python",
    "_pytest.runner",
    "_pytest.capture",
    "_pytest.logging",
    "_pytest.fixtures",
    "difflib",
    "pdb",
    "readline",
    "code",
    "unittest.main",
    "xml.etree.ElementTree",
];
