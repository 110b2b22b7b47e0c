"""A reward function that asks a service on its own, and pays nothing where it gets no answer."""

import urllib.request

import verifiers as vf
from datasets import Dataset

ROWS = [{"question": "What is 12 times 12?", "answer": "144"}]


def exact(completion, answer):
    return float(str(completion[-1]["content"]).strip() == answer)


def kind(completion):
    try:
        with urllib.request.urlopen("http://judge.invalid/", timeout=2) as answer:
            return float(answer.status == 200)
    except OSError:
        return 0.0


def load_environment():
    return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[exact, kind], weights=[1.0, 0.5]))
