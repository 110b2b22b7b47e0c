"""Grades submissions with one or many `loophole serve`, and loses none when one of them goes away.

    python grade_client.py --services http://a:8517,http://b:8517 --submissions rollouts.jsonl > graded.jsonl

Needs nothing but Python 3.9. As a module:

    services = Services(["http://a:8517", "http://b:8517"])
    records = services.grade([{"task_id": "t1", "completion": "def add(a, b): return a + b"}])
    rewards = [record["reward"] for record in records]          # None: ask again later; it is not a 0

Grading keeps no state between requests, so any service may grade any submission, and one that was sent twice is graded
alike. What a service had not answered when it went away is sent to another; each submission gets one record, in the
order in which they were given. A record whose verdict is `invalid` (the machine failed, or the task is broken) is asked
for again, and if it stays `invalid` its reward is None; so is that of a submission that cannot be graded at all, whose
record has an `error`.
"""

import argparse
import http.client
import json
import queue
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

#: Statuses with which a service says: not now, ask again.
AGAIN = {408, 425, 429, 500, 502, 503, 504}
#: Seconds to wait for a connection, and for the health of a service that was gone.
CONNECT = 5.0


class Refused(Exception):
    """A service says that the request is wrong. Another would say the same."""


class Gone(Exception):
    """A service cannot be reached or broke off (`down`), or has no room; holds the seconds to wait."""

    def __init__(self, why: str, seconds: float = 0.0, down: bool = False):
        super().__init__(why)
        self.seconds, self.down = seconds, down


class Service:
    """One address, with one connection for each thread that asks it."""

    def __init__(self, address: str, token: "str | None", timeout: float):
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{address!r} is no http:// or https:// address")
        self.address, self.parts, self.timeout = address, parts, timeout
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        #: Not to be asked before this moment, and after it only by one thread, for its health, if it is not `up`.
        self.rests_until, self.up, self.failures = 0.0, True, 0
        self.lock, self.kept = threading.Lock(), threading.local()

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """This thread's own, connected."""
        kept = getattr(self.kept, "connection", None)
        if kept is None:
            tls = {"context": ssl.create_default_context()} if self.parts.scheme == "https" else {}
            kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
            kept = self.kept.connection = kind(self.parts.hostname, self.parts.port, timeout=CONNECT, **tls)
        if kept.sock is None:
            kept.connect()
        kept.sock.settimeout(timeout)
        return kept

    def ready(self) -> bool:
        """Whether it may be asked now. One that was gone is asked for its health first, by one thread."""
        if time.monotonic() < self.rests_until:
            return False
        if self.up:
            return True
        with self.lock:
            if self.up or time.monotonic() < self.rests_until:
                return self.up
            connection = None
            try:
                connection = self.connection(CONNECT)
                connection.request("GET", self.parts.path.rstrip("/") + "/health", headers=self.headers)
                answer = connection.getresponse()
                answer.read()
                self.up = answer.status == 200
            except (OSError, http.client.HTTPException):
                self.up = False
            if not self.up:
                if connection:
                    connection.close()
                self.rest(0.0)
            return self.up

    def rest(self, seconds: float) -> None:
        """Leaves it alone: so long, or the longer the more often it failed, up to five seconds."""
        self.failures += 1
        self.rests_until = time.monotonic() + max(seconds, min(0.2 * 2 ** min(self.failures, 10), 5.0))

    def ask(self, path: str, body: dict, sent):
        """Yields the lines of the answer as objects; calls `sent` once the request is on its way."""
        try:
            connection = self.connection(self.timeout)
        except OSError as error:
            self.kept.connection.close()
            raise Gone(f"no connection: {error}", down=True) from error
        try:
            where = self.parts.path.rstrip("/") + path
            connection.request("POST", where, json.dumps(body).encode(), self.headers)
            sent()
            answer = connection.getresponse()
            if answer.status in AGAIN:
                said = answer.read(2000).decode(errors="replace")
                connection.close()
                raise Gone(f"{answer.status} {said}", seconds(answer.headers.get("Retry-After")))
            if answer.status != 200:
                said = answer.read(2000).decode(errors="replace")
                connection.close()
                raise Refused(f"{self.address} says {answer.status}: {said}")
            for line in answer:
                if line.strip():
                    yield json.loads(line)
            if answer.length:
                raise ValueError(f"{answer.length} bytes are missing")
            # The connection may be used again only after this, though nothing is left.
            answer.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A line that is cut off is no JSON.
            connection.close()
            raise Gone(f"{type(error).__name__}: {error}", down=True) from error
        except GeneratorExit:
            connection.close()
            raise


def seconds(text: "str | None") -> float:
    """How long `Retry-After` wants us to wait, between a moment and half a minute."""
    try:
        return min(max(float(text or 0.5), 0.1), 30.0)
    except ValueError:
        return 0.5


class Services:
    """Addresses that grade alike.

    `connections`: requests at a time for each address. `batch`: submissions in one request. `patience`: seconds without
    any record from any service after which :meth:`grade` gives up. `tries`: how often an `invalid` is asked for.
    """

    def __init__(self, addresses, token=None, *, connections=4, batch=8, timeout=300.0, patience=120.0, tries=3):
        self.services = [Service(address, token, timeout) for address in addresses]
        if not self.services:
            raise ValueError("no address")
        self.connections, self.batch, self.patience, self.tries = connections, batch, patience, tries
        #: What happened, for people: submissions sent again, and requests that failed by address.
        self.sent_again, self.failed = 0, {}
        #: Records of the batch that are there already.
        self.graded = 0

    def grade(self, submissions, **options) -> list:
        """One record for each submission, in their order. `options` are fields of the request (`grader`, `tasks`, ...).

        Raises `Refused` if a service says that the request is wrong, `TimeoutError` if nobody answers any more.
        """
        work = Work(list(submissions), self.batch, self.tries)
        threads = [
            threading.Thread(target=self._serve, args=(service, work, options), daemon=True)
            for service in self.services
            for _ in range(self.connections)
        ]
        for thread in threads:
            thread.start()
        while not work.over.wait(0.2):
            if time.monotonic() - work.last_record > self.patience:
                work.fail(TimeoutError(f"no record within {self.patience} s; failed requests: {self.failed}"))
        for thread in threads:
            thread.join(1.0)
        self.sent_again += work.sent_again
        if work.error:
            raise work.error
        return work.records

    def _serve(self, service: Service, work: "Work", options: dict) -> None:
        while not work.over.is_set():
            if not service.ready():
                work.over.wait(0.05)
                continue
            piece = work.take()
            if not piece:
                continue
            try:
                # Streamed, so that what is graded is kept if the service goes away in the middle.
                body = {**options, "stream": True, "submissions": [work.submissions[at] for at in piece]}
                for line in service.ask("/v1/grade", body, lambda piece=piece: work.sent(piece)):
                    if "index" in line:
                        work.keep(piece[line["index"]], line)
                        self.graded = len(work.submissions) - work.left
                service.failures = 0
            except Gone as gone:
                self.failed.setdefault(service.address, []).append(str(gone)[:200])
                service.up = service.up and not gone.down
                service.rest(gone.seconds)
            except Exception as error:  # noqa: BLE001 - a thread must not end without a word
                work.fail(error)
            finally:
                work.give_back(piece)


class Work:
    """What is to be graded, and what has been."""

    def __init__(self, submissions: list, batch: int, tries: int):
        self.submissions, self.batch, self.tries = submissions, batch, tries
        self.records: list = [None] * len(submissions)
        self.asked = [0] * len(submissions)
        self.lock, self.over, self.error = threading.Lock(), threading.Event(), None
        self.last_record, self.sent_again = time.monotonic(), 0
        self.waiting: "queue.SimpleQueue[int]" = queue.SimpleQueue()
        self.left = len(submissions)
        for at in range(len(submissions)):
            self.waiting.put(at)
        if not submissions:
            self.over.set()

    def take(self) -> list:
        piece = []
        try:
            piece.append(self.waiting.get(timeout=0.2))
            while len(piece) < self.batch:
                piece.append(self.waiting.get_nowait())
        except queue.Empty:
            pass
        return piece

    def sent(self, piece: list) -> None:
        with self.lock:
            for at in piece:
                self.sent_again += self.asked[at] > 0
                self.asked[at] += 1

    def keep(self, at: int, record: dict) -> None:
        """Keeps the first record that says something about a submission."""
        with self.lock:
            if self.records[at] is not None:
                return
            self.last_record = time.monotonic()
            error = record.get("error")
            if error or record.get("verdict") == "invalid":
                again = error["again"] if error else True
                if again and self.asked[at] < self.tries:
                    return
                record = {**record, "reward": None}
            self.records[at] = {**record, "index": at}
            self.left -= 1
            if not self.left:
                self.over.set()

    def give_back(self, piece: list) -> None:
        """Lets others do what has no record."""
        for at in piece:
            if self.records[at] is None:
                self.waiting.put(at)

    def fail(self, error: Exception) -> None:
        self.error = self.error or error
        self.over.set()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--services", required=True, help="addresses, with commas between them")
    parser.add_argument("--submissions", required=True, help="JSONL: task_id, completion or files; - is stdin")
    parser.add_argument("--token", help="a file whose first line is the token")
    parser.add_argument("--grader", help="the kind of grader, unless it is what fits the tasks")
    parser.add_argument("--no-label", action="store_true", help="rewards only, no verdicts")
    parser.add_argument("--connections", type=int, default=4, help="requests at a time for each address")
    parser.add_argument("--batch", type=int, default=8, help="submissions in one request")
    asked = parser.parse_args()
    with sys.stdin if asked.submissions == "-" else open(asked.submissions, encoding="utf-8") as file:
        submissions = [json.loads(line) for line in file if line.strip()]
    token = open(asked.token, encoding="utf-8").readline().strip() if asked.token else None
    options = {"grader": asked.grader} if asked.grader else {}
    if asked.no_label:
        options["label"] = False
    services = Services(asked.services.split(","), token, connections=asked.connections, batch=asked.batch)
    try:
        records = services.grade(submissions, **options)
    except (Refused, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    for record in records:
        print(json.dumps(record))
    for address, failures in services.failed.items():
        print(f"{address}: {len(failures)} requests failed, the last: {failures[-1]}", file=sys.stderr)
    return 3 if any(record["reward"] is None for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
