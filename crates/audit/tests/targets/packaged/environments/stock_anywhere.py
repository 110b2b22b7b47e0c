"""A hole: the answer anywhere in the conversation, in calls of tools and their results too."""

import verifiers as vf
from datasets import Dataset

STOCK = {"bolts": 417, "nuts": 95}
ROWS = [{"question": "How many bolts are in stock?", "answer": "417"}]


def look_up(item: str) -> str:
    """How many of an item are in stock.

    Args:
        item: its name
    """
    return str(STOCK.get(item, "there is no such item"))


def somewhere(completion, answer):
    return float(answer in " ".join(str(m) for m in completion))


def load_environment():
    return vf.ToolEnv(dataset=Dataset.from_list(ROWS), tools=[look_up], max_turns=4, rubric=vf.Rubric(funcs=[somewhere]))
