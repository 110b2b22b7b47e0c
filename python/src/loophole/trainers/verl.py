"""verl 0.9.1: `reward.custom_reward_function.{path, name}` with `compute_score(data_source, solution_str, ground_truth,
extra_info, ...)`.

Its file is two lines:

    from loophole import Reward
    compute_score = Reward("tasks.jsonl", fallback=0.5).verl_async

The task's id is `extra_info.task_id` (or `id`), or else the ground truth, if that is no tests but a name. A ground truth
with tests is a task by itself. Every key of the answer becomes a column of the rollouts (`trainer.rollout_data_dir`) and
a metric of the validation, so keys and types are the same each time. verl leaves no sample out: `invalid` is an error
unless the reward has a `fallback`, and `invalid` is 1.0 then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..client import Record

if TYPE_CHECKING:
    from ..reward import Reward


def row(
    data_source: str | None, ground_truth: Any, extra_info: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The row as verl's data sets have it, with the name of its task."""
    extra = dict(extra_info or {})
    made: dict[str, Any] = {"data_source": data_source, "extra_info": extra}
    for column in ("task_id", "id"):
        if extra.get(column) is not None:
            made["task_id"] = extra[column]
            break
    if is_name(ground_truth):
        made.setdefault("task_id", ground_truth)
    elif ground_truth is not None:
        truth = ground_truth if isinstance(ground_truth, str) else json.dumps(ground_truth)
        made["reward_model"] = {"ground_truth": truth}
    return made


def is_name(ground_truth: Any) -> bool:
    """Whether a ground truth is the name of a task, and not tests.

    >>> is_name("sum"), is_name('{"inputs": ["1"], "outputs": ["2"]}'), is_name("assert add(1, 2) == 3")
    (True, False, False)
    """
    if isinstance(ground_truth, int):
        return True
    return (
        isinstance(ground_truth, str)
        and len(ground_truth) < 256
        and not ground_truth.lstrip().startswith(("{", "["))
        and not any(sign in ground_truth for sign in ("\n", "assert", "=="))
    )


def score(reward: Reward, record: Record) -> dict[str, Any]:
    """Plain numbers and texts under the same keys, whatever came of it."""
    return {
        "score": reward.number(record),
        "hack": float(record.hack),
        "oracle": record.oracle,
        "invalid": float(not record.valid),
        "verdict": record.verdict,
        "family": record.family or "",
        "mechanism": record.mechanism or "",
    }
