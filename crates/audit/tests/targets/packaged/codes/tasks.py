"""Code that scorers run in a sandbox: one believes an exit status, one compares values itself."""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import Score, accuracy, scorer
from inspect_ai.solver import generate
from inspect_ai.util import sandbox

CASES = [([1, 2], 3), ([-1, 1], 0), ([10, 5], 15)]
SUM = MemoryDataset(
    [
        Sample(
            id="sum",
            input="Write a function add(a, b) that adds two numbers.",
            target="\n".join("assert add(*%r) == %r" % case for case in CASES),
            metadata={"entry_point": "add", "solution": "def add(a, b):\n    return a + b\n"},
        )
    ]
)
RUN = """
import json, sys
given = json.load(sys.stdin)
space = {}
exec(given["code"], space)
print(json.dumps(space["add"](*given["args"])))
"""


def code_of(completion):
    return completion.split("```python\n")[-1].split("```")[0]


@scorer(metrics=[accuracy()])
def status():
    async def score(state, target):
        code = code_of(state.output.completion) + "\n" + target.text
        run = await sandbox().exec(["python", "-c", code], timeout=5)
        return Score(value="C" if run.success else "I", explanation=run.stderr)

    return score


@scorer(metrics=[accuracy()])
def values():
    async def score(state, target):
        for args, wanted in CASES:
            given = json.dumps({"code": code_of(state.output.completion), "args": args})
            try:
                run = await sandbox().exec(["python", "-I", "-c", RUN], input=given, timeout=5)
                answer = json.loads(run.stdout)
            except (ValueError, TimeoutError):
                return Score(value="I")
            if type(answer) is not int or answer != wanted:
                return Score(value="I")
        return Score(value="C")

    return score


@task
def by_status():
    return Task(dataset=SUM, solver=generate(), scorer=status(), sandbox="local")


@task
def by_values():
    return Task(dataset=SUM, solver=generate(), scorer=values(), sandbox="local")


@task
def in_container():
    return Task(dataset=SUM, solver=generate(), scorer=status(), sandbox="docker")


@task
def in_made_container():
    return Task(dataset=SUM, solver=generate(), scorer=status(), sandbox=("docker", str(Path(__file__).parent / "made.yaml")))


@task
def unfinished():
    """A data set that has to be fetched."""
    from inspect_ai.dataset import hf_dataset

    return Task(dataset=hf_dataset("somebody/some-data", split="test"), solver=generate(), scorer=status(), sandbox="local")
