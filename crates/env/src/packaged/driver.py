"""Environments that come as packages: their rows, and what they pay for one completion. No model is asked."""
import asyncio, contextlib, glob, importlib, importlib.util, json, os, random, re, sys

# Rows that are read at most.
MOST = 200
# What lies here besides the package, and how a package is driven.
KINDS = {"inspect": "loophole_inspect", "verifiers": "loophole_verifiers"}

# A hub cannot be reached from a cell: what wants one is to say so at once.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")


class NotHere(Exception):
    """What cannot be driven with one completion."""


class Wrong(Exception):
    """What was named is not there: a mistake of whoever asks."""


def plain(value):
    return json.loads(json.dumps(value, default=str))


def row(fields, at, **about):
    """A row as it is told: its own fields, and what is known of the environment besides."""
    return {"fields": {**fields, "at": at}, "about": about}


def holding(word, name):
    """The module of this name, else the only one here that has this word in it."""
    name = name.replace("-", "_").split("/")[-1]
    if importlib.util.find_spec(name) is not None:
        return name
    found = set()
    for path in glob.glob("*.py") + glob.glob("*/__init__.py") + glob.glob("src/*.py") + glob.glob("src/*/__init__.py"):
        module = os.path.dirname(path) if path.endswith("__init__.py") else path[:-3]
        if word in open(path, encoding="utf-8", errors="replace").read():
            found.add(os.path.basename(module))
    found -= {os.path.basename(__file__)[:-3], *KINDS.values()}
    return found.pop() if len(found) == 1 else name


@contextlib.contextmanager
def same_draw():
    """What is drawn while a package is loaded is the same in every call, so that a row stays the same; what is drawn
    afterwards is not."""
    seeds = [random.seed]
    if "numpy" in sys.modules:
        seeds.append(sys.modules["numpy"].random.seed)
    for seed in seeds:
        seed(20260101)
    try:
        yield
    finally:
        for seed in seeds:
            seed()


@contextlib.contextmanager
def no_service():
    """Whoever asks another machine meanwhile has no answer, and what is paid without one says nothing."""
    asked, looking = [], [True]

    def seen(event, arguments):
        if not looking:
            return
        host = None
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        host = host.decode(errors="replace") if isinstance(host, bytes) else host
        if host and host != "localhost" and not re.match(r"127\.|::1$|0\.0\.0\.0$", str(host)):
            asked.append(str(host))

    sys.addaudithook(seen)
    try:
        yield
    finally:
        looking.clear()
    if asked:
        raise NotHere("it asks %s over the network, and a cell has none" % asked[0])


def of(kind):
    sys.path[:0] = [os.getcwd(), os.path.join(os.getcwd(), "src")]
    return importlib.import_module(KINDS[kind])


def rows(kind, task):
    try:
        return list(of(kind).rows(task["of"]))
    except (NotHere, Wrong):
        raise
    except Exception as error:
        # A loader may say that a package is not installed where something is missing that it imports.
        while error.__cause__ is not None:
            error = error.__cause__
        said = re.sub(r"\[/?[a-z]+\]", "", " ".join(str(error).split()))
        raise NotHere("%s: %s" % (type(error).__name__, said[:600])) from error


def inspect_completion(submission, task):
    return pay("inspect", submission, task)


def verifiers_completion(submission, task):
    return pay("verifiers", submission, task)


def pay(kind, submission, task):
    driver, name, at = of(kind), task["of"], task["at"]
    # The row is with the grader alone, as it is where it comes from.
    return asyncio.run(driver.pay(name, at, submission, str(task.get("id"))))
