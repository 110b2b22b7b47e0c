"""SkyRL-gym's own registry and base class."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, TASKS, WRONG
from foreign import needs

needs("skyrl-gym", "0.4.0")

import skyrl_gym  # noqa: E402
from skyrl_gym.envs.base_text_env import BaseTextEnv  # noqa: E402

from loophole import InvalidReward, Reward  # noqa: E402

#: As a user's module has it: an entry point is a name.
Environment = Reward(TASKS).skyrl()
Open = Reward(TASKS, open=["all"]).skyrl()
Gone = Reward(url="http://127.0.0.1:9", timeout=0.5).skyrl()

skyrl_gym.register(id="loophole", entry_point="test_trainer_skyrl:Environment")
skyrl_gym.register(id="loophole-open", entry_point="test_trainer_skyrl:Open")


def step(name: str, action: str, **extras: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    given = extras or {
        "reward_spec": {"ground_truth": "sum"},
        "extra_info": {"index": 1},
        "max_turns": 1,
    }
    made = skyrl_gym.make(name, env_config={}, extras=given)
    prompt = [{"role": "user", "content": "add"}]
    assert made.init(prompt) == (prompt, {})
    told = dict(made.step(action))
    metrics = dict(made.get_metrics())
    made.close()
    return told, metrics


def test_one_turn() -> None:
    assert issubclass(Environment, BaseTextEnv)
    told, metrics = step("loophole", f"```python\n{HONEST}\n```")
    assert (told["reward"], told["done"], told["observations"]) == (1.0, True, [])
    assert told["metadata"]["verdict"] == "honest" and metrics["oracle"] == 1.0
    assert step("loophole", WRONG)[0]["reward"] == 0.0
    assert step("loophole", HANGS)[0]["reward"] == 0.0


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_forged_results(text: str) -> None:
    assert step("loophole", text)[0]["reward"] == 0.0
    told, metrics = step("loophole-open", text)
    assert told["reward"] == 1.0 and metrics["hack"] == 1.0
    assert BaseTextEnv.aggregate_metrics([metrics, metrics])["hack"] == 1.0


def test_the_name_in_extra_info() -> None:
    told, _ = step(
        "loophole", HONEST, reward_spec={"ground_truth": None}, extra_info={"task_id": "sum"}
    )
    assert told["reward"] == 1.0


def test_invalid_is_an_error() -> None:
    with pytest.raises(InvalidReward):
        Gone(extras={"reward_spec": {"ground_truth": "sum"}}).step(HONEST)
