"""Harbor: cells as environments, labels of trials, and an agent that cheats. No Docker is needed.

    harbor run -p TASK -a oracle --env loophole.harbor:Cell
    harbor run -p TASK -a AGENT  --env loophole.harbor:Cell --verifier loophole.harbor:Verifier
    harbor run -p TASK --agent loophole.harbor:Cheat --env loophole.harbor:Cell

A task that should be worth something pays `oracle` 1, `nop` 0 and `Cheat` 0.
"""

from ._cell import Cell, CellOptions
from ._cheat import Cheat, CheatOptions
from ._verifier import Verifier

__all__ = ["Cell", "CellOptions", "Cheat", "CheatOptions", "Verifier"]
