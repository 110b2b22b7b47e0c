"""Cells as Inspect's sandboxes under programs that mean harm. Needs inspect-ai."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed")

from inspect_ai.util import OutputLimitExceededError, SandboxUnavailableError  # noqa: E402

from loophole import _service  # noqa: E402
from loophole.inspect import CellOptions, CellSandbox  # noqa: E402

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def opened(options=None):
    return (await CellSandbox.sample_init("hostile", options, {}))["default"]


async def closed(*sandboxes):
    for each in sandboxes:
        await CellSandbox.sample_cleanup("hostile", None, {"default": each}, False)


@pytest.fixture
async def sandbox(anyio_backend):
    made = await opened()
    yield made
    await closed(made)


async def running(sandbox, seconds):
    """How many processes of the cell sleep so long."""
    count = (
        "import glob\n"
        "told = [open(path, 'rb').read() for path in glob.glob('/proc/[0-9]*/cmdline')]\n"
        f"print(told.count(b'sleep\\x00{seconds}\\x00'))"
    )
    return int((await sandbox.exec(["python3", "-"], input=count)).stdout)


def on_the_machine(seconds):
    """The same, as the machine sees it: other tests have other numbers."""
    told = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            told.append(path.read_bytes())
        except OSError:
            pass
    return told.count(f"sleep\0{seconds}\0".encode())


async def test_what_is_left_in_the_background_goes_on_and_ends_with_the_cell(sandbox):
    forked = await sandbox.exec(["sh", "-c", "(sleep 61.5 &) ; (sleep 61.5 &) ; echo done"])
    assert forked.stdout == "done\n"
    assert await running(sandbox, "61.5") == 2
    assert on_the_machine("61.5") == 2
    await closed(sandbox)
    assert on_the_machine("61.5") == 0


async def test_a_timeout_kills_a_daemon_and_leaves_the_cell(sandbox):
    # A new session and a double fork get it out of every group that could be killed.
    script = "setsid sh -c 'sleep 62.5 & sleep 62.5' & sleep 62.5"
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await sandbox.exec(["sh", "-c", f"echo before; {script}"], timeout=1)
    assert time.monotonic() - began < 10
    assert await running(sandbox, "62.5") == 0
    assert (await sandbox.exec(["echo", "still here"])).stdout == "still here\n"


async def test_a_command_that_is_called_off_ends(sandbox):
    with anyio.move_on_after(1):
        await sandbox.exec(["sh", "-c", "sleep 63.5; touch /box/finished"])
    with anyio.fail_after(10):
        assert await running(sandbox, "63.5") == 0
    with pytest.raises(FileNotFoundError):
        await sandbox.read_file("finished")


async def test_calling_one_off_leaves_the_other(sandbox):
    async def other():
        results.append(await sandbox.exec(["sh", "-c", "sleep 2; echo whole"]))

    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await anyio.sleep(0.5)
        # It waits for the first: a cell takes one command at a time.
        with anyio.move_on_after(0.5):
            await sandbox.exec(["sleep", "30"])
    assert results[0].stdout == "whole\n"


async def test_20_mib_of_output_are_told_as_too_much(sandbox):
    for stream in ("", ">&2"):
        with pytest.raises(OutputLimitExceededError, match="10 MiB") as told:
            await sandbox.exec(["sh", "-c", f"head -c 20971520 /dev/zero | tr '\\0' a {stream}"])
        assert len(told.value.truncated_output) <= 10 << 20
    assert (await sandbox.exec(["echo", "still here"])).success


async def test_names_that_are_no_utf_8_or_have_a_backslash(sandbox):
    made = await sandbox.exec(
        [
            "python3",
            "-c",
            "open(b'/box/\\xff\\xfe','w').write('odd'); open('/box/a\\\\b','w').write('slash')",
        ]
    )
    assert made.success, made.stderr
    assert await sandbox.read_file(os.fsdecode(b"\xff\xfe")) == "odd"
    assert await sandbox.read_file("a\\b") == "slash"
    await sandbox.write_file(os.fsdecode(b"new\xff"), "written")
    listed = await sandbox.exec(["python3", "-c", "import os; print(sorted(os.listdir(b'/box')))"])
    assert listed.stdout == r"[b'a\\b', b'new\xff', b'\xff\xfe']" + "\n"
    # Output that is no UTF-8 comes with the replacement character, which Inspect allows.
    assert (await sandbox.exec(["printf", r"\303\050"])).stdout == "\ufffd("


async def test_a_link_out_of_the_box_leads_to_the_cells_own(sandbox):
    await sandbox.exec(["ln", "-s", "/etc/passwd", "passwd"])
    await sandbox.exec(["ln", "-s", "/nowhere", "keys"])
    assert (await sandbox.read_file("passwd")).splitlines()[1].startswith("cell:x:1000")
    with pytest.raises(PermissionError):
        await sandbox.write_file("passwd", "root::0:0::/:/bin/sh\n")
    with pytest.raises(OSError):
        await sandbox.write_file("keys/authorized_keys", "mine")
    await sandbox.exec(["ln", "-s", "/tmp/there", "away"])
    await sandbox.write_file("away", "through a link")
    assert await sandbox.read_file("/tmp/there") == "through a link"
    assert await sandbox.read_file("/box/../tmp/there") == "through a link"


async def test_what_is_no_file_is_not_read(sandbox):
    await sandbox.exec(["mkfifo", "pipe"])
    for path in ("pipe", "/dev/zero", "/proc/self/fd/0"):
        with anyio.fail_after(20), pytest.raises(OSError):
            await sandbox.read_file(path)
    assert "Name:" in await sandbox.read_file("/proc/self/status")


async def test_a_bomb_meets_the_limits_and_the_next_command_runs(sandbox):
    bomb = await sandbox.exec(["python3", "-c", "import os\nwhile True: os.fork()"], timeout=20)
    assert not bomb.success
    hog = await sandbox.exec(["python3", "-c", "b = b'x' * (3 << 30)"], timeout=20)
    assert not hog.success
    full = await sandbox.exec(["sh", "-c", "cat /dev/zero >big"], timeout=20)
    assert not full.success
    await sandbox.exec(["rm", "-f", "big"])
    assert (await sandbox.exec(["echo", "still here"])).stdout == "still here\n"


async def test_the_machine_is_out_of_reach(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the machine")
    for path in (str(secret), "/proc/1/environ", "/etc/shadow"):
        with pytest.raises((FileNotFoundError, PermissionError)):
            await sandbox.read_file(path)
    net = "import socket; socket.create_connection(('1.1.1.1', 53), 2)"
    assert not (await sandbox.exec(["python3", "-c", net], timeout=20)).success


async def test_two_samples_at_once_share_nothing(anyio_backend):
    first, second = await opened(), await opened()
    results = []

    async def work(sandbox, word):
        await sandbox.write_file("/tmp/word", word)
        await sandbox.exec(["sh", "-c", "sleep 1; cat /tmp/word >copy; (sleep 64.5 &)"])
        results.append((word, await sandbox.read_file("copy"), await running(sandbox, "64.5")))

    async with anyio.create_task_group() as group:
        group.start_soon(work, first, "one")
        group.start_soon(work, second, "two")
    await closed(first, second)
    assert sorted(results) == [("one", "one", 1), ("two", "two", 1)]


async def test_a_killed_service_is_said_and_the_next_sample_has_another(anyio_backend):
    # One that was named an interpreter is a service of its own, which no other test uses.
    options = CellOptions(python=sys.executable)
    sandbox = await opened(options)
    address = str(sandbox._sandbox.cell._address)
    states = [json.loads(path.read_text()) for path in _service._own().glob("*/state.json")]
    (pid,) = [state["pid"] for state in states if state["url"].startswith(address)]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(SandboxUnavailableError):
        await sandbox.exec(["true"])
    with pytest.raises(SandboxUnavailableError):
        await sandbox.write_file("a", "b")
    await closed(sandbox)
    again = await opened(options)
    assert (await again.exec(["echo", "again"])).stdout == "again\n"
    await closed(again)


async def test_options_are_checked():
    assert CellSandbox.config_deserialize({"memory_bytes": 1 << 28}).memory_bytes == 1 << 28
    with pytest.raises(ValueError):
        CellSandbox.config_deserialize({"memory": 1})
    with pytest.raises(ValueError, match="compose.yaml"):
        await CellSandbox.sample_init("options", "compose.yaml", {})
