import asyncio, importlib, importlib.util, inspect, json, math, os, random, sys

out = os.dup(1)
os.dup2(2, 1)
request = json.loads(sys.stdin.read())
# The warm interpreter would give every call the same numbers, and a grader that draws is to be seen as one.
random.seed()
text, row, truth, prompt = (request[k] for k in ("submission", "row", "truth", "prompt"))
sys.path.insert(0, os.getcwd())
sys.executable = request["python"] or sys.executable
if request["file"]:
    name = os.path.basename(request["file"])[:-3]
    spec = importlib.util.spec_from_file_location(name, request["file"])
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(request["file"])))
    spec.loader.exec_module(module)
else:
    module = importlib.import_module(request["module"])
function = module
for part in request["function"].split("."):
    function = getattr(function, part)
if inspect.isclass(function):
    function = function()


def call(**given):
    """By keyword, with as much as the function takes."""
    parameters = inspect.signature(function).parameters.values()
    if not any(p.kind == p.VAR_KEYWORD for p in parameters):
        names = {p.name for p in parameters}
        given = {k: v for k, v in given.items() if k in names}
    return function(**given)


if request["signature"] == "trl":
    chat = isinstance(row.get("prompt"), list)
    columns = {k: [v] for k, v in row.items() if k not in ("prompt", "prompts", "completions")}
    columns.setdefault("answer", [truth])
    columns.setdefault("ground_truth", [truth])
    result = call(
        **columns,
        prompts=[row.get("prompt", prompt)],
        completions=[[{"role": "assistant", "content": text}] if chat else text],
        completion_ids=[list(text.encode())],
        trainer_state=None,
        log_extra=lambda *a, **k: None,
        log_metric=lambda *a, **k: None,
    )
elif request["signature"] == "verl":
    result = call(
        data_source=row.get("data_source", "loophole"),
        solution_str=text,
        ground_truth=truth,
        extra_info=row.get("extra_info", row),
    )
else:
    result = function(text, row)
if inspect.isawaitable(result):
    result = asyncio.run(result)
if hasattr(result, "tolist"):
    result = result.tolist()


def data(value):
    if isinstance(value, dict):
        return {str(k): data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [data(v) for v in value]
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str) else getattr(value, "item", lambda: None)()


os.write(out, (request["nonce"] + json.dumps(data(result)) + "\n").encode())
