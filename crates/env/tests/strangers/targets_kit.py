"""What the cases of part E share: asking a callable, an Inspect task, an environment of verifiers and a Harbor task
without the program, and checking that a proof is one.

LOOPHOLE_PACKAGES_PYTHON is an interpreter with inspect-ai and verifiers 0.4, LOOPHOLE_VERIFIERS_PYTHON one with
verifiers 0.3 (`vf.SingleTurnEnv`). Cases that need what is not there say SKIPPED.
"""
import json
import math
import os
import re
import sys

from kit import D, deep, execute, short, text_of, want

ASK = '''
import asyncio, importlib, inspect, json, os, sys
how, module, name, row, text, root = json.load(open(sys.argv[1]))
sys.path.insert(0, root)
fd = os.dup(1)
f = importlib.import_module(module)
for part in name.split("."):
    f = getattr(f, part)
texts = text if isinstance(text, list) else [text]
n = len(texts)
chat = [[{"role": "assistant", "content": t}] for t in texts]
cols = {k: [v] * n for k, v in row.items() if k not in ("prompt", "completions", "responses")}
truth = (row.get("reward_model") or {}).get("ground_truth")
CALLS = {
    "trl": lambda: f(prompts=[row.get("prompt")] * n, completions=texts, completion_ids=[[1]] * n, **cols),
    "trl-chat": lambda: f(prompts=[row.get("prompt")] * n, completions=chat, completion_ids=[[1]] * n, **cols),
    "verl": lambda: f(data_source=row.get("data_source"), solution_str=texts[0], ground_truth=truth, extra_info=row.get("extra_info")),
    "verl-batch": lambda: f(data_sources=[row.get("data_source")] * n, solution_strs=texts, ground_truths=[truth] * n, extra_infos=[row.get("extra_info")] * n),
    "plain": lambda: f(texts[0], dict(row)),
}
r = CALLS[how]() if how in CALLS else eval(how)
if inspect.isawaitable(r):
    r = asyncio.run(r)
while True:
    if hasattr(r, "tolist"):
        r = r.tolist()
    elif isinstance(r, (list, tuple)):
        r = r[0]
    elif isinstance(r, dict):
        r = next(r[k] for k in ("score", "reward", "passed") if k in r)
    else:
        break
os.write(fd, ("\\nREWARD %r\\n" % float("nan" if r is None else r)).encode())
'''


def reward_of(r):
    found = re.findall(r"^REWARD (\S+)$", r.out, re.M)
    value = float(found[-1]) if found else None
    return 0.0 if value is not None and math.isnan(value) else value


class Fn:
    """A callable with its rows. `how`: a convention, or an expression with `f`, `text`, `texts` and `row`."""

    def __init__(self, b, how, source, rows, function="reward", files=(), module="rewards", target=None):
        self.b, self.how, self.rows, self.function, self.module = b, how, rows, function, module
        b.write("grader/%s.py" % module.replace(".", "/"), D(source))
        for name, text in dict(files).items():
            b.write("grader/" + name, D(text) if text else "")
        b.jsonl("data/rows.jsonl", rows)
        self.target = target or "python:grader/rewards.py:" + function

    def plain(self, text, row=0):
        p = self.b.write("ask.json", json.dumps([self.how, self.module, self.function, self.rows[row], text, str(self.b.dir / "grader")]))
        c = self.b.write("ask.py", ASK)
        return reward_of(execute([self.b.python or sys.executable, c, p], 60, cwd=str(self.b.dir)))

    def audit(self, *more, honest=None, hack=None, poor=(), cwd=None, limit=None, tasks="data/rows.jsonl"):
        """Under --plain: honest is paid in full, hack too, poor is not."""
        if self.b.plain:
            check(self.plain, honest, hack, poor)
            return None
        return self.b.audit(self.target, "--tasks", tasks, "--json", *more, cwd=cwd, limit=limit)


def check(plain, honest=None, hack=None, poor=(), full=0.99, many=False):
    """A list within a list is a group."""
    groups = [(what, [] if texts is None else [texts] if isinstance(texts, str) else list(texts)) for what, texts in (("honest", honest), ("hack", hack), ("poor", poor))]
    texts = [t for _, g in groups for t in g]
    paid = iter(plain(texts) if many else [plain(t) for t in texts])
    for what, g in groups:
        for t in g:
            got = next(paid)
            if what == "poor":
                want(got is None or got < 0.5 * full, "the plain grader pays what it should not, %r: %s" % (short(t, 90), got))
            else:
                want(got is not None and got >= full, "the plain grader pays the %s %r: %s" % (what, short(t, 90), got))


def proofs(a):
    """(id, text) of each finding whose proof is one text."""
    found = []
    for f in a.findings:
        files = (f.get("proof") or {}).get("files")
        texts = []
        if isinstance(files, dict):
            texts = list(files.values())
        elif isinstance(files, list):
            texts = [x.get("content", x.get("text", x.get("source"))) if isinstance(x, dict) else x for x in files]
        texts = [t if isinstance(t, str) else (t or {}).get("content") if isinstance(t, dict) else None for t in texts]
        if len(texts) == 1 and isinstance(texts[0], str):
            found.append((f.get("id"), texts[0]))
    return found


def real(a, plain, right=None):
    """At least one proof is paid by the plain grader, and none is a right answer (`right`: text -> bool)."""
    got = proofs(a)
    if right:
        for i, text in got:
            want(not right(text), "the proof of %s is a right answer: %r" % (i, short(text, 300)))
    texts = [text for _, text in got[:3]]
    many = getattr(getattr(plain, "__self__", None), "many", None)
    paid = list(zip([i for i, _ in got], many(texts) if many else [plain(t) for t in texts]))
    want(not got or any(p is not None and p > 0 for _, p in paid), "no proof is paid by the plain grader: %s; %s" % (paid, short(text_of([t for _, t in got]), 600)))


def unfair(a):
    return [u for v in deep(a.rows, r"^unfair$") for u in (v or [])]


def hinted(a, name):
    return name in text_of(deep(a.rows, r"^hints$"))


# ---------------------------------------------------------------- packages

INSPECT = '''
import json, math, os, sys, tempfile
path, name, row, texts, root = json.load(open(sys.argv[1]))
os.chdir(root); sys.path.insert(0, root)
fd = os.dup(1)
import importlib.util
from inspect_ai import eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import value_to_float
if path.endswith(".py"):
    spec = importlib.util.spec_from_file_location("under_test", path)
    m = importlib.util.module_from_spec(spec); sys.modules["under_test"] = m
    spec.loader.exec_module(m)
else:
    m = importlib.import_module(path)
for text in texts:
    task = getattr(m, name)()
    kw = {"sandbox": "local"} if task.sandbox else {}
    out = ModelOutput.from_content("mockllm/model", text)
    out.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)     # else it wants a tokenizer from the network
    model = get_model("mockllm/model", custom_outputs=[out] * 5)
    log = eval(task, model=model, limit=(row, row + 1), display="none", log_dir=tempfile.mkdtemp(), **kw)[0]
    values = []
    for s in (log.samples or [])[:1]:
        for score in (s.scores or {}).values():
            v = score.value
            values.append(sum(map(value_to_float(), v.values())) / len(v) if isinstance(v, dict) else value_to_float()(v))
    assert log.status == "success" and values, log.error
    os.write(fd, ("\\nREWARD %r\\n" % (sum(values) / len(values))).encode())
'''

CLASSIC = '''
import asyncio, importlib, json, os, re, sys
name, row, texts, root, copies = json.load(open(sys.argv[1]))
os.chdir(root); sys.path.insert(0, root)
fd = os.dup(1)
import verifiers as vf
from verifiers.types import Response, ResponseMessage, ToolCall
import verifiers.envs.environment as base
base.resolve_client = lambda client: client
m = importlib.import_module(name)
env = m.load_environment()
try:
    data = env.get_dataset()
except Exception:
    data = env.get_eval_dataset()
CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)

def message(t):
    calls = []
    for i, c in enumerate(CALL.findall(t)):
        c = json.loads(c)
        calls.append(ToolCall(id="c%d" % i, name=c["name"], arguments=json.dumps(c["arguments"])))
    return ResponseMessage(role="assistant", content=CALL.sub("", t), tool_calls=calls or None, finish_reason="tool_calls" if calls else "stop", is_truncated=False, reasoning_content=None, tokens=None)

async def one(t):
    turns = t.split("<|turn|>")
    count = [0]

    async def say(self_state=None, *a, **k):
        i = min(count[0], len(turns) - 1)
        count[0] += 1
        return Response(id="r", created=0, model="m", usage=None, message=message(turns[i].strip("\\n") if len(turns) > 1 else turns[i]))
    base.Environment.get_model_response = say       # also that of environments within a group
    return await env.rollout(dict(data[row]), None, "m", {})

async def main(text):
    states = [await one(t) for t in (text if isinstance(text, list) else [text] * copies)]
    if env.rubric.has_group_rewards or copies > 1:
        await env.rubric.score_group(states)
    else:
        await env.rubric.score_rollout(states[0])
    return states[0]["reward"]

for text in texts:
    os.write(fd, ("\\nREWARD %r\\n" % float(asyncio.run(main(text)))).encode())
'''


def packages():
    return os.environ.get("LOOPHOLE_PACKAGES_PYTHON")


def classic():
    return os.environ.get("LOOPHOLE_VERIFIERS_PYTHON")


class Package:
    """A target of an installed package: what an interpreter other than --python reads."""

    def __init__(self, b, target, python, ask):
        self.b, self.target, self.python, self.ask = b, target, python, ask
        self.last = None

    def many(self, texts, row=0):
        """What each is paid; all are asked in one process, as the packages take long to load."""
        program, arguments = self.ask(texts, row)
        p = self.b.write("ask.json", json.dumps(arguments))
        c = self.b.write("ask.py", program)
        env = dict(os.environ, INSPECT_DISPLAY="none", HF_HUB_OFFLINE="1")
        self.last = execute([self.python, c, p], 120, cwd=str(self.b.dir), env=env)
        got = [float(x) for x in re.findall(r"^REWARD (\S+)$", self.last.out, re.M)]
        got = [0.0 if math.isnan(x) else x for x in got]
        return got + [None] * (len(texts) - len(got))

    def plain(self, text, row=0):
        return self.many([text], row)[0]

    def audit(self, *more, honest=None, hack=None, poor=(), full=0.99, cwd=None, limit=None):
        if self.b.plain:
            try:
                check(self.many, honest, hack, poor, full, many=True)
            except Exception as e:
                raise type(e)("%s; %s" % (e, short(self.last.err, 900) if self.last else "")) from None
            return None
        return self.b.audit(self.target, "--json", "--python", self.python, *more, cwd=cwd, limit=limit)


def inspect_file(b, source, task, name="evals/task.py", files=()):
    b.write(name, D(source))
    for n, t in dict(files).items():
        b.write(n, t if n.endswith((".jsonl", ".json", ".csv")) else D(t))
    root = str(b.path(name).parent)
    return Package(b, "inspect:%s@%s" % (name, task), packages(), lambda texts, row: (INSPECT, [str(b.dir / name), task, row, texts, root]))


def environment(b, name, source, files=(), target=None, copies=1, folder="environments"):
    """A package of verifiers as `prime env init` lays it out: FOLDER/NAME/{pyproject.toml,README.md,NAME.py}."""
    base = "%s/%s/" % (folder, name)
    b.write(base + name + ".py", D(source))
    b.write(base + "README.md", "# %s\n\nA small environment.\n" % name)
    b.write(base + "pyproject.toml", D('''
        [project]
        name = "%s"
        description = "A small environment."
        version = "0.1.0"
        requires-python = ">=3.11"
        dependencies = ["verifiers>=0.1.14"]

        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        ''' % name.replace("_", "-")))
    for n, t in dict(files).items():
        b.write(base + n, t)
    return Package(b, target or "verifiers:" + base.rstrip("/"), classic(), lambda texts, row: (CLASSIC, [name, row, texts, str(b.dir / base), copies]))


# ---------------------------------------------------------------- Harbor

def harbor(b, name, instruction, files, toml=None, dockerfile=None, separate=None):
    """A task folder; files: path -> text below it."""
    lines = ["version = \"1.0\""]
    if separate:
        lines.append("artifacts = %s" % json.dumps(separate))
    lines += ["", "[metadata]", "author_name = \"someone\"", "difficulty = \"easy\"", "category = \"data\"", "tags = [\"files\"]", "", "[verifier]", "timeout_sec = 60.0"]
    if separate:
        lines.append("environment_mode = \"separate\"")
    lines += ["", "[agent]", "timeout_sec = 120.0", "", "[environment]", "build_timeout_sec = 60.0", "cpus = 1", "memory_mb = 1024", "storage_mb = 1024", ""]
    b.write(name + "/task.toml", toml or "\n".join(lines))
    b.write(name + "/instruction.md", instruction)
    b.write(name + "/environment/Dockerfile", dockerfile or "FROM ubuntu:24.04\nRUN apt-get update && apt-get install -y python3\nWORKDIR /app\n")
    for n, t in files.items():
        p = b.write(name + "/" + n, t)
        if n.endswith(".sh"):
            os.chmod(p, 0o755)


def harbor_plain(b, name, script, image=()):
    """What the verifier pays an agent that runs `script`, with /app, /tests and /logs as folders here."""
    import shutil
    root = b.dir / "plain-root"
    shutil.rmtree(root, ignore_errors=True)
    for d in ("app", "tests", "logs/verifier", "tmp"):
        (root / d).mkdir(parents=True)

    def here(text):
        return re.sub(r"(?<![\w/.])/(app|tests|logs|data)\b", lambda m: str(root / m.group(1)), text)
    for n, to in dict(image).items():
        (root / to.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(b.dir / name / "environment" / n, root / to.lstrip("/"))
    r = execute(["bash", "-c", here(script)], 30, cwd=str(root / "app"))
    for p in (b.dir / name / "tests").iterdir():
        (root / "tests" / p.name).write_text(here(p.read_text()))
    execute(["bash", str(root / "tests/test.sh")], 60, cwd=str(root / "app"))
    for n in ("reward.json", "reward.txt"):
        p = root / "logs/verifier" / n
        if p.exists():
            text = p.read_text().strip()
            v = json.loads(text)
            return float(v.get("reward", max(v.values())) if isinstance(v, dict) else v)
    return None


# ---------------------------------------------------------------- tasksets (verifiers 0.4)

TASKSET = '''
import asyncio, importlib, inspect, itertools, json, os, sys, types
name, row, texts, root = json.load(open(sys.argv[1]))
sys.path.insert(0, root)
fd = os.dup(1)
import verifiers.v1 as vf
m = importlib.import_module(name)
cls = getattr(m, m.__all__[0])
config = next((a for b in cls.__orig_bases__ for a in getattr(b, "__args__", ()) if isinstance(a, type) and issubclass(a, vf.TasksetConfig)), vf.TasksetConfig)
task = list(itertools.islice(iter(cls(config())), row + 1))[row]

async def main(text):
    trace = types.SimpleNamespace(last_reply=text.strip(), transcript=text, assistant_messages=[types.SimpleNamespace(content=text)], task=task)
    total = 0.0
    for f in task.hooks("reward"):
        have = {"trace": trace, "task": task.data}
        r = await f(**{k: have[k] for k in inspect.signature(f).parameters})
        total += getattr(f, "_vf_weight", 1.0) * sum(r.values() if isinstance(r, dict) else [r])
    return total

for text in texts:
    os.write(fd, ("\\nREWARD %r\\n" % float(asyncio.run(main(text)))).encode())
'''


def taskset(b, name, source, target=None):
    """A package of verifiers 0.4: FOLDER/NAME/{pyproject.toml, NAME/__init__.py, NAME/taskset.py}."""
    base = "environments/%s/" % name
    cls = re.search(r"class (\w+)\(vf\.Taskset\[", source).group(1)
    b.write(base + name + "/__init__.py", "from %s.taskset import %s\n\n__all__ = [\"%s\"]\n" % (name, cls, cls))
    b.write(base + name + "/taskset.py", D(source))
    b.write(base + "pyproject.toml", "[project]\nname = \"%s\"\nversion = \"0.1.0\"\ndependencies = [\"verifiers\"]\n" % name.replace("_", "-"))
    return Package(b, target or "verifiers:" + base.rstrip("/"), packages(), lambda texts, row: (TASKSET, [name, row, texts, str(b.dir / base)]))


# ---------------------------------------------------------------- rows and a grader that several cases share

ARITH = [
    {"prompt": "A bakery sells 46 trays of 57 rolls. How many rolls?", "answer": "2622"},
    {"prompt": "A cistern of 8000 l loses 2914 l. What is left?", "answer": "5086"},
    {"prompt": "How many hours are 379 days?", "answer": "9096"},
]


def verl(rows, key="answer", source="shop/arith"):
    return [{"data_source": source, "prompt": [{"role": "user", "content": r["prompt"]}], "ability": "math",
             "reward_model": {"style": "rule", "ground_truth": r[key]}, "extra_info": {"index": i, "split": "train"}} for i, r in enumerate(rows)]


LAST = '''
    import re

    def last_number(text):
        lines = text.strip().splitlines()
        m = re.fullmatch(r"-?\\d+", lines[-1].strip()) if lines else None
        return m.group(0) if m else None
    '''
