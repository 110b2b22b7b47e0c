"""Four actors on two nodes of a Ray cluster: one service a machine, and what is killed in the middle loses no sample."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import HONEST, SET, SUM, WRONG
from foreign import needs

needs("ray", "2.60.0")

import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from loophole import Reward  # noqa: E402

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


@ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)
class Grader:
    """As a worker of a trainer: the reward comes to it pickled."""

    def __init__(self, reward: Reward):
        self.reward = reward

    def grade(self, texts: list[str]) -> tuple[list[Any], str]:
        rewards = self.reward(completions=texts, task_id=["sum"] * len(texts))
        return rewards, self.reward.client.address()

    def node(self) -> str:
        return str(ray.get_runtime_context().get_node_id())


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes that work, and a third one that only leads."""
    environment = {name: os.environ[name] for name in SET if name in os.environ}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [made.add_node(num_cpus=4) for _ in range(2)]
    ray.init(
        address=made.address,
        runtime_env={"env_vars": {**environment, "PYTHONPATH": SOURCE}},
        log_to_driver=False,
    )
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def actors(reward: Reward, nodes: list[Any], folders: list[Path] | None = None) -> list[Any]:
    """Two on each node; with folders as on machines of their own, which is what their temporary folders tell."""
    made = []
    for at in range(4):
        node = nodes[at % 2]
        options: dict[str, Any] = {
            # Soft: where its node is gone, an actor begins anew on another.
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.node_id, soft=True)
        }
        if folders:
            environment = {name: os.environ[name] for name in SET if name in os.environ}
            apart = {**environment, "PYTHONPATH": SOURCE, "TMPDIR": str(folders[at % 2])}
            options["runtime_env"] = {"env_vars": apart}
        made.append(Grader.options(**options).remote(reward))  # type: ignore[attr-defined]
    return made


def samples(count: int, actor: int) -> tuple[list[str], list[float]]:
    """Slow ones, no two alike, a third of them wrong: a lost, doubled or swapped one shows."""
    wanted = [0.0 if at % 3 == actor % 3 else 1.0 for at in range(count)]
    texts = [
        f"import time\ntime.sleep(0.4)\n{HONEST if right else WRONG}\n# {actor} {at}"
        for at, right in enumerate(wanted)
    ]
    return texts, wanted


def services(folder: Path) -> list[int]:
    """The processes of the services that were started below a temporary folder."""
    states = folder.glob(f"loophole-{os.getuid()}/*/state.json")
    return [int(json.loads(state.read_text())["pid"]) for state in states]


def test_actors_of_a_machine_share_a_service_and_outlive_a_node(cluster: Any) -> None:
    made, nodes = cluster
    reward = Reward([{**SUM, "statement": "ray"}])
    graders = actors(reward, nodes)
    told = ray.get([grader.grade.remote([HONEST, WRONG] * 4) for grader in graders], timeout=240)
    assert [rewards for rewards, _ in told] == [[1.0, 0.0] * 4] * 4
    assert len({address for _, address in told}) == 1
    assert len(set(ray.get([grader.node.remote() for grader in graders]))) == 2

    given = [samples(8, at) for at in range(4)]
    asked = [grader.grade.remote(texts) for grader, (texts, _) in zip(graders, given, strict=True)]
    time.sleep(1.0)
    made.remove_node(nodes[-1], allow_graceful=False)
    told = ray.get(asked, timeout=300)
    assert [rewards for rewards, _ in told] == [wanted for _, wanted in given]
    assert len(set(ray.get([grader.node.remote() for grader in graders]))) == 1


def test_each_machine_has_a_service_and_a_killed_one_loses_no_sample(cluster: Any) -> None:
    _, nodes = cluster
    folders = [Path(tempfile.mkdtemp(prefix=f"node{at}-")) for at in range(2)]
    graders = actors(Reward([{**SUM, "statement": "ray, apart"}]), nodes, folders)
    told = ray.get([grader.grade.remote([HONEST, WRONG]) for grader in graders], timeout=240)
    assert [rewards for rewards, _ in told] == [[1.0, 0.0]] * 4
    addresses = [address for _, address in told]
    assert addresses[0] == addresses[2] != addresses[1] == addresses[3]
    before = [services(folder) for folder in folders]
    assert [len(each) for each in before] == [1, 1]

    given = [samples(8, at) for at in range(4)]
    asked = [grader.grade.remote(texts) for grader, (texts, _) in zip(graders, given, strict=True)]
    time.sleep(1.0)
    os.kill(before[0][0], signal.SIGKILL)
    told = ray.get(asked, timeout=300)
    assert [rewards for rewards, _ in told] == [wanted for _, wanted in given]
    after = [services(folder) for folder in folders]
    assert after[0] != before[0] and after[1] == before[1]
