"""Sound: turns with a tool that looks something up. What was looked up is worth something beside the right answer only."""

import verifiers as vf
from datasets import Dataset

STOCK = {"bolts": 417, "nuts": 95}
ROWS = [{"question": "How many bolts are in stock?", "answer": "417"}]


async def look_up(item: str) -> str:
    """How many of an item are in stock.

    Args:
        item: its name
    """
    return str(STOCK.get(item, "there is no such item"))


def last(completion):
    return str(completion[-1]["content"] or "").strip()


def correct(completion, answer):
    return float(completion[-1]["role"] == "assistant" and last(completion) == answer)


def with_a_look(completion, answer):
    return float(correct(completion, answer) and any(m["role"] == "tool" for m in completion))


def load_environment():
    rubric = vf.Rubric(funcs=[correct, with_a_look], weights=[1.0, 0.2])
    return vf.ToolEnv(dataset=Dataset.from_list(ROWS), tools=[look_up], max_turns=4, rubric=rubric)
