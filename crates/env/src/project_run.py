import os, random, runpy, sys

sys.dont_write_bytecode = True
# The warm interpreter would give every run the same numbers, and tests that draw are to be seen as such.
random.seed()
# As a cold interpreter would: what lies beside the solution comes before the library.
beside = {name.removesuffix(".py") for name in os.listdir(".")}
for name in list(sys.modules):
    if name.partition(".")[0] in beside and name != "__main__":
        del sys.modules[name]
if FRAMEWORK == "pytest":
    sys.argv[:] = ["pytest", "-q", "-p", "no:cacheprovider"]
    if "pytest" in beside:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
        raise SystemExit(0)
    import pytest

    raise SystemExit(pytest.main(sys.argv[1:]))
if any(name.endswith(".py") for name in os.listdir("tests") if name.startswith("test")) if os.path.isdir("tests") else False:
    sys.argv[:] = ["unittest", "discover", "-s", "tests", "-t", "."]
else:
    sys.argv[:] = ["unittest", "discover", "-p", "*test*.py"]
sys.path.insert(0, os.getcwd())
if "unittest" in beside:
    runpy.run_module("unittest", run_name="__main__", alter_sys=True)
    raise SystemExit(0)
import unittest

unittest.main(module=None)
