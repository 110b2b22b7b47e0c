"""AReaL 1.0.4: `RLVRWorkflow(reward_fn=...)`.

It is called in processes of a pool, so it is pickled, and each process finds the same service. AReaL waits for 15 s and
takes what comes later for a 0: the deadline is shorter, so that it is told as `invalid` first. It leaves no sample out:
`invalid` is an error (tried again three times, and then the episode's) unless the reward has a `fallback`. A program that
sleeps longer than the deadline is late, too: choose no fallback that would be worth it.

    workflow = RLVRWorkflow(reward_fn=Reward("tasks.jsonl", fallback=0.5).areal, ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..reward import Reward

#: Seconds for one call.
DEADLINE = 12.0


def reward(reward: Reward, prompt: Any, completion: str, row: Mapping[str, Any]) -> float:
    """The reward of one completion; `row` has the other columns of the data set."""
    seconds = min(reward.deadline or DEADLINE, DEADLINE)
    record = reward.records([completion], [{"prompt": prompt, **row}], seconds)[0]
    return reward.number(record)
