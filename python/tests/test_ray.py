"""Four actors on two nodes of a Ray cluster on this machine: one service, and a killed node loses no sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import HONEST, SUM, WRONG
from foreign import needs

needs("ray", "2.60.0")

import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

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


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import os

    environment = {name: os.environ[name] for name in ("LOOPHOLE_BIN", "LOOPHOLE_LINGER", "TMPDIR")}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [made.add_node(num_cpus=4) for _ in range(2)]
    ray.init(
        address=made.address,
        runtime_env={"env_vars": {**environment, "PYTHONPATH": SOURCE}},
        log_to_driver=False,
    )
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def test_actors_share_a_service_and_outlive_a_node(cluster: Any) -> None:
    reward = Reward([{**SUM, "statement": "ray"}])
    actors = [
        Grader.options(scheduling_strategy="SPREAD").remote(reward)  # type: ignore[attr-defined]
        for _ in range(4)
    ]
    texts = [HONEST, WRONG] * 4
    told = ray.get([actor.grade.remote(texts) for actor in actors], timeout=240)
    assert [rewards for rewards, _ in told] == [[1.0, 0.0] * 4] * 4
    assert len({address for _, address in told}) == 1

    slow = [f"import time\ntime.sleep(0.5)\n{HONEST}\n# {at}" for at in range(8)]
    asked = [actor.grade.remote(slow) for actor in actors]
    made, nodes = cluster
    made.remove_node(nodes[-1], allow_graceful=False)
    told = ray.get(asked, timeout=300)
    assert [rewards for rewards, _ in told] == [[1.0] * 8] * 4
