"""Tasks of Inspect: their solver and scorers on their own samples, the completion as what the model said."""
import ast, importlib, itertools, os, re, shlex, stat, sys, tempfile

from packaged_environment import MOST, NotHere, Wrong, no_service, plain, row, same_draw

# Sandboxes in whose place Inspect's local one can stand, within a cell.
CONTAINERS = {"docker", "podman"}
# Images that are no more than a plain system with Python.
PLAIN = re.compile(r"(docker\.io/)?(library/)?(python|debian|ubuntu|aisiuk/inspect-tool-support)(:[\w.-]+)?(@sha256:\w+)?$")
# What a compose file may say of a service without making it another system.
HARMLESS = {"image", "command", "init", "network_mode", "networks", "mem_limit", "cpus", "deploy", "stop_grace_period"}
BUILT = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "Dockerfile")
SOLUTIONS = ("canonical_solution", "reference_solution", "solution", "code")


def named_in(file):
    """The tasks that a file defines, by their decorator."""
    text = open(file, encoding="utf-8").read()
    return re.findall(r"^@task\b[^\n]*\n(?:@[^\n]*\n)*(?:async )?def (\w+)", text, re.M)


def task_of(name):
    from inspect_ai._eval.loader import load_tasks
    from inspect_ai._eval.task.util import split_spec
    from inspect_ai._util.registry import registry_find, registry_info, registry_unqualified_name

    package, _, wanted = name.partition("/")
    # A package that lies here and is not installed: what it registers has no package's name.
    if wanted and ".py" not in name and os.path.isfile(os.path.join(package, "__init__.py")):
        for module in (package, package + "._registry"):
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module or module == package:
                    raise
        tasks = registry_find(lambda info: info.type == "task")
        named = {t for t in map(registry_unqualified_name, tasks) if t == wanted}
        if named:
            kind = next(t for t in tasks if registry_unqualified_name(t) == wanted)
            return kind()
        here = sorted(set(map(registry_unqualified_name, tasks)))
        raise Wrong("%s has no task %s; it has %s" % (package, wanted, ", ".join(here) or "none"))
    try:
        found = load_tasks([name], {})
    except Exception as error:
        file = name.partition("@")[0]
        if "not found" not in str(error) or not os.path.isfile(file):
            raise
        here = named_in(file)
        raise Wrong("%s has no task %s; it has %s" % (file, name.partition("@")[2], ", ".join(here) or "none")) from None
    if not found:
        raise NotHere("there is no task %s here; its package has to be installed, or to lie in the current folder" % name)
    if len(found) != 1:
        raise Wrong("%s is %d tasks; name one (FILE.py@TASK, PACKAGE/TASK): %s" % (name, len(found), ", ".join(t.name for t in found)))
    return found[0]


def sandbox_of(task, sample):
    """The kind of its sandbox, if it has one; one that cannot be stood in for here is told."""
    spec = sample.sandbox or task.sandbox
    if spec is None:
        return None
    kind, config = getattr(spec, "type", spec), getattr(spec, "config", None)
    if kind == "local":
        return kind
    if kind not in CONTAINERS:
        raise NotHere("its samples live in a sandbox of the kind %s, and a cell stands for plain containers alone" % kind)
    if config is None:
        from inspect_ai._eval.task.util import task_run_dir

        here = [os.path.join(task_run_dir(task), name) for name in BUILT]
        config = next((path for path in here if os.path.isfile(path)), None)
    why = beyond_plain(config)
    if why:
        raise NotHere("its samples live in a sandbox of the kind %s that is more than a plain system (%s), and a cell builds none" % (kind, why))
    return kind


def beyond_plain(config):
    """What makes a container more than a plain system with Python; nothing where it is none."""
    if config is None:
        return None
    if isinstance(config, str) and os.path.basename(config).startswith("Dockerfile"):
        lines = [l.strip() for l in open(config, encoding="utf-8") if l.strip() and not l.strip().startswith("#")]
        for line in lines:
            word, _, rest = line.partition(" ")
            if word.upper() == "FROM" and PLAIN.match(rest.split(" ")[0]) or word.upper() in ("CMD", "ENTRYPOINT"):
                continue
            return "%s: %s" % (os.path.basename(config), line)
        return None
    if isinstance(config, str):
        import yaml

        services = (yaml.safe_load(open(config, encoding="utf-8")) or {}).get("services") or {}
    elif hasattr(config, "services"):
        services = plain(config.model_dump(exclude_none=True))["services"]
    else:
        return "its configuration is %s" % type(config).__name__
    if len(services) != 1:
        return "%d services" % len(services)
    (service,) = services.values()
    for key, value in service.items():
        if key == "image" and not PLAIN.match(str(value)) or key not in HARMLESS and not key.startswith("x-"):
            return "%s: %s" % (key, value if isinstance(value, str) else "...")
    return None


def is_program(text):
    """Whether a text can be run as it is: some statements that call something."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, TypeError, ValueError):
        return False
    return len(tree.body) > 1 and any(isinstance(node, ast.Call) for node in ast.walk(tree))


def looks_like_code(text):
    return isinstance(text, str) and re.search(r"^(def |class |async def )", text, re.M) is not None


def rows(name):
    with same_draw():
        task = task_of(name)
    if not task.scorer:
        raise NotHere("the task has no scorer")
    for at, sample in enumerate(itertools.islice(task.dataset, MOST)):
        kind = sandbox_of(task, sample)
        targets = [sample.target] if isinstance(sample.target, str) else list(sample.target)
        question = sample.input if isinstance(sample.input, str) else "\n\n".join(m.text for m in sample.input)
        said = plain(sample.metadata or {})
        # The target of a task that is code may be its tests; its solution is among what is known besides.
        code = next((said[k] for k in SOLUTIONS if looks_like_code(said.get(k)) or is_program(said.get(k))), None)
        reference = code if code and not any(map(looks_like_code, targets)) else targets if len(targets) > 1 else (targets or [""])[0]
        fields = {**said, "id": str(sample.id if sample.id is not None else at + 1), "prompt": question, "reference": reference}
        if isinstance(reference, str) and {"prompt", "entry_point", "test"} <= set(said) and not looks_like_code(reference):
            # What HumanEval calls a solution goes on from its prompt.
            fields["reference"] = "%s%s" % (said["prompt"], reference)
        # One scorer may give several values.
        about = {"several": True}
        if kind not in (None, "local"):
            about["says"] = "its %s sandbox played by Inspect's local one, in the same cell as the scorer" % kind
        yield row(fields, at, **about)


def python_on_the_path():
    """What a scorer runs as `python` is the interpreter that it runs in itself."""
    beside = os.path.dirname(sys.executable)
    if not os.path.exists(os.path.join(beside, "python")):
        beside = tempfile.mkdtemp()
        path = os.path.join(beside, "python")
        with open(path, "w") as script:
            script.write('#!/bin/sh\nexec %s "$@"\n' % shlex.quote(sys.executable))
        os.chmod(path, stat.S_IRWXU)
    os.environ["PATH"] = beside + os.pathsep + os.environ.get("PATH", "/usr/bin:/bin")


async def enter_sandbox(sample, metadata):
    from inspect_ai._eval.task.sandbox import read_sandboxenv_file, resolve_sample_files
    from inspect_ai.util._sandbox.context import init_sandbox_environments_sample
    from inspect_ai.util._sandbox.registry import registry_find_sandboxenv

    python_on_the_path()
    files = {path: await read_sandboxenv_file(said) for path, said in resolve_sample_files(sample.files or {}).items()}
    setup = await read_sandboxenv_file(sample.setup) if sample.setup else None
    if setup and not setup.lstrip().startswith(b"#!"):
        setup = b"#!/usr/bin/env bash\n\n" + setup
    await init_sandbox_environments_sample(registry_find_sandboxenv("local"), "task", None, files, setup, metadata)


def sample_of(task, at, told):
    """The sample of a row: a data set that is shuffled has it at another place each time."""
    samples = list(itertools.islice(task.dataset, MOST))
    of_name = [sample for sample in samples if sample.id is not None and str(sample.id) == told]
    return of_name[0] if len(of_name) == 1 else samples[at]


async def pay(name, at, completion, told):
    from inspect_ai._eval.context import init_task_context
    from inspect_ai._util.registry import registry_unqualified_name
    from inspect_ai.log._transcript import Transcript, init_transcript
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, get_model
    from inspect_ai.model._model import Model
    from inspect_ai.scorer import Target, value_to_float
    from inspect_ai.scorer._score import init_scoring_context
    from inspect_ai.solver import TaskState, chain
    from inspect_ai.solver._task_state import set_sample_state
    from inspect_ai.util._store import init_subtask_store

    with same_draw():
        task = task_of(name)
    sample = sample_of(task, at, told)
    model = get_model("mockllm/model")

    async def asked(self, *a, **k):
        raise NotHere("a model is asked (by a solver, or by a scorer for the grade), and none is here")

    Model.generate = asked
    init_task_context(model)
    said = sample.input
    messages = [ChatMessageUser(content=said)] if isinstance(said, str) else list(said)
    target = Target(sample.target)
    state = TaskState(
        model=model.name, sample_id=sample.id or at + 1, epoch=1, input=said, messages=messages, target=target,
        choices=sample.choices, metadata=dict(sample.metadata or {}),
    )
    set_sample_state(state)
    init_transcript(Transcript())
    init_subtask_store(state.store)
    init_scoring_context(task.scorer, target)
    if sandbox_of(task, sample):
        await enter_sandbox(sample, state.metadata)

    async def generate(state, *a, **k):
        state.output = ModelOutput.from_content("mockllm/model", completion)
        state.messages.append(ChatMessageAssistant(content=completion, source="generate"))
        return state

    solver = task.solver if callable(task.solver) else chain(task.solver)
    if task.setup:
        solver = chain(task.setup, solver)
    marks, names = [], set()
    with no_service():
        state = await solver(state, generate)
        for number, scorer in enumerate(task.scorer):
            score = await scorer(state, target)
            value = score.value if score is not None else 0
            named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else [("", value)]
            called = registry_unqualified_name(scorer) or "scorer"
            called = called if called not in names else "%s %d" % (called, number + 1)
            names.add(called)
            marks.extend((("%s %s" % (called, key)).strip(), value_to_float()(v)) for key, v in named)
    return {"reward": sum(mark for _, mark in marks) / len(marks), "parts": {key: mark / len(marks) for key, mark in marks}}
