"""A reward function that fails on what is right: verifiers counts it as 0 and goes on."""

import verifiers as vf
from datasets import Dataset

ROWS = [{"question": "What is 12 times 12?", "answer": "144"}]


def exact(completion, answer):
    return float(str(completion[-1]["content"]).strip() == answer)


def style(completion):
    return float(completion[-1]["nothing"])


def load_environment():
    return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[exact, style], weights=[1.0, 0.5]))
