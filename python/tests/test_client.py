"""The client alone: batches, several addresses, deadlines, tokens, cells."""

from __future__ import annotations

import asyncio
import http.server
import json
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import EQUAL, HANGS, HARD_EXIT, HONEST, SUM, TASKS, WRONG

from loophole import Client, Refused, ServiceError
from loophole.client import CellGone


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(tasks=TASKS)


def submissions(*texts: str) -> list[dict[str, Any]]:
    return [{"task_id": "sum", "completion": text} for text in texts]


def test_records_come_in_order_and_are_typed(client: Client) -> None:
    records = client.grade(submissions(HONEST, WRONG, HARD_EXIT, f"```python\n{HONEST}\n```"))
    assert [record.verdict for record in records] == ["honest", "fail", "hack", "honest"]
    assert [record.reward for record in records] == [1.0, 0.0, 1.0, 1.0]
    assert [record.index for record in records] == [0, 1, 2, 3]
    assert (records[2].family, records[2].hack, records[0].hack) == ("early-exit", True, False)
    assert records[0].oracle == 1.0 and records[0].raw["oracle"]["total"] == 4
    assert records[3].extracted == "the fenced block"


def test_an_empty_batch_needs_no_service() -> None:
    assert Client("http://127.0.0.1:9").grade([]) == []


def test_a_hardened_grader_pays_no_hack() -> None:
    records = Client(tasks=TASKS, hardened=True).grade(submissions(HARD_EXIT, EQUAL, HONEST))
    assert [record.reward for record in records] == [0.0, 0.0, 1.0]


def test_tasks_go_with_the_request(client: Client) -> None:
    other = {**SUM, "id": "other", "hidden": []}
    record = client.grade([{"task_id": "other", "completion": HONEST}], tasks=[other])[0]
    assert (record.verdict, record.total) == ("honest", 2)


def test_an_unknown_task_is_invalid_and_says_so(client: Client) -> None:
    record = client.grade([{"task_id": "none", "completion": HONEST}])[0]
    assert (record.verdict, record.reward, record.valid) == ("invalid", None, False)
    assert record.error is not None and record.error["code"] == "unknown_task"


def test_without_labels_there_is_only_the_reward(client: Client) -> None:
    record = client.grade(submissions(HONEST), label=False)[0]
    assert (record.verdict, record.reward) == ("unlabelled", 1.0)


def test_what_is_wrong_with_the_whole_request_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="no-such-grader"):
        client.grade(submissions(HONEST), grader="no-such-grader")


def test_one_bad_task_is_no_reason_to_grade_none(client: Client) -> None:
    bad = {"id": "bad", "nothing": 1}
    rows = [*submissions(HONEST), {"task_id": "bad", "completion": HONEST}]
    good, broken = client.grade(rows, tasks=[bad])
    assert (good.verdict, broken.valid) == ("honest", False)
    assert broken.error is not None and broken.error["code"] == "bad_task"


def test_endless_programs_end(client: Client) -> None:
    began = time.monotonic()
    record = client.grade(submissions(HANGS))[0]
    assert (record.verdict, record.reward) == ("fail", 0.0)
    assert time.monotonic() - began < 60


def test_what_is_late_is_invalid(client: Client) -> None:
    began = time.monotonic()
    hanging = [f"{HANGS}\n# {at}" for at in range(12)]
    records = client.grade(submissions(*hanging[:6], HONEST, *hanging[6:]), deadline=2.0)
    assert time.monotonic() - began < 5
    assert records[6].reward == 1.0
    late = [record for record in records if record.verdict == "invalid"]
    assert late and all(record.reward is None for record in late)
    assert {record.error["code"] for record in late if record.error} == {"deadline"}


def test_async(client: Client) -> None:
    async def both() -> list[str]:
        one = client.agrade(submissions(HONEST))
        other = client.agrade(submissions(WRONG))
        return [records[0].verdict for records in await asyncio.gather(one, other)]

    assert asyncio.run(both()) == ["honest", "fail"]


def test_threads_share_a_client(client: Client) -> None:
    seen: list[str] = []

    def grade() -> None:
        for _ in range(5):
            seen.extend(r.verdict for r in client.grade(submissions(HONEST, WRONG)))

    threads = [threading.Thread(target=grade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == ["fail"] * 20 + ["honest"] * 20


def test_a_client_is_pickled(client: Client) -> None:
    again = pickle.loads(pickle.dumps(client))
    assert again.grade(submissions(HONEST))[0].verdict == "honest"
    far = pickle.loads(pickle.dumps(Client("http://any:key@127.0.0.1:1")))
    assert far.address() == "http://any:key@127.0.0.1:1"


def test_an_address_with_its_token(client: Client) -> None:
    with_token = client.address()
    far = Client(with_token)
    assert far.ready()
    assert far.grade(submissions(HONEST))[0].verdict == "honest"
    with pytest.raises(Refused, match="token"):
        Client(with_token, token="wrong").grade(submissions(HONEST))
    with pytest.raises(ValueError, match="its own tasks"):
        Client(with_token, tasks="tasks.jsonl")


def test_rows_go_along_to_an_address(client: Client) -> None:
    other = {**SUM, "id": "far"}
    far = Client(client.address(), tasks=[other, SUM])
    assert far.grade([{"task_id": "far", "completion": HONEST}])[0].verdict == "honest"


class Flaky(http.server.BaseHTTPRequestHandler):
    """A service that begins an answer and breaks off, or has no room."""

    busy = 0
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).busy:
            type(self).busy -= 1
            self.send_response(503)
            self.send_header("Retry-After", "0.1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        line = {"index": 0, "task_id": "sum", "verdict": "honest", "reward": 0.25}
        self.wfile.write(json.dumps(line).encode() + b'\n{"index": 1, "verd')
        self.wfile.flush()
        # On a busy machine what was said may be lost with the connection before it is read.
        time.sleep(0.2)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def flaky() -> Any:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_what_breaks_off_is_sent_to_another(client: Client, flaky: str) -> None:
    Flaky.busy = 0
    both = Client([flaky, "http://127.0.0.1:9", client.address()], timeout=30)
    records = both.grade(submissions(*[HONEST] * 40))
    assert len(records) == 40 and all(record.verdict == "honest" for record in records)
    # What it had said whole counts, what was cut off was asked for elsewhere.
    assert any(record.reward == 0.25 for record in records)
    assert any(record.reward == 1.0 for record in records)


def test_one_submission_finds_the_service_that_lives(client: Client) -> None:
    both = Client(["http://127.0.0.1:9", client.address(), "http://127.0.0.1:10"], timeout=30)
    for _ in range(4):
        assert both.grade(submissions(HONEST))[0].verdict == "honest"
    with both.cell() as cell:
        assert cell.exec("echo here").stdout == "here\n"


def test_no_room_is_asked_again(flaky: str) -> None:
    Flaky.busy = 2
    began = time.monotonic()
    assert Client(flaky, timeout=20).grade(submissions(HONEST))[0].reward == 0.25
    assert Flaky.busy == 0 and time.monotonic() - began < 10


def test_nobody_there_is_invalid_and_not_zero() -> None:
    records = Client("http://127.0.0.1:9", timeout=1.0).grade(submissions(HONEST))
    assert records[0].reward is None and records[0].verdict == "invalid"
    assert "127.0.0.1:9" in records[0].evidence[0]


def test_a_cell(client: Client) -> None:
    with client.cell(files={"a.txt": "hello", "b": b"\xff"}, idle_seconds=60) as cell:
        ran = cell.exec("wc -c < a.txt; echo $X; pwd; exit 3", env={"X": "y"}, cwd="/tmp")
        assert (ran.verdict, ran.code, ran.ok) == ("exit", 3, False)
        ran = cell.exec("wc -c < a.txt; echo $X", env={"X": "y"})
        assert (ran.stdout, ran.ok) == ("5\ny\n", True)
        assert cell.exec(["cat", "-"], stdin=b"\xff\x00").stdout_bytes == b"\xff\x00"
        assert cell.exec("sleep 30", timeout=0.3).verdict == "wall"
        cell.write("in/run.sh", b"#!/bin/sh\necho ran", executable=True)
        assert cell.exec(["./in/run.sh"]).stdout == "ran\n"
        assert cell.read("b") == b"\xff"
        assert [entry.name for entry in cell.list("in")] == ["run.sh"]
        with pytest.raises(FileNotFoundError):
            cell.read("nothing")
        with pytest.raises(IsADirectoryError):
            cell.read("in")
        cell.remove("in", all=True)
        assert cell.record()["commands"] >= 5
    assert cell.ended is not None and "record" in cell.ended
    with pytest.raises(CellGone):
        cell.exec("true")


def test_a_wrong_command_is_refused(client: Client) -> None:
    with client.cell() as cell, pytest.raises(Refused):
        cell.exec("true", timeout=-1)


def test_tasks_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"nothing": 1}\n')
    with pytest.raises(ServiceError, match="no form of tasks"):
        Client(tasks=wrong).grade(submissions(HONEST))
    with pytest.raises(FileNotFoundError):
        Client(tasks=tmp_path / "none.jsonl")
