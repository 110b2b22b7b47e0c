"""A judge behind an API gives most of the reward."""

import verifiers as vf
from datasets import Dataset
from openai import AsyncOpenAI

ROWS = [{"question": "What is 12 times 12?", "answer": "144"}]


async def good(judge, prompt, completion, answer, state):
    return float("yes" in await judge(prompt, completion, answer, state))


def load_environment():
    rubric = vf.JudgeRubric(judge_client=AsyncOpenAI(api_key="none", base_url="http://judge.invalid/v1"))
    rubric.add_reward_func(good, weight=1.0)
    return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=rubric)
