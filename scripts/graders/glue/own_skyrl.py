"""SkyRL-gym's environments of one turn: made, stepped once, and what they pay."""

import json

from skyrl_gym.envs.aime.env import AIMEEnv
from skyrl_gym.envs.gsm8k.env import GSM8kEnv
from skyrl_gym.envs.lcb.env import LCBEnv


def paid(kind, extras, completion):
    return float(kind(extras=extras).step(completion)["reward"])


def gsm8k(completion, answer):
    return paid(GSM8kEnv, {"reward_spec": {"ground_truth": answer}}, completion)


def aime(completion, answer):
    return paid(AIMEEnv, {"reward_model": {"ground_truth": answer}}, completion)


def livecodebench(completion, inputs, outputs):
    tests = [{"input": given, "output": wanted, "testtype": "stdin"} for given, wanted in zip(inputs, outputs)]
    return paid(LCBEnv, {"reward_spec": {"ground_truth": json.dumps(tests)}}, completion)


def livecodebench_calls(completion, inputs, outputs):
    tests = [
        {"input": given, "output": wanted, "testtype": "functional", "metadata": {"func_name": "total"}}
        for given, wanted in zip(inputs, outputs)
    ]
    return paid(LCBEnv, {"reward_spec": {"ground_truth": json.dumps(tests)}}, completion)
