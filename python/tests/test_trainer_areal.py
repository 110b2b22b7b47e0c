"""AReaL's own AsyncRewardWrapper, which calls rewards in the processes of a pool."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
import types
from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, TASKS
from foreign import needs

needs("areal", "1.0.4")

from loophole import Reward  # noqa: E402


def wrapper() -> Any:
    """`areal.api.reward_api` by itself: the package as a whole wants a GPU's libraries."""
    found = importlib.util.find_spec("areal")
    assert found is not None and found.submodule_search_locations
    import logging

    home = found.submodule_search_locations[0]
    for name in ("areal", "areal.utils"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["areal.utils"].logging = logging  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(
        "areal.api.reward_api", f"{home}/api/reward_api.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AsyncRewardWrapper


@pytest.fixture(scope="module")
def wrapped() -> Any:
    return wrapper()


def rewards(call: Any, *texts: str) -> list[float]:
    async def run() -> list[float]:
        asked = (call("add", text, [1], [2], task_id="sum", messages=[]) for text in texts)
        return list(await asyncio.gather(*asked))

    return asyncio.run(run())


def test_in_processes(wrapped: Any) -> None:
    call = wrapped(Reward(TASKS).areal, max_workers=2)
    assert rewards(call, HONEST, *FORGED.values()) == [1.0, 0.0, 0.0, 0.0]


def test_what_hangs_ends_before_areal_gives_up(wrapped: Any) -> None:
    call = wrapped(Reward(TASKS, fallback=0.5).areal, max_workers=2)
    # By the clock, and not by the processor's: the service would wait longer than AReaL does.
    sleeps = "import time\ntime.sleep(60)"
    began = time.monotonic()
    slept, hung = rewards(call, sleeps, HANGS)
    # Five seconds of the processor may be more than the deadline by the clock, where others are at work.
    assert slept == 0.5 and hung in (0.0, 0.5)
    assert time.monotonic() - began < 15, "AReaL tried it again"


def test_what_cannot_be_graded_is_an_error_and_not_zero(wrapped: Any) -> None:
    call = wrapped(
        Reward(url="http://127.0.0.1:9", timeout=0.2).areal, max_workers=1, max_retries=1
    )
    with pytest.raises(Exception, match="cannot be graded"):
        rewards(call, HONEST)
