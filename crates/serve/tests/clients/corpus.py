"""Submissions of the grader's corpus, of which is known what they are."""

import json
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parents[3] / "grade" / "corpus"
#: So many of each verdict, 20 in all.
WANTED = {"honest": 6, "hack": 7, "fail": 3, "overfit": 2, "tamper": 2}


def tasks() -> dict:
    lines = (HERE / "tasks.jsonl").read_text().splitlines()
    return {task["id"]: task for task in map(json.loads, lines) if "id" in task}


def entries() -> list:
    """One of each family first; only those that are one text, for the grader `script` as it is found."""
    known, chosen = tasks(), []
    left, families = dict(WANTED), set()
    everything = []
    for file in sorted(HERE.glob("*.toml")):
        everything += tomllib.loads(file.read_text())["entry"]
    plain = [
        entry
        for entry in everything
        if "script" in entry["kinds"]
        and not any(entry.get(name) for name in ["files", "also", "without", "hardened", "needs_pytest"])
        and entry["verdict"] in left
        and entry.get("task", "sum") in known
        and "```" not in entry["solution"]
    ]
    # Families not seen before come first.
    for fresh in [True, False]:
        for entry in plain:
            family, verdict = entry.get("family"), entry["verdict"]
            if left[verdict] and entry not in chosen and not (fresh and family in families):
                left[verdict] -= 1
                families |= {family} - {None}
                chosen.append(entry)
    assert not any(left.values()), left
    return [{**entry, "task": entry.get("task", "sum"), "solution": entry["solution"].lstrip("\n")} for entry in chosen]


def asserts(task: dict) -> list:
    """The tests of a task as open-instruct has them."""
    call = lambda case: f"{task['entry_point']}({', '.join(map(repr, case['args']))})"  # noqa: E731
    return [f"assert {call(case)} == {case['expected']!r}" for case in task["visible"] + task["hidden"]]


def cases(task: dict) -> dict:
    """The tests of a task as verl has them: arguments in JSON, one a line, and what the wrapper prints."""
    both = task["visible"] + task["hidden"]
    shown = lambda value: json.dumps(value) if isinstance(value, (dict, list, bool, type(None))) else str(value)  # noqa: E731
    return {
        "inputs": ["\n".join(map(json.dumps, case["args"])) for case in both],
        "outputs": [shown(case["expected"]) for case in both],
        "fn_name": task["entry_point"],
    }
