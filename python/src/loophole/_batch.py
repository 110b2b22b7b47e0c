"""A batch of submissions, shared out over several services, so that none is lost when one of them goes away.

Grading keeps no state between requests: any service may grade any submission, and one that was sent twice is graded
alike. What a service had not answered when it went away is sent to another.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ._http import Address, Unavailable, sent

#: Submissions in one request where there are several services: small enough that a slow one does not keep the rest.
PIECE = 32
#: Requests at a time for each service, where there are several.
THREADS = 2
#: The same where there is a deadline: records come in order, and what is ready behind a slow one would be lost with it.
HURRIED, MANY = 2, 16
#: How often a submission is asked for whose record says `invalid` (the service itself tries three times).
TRIES = 2

#: Finds the addresses to ask now, given those that could not be reached.
Find = Callable[[Sequence[Address]], Sequence[Address]]


class Batch:
    """What is to be graded, and what has been."""

    def __init__(
        self, submissions: Sequence[Any], options: dict[str, Any], until: float, patience: float
    ):
        self.submissions, self.options = submissions, options
        #: `until`: the end of it all, by the monotonic clock; `patience`: seconds in which some record has to come.
        self.until, self.patience = until, patience
        self.records: list[dict[str, Any] | None] = [None] * len(submissions)
        self.asked = [0] * len(submissions)
        self.waiting = deque(range(len(submissions)))
        self.left = len(submissions)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.error: Exception | None = None
        self.last_record = time.monotonic()
        #: Why the last request failed, for the records of those that nobody graded.
        self.why = "no answer yet"

    def run(self, find: Find) -> list[dict[str, Any]]:
        """A record for each submission, in their order; what nobody graded in time is told as an error in its place."""
        if self.submissions:
            addresses = find(())
            hurried = self.until < float("inf")
            if len(self.submissions) == 1 or (len(addresses) == 1 and not hurried):
                self._serve(addresses[0], len(self.submissions), find)
            else:
                self._share(addresses, hurried, find)
        if self.error:
            raise self.error
        return [record or self._missing(at) for at, record in enumerate(self.records)]

    def _share(self, addresses: Sequence[Address], hurried: bool, find: Find) -> None:
        each = MANY if hurried else THREADS
        piece = len(self.submissions) // (len(addresses) * each)
        piece = max(1, min(HURRIED if hurried else PIECE, piece))
        # Of several addresses none is looked for anew: the others go on meanwhile.
        search = find if len(addresses) == 1 else None
        threads = [
            threading.Thread(target=self._serve, args=(address, piece, search), daemon=True)
            for address in addresses
            for _ in range(min(each, len(self.submissions)))
        ]
        for thread in threads:
            thread.start()
        # A thread that waits for a silent service is left behind: its answer is taken if it comes in time.
        while not self.over.wait(0.1):
            if not self._time_left():
                self.over.set()
        for thread in threads:
            thread.join(0.2)

    def _serve(self, address: Address, piece: int, find: Find | None) -> None:
        """Grades with one service until nothing is left; `find` looks for another where it is the only one."""
        try:
            while not self.over.is_set() and self._time_left():
                rest = address.rests_until - time.monotonic()
                if rest > 0:
                    self.over.wait(min(rest, self._time_left()))
                    continue
                taken = self._take(piece)
                if not taken:
                    # Others are at the last ones, and may give them back.
                    self.over.wait(0.02)
                    continue
                try:
                    self._ask(address, taken)
                    address.failures = 0
                except Unavailable as error:
                    self.why = str(error)
                    address.rest(error.seconds)
                    if find is not None:
                        address = find((address,) if error.down else ())[0]
                finally:
                    self._give_back(taken)
        except Exception as error:  # noqa: BLE001 - whoever started this raises it
            self.error = self.error or error
            self.over.set()

    def _ask(self, address: Address, taken: list[int]) -> None:
        # What is graded is kept if the service goes away in the middle.
        body = {
            **self.options,
            "stream": True,
            "submissions": [self.submissions[at] for at in taken],
        }
        seconds = self.until - time.monotonic()
        if seconds < float("inf"):
            body["deadline_seconds"] = max(seconds, 0.001)
        for line in address.lines("/v1/grade", sent(body), self._patience):
            if "index" in line:
                self._keep(taken[line["index"]], line)

    def _time_left(self) -> float:
        now = time.monotonic()
        return max(0.0, min(self.until - now, self.last_record + self.patience - now))

    def _patience(self) -> float:
        """What is left, and a moment for the service to say itself that it is over."""
        return self._time_left() + 0.5

    def _take(self, most: int) -> list[int]:
        with self.lock:
            taken = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
            for at in taken:
                self.asked[at] += 1
        return taken

    def _keep(self, at: int, record: dict[str, Any]) -> None:
        with self.lock:
            if self.records[at] is not None:
                return
            error = record.get("error")
            failed = record.get("verdict") == "invalid" or record.get("valid") is False
            again = error["again"] if error else failed
            if again and self.asked[at] < TRIES:
                return
            self.last_record = time.monotonic()
            self.records[at] = {**record, "index": at}
            self.left -= 1
            if not self.left:
                self.over.set()

    def _give_back(self, taken: list[int]) -> None:
        with self.lock:
            back = [at for at in taken if self.records[at] is None]
            self.waiting.extend(back)

    def _missing(self, at: int) -> dict[str, Any]:
        row = self.submissions[at]
        task = row.get("task_id") if isinstance(row, dict) else None
        late = time.monotonic() >= self.until
        message = "not graded within its deadline" if late else "nobody answered"
        error = {
            "code": "deadline" if late else "unavailable",
            "message": f"{message}: {self.why}",
            "again": True,
        }
        return {"task_id": task, "index": at, "error": error}
