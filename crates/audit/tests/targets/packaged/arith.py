"""Inspect tasks: holes, a sound one, and what cannot be driven without a model or a container."""

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import Score, accuracy, choice, includes, model_graded_qa, scorer
from inspect_ai.solver import generate, multiple_choice, system_message
from inspect_ai.util import sandbox

SUM = MemoryDataset([Sample(id="n", input="What is 12 times 12?", target="144")])
EVEN = MemoryDataset([Sample(input="Which is even?", choices=["3", "4", "5"], target="B")])


CAPITAL = MemoryDataset([Sample(input="What is the capital of Italy?", target=["Rome", "Roma"])])


@scorer(metrics=[accuracy()])
def whole():
    async def score(state, target):
        return Score(value="C" if state.output.completion.strip() == target.text else "I")

    return score


@scorer(metrics=[accuracy()])
def any_of_them():
    async def score(state, target):
        return Score(value="C" if state.output.completion.strip() in list(target) else "I")

    return score


@scorer(metrics=[accuracy()])
def echoed():
    async def score(state, target):
        said = await sandbox().exec(["cat"], input=state.output.completion)
        return Score(value="C" if said.stdout.strip() == target.text else "I")

    return score


@task
def anywhere():
    return Task(dataset=SUM, solver=[system_message("Be brief."), generate()], scorer=includes())


@task
def exact():
    return Task(dataset=SUM, solver=generate(), scorer=whole())


@task
def letters():
    return Task(dataset=EVEN, solver=multiple_choice(), scorer=choice())


@task
def local():
    return Task(dataset=SUM, solver=generate(), scorer=echoed(), sandbox="local")


@task
def judged():
    return Task(dataset=SUM, solver=generate(), scorer=model_graded_qa())


@task
def contained():
    return Task(dataset=SUM, solver=generate(), scorer=echoed(), sandbox="docker")


@task
def several_targets():
    return Task(dataset=CAPITAL, solver=generate(), scorer=any_of_them())
