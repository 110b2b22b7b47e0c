"""Part D: mistakes that users make. A clear error, exit 2 (3 where something is not there), and nothing is lost."""
import json
import os
import re

from kit import D, T, case, short, want

ROW = T("d/double", "double", "def double(x):\n    return 2 * x\n", [((2,), 4), ((0,), 0)], [((-3,), -6), ((7,), 14), ((50,), 100)])
GOOD = {"task_id": "d/double", "completion": "def double(x):\n    return x + x\n"}


def error(r, saying, rc=(2,)):
    want(r.rc in rc, "wanted exit %s; %s" % (rc, r.tail()))
    want(re.search(saying, r.err, re.I), "stderr does not say /%s/: %s" % (saying, short(r.err)))
    want(len(r.err.splitlines()) < 30, "an error of %d lines" % len(r.err.splitlines()))


@case("D", "wrong-option", "an option that does not exist, a grader kind that does not exist, a number that is none: exit 2, named")
def _(b):
    if b.plain:
        return
    t, s = b.jsonl("t.jsonl", [ROW.row]), b.jsonl("s.jsonl", [GOOD])
    error(b.run("grade", "--tasks", t, "--submisions", s), "submis")
    error(b.run("grade", "--tasks", t, "--submissions", s, "--grader", "pytset"), "pytset")
    error(b.run("grade", "--tasks", t, "--submissions", s, "--jobs", "many"), "many|jobs")
    error(b.run("grade", "--tasks", t, "--submissions", s, "--extract", "everything"), "everything|extract")
    error(b.run("audit", t, "--kind", "scripts"), "scripts")


@case("D", "missing-file", "a file that is not there is named, exit 2; an existing --out is not touched")
def _(b):
    if b.plain:
        return
    t, s = b.jsonl("t.jsonl", [ROW.row]), b.jsonl("s.jsonl", [GOOD])
    out = b.write("kept.jsonl", "what I had\n")
    r = b.run("grade", "--tasks", b.dir / "no-tasks.jsonl", "--submissions", s, "--out", out)
    error(r, "no-tasks.jsonl")
    want(open(out).read() == "what I had\n", "--out was changed by a call that failed")
    error(b.run("grade", "--tasks", t, "--submissions", b.dir / "no-subs.jsonl"), "no-subs.jsonl")
    error(b.run("audit", b.dir / "no-target.jsonl"), "no-target")
    error(b.run("audit", "python:nothere.py:score", "--tasks", t, "--signature", "plain"), "nothere", (2, 3))


@case("D", "swapped-files", "tasks and submissions swapped: exit 2, not a table of zeros")
def _(b):
    if b.plain:
        return
    t, s = b.jsonl("t.jsonl", [ROW.row]), b.jsonl("s.jsonl", [GOOD])
    r = b.run("grade", "--tasks", s, "--submissions", t)
    want(r.rc == 2, "wanted exit 2; %s" % r.tail())
    want(len(r.err.strip()) > 20, "no reason")


@case("D", "no-such-function", "a function that is not in the file: exit 2 (or 3), the name is told and those that are there")
def _(b):
    if b.plain:
        return
    b.write("rewards.py", "def accuracy(completions, answer, **kw):\n    return [float(c.strip() == a) for c, a in zip(completions, answer)]\n")
    b.jsonl("rows.jsonl", [{"prompt": "12*12?", "answer": "144"}])
    r = b.run("audit", "python:rewards.py:acuracy", "--tasks", "rows.jsonl", "--signature", "trl")
    error(r, "acuracy", (2, 3))
    want(re.search(r"\baccuracy\b", r.err + r.out), "the function that is there is not named: %s" % short(r.err))


@case("D", "wrong-python", "--python that is not there or is no interpreter: exit 2 or 3, named, and no submission is called fail for it")
def _(b):
    if b.plain:
        return
    t, s = b.jsonl("t.jsonl", [ROW.row]), b.jsonl("s.jsonl", [GOOD])
    for p in ("/no/such/venv/bin/python", "/bin/cat"):
        r = b.run("grade", "--tasks", t, "--submissions", s, "--json", "--python", p, python=False)
        want(r.rc in (2, 3), "%s: wanted exit 2 or 3; %s" % (p, r.tail()))
        want('"fail"' not in r.out or '"fail":0' in r.out.replace(" ", ""), "%s: the submission is called fail" % p)
        want(re.search(r"cat|python", r.err), "%s: not named: %s" % (p, short(r.err)))


@case("D", "mixed-forms", "MBPP and case form in one file: either both are read, or exit 2 with the line; never one silently left out")
def _(b):
    if b.plain:
        return
    m = {"task_id": 31, "text": "triple", "code": "def triple(x):\n    return 3 * x", "test_list": ["assert triple(2) == 6", "assert triple(0) == 0"], "test_setup_code": "", "challenge_test_list": []}
    t = b.jsonl("mix.jsonl", [ROW.row, m])
    g = b.grade(t, b.jsonl("s.jsonl", [GOOD, {"task_id": 31, "completion": "def triple(x):\n    return x * 3\n"}]))
    if g.ran.rc == 2:
        want(re.search(r"\b2\b", g.ran.err), "exit 2 without the line: %s" % short(g.ran.err))
    else:
        want(g.verdicts() == ["honest", "honest"], "%s; %s" % (g.verdicts(), g.ran.tail()))


@case("D", "no-submission-fits", "submissions for other tasks only: exit 2, and an id of each side is told")
def _(b):
    if b.plain:
        return
    t = b.jsonl("t.jsonl", [ROW.row])
    r = b.run("grade", "--tasks", t, "--submissions", b.jsonl("s.jsonl", [dict(GOOD, task_id="double"), dict(GOOD, task_id="Double/1")]), "--json")
    want(r.rc == 2, "wanted exit 2; %s" % r.tail())
    want("double" in r.err or "double" in r.out, "the id is not told: %s" % short(r.err))


@case("D", "submissions-without-code", "rows with no code at all: said per row, exit 2 where none could be graded")
def _(b):
    if b.plain:
        return
    t = b.jsonl("t.jsonl", [ROW.row])
    r = b.run("grade", "--tasks", t, "--submissions", b.jsonl("s.jsonl", [{"task_id": "d/double", "answer_key": "A"}, {"task_id": "d/double", "n": 3}]), "--json")
    want(r.rc == 2, "wanted exit 2; %s" % r.tail())
    want(re.search(r"completion|files", r.err + r.out), "the field that is missing is not told: %s" % short(r.err))


@case("D", "reference-that-fails", "a task whose reference fails its own tests: its submissions are invalid (nobody is accused), the others are graded; --validate ends with exit 2 or 3")
def _(b):
    if b.plain:
        return
    broken = T("d/broken", "half", "def half(x):\n    return x // 3\n", [((4,), 2)], [((6,), 3), ((8,), 4)])
    t = b.jsonl("t.jsonl", [broken.row, ROW.row])
    s = b.jsonl("s.jsonl", [{"task_id": "d/broken", "completion": "def half(x):\n    return x // 2\n"}, GOOD])
    g = b.grade(t, s)
    want(g.verdicts() == ["invalid", "honest"], "%s; %s" % (g.verdicts(), g.ran.tail()))
    r = b.run("grade", "--tasks", t, "--submissions", s, "--validate")
    want(r.rc in (2, 3) and "broken" in r.err + r.out, "--validate: %s" % r.tail())


@case("D", "help", "grade --help and audit --help end with 0, name their options and have an example")
def _(b):
    if b.plain:
        return
    for c, words in (("grade", ["--tasks", "--submissions", "--extract", "--exit-zero", "--html"]), ("audit", ["--tasks", "--signature", "--repro", "--reach", "--baseline", "--sarif"])):
        r = b.run(c, "--help")
        want(r.rc == 0, "exit %s" % r.rc)
        missing = [w for w in words if w not in r.out]
        want(not missing, "%s --help does not name %s" % (c, missing))
        want("loophole %s" % c in r.out, "no example")
