"""One reward for every trainer: graded and labelled in cells, never forged by what is graded, never 0 for a failure of ours.

    >>> reward = Reward("tasks.jsonl")
    >>> reward(completions=["def add(a, b): return a + b", "exit()"], task_id=["sum", "sum"])     # TRL's form
    [1.0, 0.0]
    >>> reward.verl("code", "def add(a, b): return a * b", ground_truth="sum")["score"]           # verl's; and others
    0.0

What cannot be graded (`invalid`: the machine failed, the service is gone, the deadline has passed) is None where the
trainer leaves such samples out, and else an error, or the number given as `fallback`: it is never taken for a 0.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import _rows
from .client import Client, Record
from .trainers import areal, openrlhf, skyrl, slime, trl, verifiers, verl

_log = logging.getLogger("loophole")


class InvalidReward(Exception):
    """A sample could not be graded, and its trainer has no way to leave it out. Give `Reward(fallback=...)` a number."""


@dataclass
class Seen:
    """What was graded in one call, for those who watch."""

    records: list[Record]
    completions: list[str]
    rows: Sequence[Mapping[str, Any]]
    seconds: float


class Reward:
    """A reward from tests, for TRL as it is and for other trainers by its methods. It may be pickled and forked.

    Args:
        tasks: a file or folder of tasks in any form that `loophole grade --tasks` reads, or rows as dicts. Rows of the
            trainer whose task is not among them are graded by their own columns (`tests`, `solution`, ...).
        grader: its kind (`loophole grade --help`); what fits the tasks unless named.
        url, token, python, timeout: as for :class:`loophole.client.Client`; `client` is one that is there already.
        task_id: the column that names a row's task, or a function of the row. Unless given, the first of
            `task_id`, `id`, `question_id`, `problem_id`.
        open: weaknesses left open, for experiments (`["all"]` for every one). Unless given, all are closed.
        deadline: seconds for each call, after which what is left is `invalid`.
        fallback: the number (or a function of the record) for what is `invalid`, where a trainer takes no None.
        label: False asks for the reward only: cheaper, and no verdicts.
    """

    def __init__(
        self,
        tasks: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | None = None,
        grader: str | None = None,
        *,
        url: str | Sequence[str] | None = None,
        token: str | None = None,
        client: Client | None = None,
        task_id: str | Callable[[Mapping[str, Any]], Any] | None = None,
        open: Sequence[str] | None = None,
        python: str | None = None,
        deadline: float | None = None,
        fallback: float | Callable[[Record], float] | None = None,
        label: bool = True,
        timeout: float = 300.0,
        name: str = "loophole",
    ):
        if (
            fallback is not None
            and not callable(fallback)
            and not isinstance(fallback, (int, float))
        ):
            raise TypeError(
                f"fallback is to be a number or a function of the record, not {fallback!r}"
            )
        if task_id is not None and not callable(task_id) and not isinstance(task_id, str):
            raise TypeError(
                f"task_id is to name a column or be a function of the row, not {task_id!r}"
            )
        self.client = client or Client(
            url, token, tasks, grader, open, open is None, python, timeout=timeout
        )
        self.task_id, self.label = task_id, label
        self.deadline, self.fallback = deadline, fallback
        #: What TRL and verifiers call it in their logs.
        self.__name__ = name
        #: Called with what each call graded, in this process only.
        self.observers: list[Callable[[Seen], None]] = []
        #: What else is logged with each call, by name.
        self.metrics: dict[str, float] = {}
        #: Whether anything was ever graded: until then what is wrong with all rows is an error, and later a warning.
        self._graded = False
        self._warned: set[str] = set()
        #: Rows that were found to be no tasks, and ids that no service knows.
        self._broken: dict[str, str] = {}
        self._unknown: set[str] = set()

    # What all trainers' forms come down to.

    def records(
        self,
        completions: Sequence[Any],
        rows: Sequence[Mapping[str, Any]],
        deadline: float | None = None,
    ) -> list[Record]:
        """Grades completions (texts, or conversations whose last message counts), each for the task of its row."""
        began = time.monotonic()
        graded = _rows.grade(self, completions, rows, deadline or self.deadline)
        seconds = time.monotonic() - began
        if self.observers:
            seen = Seen(graded, [_rows.text(each) for each in completions], rows, seconds)
            for observer in self.observers:
                observer(seen)
        return self._looked_at(graded)

    async def arecords(
        self,
        completions: Sequence[Any],
        rows: Sequence[Mapping[str, Any]],
        deadline: float | None = None,
    ) -> list[Record]:
        """As :meth:`records`, while the event loop goes on."""
        return await self.client.aside(self.records, completions, rows, deadline)

    def number(self, record: Record) -> float:
        """The reward for a trainer that takes no None."""
        if record.reward is not None:
            return record.reward
        if callable(self.fallback):
            return float(self.fallback(record))
        if self.fallback is not None:
            return float(self.fallback)
        why = record.error["message"] if record.error else "; ".join(record.evidence)
        raise InvalidReward(
            f"the sample of task {record.task_id!r} cannot be graded ({why}), and this trainer cannot leave it out: "
            "Reward(fallback=...) takes the number that stands for such samples"
        )

    def _looked_at(self, records: list[Record]) -> list[Record]:
        """Says once what is wrong with rows; fails if all are wrong from the beginning."""
        wrong = [r for r in records if r.error and not r.error["again"] and not _rows.no_task(r)]
        self._graded = self._graded or any(record.valid for record in records)
        if wrong and not self._graded and len(wrong) == len(records):
            raise ValueError(f"no row can be graded; the first: {wrong[0].error}")
        for record in wrong:
            message = record.error["message"] if record.error else ""
            if message not in self._warned and len(self._warned) < 100:
                self._warned.add(message)
                _log.warning("left out: task %r: %s", record.task_id, message)
        return records

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_warned": set(), "observers": []}

    # TRL

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Any] = (),
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """TRL's reward function (`reward_funcs=Reward(...)`): None for what is `invalid`."""
        records = self.records(completions, trl.rows(self, prompts, len(completions), columns))
        trl.log(self, records, log_extra, log_metric)
        return [record.reward for record in records]

    @property
    def trl_async(self) -> Callable[..., Awaitable[list[float | None]]]:
        """The same as a coroutine: TRL runs all of those at once."""
        return trl.asynchronous(self)

    # Others

    def verl(
        self,
        data_source: str | None = None,
        solution_str: str = "",
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """verl's `compute_score`: a dict of plain numbers and texts, always with the same keys."""
        rows = [verl.row(data_source, ground_truth, extra_info)]
        return verl.score(self, self.records([solution_str], rows)[0])

    async def verl_async(
        self,
        data_source: str | None = None,
        solution_str: str = "",
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The same as a coroutine: not bound to the few threads that verl has."""
        rows = [verl.row(data_source, ground_truth, extra_info)]
        return verl.score(self, (await self.arecords([solution_str], rows))[0])

    def openrlhf(
        self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]
    ) -> dict[str, Any]:
        """OpenRLHF's `reward_func` (`--reward.remote_url FILE.py`); a label is a task's id, or a task."""
        return openrlhf.rewards(self, queries, prompts, labels)

    def openrlhf_url(self) -> str:
        """An address for OpenRLHF's `--reward.remote_url`, with which no file is needed."""
        return self.client.address() + "/get_reward"

    def areal(
        self,
        prompt: Any,
        completions: str,
        prompt_ids: Any = None,
        completion_ids: Any = None,
        **row: Any,
    ) -> float:
        """AReaL's `reward_fn`."""
        return areal.reward(self, prompt, completions, row)

    async def slime(self, args: Any, sample: Any, **more: Any) -> Any:
        """slime's `--custom-rm-path`: for one sample, or for a list of them."""
        return await slime.rewards(self, sample)

    def skyrl(self) -> type:
        """An environment for SkyRL-gym: `skyrl_gym.register(id="loophole", entry_point=reward.skyrl())`."""
        return skyrl.environment(self)

    async def verifiers(
        self,
        completion: Any = None,
        prompt: Any = None,
        answer: Any = None,
        info: Any = None,
        state: Any = None,
        task: Any = None,
        trace: Any = None,
    ) -> float:
        """A reward function for verifiers, which gives parameters by their names."""
        return await verifiers.reward(self, completion, prompt, answer, info, state, task, trace)
