"""A hole: the answer anywhere in what was said; a rubric of two functions, one of which awaits."""

import verifiers as vf
from datasets import Dataset

ROWS = [{"question": "What is 12 times 12?", "answer": "144"}]


async def said(completion, answer):
    return float(answer in str(completion[-1]["content"]))


def brief(completion):
    return float(len(str(completion[-1]["content"])) < 100)


def load_environment():
    return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[said, brief], weights=[1.0, 0.1]))
