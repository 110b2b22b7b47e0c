"""Honest graders in the forms of others, for the calibration."""

import json
import re
import subprocess
import sys


def strict(completions, answer, **kwargs):
    """TRL: one answer, in one place, compared as a number."""
    rewards = []
    for completion, a in zip(completions, answer):
        found = re.fullmatch(r"\s*(?:<think>.*?</think>\s*)?<answer>\s*(-?\d+)\s*</answer>\s*", completion, re.S)
        rewards.append(1.0 if found and int(found.group(1)) == int(a) else 0.0)
    return rewards


def exact(data_source, solution_str, ground_truth, extra_info=None):
    """verl: the whole text is the answer."""
    return 1.0 if solution_str.strip() == str(ground_truth) else 0.0


APART = """
import json, sys
given = json.load(sys.stdin)
space = {}
exec(given["code"], space)
print(json.dumps(space[given["entry"]](*given["args"])))
"""


def apart(submission, task):
    """Plain: inputs only, one process a case, answers compared here with their types."""
    for case in task["visible"] + task["hidden"]:
        given = json.dumps({"code": submission, "entry": task["entry_point"], "args": case["args"]})
        try:
            run = subprocess.run([sys.executable, "-I", "-c", APART], input=given, text=True, timeout=2, capture_output=True)
            answer = json.loads(run.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return 0.0
        if type(answer) is not type(case["expected"]) or answer != case["expected"]:
            return 0.0
    return 1.0


if __name__ == "__main__":
    text, task = open(sys.argv[1]).read(), json.load(open(sys.argv[2]))
    print(json.dumps({"score": exact("", text, task["answer"])}))
