"""An environment of one turn with the rubric for mathematics that comes with verifiers."""

import verifiers as vf
from datasets import Dataset


def load_environment():
    rows = Dataset.from_list([{"question": "What is 12 times 12?", "answer": "144"}])
    return vf.SingleTurnEnv(dataset=rows, rubric=vf.MathRubric())
