"""What `scripts/grade_client.py` makes of services that break off, refuse, or fail. Needs nothing but Python.

    python check_grade_client.py
"""

import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "scripts"))
from grade_client import Refused, Services  # noqa: E402


class Fake:
    """A service that answers as `behave(number of the request, submissions)` says: a status, or lines of text."""

    def __init__(self, behave):
        counted, fake = iter(range(1_000_000)), self
        self.seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.seen.append((self.path, self.headers.get("Authorization"), body))
                said = behave(next(counted), body["submissions"])
                if isinstance(said, int):
                    self.send_response(said)
                    self.send_header("Retry-After", "0.1")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                text, whole = said
                self.send_response(200)
                # More is promised than comes, where it breaks off.
                self.send_header("Content-Length", str(len(text.encode()) + (0 if whole else 100)))
                self.end_headers()
                self.wfile.write(text.encode())
                self.close_connection = not whole

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A client that leaves is no news here.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def line(at: int, row: dict, **more) -> str:
    return json.dumps({"index": at, "task_id": row["task_id"], "verdict": "honest", "reward": 1.0, **more}) + "\n"


def all_of(rows: list, **more) -> str:
    return "".join(line(at, row, **more) for at, row in enumerate(rows)) + '{"summary": {}}\n'


ROWS = [{"task_id": f"t{number}", "completion": "x"} for number in range(40)]


def told(records: list, rows: list = ROWS) -> None:
    assert [record["task_id"] for record in records] == [row["task_id"] for row in rows], records
    assert [record["index"] for record in records] == list(range(len(rows)))


def check_broken_off() -> None:
    """The records before the break are kept, the others asked for again, and a half line is none."""
    good = Fake(lambda _, rows: (all_of(rows), True))
    cut = Fake(lambda number, rows: (all_of(rows)[: 150 + number], False))
    client = Services([good.url, cut.url], "secret", connections=1, batch=8)
    told(client.grade(ROWS, grader="script"))
    assert client.failed[cut.url] and client.sent_again > 0
    asked = Counter(row["task_id"] for fake in [good, cut] for _, _, body in fake.seen for row in body["submissions"])
    assert max(asked.values()) > 1 and set(asked) == {row["task_id"] for row in ROWS}
    path, token, body = good.seen[0]
    assert (path, token, body["grader"], body["stream"]) == ("/v1/grade", "Bearer secret", "script", True)


def check_busy_and_gone() -> None:
    busy = Fake(lambda number, rows: 503 if number % 2 else (all_of(rows), True))
    client = Services([busy.url, "http://127.0.0.1:9"], connections=2, batch=4)
    told(client.grade(ROWS))
    assert any("503" in why for why in client.failed[busy.url]) and client.failed["http://127.0.0.1:9"], client.failed
    assert client.grade([]) == []


def check_invalid() -> None:
    """Asked for again; what stays invalid is no 0, and what cannot be graded is not asked for again."""
    times: Counter = Counter()

    def behave(_, rows):
        text = ""
        for at, row in enumerate(rows):
            name = row["task_id"]
            times[name] += 1
            again = {"error": {"code": "machine", "message": "", "again": True}, "verdict": None, "reward": None}
            wrong = {"error": {"code": "unknown_task", "message": "", "again": False}, "verdict": None, "reward": None}
            invalid = {"verdict": "invalid", "reward": 0.0}
            more = {"t1": again if times[name] == 1 else {}, "t2": invalid, "t3": wrong}.get(name, {})
            text += line(at, row, **more)
        return text, True

    fake = Fake(behave)
    client = Services([fake.url], connections=1)
    records = client.grade(ROWS)
    told(records)
    assert not client.failed, "one connection carries all requests"
    assert (times["t0"], times["t1"], times["t2"], times["t3"]) == (1, 2, 3, 1), times
    assert [records[at]["reward"] for at in range(4)] == [1.0, 1.0, None, None]


def check_refused_and_silent() -> None:
    for services, kind in [([Fake(lambda *_: 401).url], Refused), (["http://127.0.0.1:9"], TimeoutError)]:
        try:
            Services(services, patience=1.0).grade(ROWS)
        except kind as error:
            print(f"{kind.__name__}: {str(error)[:80]}")
        else:
            raise AssertionError(f"no {kind.__name__}")


if __name__ == "__main__":
    for check in [check_broken_off, check_busy_and_gone, check_invalid, check_refused_and_silent]:
        check()
        print(f"{check.__name__}: passed")
