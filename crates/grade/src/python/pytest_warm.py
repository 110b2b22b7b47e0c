# A session of no consequence: what the first one has to import, compile and look up, the next one finds.
import os, sys, tempfile
sys.dont_write_bytecode = True
import pytest


def _warm():
    path, output = sys.path[:], os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "test_warm.py")
        with open(file, "w") as out:
            out.write("f = abs\n")
            for i in range(3):
                out.write("\ndef test_%d():\n    args, expected = (0,), %d\n    assert f(*args) == expected\n" % (i, i))
        pytest.main(["-q", "-x", "-p", "no:cacheprovider", file])
    sys.stdout.flush()
    os.dup2(output, 1)
    os.close(output)
    sys.path[:] = path
    sys.modules.pop("test_warm", None)


_warm()
