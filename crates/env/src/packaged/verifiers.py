"""Environments of verifiers: what load_environment returns (before 0.4), or a task set (0.4)."""
import importlib.metadata, importlib.util

from packaged_environment import NotHere, holding

WORD = "def load_environment("


def form(name):
    name = holding(WORD, name)
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin and not any(w in open(spec.origin, encoding="utf-8").read() for w in (WORD, "Taskset")):
        raise NotHere("%s has neither load_environment nor a Taskset" % name)
    if spec is None or not spec.origin or WORD not in open(spec.origin, encoding="utf-8").read():
        import loophole_tasksets as form
    elif importlib.util.find_spec("verifiers.clients") is None:
        have = importlib.metadata.version("verifiers")
        raise NotHere("it has load_environment, which the verifiers that is installed here (%s) does not know; 0.1.14 to 0.3.1 do" % have)
    else:
        import loophole_environments as form
    return form, name


def rows(name):
    form_of, name = form(name)
    return form_of.rows(name)


async def pay(name, at, completion, _told):
    form_of, name = form(name)
    return await form_of.pay(name, at, completion)
