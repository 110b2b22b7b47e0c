"""AReaL's reward functions, called as its `RLVRWorkflow` does but for the process pool."""

from bare import bare

bare("areal")
from areal.reward.clevr_count_70k import clevr_count_70k_reward_fn  # noqa: E402
from areal.reward.geometry3k import geometry3k_reward_fn  # noqa: E402
from areal.reward.gsm8k import gsm8k_reward_fn  # noqa: E402


def gsm8k(completion, answer):
    return gsm8k_reward_fn("", completion, [], [], answer=answer)


def geometry3k(completion, answer):
    return geometry3k_reward_fn("", completion, [], [], answer=answer)


def clevr(completion, answer):
    return clevr_count_70k_reward_fn("", completion, [], [], answer=answer)
