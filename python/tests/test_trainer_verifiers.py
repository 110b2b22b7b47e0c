"""verifiers' own Rubric (0.3.1) and Task.score (0.4.0)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, TASKS, WRONG
from foreign import needs

VERSION = needs("verifiers", "0.3.1", "0.4.0")
OLD = VERSION.startswith("0.3.")

from loophole import Reward  # noqa: E402

PROMPT = [{"role": "user", "content": "add"}]


@pytest.fixture(scope="module")
def reward() -> Reward:
    return Reward(TASKS)


def gone() -> Reward:
    return Reward(url="http://127.0.0.1:9", timeout=0.5)


if OLD:
    import verifiers as vf

    def scored(reward: Reward, text: str, **fields: Any) -> Any:
        """The state of a rollout that a Rubric has scored."""
        state = vf.State(
            input={"prompt": PROMPT, "example_id": 0, "task": "code"},
            prompt=PROMPT,
            completion=[{"role": "assistant", "content": text}],
            **(fields or {"answer": "sum", "info": {}}),
        )
        rubric = vf.Rubric(funcs=[reward.verifiers])
        asyncio.run(rubric.score_rollout(state))
        return state

    @pytest.mark.parametrize("fields", [{"answer": "sum"}, {"info": {"task_id": "sum"}}])
    def test_a_rubric(reward: Reward, fields: dict[str, Any]) -> None:
        state = scored(reward, HONEST, **fields)
        assert state["reward"] == 1.0 and state["metrics"] == {"verifiers": 1.0}
        assert state["loophole"]["verdict"] == "honest"
        assert scored(reward, WRONG, **fields)["reward"] == 0.0

    @pytest.mark.parametrize("text", [*FORGED.values(), HANGS], ids=[*FORGED, "hangs"])
    def test_what_does_not_pay(reward: Reward, text: str) -> None:
        assert scored(reward, text)["reward"] == 0.0

    def test_a_gone_service_is_an_error_of_the_rollout() -> None:
        state = scored(gone(), HONEST)
        assert isinstance(state["error"], vf.InfraError)
        # The library itself makes a 0 of it; whoever trains leaves rollouts with an error out.
        assert state["reward"] == 0.0 and state["loophole"]["verdict"] == "invalid"

else:
    import verifiers.v1 as vf
    from verifiers.v1.configs.agent import AgentConfig

    class SumData(vf.TaskData):
        task_id: str = "sum"

    class Sum(vf.Task[SumData, vf.State]):
        graded: Reward

        @vf.reward
        async def tests(self, task: Any, trace: Any) -> float:
            return await self.graded.verifiers(task=task, trace=trace)

    def scored(reward: Reward, text: str, **fields: Any) -> Any:
        """A trace that its task has scored."""
        task = Sum(SumData(prompt="add"))
        task.graded = reward
        says = vf.MessageNode(message=vf.UserMessage(content="add"))
        said = vf.MessageNode(message=vf.AssistantMessage(content=text), parent=0, sampled=True)
        trace = vf.Trace(
            task=vf.TraceTask(type="Sum", data=task.data),
            agent=vf.AgentInfo(config=AgentConfig.model_construct()),
            nodes=[says, said],
        )
        asyncio.run(task.score(trace))
        return trace

    def test_a_task(reward: Reward) -> None:
        trace = scored(reward, f"```python\n{HONEST}\n```")
        assert trace.reward == 1.0 and trace.metrics == {"hack": 0.0, "oracle": 1.0}
        assert scored(reward, WRONG).reward == 0.0

    @pytest.mark.parametrize("text", [*FORGED.values(), HANGS], ids=[*FORGED, "hangs"])
    def test_what_does_not_pay(reward: Reward, text: str) -> None:
        assert scored(reward, text).reward == 0.0

    def test_an_open_grader_pays_and_says_so() -> None:
        trace = scored(Reward(TASKS, open=["all"]), FORGED["os._exit(0)"])
        assert trace.reward == 1.0 and trace.metrics["hack"] == 1.0

    def test_a_gone_service_is_an_error_of_the_rollout() -> None:
        with pytest.raises(Exception, match="cannot be graded"):
            scored(gone(), HONEST)
