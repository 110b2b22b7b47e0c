import asyncio, functools, importlib, importlib.util, inspect, json, math, os, random, sys, time, traceback

_out = os.dup(1)
os.dup2(2, 1)
_request = json.loads(sys.stdin.read())
# The warm interpreter would give every call the same numbers, and a grader that draws is to be seen as one.
random.seed()
for _name, _seed in (("numpy.random", "seed"), ("torch", "seed")):
    if _name in sys.modules:
        getattr(sys.modules[_name], _seed)()
sys.path.insert(0, os.getcwd())
sys.executable = _request["python"] or sys.executable

# What parameters of reward functions are called: the submission, the right answer, the question, the whole row.
SUBMISSION = ("submission", "completion", "solution_str", "response", "response_str", "output", "model_output", "generation",
              "prediction", "pred", "answer_text", "solution_text", "predicted", "candidate", "text", "code", "solution",
              "generated_code", "program", "completion_text", "llm_output", "reply")
TRUTH = ("ground_truth", "gold", "reference", "expected", "target", "gt", "truth", "label", "gold_answer", "expected_answer",
         "correct_answer", "answer", "labels", "reference_answer", "golden_answers", "test_cases")
QUESTION = ("prompt", "question", "query", "instruction", "problem_text")
# The same for functions that take all completions of one prompt at once.
SUBMISSIONS = ("completions", "responses", "solution_strs", "generations", "outputs", "submissions", "candidates", "rollouts",
               "samples", "predictions", "preds", "model_outputs", "texts", "solutions", "replies", "group")
ROW = ("task", "row", "doc", "example", "item", "sample", "problem", "data", "record", "entry")


def load():
    if not _request["file"]:
        return importlib.import_module(_request["module"])
    name = os.path.basename(_request["file"])[:-3]
    spec = importlib.util.spec_from_file_location(name, _request["file"])
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(_request["file"])))
    spec.loader.exec_module(module)
    return module


def parameters_of(function):
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def signature_of(function):
    """How a function takes its arguments: trl, verl, verl-batch, group, plain, names; nothing if it takes no submission."""
    if inspect.isclass(function):
        function = function.__call__
    parameters = [p for p in parameters_of(function) if p.name != "self"]
    names = [p.name for p in parameters]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    # TRL passes every column, so its functions take any; another with these names takes the group and one row.
    columns = any(p.kind == p.VAR_KEYWORD for p in parameters) or {"prompts", "completion_ids"} & set(names)
    if "completions" in names and columns:
        return "trl"
    if "solution_strs" in names and ("ground_truths" in names or columns):
        return "verl-batch"
    if {"data_source", "solution_str", "ground_truth"} <= set(names):
        return "verl"
    if names[:2] == ["submission", "task"] and len(needed) <= 2:
        return "plain"
    given = [n for n in names if n in SUBMISSION or n in SUBMISSIONS]
    if given:
        return "group" if given[0] in SUBMISSIONS else "names"
    return "plain" if len(needed) == 2 else None


def file_of(target):
    """Where it is written; of an object, its class."""
    target = getattr(target, "func", target) if isinstance(target, functools.partial) else target
    try:
        return inspect.getsourcefile(target if inspect.isroutine(target) or inspect.isclass(target) else type(target))
    except TypeError:
        return None


# Characters of sources that are read for their words.
MOST = 400_000


def used_by(function):
    """What a function's code names or holds: modules, functions, classes."""
    found = []
    while isinstance(function, functools.partial):
        found += [*function.args, *function.keywords.values()]
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        found += list(getattr(function, "__dict__", {}).values())
        function = type(function)
    function = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.isclass(function):
        kept = [getattr(v, "__func__", v) for kind in function.__mro__[:-1] for v in vars(kind).values()]
        return found + [v for v in kept if inspect.isfunction(v)]
    code, names = getattr(function, "__code__", None), set()
    codes = [code] if code else []
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [c for c in code.co_consts if inspect.iscode(c)]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            pass
    scope = getattr(function, "__globals__", {})
    for name in sorted(names):
        # A module may be imported where it is used; then it is known by its name alone.
        found += [thing for thing in (scope.get(name), sys.modules.get(name)) if thing is not None]
    for kept in [k for k in found if isinstance(k, (list, tuple, dict))]:
        found += list(kept.values() if isinstance(kept, dict) else kept)[:50]
    for module in [m for m in found if inspect.ismodule(m)]:
        found += [vars(module)[name] for name in sorted(names) if name in vars(module)]
    return found


def sources_reached(target, module):
    """Sources of the modules that a grader hands its work to: those it names or holds itself, and from there on those of
    the same packages. A switch for the debugger is as good there as in the grader's own file."""
    seen, packages, size = {module.__name__}, {module.__name__.split(".")[0]}, 0
    todo, known = [(target, 0)] if target is not module else [], set()
    while todo and size < MOST:
        thing, depth = todo.pop(0)
        for used in used_by(thing):
            home = used if inspect.ismodule(used) else sys.modules.get(getattr(used, "__module__", None) or "")
            package = home.__name__.split(".")[0] if home else ""
            file = getattr(home, "__file__", None) or ""
            if not file.endswith(".py") or package in sys.stdlib_module_names or (depth and package not in packages):
                continue
            if (inspect.isfunction(used) or inspect.isclass(used)) and id(used) not in known:
                known.add(id(used))
                todo.append((used, depth + 1))
            if home.__name__ not in seen:
                seen.add(home.__name__)
                packages.add(package)
                try:
                    text = inspect.getsource(home)
                except (OSError, TypeError):
                    continue
                # A large library is no grader.
                if len(text) < 100_000 and size + len(text) < MOST:
                    size += len(text)
                    yield text


def libraries(before):
    """What was loaded since, in that order, but for the grader's own files."""
    here = os.getcwd() + os.sep
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = str(getattr(spec, "origin", None) or here)
        if name not in before and getattr(spec, "name", None) == name and not origin.startswith(here):
            yield name


def loading(function):
    """What it returns, and what was loaded meanwhile."""
    before, started = set(sys.modules), time.perf_counter()
    value = function()
    return value, {"loading": time.perf_counter() - started, "libraries": list(libraries(before))}


def describe():
    module, loaded = loading(load)
    found = []
    for name, value in vars(module).items():
        callable_here = inspect.isfunction(value) or (inspect.isclass(value) and "__call__" in vars(value))
        if name.startswith("_") or not callable_here or getattr(value, "__module__", None) != module.__name__:
            continue
        found.append({"name": name, "signature": signature_of(value)})
    target, line = module, 0
    for part in filter(None, _request["function"].split(".")):
        # What is not there is told with what is.
        target = getattr(target, part, None)
    if target is not module:
        try:
            line = inspect.getsourcelines(target)[1]
        except (OSError, TypeError):
            pass
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        source = ""
    try:
        for text in sources_reached(target, module):
            source = "\n".join([source, text])
    except Exception:
        # Proxies and lazy modules may fail when they are looked at. That costs words, and is no reason not to audit.
        traceback.print_exc()
    return {
        "functions": found,
        "signature": signature_of(target) if target is not module else None,
        "callable": callable(target),
        "line": line,
        "path": file_of(target) if target is not module and callable(target) else None,
        "source": source[:2 * MOST],
        **loaded,
    }


def chosen():
    function = load()
    for part in _request["function"].split("."):
        function = getattr(function, part)
    return function() if inspect.isclass(function) else function


def prepared(function, texts):
    """What it is called with for completions of one prompt, the submission first: nothing of the row that its form of
    call would not give it."""
    row, truth, prompt = (_request[k] for k in ("row", "truth", "prompt"))
    text, several = texts[0], range(len(texts))
    said = [[{"role": "assistant", "content": t}] if _request["chat"] else t for t in texts]
    signature = _request["signature"]
    parameters = parameters_of(function)
    names = {p.name for p in parameters}
    if signature == "trl":
        columns = {k: [v for _ in several] for k, v in row.items() if k not in ("prompt", "prompts", "completions", "completion")}
        for name in ("answer", "ground_truth", "solution"):
            columns.setdefault(name, [truth for _ in several])
        question = row.get("prompt", prompt)
        if _request["chat"] and not isinstance(question, list):
            question = [{"role": "user", "content": question}]
        given = dict(
            columns,
            prompts=[question for _ in several],
            completions=said,
            completion_ids=[list(t.encode()) for t in texts],
            trainer_state=None,
            log_extra=lambda *a, **k: None,
            log_metric=lambda *a, **k: None,
        )
    elif signature in ("verl", "verl-batch"):
        given = dict(
            data_source=row.get("data_source", "loophole"),
            solution_str=text,
            ground_truth=truth,
            extra_info=row.get("extra_info", {}),
        )
        if signature == "verl-batch":
            many = {"data_source": "data_sources", "solution_str": "solution_strs", "ground_truth": "ground_truths", "extra_info": "extra_infos"}
            given = {many[k]: [v for _ in several] for k, v in given.items()}
            given["solution_strs"] = texts
    elif signature in ("names", "group"):
        group = signature == "group"
        given, left = {}, []
        listed = (lambda v: [v for _ in several]) if _request["columns"] else (lambda v: v)
        submission = SUBMISSIONS if group else SUBMISSION
        for p in parameters:
            if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                continue
            if p.name in submission and not any(n in given for n in submission):
                given[p.name] = said if group else text
            elif p.name in row:
                given[p.name] = listed(row[p.name])
            elif p.name in TRUTH or (group and p.name in SUBMISSION):
                given[p.name] = listed(truth)
            elif p.name in QUESTION:
                given[p.name] = listed(prompt)
            elif p.name in ROW:
                given[p.name] = listed(row)
            elif p.default is p.empty:
                left.append(p.name)
        if left:
            raise TypeError("no value for the parameters %s; give the rows columns of these names" % ", ".join(left))
        return (), given
    else:
        return (text, row), {}
    if not any(p.kind == p.VAR_KEYWORD for p in parameters):
        given = {k: v for k, v in given.items() if k in names}
    return (), given


def data(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [data(v) for v in value]
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str) else getattr(value, "item", lambda: None)()


def awaited(result):
    return asyncio.run(result) if inspect.isawaitable(result) else result


def attempt(function, arguments, given):
    """What it returns for a group; a group it cannot rate pays nothing, and another one is rated all the same."""
    try:
        return awaited(function(*arguments, **given))
    except Exception:
        traceback.print_exc()


def answer(nonce, result):
    result = awaited(result)
    os.write(_out, (nonce + json.dumps(data(result)) + "\n").encode())


if _request["describe"]:
    answer(_request["nonce"], describe())
elif _request.get("loaded"):
    _value, _loaded = loading(lambda: awaited(chosen()(_request["submission"], _request["row"])))
    answer(_request["nonce"], dict(_loaded, value=_value))
else:
    _text, _mates, _nonce = (_request[k] for k in ("submission", "mates", "nonce"))
    _groups = [[_text, *_mates]]
    if _mates and _request["alike"]:
        _groups.append([_text] * len(_groups[0]))
    _function = chosen()
    _calls = [prepared(_function, texts) for texts in _groups]
    # What was asked is no longer in reach: the grader has of a row what it was called with.
    del _request
    if _mates:
        answer(_nonce, dict(zip(("among others", "all alike"), [attempt(_function, *call) for call in _calls])))
    else:
        _arguments, _given = _calls[0]
        answer(_nonce, _function(*_arguments, **_given))
