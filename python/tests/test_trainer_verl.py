"""verl's own loader and reward managers, in one event loop and without a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, WRONG
from foreign import needs

needs("verl", "0.9.1")

import numpy  # noqa: E402
import torch  # noqa: E402
from models import tokenizer  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager  # noqa: E402
from verl.trainer.ppo.reward import get_custom_reward_fn  # noqa: E402

FILE = """
from loophole import Reward

reward = Reward({tasks!r}, fallback=0.5)
compute_score = reward.verl
compute_score_async = reward.verl_async
gone = Reward(url="http://127.0.0.1:9", timeout=0.5, fallback=0.5).verl_async
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, tasks_file: Path) -> Path:
    path = tmp_path_factory.mktemp("verl") / "rewards.py"
    path.write_text(FILE.format(tasks=str(tasks_file)))
    return path


def score(file: Path, name: str, texts: list[str], truth: Any = "sum") -> list[dict[str, Any]]:
    config = OmegaConf.create(
        {
            "reward": {
                "custom_reward_function": {"path": str(file), "name": name, "reward_kwargs": {}}
            }
        }
    )
    words = tokenizer()

    async def run() -> list[dict[str, Any]]:
        manager = NaiveRewardManager(config, words, get_custom_reward_fn(config))
        assert manager.is_async_reward_score == (name != "compute_score")
        return list(
            await asyncio.gather(*(manager.run_single(row(words, t, truth)) for t in texts))
        )

    return asyncio.run(run())


def row(words: Any, text: str, truth: Any) -> Any:
    ids = torch.tensor([words.encode(text)])
    prompt = torch.tensor([[1, 2]])
    return DataProto.from_dict(
        tensors={
            "prompts": prompt,
            "responses": ids,
            "attention_mask": torch.ones(1, ids.shape[1] + 2, dtype=torch.long),
        },
        non_tensors={
            "data_source": numpy.array(["code"], dtype=object),
            "reward_model": numpy.array([{"style": "rule", "ground_truth": truth}], dtype=object),
            "extra_info": numpy.array([{"index": 4}], dtype=object),
        },
    )


@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
def test_scores(file: Path, name: str) -> None:
    told = score(file, name, [HONEST, f"Here:\n```python\n{WRONG}\n```", *FORGED.values()])
    assert [each["reward_score"] for each in told] == [1.0, 0.0, 0.0, 0.0, 0.0]
    verdicts = [each["reward_extra_info"]["verdict"] for each in told]
    assert verdicts == ["honest", "fail", "attempted", "attempted", "attempted"]
    # What verl makes of them: an array for each key, of one kind.
    for key in told[0]["reward_extra_info"]:
        column = numpy.array([each["reward_extra_info"][key] for each in told])
        assert column.dtype.kind in "fU", key


def test_many_at_a_time_and_hanging(file: Path) -> None:
    texts = [f"{HANGS}\n# verl {at}" for at in range(4)] + [HONEST] * 12
    told = score(file, "compute_score_async", texts)
    assert [each["reward_score"] for each in told] == [0.0] * 4 + [1.0] * 12


def test_a_gone_service_is_the_fallback_and_told(file: Path) -> None:
    told = score(file, "gone", [HONEST])[0]
    assert told["reward_score"] == 0.5 and told["reward_extra_info"]["invalid"] == 1.0


def test_a_ground_truth_with_tests(file: Path) -> None:
    truth = '{"inputs": ["1\\n", "2\\n"], "outputs": ["2\\n", "3\\n"]}'
    texts = ["```python\nprint(int(input()) + 1)\n```", "```python\nprint(2)\n```"]
    told = score(file, "compute_score_async", texts, truth)
    assert [each["reward_score"] for each in told] == [1.0, 0.0]
