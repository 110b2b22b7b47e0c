"""SkyRL-gym 0.4.0: an environment of one turn, whose reward is the grader's.

    skyrl_gym.register(id="loophole", entry_point="my_rewards:Environment")     # Environment = reward.skyrl()

The task's id is `extras["reward_spec"]["ground_truth"]`, or in `extras["extra_info"]`; a ground truth with tests is a
task by itself. `get_metrics` has `hack`, `oracle` and `invalid`. SkyRL leaves no sample out: `invalid` is an error
unless the reward has a `fallback`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import verl

if TYPE_CHECKING:
    from ..reward import Reward


def environment(reward: Reward) -> type:
    """A class of environments for this reward."""
    from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

    class Environment(BaseTextEnv):  # type: ignore[misc]
        """Grades the first action."""

        def __init__(self, env_config: Any = None, extras: dict[str, Any] | None = None):
            super().__init__()
            given = extras or {}
            spec = given.get("reward_spec") or {}
            self.row = verl.row(
                given.get("data_source"), spec.get("ground_truth"), given.get("extra_info")
            )
            self.metrics: dict[str, Any] = {}

        def step(self, action: str) -> Any:
            self.turns += 1
            record = reward.records([action], [self.row])[0]
            told = verl.score(reward, record)
            self.metrics = {name: told[name] for name in ("hack", "oracle", "invalid")}
            texts = {name: told[name] for name in ("verdict", "family", "mechanism")}
            return BaseTextEnvStepOutput(
                observations=[], reward=told["score"], done=True, metadata={**self.metrics, **texts}
            )

        def get_metrics(self) -> dict[str, Any]:
            return self.metrics

    return Environment
