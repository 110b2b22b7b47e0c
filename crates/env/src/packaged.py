"""Environments of verifiers and tasks of Inspect: their rows, and what they pay for one completion. No model is asked."""
import asyncio, inspect, itertools, json, os, sys

# Rows that are read at most.
MOST = 200


class NotHere(Exception):
    """What cannot be driven with one completion."""


def plain(value):
    return json.loads(json.dumps(value, default=str))


# Inspect


def inspect_task(name):
    from inspect_ai._eval.loader import load_tasks

    found = load_tasks([name], {})
    if len(found) != 1:
        raise NotHere("%s is %d tasks; name one (FILE.py@TASK, PACKAGE/TASK)" % (name, len(found)))
    return found[0]


def inspect_rows(name):
    task = inspect_task(name)
    if not task.scorer:
        raise NotHere("the task has no scorer")
    for at, sample in enumerate(itertools.islice(task.dataset, MOST)):
        target = sample.target if isinstance(sample.target, str) else (list(sample.target) or [""])[0]
        question = sample.input if isinstance(sample.input, str) else "\n\n".join(m.text for m in sample.input)
        sandbox = getattr(sample.sandbox or task.sandbox, "type", sample.sandbox or task.sandbox)
        if sandbox not in (None, "local"):
            raise NotHere("its samples live in a sandbox of the kind %s, and a cell has none but Inspect's local one" % sandbox)
        yield {"id": str(sample.id if sample.id is not None else at + 1), "prompt": question, "reference": target, "at": at}


async def inspect_pay(name, at, completion):
    from inspect_ai._eval.context import init_task_context
    from inspect_ai.dataset import Sample
    from inspect_ai.log._transcript import Transcript, init_transcript
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, get_model
    from inspect_ai.model._model import Model
    from inspect_ai.scorer import Target, value_to_float
    from inspect_ai.scorer._score import init_scoring_context
    from inspect_ai.solver import TaskState, chain
    from inspect_ai.solver._task_state import set_sample_state
    from inspect_ai.util._sandbox.context import init_sandbox_environments_sample
    from inspect_ai.util._sandbox.registry import registry_find_sandboxenv
    from inspect_ai.util._store import init_subtask_store

    task = inspect_task(name)
    sample = next(itertools.islice(task.dataset, at, None))
    model = get_model("mockllm/model")

    async def asked(self, *a, **k):
        raise NotHere("a model is asked (by a solver, or by a scorer for the grade), and none is here")

    Model.generate = asked
    init_task_context(model)
    said = sample.input
    messages = [ChatMessageUser(content=said)] if isinstance(said, str) else list(said)
    target = Target(sample.target)
    state = TaskState(
        model=model.name, sample_id=sample.id or at + 1, epoch=1, input=said, messages=messages, target=target,
        choices=sample.choices, metadata=dict(sample.metadata or {}),
    )
    set_sample_state(state)
    init_transcript(Transcript())
    init_subtask_store(state.store)
    init_scoring_context(task.scorer, target)
    if sample.sandbox or task.sandbox:
        kind = registry_find_sandboxenv("local")
        files = {k: v.encode() for k, v in (sample.files or {}).items()}
        await init_sandbox_environments_sample(kind, "task", None, files, None, state.metadata)

    async def generate(state, *a, **k):
        state.output = ModelOutput.from_content("mockllm/model", completion)
        state.messages.append(ChatMessageAssistant(content=completion, source="generate"))
        return state

    solver = task.solver if callable(task.solver) else chain(task.solver)
    if task.setup:
        solver = chain(task.setup, solver)
    state = await solver(state, generate)
    marks = []
    for scorer in task.scorer:
        score = await scorer(state, target)
        value = score.value if score is not None else 0
        values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        marks.extend(value_to_float()(v) for v in values)
    return sum(marks) / len(marks)


# verifiers


def verifiers_tasks(name):
    import verifiers.v1 as vf
    from verifiers.v1.utils.generic import concrete_type
    from verifiers.v1.utils.loaders import taskset_class

    kind = taskset_class(name)
    config = concrete_type(kind, vf.TasksetConfig) or vf.TasksetConfig
    return kind(config(id=name))


def verifiers_rows(name):
    for at, task in enumerate(itertools.islice(verifiers_tasks(name), MOST)):
        if task.NEEDS_CONTAINER or task.data.image:
            raise NotHere("its tasks need a container")
        if task.plugged_judges():
            raise NotHere("a judge is asked for the reward, and no model is here")
        rewards = task.hooks("reward")
        if not rewards:
            raise NotHere("its tasks have no reward of their own")
        for reward in rewards:
            runtime = inspect.signature(reward).parameters.get("runtime")
            if runtime is not None and runtime.default is runtime.empty:
                raise NotHere("its reward %s looks into the agent's runtime, and a completion leaves none" % reward.__name__)
        fields = plain(task.data.model_dump(mode="json", exclude_none=True))
        yield {**fields, "id": str(task.data.id or at), "prompt": task.data.prompt_text, "at": at}


async def verifiers_pay(name, at, completion):
    from verifiers.v1.configs.agent import AgentConfig
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, Trace, TraceTask
    from verifiers.v1.types import AssistantMessage, UserMessage

    task = next(itertools.islice(verifiers_tasks(name), at, None))
    prompt = task.data.prompt if task.data.prompt is not None else ""
    asked = [UserMessage(content=prompt)] if isinstance(prompt, str) else list(prompt)
    nodes = [MessageNode(parent=i - 1 if i else None, message=m) for i, m in enumerate(asked)]
    nodes.append(MessageNode(parent=len(asked) - 1, message=AssistantMessage(content=completion), sampled=True))
    trace = Trace(
        task=TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=AgentInfo(config=AgentConfig()), nodes=nodes, is_completed=True, ok=True,
    )
    await task.finalize(trace, None)
    await task.score(trace, None)
    return trace.reward


ROWS = {"inspect": inspect_rows, "verifiers": verifiers_rows}
PAYS = {"inspect": inspect_pay, "verifiers": verifiers_pay}


def rows(kind, task):
    sys.path.insert(0, os.getcwd())
    return list(ROWS[kind](task["of"]))


def inspect_completion(submission, task):
    return pay("inspect", submission, task)


def verifiers_completion(submission, task):
    return pay("verifiers", submission, task)


def pay(kind, submission, task):
    sys.path.insert(0, os.getcwd())
    name, at = task["of"], task["at"]
    # The row is with the grader alone, as it is where it comes from.
    return asyncio.run(PAYS[kind](name, at, submission))
