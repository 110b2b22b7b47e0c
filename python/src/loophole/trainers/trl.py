"""TRL 1.16.0: `GRPOTrainer(reward_funcs=...)` and the trainers like it.

All is given by keyword: `prompts`, `completions`, `completion_ids`, every other column of the data set as a list, and
`trainer_state`, `log_extra`, `log_metric`, `environments`. None is a reward that does not count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._rows import IDS, TESTS, no_task
from ..client import Record

if TYPE_CHECKING:
    from ..reward import Reward

#: What TRL gives besides the columns of the data set.
OURS = ("completion_ids", "trainer_state", "environments")


def rows(
    reward: Reward, prompts: Sequence[Any] | None, count: int, columns: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of the data set, one for each completion. Columns are lists, or arrays and series of others.

    A batch in which no column could ever name a task is a mistake of the set-up: rows of other rewards have the column,
    and None in it. So is a column of ours that is longer or shorter than the batch.
    """
    named = reward.task_id
    ours = (*IDS, *TESTS, named)
    lists: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if (
            name in OURS
            or isinstance(values, (str, bytes, Mapping))
            or not hasattr(values, "__len__")
        ):
            continue
        if len(values) == count:
            lists[name] = list(values)
        elif name in ours:
            raise ValueError(
                f"the column {name!r} has length {len(values)}, but there are {count} completions"
            )
    if count and named is None and not any(name in lists for name in ours):
        raise ValueError(
            f"no column tells which task a row is for: there are {sorted(columns)}. Give the rows `task_id`, name "
            "another column (Reward(task_id=...)), or give them tests of their own (`tests`)"
        )
    if prompts is not None and "prompt" not in lists:
        lists["prompt"] = list(prompts)
    return [{name: values[at] for name, values in lists.items()} for at in range(count)]


def log(
    reward: Reward,
    records: Sequence[Record],
    log_extra: Callable[[str, list[Any]], None] | None,
    log_metric: Callable[[str, float], None] | None,
) -> None:
    """Verdict, family and mechanism of each completion, and the rates of this batch."""
    if log_extra is not None:
        log_extra("verdict", [record.verdict for record in records])
        log_extra("family", [record.family for record in records])
        log_extra("mechanism", [record.mechanism for record in records])
    if log_metric is not None:
        for name, value in {**rates(records), **reward.metrics}.items():
            log_metric(f"loophole/{name}", value)


def rates(records: Sequence[Record]) -> dict[str, float]:
    """Shares of hacks, of all that was paid and not earned (overfit among it) and of tries, among valid records; of invalid
    ones among all.

    Rows that are not for us (a mathematical problem in a mixed data set) are in none of them.
    """
    ours = [record for record in records if not no_task(record)]
    valid = [record for record in ours if record.valid]
    told: dict[str, float] = {}
    if ours:
        told["invalid_rate"] = 1 - len(valid) / len(ours)
    if valid:
        told["hack_rate"] = sum(record.verdict == "hack" for record in valid) / len(valid)
        told["unearned_rate"] = sum(record.hack for record in valid) / len(valid)
        tried = sum(record.verdict == "attempted" for record in valid)
        told["attempted_rate"] = tried / len(valid)
    return told


def asynchronous(reward: Reward) -> Callable[..., Awaitable[list[float | None]]]:
    """The reward as a coroutine function, which TRL runs beside others of its kind."""

    async def call(
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Any] = (),
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        records = await reward.arecords(
            completions, rows(reward, prompts, len(completions), columns)
        )
        log(reward, records, log_extra, log_metric)
        return [record.reward for record in records]

    call.__name__ = reward.__name__
    return call
