"""slime (THUDM/slime, commit 0b420f1): `--custom-rm-path MODULE.NAME`, for a sample or (`--group-rm`) a list of them.

    reward = Reward("tasks.jsonl")
    slime_reward = reward.slime                    # --custom-rm-path rewards.slime_reward

The label of a sample (`--label-key`) is its task's id, or a task. What is `invalid` has `remove_sample` set, which takes
it out of the loss; the number it has in the statistics of its group is the mean of the others, or the `fallback`. The
verdict and the like are in the sample's metadata, as `loophole`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import Record

if TYPE_CHECKING:
    from ..reward import Reward


async def rewards(reward: Reward, sample: Any) -> Any:
    """The reward of a sample, or those of several."""
    samples = sample if isinstance(sample, list) else [sample]
    records = await reward.arecords([each.response for each in samples], [row(s) for s in samples])
    valid = [record.reward for record in records if record.reward is not None]
    numbers = []
    for each, record in zip(samples, records, strict=True):
        if isinstance(each.metadata, dict):
            each.metadata["loophole"] = told(record)
        if record.valid:
            numbers.append(reward.number(record))
            continue
        each.remove_sample = True
        neutral = reward.fallback is None and valid
        numbers.append(sum(valid) / len(valid) if neutral else reward.number(record))
    return numbers if isinstance(sample, list) else numbers[0]


def row(sample: Any) -> dict[str, Any]:
    """A sample's metadata as columns, and its label as the name of its task."""
    columns = dict(sample.metadata) if isinstance(sample.metadata, dict) else {}
    if sample.label is not None:
        columns["task_id"] = sample.label
    return {"prompt": sample.prompt, **columns}


def told(record: Record) -> dict[str, Any]:
    """What stands beside the reward."""
    return {
        "verdict": record.verdict,
        "family": record.family,
        "mechanism": record.mechanism,
        "hack": float(record.hack),
        "oracle": record.oracle,
    }
