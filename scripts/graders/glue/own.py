"""Tasks of Inspect with a row of our own in the place of a data set that would have to be fetched: their own samples, scorers
and sandbox."""

import importlib

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.solver import generate

TESTS = ["assert add(1, 2) == 3", "assert add(-1, 5) == 4", "assert add(10, 20) == 30"]
CODE = "def add(a, b):\n    return a + b\n"

def of(name, record):
    module = importlib.import_module("inspect_evals.%s.%s" % (name, name))
    sample = module.record_to_sample()(record) if name == "humaneval" else module.record_to_sample(record)
    return Task(dataset=MemoryDataset([sample]), solver=generate(), scorer=module.verify(), sandbox="docker")

@task
def humaneval():
    return of("humaneval", {
        "task_id": "own/0", "prompt": 'def add(a, b):\n    """Return the sum."""\n', "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n" + "".join("    %s\n" % t.replace("add", "candidate") for t in TESTS),
    })

@task
def mbpp():
    return of("mbpp", {
        "task_id": "own/0", "prompt": "Write add(a, b).", "test_list": TESTS, "source_file": "own", "code": CODE, "test_imports": [],
    })
