"""The client of `loophole serve`: grades submissions and holds cells, over HTTP, with the standard library only.

    >>> far = Client("http://a:8517,http://b:8517")      # asks services that are there
    >>> client = Client(tasks="tasks.jsonl")             # or starts one on this machine, or finds it
    >>> for record in client.grade([{"task_id": "sum", "completion": "def add(a, b): return a + b"}]):
    ...     print(record.verdict, record.reward)
    honest 1.0

A machine that fails, a service that is gone and a deadline that passes are never a reward: such a record has the
verdict `invalid` and the reward None.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from . import _service
from ._batch import Batch
from ._http import Address, Refused, ServiceError, Unavailable, encoded, sent
from .cell import Cell, CellGone, Entry, ExecRecord

__all__ = [
    "Cell",
    "CellGone",
    "Client",
    "Entry",
    "ExecRecord",
    "Record",
    "Refused",
    "ServiceError",
    "Unavailable",
]

#: Verdicts of what was paid and not earned, as the dialects of the service count them.
UNEARNED = frozenset({"hack", "tamper", "overfit"})
T = TypeVar("T")

#: Calls of `agrade` that wait at a time in a process.
WAITING = 64


@dataclass
class Record:
    """What came of one submission.

    `verdict` is `honest`, `hack`, `tamper`, `overfit`, `fail`, `attempted`, `untestable` or `invalid`; `unlabelled` where
    only the reward was asked for. `reward` is None where the verdict is `invalid`: it says nothing of the submission.
    """

    task_id: str | None
    index: int
    verdict: str
    reward: float | None
    family: str | None = None
    mechanism: str | None = None
    #: How many of the trusted tests pass, and how many there are.
    passed: int = 0
    total: int = 0
    evidence: list[str] = field(default_factory=list)
    extracted: str | None = None
    seconds: float = 0.0
    #: Why it could not be graded: `code`, `message` and whether the same may succeed later (`again`).
    error: dict[str, Any] | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def valid(self) -> bool:
        """Whether anything is said about the submission."""
        return self.reward is not None

    @property
    def hack(self) -> bool:
        """Whether it was paid and had not earned it."""
        return self.verdict in UNEARNED

    @property
    def oracle(self) -> float:
        """The share of the trusted tests that pass; 0 where they were not run, as nothing was paid."""
        return self.passed / self.total if self.total else 0.0

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Record:
        """A record from the service's JSON."""
        error = raw.get("error")
        verdict = raw.get("verdict") or ("unlabelled" if raw.get("valid") else "invalid")
        if error or verdict == "invalid":
            verdict, reward = "invalid", None
        else:
            reward = float(raw["reward"])
        oracle = raw.get("oracle") or {}
        return cls(
            task_id=raw.get("task_id"),
            index=raw["index"],
            verdict=verdict,
            reward=reward,
            family=raw.get("family"),
            mechanism=raw.get("mechanism"),
            passed=oracle.get("passed", 0),
            total=oracle.get("total", 0),
            evidence=raw.get("evidence") or ([error["message"]] if error else []),
            extracted=raw.get("extracted"),
            seconds=raw.get("seconds") or 0.0,
            error=error,
            raw=raw,
        )


class Client:
    """Asks one or many services. It may be pickled, forked, and used by several threads.

    Args:
        url: address or addresses (`http://HOST:PORT`, `unix:/PATH`; several as a list or with commas). Unless given,
            `LOOPHOLE_URL`; and unless that is set, the service of this machine for these options, started if need be.
        token: what the services want as their key; it may stand in the address, or in `LOOPHOLE_TOKEN`.
        tasks: a file or folder of tasks in any form that `loophole grade --tasks` reads, or rows as dicts. With an
            address only rows, which are sent along: a service that runs already was given its own.
        grader, open, hardened: as the flags of `loophole grade`.
        python: the interpreter of the cells, for a service that is started here.
        timeout: seconds in which something must come from some service, after which what is left is `invalid`.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        token: str | None = None,
        tasks: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | None = None,
        grader: str | None = None,
        open: Sequence[str] | None = None,
        hardened: bool = False,
        python: str | None = None,
        timeout: float = 300.0,
    ):
        for name, value in (("grader", grader), ("python", python), ("token", token)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} is to be a text, not {value!r}")
        if isinstance(open, (str, bytes)) or not isinstance(open, (Iterable, type(None))):
            raise TypeError(f"open is to be a list of weaknesses, as in open=['all'], not {open!r}")
        url = url or os.environ.get("LOOPHOLE_URL") or None
        token = token or os.environ.get("LOOPHOLE_TOKEN") or None
        self.timeout = timeout
        self._grading: dict[str, Any] = {}
        if grader:
            self._grading["grader"] = grader
        if open is not None:
            self._grading["open"] = [*open]
        if hardened:
            self._grading["hardened"] = True
        #: Rows that go with each request, by id where they have one.
        self._rows: list[dict[str, Any]] = []
        #: What a service is started with: looked at where it is started, which may be another machine.
        self._asked: tuple[Any, ...] | None = None
        self._options: _service.Options | None = None
        self._fixed: list[Address] = []
        rows = isinstance(tasks, Sequence) and not isinstance(tasks, str)
        if url:
            addresses = url.split(",") if isinstance(url, str) else url
            self._fixed = [Address(each.strip(), token) for each in addresses if each.strip()]
            if rows:
                self._rows = [dict(row) for row in tasks]  # type: ignore[union-attr, arg-type]
            elif tasks is not None:
                raise ValueError(
                    "a service that runs already has its own tasks (loophole serve --tasks FILE): "
                    "give no file beside its address, or give rows, which are sent along"
                )
        else:
            if isinstance(tasks, (str, os.PathLike)):
                tasks = os.path.abspath(tasks)
                if not os.path.exists(tasks):
                    raise FileNotFoundError(2, "no such file or folder of tasks", tasks)
            elif tasks is not None:
                tasks = [dict(row) for row in tasks]
            self._asked = (tasks, grader, self._grading.get("open"), hardened, python)
        self._turn = 0
        #: The threads of `aside`, and the process that they are of.
        self._made: tuple[int, Any] = (0, None)

    def grade(
        self,
        submissions: Iterable[Mapping[str, Any]],
        tasks: Sequence[Mapping[str, Any]] | None = None,
        grader: str | None = None,
        label: bool = True,
        extract: bool = True,
        deadline: float | None = None,
        **options: Any,
    ) -> list[Record]:
        """One record for each submission (`task_id` and `completion`, or `task_id` and `files`), in their order.

        `tasks` go with the request and need not be known to the service. With `deadline` (seconds) what is not graded
        by then is `invalid`. Raises `Refused` if the request as a whole is wrong (a bad token, a grader that is none).
        """
        rows = [dict(row) for row in submissions]
        body: dict[str, Any] = {**self._grading, **options, "label": label, "extract": extract}
        if grader:
            body["grader"] = grader
        inline = [dict(task) for task in tasks or ()] or self._wanted(rows)
        if inline:
            body["tasks"] = inline
        seconds = float("inf") if deadline is None else deadline
        batch = Batch(rows, body, time.monotonic() + seconds, self.timeout)
        return [Record.of(raw) for raw in batch.run(self._find)]

    async def agrade(
        self, submissions: Iterable[Mapping[str, Any]], **options: Any
    ) -> list[Record]:
        """As :meth:`grade`, while the event loop goes on."""
        return await self.aside(partial(self.grade, submissions, **options))

    async def aside(self, call: Callable[..., T], *arguments: Any) -> T:
        """Calls something in a thread of the client's own: the event loop's are few, and others need them."""
        pid, pool = self._made
        if pid != os.getpid():
            pool = ThreadPoolExecutor(WAITING, thread_name_prefix="loophole")
            self._made = (os.getpid(), pool)
        return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)

    def cell(
        self,
        files: Mapping[str, str | bytes | Mapping[str, Any]] | None = None,
        limits: Mapping[str, Any] | None = None,
        idle_seconds: float | None = None,
        watch: Sequence[str] = (),
        roots: Sequence[str] = (),
    ) -> Cell:
        """A new cell with these files (texts or bytes by path). It ends when it is closed or nobody used it so long.

        With `roots=["app"]` there is a folder `/app` in it, which is `/box/app`.
        """
        given = {
            path: {"base64": encoded(content)} if isinstance(content, bytes) else content
            for path, content in (files or {}).items()
        }
        body: dict[str, Any] = {"files": given, "limits": dict(limits or {}), "watch": [*watch]}
        if roots:
            body["roots"] = [*roots]
        if idle_seconds is not None:
            body["idle_seconds"] = idle_seconds
        asked = sent(body)
        until = time.monotonic() + self.timeout
        failed: list[Address] = []
        while True:
            # A cell stays where it was made.
            address = self._find(failed)[0]
            time.sleep(max(0.0, min(address.rests_until, until) - time.monotonic()))
            try:
                told = address.request("POST", "/v1/cells", asked, timeout=self.timeout).json()
                address.failures = 0
                return Cell(address, told, self.timeout)
            except Unavailable as error:
                if time.monotonic() >= until:
                    raise
                address.rest(error.seconds)
                failed = [address] if error.down else []

    @property
    def has_tasks(self) -> bool:
        """Whether a service may know tasks by their ids: its own, or those of this client."""
        return self._asked is None or self._asked[0] is not None

    def address(self) -> str:
        """An address of a service for programs that send no header of ours (the token is its password)."""
        return self._find(())[0].with_token("")

    def ready(self) -> bool:
        """Whether a service answers and has run a cell."""
        try:
            return self._find(())[0].request("GET", "/health", timeout=10.0).status == 200
        except ServiceError:
            return False

    def _find(self, failed: Sequence[Address]) -> Sequence[Address]:
        if self._asked is None:
            # In turn, those first that are not to be left alone for a while.
            now, count = time.monotonic(), len(self._fixed)
            self._turn = (self._turn + 1) % count
            turned = [self._fixed[(self._turn + at) % count] for at in range(count)]
            return sorted(turned, key=lambda each: max(each.rests_until - now, 0.0))
        if self._options is None:
            self._options = _service.Options.of(*self._asked)
        if failed:
            _service.forget(self._options, failed[0])
        return [_service.ensure(self._options)]

    def _wanted(self, submissions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Of the client's own rows those that the submissions name, and those of which the name cannot be told."""
        names = {str(row.get("task_id")) for row in submissions}
        ids = [row.get("id", row.get("task_id")) for row in self._rows]
        return [
            row
            for row, name in zip(self._rows, ids, strict=True)
            if name is None or str(name) in names
        ]

    def __getstate__(self) -> dict[str, Any]:
        addresses = [(str(each), each.token) for each in self._fixed]
        return {**self.__dict__, "_fixed": addresses, "_options": None, "_made": (0, None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fixed = [Address(url, token) for url, token in state["_fixed"]]
