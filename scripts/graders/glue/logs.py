"""Log parsers of SWE-bench say what they read out of a log; whose log it is, is asked here: tests that print their outcome as
the suites that they parse do, with the submission in the same process."""

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
