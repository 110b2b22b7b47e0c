"""A package without what its `__init__` imports, which is often a whole trainer: for the modules in it that need none of that."""

import importlib.machinery
import sys
from types import ModuleType


def bare(name):
    above, _, last = name.rpartition(".")
    paths = sys.modules[above].__path__ if above else None
    found = importlib.machinery.PathFinder.find_spec(name, paths)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = sys.modules[name] = ModuleType(name)
    package.__path__ = list(found.submodule_search_locations)
    if above:
        setattr(sys.modules[above], last, package)
    return package
