"""Environments of verifiers before 0.4, as load_environment makes them: their own rollout, in which a completion stands
for the model, and their own rubric."""
import inspect, json, logging, re

import verifiers as vf
from verifiers.clients import Client
from verifiers.types import Response, ResponseMessage, ToolCall
from packaged_environment import MOST, NotHere, no_service, plain, row, same_draw

# Between the turns of one completion.
TURN = "<|turn|>"
CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.S)
# Environments that run what is said in a sandbox of a service.
ELSEWHERE = {"SandboxEnv", "SandboxMixin", "CliAgentEnv", "BrowserEnv", "OpenEnvEnv", "ComposableEnv"}


def classes(thing):
    return {kind.__name__ for kind in type(thing).__mro__}


def loaded(name):
    with same_draw():
        env = vf.load_environment(name)
    if not isinstance(env, vf.Environment):
        raise NotHere("load_environment returns %s, no environment of verifiers" % type(env).__name__)
    return env


def dataset(env):
    # What is trained on, where there is such a thing.
    if env.dataset is None and getattr(env, "dataset_source", None) is None:
        return env.get_eval_dataset()
    return env.get_dataset()


def inner(env):
    """The environment itself, or those of a group."""
    return list(env.env_map.values()) if hasattr(env, "env_map") else [env]


def rubrics(rubric):
    within = getattr(rubric, "rubrics", None)
    return [r for each in within for r in rubrics(each)] if within else [rubric]


def parts(env):
    """The names and weights of the functions that pay; none for a group of environments."""
    if hasattr(env, "env_map"):
        return []
    names, weights = env.rubric._get_reward_func_names(), env.rubric._get_reward_weights()
    return [(name, weight) for name, weight in zip(names, weights) if weight]


def names_of(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()


def check(env):
    for each in inner(env):
        elsewhere = classes(each) & ELSEWHERE
        if elsewhere:
            raise NotHere("its episodes run in a sandbox of a service (%s), which a cell cannot reach" % elsewhere.pop())
        for rubric in rubrics(each.rubric):
            judged = "JudgeRubric" in classes(rubric) and any(rubric._get_reward_weights())
            if judged or any("judge" in names_of(f) for f in rubric._get_reward_funcs()):
                raise NotHere("a judge is asked for the reward, and no model is here")
        if not any(weight for rubric in rubrics(each.rubric) for weight in rubric._get_reward_weights()):
            raise NotHere("its rubric has no function with a weight")


def forms(env):
    """What its parser wants an answer in, `@` for the answer."""
    found = []
    for parser in [getattr(env, "parser", None)] + [r.parser for r in rubrics(env.rubric)]:
        kinds = classes(parser)
        if "XMLParser" in kinds:
            fields = parser.get_fields()
            tags = [(f, "@" if f == parser.answer_field else "A thought.") for f in fields]
            found.append("\n".join("<%s>\n%s\n</%s>" % (f, said, f) for f, said in tags))
        elif kinds & {"ThinkParser", "MaybeThinkParser"}:
            found += ["<think>\nA thought.\n</think>\n@", "<think>\nA thought.\n</think>\n\\boxed{@}"]
        elif "MathRubric" in classes(env.rubric):
            found.append("\\boxed{@}")
    return list(dict.fromkeys(f for f in found if "@" in f))


def rows(name):
    env = loaded(name)
    check(env)
    paid = parts(env)
    tools = [{"name": t.name, "parameters": plain(t.parameters)} for each in inner(env) for t in each.tool_defs or []]
    kinds = [classes(each) for each in inner(env)]
    single = all("SingleTurnEnv" in kind or getattr(each, "max_turns", 0) == 1 for kind, each in zip(kinds, inner(env)))
    with_tools = all("ToolEnv" in kind for kind in kinds)
    how = "one turn" if single else "turns with the tools %s" % ", ".join(t["name"] for t in tools) if with_tools else "several turns"
    if paid:
        how += "; paid by %s" % ", ".join("%s (%g)" % part for part in paid)
    if getattr(env, "requires_group_rollouts", False):
        how += "; rated in a group of 4: among other answers, and all alike"
    beyond = None if single or with_tools else (
        "its episodes have several turns in which the environment answers, and a submission here says the same in each")
    about = dict(
        says=how,
        tools=tools,
        beyond=beyond,
        forms=[f for each in inner(env) for f in forms(each)],
        most=sum(weight for _, weight in paid if weight > 0) if len(paid) > 1 else None,
        several=len(paid) > 1 or len(inner(env)) > 1,
    )
    for at, fields in enumerate(dataset(env).select(range(min(MOST, len(dataset(env)))))):
        fields = plain(fields)
        if isinstance(fields.get("info"), str):
            try:
                fields["info"] = json.loads(fields["info"])
            except ValueError:
                pass
        asked = fields.pop("prompt", "")
        if isinstance(asked, list):
            asked = "\n\n".join(text(m) for m in asked if m.get("role") == "user")
        yield row({**fields, "id": str(fields.get("example_id", at)), "prompt": asked}, at, **about)


def text(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))


class Said(Client):
    """Says what was handed in, turn by turn; where more turns are asked for, the last one again."""

    def __init__(self, completion, tools):
        super().__init__(None)
        self.turns = [t.strip("\n") for t in completion.split(TURN)] if TURN in completion else [completion]
        self.tools, self.asked = tools, 0

    async def get_response(self, prompt, model, sampling_args=None, tools=None, **kwargs):
        turn = self.turns[min(self.asked, len(self.turns) - 1)]
        self.asked += 1
        calls = []
        for said in CALL.findall(turn) if self.tools else []:
            try:
                call = json.loads(said)
                call = ToolCall(id="call-%d-%d" % (self.asked, len(calls)), name=call["name"], arguments=json.dumps(call.get("arguments", {})))
            except (ValueError, KeyError, TypeError):
                # No call; it stays a text.
                continue
            calls.append(call)
        message = ResponseMessage(
            content=CALL.sub("", turn) if calls else turn, reasoning_content=None, thinking_blocks=None, tool_calls=calls or None,
            finish_reason="tool_calls" if calls else "stop", is_truncated=False, tokens=None,
        )
        return Response(id="said", created=0, model=model, usage=None, message=message)


# How it would be said to a service is not wanted.
Said.__abstractmethods__ = frozenset()


class Failures(logging.Handler):
    """Reward functions that raise are worth nothing to verifiers, and are logged."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.seen = []

    def emit(self, record):
        said = record.getMessage()
        if "reward function" in said:
            self.seen.append(said)


async def episode(env, fields, completion):
    tools = any(each.tool_defs for each in inner(env))
    state = await env.rollout(dict(fields), Said(completion, tools), "said", {})
    if state.get("error") is not None:
        raise NotHere("its episode ends in an error: %r" % state["error"])
    return state


def paid(env, state):
    scores = state.get("metrics") or {}
    return {name: scores.get(name, 0.0) * weight for name, weight in parts(env)}


async def pay(name, at, completion):
    env = loaded(name)
    fields = dict(dataset(env)[at])
    failed = Failures()
    for each in inner(env):
        for rubric in rubrics(each.rubric):
            rubric.logger.addHandler(failed)
    with no_service():
        if getattr(env, "requires_group_rollouts", False):
            result = await in_groups(env, fields, completion)
        else:
            state = await episode(env, fields, completion)
            await env.rubric.score_rollout(state)
            result = {"reward": state["reward"], "parts": paid(env, state)}
    # What has no weight pays nothing anyway.
    weighted = [n for each in inner(env) for r in rubrics(each.rubric) for n, w in zip(r._get_reward_func_names(), r._get_reward_weights()) if w]
    result["failed"] = [said for said in failed.seen if any("function %s:" % name in said for name in weighted)]
    return result


async def in_groups(env, fields, completion):
    """Among other answers, and in a group of its own copies; the better of the two counts."""
    right = fields.get("answer")
    others = [right if isinstance(right, str) else "ok", "ok", right if isinstance(right, str) else "x"]
    said = {}
    for name, group in (("among others", [completion, *others]), ("all alike", [completion] * 4)):
        states = [await episode(env, fields, text) for text in group]
        await env.rubric.score_group(states)
        said[name] = states[0]["reward"]
    return {"reward": max(said.values()), **said}
