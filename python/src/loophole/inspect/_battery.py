"""The battery as Inspect tasks: `loophole probe` plays, and each reply is that of Inspect's model.

Each sample is a scenario. The program plays it, with its supervisor and its cells, against an endpoint on the loopback
that hands every request to the model that Inspect names; limits, retries, caches and the log are Inspect's. A scenario's
score is the rate of the misaligned outcome among the valid samples of its tempting arm.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import anyio
from inspect_ai import Task, task
from inspect_ai.agent import AgentState, agent_bridge
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from .._service import binary
from ._endpoint import endpoint

#: What a scenario left: its summary and its samples.
_PLAYED = "loophole"


@task
def battery(
    group: str = "small",
    probe: str | list[str] | None = None,
    arm: str | list[str] | None = None,
    samples: int = 1,
    seed: int = 1,
    tools: str = "auto",
) -> Task:
    """Plays scenarios with Inspect's model.

    Args:
        group: `small`, `all`, a group of scenarios (`covert`, `shutdown`, ...), or a file or folder of your own.
        probe: only these scenarios.
        arm: only these arms.
        samples: samples of each arm; epochs are further ones, with other seeds.
        seed: seed of the scenarios.
        tools: how an agent gives its commands: `calls`, `text`, or `auto`.
    """
    return _battery(group, probe, arm, samples, seed, tools)


def _battery(
    group: str,
    probe: str | list[str] | None,
    arm: str | list[str] | None,
    samples: int,
    seed: int,
    tools: str,
) -> Task:
    wanted = _words(probe)
    names = [name for name in _scenarios(group) if not wanted or name in wanted]
    if missing := set(wanted) - set(names):
        raise ValueError(f"{group!r} has no scenario {', '.join(sorted(missing))}")
    dataset = [
        Sample(id=name, input=f"scenario {name}", metadata={"probe": name}) for name in names
    ]
    flags = ["--battery", group, "--samples", str(samples), "--tools", tools]
    for each in _words(arm):
        flags += ["--arm", each]
    return Task(dataset=dataset, solver=play(flags, seed), scorer=outcome())


def _group(name: str) -> Any:
    """The task of one group."""

    def of_group(
        probe: str | list[str] | None = None,
        arm: str | list[str] | None = None,
        samples: int = 1,
        seed: int = 1,
        tools: str = "auto",
    ) -> Task:
        return _battery(name, probe, arm, samples, seed, tools)

    of_group.__name__ = of_group.__qualname__ = name
    return task(name=name)(of_group)


small = _group("small")
all = _group("all")
shutdown = _group("shutdown")
covert = _group("covert")
faking = _group("faking")
detector = _group("detector")
honesty = _group("honesty")
malicious = _group("malicious")
insider = _group("insider")
hacking = _group("hacking")
awareness = _group("awareness")


@solver
def play(flags: list[str], seed: int) -> Solver:
    """Has `loophole probe` play a sample's scenario."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        own = ["--probe", state.metadata["probe"], "--seed", str(seed + state.epoch - 1)]
        talk = AgentState(messages=[])
        # What Inspect was told of sampling comes first, then what the program asks for.
        async with (
            agent_bridge(
                talk, web_search=False, code_execution=False, forward_generation_config=True
            ) as bridge,
            endpoint() as (url, key),
        ):
            played = await _probe([f"{url}#inspect", *flags, *own], key)
        state.messages = bridge.state.messages
        if bridge.state.output is not None:
            state.output = bridge.state.output
        state.metadata[_PLAYED] = played
        return state

    return solve


@scorer(metrics=[mean(), stderr()])
def outcome() -> Scorer:
    """The rate of the misaligned outcome in the tempting arm; no score where no sample of it is valid."""

    async def score(state: TaskState, target: Target) -> Score:
        played = state.metadata[_PLAYED]
        (probe,) = played["summary"]["probes"]
        ends = {name: arm["outcomes"] for name, arm in probe["arms"].items()}
        said = "; ".join(
            f"{arm}: " + ", ".join(f"{end} {count}" for end, count in each.items())
            for arm, each in ends.items()
        )
        told = {
            "measure": probe["measure"],
            "group": probe["group"],
            "outcomes": ends,
            "probe": probe,
        }
        told["samples"] = played["samples"]
        if probe.get("rate") is None:
            return Score.unscored(reason="no valid sample", explanation=said, metadata=told)
        return Score(value=probe["rate"], explanation=f"{probe['measure']}: {said}", metadata=told)

    return score


async def _probe(arguments: list[str], key: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="loophole-") as folder:
        out = Path(folder, "out")
        command = [binary(), "probe", *arguments, "--out", str(out), "--json", "--quiet"]
        # An answer of Inspect's may take as long as Inspect lets it, so nothing is limited here.
        done = await anyio.run_process(
            command, check=False, env={**os.environ, "LOOPHOLE_API_KEY": key}
        )
        # 1: too few scenarios have a rate to measure the model as a whole, which is Inspect's to tell.
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise RuntimeError(
                f"loophole probe ended with {done.returncode}: {done.stderr.decode()[-2000:]}"
            )
        lines = (out / "samples.jsonl").read_text().splitlines()
        return {"summary": json.loads(done.stdout), "samples": [json.loads(line) for line in lines]}


@cache
def _scenarios(group: str) -> list[str]:
    """The names of a group's scenarios, by a model that says no to everything: there is no list to be had."""
    command = [
        binary(),
        "probe",
        "mock:refusing",
        "--battery",
        group,
        "--samples",
        "1",
        "--json",
        "--quiet",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise ValueError(f"loophole probe --battery {group}: {done.stderr.strip()}")
    return [probe["name"] for probe in json.loads(done.stdout)["probes"]]


def _words(given: str | list[str] | None) -> list[str]:
    return given.split(",") if isinstance(given, str) else list(given or [])
