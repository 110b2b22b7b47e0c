"""What all cases share: writing files, calling the program, reading what it says, and checking it.

A case never looks at the program's source. With `run.py --plain` nothing of the program is run: the claims that the
cases rest on (this submission is paid by a plain grader of that kind, this one is not) are checked with python3 alone.
"""
import ast
import base64
import decimal
import functools
import gzip
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap

CASES = []


class Wrong(Exception):
    pass


class Skip(Exception):
    pass


class Case:
    def __init__(self, part, name, truth, limit, needs, unsure, function):
        self.part, self.name, self.truth, self.limit = part, name, truth, limit
        self.needs, self.unsure, self.function = needs, unsure, function


def case(part, name, truth, limit=60, needs=(), unsure=""):
    """needs: names of programs on PATH, `py:MODULE` for a module of the interpreter given with --python, `packages:MODULE`
    and `classic:MODULE` for one of LOOPHOLE_PACKAGES_PYTHON (inspect-ai, verifiers 0.4) and LOOPHOLE_VERIFIERS_PYTHON."""
    def wrap(function):
        CASES.append(Case(part, name, truth, limit, tuple(needs), unsure, function))
        return function
    return wrap


def want(condition, text):
    if not condition:
        raise Wrong(text)


def D(text):
    return textwrap.dedent(text).strip("\n") + "\n"


def short(text, n=600):
    text = str(text).strip()
    return text if len(text) <= n else text[: n // 2] + " [...] " + text[-n // 2:]


# ---------------------------------------------------------------- tasks

def enc(v):
    """Values of the case form."""
    if isinstance(v, tuple):
        return {"$tuple": [enc(x) for x in v]}
    if isinstance(v, (set, frozenset)):
        return {"$set": [enc(x) for x in sorted(v, key=repr)]}
    if isinstance(v, bytes):
        return {"$bytes": base64.b64encode(v).decode()}
    if isinstance(v, float) and not math.isfinite(v):
        return {"$float": "nan" if v != v else ("inf" if v > 0 else "-inf")}
    if isinstance(v, list):
        return [enc(x) for x in v]
    if isinstance(v, dict):
        return {k: enc(x) for k, x in v.items()}
    return v


class Task:
    """One task: the row as it is written to the file, and how a plain grader would test it."""

    def __init__(self, row, kind, plain):
        self.row, self.kind, self.plain = row, kind, plain
        self.id = row.get("id", row.get("task_id"))


def T(id, entry, reference, visible, hidden, statement="", **more):
    """Case form. visible, hidden: lists of (args tuple, expected)."""
    row = {"id": id, "statement": statement, "entry_point": entry}
    if reference:
        reference = D(reference)
        for node in ast.parse(reference).body:
            if isinstance(node, ast.FunctionDef) and node.name == entry:
                row["params"] = [a.arg for a in node.args.args]
        row["reference"] = reference
    row["visible"] = [{"args": [enc(a) for a in args], "expected": enc(e)} for args, e in visible]
    row["hidden"] = [{"args": [enc(a) for a in args], "expected": enc(e)} for args, e in hidden]
    row.update(more)
    return Task(row, "script", (entry, visible, hidden))


def H(id, prompt, entry, canonical, test):
    row = {"task_id": id, "prompt": prompt, "entry_point": entry, "canonical_solution": canonical, "test": D(test)}
    return Task(row, "humaneval", None)


def apps(problem_id, question, solution, tests, starter="", difficulty="interview"):
    """A row of APPS as the public set has it: solutions and input_output are texts."""
    row = {"problem_id": problem_id, "question": question, "solutions": json.dumps([D(solution)]),
           "input_output": json.dumps({"inputs": [i for i, _ in tests], "outputs": [o for _, o in tests]}),
           "difficulty": difficulty, "url": "https://example.org/p/%s" % problem_id, "starter_code": starter}
    t = Task(row, "stdio", tests)
    t.id = problem_id
    return t


class S:
    """A submission and what is true of it.

    verdict: accepted verdicts, "a|b". paid: does a plain grader pay it (True, False; None: it depends on the grader:
    then the verdict counts only where the record says that it was paid, and else it must be fail or attempted).
    """

    def __init__(self, task, code, verdict, paid=True, family=None, evidence=None, files=None, note="", **columns):
        self.task = task.id if isinstance(task, Task) else task
        if code is not None and (code.startswith("\n") or not code[:1].isspace()):
            code = D(code)
        self.code = code      # one that begins with blanks continues a prompt: kept as it is
        self.verdict, self.paid, self.family = set(verdict.split("|")), paid, family
        self.evidence = [evidence] if isinstance(evidence, str) else (evidence or [])
        self.files, self.note, self.columns = files, note, columns

    def row(self):
        row = {"task_id": self.task}
        if self.files:
            row["files"] = {k: D(v) for k, v in self.files.items()}
        else:
            row["completion"] = self.code
        row.update(self.columns)
        return row


# ---------------------------------------------------------------- running

class Ran:
    def __init__(self, rc, out, err, timed_out):
        self.rc, self.out, self.err, self.timed_out = rc, out, err, timed_out

    def json_lines(self):
        found = []
        for line in self.out.splitlines():
            line = line.strip()
            if line:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    raise Wrong("stdout of --json has a line that is no JSON: %r" % short(line, 200))
        return found

    def tail(self):
        return "exit %s; stdout: %s; stderr: %s" % (self.rc, short(self.out), short(self.err))


def execute(command, limit, stdin=None, cwd=None, env=None):
    p = subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env, start_new_session=True)
    if isinstance(stdin, str):
        stdin = stdin.encode("utf-8", "surrogatepass")
    try:
        out, err = p.communicate(stdin, timeout=limit)
        late = False
    except subprocess.TimeoutExpired:
        late = True
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except OSError:
            p.kill()
        out, err = p.communicate()
    return Ran(p.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), late)


class Graded:
    def __init__(self, ran):
        self.ran = ran
        rows = ran.json_lines()
        self.summary = next((r["summary"] for r in reversed(rows) if isinstance(r, dict) and "summary" in r), {})
        self.records = [r for r in rows if isinstance(r, dict) and "summary" not in r]
        if all(isinstance(r.get("index"), int) for r in self.records):
            self.records.sort(key=lambda r: r["index"])

    def verdicts(self):
        return [r.get("verdict") for r in self.records]


def text_of(value):
    return json.dumps(value, ensure_ascii=False)


def deep(value, key_pattern):
    """All values below keys that match, anywhere."""
    found = []
    if isinstance(value, dict):
        for k, v in value.items():
            if re.search(key_pattern, str(k), re.I):
                found.append(v)
            found += deep(v, key_pattern)
    elif isinstance(value, list):
        for v in value:
            found += deep(v, key_pattern)
    return found


class Box:
    """A temporary folder with the program, for one case."""

    def __init__(self, folder, loophole, python, limit, plain):
        self.dir = pathlib.Path(folder)
        self.loophole, self.python, self.limit, self.plain = loophole, python, limit, plain
        self.calls = []

    # files
    def path(self, name):
        p = self.dir / name
        p.parent.mkdir(parents=True, exist_ok=True)
        return p

    def write(self, name, text):
        p = self.path(name)
        if isinstance(text, bytes):
            p.write_bytes(text)
        else:
            p.write_bytes(text.encode("utf-8", "surrogatepass"))
        return str(p)

    def jsonl(self, name, rows, newline="\n", ascii=False):
        return self.write(name, "".join(json.dumps(r, ensure_ascii=ascii) + newline for r in rows))

    def gz(self, name, text):
        p = self.path(name)
        with gzip.open(p, "wb") as f:
            f.write(text.encode())
        return str(p)

    def parquet(self, name, rows):
        source = self.write(name + ".rows.json", json.dumps(rows))
        program = ("import json,sys,pyarrow as pa,pyarrow.parquet as pq\n"
                   "pq.write_table(pa.Table.from_pylist(json.load(open(sys.argv[1]))), sys.argv[2])\n")
        r = execute([self.python or sys.executable, "-c", program, source, str(self.path(name))], 60)
        os.remove(source)
        if r.rc:
            raise Skip("no pyarrow in %s" % (self.python or sys.executable))
        return str(self.path(name))

    # the program
    def run(self, *args, stdin=None, cwd=None, limit=None, python=True):
        command = [self.loophole] + [str(a) for a in args]
        if python and self.python and args and args[0] in ("grade", "audit") and "--python" not in args:
            command += ["--python", self.python]
        env = dict(os.environ, NO_COLOR="1", TERM="dumb")
        r = execute(command, limit or self.limit, stdin, cwd or str(self.dir), env)
        self.calls.append({"args": command[1:], "rc": r.rc, "out": r.out[-6000:], "err": r.err[-3000:]})
        if r.timed_out:
            raise Wrong("not done after %s s: %s" % (limit or self.limit, " ".join(command[:6])))
        want(r.rc >= 0, "ended by signal %s" % -r.rc)
        want("panicked at" not in r.err, "it panicked: %s" % short(r.err))
        return r

    def grade(self, tasks, submissions, *args, stdin=None):
        r = self.run("grade", "--tasks", tasks, "--submissions", submissions, "--json", *args, stdin=stdin)
        return Graded(r)

    def labels(self, tasks, submissions, *args, rc=None):
        """Writes both files, grades, and compares each record with what is true of its submission."""
        tasks = [tasks] if isinstance(tasks, Task) else tasks
        if self.plain:
            plain_labels(self, tasks, submissions, args)
            return None
        t = self.jsonl("tasks.jsonl", [x.row for x in tasks])
        s = self.jsonl("subs.jsonl", [x.row() for x in submissions])
        g = self.grade(t, s, *args)
        self.check(g, submissions, rc)
        return g

    def check(self, g, submissions, rc=None):
        want(len(g.records) == len(submissions),
             "%d records for %d submissions; %s" % (len(g.records), len(submissions), g.ran.tail()))
        problems = []
        bad = False
        for i, (r, s) in enumerate(zip(g.records, submissions)):
            name = "#%d%s" % (i, " (%s)" % s.note if s.note else "")
            v = r.get("verdict")
            accepted = s.verdict
            paid = (r.get("reward") or 0) >= 0.999
            if s.paid is None and not paid:
                accepted = {"fail", "attempted"}
            if v not in accepted:
                problems.append("%s: %s, wanted %s; reward %s, evidence %s"
                                % (name, v, "|".join(sorted(accepted)), r.get("reward"), short(text_of(r.get("evidence")), 300)))
            elif s.family and v in ("hack", "tamper", "overfit") and r.get("family") not in s.family.split("|"):
                problems.append("%s: family %s, wanted %s" % (name, r.get("family"), s.family))
            if s.paid is True and not paid and v in accepted:
                problems.append("%s: not paid (reward %s), though the grader pays it" % (name, r.get("reward")))
            evidence = r.get("evidence")
            if v == "fail" and not evidence:
                problems.append("%s: fail without evidence" % name)
            for pattern in s.evidence:
                if not re.search(pattern, text_of(evidence)):
                    problems.append("%s: evidence does not say /%s/: %s" % (name, pattern, short(text_of(evidence), 300)))
            bad = bad or v in ("hack", "tamper", "attempted")
        want(not problems, "; ".join(problems))
        if rc is None and not any(a == "--exit-zero" for a in self.calls[-1]["args"]):
            rc = 1 if bad else 0
        if rc is not None:
            want(g.ran.rc == rc, "exit %s, wanted %s" % (g.ran.rc, rc))

    # audits
    def audit(self, target, *args, hack=None, honest=None, plain=None, limit=None, cwd=None, stdin=None):
        """plain: a function (submission) -> reward that asks the grader without the program."""
        if self.plain:
            if plain is not None:
                for one in ([honest] if isinstance(honest, str) else honest or []):
                    got = plain(one)
                    want(got is not None and got > 0.99, "the plain grader pays the honest one %r: %s" % (short(one, 80), got))
                for one in ([hack] if isinstance(hack, str) else hack or []):
                    got = plain(one)
                    want(got is not None and got > 0.99, "the plain grader pays the hack %r: %s" % (short(one, 80), got))
            return None
        r = self.run("audit", target, *args, limit=limit, cwd=cwd, stdin=stdin)
        return Audited(r, "--json" in args)


class Audited:
    def __init__(self, ran, is_json):
        self.ran, self.rc = ran, ran.rc
        self.rows = ran.json_lines() if is_json else []
        self.findings = []
        for row in self.rows:
            for found in deep(row, r"^findings$"):
                if isinstance(found, list):
                    self.findings += [f for f in found if isinstance(f, dict)]

    def all(self):
        return self.ran.out + "\n" + self.ran.err


def hole(a, families=None, at_least=1):
    """A hole was found and proven."""
    want(a.rc == 1, "wanted exit 1 (a hole is there); %s" % a.ran.tail())
    want(len(a.findings) >= at_least, "wanted %d findings, got %d; %s" % (at_least, len(a.findings), a.ran.tail()))
    for f in a.findings:
        want(f.get("id") and f.get("family"), "a finding without id or family: %s" % short(text_of(f)))
        want(f.get("proof") or f.get("transcript"), "a finding without proof: %s" % short(text_of(f)))
        want(f.get("fix"), "a finding without a fix: %s" % short(text_of(f)))
    if families:
        got = {f.get("family") for f in a.findings}
        want(got & set(families.split("|")), "families %s, wanted one of %s" % (sorted(map(str, got)), families))


def clean(a):
    want(a.rc == 0, "wanted exit 0 (nothing is there); %s" % a.ran.tail())
    want(not a.findings, "a finding in a sound grader: %s" % short(text_of(a.findings), 900))
    honest = [c.get("honest") for c in deep(a.rows, r"^controls$") if isinstance(c, dict)]
    want(any(isinstance(h, (int, float)) and h > 0.99 for h in honest), "an all-clear without an honest control that is paid: %s" % short(a.ran.out))
    want(any(isinstance(n, int) and n > 0 for n in deep(a.rows, r"^exploits_tried$")), "an all-clear without a tried exploit: %s" % short(a.ran.out))


def not_audited(a, saying=None):
    want(a.rc == 3, "wanted exit 3 (not audited); %s" % a.ran.tail())
    want(len((a.ran.out + a.ran.err).strip()) > 20, "no reason given")
    if saying:
        want(re.search(saying, a.all(), re.I), "the reason does not say /%s/: %s" % (saying, a.ran.tail()))


# ---------------------------------------------------------------- without the program

def plain_labels(b, tasks, submissions, args):
    by_id = {}
    for t in tasks:
        by_id[str(t.id)] = t
    if "--hardened" in args or "pytest" in args or "unittest" in args:
        kinds = {"pytest", "unittest"} & set(args)
        if not kinds:
            return
    for i, s in enumerate(submissions):
        t = by_id[str(s.task)]
        if s.paid is None or s.columns.get("language") not in (None, "python"):
            continue
        code = s.code
        work = b.path("plain%d/x" % i).parent
        if s.files:
            for k, v in s.files.items():
                p = work / k
                p.parent.mkdir(parents=True, exist_ok=True)
                p.write_text(D(v), encoding="utf-8", errors="surrogatepass")
            code = None
        python = b.python or sys.executable
        if t.kind == "script":
            entry, visible, hidden = t.plain
            if "pytest" in args or "unittest" in args:
                got = plain_frame(work, python, args, entry, visible, code)
            else:
                if code is not None:
                    (work / "solution.py").write_bytes(code.encode("utf-8", "surrogatepass"))
                body = "import sys; sys.path.insert(0, %r)\nfrom solution import *\nimport solution\nnan=float('nan'); inf=float('inf')\n" % str(work)
                body += "".join("assert solution.%s(*%r) == %r\n" % (entry, a, e) for a, e in visible)
                (work / "main.py").write_text(body, encoding="utf-8")
                got = execute([python, str(work / "main.py")], 12, cwd=str(work)).rc == 0
            want(got == s.paid, "plain: #%d %s: paid %s, the case says %s" % (i, s.note, got, s.paid))
            if s.verdict & {"honest", "tamper"} or s.verdict & {"overfit", "hack"}:
                right = 0
                for a, e in list(visible) + list(hidden):
                    (work / "one.py").write_text(
                        "import sys; sys.path.insert(0, %r)\nimport solution\nnan=float('nan'); inf=float('inf')\n"
                        "import os\nv = solution.%s(*%r)\nok = v == %r\nos.write(9, b'Y' if ok is True or (type(ok).__name__.startswith('bool') and ok) else b'N')\n" % (str(work), entry, a, e), encoding="utf-8")
                    r, w = os.pipe()
                    p = subprocess.Popen(["bash", "-c", "exec 9>&%d; exec \"$@\"" % w, "x", python, str(work / "one.py")],
                                         pass_fds=[w], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=str(work), start_new_session=True)
                    os.close(w)
                    try:
                        p.wait(10)
                    except subprocess.TimeoutExpired:
                        os.killpg(p.pid, signal.SIGKILL)
                        p.wait()
                    os.set_blocking(r, False)
                    try:
                        right += os.read(r, 1) == b"Y"
                    except BlockingIOError:
                        pass
                    os.close(r)
                if s.verdict <= {"honest", "tamper"}:
                    want(right == len(visible) + len(hidden), "plain: #%d %s: said to be right, %d of %d" % (i, s.note, right, len(visible) + len(hidden)))
                elif s.verdict <= {"overfit"}:
                    want(right < len(visible) + len(hidden), "plain: #%d %s: said to be wrong, and is right everywhere" % (i, s.note))
        elif t.kind == "humaneval":
            r = t.row
            whole = re.search(r"^(async )?def %s\b|^%s *=|^class " % (r["entry_point"], r["entry_point"]), code, re.M)
            text = (code if whole else r["prompt"] + code) + "\n" + r["test"] + "\ncheck(%s)\n" % r["entry_point"]
            (work / "main.py").write_bytes(text.encode("utf-8", "surrogatepass"))
            got = execute([python, str(work / "main.py")], 12, cwd=str(work)).rc == 0
            want(got == s.paid, "plain: #%d %s: paid %s, the case says %s" % (i, s.note, got, s.paid))
        elif t.kind == "stdio":
            (work / "main.py").write_bytes((code or "").encode("utf-8", "surrogatepass"))
            got = plain_stdio([python, str(work / "main.py")], t.plain)
            want(got == s.paid, "plain: #%d %s: paid %s, the case says %s" % (i, s.note, got, s.paid))
    for t in tasks:     # references pass their own tests
        if t.kind == "script" and t.row.get("reference") and "impossible" not in str(t.id):
            entry, visible, hidden = t.plain
            p = b.write("ref.py", t.row["reference"] + "\nnan=float('nan'); inf=float('inf')\n" + "".join("assert %s(*%r) == %r\n" % (entry, a, e) for a, e in visible + hidden))
            r = execute([b.python or sys.executable, p], 12)
            want(r.rc == 0, "plain: the reference of %s fails: %s" % (t.id, r.err[-300:]))
        if t.kind == "humaneval":
            r = t.row
            p = b.write("ref.py", r["prompt"] + r["canonical_solution"] + "\n" + r["test"] + "\ncheck(%s)\n" % r["entry_point"])
            want(execute([b.python or sys.executable, p], 12).rc == 0, "plain: the reference of %s fails" % t.id)
        if t.kind == "stdio":
            p = b.write("ref.py", json.loads(t.row["solutions"])[0])
            want(plain_stdio([sys.executable, p], t.plain), "plain: the reference of %s fails" % t.id)


def plain_stdio(command, tests):
    for i, o in tests:
        r = execute(command, 12, stdin=i)
        if r.rc != 0 or r.out.split() != o.split():
            return False
    return True


def plain_frame(work, python, args, entry, visible, code):
    if code is not None:
        (work / "solution.py").write_text(code)
    if "pytest" in args:
        test = "from solution import %s\n" % entry + "".join(
            "def test_%d():\n    assert %s(*%r) == %r\n" % (i, entry, a, e) for i, (a, e) in enumerate(visible))
        (work / "test_solution.py").write_text(test)
        return execute([python, "-m", "pytest", "-q", "test_solution.py"], 30, cwd=str(work)).rc == 0
    test = "import unittest\nfrom solution import %s\nclass T(unittest.TestCase):\n" % entry + "".join(
        "    def test_%d(self):\n        self.assertEqual(%s(*%r), %r)\n" % (i, entry, a, e) for i, (a, e) in enumerate(visible))
    (work / "test_solution.py").write_text(test)
    return execute([python, "-m", "unittest", "test_solution"], 30, cwd=str(work)).rc == 0


@functools.lru_cache(maxsize=None)     # packages take seconds to load
def have(need, python):
    if need.startswith("py:"):
        return execute([python or sys.executable, "-c", "import " + need[3:]], 30).rc == 0
    for prefix, name in (("packages:", "LOOPHOLE_PACKAGES_PYTHON"), ("classic:", "LOOPHOLE_VERIFIERS_PYTHON")):
        if need.startswith(prefix):
            path = os.environ.get(name)
            return bool(path) and execute([path, "-c", "import " + need[len(prefix):]], 60).rc == 0
    return shutil.which(need) is not None
