"""A hardened form of a reward function: it is given a stand-in for each submission, which answers from a process of its
own. The tests and what they expect are where they were; the submission is where it cannot reach them.

What this does not close: values that the function takes for a right answer and that are none, arguments that tell what
is expected, files that the submission may read (run it as another user, or in a container, where that matters).
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys

FILE, MODULE, FUNCTION = SPEC
# What the parameter may be called that holds submissions (the first, where it is called otherwise), and how the function
# wants a submission to be wrapped.
SUBMISSIONS = NAMES
BEFORE, AFTER = WRAP
PROGRAM = ISPROGRAM
STAND_IN = TEXT

RUN = '''
import subprocess, sys, tempfile
_run = subprocess.run([sys.executable, "-I", "-c", SOURCE], input=sys.stdin.read(), capture_output=True, text=True, cwd=tempfile.mkdtemp(), env={}, timeout=30)
sys.stdout.write(_run.stdout)
if _run.returncode:
    raise RuntimeError("the program ended with status %d" % _run.returncode)
'''


def _code(text):
    """The code in a completion: its last fenced block, else all of it."""
    text = text.rpartition("</think>")[2]
    fenced = re.findall(r"```[\w+]*\n(.*?)```", text, re.DOTALL)
    if fenced:
        return fenced[-1]
    tagged = re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return tagged[-1] if tagged else text


def stand_in(text):
    """A submission that asks this one, in a process of its own."""
    code = _code(text)
    try:
        names = [n.name for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return BEFORE + "raise SyntaxError('the submission cannot be read')\n" + AFTER
    if PROGRAM:
        return BEFORE + RUN.replace("SOURCE", json.dumps(code)).lstrip("\n") + AFTER
    lines = [STAND_IN, "_ask = _make_ask(%s)\n" % json.dumps(code)]
    # Its names are those of functions and nothing else, whatever else it defines.
    lines += ["def %s(*args, **named):\n    return _ask(%r, args, named)\n" % (n, n) for n in dict.fromkeys(names)]
    return BEFORE + "\n".join(lines) + AFTER


def _replaced(value):
    if isinstance(value, str):
        return stand_in(value)
    if isinstance(value, dict):
        return {k: stand_in(v) if k == "content" and isinstance(v, str) else v for k, v in value.items()}
    return [_replaced(v) for v in value] if isinstance(value, (list, tuple)) else value


def _original():
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "original")
    sys.path.insert(0, beside)
    if not FILE:
        found = importlib.import_module(MODULE)
    else:
        path = os.path.join(beside, FILE)
        name = os.path.basename(path)[:-3]
        spec = importlib.util.spec_from_file_location(name, path)
        found = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    for part in FUNCTION.split("."):
        found = getattr(found, part)
    return found() if inspect.isclass(found) else found


original = _original()


@functools.wraps(original)
def hardened(*args, **named):
    parameters = list(inspect.signature(original).parameters)
    name = next((p for p in parameters if p in SUBMISSIONS), parameters[0])
    given = inspect.signature(original).bind(*args, **named)
    if name in given.arguments:
        given.arguments[name] = _replaced(given.arguments[name])
    return original(*given.args, **given.kwargs)


hardened.__module__ = __name__
# The name it had, so that it can be put in the original's place.
globals().setdefault(FUNCTION.rpartition(".")[2], hardened)
