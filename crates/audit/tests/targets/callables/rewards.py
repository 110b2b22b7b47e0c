"""Reward functions as people write them: weak ones, and honest ones beside them."""

import json
import re
import subprocess
import sys
import tempfile


# Text, TRL: the answer anywhere in the completion.
def anywhere(completions, answer, **kwargs):
    return [1.0 if a in c else 0.0 for c, a in zip(completions, answer)]


# Text, TRL: half a point for the form.
def form(completions, answer, **kwargs):
    rewards = []
    for completion, a in zip(completions, answer):
        match = re.search(r"<answer>(.*?)</answer>", completion, re.S)
        rewards.append(0.5 * bool(match) + 0.5 * (bool(match) and match.group(1).strip() == a))
    return rewards


# Text, TRL: one answer, in one place, compared as a number.
def strict(completions, answer, **kwargs):
    rewards = []
    for completion, a in zip(completions, answer):
        found = re.fullmatch(r"\s*(?:<think>.*?</think>\s*)?<answer>\s*(-?\d+)\s*</answer>\s*", completion, re.S)
        rewards.append(1.0 if found and int(found.group(1)) == int(a) else 0.0)
    return rewards


# Text, verl: a tolerance tested the wrong way round.
def far(data_source, solution_str, ground_truth, extra_info=None):
    try:
        value = float(solution_str)
    except ValueError:
        return {"score": 0.0}
    return {"score": 0.0 if abs(value - float(ground_truth)) > 1e-6 else 1.0}


# Text, verl: the last number.
def exact(data_source, solution_str, ground_truth, extra_info=None):
    return 1.0 if solution_str.strip() == str(ground_truth) else 0.0


# Text, plain: the submission is evaluated.
def evaluated(submission, task):
    try:
        return float(eval(submission) == float(task["answer"]))
    except Exception:
        return 0.0


# Code, plain: run in this very process, compared with ==.
def same_process(submission, task):
    space = {}
    try:
        exec(submission, space)
        f = space[task["entry_point"]]
        return float(all(f(*c["args"]) == c["expected"] for c in task["visible"] + task["hidden"]))
    except Exception:
        return 0.0


# Code, plain: a process of its own, whose exit status is the verdict.
def exit_status(submission, task):
    tests = "".join(
        f"assert {task['entry_point']}(*{c['args']!r}) == {c['expected']!r}\n" for c in task["visible"] + task["hidden"]
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(submission + "\n" + tests)
        file.flush()
        return float(subprocess.run([sys.executable, file.name], timeout=5, capture_output=True).returncode == 0)


APART = """
import json, sys
cases = json.load(sys.stdin)
space = {}
exec(cases["code"], space)
f = space[cases["entry"]]
print(json.dumps(f(*cases["args"])))
"""


# Code, plain: inputs only, one process a case, answers compared here with their types.
def apart(submission, task):
    for case in task["visible"] + task["hidden"]:
        given = json.dumps({"code": submission, "entry": task["entry_point"], "args": case["args"]})
        try:
            run = subprocess.run([sys.executable, "-I", "-c", APART], input=given, text=True, timeout=5, capture_output=True)
            answer = json.loads(run.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return 0.0
        if type(answer) is not type(case["expected"]) or answer != case["expected"]:
            return 0.0
    return 1.0


# Plain: says another thing every time.
def moody(submission, task):
    import random

    return random.random()


# Plain: never ends.
def hangs(submission, task):
    while True:
        pass


# Plain: prints a gigabyte.
def floods(submission, task):
    for _ in range(1024):
        print("x" * (1 << 20), flush=True)
    return 1.0


# Plain: kills whoever started it.
def kills(submission, task):
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


# Plain: fails.
def raises(submission, task):
    return 1 / 0


# Plain: prints what is no UTF-8, and grades soundly.
def binary(submission, task):
    sys.stdout.buffer.write(bytes(range(256)))
    sys.stderr.buffer.write(bytes(range(255, -1, -1)))
    return float(submission.strip() == task["answer"])
