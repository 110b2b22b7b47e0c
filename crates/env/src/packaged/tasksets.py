"""Task sets of verifiers (0.4): the rewards of their tasks, the completion as the agent's last reply."""
import inspect, itertools

from packaged_environment import MOST, NotHere, no_service, plain, row, same_draw


def tasks(name):
    import verifiers.v1 as vf
    from verifiers.v1.utils.generic import concrete_type
    from verifiers.v1.utils.loaders import taskset_class

    with same_draw():
        kind = taskset_class(name)
        config = concrete_type(kind, vf.TasksetConfig) or vf.TasksetConfig
        return list(itertools.islice(kind(config(id=name)), MOST))


def rows(name):
    for at, task in enumerate(itertools.islice(tasks(name), MOST)):
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
        weights = [getattr(reward, "_vf_weight", 1.0) for reward in rewards]
        most = sum(weight for weight in weights if weight > 0) if len(weights) > 1 else None
        fields = plain(task.data.model_dump(mode="json", exclude_none=True))
        yield row({**fields, "id": str(task.data.id or at), "prompt": task.data.prompt_text}, at, several=len(rewards) > 1, most=most)


async def pay(name, at, completion):
    from verifiers.v1.configs.agent import AgentConfig
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, Trace, TraceTask
    from verifiers.v1.types import AssistantMessage, UserMessage

    task = next(itertools.islice(tasks(name), at, None))
    prompt = task.data.prompt if task.data.prompt is not None else ""
    asked = [UserMessage(content=prompt)] if isinstance(prompt, str) else list(prompt)
    nodes = [MessageNode(parent=i - 1 if i else None, message=m) for i, m in enumerate(asked)]
    nodes.append(MessageNode(parent=len(asked) - 1, message=AssistantMessage(content=completion), sampled=True))
    trace = Trace(
        task=TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=AgentInfo(config=AgentConfig()), nodes=nodes, is_completed=True, ok=True,
    )
    with no_service():
        await task.finalize(trace, None)
        await task.score(trace, None)
    parts = {name: part.value for name, part in trace.rewards.items() if part is not None}
    return {"reward": trace.reward, "parts": parts}
