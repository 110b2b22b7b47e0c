"""Rewards that cannot hang or be forged, labels of reward hacking, and sandboxes, for trainers in Python.

    >>> from loophole import Client, Reward
    >>> reward = Reward("tasks.jsonl")                  # a reward function for TRL; reward.verl, reward.slime, ...
    >>> reward(completions=["def add(a, b): return a + b", "import os; os._exit(0)"], task_id=["sum", "sum"])
    [1.0, 0.0]
    >>> client = Client(tasks="tasks.jsonl")
    >>> client.grade([{"task_id": "sum", "completion": "import os; os._exit(0)"}])[0].verdict
    'hack'

Everything that comes from a model runs in cells of `loophole serve`, which is found or started on this machine.
"""

from .client import Cell, Client, ExecRecord, Record, Refused, ServiceError, Unavailable
from .reward import InvalidReward, Reward

__all__ = [
    "Cell",
    "Client",
    "ExecRecord",
    "InvalidReward",
    "Record",
    "Refused",
    "Reward",
    "ServiceError",
    "Unavailable",
]
