"""Inspect: cells as sandboxes, labels as a scorer, and the battery as tasks.

    inspect eval task.py --sandbox loophole             # programs of the model run in cells: no Docker, no root
    inspect eval loophole/covert --model openai/NAME    # the battery, played with Inspect's model

    from loophole.inspect import labels
    Task(dataset=..., solver=generate(), scorer=labels(tasks="tasks.jsonl"))

Inspect finds this module by its entry point, once this package is installed.
"""

from ._battery import (
    all,
    awareness,
    battery,
    covert,
    detector,
    faking,
    hacking,
    honesty,
    insider,
    malicious,
    shutdown,
    small,
)
from ._labels import labels
from ._provider import CellOptions, CellSandbox

__all__ = [
    "CellOptions",
    "CellSandbox",
    "all",
    "awareness",
    "battery",
    "covert",
    "detector",
    "faking",
    "hacking",
    "honesty",
    "insider",
    "labels",
    "malicious",
    "shutdown",
    "small",
]
