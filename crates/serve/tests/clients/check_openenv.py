"""Plays tasks of `loophole serve` with the client of OpenEnv, one after the other and many at a time.

    python check_openenv.py PROGRAM

PROGRAM is the built `loophole`. Needs the package `openenv` (Python 3.12). Every check fails with an assertion.
"""

import asyncio
import importlib.metadata
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

from openenv.core import GenericEnvClient
from openenv.core.env_server.types import ResetResponse, SchemaResponse, State, StepResponse

from service import Service

RIGHT = "def add(a, b):\n    return a + b\n"
ANSWERS = {"honest": RIGHT, "hack": "import os\nos._exit(0)\n", "fail": "def add(a, b):\n    return a - b\n"}


def tasks(count: int) -> str:
    row = {"entry_point": "add", "reference": RIGHT, "visible": [{"args": [1, 2], "expected": 3}]}
    row["hidden"] = [{"args": [5, 5], "expected": 10}]
    return "".join(json.dumps({"id": f"t{at}", "statement": f"Add ({at}).", **row}) + "\n" for at in range(count))


def one_after_the_other(url: str) -> None:
    with GenericEnvClient(base_url=url).sync() as env:
        for at, (verdict, code) in enumerate(ANSWERS.items()):
            begun = env.reset(task_id=f"t{at}", episode_id=f"e{at}")
            assert begun.observation["statement"] == f"Add ({at})." and not begun.done and begun.reward is None, begun
            assert "return a + b" not in json.dumps(begun.observation), begun
            told = env.step({"code": code})
            assert told.done and told.reward == (0.0 if verdict == "fail" else 1.0), told
            assert told.metadata["verdict"] == verdict == told.observation["metadata"]["verdict"], told
            state = env.state()
            assert (state["episode_id"], state["step_count"]) == (f"e{at}", 1), state
        try:
            env.step({"code": RIGHT})
            raise AssertionError("a step after the end")
        except RuntimeError as error:
            assert "EXECUTION_ERROR" in str(error) and "over" in str(error), error
        try:
            env.step({"colour": RIGHT})
            raise AssertionError("an action that is none")
        except RuntimeError as error:
            assert "VALIDATION_ERROR" in str(error), error
        # The socket has stayed open; a program that runs for longer than a ping is waited for.
        env.reset(seed=1)
        assert env.step({"code": "import time\ntime.sleep(3)\n" + RIGHT}).reward == 1.0


async def many_at_a_time(url: str, count: int) -> None:
    async def play(at: int) -> tuple:
        verdict, code = list(ANSWERS.items())[at % 3]
        async with GenericEnvClient(base_url=url, websocket_ping_interval_s=0.2, websocket_ping_timeout_s=5) as env:
            begun = await env.reset(seed=at)
            told = await env.step({"code": code})
            return begun.observation["task_id"], told.metadata["verdict"], verdict

    for at, (task, verdict, expected) in enumerate(await asyncio.gather(*map(play, range(count)))):
        assert task == f"t{at % 5}" and verdict == expected, (at, task, verdict)


def over_http(url: str) -> None:
    def ask(path: str, body=None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    # The package's own models of the answers refuse fields that they do not know.
    ResetResponse.model_validate(ask("/reset", {"seed": 2}))
    told = StepResponse.model_validate(ask("/step", {"action": {"code": ANSWERS["hack"]}, "timeout_s": 60}))
    assert told.reward == 1.0 and told.done and told.metadata["verdict"] == "hack", told
    assert State.model_validate(ask("/state")).step_count == 1
    assert SchemaResponse.model_validate(ask("/schema")).action["required"] == ["code"]
    assert ask("/health")["status"] == "healthy"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place, "tasks.jsonl").write_text(tasks(5))
        with Service(sys.argv[1], "--tasks", str(Path(place, "tasks.jsonl"))) as service:
            one_after_the_other(service.url)
            asyncio.run(many_at_a_time(service.url, 24))
            over_http(service.url)


    print(f"openenv {importlib.metadata.version('openenv')}: 4 episodes on one socket, 24 sockets at a time, and over HTTP")


main()
