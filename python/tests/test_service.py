"""One service a machine: racing processes, forks, killed services, and who ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import HONEST, SUM

from loophole import Client
from loophole._service import Options

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


def own(name: str) -> list[dict[str, Any]]:
    """Tasks that no other test has, and so a service of this test's own."""
    return [{**SUM, "statement": name}]


def state(client: Client) -> dict[str, Any]:
    assert client._asked is not None
    key = Options.of(*client._asked).key
    path = Path(tempfile.gettempdir()) / f"loophole-{os.getuid()}" / key / "state.json"
    return dict(json.loads(path.read_text()))


def grade(client: Client) -> str:
    return client.grade([{"task_id": "sum", "completion": HONEST}])[0].verdict


def gone(pid: int, seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


RACER = """
import json, sys
from loophole import Client
from loophole._service import Options
client = Client(tasks=json.loads(sys.argv[1]))
sys.stdin.readline()
verdict = client.grade([{"task_id": "sum", "completion": sys.argv[2]}])[0].verdict
print(json.dumps([verdict, client.address()]), flush=True)
sys.stdin.readline()
"""


def racers(tasks: Any, count: int) -> list[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", RACER, json.dumps(tasks), HONEST]
    return [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            # As processes of a cluster have it: no common session.
            start_new_session=True,
        )
        for _ in range(count)
    ]


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_racing_processes_start_one_service_and_the_last_ends_it() -> None:
    tasks = own("race")
    processes = racers(tasks, 8)
    for process in processes:
        say(process)
    told = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    assert [verdict for verdict, _ in told] == ["honest"] * 8
    assert len({address for _, address in told}) == 1
    mine = Client(tasks=tasks)
    pid = state(mine)["pid"]
    assert told[0][1].endswith(state(mine)["url"].rpartition(":")[2])
    # One ends as it should, the others are killed: nothing of them is left to say goodbye.
    say(processes[0])
    assert processes[0].wait(20) == 0
    for process in processes[1:-1]:
        process.kill()
        process.wait(20)
    time.sleep(2.5)
    assert not gone(pid, 0.0), "the last user still lives"
    processes[-1].kill()
    processes[-1].wait(20)
    assert gone(pid), "nobody uses it any more"
    for process in processes:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_forks_have_connections_of_their_own() -> None:
    client = Client(tasks=own("fork"))
    assert grade(client) == "honest"
    before = state(client)["pid"]
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                wanted = all(grade(client) == "honest" for _ in range(5))
                code = 0 if wanted and state(client)["pid"] == before else 2
            finally:
                os._exit(code)
        children.append(child)
    seen = [grade(client) for _ in range(5)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert seen == ["honest"] * 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_service_is_started_again(number: signal.Signals) -> None:
    client = Client(tasks=own(f"killed by {number}"))
    assert grade(client) == "honest"
    before = state(client)
    os.kill(before["pid"], number)
    assert gone(before["pid"])
    assert grade(client) == "honest"
    after = state(client)
    assert after["pid"] != before["pid"] and after["token"] != before["token"]


def test_a_batch_goes_on_when_its_service_is_killed() -> None:
    client = Client(tasks=own("killed in a batch"))
    assert grade(client) == "honest"
    pid = state(client)["pid"]
    slow = [f"import time\ntime.sleep(0.5)\n{HONEST}\n# {at}" for at in range(12)]
    killer = subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -9 {pid}"])
    records = client.grade([{"task_id": "sum", "completion": text} for text in slow])
    assert killer.wait(20) == 0
    assert [record.verdict for record in records] == ["honest"] * 12
    assert state(client)["pid"] != pid


def test_a_killed_keeper_takes_its_service_with_it() -> None:
    client = Client(tasks=own("keeper"))
    assert grade(client) == "honest"
    told = state(client)
    os.kill(told["keeper"], signal.SIGKILL)
    assert gone(told["pid"])
    assert grade(client) == "honest"


def test_only_this_user_can_read_what_it_leaves() -> None:
    client = Client(tasks=own("private"))
    client.ready()
    assert client._options is not None
    top = Path(tempfile.gettempdir()) / f"loophole-{os.getuid()}"
    assert top.stat().st_mode & 0o077 == 0
    for name in ("token", "state.json"):
        assert (top / client._options.key / name).stat().st_mode & 0o077 == 0
    top.chmod(0o755)
    try:
        with pytest.raises(PermissionError):
            grade(Client(tasks=own("elsewhere")))
    finally:
        top.chmod(0o700)


def test_other_options_are_another_service() -> None:
    tasks = own("options")
    open_, closed = Client(tasks=tasks), Client(tasks=tasks, hardened=True)
    assert grade(open_) == grade(closed) == "honest"
    assert state(open_)["pid"] != state(closed)["pid"]
    assert grade(Client(tasks=tasks)) == "honest"
    assert Client(tasks=tasks).address() == open_.address()
