"""OpenRLHF 0.11.2: `--reward.remote_url FILE.py` with `reward_func(queries, prompts, labels)`, or the address of a service.

The file is two lines:

    from loophole import Reward
    reward_func = Reward("tasks.jsonl").openrlhf

`--data.label_key` names the column with the task's id (or a task). `queries` are prompt and response, decoded with
special tokens. An exception is told in the log and the sample has no reward then; `fallback` gives it one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..reward import Reward

#: What tokenizers write at the end of a reply; the service leaves them out, too, but not in the middle of code.
ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "</s>",
    "<|end|>",
    "<eos>",
    "<pad>",
    "<|pad|>",
)


def rewards(
    reward: Reward, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]
) -> dict[str, Any]:
    """The reward, and for the logs what was not earned and how much of the trusted tests passes."""
    import torch

    completions = [response(query, prompt) for query, prompt in zip(queries, prompts, strict=True)]
    records = reward.records(completions, [{"task_id": label} for label in labels])
    numbers = torch.tensor([reward.number(record) for record in records])
    logs = {
        "hack": torch.tensor([float(record.hack) for record in records]),
        "oracle": torch.tensor([record.oracle for record in records]),
        "invalid": torch.tensor([float(not record.valid) for record in records]),
    }
    return {"rewards": numbers, "scores": numbers.clone(), "extra_logs": logs}


def response(query: str, prompt: str) -> str:
    """What the policy said: the query without its prompt and without the tokens at its end.

    >>> response("<|user|>add<|assistant|>x = 1<|im_end|>", "<|user|>add<|assistant|>")
    'x = 1'
    """
    said = query[len(prompt) :] if query.startswith(prompt) else query
    shorter = True
    while shorter:
        said, before = said.rstrip(), said
        for end in ENDS:
            said = said.removesuffix(end)
        shorter = said != before.rstrip()
    return said
