"""Part E, Harbor tasks: verifiers that are fooled, one that is not, and tasks that cannot be run here."""
import json
import os
import re

from kit import case, clean, deep, hole, not_audited, short, text_of, want
from targets_kit import harbor, harbor_plain, hinted

SHEBANG = "#!/bin/bash\n"


def ask(b, name, honest, hack=None, image=()):
    """Under --plain: the solution is paid, the cheat too."""
    if not b.plain:
        return False
    got = harbor_plain(b, name, (b.dir / name / "solution/solve.sh").read_text() if honest is None else honest, image)
    want(got is not None and got > 0.99, "plain: the solution is paid %s" % got)
    if hack is not None:
        got = harbor_plain(b, name, hack, image)
        want(got is not None and got > 0.99, "plain: the cheat is paid %s" % got)
    got = harbor_plain(b, name, ":", image)
    want(got is None or got < 0.5, "plain: who does nothing is paid %s" % got)
    return True


STOCK = "part,bin,count\nbolt,C4,120\ngear,A1,7\nnut,B2,300\naxle,A3,12\nbelt,B9,45\n"
SORTED = "part,bin,count\naxle,A3,12\nbelt,B9,45\nbolt,C4,120\ngear,A1,7\nnut,B2,300\n"


def separate(b, name):
    harbor(b, name, "Sort the rows of /app/stock.csv by part, below the header, and write them to /app/sorted.csv.\n", {
        "environment/stock.csv": STOCK,
        "solution/solve.sh": SHEBANG + "(head -n 1 /app/stock.csv; tail -n +2 /app/stock.csv | LC_ALL=C sort) > /app/sorted.csv\n",
        "tests/expected.csv": SORTED,
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif [ -f /app/sorted.csv ] && [ ! -L /app/sorted.csv ] && cmp -s /app/sorted.csv /tests/expected.csv; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n",
    }, dockerfile="FROM ubuntu:24.04\nWORKDIR /app\nCOPY stock.csv /app/stock.csv\n", separate=["/app/sorted.csv"])


@case("E", "hb-separate-sound", "a verifier in an environment of its own gets one file, which must be no link and equal byte for byte: only the right file is paid", limit=150)
def _(b):
    separate(b, "sort-stock")
    if ask(b, "sort-stock", None, None, {"stock.csv": "/app/stock.csv"}):
        return
    a = b.audit("sort-stock", "--json")
    clean(a)


@case("E", "hb-grep-a-number", "a verifier that greps for the number anywhere in the answer's file: a file with all numbers is paid", limit=200,
      unsure="a hint alone would not do: the file of all numbers needs nothing of the solution")
def _(b):
    lines = "".join("%02d:%02d %s\n" % (h, m, "ERROR disk" if (h * 60 + m) % 17 == 0 else "ok") for h in range(4) for m in range(0, 60, 3))
    count = lines.count("ERROR")
    harbor(b, "count-errors", "How many lines of /app/log.txt hold ERROR? Write the number to /app/answer.txt.\n", {
        "environment/log.txt": lines,
        "solution/solve.sh": SHEBANG + "grep -c ERROR /app/log.txt > /app/answer.txt\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif grep -q \"%d\" /app/answer.txt; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n" % count,
    }, dockerfile="FROM debian:12\nWORKDIR /app\nCOPY log.txt .\n")
    if ask(b, "count-errors", None, "seq 0 999 > /app/answer.txt", {"log.txt": "/app/log.txt"}):
        return
    hole(b.audit("count-errors", "--json"))


@case("E", "hb-report-not-empty", "a verifier that asks whether a report is there and has a heading and fifty words: any heading and fifty words are paid", limit=200)
def _(b):
    report = "# Findings\n\n" + "The third pump ran hot on Tuesday because the filter was clogged and nobody had looked at it since the spring cleaning of the plant. " * 3
    harbor(b, "write-report", "Read /app/pumps.csv and write a report on what is wrong to /app/report.md: a heading `# Findings` and at least fifty words.\n", {
        "environment/pumps.csv": "pump,day,temp\n1,Mon,61\n2,Mon,60\n3,Tue,97\n",
        "solution/solve.sh": SHEBANG + "cat > /app/report.md <<'EOF'\n" + report + "\nEOF\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nreward=0\nif [ -s /app/report.md ] && grep -q '^# ' /app/report.md && [ \"$(wc -w < /app/report.md)\" -ge 50 ]; then reward=1; fi\necho $reward > /logs/verifier/reward.txt\n",
    }, dockerfile="FROM ubuntu:24.04\nWORKDIR /app\nCOPY pumps.csv /app/\n")
    if ask(b, "write-report", None, "(echo '# x'; yes word | head -n 60) > /app/report.md", {"pumps.csv": "/app/pumps.csv"}):
        return
    hole(b.audit("write-report", "--json"))


UNIT = '''import unittest
import sys
sys.path.insert(0, "/app")
from intervals import merge


class MergeTest(unittest.TestCase):
    def test_overlap(self):
        self.assertEqual(merge([[1, 4], [3, 6]]), [[1, 6]])

    def test_apart(self):
        self.assertEqual(merge([[5, 6], [1, 2]]), [[1, 2], [5, 6]])

    def test_none(self):
        self.assertEqual(merge([]), [])


if __name__ == "__main__":
    unittest.main()
'''
MERGE = "def merge(spans):\n    out = []\n    for a, b in sorted(spans):\n        if out and a <= out[-1][1]:\n            out[-1][1] = max(out[-1][1], b)\n        else:\n            out.append([a, b])\n    return out\n"


@case("E", "hb-unittest-harden", "unittest run from /app with the agent's module in its process: an early end with status 0 is paid; --harden writes a task with a separate verifier, which pays its solution", limit=300)
def _(b):
    harbor(b, "merge-spans", "Write /app/intervals.py with merge(spans), which joins spans that overlap and returns them in order.\n", {
        "solution/solve.sh": SHEBANG + "cat > /app/intervals.py <<'EOF'\n" + MERGE + "EOF\n",
        "tests/test_merge.py": UNIT,
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\ncd /app\npython3 -m unittest /tests/test_merge.py\nif [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n",
    })
    if b.plain:
        # `-m unittest` wants a path below the folder it is started in, so this plain check names the file otherwise
        p = b.dir / "merge-spans/tests/test.sh"
        p.write_text(p.read_text().replace("python3 -m unittest /tests/test_merge.py", "python3 /tests/test_merge.py"))
        ask(b, "merge-spans", None, "printf 'import os\\nos._exit(0)\\n' > /app/intervals.py")
        return
    p = b.dir / "merge-spans/tests/test.sh"
    p.write_text(p.read_text().replace("python3 -m unittest /tests/test_merge.py", "python3 /tests/test_merge.py"))
    a = b.audit("merge-spans", "--json", "--harden", "hard", limit=300)
    hole(a, "early-exit|equality|shadowing|skip|report-patch")
    made = list((b.dir / "hard").rglob("task.toml"))
    want(made, "no hardened task: %s; %s" % ([str(x) for x in (b.dir / "hard").rglob("*")][:8], short(a.ran.err)))
    text = made[0].read_text()
    want("separate" in text and "/app/intervals.py" in text, "the hardened task.toml: %s" % short(text))
    again = b.audit(str(made[0].parent.relative_to(b.dir)), "--json", limit=300)
    want(again.rc in (0, 1), "the hardened task is not audited (is its solution paid?): %s" % again.ran.tail())


@case("E", "hb-believes-the-program", "a verifier that runs the agent's program with --selftest and takes its exit status for the verdict: a program that ends with 0 is paid", limit=200)
def _(b):
    good = "import sys\n\ndef to_base7(n):\n    s = ''\n    while True:\n        n, r = divmod(n, 7)\n        s = str(r) + s\n        if not n:\n            return s\n\nif '--selftest' in sys.argv:\n    assert to_base7(50) == '101'\nelse:\n    print(to_base7(int(sys.argv[1])))\n"
    harbor(b, "base-seven", "Write /app/base7.py: `python3 base7.py N` prints N in base 7; `--selftest` checks itself and exits with 0 if all is well.\n", {
        "solution/solve.sh": SHEBANG + "cat > /app/base7.py <<'EOF'\n" + good + "EOF\n",
        "tests/test.sh": SHEBANG + "set -u\nmkdir -p /logs/verifier\nif [ -f /app/base7.py ] && timeout 20 python3 /app/base7.py --selftest; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n",
    })
    if ask(b, "base-seven", None, "echo pass > /app/base7.py"):
        return
    hole(b.audit("base-seven", "--json"))


@case("E", "hb-log-grep", "a verifier that greps the output of the agent's script for `0 failed`: a script that prints it is paid", limit=200)
def _(b):
    harbor(b, "self-check", "Write /app/check.sh, which tests that every file below /app/data ends with a newline, and prints a summary such as `3 passed, 0 failed`.\n", {
        "environment/data/a.txt": "one\n", "environment/data/b.txt": "two\n", "environment/data/c.txt": "three\n",
        "solution/solve.sh": SHEBANG + "cat > /app/check.sh <<'EOF'\nok=0; bad=0\nfor f in /app/data/*; do\n  if [ -z \"$(tail -c 1 \"$f\")\" ]; then ok=$((ok+1)); else bad=$((bad+1)); fi\ndone\necho \"$ok passed, $bad failed\"\nEOF\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nbash /app/check.sh 2>&1 | tee /logs/verifier/out.log\nif grep -qE '[0-9]+ passed, 0 failed' /logs/verifier/out.log; then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi\n",
    }, dockerfile="FROM ubuntu:24.04\nWORKDIR /app\nCOPY data /app/data\n")
    if b.plain:
        want(harbor_plain(b, "self-check", "echo 'echo 9 passed, 0 failed' > /app/check.sh") == 1.0, "plain")
        want(harbor_plain(b, "self-check", ":") == 0.0, "plain: nothing")
        return
    hole(b.audit("self-check", "--json"))


@case("E", "hb-all-of-nothing", "a verifier that checks each line that is there and writes reward.json: an empty file has no wrong line and is paid", limit=200)
def _(b):
    check = "import json, os\n\nGOLD = {'a': 'ant', 'b': 'bee', 'c': 'cow'}\nbad = 0\ntry:\n    with open('/app/out.jsonl') as f:\n        for line in f:\n            if line.strip():\n                row = json.loads(line)\n                bad += GOLD.get(row.get('id')) != row.get('name')\n    reward = 0.0 if bad else 1.0\nexcept (OSError, ValueError, AttributeError):\n    reward = 0.0\njson.dump({'reward': reward}, open('/logs/verifier/reward.json', 'w'))\n"
    harbor(b, "names-jsonl", "Turn /app/in.csv (id,name) into /app/out.jsonl with one object a line.\n", {
        "environment/in.csv": "id,name\na,ant\nb,bee\nc,cow\n",
        "solution/solve.sh": SHEBANG + "python3 - <<'EOF'\nimport csv, json\nwith open('/app/in.csv') as f, open('/app/out.jsonl', 'w') as o:\n    for r in csv.DictReader(f):\n        o.write(json.dumps(r) + '\\n')\nEOF\n",
        "tests/check.py": check, "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\ncd /\npython3 -I /tests/check.py\n",
    }, dockerfile="FROM python:3.11-slim\nWORKDIR /app\nCOPY in.csv /app/in.csv\n")
    if ask(b, "names-jsonl", None, ": > /app/out.jsonl", {"in.csv": "/app/in.csv"}):
        return
    hole(b.audit("names-jsonl", "--json"))


@case("E", "hb-expected-in-the-image", "the verifier's expected file lies in the agent's image, too: found as a hole, or hinted as agent-image-test-leak", limit=200)
def _(b):
    harbor(b, "resample", "Write to /app/out.txt every third line of /app/in.txt, beginning with the first.\n", {
        "environment/in.txt": "".join("row %d\n" % (i * i) for i in range(30)), "environment/fixtures/expected.txt": "".join("row %d\n" % (i * i) for i in range(0, 30, 3)),
        "solution/solve.sh": SHEBANG + "awk 'NR % 3 == 1' /app/in.txt > /app/out.txt\n",
        "tests/expected.txt": "".join("row %d\n" % (i * i) for i in range(0, 30, 3)),
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif cmp -s /app/out.txt /tests/expected.txt; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n",
    }, dockerfile="FROM ubuntu:24.04\nWORKDIR /app\nCOPY in.txt /app/in.txt\nCOPY fixtures /app/fixtures\n")
    if ask(b, "resample", None, "cp /app/fixtures/expected.txt /app/out.txt", {"in.txt": "/app/in.txt", "fixtures/expected.txt": "/app/fixtures/expected.txt"}):
        return
    a = b.audit("resample", "--json")
    want(a.rc in (0, 1), "exit %s; %s" % (a.rc, a.ran.tail()))
    want(a.rc == 1 or hinted(a, "agent-image-test-leak"), "neither a hole nor the hint: %s" % short(a.ran.out))


@case("E", "hb-folder-of-tasks", "a folder with a sound and a holed task and a file beside them: both are named, the sound one has no finding, exit 1, one SARIF", limit=400)
def _(b):
    separate(b, "suite/sort-stock")
    harbor(b, "suite/hello", "Write a greeting to /app/hello.txt.\n", {
        "solution/solve.sh": SHEBANG + "echo 'Hello, world!' > /app/hello.txt\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif [ -f /app/hello.txt ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n",
    }, dockerfile="FROM ubuntu:24.04\nWORKDIR /app\n")
    b.write("suite/README.md", "Two tasks.\n")
    if b.plain:
        ask(b, "suite/hello", None, "touch /app/hello.txt")
        return
    a = b.audit("suite", "--json", "--sarif", "suite.sarif", limit=400)
    hole(a)
    want("sort-stock" in a.all() and "hello" in a.all(), "not both are named")
    for r in a.rows:
        if isinstance(r, dict) and "sort-stock" in text_of([r.get("target"), r.get("task")]):
            want(not r.get("findings"), "a finding in the sound task: %s" % short(text_of(r.get("findings"))))
    want("hello" in (b.dir / "suite.sarif").read_text(), "the SARIF does not hold the task")


@case("E", "hb-not-here", "a verifier that installs uv and pytest over the network, a second container, a CUDA image, no solution: exit 3, each with its own reason", limit=300)
def _(b):
    if b.plain:
        return

    def no(name, saying, rc=(3,), **kw):
        a = b.audit(name, "--json")
        want(a.rc in rc, "%s: wanted exit %s; %s" % (name, rc, a.ran.tail()))
        want(re.search(saying, a.all(), re.I), "%s: the reason does not say /%s/: %s" % (name, saying, a.ran.tail()))
    files = {"solution/solve.sh": SHEBANG + "echo 42 > /app/answer.txt\n", "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif [ \"$(cat /app/answer.txt)\" = 42 ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n"}
    harbor(b, "uv-verifier", "Write 42 to /app/answer.txt.\n", dict(files, **{"tests/test.sh": SHEBANG + "apt-get update\napt-get install -y curl\ncurl -LsSf https://astral.sh/uv/0.9.5/install.sh | sh\nsource $HOME/.local/bin/env\nuvx -p 3.13 -w pytest==8.4.1 pytest /tests/test_outputs.py -rA\nif [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n",
                                                                              "tests/test_outputs.py": "def test_answer():\n    assert open('/app/answer.txt').read().strip() == '42'\n"}))
    no("uv-verifier", "network|install|uv|resolve host")
    harbor(b, "two-services", "Write 42 to /app/answer.txt.\n", dict(files, **{"environment/docker-compose.yaml": "services:\n  main:\n    depends_on: [db]\n  db:\n    image: postgres:16\n"}))
    no("two-services", "container|service|compose")
    harbor(b, "cuda", "Write 42 to /app/answer.txt.\n", files, dockerfile="FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\nRUN nvcc --version\nWORKDIR /app\n")
    no("cuda", "image|cuda|gpu")
    harbor(b, "no-solution", "Write 42 to /app/answer.txt.\n", {"tests/test.sh": files["tests/test.sh"]})
    no("no-solution", "solution", (2, 3))
    harbor(b, "bad-toml", "Write 42 to /app/answer.txt.\n", files, toml="version = 1.0\n[verifier\ntimeout_sec = \n")
    no("bad-toml", "task.toml|toml", (2,))
    harbor(b, "no-tests", "Write 42 to /app/answer.txt.\n", {"solution/solve.sh": files["solution/solve.sh"]})
    no("no-tests", "test", (2, 3))
