"""verifiers 0.3.1 (`Rubric(funcs=[reward.verifiers])`) and 0.4.0 (a method marked with `@vf.reward`).

Both give parameters by their names. 0.3.1: `completion`, `prompt`, `answer`, `info`, `state`, `task`. 0.4.0:

    class Sum(vf.Task[SumData]):
        @vf.reward
        async def tests(self, task, trace) -> float:
            return await reward.verifiers(task=task, trace=trace)

The task's id is in `info` (0.3.1: the data set's column) or a field of the task's data (0.4.0: `task_id`, `id`), or else the
`answer`. What is `invalid` is an error of the rollout, which trainers leave out: 0.4.0 records the exception in the trace;
0.3.1 would take it for a 0, so `state["error"]` is set as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..client import Record
from . import slime, verl

if TYPE_CHECKING:
    from ..reward import Reward


async def reward(
    reward: Reward,
    completion: Any,
    prompt: Any,
    answer: Any,
    info: Any,
    state: Any,
    task: Any,
    trace: Any,
) -> float:
    """The reward of a rollout."""
    said = trace.last_reply if trace is not None else completion
    record = (await reward.arecords([said], [row(prompt, answer, info, task)]))[0]
    _tell(record, state, trace)
    if not record.valid and reward.fallback is None:
        _fail(record, state)
    return reward.number(record)


def row(prompt: Any, answer: Any, info: Any, task: Any) -> dict[str, Any]:
    """The columns that name a rollout's task or are one."""
    columns: dict[str, Any] = {}
    if hasattr(task, "model_dump"):
        columns.update(task.model_dump(mode="json", exclude_none=True))
    elif isinstance(task, Mapping):
        columns.update(task)
    if isinstance(info, str) and info.startswith("{"):
        info = json.loads(info)
    if isinstance(info, Mapping):
        columns.update(info)
    if answer is not None and answer != "":
        columns = {**verl.row(None, answer, None), **columns}
    columns.setdefault("prompt", prompt)
    return columns


def _tell(record: Record, state: Any, trace: Any) -> None:
    """Leaves the label where the library keeps what it saves."""
    if isinstance(state, dict):
        state["loophole"] = slime.told(record)
    if trace is not None and record.valid and hasattr(trace, "record_metrics"):
        trace.record_metrics({"hack": float(record.hack), "oracle": record.oracle})


def _fail(record: Record, state: Any) -> None:
    if isinstance(state, dict) and state.get("error") is None:
        from verifiers import InfraError

        state["error"] = InfraError(f"not graded: {'; '.join(record.evidence)}")
