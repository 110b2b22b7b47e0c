"""Verifiers of djinn are asked with a problem object and answer with a status; each is given one of our own."""

import importlib, importlib.machinery, pkgutil, sys
from types import ModuleType, SimpleNamespace

# The package itself imports what its generator needs; its verifiers do not.
package = sys.modules["djinn"] = ModuleType("djinn")
package.__path__ = list(importlib.machinery.PathFinder.find_spec("djinn").submodule_search_locations)
core = sys.modules["djinn.core"] = ModuleType("djinn.core")
core.__path__ = [package.__path__[0] + "/core"]
import djinn.verifiers.insecure as verifiers

TESTS = [((1, 2), 3), ((-1, 5), 4), ((10, 20), 30)]

def of(name):
    module = importlib.import_module("djinn.verifiers.insecure." + name)
    def verifier(completion, tests):
        problem = SimpleNamespace(id="own", function_name="add", description="Return the sum.", order_sensitive=False,
                                  test_cases=TESTS, insecure_test_cases=TESTS, get_test_cases_safe=lambda: TESTS,
                                  ground_truth="def add(a, b):\n    return a + b\n", nulls=[], exploit="")
        return float(module.verify(problem, completion).status.value == "passed")
    return verifier

for found in pkgutil.iter_modules(verifiers.__path__):
    if found.name != "helpers":
        globals()[found.name] = of(found.name)
